//! Bodies of every message: they are refused or read, and what was read is written to bytes that read the same.
//!
//! Three bytes choose the message: which API, request or response, which version.
#![no_main]

#[path = "../../tests/wire/dispatch.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod dispatch;

use dispatch::{Direction, recode};
use libfuzzer_sys::fuzz_target;
use ottla::wire::api::ApiKey;

fuzz_target!(|input: &[u8]| {
    let Some(([api, direction, version], body)) = input.split_first_chunk() else {
        return;
    };
    let api = ApiKey::ALL[usize::from(*api) % ApiKey::ALL.len()];
    let direction = if direction % 2 == 0 {
        Direction::Request
    } else {
        Direction::Response
    };
    let known = api.advertised();
    let version = known.min + i16::from(*version) % (known.max - known.min + 1);
    if let Ok(bytes) = recode(api, direction, version, body) {
        // Unknown tags, unknown error codes and long varints are gone by now.
        assert_eq!(
            recode(api, direction, version, &bytes),
            Ok(bytes),
            "{api} v{version}"
        );
    }
});

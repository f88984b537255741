//! A snapshot of the quorum, with its sizes and its checksum put right.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla::inspect;

const HEADER: usize = 24;

fuzz_target!(|input: &[u8]| {
    let _ = inspect::snapshot(input);
    let mut bytes = input.to_vec();
    let Some(rest) = bytes.len().checked_sub(HEADER) else {
        return;
    };
    let meta =
        u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")) as usize % (rest + 1);
    let state = (rest - meta) as u64;
    bytes[..4].copy_from_slice(b"OTRS");
    bytes[8..12].copy_from_slice(&(meta as u32).to_le_bytes());
    bytes[12..20].copy_from_slice(&state.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..20]);
    hasher.update(&bytes[HEADER..]);
    let checksum = hasher.finalize().to_le_bytes();
    bytes[20..24].copy_from_slice(&checksum);
    if let Ok(snapshot) = inspect::snapshot(&bytes) {
        assert_eq!(snapshot.state.len() as u64, state);
    }
});

//! A connection's bytes, arriving in two parts: frames, headers, bodies.
//!
//! The first byte says where the parts meet. A frame is cut at the same place whether its bytes come at once or not.
#![no_main]

#[path = "../../tests/wire/dispatch.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod dispatch;

use bytes::BytesMut;
use dispatch::Direction;
use libfuzzer_sys::fuzz_target;
use ottla::wire::{
    frame::{self, FrameError},
    header::RequestHeader,
    reader::Reader,
};

/// As small as the inputs, so that it is met.
const LIMIT: u32 = 512;

fuzz_target!(|input: &[u8]| {
    let Some((cut_at, stream)) = input.split_first() else {
        return;
    };
    let (first, second) = stream.split_at(usize::from(*cut_at).min(stream.len()));
    let (mut frames, mut received) = (Vec::new(), BytesMut::from(first));
    let early = take(&mut received, &mut frames);
    received.extend_from_slice(second);
    let ended = early.and_then(|()| take(&mut received, &mut frames));

    let (mut whole_frames, mut whole) = (Vec::new(), BytesMut::from(stream));
    assert_eq!(ended, take(&mut whole, &mut whole_frames));
    assert_eq!(frames, whole_frames);
    frames.iter().for_each(|frame| read(frame));
});

fn take(received: &mut BytesMut, frames: &mut Vec<BytesMut>) -> Result<(), FrameError> {
    while let Some(frame) = frame::cut(received, LIMIT)? {
        frames.push(frame);
    }
    Ok(())
}

/// What a connection does with a frame, and back.
fn read(frame: &[u8]) {
    let mut reader = Reader::new(frame);
    let Ok(header) = RequestHeader::decode(&mut reader) else {
        return;
    };
    let body = &frame[reader.position()..];
    if header.is_served()
        && let Ok(again) = dispatch::recode(header.api, Direction::Request, header.version, body)
    {
        let segments = frame::encode_request(&header, |_| ()).expect("a header that was read");
        let mut bytes = segments.into_bytes().expect("in memory")[4..].to_vec();
        bytes.extend(again);
        assert_eq!(RequestHeader::decode(&mut Reader::new(&bytes)), Ok(header));
    }
}

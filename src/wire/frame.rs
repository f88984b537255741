//! Frames: a message behind its size, an `int32` that does not count itself.
//!
//! W1: a size is judged as soon as its four bytes are here, before a byte of the message is kept
//! for it, so a connection never buffers more than the limit.

use bytes::{Buf, BytesMut};

use crate::wire::{
    api::ApiKey,
    header::{RequestHeader, encode_response_header},
    writer::{EncodeError, Segments, Writer},
};

const SIZE_BYTES: usize = 4;

/// Why a connection cannot go on: after a wrong size nothing that follows can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {size} bytes")]
    Negative { size: i32 },
    #[error("frame of {size} bytes, the limit is {limit}")]
    TooLarge { size: u32, limit: u32 },
}

/// The size of the next frame's message once its four bytes are here.
///
/// # Errors
/// `FrameError` if the size is negative or above `limit` (`socket.request.max.bytes`).
pub fn announced_size(received: &[u8], limit: u32) -> Result<Option<usize>, FrameError> {
    let Some((size, _)) = received.split_first_chunk::<SIZE_BYTES>() else {
        return Ok(None);
    };
    let size = i32::from_be_bytes(*size);
    let size = u32::try_from(size).map_err(|_| FrameError::Negative { size })?;
    if size > limit {
        return Err(FrameError::TooLarge { size, limit });
    }
    Ok(Some(usize::try_from(size).unwrap_or(usize::MAX)))
}

/// Takes the next message off the front of what was received, without its size; `None` until it
/// is here as a whole. The buffer is the message's own, to be changed in place.
///
/// # Errors
/// As `announced_size`. The buffer is left as it was.
pub fn cut(received: &mut BytesMut, limit: u32) -> Result<Option<BytesMut>, FrameError> {
    let Some(size) = announced_size(received, limit)? else {
        return Ok(None);
    };
    if received.len() - SIZE_BYTES < size {
        return Ok(None);
    }
    received.advance(SIZE_BYTES);
    Ok(Some(received.split_to(size)))
}

/// A response in its frame: `body` writes the message in the same version.
///
/// # Errors
/// The first fault of the message, see `EncodeError`.
pub fn encode_response(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: impl FnOnce(&mut Writer),
) -> Result<Segments, EncodeError> {
    let mut writer = Writer::frame();
    encode_response_header(&mut writer, api, version, correlation_id);
    body(&mut writer);
    writer.finish()
}

/// A request in its frame: `body` writes the message in the header's version.
///
/// # Errors
/// The first fault of the header or the message, see `EncodeError`.
pub fn encode_request(
    header: &RequestHeader<'_>,
    body: impl FnOnce(&mut Writer),
) -> Result<Segments, EncodeError> {
    let mut writer = Writer::frame();
    header.encode(&mut writer);
    body(&mut writer);
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_cut_when_its_last_byte_is_here() {
        let stream = [0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0, 0];
        let mut received = BytesMut::new();
        let mut frames = Vec::new();
        for byte in stream {
            received.extend_from_slice(&[byte]);
            while let Some(frame) = cut(&mut received, 3).unwrap() {
                frames.push(frame.to_vec());
            }
        }
        assert_eq!(frames, [vec![1, 2, 3], vec![]]);
        assert_eq!(&received[..], [0, 0]);
    }

    #[test]
    fn a_size_is_refused_before_its_message_is_here() {
        let mut negative = BytesMut::from(&(-1_i32).to_be_bytes()[..]);
        assert_eq!(
            cut(&mut negative, 100),
            Err(FrameError::Negative { size: -1 })
        );
        let mut large = BytesMut::from(&101_i32.to_be_bytes()[..]);
        assert_eq!(
            cut(&mut large, 100),
            Err(FrameError::TooLarge {
                size: 101,
                limit: 100
            })
        );
    }
}

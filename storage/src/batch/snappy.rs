//! Snappy in the framing of the Xerial library, which the Java client writes and reads.
//!
//! A stream is a 16-byte header and then chunks: a big-endian length and a bare snappy block of at
//! most 32 KiB of input. Concatenated streams repeat the header where a chunk would begin. Bytes
//! without the header are one bare block, as some clients send.

use std::io;

use super::compression::Bounded;
use crate::cursor::Cursor;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Version 1, readable by version 1.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const CHUNK_INPUT_SIZE: usize = 32 * 1024;
/// A snappy element of three bytes copies at most 64: no honest block expands further.
const EXPANSION_MAX: usize = 64;

pub(super) fn compress(body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSIONS);
    let mut encoder = snap::raw::Encoder::new();
    for chunk in body.chunks(CHUNK_INPUT_SIZE) {
        let block = encoder.compress_vec(chunk)?;
        let length = u32::try_from(block.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(())
}

pub(super) fn decompress(body: &[u8], size_max: usize) -> Bounded {
    let mut out = Vec::new();
    if !body.starts_with(&MAGIC) {
        return Ok(append_block(body, &mut out, size_max)?.then_some(out));
    }
    let mut cursor = Cursor::new(body);
    while cursor.remaining() > 0 {
        if cursor.rest().starts_with(&MAGIC) {
            cursor
                .bytes(MAGIC.len() + VERSIONS.len())
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            continue;
        }
        let block = next_chunk(&mut cursor).ok_or(io::ErrorKind::UnexpectedEof)?;
        if !append_block(block, &mut out, size_max)? {
            return Ok(None);
        }
    }
    Ok(Some(out))
}

fn next_chunk<'a>(cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let length = usize::try_from(cursor.i32()?).ok()?;
    cursor.bytes(length)
}

/// False if the block would exceed the limit.
fn append_block(block: &[u8], out: &mut Vec<u8>, size_max: usize) -> io::Result<bool> {
    let size = snap::raw::decompress_len(block)?;
    if size > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let start = out.len();
    if size > size_max.saturating_sub(start) {
        return Ok(false);
    }
    out.resize(start + size, 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, room)?;
    out.truncate(start + written);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_block_is_accepted() {
        let block = snap::raw::Encoder::new()
            .compress_vec(b"no framing")
            .unwrap();
        assert_eq!(decompress(&block, 100).unwrap().unwrap(), b"no framing");
    }

    /// A length that no honest block reaches must not be believed before it is decoded.
    #[test]
    fn a_claimed_size_is_not_allocated() {
        let mut lie = vec![0xff, 0xff, 0xff, 0xff, 0x07];
        lie.extend([0; 20]);
        assert!(decompress(&lie, usize::MAX).is_err());
    }

    #[test]
    fn a_cut_chunk_is_an_error() {
        let mut out = Vec::new();
        compress(&vec![7; 100_000], &mut out).unwrap();
        for cut in [9, 17, 19, 21, out.len() - 1] {
            assert!(decompress(&out[..cut], 1 << 20).is_err(), "cut at {cut}");
        }
        assert_eq!(decompress(&out[..16], 1 << 20).unwrap().unwrap(), b"");
    }
}

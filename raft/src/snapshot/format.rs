//! The bytes of a snapshot file. docs/formats/raft-snapshot.md has the table.

use crate::archive::{self, SnapshotRecord};
use crate::cursor::Cursor;

const MAGIC: u32 = u32::from_le_bytes(*b"OTRS");
pub(super) const VERSION: u8 = 1;
/// Magic, version and three zeros, size of the meta data, size of the state, checksum.
const HEADER_SIZE: usize = 24;

/// A snapshot's bytes, viewed.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) meta: SnapshotRecord,
    pub(crate) state: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    Newer(u8),
    Invalid(&'static str),
}

/// The bytes of a snapshot file.
pub(crate) fn encode(meta: &SnapshotRecord, state: &[u8]) -> Vec<u8> {
    let meta = archive::to_bytes(meta);
    let mut out = Vec::with_capacity(HEADER_SIZE + meta.len() + state.len());
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&u64::try_from(state.len()).unwrap_or(u64::MAX).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&out);
    hasher.update(&meta);
    hasher.update(state);
    out.extend_from_slice(&hasher.finalize().to_le_bytes());
    out.extend_from_slice(&meta);
    out.extend_from_slice(state);
    out
}

/// Views what [`encode`] made. Any other bytes are an error.
pub(crate) fn decode(bytes: &[u8]) -> Result<View<'_>, DecodeError> {
    use DecodeError::Invalid;

    let mut cursor = Cursor::new(bytes);
    let mut fields = || {
        let magic = cursor.u32()?;
        let [version, ..] = cursor.array::<4>()?;
        let (meta_size, state_size) = (cursor.u32()?, cursor.u64()?);
        Some((magic, version, meta_size, state_size, cursor.u32()?))
    };
    let fields = fields().ok_or(Invalid("the header is cut off"))?;
    let (magic, version, meta_size, state_size, checksum) = fields;
    if magic != MAGIC {
        return Err(Invalid("not a snapshot"));
    }
    let body = cursor.rest();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..HEADER_SIZE - 4).unwrap_or_default());
    hasher.update(body);
    if hasher.finalize() != checksum {
        return Err(Invalid("the checksum does not match"));
    }
    if version != VERSION {
        return Err(DecodeError::Newer(version));
    }
    let meta_size = usize::try_from(meta_size).map_err(|_| Invalid("the sizes are wrong"))?;
    let (meta, state) = body
        .split_at_checked(meta_size)
        .ok_or(Invalid("the sizes are wrong"))?;
    if u64::try_from(state.len()) != Ok(state_size) {
        return Err(Invalid("the sizes are wrong"));
    }
    let meta = archive::from_bytes(meta).ok_or(Invalid("the meta data is damaged"))?;
    Ok(View { meta, state })
}

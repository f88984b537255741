//! One frame of the stream: a fixed header, an archive, zeros up to the next boundary.
//!
//! A frame's checksum covers the checksum of the frame before it, and its sequence number rises by
//! one through all segments. So bytes left from another history never continue this one, and a
//! missing frame is noticed wherever it was. docs/formats/raft-log.md has the table.

use crate::archive::{self, EntryRecord, LogIdRecord, VoteRecord};
use crate::cursor::Cursor;

pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"OTRL");
pub(crate) const VERSION: u8 = 1;
pub(crate) const HEADER_SIZE: usize = 32;
/// Frames begin at multiples of this.
pub(crate) const ALIGNMENT: usize = 16;

/// What a frame says. The body of an entry stays an archive: it is read in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The first frame of a segment: the state that earlier segments, once removed, can't tell.
    Segment(SegmentRecord),
    /// An entry, as an archive.
    Entry(LogIdRecord),
    Vote(VoteRecord),
    /// Entries up to this one are committed.
    Committed(LogIdRecord),
    /// Entries from this index on are gone.
    Truncate(u64),
    /// Entries up to this one are gone, and so is what was before them.
    Purge(LogIdRecord),
}

/// What the log knew when a segment was begun.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRecord {
    pub(crate) number: u64,
    pub(crate) vote: Option<VoteRecord>,
    pub(crate) committed: Option<LogIdRecord>,
    pub(crate) purged: Option<LogIdRecord>,
    pub(crate) last: Option<LogIdRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Segment = 1,
    Entry = 2,
    Vote = 3,
    Committed = 4,
    Truncate = 5,
    Purge = 6,
}

/// A frame found in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) content: Content,
    /// Bytes of the segment that were synced when the frame was written.
    pub(crate) durable: u32,
    pub(crate) sequence: u64,
    pub(crate) checksum: u32,
    /// Where its body is in the segment.
    pub(crate) body: std::ops::Range<usize>,
    /// Where the next frame begins.
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// Nothing was ever written here.
    Empty,
    /// A frame of a newer version of this program.
    Newer(u8),
    /// No frame, for this reason.
    Invalid(&'static str),
}

/// Where in the history the next frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) sequence: u64,
    /// The checksum of the frame before.
    pub(crate) chain: u32,
}

impl Link {
    /// Where the very first frame stands.
    pub(crate) const FIRST: Self = Self {
        sequence: 1,
        chain: 0,
    };
}

pub(crate) fn size_of(body: usize) -> usize {
    (HEADER_SIZE + body).next_multiple_of(ALIGNMENT)
}

/// Appends a frame to `out` and moves `link` on.
pub(crate) fn encode(out: &mut Vec<u8>, link: &mut Link, kind: Kind, durable: u32, body: &[u8]) {
    let start = out.len();
    #[expect(
        clippy::expect_used,
        reason = "the caller has limited the body to a segment's size"
    )]
    let size = u32::try_from(body.len()).expect("a body fits a segment");
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[VERSION, kind as u8, 0, 0]);
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&durable.to_le_bytes());
    out.extend_from_slice(&link.sequence.to_le_bytes());
    out.extend_from_slice(&link.chain.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(out.get(start..).unwrap_or_default());
    hasher.update(body);
    let checksum = hasher.finalize();
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(body);
    out.resize(start + size_of(body.len()), 0);
    link.sequence += 1;
    link.chain = checksum;
}

/// The frame at `position` of a segment, whatever its place in the history.
pub(crate) fn decode(segment: &[u8], position: usize) -> Result<Frame, FrameError> {
    use FrameError::{Empty, Invalid, Newer};

    let rest = segment.get(position..).unwrap_or_default();
    let Some(header) = rest.get(..HEADER_SIZE) else {
        let is_blank = rest.iter().all(|byte| *byte == 0);
        return Err(if is_blank {
            Empty
        } else {
            Invalid("the header is cut off")
        });
    };
    if header.iter().all(|byte| *byte == 0) {
        return Err(Empty);
    }
    let mut cursor = Cursor::new(header);
    let mut fields = || {
        let magic = cursor.u32()?;
        let [version, kind, _, _] = cursor.array::<4>()?;
        let (size, durable) = (cursor.u32()?, cursor.u32()?);
        let (sequence, _chain) = (cursor.u64()?, cursor.u32()?);
        let checksum = cursor.u32()?;
        Some((magic, version, kind, size, durable, sequence, checksum))
    };
    let (magic, version, kind, size, durable, sequence, checksum) =
        fields().ok_or(Invalid("the header is cut off"))?;
    if magic != MAGIC {
        return Err(Invalid("no frame begins here"));
    }
    let size = usize::try_from(size).map_err(|_| Invalid("the body is too long"))?;
    let body_at = position + HEADER_SIZE;
    let range = body_at..body_at.saturating_add(size);
    let body = segment
        .get(range.clone())
        .ok_or(Invalid("the body is cut off"))?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..HEADER_SIZE - 4).unwrap_or_default());
    hasher.update(body);
    if hasher.finalize() != checksum {
        return Err(Invalid("the checksum does not match"));
    }
    // Checked after the checksum: a damaged version byte is damage, not the future.
    if version != VERSION {
        return Err(Newer(version));
    }
    let content = decode_content(kind, body).ok_or(Invalid("the body is not what it claims"))?;
    let end = position + size_of(size);
    Ok(Frame {
        content,
        durable,
        sequence,
        checksum,
        body: range,
        end,
    })
}

/// The frame at `position`, if it is the one that follows in the history.
pub(crate) fn decode_next(
    segment: &[u8],
    position: usize,
    link: &mut Link,
) -> Result<Frame, FrameError> {
    let frame = decode(segment, position)?;
    if frame.sequence != link.sequence {
        return Err(FrameError::Invalid(
            "the frame belongs elsewhere in the log",
        ));
    }
    let chain_at = position + 24;
    if segment.get(chain_at..chain_at + 4) != Some(&link.chain.to_le_bytes()) {
        return Err(FrameError::Invalid("the frame belongs to another history"));
    }
    link.sequence += 1;
    link.chain = frame.checksum;
    Ok(frame)
}

fn decode_content(kind: u8, body: &[u8]) -> Option<Content> {
    let content = match kind {
        1 => Content::Segment(archive::from_bytes::<SegmentRecord>(body)?),
        2 => {
            let entry = archive::access::<EntryRecord>(body)?;
            let (term, index) = (entry.id.term.into(), entry.id.index.into());
            Content::Entry(LogIdRecord { term, index })
        }
        3 => Content::Vote(archive::from_bytes::<VoteRecord>(body)?),
        4 => Content::Committed(archive::from_bytes::<LogIdRecord>(body)?),
        5 => Content::Truncate(archive::from_bytes::<u64>(body)?),
        6 => Content::Purge(archive::from_bytes::<LogIdRecord>(body)?),
        _ => return None,
    };
    Some(content)
}

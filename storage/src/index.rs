//! The two sparse indexes of a segment, in Kafka's layout.
//!
//! - S8: an index is a cache. It may be lost, rebuilt or refused; no answer depends on it. A lookup
//!   may return a place that is too early, never one that is too late.
//! - Entries only rise: offsets and positions strictly, timestamps strictly with offsets that do
//!   not fall. An append that would break this is refused, and bytes that break it are corrupt.
//! - The active segment's index is in memory, appended to by one writer and read by anybody who
//!   holds a snapshot; a sealed segment's index is a slice of bytes, usually a map of its file.
//!
//! The layout is in docs/formats/indexes.md.

mod active;
mod bytes;
mod entry;
mod list;
mod offset;
mod segment;
mod time;

pub use active::ActiveIndex;
pub use bytes::IndexBytes;
pub use list::ListSnapshot;
pub use offset::{ActiveOffsetIndex, OffsetEntry, OffsetIndexBytes, OffsetIndexSnapshot};
pub use segment::{IndexLimits, SegmentIndex, TimestampOffset};
pub use time::{ActiveTimeIndex, TimeEntry, TimeIndexBytes, TimeIndexSnapshot};

use crate::ids::Offset;

/// Why an entry or an index file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The index holds as many entries as it may.
    #[error("index of segment {base} is full with {entries} entries")]
    Full {
        /// The segment's base offset.
        base: Offset,
        /// How many it holds.
        entries: usize,
    },
    /// The offset is not within `i32::MAX` of the segment's base.
    #[error("offset {offset} does not fit the segment at {base}")]
    OutOfRange {
        /// The segment's base offset.
        base: Offset,
        /// The entry's offset.
        offset: Offset,
    },
    /// The entry does not lie behind the last one.
    #[error("entry {entry} of the index of segment {base} does not rise")]
    NotRising {
        /// The segment's base offset.
        base: Offset,
        /// The entry's place.
        entry: usize,
    },
    /// The file's size is no multiple of the entry's.
    #[error("index of segment {base} has {size} bytes, no multiple of {entry_size}")]
    Size {
        /// The segment's base offset.
        base: Offset,
        /// The file's size.
        size: usize,
        /// The entry's size.
        entry_size: usize,
    },
}

/// How far `offset` lies behind the segment's base, if the format can express it.
fn relative(base: Offset, offset: Offset) -> Result<u32, IndexError> {
    let distance = offset
        .since(base)
        .and_then(|distance| i32::try_from(distance).ok());
    distance
        .map(i32::unsigned_abs)
        .ok_or(IndexError::OutOfRange { base, offset })
}

/// The number of leading entries for which `is_before` holds, given that it holds for a prefix.
fn partition_point(len: usize, is_before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests;

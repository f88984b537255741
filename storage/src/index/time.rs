//! The time index: which offset to start looking for a timestamp at.
//!
//! An entry (t, o) says that no batch up to offset o has a timestamp above t. The last slot of a
//! file is kept for the entry that closes the segment.

use super::active::ActiveIndex;
use super::bytes::IndexBytes;
use super::entry::IndexEntry;
use super::list::ListSnapshot;
use super::{IndexError, partition_point, relative};
use crate::cursor::Cursor;
use crate::ids::Offset;
use crate::time::WallMillis;

/// One entry, with its offset made absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeEntry {
    /// The highest timestamp so far.
    pub timestamp: WallMillis,
    /// The last offset of the batch that has it.
    pub offset: Offset,
}

impl IndexEntry for TimeEntry {
    const SIZE: usize = 12;

    fn offset(self) -> Offset {
        self.offset
    }

    fn rises_above(self, last: Self) -> bool {
        self.timestamp > last.timestamp && self.offset >= last.offset
    }

    fn encode(self, base: Offset) -> impl Iterator<Item = u8> {
        let offset = relative(base, self.offset).unwrap_or_default();
        self.timestamp
            .as_millis()
            .to_be_bytes()
            .into_iter()
            .chain(offset.to_be_bytes())
    }

    fn decode(base: Offset, bytes: &[u8]) -> Option<Self> {
        let mut c = Cursor::new(bytes);
        let timestamp = WallMillis::from_millis(c.i64()?);
        let offset = base.checked_add(u64::try_from(c.i32()?).ok()?)?;
        Some(Self { timestamp, offset })
    }
}

/// The time index of the segment that is being written.
pub type ActiveTimeIndex = ActiveIndex<TimeEntry>;

/// The active time index as it was at one moment.
pub type TimeIndexSnapshot = ListSnapshot<TimeEntry>;

/// The time index of a sealed segment.
pub type TimeIndexBytes<'a> = IndexBytes<'a, TimeEntry>;

impl ActiveTimeIndex {
    /// Adds an entry if its timestamp is above the last one's; else does nothing.
    ///
    /// # Errors
    /// [`IndexError::Full`] when only the closing slot is left, [`IndexError::OutOfRange`], and
    /// [`IndexError::NotRising`] for a later time at an earlier offset.
    pub fn append(&mut self, entry: TimeEntry) -> Result<(), IndexError> {
        if self.is_full() {
            return Err(self.full());
        }
        self.append_last(entry)
    }

    /// As [`Self::append`], into the closing slot if need be.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_last(&mut self, entry: TimeEntry) -> Result<(), IndexError> {
        let is_later = self
            .last()
            .is_none_or(|last| entry.timestamp > last.timestamp);
        match self.push(entry) {
            // The last entry says as much already.
            Err(IndexError::NotRising { .. }) if !is_later => Ok(()),
            result => result,
        }
    }

    /// Whether the segment must roll before another entry: the closing slot stays free.
    pub const fn is_full(&self) -> bool {
        self.free_slots() <= 1
    }
}

impl TimeIndexSnapshot {
    /// The last entry whose timestamp is below `target`: everything up to its offset is too early,
    /// so a search for the first record at or after `target` may start there. `None`: start at the
    /// segment's beginning.
    pub fn last_before(&self, target: WallMillis) -> Option<TimeEntry> {
        last_before(self.len(), |i| self.get(i), target)
    }
}

impl TimeIndexBytes<'_> {
    /// As [`TimeIndexSnapshot::last_before`].
    pub fn last_before(&self, target: WallMillis) -> Option<TimeEntry> {
        last_before(self.len(), |i| self.get(i), target)
    }
}

fn last_before(
    len: usize,
    get: impl Fn(usize) -> Option<TimeEntry>,
    target: WallMillis,
) -> Option<TimeEntry> {
    let end = partition_point(len, |i| {
        get(i).is_some_and(|entry| entry.timestamp < target)
    });
    get(end.checked_sub(1)?)
}

//! The offset index: which byte of the segment to start reading at.
//!
//! An entry names the *last* offset of an indexed batch and the position of the batch's first byte,
//! so the batch that holds a target begins at the floor entry's position or later.

use super::active::ActiveIndex;
use super::bytes::IndexBytes;
use super::entry::IndexEntry;
use super::list::ListSnapshot;
use super::{IndexError, partition_point, relative};
use crate::cursor::Cursor;
use crate::ids::Offset;

/// One entry, with its offset made absolute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetEntry {
    /// The last offset of the batch.
    pub offset: Offset,
    /// Where the batch begins in the segment file.
    pub position: u32,
}

impl IndexEntry for OffsetEntry {
    const SIZE: usize = 8;

    fn offset(self) -> Offset {
        self.offset
    }

    fn rises_above(self, last: Self) -> bool {
        self.offset > last.offset && self.position > last.position
    }

    fn encode(self, base: Offset) -> impl Iterator<Item = u8> {
        let offset = relative(base, self.offset).unwrap_or_default();
        offset
            .to_be_bytes()
            .into_iter()
            .chain(self.position.to_be_bytes())
    }

    fn decode(base: Offset, bytes: &[u8]) -> Option<Self> {
        let mut c = Cursor::new(bytes);
        let offset = base.checked_add(u64::try_from(c.i32()?).ok()?)?;
        Some(Self {
            offset,
            position: u32::try_from(c.i32()?).ok()?,
        })
    }
}

/// The offset index of the segment that is being written.
pub type ActiveOffsetIndex = ActiveIndex<OffsetEntry>;

/// The active offset index as it was at one moment.
pub type OffsetIndexSnapshot = ListSnapshot<OffsetEntry>;

/// The offset index of a sealed segment.
pub type OffsetIndexBytes<'a> = IndexBytes<'a, OffsetEntry>;

impl ActiveOffsetIndex {
    /// Adds an entry behind the last.
    ///
    /// # Errors
    /// [`IndexError::Full`], [`IndexError::OutOfRange`], [`IndexError::NotRising`]; the index has
    /// then not changed.
    pub fn append(&mut self, entry: OffsetEntry) -> Result<(), IndexError> {
        if self.is_full() {
            return Err(self.full());
        }
        self.push(entry)
    }

    /// Whether the segment must roll before another entry.
    pub const fn is_full(&self) -> bool {
        self.free_slots() == 0
    }
}

impl OffsetIndexSnapshot {
    /// The last entry whose offset is at most `target`; `None`: start at the segment's beginning.
    pub fn floor(&self, target: Offset) -> Option<OffsetEntry> {
        floor(self.len(), |i| self.get(i), target)
    }
}

impl OffsetIndexBytes<'_> {
    /// As [`OffsetIndexSnapshot::floor`].
    pub fn floor(&self, target: Offset) -> Option<OffsetEntry> {
        floor(self.len(), |i| self.get(i), target)
    }

    /// The first entry behind `after` whose position is at least `size` bytes further: an end that
    /// a read of `size` bytes reaches. `None`: the index ends before.
    pub fn upper_bound(&self, after: OffsetEntry, size: u32) -> Option<OffsetEntry> {
        let end = after.position.checked_add(size)?;
        let is_before = |i| self.get(i).is_some_and(|entry| entry.position < end);
        self.get(partition_point(self.len(), is_before))
    }
}

fn floor(
    len: usize,
    get: impl Fn(usize) -> Option<OffsetEntry>,
    target: Offset,
) -> Option<OffsetEntry> {
    let end = partition_point(len, |i| get(i).is_some_and(|entry| entry.offset <= target));
    get(end.checked_sub(1)?)
}

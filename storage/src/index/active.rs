//! The index of the segment that is being written.
//!
//! It only rises and holds only offsets that its format can express: [`ActiveIndex::push`] sees to
//! both. When an entry is due, and when the index is full, is for the kind of index to say.

use super::bytes::IndexBytes;
use super::entry::IndexEntry;
use super::list::{ActiveList, ListSnapshot};
use super::{IndexError, partition_point, relative};
use crate::ids::Offset;

/// The index of the segment that is being written.
#[derive(Debug)]
pub struct ActiveIndex<E> {
    base: Offset,
    entries_max: usize,
    list: ActiveList<E>,
}

impl<E: IndexEntry> ActiveIndex<E> {
    /// An empty index for a file of at most `size_max` bytes.
    pub fn new(base: Offset, size_max: usize) -> Self {
        Self {
            base,
            entries_max: size_max / E::SIZE,
            list: ActiveList::new(),
        }
    }

    /// The index that a file holds, so that appending can go on.
    ///
    /// # Errors
    /// [`IndexError::Size`] or [`IndexError::NotRising`]: the file is to be rebuilt; so it is after
    /// [`IndexError::Full`], for a file with more entries than a list can hold.
    pub fn from_bytes(base: Offset, bytes: &[u8], size_max: usize) -> Result<Self, IndexError> {
        let stored = IndexBytes::new(base, bytes);
        stored.verify()?;
        let mut index = Self::new(base, size_max);
        // Beyond `size_max` too: it may have been lowered since the file was written.
        for entry in (0..stored.len()).filter_map(|i| stored.get(i)) {
            if !index.list.push(entry) {
                return Err(index.full());
            }
        }
        Ok(index)
    }

    /// Adds an entry behind the last.
    ///
    /// # Errors
    /// [`IndexError::OutOfRange`], [`IndexError::NotRising`], [`IndexError::Full`], looked for in
    /// this order; the index has then not changed.
    pub(super) fn push(&mut self, entry: E) -> Result<(), IndexError> {
        relative(self.base, entry.offset())?;
        if self.last().is_some_and(|last| !entry.rises_above(last)) {
            return Err(IndexError::NotRising {
                base: self.base,
                entry: self.len(),
            });
        }
        if self.free_slots() > 0 && self.list.push(entry) {
            Ok(())
        } else {
            Err(self.full())
        }
    }

    /// How many entries it may still take.
    pub(super) const fn free_slots(&self) -> usize {
        self.entries_max.saturating_sub(self.len())
    }

    pub(super) const fn full(&self) -> IndexError {
        IndexError::Full {
            base: self.base,
            entries: self.len(),
        }
    }

    /// Removes the entries at and above `offset`; snapshots keep what they saw.
    pub fn truncate_to(&mut self, offset: Offset) {
        let is_kept = |i| self.list.get(i).is_some_and(|e| e.offset() < offset);
        self.list.truncate(partition_point(self.len(), is_kept));
    }

    /// How many entries it holds.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The highest entry.
    pub fn last(&self) -> Option<E> {
        self.list.last()
    }

    /// What it holds now, for readers.
    pub fn snapshot(&self) -> ListSnapshot<E> {
        self.list.snapshot()
    }

    /// The file's bytes from the entry `first` on: 0 for the whole file.
    pub fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = (first..self.len()).filter_map(|i| self.list.get(i));
        entries.flat_map(|entry| entry.encode(self.base)).collect()
    }
}

//! The offset index: which byte of the segment to start reading at.
//!
//! An entry names the *last* offset of an indexed batch and the position of the batch's first byte,
//! so the batch that holds a target begins at the floor entry's position or later.

use super::list::{ActiveList, ListSnapshot};
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

impl OffsetEntry {
    /// The entry's size in the file.
    pub const SIZE: usize = 8;

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

/// The index of the segment that is being written.
#[derive(Debug)]
pub struct ActiveOffsetIndex {
    base: Offset,
    entries_max: usize,
    list: ActiveList<OffsetEntry>,
}

impl ActiveOffsetIndex {
    /// An empty index for a file of at most `size_max` bytes.
    pub fn new(base: Offset, size_max: usize) -> Self {
        Self {
            base,
            entries_max: size_max / OffsetEntry::SIZE,
            list: ActiveList::new(),
        }
    }

    /// The index that a file holds, so that appending can go on.
    ///
    /// # Errors
    /// [`IndexError::Size`] or [`IndexError::NotRising`]: the file is to be rebuilt.
    pub fn from_bytes(base: Offset, bytes: &[u8], size_max: usize) -> Result<Self, IndexError> {
        let stored = OffsetIndexBytes::new(base, bytes);
        stored.verify()?;
        let mut index = Self::new(base, size_max.max(bytes.len()));
        for entry in (0..stored.len()).filter_map(|i| stored.get(i)) {
            index.append(entry)?;
        }
        index.entries_max = size_max / OffsetEntry::SIZE;
        Ok(index)
    }

    /// Adds an entry behind the last.
    ///
    /// # Errors
    /// [`IndexError::Full`], [`IndexError::OutOfRange`], [`IndexError::NotRising`]; the index has
    /// then not changed.
    pub fn append(&mut self, entry: OffsetEntry) -> Result<(), IndexError> {
        let (base, entries) = (self.base, self.list.len());
        let full = IndexError::Full { base, entries };
        if self.is_full() {
            return Err(full);
        }
        relative(base, entry.offset)?;
        if self
            .list
            .last()
            .is_some_and(|last| !entry.rises_above(last))
        {
            return Err(IndexError::NotRising {
                base,
                entry: entries,
            });
        }
        if self.list.push(entry) {
            Ok(())
        } else {
            Err(full)
        }
    }

    /// Removes the entries at and above `offset`; snapshots keep what they saw.
    pub fn truncate_to(&mut self, offset: Offset) {
        let is_kept = |i| self.list.get(i).is_some_and(|entry| entry.offset < offset);
        self.list
            .truncate(partition_point(self.list.len(), is_kept));
    }

    /// Whether the segment must roll before another entry.
    pub const fn is_full(&self) -> bool {
        self.list.len() >= self.entries_max
    }

    /// How many entries it holds.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.list.len() == 0
    }

    /// The highest entry.
    pub fn last(&self) -> Option<OffsetEntry> {
        self.list.last()
    }

    /// What it holds now, for readers.
    pub fn snapshot(&self) -> OffsetIndexSnapshot {
        OffsetIndexSnapshot {
            list: self.list.snapshot(),
        }
    }

    /// The file's bytes from the entry `first` on: 0 for the whole file.
    pub fn encode_from(&self, first: usize) -> Vec<u8> {
        let entries = (first..self.list.len()).filter_map(|i| self.list.get(i));
        entries.flat_map(|entry| entry.encode(self.base)).collect()
    }
}

/// The active index as it was at one moment. Cheap to clone, shared with the writer.
#[derive(Clone, Debug)]
pub struct OffsetIndexSnapshot {
    list: ListSnapshot<OffsetEntry>,
}

impl OffsetIndexSnapshot {
    /// How many entries it holds.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.list.len() == 0
    }

    /// The entry at `index`.
    pub fn get(&self, index: usize) -> Option<OffsetEntry> {
        self.list.get(index)
    }

    /// The last entry whose offset is at most `target`; `None`: start at the segment's beginning.
    pub fn floor(&self, target: Offset) -> Option<OffsetEntry> {
        floor(self.len(), |i| self.get(i), target)
    }

    /// The first entry behind `after` whose position is at least `size` bytes further: an end that
    /// a read of `size` bytes reaches. `None`: the index ends before.
    pub fn upper_bound(&self, after: OffsetEntry, size: u32) -> Option<OffsetEntry> {
        upper_bound(self.len(), |i| self.get(i), after, size)
    }
}

/// The index of a sealed segment, over the bytes of its file.
#[derive(Clone, Copy, Debug)]
pub struct OffsetIndexBytes<'a> {
    base: Offset,
    bytes: &'a [u8],
}

impl<'a> OffsetIndexBytes<'a> {
    /// Wraps a file's bytes. Lookups are safe on any bytes, and right once [`Self::verify`] was.
    pub const fn new(base: Offset, bytes: &'a [u8]) -> Self {
        Self { base, bytes }
    }

    /// Checks every entry.
    ///
    /// # Errors
    /// [`IndexError::Size`] or [`IndexError::NotRising`]: the file is to be rebuilt.
    pub fn verify(&self) -> Result<(), IndexError> {
        let (base, size, entry_size) = (self.base, self.bytes.len(), OffsetEntry::SIZE);
        if size % entry_size != 0 {
            return Err(IndexError::Size {
                base,
                size,
                entry_size,
            });
        }
        let mut last: Option<OffsetEntry> = None;
        for i in 0..self.len() {
            let rising = self
                .get(i)
                .filter(|entry| last.is_none_or(|l| entry.rises_above(l)));
            last = Some(rising.ok_or(IndexError::NotRising { base, entry: i })?);
        }
        Ok(())
    }

    /// How many whole entries there are.
    pub const fn len(&self) -> usize {
        self.bytes.len() / OffsetEntry::SIZE
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at `index`; `None` beyond the end and for an entry that cannot be one.
    pub fn get(&self, index: usize) -> Option<OffsetEntry> {
        let start = index.checked_mul(OffsetEntry::SIZE)?;
        OffsetEntry::decode(self.base, self.bytes.get(start..)?)
    }

    /// The last entry whose offset is at most `target`; `None`: start at the segment's beginning.
    pub fn floor(&self, target: Offset) -> Option<OffsetEntry> {
        floor(self.len(), |i| self.get(i), target)
    }

    /// As [`OffsetIndexSnapshot::upper_bound`].
    pub fn upper_bound(&self, after: OffsetEntry, size: u32) -> Option<OffsetEntry> {
        upper_bound(self.len(), |i| self.get(i), after, size)
    }

    /// How many bytes of the file to keep so that no entry is at or above `offset`.
    pub fn size_below(&self, offset: Offset) -> usize {
        let is_below = |i| self.get(i).is_some_and(|entry| entry.offset < offset);
        partition_point(self.len(), is_below) * OffsetEntry::SIZE
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

fn upper_bound(
    len: usize,
    get: impl Fn(usize) -> Option<OffsetEntry>,
    after: OffsetEntry,
    size: u32,
) -> Option<OffsetEntry> {
    let position = after.position.checked_add(size)?;
    get(partition_point(len, |i| {
        get(i).is_some_and(|entry| entry.position < position)
    }))
}

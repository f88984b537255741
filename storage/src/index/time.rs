//! The time index: which offset to start looking for a timestamp at.
//!
//! An entry (t, o) says that no batch up to offset o has a timestamp above t. The last slot of a
//! file is kept for the entry that closes the segment.

use super::list::{ActiveList, ListSnapshot};
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

impl TimeEntry {
    /// The entry's size in the file.
    pub const SIZE: usize = 12;

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

/// The index of the segment that is being written.
#[derive(Debug)]
pub struct ActiveTimeIndex {
    base: Offset,
    entries_max: usize,
    list: ActiveList<TimeEntry>,
}

impl ActiveTimeIndex {
    /// An empty index for a file of at most `size_max` bytes.
    pub fn new(base: Offset, size_max: usize) -> Self {
        Self {
            base,
            entries_max: size_max / TimeEntry::SIZE,
            list: ActiveList::new(),
        }
    }

    /// The index that a file holds, so that appending can go on.
    ///
    /// # Errors
    /// [`IndexError::Size`] or [`IndexError::NotRising`]: the file is to be rebuilt.
    pub fn from_bytes(base: Offset, bytes: &[u8], size_max: usize) -> Result<Self, IndexError> {
        let stored = TimeIndexBytes::new(base, bytes);
        stored.verify()?;
        let mut index = Self::new(base, size_max);
        for entry in (0..stored.len()).filter_map(|i| stored.get(i)) {
            index.list.push(entry);
        }
        Ok(index)
    }

    /// Adds an entry if its timestamp is above the last one's; else does nothing.
    ///
    /// # Errors
    /// [`IndexError::Full`] when only the closing slot is left, [`IndexError::OutOfRange`], and
    /// [`IndexError::NotRising`] for a later time at an earlier offset.
    pub fn append(&mut self, entry: TimeEntry) -> Result<(), IndexError> {
        if self.is_full() {
            return Err(IndexError::Full {
                base: self.base,
                entries: self.list.len(),
            });
        }
        self.append_last(entry)
    }

    /// As [`Self::append`], into the closing slot if need be.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_last(&mut self, entry: TimeEntry) -> Result<(), IndexError> {
        let (base, entries) = (self.base, self.list.len());
        relative(base, entry.offset)?;
        if let Some(last) = self.list.last() {
            if entry.timestamp <= last.timestamp {
                return Ok(());
            }
            if !entry.rises_above(last) {
                return Err(IndexError::NotRising {
                    base,
                    entry: entries,
                });
            }
        }
        if entries < self.entries_max && self.list.push(entry) {
            Ok(())
        } else {
            Err(IndexError::Full { base, entries })
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
        self.list.len() + 1 >= self.entries_max
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
    pub fn last(&self) -> Option<TimeEntry> {
        self.list.last()
    }

    /// What it holds now, for readers.
    pub fn snapshot(&self) -> TimeIndexSnapshot {
        TimeIndexSnapshot {
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
pub struct TimeIndexSnapshot {
    list: ListSnapshot<TimeEntry>,
}

impl TimeIndexSnapshot {
    /// How many entries it holds.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.list.len() == 0
    }

    /// The entry at `index`.
    pub fn get(&self, index: usize) -> Option<TimeEntry> {
        self.list.get(index)
    }

    /// The last entry whose timestamp is below `target`: everything up to its offset is too early,
    /// so a search for the first record at or after `target` may start there. `None`: start at the
    /// segment's beginning.
    pub fn last_before(&self, target: WallMillis) -> Option<TimeEntry> {
        last_before(self.len(), |i| self.get(i), target)
    }
}

/// The index of a sealed segment, over the bytes of its file.
#[derive(Clone, Copy, Debug)]
pub struct TimeIndexBytes<'a> {
    base: Offset,
    bytes: &'a [u8],
}

impl<'a> TimeIndexBytes<'a> {
    /// Wraps a file's bytes. Lookups are safe on any bytes, and right once [`Self::verify`] was.
    pub const fn new(base: Offset, bytes: &'a [u8]) -> Self {
        Self { base, bytes }
    }

    /// Checks every entry.
    ///
    /// # Errors
    /// [`IndexError::Size`] or [`IndexError::NotRising`]: the file is to be rebuilt.
    pub fn verify(&self) -> Result<(), IndexError> {
        let (base, size, entry_size) = (self.base, self.bytes.len(), TimeEntry::SIZE);
        if size % entry_size != 0 {
            return Err(IndexError::Size {
                base,
                size,
                entry_size,
            });
        }
        let mut last: Option<TimeEntry> = None;
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
        self.bytes.len() / TimeEntry::SIZE
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at `index`; `None` beyond the end and for an entry that cannot be one.
    pub fn get(&self, index: usize) -> Option<TimeEntry> {
        let start = index.checked_mul(TimeEntry::SIZE)?;
        TimeEntry::decode(self.base, self.bytes.get(start..)?)
    }

    /// The highest entry: what the segment's largest timestamp is read from.
    pub fn last(&self) -> Option<TimeEntry> {
        self.get(self.len().checked_sub(1)?)
    }

    /// As [`TimeIndexSnapshot::last_before`].
    pub fn last_before(&self, target: WallMillis) -> Option<TimeEntry> {
        last_before(self.len(), |i| self.get(i), target)
    }

    /// How many bytes of the file to keep so that no entry is at or above `offset`.
    pub fn size_below(&self, offset: Offset) -> usize {
        let is_below = |i| self.get(i).is_some_and(|entry| entry.offset < offset);
        partition_point(self.len(), is_below) * TimeEntry::SIZE
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

//! Both indexes of one segment, kept by one rule on append and at recovery.
//!
//! Each batch is shown to [`SegmentIndex::observe`] in order; what comes out depends on the batches
//! alone, so an index rebuilt by recovery equals the one that was lost.

use super::offset::{ActiveOffsetIndex, OffsetEntry};
use super::time::{ActiveTimeIndex, TimeEntry};
use super::{IndexError, relative};
use crate::batch::BatchHeader;
use crate::ids::Offset;
use crate::planted::is_planted;
use crate::time::WallMillis;

/// `segment.index.bytes` and `index.interval.bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexLimits {
    /// The most bytes that each index file may have.
    pub size_max: usize,
    /// An entry is added when more than this many bytes were written since the last.
    pub interval: u64,
}

impl Default for IndexLimits {
    fn default() -> Self {
        Self {
            size_max: 10 * 1024 * 1024,
            interval: 4096,
        }
    }
}

/// A timestamp and the last offset of the batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The timestamp.
    pub timestamp: WallMillis,
    /// The last offset of the first batch that has it.
    pub offset: Offset,
}

/// The indexes of the segment that is being written or recovered.
#[derive(Debug)]
pub struct SegmentIndex {
    base: Offset,
    interval: u64,
    offsets: ActiveOffsetIndex,
    times: ActiveTimeIndex,
    bytes_since_entry: u64,
    max_timestamp: Option<TimestampOffset>,
}

impl SegmentIndex {
    /// The indexes of an empty segment.
    pub fn new(base: Offset, limits: IndexLimits) -> Self {
        Self {
            base,
            interval: limits.interval,
            offsets: ActiveOffsetIndex::new(base, limits.size_max),
            times: ActiveTimeIndex::new(base, limits.size_max),
            bytes_since_entry: 0,
            max_timestamp: None,
        }
    }

    /// Takes up the indexes of a segment that was closed in order.
    ///
    /// The bytes behind the last offset entry count as not indexed; showing the batches there to
    /// [`Self::observe_tail`] restores the rest.
    ///
    /// # Errors
    /// The index files are to be rebuilt.
    pub fn from_bytes(
        base: Offset,
        limits: IndexLimits,
        offsets: &[u8],
        times: &[u8],
    ) -> Result<Self, IndexError> {
        let offsets = ActiveOffsetIndex::from_bytes(base, offsets, limits.size_max)?;
        let times = ActiveTimeIndex::from_bytes(base, times, limits.size_max)?;
        let last = times.last();
        let max_timestamp = last.map(|entry| TimestampOffset {
            timestamp: entry.timestamp,
            offset: entry.offset,
        });
        let interval = limits.interval;
        Ok(Self {
            base,
            interval,
            offsets,
            times,
            bytes_since_entry: 0,
            max_timestamp,
        })
    }

    /// Whether a batch that ends at `last_offset` can go into this segment: there is a slot in both
    /// indexes and the offset can be expressed.
    pub fn has_room_for(&self, last_offset: Offset) -> bool {
        let is_full = self.offsets.is_full() || self.times.is_full();
        !is_full && self.can_express(last_offset)
    }

    /// Whether the offset can be expressed in this segment, room or not.
    pub fn can_express(&self, last_offset: Offset) -> bool {
        relative(self.base, last_offset).is_ok() || is_planted("a-segment-spans-31-bits")
    }

    /// Takes notice of the batch that begins at `position` of the segment.
    ///
    /// # Errors
    /// [`IndexError::Full`] or [`IndexError::OutOfRange`] if the segment was not rolled when
    /// [`Self::has_room_for`] said so, [`IndexError::NotRising`] if batches came out of order.
    pub fn observe(&mut self, batch: &BatchHeader, position: u32) -> Result<(), IndexError> {
        self.raise(batch);
        if self.bytes_since_entry > self.interval {
            self.offsets.append(OffsetEntry {
                offset: batch.last_offset(),
                position,
            })?;
            if let Some(TimestampOffset { timestamp, offset }) = self.max_timestamp {
                self.times.append(TimeEntry { timestamp, offset })?;
            }
            self.bytes_since_entry = 0;
        }
        self.count(batch);
        Ok(())
    }

    /// Removes what is at and above `offset`, the base offset of a batch. As after
    /// [`Self::from_bytes`], the batches that remain behind the last offset entry are then to be
    /// shown to [`Self::observe_tail`]. Snapshots keep what they saw.
    pub fn truncate_to(&mut self, offset: Offset) {
        self.offsets.truncate_to(offset);
        self.times.truncate_to(offset);
        self.bytes_since_entry = 0;
        self.max_timestamp = last_max(&self.times);
    }

    /// Takes notice of a batch at or behind the last offset entry's position (from the segment's
    /// beginning if there is no entry), after [`Self::from_bytes`] or [`Self::truncate_to`].
    pub fn observe_tail(&mut self, batch: &BatchHeader) {
        self.raise(batch);
        self.count(batch);
    }

    /// Adds the closing entry of the time index: when the segment rolls or closes.
    ///
    /// # Errors
    /// [`IndexError::NotRising`] never happens on batches shown in order.
    pub fn close(&mut self) -> Result<(), IndexError> {
        match self.max_timestamp {
            Some(TimestampOffset { timestamp, offset }) => {
                self.times.append_last(TimeEntry { timestamp, offset })
            }
            None => Ok(()),
        }
    }

    /// The highest timestamp in the segment and the last offset of the first batch that has it.
    /// `None` if no batch has a timestamp.
    pub const fn max_timestamp(&self) -> Option<TimestampOffset> {
        self.max_timestamp
    }

    /// The offset index.
    pub const fn offsets(&self) -> &ActiveOffsetIndex {
        &self.offsets
    }

    /// The time index.
    pub const fn times(&self) -> &ActiveTimeIndex {
        &self.times
    }

    fn raise(&mut self, batch: &BatchHeader) {
        // Compaction leaves empty batches: nobody who looks for a timestamp finds a record there.
        if batch.record_count() == 0 {
            return;
        }
        let timestamp = batch.max_timestamp();
        let so_far = self
            .max_timestamp
            .map_or(WallMillis::NONE, |max| max.timestamp);
        if timestamp > so_far {
            self.max_timestamp = Some(TimestampOffset {
                timestamp,
                offset: batch.last_offset(),
            });
        }
    }

    fn count(&mut self, batch: &BatchHeader) {
        let size = u64::try_from(batch.size()).unwrap_or(u64::MAX);
        self.bytes_since_entry = self.bytes_since_entry.saturating_add(size);
    }
}

fn last_max(times: &ActiveTimeIndex) -> Option<TimestampOffset> {
    let last = times.last()?;
    Some(TimestampOffset {
        timestamp: last.timestamp,
        offset: last.offset,
    })
}

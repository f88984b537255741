//! The index of a segment, wherever it is: in memory until its files are written, then in the files.
//!
//! Hostile bytes (a torn or foreign file) lead to `None` or to a place that the log then refutes, never to a panic.

use crate::fs::map::FileBytes;
use crate::ids::Offset;
use crate::index::{
    IndexLimits, OffsetEntry, OffsetIndexBytes, OffsetIndexSnapshot, SegmentIndex, TimeEntry,
    TimeIndexBytes, TimeIndexSnapshot,
};
use crate::time::WallMillis;

/// Offset and time index of one segment.
#[derive(Debug)]
pub(crate) enum StoredIndex {
    Memory {
        offsets: OffsetIndexSnapshot,
        times: TimeIndexSnapshot,
    },
    Files {
        base: Offset,
        offsets: FileBytes,
        times: FileBytes,
    },
}

impl StoredIndex {
    /// What the index of a growing segment holds now.
    pub(crate) fn snapshot(index: &SegmentIndex) -> Self {
        Self::Memory {
            offsets: index.offsets().snapshot(),
            times: index.times().snapshot(),
        }
    }

    /// The index in two files of the segment at `base`; `None` if they are not what an index of `size` bytes can be.
    pub(crate) fn of_files(
        base: Offset,
        size: u64,
        offsets: FileBytes,
        times: FileBytes,
    ) -> Option<Self> {
        OffsetIndexBytes::new(base, &offsets).verify().ok()?;
        TimeIndexBytes::new(base, &times).verify().ok()?;
        let index = Self::Files {
            base,
            offsets,
            times,
        };
        let last = index
            .offset_count()
            .checked_sub(1)
            .and_then(|at| index.offset_at(at));
        last.is_none_or(|last| u64::from(last.position) < size)
            .then_some(index)
    }

    fn offset_at(&self, at: usize) -> Option<OffsetEntry> {
        match self {
            Self::Memory { offsets, .. } => offsets.get(at),
            Self::Files { base, offsets, .. } => OffsetIndexBytes::new(*base, offsets).get(at),
        }
    }

    fn offset_count(&self) -> usize {
        match self {
            Self::Memory { offsets, .. } => offsets.len(),
            Self::Files { base, offsets, .. } => OffsetIndexBytes::new(*base, offsets).len(),
        }
    }

    /// The last entry at or below `offset`.
    pub(crate) fn floor(&self, offset: Offset) -> Option<OffsetEntry> {
        match self {
            Self::Memory { offsets, .. } => offsets.floor(offset),
            Self::Files { base, offsets, .. } => {
                OffsetIndexBytes::new(*base, offsets).floor(offset)
            }
        }
    }

    /// The last entry whose position is at or below `position`.
    pub(crate) fn floor_position(&self, position: u64) -> Option<OffsetEntry> {
        let (mut low, mut high) = (0, self.offset_count());
        while low < high {
            let middle = low + (high - low) / 2;
            if u64::from(self.offset_at(middle)?.position) <= position {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.offset_at(low.checked_sub(1)?)
    }

    fn time_at(&self, at: usize) -> Option<TimeEntry> {
        match self {
            Self::Memory { times, .. } => times.get(at),
            Self::Files { base, times, .. } => TimeIndexBytes::new(*base, times).get(at),
        }
    }

    /// The entries of the segment at `base` that lie below `end`, to go on from; `None` if they are damaged.
    pub(crate) fn below(
        &self,
        base: Offset,
        end: Offset,
        limits: IndexLimits,
    ) -> Option<SegmentIndex> {
        let relative = |offset: Offset| u32::try_from(offset.since(base)?).ok();
        let mut offsets = Vec::new();
        for entry in (0..)
            .map_while(|at| self.offset_at(at))
            .take_while(|entry| entry.offset < end)
        {
            offsets.extend_from_slice(&relative(entry.offset)?.to_be_bytes());
            offsets.extend_from_slice(&entry.position.to_be_bytes());
        }
        let mut times = Vec::new();
        for entry in (0..)
            .map_while(|at| self.time_at(at))
            .take_while(|entry| entry.offset < end)
        {
            times.extend_from_slice(&entry.timestamp.as_millis().to_be_bytes());
            times.extend_from_slice(&relative(entry.offset)?.to_be_bytes());
        }
        SegmentIndex::from_bytes(base, limits, &offsets, &times).ok()
    }

    /// The last entry below `timestamp`.
    pub(crate) fn last_before(&self, timestamp: WallMillis) -> Option<TimeEntry> {
        match self {
            Self::Memory { times, .. } => times.last_before(timestamp),
            Self::Files { base, times, .. } => {
                TimeIndexBytes::new(*base, times).last_before(timestamp)
            }
        }
    }

    /// The entry of the highest timestamp; in files it is that of the whole segment.
    pub(crate) fn last_time(&self) -> Option<TimeEntry> {
        match self {
            Self::Memory { times, .. } => times.get(times.len().checked_sub(1)?),
            Self::Files { base, times, .. } => TimeIndexBytes::new(*base, times).last(),
        }
    }
}

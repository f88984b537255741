//! A segment as one view sees it: with a size, and the index as it was then.
//!
//! S8: an index lookup may lead too early, never too late, and where an index is damaged or gone the log itself
//! answers, from its front.

use std::sync::Arc;

use super::scan::{HeaderScan, ScanError};
use super::stored_index::StoredIndex;
use super::{MaxTimestamp, Segment};
use crate::batch::BatchHeader;
use crate::fs::File;
use crate::ids::Offset;
use crate::index::{IndexLimits, SegmentIndex};
use crate::time::WallMillis;

/// The bytes below `size` of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VisibleSegment<'a> {
    pub(crate) segment: &'a Arc<Segment>,
    pub(crate) size: u64,
    /// The view's own snapshot if the segment was growing then.
    pub(crate) index: Option<&'a StoredIndex>,
}

impl VisibleSegment<'_> {
    pub(crate) fn base(&self) -> Offset {
        self.segment.base()
    }

    pub(crate) fn file(&self) -> Result<&Arc<dyn File>, ScanError> {
        self.segment.file().map_err(|source| ScanError::Io {
            position: 0,
            source,
        })
    }

    /// The bytes of whichever index there is, below `end`.
    pub(crate) fn index_below(&self, end: Offset, limits: IndexLimits) -> Option<SegmentIndex> {
        self.search(|index| index.below(self.base(), end, limits))
    }

    fn search<T>(&self, search: impl Fn(&StoredIndex) -> Option<T>) -> Option<T> {
        match self.index {
            Some(index) => search(index),
            None => self.segment.stored_index().and_then(|index| search(&index)),
        }
    }

    /// The headers from `position` on.
    pub(crate) fn headers(&self, position: u64) -> Result<HeaderScan<'_>, ScanError> {
        Ok(HeaderScan::new(&**self.file()?, position, self.size))
    }

    /// The start of the last indexed batch that begins at or below `position`.
    pub(crate) fn indexed_boundary(&self, position: u64) -> Option<u64> {
        self.search(|index| index.floor_position(position))
            .map(|entry| u64::from(entry.position))
    }

    /// The first batch whose last offset is at or above `offset`, with its position.
    pub(crate) fn first_batch_reaching(
        &self,
        offset: Offset,
    ) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        if self.size == 0 {
            return Ok(None);
        }
        let floor = self
            .search(|index| index.floor(offset))
            .map_or(0, |entry| u64::from(entry.position));
        match self.scan_to(floor, offset) {
            // The index led to no batch, or too far: it is a cache, so the log decides from its front.
            Err(ScanError::Corrupt { .. }) if floor > 0 => self.scan_to(0, offset),
            result => result,
        }
    }

    /// Where the batch ends that lies before `position`, at which another one or the end is; the base offset if none does.
    pub(crate) fn end_before(&self, position: u64) -> Result<Offset, ScanError> {
        let floor = position
            .checked_sub(1)
            .and_then(|before| self.indexed_boundary(before));
        let end_from = |from| {
            let mut end = self.base();
            let mut scan = HeaderScan::new(&**self.file()?, from, position);
            while let Some((_, header)) = scan.next()? {
                end = header.next_offset();
            }
            Ok(end)
        };
        match (end_from(floor.unwrap_or(0)), floor) {
            // As above: the log decides where the index leads to no batch.
            (Err(ScanError::Corrupt { .. }), Some(_)) => end_from(0),
            (result, _) => result,
        }
    }

    fn scan_to(&self, from: u64, offset: Offset) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        if from >= self.size {
            return Err(ScanError::Corrupt { position: from });
        }
        let mut scan = self.headers(from)?;
        while let Some((position, header)) = scan.next()? {
            if header.last_offset() >= offset {
                // An index that leads to a batch beyond what was asked for may have skipped the right one.
                let is_too_far = position == from && from > 0 && header.base_offset() > offset;
                return if is_too_far {
                    Err(ScanError::Corrupt { position })
                } else {
                    Ok(Some((position, header)))
                };
            }
        }
        Ok(None)
    }

    /// Where a search for `timestamp` starts: no batch before has a record that late.
    pub(crate) fn position_before(&self, timestamp: WallMillis) -> u64 {
        let early = self.search(|index| index.last_before(timestamp));
        let entry = early.and_then(|early| self.search(|index| index.floor(early.offset)));
        entry
            .map_or(0, |entry| u64::from(entry.position))
            .min(self.size)
    }

    /// The highest timestamp of a sealed segment: known, or the last entry of its time index, or its log's.
    pub(crate) fn sealed_max_timestamp(&self) -> Result<Option<MaxTimestamp>, ScanError> {
        if let Some(known) = self.segment.known_max_timestamp() {
            return Ok(*known);
        }
        let found = match self.search(StoredIndex::last_time) {
            Some(entry) => Some(MaxTimestamp {
                timestamp: entry.timestamp,
                offset: entry.offset,
            }),
            None => self.scan_max_timestamp()?,
        };
        Ok(self.segment.learn_max_timestamp(found))
    }

    fn scan_max_timestamp(&self) -> Result<Option<MaxTimestamp>, ScanError> {
        let mut max: Option<MaxTimestamp> = None;
        if self.size > 0 {
            let mut scan = self.headers(0)?;
            while let Some((_, header)) = scan.next()? {
                let (timestamp, offset) = (header.max_timestamp(), header.last_offset());
                if header.record_count() > 0
                    && timestamp > max.map_or(WallMillis::NONE, |max| max.timestamp)
                {
                    max = Some(MaxTimestamp { timestamp, offset });
                }
            }
        }
        Ok(max)
    }
}

//! What a reader sees of a log: one moment of it, whole.
//!
//! - Log start, log end, epochs and segments of a view belong together; a view never changes, and readers take no lock.
//! - Reads are bounded by the view: `log_start <= offset <= log_end`, and by the upper bound the reader brings
//!   (high watermark or last stable offset).
//! - A file range holds whole batches only, of one segment, and its bytes are never rewritten.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::batch::{BatchHeader, BatchView};
use crate::epoch_cache::{EpochCache, EpochEnd};
use crate::fs::{File, read_exact_at};
use crate::ids::{LeaderEpoch, Offset};
use crate::segment::scan::{HeaderScan, ScanError};
use crate::segment::stored_index::StoredIndex;
use crate::segment::visible::VisibleSegment;
use crate::segment::{MaxTimestamp, Segment};
use crate::time::WallMillis;

/// A batch larger than this is not decompressed to answer a lookup by timestamp.
const LOOKUP_RECORDS_BYTES_MAX: usize = 64 << 20;

/// One moment of a log.
#[derive(Clone, Debug)]
pub struct LogView {
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) epochs: Arc<EpochCache>,
    /// Ascending, never empty; the last one grows.
    pub(crate) segments: Arc<[Arc<Segment>]>,
    pub(crate) active: Active,
    /// Rises with every truncation: what was flushed before one says nothing of what came after.
    pub(crate) generation: u64,
    /// The writes begun when this was published.
    pub(crate) writes: u64,
}

/// How far the growing segment reaches.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) size: u64,
    pub(crate) index: Arc<StoredIndex>,
    pub(crate) max_timestamp: Option<MaxTimestamp>,
    /// The start of the last append: readers at the tail need no index.
    pub(crate) tail: Option<(Offset, u64)>,
}

/// The bounds of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes at most; a part of a batch is never returned.
    pub bytes_max: u64,
    /// Exclusive: only batches that end below are returned.
    pub upper_bound: Offset,
    /// Whether the first batch is returned even if it alone is larger than `bytes_max`.
    pub is_one_batch_due: bool,
}

/// Why a read or a lookup failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The offset is not in the log.
    #[error("offset {offset} is not in {log_start}..={log_end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset of the log.
        log_start: Offset,
        /// The end of the log.
        log_end: Offset,
    },
    /// The log's files do not hold what they should.
    #[error("segment {base}")]
    Segment {
        /// The segment's base offset.
        base: Offset,
        /// What was found.
        source: ScanError,
    },
    /// A batch can not be walked for a timestamp.
    #[error("the records of the batch at offset {base_offset} can not be read")]
    Records {
        /// The batch's base offset.
        base_offset: Offset,
    },
}

/// Bytes of a log file: whole batches, or none.
///
/// While this value lives, the bytes stay what they are, even if the log is truncated or the file removed.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// Keeps the segment's bytes from being cut.
    segment: Arc<Segment>,
    position: u64,
    len: u64,
    has_more: bool,
}

impl FileRange {
    fn empty(segment: &Arc<Segment>) -> Self {
        Self {
            segment: Arc::clone(segment),
            position: 0,
            len: 0,
            has_more: false,
        }
    }

    /// The file; `None` if the range is empty.
    pub fn file(&self) -> Option<&dyn File> {
        if self.len == 0 {
            None
        } else {
            self.segment.opened_file().map(|file| &**file)
        }
    }

    /// Where in the file the range begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether more that the reader may see lies behind it: the limit or the segment came first.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buf` from `skip` bytes behind the range's start.
    ///
    /// # Errors
    /// `UnexpectedEof` if the range ends first, or what the file says.
    pub fn read_at(&self, buf: &mut [u8], skip: u64) -> io::Result<()> {
        let end = skip
            .checked_add(buf.len() as u64)
            .filter(|end| *end <= self.len);
        match (self.file(), end) {
            (Some(file), Some(_)) => read_exact_at(file, buf, self.position + skip),
            _ if buf.is_empty() => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The whole range in memory.
    ///
    /// # Errors
    /// What the file says.
    pub fn read_to_vec(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; len];
        self.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// The answer to a lookup by timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampHit {
    /// The record's offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: WallMillis,
    /// The leader epoch of its batch.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// A handle on a log's latest view, for readers on any thread.
#[derive(Clone, Debug)]
pub struct LogReader(pub(crate) Arc<ArcSwap<LogView>>);

impl LogReader {
    /// The log as it is now.
    pub fn view(&self) -> Arc<LogView> {
        self.0.load_full()
    }
}

impl LogView {
    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// The offset after the last record.
    pub fn log_end(&self) -> Offset {
        self.log_end
    }

    /// The latest leader epoch that the log knows of.
    pub fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|latest| latest.epoch)
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        (0..self.segments.len()).map(|at| self.size_of(at)).sum()
    }

    /// Base offset of the growing segment.
    pub fn active_base(&self) -> Offset {
        self.active_segment()
            .map_or(self.log_end, |segment| segment.base())
    }

    /// Bytes from the batch that holds `offset` to the end of its segment; `None` if there is no such batch.
    pub fn bytes_since(&self, offset: Offset) -> Option<u64> {
        let segment = self.visible(self.segment_at(offset))?;
        let (position, _) = segment.first_batch_reaching(offset).ok()??;
        Some(segment.size - position)
    }

    pub(crate) fn active_segment(&self) -> Option<&Arc<Segment>> {
        self.segments.last()
    }

    pub(crate) fn visible(&self, at: usize) -> Option<VisibleSegment<'_>> {
        let segment = self.segments.get(at)?;
        let is_last = at + 1 == self.segments.len();
        let index = is_last.then_some(&*self.active.index);
        Some(VisibleSegment {
            segment,
            size: self.size_of(at),
            index,
        })
    }

    pub(crate) fn size_of(&self, at: usize) -> u64 {
        if at + 1 == self.segments.len() {
            self.active.size
        } else {
            self.segments
                .get(at)
                .and_then(|segment| segment.sealed_size())
                .unwrap_or(0)
        }
    }

    /// The segment that holds `offset`: the last one whose base is not above it.
    pub(crate) fn segment_at(&self, offset: Offset) -> usize {
        self.segments
            .partition_point(|segment| segment.base() <= offset)
            .saturating_sub(1)
    }

    fn end_of(&self, at: usize) -> Offset {
        self.segments
            .get(at + 1)
            .map_or(self.log_end, |next| next.base())
    }

    /// The leader epoch of the record at `offset`, if the log knows of one.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for_offset(offset)
    }

    /// Where the highest epoch of this log that is not above `epoch` ends; `None` if that is undefined.
    pub fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<EpochEnd> {
        self.epochs.end_offset_for(epoch, self.log_end)
    }

    /// The batches from the one that holds `offset` on, as far as the limits and the segment go.
    ///
    /// Empty if `offset` is at or beyond the upper bound, or if the first batch does not fit and is not due.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`], or a damaged segment.
    pub fn read(&self, offset: Offset, limits: ReadLimits) -> Result<FileRange, ReadError> {
        if offset < self.log_start || offset > self.log_end {
            let (log_start, log_end) = (self.log_start, self.log_end);
            return Err(ReadError::OutOfRange {
                offset,
                log_start,
                log_end,
            });
        }
        let upper_bound = limits.upper_bound.min(self.log_end);
        let mut at = self.segment_at(offset);
        while let Some(segment) = self.visible(at) {
            if offset >= upper_bound || segment.base() >= upper_bound {
                return Ok(FileRange::empty(segment.segment));
            }
            let fault = |source| ReadError::Segment {
                base: segment.base(),
                source,
            };
            let start = self.start_in(segment, offset).map_err(fault)?;
            // Without a start the segment ends below (compaction removed the rest): the next one goes on.
            if let Some(start) = start {
                let here = (upper_bound < self.end_of(at)).then_some(upper_bound);
                let mut range = range_from(segment, start, here, limits).map_err(fault)?;
                let next = self.visible(at + 1);
                range.has_more |= next.is_some_and(|next| next.base() < upper_bound);
                return Ok(range);
            }
            at += 1;
        }
        // Everything from the offset on was compacted away.
        self.segments
            .last()
            .map(FileRange::empty)
            .ok_or(ReadError::OutOfRange {
                offset,
                log_start: self.log_start,
                log_end: self.log_end,
            })
    }

    fn start_in(
        &self,
        segment: VisibleSegment<'_>,
        offset: Offset,
    ) -> Result<Option<u64>, ScanError> {
        match self.active.tail {
            Some((base, position)) if base == offset && segment.index.is_some() => {
                Ok(Some(position))
            }
            _ => Ok(segment
                .first_batch_reaching(offset)?
                .map(|(position, _)| position)),
        }
    }

    /// The first record at or above the log start whose timestamp is at or above `timestamp`.
    ///
    /// # Errors
    /// A damaged segment, or a batch that does not decompress.
    pub fn offset_for_timestamp(
        &self,
        timestamp: WallMillis,
    ) -> Result<Option<TimestampHit>, ReadError> {
        for at in self.segment_at(self.log_start)..self.segments.len() {
            let Some(max) = self
                .max_timestamp_of(at)?
                .filter(|max| max.timestamp >= timestamp)
            else {
                continue;
            };
            // An index entry may claim more than the batches hold; then the next segment is asked.
            let hit = self.search_segment(at, timestamp.min(max.timestamp))?;
            if hit.is_some() {
                return Ok(hit);
            }
        }
        Ok(None)
    }

    /// The first record that has the highest timestamp of the log.
    ///
    /// # Errors
    /// As [`LogView::offset_for_timestamp`].
    pub fn max_timestamp(&self) -> Result<Option<TimestampHit>, ReadError> {
        let mut best: Option<(usize, MaxTimestamp)> = None;
        for at in self.segment_at(self.log_start)..self.segments.len() {
            if let Some(max) = self.max_timestamp_of(at)?
                && best.is_none_or(|(_, best)| best.timestamp < max.timestamp)
            {
                best = Some((at, max));
            }
        }
        best.map_or(Ok(None), |(at, max)| self.search_segment(at, max.timestamp))
    }

    pub(crate) fn max_timestamp_of(&self, at: usize) -> Result<Option<MaxTimestamp>, ReadError> {
        match self.visible(at) {
            None => Ok(None),
            Some(segment) if segment.index.is_some() => Ok(self.active.max_timestamp),
            Some(segment) => segment
                .sealed_max_timestamp()
                .map_err(|source| ReadError::Segment {
                    base: segment.base(),
                    source,
                }),
        }
    }

    fn search_segment(
        &self,
        at: usize,
        timestamp: WallMillis,
    ) -> Result<Option<TimestampHit>, ReadError> {
        let Some(segment) = self.visible(at).filter(|segment| segment.size > 0) else {
            return Ok(None);
        };
        let fault = |source| ReadError::Segment {
            base: segment.base(),
            source,
        };
        let mut scan = segment
            .headers(segment.position_before(timestamp))
            .map_err(fault)?;
        let file = segment.file().map_err(fault)?;
        while let Some((position, header)) = scan.next().map_err(fault)? {
            if header.max_timestamp() >= timestamp && header.last_offset() >= self.log_start {
                let hit = self.search_batch(&**file, position, &header, timestamp)?;
                if hit.is_some() {
                    return Ok(hit);
                }
            }
        }
        Ok(None)
    }

    fn search_batch(
        &self,
        file: &dyn File,
        position: u64,
        header: &BatchHeader,
        timestamp: WallMillis,
    ) -> Result<Option<TimestampHit>, ReadError> {
        let unreadable = || ReadError::Records {
            base_offset: header.base_offset(),
        };
        let mut bytes = vec![0; header.size()];
        read_exact_at(file, &mut bytes, position).map_err(|_| unreadable())?;
        let batch = BatchView::parse(&bytes).map_err(|_| unreadable())?;
        let records = batch
            .records(LOOKUP_RECORDS_BYTES_MAX)
            .map_err(|_| unreadable())?;
        for record in &records {
            let record = record.map_err(|_| unreadable())?;
            if record.timestamp >= timestamp && record.offset >= self.log_start {
                return Ok(Some(TimestampHit {
                    offset: record.offset,
                    timestamp: record.timestamp,
                    leader_epoch: header.leader_epoch(),
                }));
            }
        }
        Ok(None)
    }
}

/// The batches from `start` on: below the bound if there is one in this segment, and as many as fit.
fn range_from(
    visible: VisibleSegment<'_>,
    start: u64,
    upper_bound: Option<Offset>,
    limits: ReadLimits,
) -> Result<FileRange, ScanError> {
    let end = match upper_bound {
        None => visible.size,
        // The batch that holds the bound is not wholly below it.
        Some(bound) => visible
            .first_batch_reaching(bound)?
            .map_or(visible.size, |(position, _)| position.max(start)),
    };
    let len = if end - start <= limits.bytes_max {
        end - start
    } else {
        whole_batches(visible, start, end, limits)?
    };
    // Opens the file, so that the range can hand it out without failing.
    visible.file()?;
    Ok(FileRange {
        segment: Arc::clone(visible.segment),
        position: start,
        len,
        has_more: start + len < end,
    })
}

/// The length of the whole batches that fit; the first one counts whatever its size if it is due.
fn whole_batches(
    visible: VisibleSegment<'_>,
    start: u64,
    end: u64,
    limits: ReadLimits,
) -> Result<u64, ScanError> {
    let limit = start.saturating_add(limits.bytes_max);
    let indexed = visible.indexed_boundary(limit);
    let from = indexed
        .filter(|at| (start..end).contains(at))
        .unwrap_or(start);
    let mut scan = HeaderScan::new(&**visible.file()?, from, end);
    let mut cut = from;
    while let Some((position, header)) = scan.next()? {
        let next = position + header.size() as u64;
        let is_due = limits.is_one_batch_due && position == start;
        if next > limit && !is_due {
            break;
        }
        cut = next;
    }
    Ok(cut - start)
}

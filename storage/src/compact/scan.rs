//! What a round has to know before it copies: which transactions were aborted, and where each key's last record is.

use super::course::Course;
use super::error::CleanError;
use super::offset_map::OffsetMap;
use super::range::CleaningRange;
use super::reader::BatchReader;
use super::rules::{CONTROL_BYTES_MAX, RuleError, marker_of};
use super::transactions::{AbortedTxn, TxnCourse, TxnScan};
use crate::batch::{BatchHeader, BatchView};
use crate::fs::{File, read_exact_at};
use crate::ids::Offset;
use crate::segment::scan::ScanError;
use crate::view::LogView;

/// What the headers of a log say.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) aborted: Vec<AbortedTxn>,
    /// Records of the dirty part, and so its keys at most.
    pub(super) dirty_records: u64,
    /// Where the round ends: with the range, or before a transaction of which nobody can say yet how it ends.
    pub(super) end: Offset,
}

/// Walks the headers from the log's front to the end of the range, and on from there until every transaction that began
/// below has ended. A marker at or above `stable_end` says nothing yet: it may be cut off.
pub(super) fn survey(
    view: &LogView,
    range: &CleaningRange,
    stable_end: Offset,
    course: &mut Course<'_>,
) -> Result<Survey, CleanError> {
    let mut transactions = TxnScan::default();
    let mut dirty_records: u64 = 0;
    for at in 0..view.segments.len() {
        let Some(visible) = view.visible(at).filter(|visible| visible.size > 0) else {
            continue;
        };
        let base = visible.base();
        if base >= range.end && transactions.first_open().is_none() {
            break;
        }
        let fault = |source| CleanError::Segment { base, source };
        let file = visible.file().map_err(fault)?;
        let mut headers = visible.headers(0).map_err(fault)?;
        let mut counted = 0;
        while let Some((position, header)) = headers.next().map_err(fault)? {
            let is_beyond = header.base_offset() >= range.end;
            let is_done = is_beyond && transactions.first_open().is_none();
            if header.base_offset() >= stable_end || is_done {
                break;
            }
            if header.attributes().is_control() {
                let marker = read_control(&**file, position, &header).map_err(fault)?;
                let marker = marker_of(&marker.view().map_err(fault)?);
                transactions.observe(
                    &header,
                    marker.map_err(|error| batch_fault(&header, error))?,
                );
            } else if !is_beyond {
                transactions.observe(&header, None);
                if header.next_offset() > range.first_dirty {
                    let records = u64::try_from(header.record_count()).unwrap_or_default();
                    dirty_records = dirty_records.saturating_add(records);
                }
            }
            let uncounted = headers.bytes_read() - counted;
            if uncounted >= course.io_bytes as u64 {
                course.count_read(uncounted)?;
                counted += uncounted;
            }
        }
        course.count_read(headers.bytes_read() - counted)?;
    }
    let end = transactions.first_open();
    let end = end.map_or(range.end, |open| open.min(range.end));
    if end <= range.first_dirty {
        return Err(CleanError::Aborted);
    }
    Ok(Survey {
        aborted: transactions.into_aborted(),
        dirty_records,
        end,
    })
}

/// A control batch in memory.
struct Control {
    bytes: Vec<u8>,
    position: u64,
}

impl Control {
    fn view(&self) -> Result<BatchView<'_>, ScanError> {
        let position = self.position;
        BatchView::parse(&self.bytes).map_err(|_| ScanError::Corrupt { position })
    }
}

fn read_control(
    file: &dyn File,
    position: u64,
    header: &BatchHeader,
) -> Result<Control, ScanError> {
    if header.size() > CONTROL_BYTES_MAX {
        return Err(ScanError::Corrupt { position });
    }
    let mut bytes = vec![0; header.size()];
    read_exact_at(file, &mut bytes, position)
        .map_err(|source| ScanError::Io { position, source })?;
    Ok(Control { bytes, position })
}

pub(super) fn batch_fault(header: &BatchHeader, source: RuleError) -> CleanError {
    CleanError::Batch {
        base_offset: header.base_offset(),
        source,
    }
}

/// Maps the keys of the dirty part, as far as there is room. Returns where that ended, which may be inside of a batch: one
/// with more records than there is room for must not keep the log from being cleaned.
pub(super) fn map_keys(
    view: &LogView,
    range: &CleaningRange,
    found: &Survey,
    map: &mut OffsetMap,
    course: &mut Course<'_>,
) -> Result<Offset, CleanError> {
    let mut transactions = TxnCourse::new(&found.aborted, range.first_dirty);
    for at in 0..range.segment_count {
        let Some(visible) = view.visible(at).filter(|visible| visible.size > 0) else {
            continue;
        };
        let next = view.segments.get(at + 1).map(|next| next.base());
        if next.is_some_and(|next| next <= range.first_dirty) {
            continue;
        }
        let base = visible.base();
        let fault = |source| CleanError::Segment { base, source };
        let file = visible.file().map_err(fault)?;
        let mut reader = BatchReader::new(&**file, visible.size, course.io_bytes);
        while let Some(batch) = reader.next().map_err(fault)? {
            let header = *batch.header();
            if header.base_offset() >= found.end {
                return Ok(found.end);
            }
            if header.next_offset() > range.first_dirty {
                let batch_fault = |error| batch_fault(&header, error);
                if header.attributes().is_control() {
                    let marker = marker_of(&batch).map_err(batch_fault)?;
                    transactions.pass_control(&header, marker);
                } else if !transactions.pass_data(&header) {
                    let full_at = map_batch(&batch, range, map, course.records_bytes_max);
                    if let Some(end) = full_at.map_err(batch_fault)? {
                        return ended_at(range, end);
                    }
                }
            }
            course.count_read(reader.take_bytes_read())?;
        }
    }
    Ok(found.end)
}

/// A map that is full ends the dirty part before the record that does not fit. If nothing fits, no round ever would.
fn ended_at(range: &CleaningRange, end: Offset) -> Result<Offset, CleanError> {
    if end > range.first_dirty {
        Ok(end)
    } else {
        Err(CleanError::MapTooSmall)
    }
}

/// Maps the keys of the dirty part of a batch; the offset of the first record for which there is no room.
fn map_batch(
    batch: &BatchView<'_>,
    range: &CleaningRange,
    map: &mut OffsetMap,
    records_bytes_max: usize,
) -> Result<Option<Offset>, RuleError> {
    let records = batch.records(records_bytes_max)?;
    for record in &records {
        let record = record?;
        if record.offset >= range.first_dirty
            && let Some(key) = record.key
            && !map.put(key, record.offset)
        {
            return Ok(Some(record.offset));
        }
    }
    Ok(None)
}

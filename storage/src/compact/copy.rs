//! Copying a group of segments into one, without what is superseded.

use std::sync::Arc;

use super::course::Course;
use super::error::CleanError;
use super::group::Member;
use super::reader::BatchReader;
use super::rules::{Kept, Rules};
use super::scan::batch_fault;
use super::swap::{CLEANED, Cleaned};
use super::transactions::TxnCourse;
use crate::batch::BatchHeader;
use crate::fs::{File, OpenMode, read_exact_at, write_all_at};
use crate::ids::{LeaderEpoch, Offset};
use crate::index::SegmentIndex;
use crate::log::{LogConfig, LogShared, growing_index, observe};
use crate::segment::scan::ScanError;
use crate::segment::{FileKind, Segment};

/// Where a round is in the log, from group to group.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) transactions: TxnCourse,
    /// The leader epoch of the last batch that was met.
    pub(super) epoch: Option<LeaderEpoch>,
    pub(super) records_dropped: u64,
}

/// Segments that become one.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) originals: Vec<Arc<Segment>>,
    pub(super) members: &'a [Member],
}

impl Group<'_> {
    pub(super) fn base(&self) -> Offset {
        self.members
            .first()
            .map_or(Offset::ZERO, |first| first.base)
    }

    fn end(&self) -> Offset {
        self.members.last().map_or(Offset::ZERO, |last| last.end)
    }

    pub(super) fn size(&self) -> u64 {
        self.members.iter().map(|member| member.size).sum()
    }
}

/// The copy under way. It has no file for as long as it is what its only original is.
struct Copy {
    base: Offset,
    file: Option<Arc<dyn File>>,
    /// Bytes of it, of which the last ones are not in the file yet.
    size: u64,
    pending: Vec<u8>,
    /// Bytes that no sync has covered, and how many there may be.
    unsynced: u64,
    unsynced_max: u64,
    index: SegmentIndex,
    /// Where its last batch ends.
    end: Offset,
}

/// Copies the group; `None` if a single segment stays as it is. The copy is on stable storage, but for its name.
pub(super) fn copy(
    log: &LogShared,
    config: &LogConfig,
    group: &Group<'_>,
    (rules, place, course): (&Rules<'_>, &mut Place, &mut Course<'_>),
) -> Result<Option<Cleaned>, CleanError> {
    let mut copy = Copy::new(config, group.base());
    if group.members.len() > 1 {
        copy.create(log, group, course)?;
    }
    for (at, (original, member)) in group.originals.iter().zip(group.members).enumerate() {
        let is_last_member = at + 1 == group.members.len();
        let base = member.base;
        let fault = |source| CleanError::Segment { base, source };
        let io = |source| {
            fault(ScanError::Io {
                position: 0,
                source,
            })
        };
        let file = original.file().map_err(io)?;
        let mut reader = BatchReader::new(&**file, member.size, course.io_bytes);
        while let Some(batch) = reader.next().map_err(fault)? {
            let header = *batch.header();
            let is_first_of_epoch = header.leader_epoch() != place.epoch;
            place.epoch = header.leader_epoch();
            // A segment's last batch ends where the next segment begins.
            let is_last = is_last_member && header.next_offset() >= member.end;
            let is_needed = is_first_of_epoch || is_last;
            let judged = rules.judge(&batch, &mut place.transactions, is_needed);
            let judged = judged.map_err(|error| batch_fault(&header, error))?;
            place.records_dropped += judged.records_dropped;
            if copy.file.is_none() && !matches!(judged.kept, Kept::Whole) {
                copy.create(log, group, course)?;
                copy.catch_up(&**file, course)?;
            }
            match judged.kept {
                Kept::Whole => copy.add(batch.bytes(), &header)?,
                Kept::Changed(bytes) => copy.add(&bytes, &header)?,
                Kept::Nothing => {}
            }
            if copy.pending.len() >= course.io_bytes {
                copy.write(course)?;
            }
            course.count_read(reader.take_bytes_read())?;
        }
    }
    copy.finish(group, course)
}

impl Copy {
    fn new(config: &LogConfig, base: Offset) -> Self {
        Self {
            base,
            file: None,
            size: 0,
            pending: Vec::new(),
            unsynced: 0,
            unsynced_max: config.flush.dirty_bytes,
            index: growing_index(base, &config.segment),
            end: base,
        }
    }

    fn create(
        &mut self,
        log: &LogShared,
        group: &Group<'_>,
        course: &mut Course<'_>,
    ) -> Result<(), CleanError> {
        course.check_room(group.size())?;
        let path = log.home.path(self.base, FileKind::Log);
        let path = path.with_added_extension(CLEANED);
        let file = log.home.fs.open(&path, OpenMode::Create);
        let file = file.map_err(CleanError::of_call)?;
        file.set_len(0).map_err(CleanError::of_call)?;
        self.file = Some(file);
        // Asked after the file was opened: it is this log's own, and not that of a topic made anew under the name.
        course.check()
    }

    /// Adds a batch that stands for the one of `header`.
    fn add(&mut self, bytes: &[u8], original: &BatchHeader) -> Result<(), CleanError> {
        let position = self.size;
        let end = position + bytes.len() as u64;
        // Positions in an index are 31 bits wide, and a batch may grow when it is compressed anew.
        if end > i32::MAX.unsigned_abs().into() {
            let base = self.base;
            return Err(CleanError::TooLarge { base });
        }
        let header = BatchHeader::decode(bytes).unwrap_or(*original);
        observe(&mut self.index, None, &header, position);
        if self.file.is_some() {
            self.pending.extend_from_slice(bytes);
        }
        self.size = end;
        self.end = original.next_offset();
        Ok(())
    }

    /// Writes what the copy has in common with its original so far. Its batches were checked when they were judged.
    fn catch_up(&mut self, original: &dyn File, course: &mut Course<'_>) -> Result<(), CleanError> {
        let common = std::mem::take(&mut self.size);
        while self.size < common {
            let (position, left) = (self.size, common - self.size);
            let count = course
                .io_bytes
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            self.pending.resize(count, 0);
            let read = read_exact_at(original, &mut self.pending, position);
            read.map_err(|source| CleanError::Segment {
                base: self.base,
                source: ScanError::Io { position, source },
            })?;
            self.size += count as u64;
            course.count_read(count as u64)?;
            self.write(course)?;
        }
        Ok(())
    }

    fn write(&mut self, course: &mut Course<'_>) -> Result<(), CleanError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let count = self.pending.len() as u64;
        let written = write_all_at(&**file, &self.pending, self.size - count);
        written.map_err(CleanError::of_call)?;
        self.pending.clear();
        self.unsynced += count;
        // A sync of a whole segment takes longer than a directory may be silent, and others wait behind it.
        if self.unsynced >= self.unsynced_max {
            file.sync().map_err(CleanError::of_sync)?;
            self.unsynced = 0;
        }
        course.count_written(count)
    }

    fn finish(
        mut self,
        group: &Group<'_>,
        course: &mut Course<'_>,
    ) -> Result<Option<Cleaned>, CleanError> {
        let (base, end) = (self.base, group.end());
        let Some(file) = self.file.clone() else {
            return Ok(None);
        };
        if self.end != end {
            // Its last batch stays whatever becomes of its records, so the originals do not end where they should.
            let position = self.size;
            let source = ScanError::Corrupt { position };
            return Err(CleanError::Segment { base, source });
        }
        self.write(course)?;
        // Where no record has a timestamp, retention goes by the file's.
        let modified = group.originals.last().map(|last| last.modified());
        let modified = modified.transpose().map_err(CleanError::of_call)?;
        if let Some(modified) = modified {
            file.set_modified(modified).map_err(CleanError::of_call)?;
        }
        file.sync().map_err(CleanError::of_sync)?;
        // Batches were shown in order, so closing the index can not fail.
        let _ = self.index.close();
        Ok(Some(Cleaned {
            originals: group.originals.clone(),
            base,
            end,
            generation: course.generation,
            file,
            size: self.size,
            index: self.index,
        }))
    }
}

//! Cutting the end of a log off, or all of it.
//!
//! - The new end is visible at once; appends wait until the files are in place ([`PartitionLog::is_ready`]).
//! - A batch is removed whole or not at all, and no byte of a file that a reader may hold a range of is rewritten:
//!   the segment that holds the cut is sealed there, and the log goes on in a new file. What lies behind the cut is
//!   taken from the old file when no reader is left.
//! - The journal says "dirty" and where the log ends, durably, before a file is touched. A crash in between leaves
//!   files that recovery cuts at the next segment's base offset.
//! - Segments go from the last to the first, so that what a crash leaves is always a prefix.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::files::{self, RemovedSegment};
use super::shared::Tail;
use super::{Growing, LogShared, PartitionLog, Phase, index_limits};
use crate::directory::events::LogEvent;
use crate::directory::queue::Later;
use crate::directory::{Directory, Fault, RETRY_AFTER};
use crate::ids::Offset;
use crate::index::{OffsetEntry, SegmentIndex};
use crate::planted::is_planted;
use crate::producer_state::ProducerStates;
use crate::segment::scan::{HeaderScan, ScanError};
use crate::segment::{Segment, write_index_files};
use crate::time::WallMillis;
use crate::view::LogView;

/// Where the I/O thread leaves what a truncation needs to be finished.
#[derive(Debug, Default)]
pub(crate) struct TruncationSlot {
    pub(crate) is_done: AtomicBool,
    producers: Mutex<Option<ProducerStates>>,
}

impl TruncationSlot {
    pub(super) fn take_producers(&self) -> Option<ProducerStates> {
        self.producers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn finish(&self, producers: ProducerStates) {
        *self
            .producers
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(producers);
        self.is_done.store(true, Ordering::Release);
    }
}

/// A segment that goes on being read below the cut.
#[derive(Debug)]
struct CutSegment {
    segment: Arc<Segment>,
    index: SegmentIndex,
    /// The segment as views before the cut know it.
    before: Weak<Segment>,
    size: u64,
}

/// The file work of one truncation.
#[derive(Debug)]
struct Truncation {
    removed: Vec<RemovedSegment>,
    cut: Option<CutSegment>,
    view: Arc<LogView>,
    slot: Arc<TruncationSlot>,
    delete_after: Duration,
    now: WallMillis,
    producer_expiry: Duration,
}

/// Why a log could not be truncated.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    /// Files of another truncation, or of cleaned segments, are being put in place: try again after
    /// `LogEvent::FilesReady`.
    #[error("files are being put in place")]
    Truncating,
    /// The batch at the cut can not be found.
    #[error("segment {base}")]
    Segment {
        /// The segment's base offset.
        base: Offset,
        /// What was found.
        source: ScanError,
    },
    /// The journal did not take the new positions.
    #[error("journal")]
    Journal {
        /// What it said.
        source: std::io::Error,
    },
}

impl PartitionLog {
    /// Removes every batch that holds an offset at or above `target`, and forgets the leader epochs that begin there.
    /// Returns the new log end, which is the end of the last batch that is left: `target`, or less where a batch held it or
    /// compaction has removed what lay before it.
    ///
    /// At or above the log end no batch is removed, but epochs are: a leader that failed at once may have left one.
    /// Below the log start everything goes.
    ///
    /// # Errors
    /// [`TruncateError`]; the log is then unchanged.
    pub fn truncate_to(
        &mut self,
        target: Offset,
        now: WallMillis,
    ) -> Result<Offset, TruncateError> {
        self.check_truncatable()?;
        if target >= self.bounds.log_end {
            if !is_planted("a-cut-that-cuts-nothing-takes-epochs")
                && Arc::make_mut(&mut self.epochs).truncate_from_end(target)
            {
                self.publish();
            }
            return Ok(self.bounds.log_end);
        }
        if target < self.bounds.log_start {
            self.restart_at(target, now)?;
            return Ok(target);
        }
        let view = self.shared.view.load_full();
        let at = view.segment_at(target);
        let fault = |source| TruncateError::Segment {
            base: view
                .segments
                .get(at)
                .map_or(target, |segment| segment.base()),
            source,
        };
        let Some(visible) = view.visible(at) else {
            return Ok(self.bounds.log_end);
        };
        let reaching = visible.first_batch_reaching(target).map_err(fault)?;
        let position = reaching.map_or(visible.size, |(position, _)| position);
        // Not where the batch begins: compaction may have removed what lay before it, and the next segment must begin where
        // this one ends. Anything else would look like a hole.
        let new_end = visible.end_before(position).map_err(fault)?;
        if new_end <= self.bounds.log_start {
            // Nothing that may be read is left: the batch at the cut holds the log start too.
            let start = self.bounds.log_start;
            self.restart_at(start, now)?;
            return Ok(start);
        }
        let cut = if position > 0 {
            Some(
                self.cut_segment(&view, at, position, new_end)
                    .map_err(fault)?,
            )
        } else {
            None
        };
        let kept = view.segments.iter().take(at).cloned();
        let kept: Vec<_> = kept
            .chain(cut.iter().map(|cut| Arc::clone(&cut.segment)))
            .collect();
        let removed = view
            .segments
            .get(if cut.is_some() { at + 1 } else { at }..)
            .unwrap_or_default();
        self.go_on_behind((new_end, new_end), kept, removed, cut, now)?;
        Ok(new_end)
    }

    /// Removes everything; the log is empty and begins at `start`.
    ///
    /// # Errors
    /// [`TruncateError`]; the log is then unchanged.
    pub fn restart_at(&mut self, start: Offset, now: WallMillis) -> Result<(), TruncateError> {
        self.begin_anew(start, start, now)
    }

    /// Removes everything; the log is empty and begins at `start`, in a segment that begins at `base` or above.
    pub(super) fn begin_anew(
        &mut self,
        base: Offset,
        start: Offset,
        now: WallMillis,
    ) -> Result<(), TruncateError> {
        self.check_truncatable()?;
        let removed = Arc::clone(&self.segments);
        let epochs = std::mem::take(&mut self.epochs);
        let log_start = std::mem::replace(&mut self.bounds.log_start, start);
        self.go_on_behind((base, start), Vec::new(), &removed, None, now)
            .inspect_err(|_| {
                self.epochs = epochs;
                self.bounds.log_start = log_start;
            })
    }

    fn check_truncatable(&mut self) -> Result<(), TruncateError> {
        let is_waiting = matches!(self.phase, Phase::Truncating(_)) && !self.is_ready();
        if is_waiting || self.is_swapping() {
            Err(TruncateError::Truncating)
        } else {
            Ok(())
        }
    }

    /// The segment as it is below the cut: the same file, a smaller size, and an index of what is left.
    fn cut_segment(
        &self,
        view: &LogView,
        at: usize,
        size: u64,
        end: Offset,
    ) -> Result<CutSegment, ScanError> {
        let Some(visible) = view.visible(at) else {
            return Err(ScanError::Corrupt { position: size });
        };
        let file = Arc::clone(visible.file()?);
        let limits = index_limits(&self.config.segment);
        let kept = visible.index_below(end, limits);
        let mut index = kept.unwrap_or_else(|| SegmentIndex::new(visible.base(), limits));
        let indexed = index.offsets().last();
        let mut scan = HeaderScan::new(
            &*file,
            indexed.map_or(0, |entry| u64::from(entry.position)),
            size,
        );
        while let Some((position, header)) = scan.next()? {
            observe(&mut index, indexed, &header, position);
        }
        let segment = Arc::new(Segment::growing(
            visible.base(),
            Arc::clone(&self.shared.home),
            Some(file),
        ));
        let before = Arc::downgrade(visible.segment);
        segment.inherit_unsynced(visible.segment);
        Ok(CutSegment {
            segment,
            index,
            before,
            size,
        })
    }

    /// Makes `end` the log end, with `kept` before it and a segment from `base` on behind them, and posts the removal of
    /// the rest.
    fn go_on_behind(
        &mut self,
        (base, end): (Offset, Offset),
        kept: Vec<Arc<Segment>>,
        removed: &[Arc<Segment>],
        mut cut: Option<CutSegment>,
        now: WallMillis,
    ) -> Result<(), TruncateError> {
        if let Some(cut) = &mut cut {
            // Rising entries of a prefix of a good index: closing it can not fail.
            let _ = cut.index.close();
            cut.segment.seal(cut.size, &cut.index);
        }
        let mut epochs = Arc::clone(&self.epochs);
        Arc::make_mut(&mut epochs).truncate_from_end(end);
        let mut active = Growing::new(base, &self.config.segment);
        active.created = Some(now);
        let next = Arc::new(Segment::growing(base, Arc::clone(&self.shared.home), None));
        let view = Arc::new(LogView {
            log_start: self.bounds.log_start.min(end),
            log_end: end,
            epochs: Arc::clone(&epochs),
            segments: kept.into_iter().chain([next]).collect(),
            active: active.visible(),
            generation: self.bounds.generation + 1,
            writes: self.bounds.writes,
        });
        self.shared
            .begin_truncation(&view)
            .map_err(|source| TruncateError::Journal { source })?;
        self.bounds.log_start = view.log_start;
        self.bounds.log_end = end;
        self.bounds.generation = view.generation;
        self.segments = Arc::clone(&view.segments);
        self.epochs = epochs;
        self.active = active;
        self.producers = ProducerStates::new(end);
        self.shared.view.store(Arc::clone(&view));
        self.forget_cleaned_above(end);
        let slot = Arc::new(TruncationSlot::default());
        self.phase = Phase::Truncating(Arc::clone(&slot));
        let truncation = Truncation {
            removed: removed
                .iter()
                .rev()
                .map(|segment| RemovedSegment::of(segment))
                .collect(),
            cut,
            view,
            slot,
            delete_after: self.config.retention.file_delete_delay,
            now,
            producer_expiry: self.config.producers.expiry,
        };
        self.shared
            .post(move |directory, log| truncation.run(directory, log));
        Ok(())
    }
}

/// Shows a batch to an index that was taken over up to the entry `indexed`.
pub(crate) fn observe(
    index: &mut SegmentIndex,
    indexed: Option<OffsetEntry>,
    header: &crate::batch::BatchHeader,
    position: u64,
) {
    let position = u32::try_from(position).unwrap_or(u32::MAX);
    if indexed.is_some_and(|entry| position <= entry.position) {
        index.observe_tail(header);
    } else if let Err(error) = index.observe(header, position) {
        // A full index still answers: what lies behind its last entry is scanned.
        tracing::debug!(%error, "rebuilding an index");
        index.observe_tail(header);
    }
}

impl Truncation {
    fn run(mut self, directory: &Arc<Directory>, log: &Arc<LogShared>) {
        // A log that was removed meanwhile has no files here any more, and those of its name may be another's.
        if directory.is_offline() || log.is_closed() {
            return;
        }
        let cut = self.cut.take();
        if let Err(fault) = self.put_in_place(directory, log, cut.as_ref()) {
            directory.handle(fault);
            // A full disk took nothing away: the same work is done again when there may be room.
            self.cut = cut;
            if !directory.is_offline() {
                let log = Arc::clone(log);
                log.hold_job();
                let again = move |directory: &Arc<Directory>| {
                    self.run(directory, &log);
                    log.release_job();
                };
                directory.queue.at(
                    directory.now().saturating_add(RETRY_AFTER),
                    Later::Job(Box::new(again)),
                );
            }
            return;
        }
        files::remove_later(
            directory,
            log,
            std::mem::take(&mut self.removed),
            self.delete_after,
        );
        if let Some(cut) = cut {
            log.add_tail(Tail {
                segment: cut.segment,
                size: cut.size,
                before: cut.before,
            });
        }
        log.request_flush();
        let producers =
            files::rebuild_producers(&self.view, &log.home, self.now, self.producer_expiry);
        match producers {
            Ok(producers) => {
                self.slot.finish(producers);
                directory.events.partition(log.key, LogEvent::FilesReady);
            }
            Err(error) => directory.fail(std::io::Error::other(error)),
        }
    }

    fn put_in_place(
        &self,
        directory: &Arc<Directory>,
        log: &Arc<LogShared>,
        cut: Option<&CutSegment>,
    ) -> Result<(), Fault> {
        directory.journal.sync().map_err(Fault::Sync)?;
        for segment in &self.removed {
            segment.rename(&log.home)?;
        }
        files::remove_snapshots_above(&log.home, self.view.log_end)?;
        if let Some(cut) = cut {
            if let Some(before) = cut.before.upgrade() {
                before.disown_index_files();
            }
            write_index_files(&log.home, cut.segment.base(), &cut.index)?;
            cut.segment.unmap_index();
        }
        log.write_epochs(&self.view)?;
        directory.cleaned.write(directory)?;
        log.home.fs.sync_dir(&log.home.dir).map_err(Fault::Sync)
    }
}

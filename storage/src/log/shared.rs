//! The part of an open log that its I/O thread may touch: the view, and what is known to be on stable storage.
//!
//! - S1: `flushed` never passes the view's log end, and rises only after a sync of everything below it.
//! - The journal says dirty before the first unsynced write ([`LogShared::begin_write`]), and clean only when every
//!   write begun has been covered by a sync ([`LogShared::finish_flush`]). Both happen under one short lock, so no
//!   write can slip in between.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::LogConfig;
use crate::checkpoint::{LEADER_EPOCH_FILE, encode_epochs};
use crate::compact::desk::Desk;
use crate::directory::queue::Later;
use crate::directory::{Directory, Fault, replace_file};
use crate::epoch_cache::EpochCache;
use crate::ids::Offset;
use crate::journal::{LogKey, LogState};
use crate::planted::is_planted;
use crate::segment::{Home, Segment};
use crate::view::LogView;

#[derive(Debug)]
pub(crate) struct LogShared {
    pub(crate) key: LogKey,
    pub(crate) topic: Arc<str>,
    pub(crate) home: Arc<Home>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) view: Arc<ArcSwap<LogView>>,
    /// Where the writer and the cleaner meet.
    pub(crate) desk: Desk,
    config: ArcSwap<LogConfig>,
    durable: Mutex<Durable>,
    is_flush_queued: AtomicBool,
    are_names_unsynced: AtomicBool,
    /// File jobs posted and not done.
    jobs: AtomicUsize,
    /// Files that are longer than their segment since a truncation.
    tails: Mutex<Vec<Tail>>,
    is_closed: AtomicBool,
}

/// What lies behind the cut of a segment, to be taken off when nobody reads it any more.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) segment: Arc<Segment>,
    pub(crate) size: u64,
    /// The segment as views before the cut know it: when it is gone, so are their ranges.
    pub(crate) before: Weak<Segment>,
}

/// What is on stable storage, and what the journal says of it.
#[derive(Debug)]
struct Durable {
    flushed: Offset,
    generation: u64,
    /// Writes begun since the log was opened.
    writes: u64,
    is_dirty: bool,
    /// The journal record that says so.
    dirty_mark: u64,
    /// The recovery point in the journal.
    journaled: Offset,
    high_watermark: Offset,
    /// The end of what is decided for good: high watermark, and the first open transaction.
    stable_end: Offset,
    written_epochs: Arc<EpochCache>,
    settle_after: Duration,
    is_settling: bool,
}

/// What [`LogShared::new`] starts from.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) view: LogView,
    /// What the checkpoint holds: not what the view does, where that had to be found in the batches.
    pub(crate) written_epochs: Arc<EpochCache>,
    pub(crate) flushed: Offset,
    pub(crate) high_watermark: Offset,
    pub(crate) is_dirty: bool,
    pub(crate) config: Arc<LogConfig>,
}

impl LogShared {
    pub(crate) fn new(
        key: LogKey,
        topic: Arc<str>,
        home: Arc<Home>,
        directory: Arc<Directory>,
        opened: Opened,
    ) -> Self {
        let durable = Durable {
            flushed: opened.flushed,
            generation: opened.view.generation,
            writes: opened.view.writes,
            is_dirty: opened.is_dirty,
            dirty_mark: 0,
            journaled: opened.flushed,
            high_watermark: opened.high_watermark,
            // The writer has not said yet what is open.
            stable_end: Offset::ZERO,
            written_epochs: opened.written_epochs,
            settle_after: opened.config.flush.settle_after(),
            is_settling: false,
        };
        Self {
            key,
            topic,
            home,
            directory,
            view: Arc::new(ArcSwap::from_pointee(opened.view)),
            desk: Desk::default(),
            config: ArcSwap::new(opened.config),
            durable: Mutex::new(durable),
            is_flush_queued: AtomicBool::new(false),
            are_names_unsynced: AtomicBool::new(false),
            jobs: AtomicUsize::new(0),
            tails: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Whether the writer is gone and the journal has its last word: nothing more may be written of this log.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // Where no cleaner runs, nobody else would take it off the list.
        self.directory.remove_compacted(self.key);
    }

    fn tails(&self) -> MutexGuard<'_, Vec<Tail>> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_tail(&self, tail: Tail) {
        self.tails().push(tail);
    }

    /// Shortens the files that nobody reads as they were before a cut; all of them if the log is being closed.
    pub(crate) fn take_tails_off(&self, is_closing: bool) -> Result<(), Fault> {
        let mut tails = self.tails();
        while let Some(at) = tails
            .iter()
            .position(|tail| is_closing || tail.before.strong_count() == 0)
        {
            // In order: a longer cut that comes after a shorter one would make the file longer again.
            let tail = tails.remove(at);
            tail.segment.mark_unsynced();
            let result = tail.segment.file().and_then(|file| file.set_len(tail.size));
            result.map_err(Fault::of_call)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything below is on stable storage.
    pub(crate) fn flushed(&self) -> Offset {
        self.lock().flushed
    }

    pub(crate) fn note_high_watermark(&self, high_watermark: Offset, stable_end: Offset) {
        let mut durable = self.lock();
        durable.high_watermark = high_watermark;
        durable.stable_end = stable_end;
    }

    /// The end of what the cleaner may look at: what is decided for good, and what no recovery would scan again, as far as
    /// the journal has heard.
    pub(crate) fn stable_end(&self) -> Offset {
        let durable = self.lock();
        durable.stable_end.min(durable.journaled)
    }

    pub(crate) fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    pub(crate) fn set_config(self: &Arc<Self>, config: &Arc<LogConfig>) {
        self.lock().settle_after = config.flush.settle_after();
        self.config.store(Arc::clone(config));
        if config.compaction.is_enabled {
            self.directory.add_compacted(self);
        } else {
            self.directory.remove_compacted(self.key);
        }
    }

    /// A name in the log's directory was made or changed: the next flush syncs the directory.
    pub(crate) fn names_changed(&self) {
        self.are_names_unsynced.store(true, Ordering::Release);
    }

    fn state(&self, durable: &Durable, view: &LogView, is_dirty: bool) -> LogState {
        LogState {
            topic: Arc::clone(&self.topic),
            recovery_point: if is_planted("only-a-flush-moves-the-recovery-point") {
                view.log_end
            } else {
                durable.flushed
            },
            log_end: view.log_end,
            log_start: view.log_start,
            high_watermark: durable.high_watermark,
            last_epoch: view.last_epoch(),
            active_base: view.active_base(),
            active_size: view.active.size,
            is_dirty,
        }
    }

    /// Must succeed before the first byte of a write; returns the number of writes begun.
    pub(crate) fn begin_write(self: &Arc<Self>) -> io::Result<u64> {
        let mut durable = self.lock();
        if !durable.is_dirty {
            let state = self.state(&durable, &self.view.load(), true);
            durable.dirty_mark = self.directory.journal.put(self.key, state)?;
            durable.is_dirty = true;
        }
        self.arm(&mut durable);
        durable.writes += 1;
        Ok(durable.writes)
    }

    /// Sees to it that a dirty log is flushed some time.
    fn arm(self: &Arc<Self>, durable: &mut Durable) {
        if !durable.is_settling {
            durable.is_settling = true;
            let due = self.directory.now().saturating_add(durable.settle_after);
            self.directory
                .queue
                .at(due, Later::Settle(Arc::clone(self)));
        }
    }

    /// The log now ends at `end`, and what was flushed above is void. `generation` is that of the next view.
    ///
    /// Journaled as dirty: the record is synced before any file is touched.
    pub(crate) fn begin_truncation(self: &Arc<Self>, view: &LogView) -> io::Result<()> {
        let mut durable = self.lock();
        durable.flushed = durable.flushed.min(view.log_end);
        durable.stable_end = durable.stable_end.min(view.log_end);
        durable.generation = view.generation;
        let state = self.state(&durable, view, true);
        durable.dirty_mark = self.directory.journal.put(self.key, state)?;
        durable.journaled = durable.flushed;
        durable.is_dirty = true;
        self.arm(&mut durable);
        Ok(())
    }

    /// Writes the current positions to the journal, dirty or clean as they are.
    pub(crate) fn journal(&self) -> io::Result<()> {
        let durable = self.lock();
        let state = self.state(&durable, &self.view.load(), durable.is_dirty);
        self.directory.journal.put(self.key, state)?;
        Ok(())
    }

    /// Asks the I/O thread to sync everything the view holds.
    pub(crate) fn request_flush(self: &Arc<Self>) {
        if !self.is_flush_queued.swap(true, Ordering::AcqRel) {
            self.directory.queue.flush(Arc::clone(self));
        }
    }

    /// The view that a flush is about to sync. Requests that come later queue another flush.
    pub(crate) fn take_for_flush(&self) -> Arc<LogView> {
        self.is_flush_queued.store(false, Ordering::Release);
        self.view.load_full()
    }

    /// Brings everything in `view` to stable storage: segments, names, epochs. On the I/O thread only.
    pub(crate) fn sync(&self, view: &LogView) -> Result<(), Fault> {
        self.take_tails_off(false)?;
        for segment in view.segments.iter() {
            segment.sync().map_err(Fault::Sync)?;
        }
        self.write_epochs(view)?;
        if self.are_names_unsynced.swap(false, Ordering::AcqRel) {
            self.home.fs.sync_dir(&self.home.dir).map_err(Fault::Sync)?;
        }
        Ok(())
    }

    /// Epochs reach the file before the recovery point passes them; recovery finds later ones in the batches.
    pub(super) fn write_epochs(&self, view: &LogView) -> Result<(), Fault> {
        let written = Arc::clone(&self.lock().written_epochs);
        if Arc::ptr_eq(&written, &view.epochs) || *written == *view.epochs {
            return Ok(());
        }
        let text = encode_epochs(&view.epochs);
        replace_file(
            &*self.home.fs,
            &self.home.dir.join(LEADER_EPOCH_FILE),
            text.as_bytes(),
        )?;
        self.lock().written_epochs = Arc::clone(&view.epochs);
        self.names_changed();
        Ok(())
    }

    /// Whether the mark that makes recovery look at this log is not yet on stable storage.
    pub(crate) fn is_mark_unsynced(&self) -> bool {
        let durable = self.lock();
        durable.is_dirty && !self.directory.journal.is_synced(durable.dirty_mark)
    }

    /// Takes note that everything in `view` is on stable storage, and returns the flushed end.
    ///
    /// With `is_settling`, marks the log clean in the journal if nothing was written meanwhile.
    pub(crate) fn finish_flush(
        self: &Arc<Self>,
        view: &LogView,
        is_settling: bool,
    ) -> io::Result<Offset> {
        let mut durable = self.lock();
        if durable.generation == view.generation {
            durable.flushed = durable.flushed.max(view.log_end);
        }
        let now = self.view.load();
        let is_quiet = durable.writes == view.writes && durable.generation == view.generation;
        let is_clean = is_settling && durable.is_dirty && is_quiet && self.has_no_file_work();
        let active_base = now.active_base();
        let is_segment_done = active_base <= durable.flushed
            && (durable.journaled < active_base || self.is_behind(&durable, active_base));
        if is_clean || is_segment_done || (is_settling && durable.journaled < durable.flushed) {
            let is_dirty = durable.is_dirty && !is_clean;
            let state = self.state(&durable, &now, is_dirty);
            self.directory.journal.put(self.key, state)?;
            durable.journaled = durable.flushed;
            durable.is_dirty = is_dirty;
        }
        if is_settling {
            durable.is_settling = false;
            if durable.is_dirty {
                self.arm(&mut durable);
            }
        }
        Ok(durable.flushed)
    }

    /// Whether the journal names an earlier segment as the active one, although it has heard of all below `active_base`: an
    /// idle log, clean as it is, has begun another. The cleaner may change what the journal still describes.
    fn is_behind(&self, durable: &Durable, active_base: Offset) -> bool {
        let is_idle = durable.journaled == active_base;
        let journaled = || self.directory.journal.state(self.key);
        is_idle && journaled().is_some_and(|state| state.active_base < active_base)
    }

    /// The writer's last word: everything is on stable storage. Not clean if file work is left undone.
    pub(crate) fn finish_close(&self, view: &LogView, is_ready: bool) -> io::Result<()> {
        let mut durable = self.lock();
        durable.flushed = view.log_end;
        durable.is_dirty = !is_ready || !self.has_no_file_work();
        let state = self.state(&durable, view, durable.is_dirty);
        self.directory.journal.put(self.key, state)?;
        Ok(())
    }

    /// Posts a job on the log's files; [`LogShared::jobs`] counts it until it is done.
    pub(crate) fn post(
        self: &Arc<Self>,
        job: impl FnOnce(&Arc<Directory>, &Arc<Self>) + Send + 'static,
    ) {
        self.jobs.fetch_add(1, Ordering::AcqRel);
        let shared = Arc::clone(self);
        self.directory.queue.post(Box::new(move |directory| {
            job(directory, &shared);
            shared.jobs.fetch_sub(1, Ordering::AcqRel);
        }));
    }

    fn has_no_file_work(&self) -> bool {
        self.jobs() == 0 && self.tails().is_empty()
    }

    /// Counts a job that goes on beyond the one that was posted.
    pub(crate) fn hold_job(&self) {
        self.jobs.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn release_job(&self) {
        self.jobs.fetch_sub(1, Ordering::AcqRel);
    }

    /// File jobs posted and not done.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.load(Ordering::Acquire)
    }
}

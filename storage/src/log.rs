//! One partition's log: a single writer, many readers that take no lock.
//!
//! The writer is a plain value that its owner drives with `&mut self`. It starts no thread and waits for no disk but
//! the page cache: whatever syncs, renames, removes or scans is posted to the directory's I/O thread, and
//! [`LogEvent`](crate::LogEvent)s tell when it is done. After every change a new [`LogView`] is published whole.
//!
//! An append has two steps. `prepare` checks a batch and gives it offsets without changing the log; `write` puts a
//! whole group of prepared batches into the page cache with one call; `commit` makes them part of the log. A write
//! that fails or falls short is cut back and fails its group, and the log is as if the group had never been.
//!
//! - S1: `log_start <= log_end`, and `flushed_end <= log_end`.
//! - S2: offsets are dense on a leader and rise on a follower. S3: leader epochs never fall.
//! - S5: nothing below the log end changes, except by truncation and by the cleaner, which takes superseded records; and
//!   even then no byte that a reader may hold a range of is rewritten, because a truncated log goes on in a new file, and
//!   a cleaned segment is one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::directory::DirectoryFailure;
use crate::epoch_cache::EpochCache;
use crate::ids::{LeaderEpoch, Offset};
use crate::index::{IndexLimits, SegmentIndex};
use crate::journal::LogKey;
use crate::producer_state::ProducerStates;
use crate::segment::Segment;
use crate::segment::stored_index::StoredIndex;
use crate::time::WallMillis;
use crate::view::{Active, LogReader, LogView};

mod append;
mod cleaning;
mod config;
pub(crate) mod files;
mod follower;
mod retention;
mod roll;
mod shared;
mod truncate;

#[cfg(test)]
mod tests;

pub use append::{AppendGroup, Committed, LeaderAppend, PrepareError, Prepared, WriteError};
pub(crate) use cleaning::growing_index;
pub use config::{
    CompactionConfig, FlushConfig, LogConfig, ProducerConfig, RetentionConfig, SegmentConfig,
};
pub use follower::{FollowerAppend, FollowerAppendError};
pub use retention::Removed;
pub(crate) use shared::{LogShared, Opened};
pub use truncate::TruncateError;
pub(crate) use truncate::{TruncationSlot, observe};

/// File jobs that may be outstanding before appends are refused: a disk that is this far behind needs relief.
const JOBS_MAX: usize = 64;

/// The writer of one log.
#[derive(Debug)]
pub struct PartitionLog {
    shared: Arc<LogShared>,
    config: Arc<LogConfig>,
    bounds: Bounds,
    segments: Arc<[Arc<Segment>]>,
    active: Growing,
    epochs: Arc<EpochCache>,
    producers: ProducerStates,
    phase: Phase,
    unflushed: Unflushed,
}

/// The log's ends, and the counters that tell views apart.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    log_start: Offset,
    log_end: Offset,
    generation: u64,
    writes: u64,
}

/// What only the writer knows of the last segment.
#[derive(Debug)]
pub(crate) struct Growing {
    pub(crate) size: u64,
    pub(crate) index: SegmentIndex,
    /// The highest timestamp of the segment's first batch.
    pub(crate) first_timestamp: Option<WallMillis>,
    /// When the segment was begun, and stands in for a first timestamp that is not known. Of one that was found, the first
    /// timestamp, or when it was opened.
    pub(crate) created: Option<WallMillis>,
    pub(crate) tail: Option<(Offset, u64)>,
}

/// Whether appends are possible.
#[derive(Debug)]
enum Phase {
    Ready,
    /// A truncation's files are being put in place.
    Truncating(Arc<TruncationSlot>),
    /// A failed write could not be cut back: the end of the file is not known.
    Failed,
}

/// What waits for a flush.
#[derive(Clone, Copy, Debug, Default)]
struct Unflushed {
    messages: u64,
    bytes: u64,
}

/// A log as recovery or a clean open found it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) active: Growing,
    pub(crate) epochs: EpochCache,
    /// What the checkpoint holds of them.
    pub(crate) written_epochs: EpochCache,
    pub(crate) producers: ProducerStates,
}

impl Growing {
    /// A segment that begins at `base`.
    pub(crate) fn new(base: Offset, config: &SegmentConfig) -> Self {
        Self {
            size: 0,
            index: SegmentIndex::new(base, index_limits(config)),
            first_timestamp: None,
            created: None,
            tail: None,
        }
    }

    pub(crate) fn visible(&self) -> Active {
        Active {
            size: self.size,
            index: Arc::new(StoredIndex::snapshot(&self.index)),
            max_timestamp: self.index.max_timestamp(),
            tail: self.tail,
        }
    }
}

pub(crate) fn index_limits(config: &SegmentConfig) -> IndexLimits {
    IndexLimits {
        size_max: usize::try_from(config.index_bytes).unwrap_or(usize::MAX),
        interval: u64::from(config.index_interval_bytes),
    }
}

impl Found {
    pub(crate) fn view(&self) -> LogView {
        LogView {
            log_start: self.log_start,
            log_end: self.log_end,
            epochs: Arc::new(self.epochs.clone()),
            segments: self.segments.clone().into(),
            active: self.active.visible(),
            generation: 0,
            writes: 0,
        }
    }
}

impl PartitionLog {
    pub(crate) fn new(shared: Arc<LogShared>, config: Arc<LogConfig>, found: Found) -> Self {
        let view = shared.view.load_full();
        shared.set_config(&config);
        Self {
            shared,
            config,
            bounds: Bounds {
                log_start: view.log_start,
                log_end: view.log_end,
                generation: view.generation,
                writes: view.writes,
            },
            segments: Arc::clone(&view.segments),
            active: found.active,
            epochs: Arc::clone(&view.epochs),
            producers: found.producers,
            phase: Phase::Ready,
            unflushed: Unflushed::default(),
        }
    }

    /// Which log this is.
    pub fn key(&self) -> LogKey {
        self.shared.key
    }

    /// The log as it is now.
    pub fn view(&self) -> Arc<LogView> {
        self.shared.view.load_full()
    }

    /// A handle for readers on other threads.
    pub fn reader(&self) -> LogReader {
        LogReader(Arc::clone(&self.shared.view))
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> Offset {
        self.bounds.log_start
    }

    /// The offset after the last record.
    pub fn log_end(&self) -> Offset {
        self.bounds.log_end
    }

    /// Everything below is on stable storage. Never above the log end.
    pub fn flushed_end(&self) -> Offset {
        self.shared.flushed()
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Replaces the settings; what is on disk is not touched.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.shared.set_config(&config);
        self.config = config;
    }

    /// What is known of the log's producers.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers that have been idle for longer than the settings say; how many.
    pub fn expire_producers(&mut self, now: WallMillis) -> usize {
        self.producers.expire(now, self.config.producers.expiry)
    }

    /// Why the directory is offline, if it is.
    pub fn directory_failure(&self) -> Option<Arc<DirectoryFailure>> {
        self.shared.directory.failure()
    }

    /// Remembers what the journal is to say of the high watermark, and how far the cleaner may go. Writes nothing.
    pub fn note_high_watermark(&mut self, high_watermark: Offset) {
        let bounded = high_watermark.clamp(self.bounds.log_start, self.bounds.log_end);
        let open = self.producers.first_open_transaction();
        let stable_end = open.map_or(bounded, |open| open.min(bounded));
        self.shared.note_high_watermark(bounded, stable_end);
    }

    /// Asks for a flush of everything committed so far; a [`LogEvent::Flushed`](crate::LogEvent) answers.
    pub fn request_flush(&mut self) {
        self.unflushed = Unflushed::default();
        self.shared.request_flush();
    }

    /// Notes that the reign of `epoch` begins at the log end, as a new leader does. Needs no sync: if a crash
    /// forgets it, no record of that epoch was kept either.
    ///
    /// False, and nothing happens, if the log has seen a later epoch (S3).
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) -> bool {
        if self
            .epochs
            .latest()
            .is_some_and(|latest| latest.epoch > epoch)
        {
            return false;
        }
        self.learn_epoch(epoch, self.bounds.log_end);
        self.publish();
        true
    }

    fn learn_epoch(&mut self, epoch: LeaderEpoch, start: Offset) {
        // The usual case costs a comparison; only a change copies the cache, because views share it.
        if self
            .epochs
            .latest()
            .is_none_or(|latest| latest.epoch != epoch)
        {
            Arc::make_mut(&mut self.epochs).assign(epoch, start);
        }
    }

    /// The last segment; a log always has one.
    fn active_segment(&self) -> Option<&Arc<Segment>> {
        self.segments.last()
    }

    fn next_view(&self) -> LogView {
        LogView {
            log_start: self.bounds.log_start,
            log_end: self.bounds.log_end,
            epochs: Arc::clone(&self.epochs),
            segments: Arc::clone(&self.segments),
            active: self.active.visible(),
            generation: self.bounds.generation,
            writes: self.bounds.writes,
        }
    }

    fn publish(&self) {
        self.shared.view.store(Arc::new(self.next_view()));
    }

    /// Takes up what a finished truncation left; true if appends are possible.
    pub fn is_ready(&mut self) -> bool {
        if let Phase::Truncating(slot) = &self.phase
            && slot.is_done.load(Ordering::Acquire)
        {
            if let Some(producers) = slot.take_producers() {
                self.producers = producers;
            }
            self.phase = Phase::Ready;
        }
        matches!(self.phase, Phase::Ready)
    }

    pub(crate) fn shared(&self) -> &Arc<LogShared> {
        &self.shared
    }

    fn request_flush_if_due(&mut self, messages: u64, bytes: u64) {
        self.unflushed.messages = self.unflushed.messages.saturating_add(messages);
        self.unflushed.bytes = self.unflushed.bytes.saturating_add(bytes);
        let flush = &self.config.flush;
        let is_due = flush.on_ack
            || self.unflushed.messages >= flush.messages
            || self.unflushed.bytes >= flush.dirty_bytes;
        if is_due {
            self.request_flush();
        }
    }
}

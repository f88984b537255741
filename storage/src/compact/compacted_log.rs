//! An open log that is compacted, as the cleaner sees it.

use std::sync::Arc;

use super::course::Waiting;
use super::error::CleanError;
use super::range::{self, CleaningRange, Dirtiness, LogFacts, SegmentFacts, choose};
use super::round::{CleanReport, CleanTools, Round};
use crate::directory::Fault;
use crate::journal::LogKey;
use crate::log::{CompactionConfig, LogShared};
use crate::segment::scan::first_timestamp;
use crate::time::{MonoMillis, WallMillis};
use crate::view::{LogView, ReadError};

/// An open log that is compacted.
#[derive(Clone, Debug)]
pub struct CompactedLog(pub(crate) Arc<LogShared>);

impl CompactedLog {
    /// Which log this is.
    pub fn key(&self) -> LogKey {
        self.0.key
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// Whether a round found that it can't be cleaned.
    pub fn is_uncleanable(&self) -> bool {
        self.0.desk.is_uncleanable()
    }

    /// When its last round failed; zero if it did not.
    pub(super) fn failed_at(&self) -> MonoMillis {
        self.0.desk.failed_at()
    }

    /// How much of it waits for a round.
    ///
    /// # Errors
    /// A segment can't be read: [`CleanError`].
    pub fn dirtiness(&self) -> Result<Dirtiness, CleanError> {
        let view = self.0.view.load_full();
        let config = self.0.config();
        let range = self.range(&view, &config.compaction);
        let range = range.map_err(|error| self.judge(error.into()))?;
        Ok(range.dirtiness)
    }

    /// Whether a round is due.
    pub fn is_due(&self, dirtiness: &Dirtiness) -> bool {
        let config = self.0.config();
        dirtiness.is_due(config.compaction.dirty_ppm_min)
    }

    pub(super) fn range(
        &self,
        view: &LogView,
        config: &CompactionConfig,
    ) -> Result<CleaningRange, ReadError> {
        let directory = &self.0.directory;
        let facts = LogFacts {
            log_start: view.log_start,
            log_end: view.log_end,
            checkpoint: directory.cleaned.get(self.0.key),
            stable_end: self.0.stable_end(),
            now: directory.clock.wall(),
            lag_min: config.lag_min,
            lag_max: config.lag_max,
        };
        let first_dirty = range::first_dirty(&facts);
        let sealed = view.segments.len().saturating_sub(1);
        let mut segments = Vec::with_capacity(sealed);
        for at in 0..sealed {
            let end = view
                .segments
                .get(at + 1)
                .map_or(view.log_end, |next| next.base());
            let is_dirty = end > first_dirty;
            let mut latest = None;
            if is_dirty && !facts.lag_min.is_zero() {
                let max = view.max_timestamp_of(at)?.map(|max| max.timestamp);
                latest = max.or_else(|| view.segments.get(at)?.modified().ok());
            }
            let is_asked = is_dirty && facts.lag_max.is_some();
            segments.push(SegmentFacts {
                end,
                size: view.size_of(at),
                latest,
                first: if is_asked {
                    first_timestamp_of(view, at)?
                } else {
                    None
                },
            });
        }
        let base = view
            .segments
            .first()
            .map_or(view.log_end, |first| first.base());
        Ok(choose(base, segments.into_iter(), &facts))
    }

    /// Runs one round.
    ///
    /// # Errors
    /// [`CleanError`]; the log then holds what it held, but for what finished groups have dropped.
    pub fn clean(
        &self,
        tools: &CleanTools,
        waiting: &mut dyn Waiting,
    ) -> Result<CleanReport, CleanError> {
        let result = Round { log: self, tools }.run(waiting);
        let failed_at = match &result {
            Ok(_) => MonoMillis::ZERO,
            // Never zero, which says that it did not.
            Err(_) => self.0.directory.now().max(MonoMillis::from_millis(1)),
        };
        self.0.desk.set_failed_at(failed_at);
        result.map_err(|error| {
            tools.counters.count_failed_round();
            self.judge(error)
        })
    }

    /// What an error is in the light of what has become of the log, with its consequences drawn.
    fn judge(&self, error: CleanError) -> CleanError {
        // A log that is taken away has its files renamed first: what is missed of them is no fault.
        if self.0.is_closed() || self.is_of_the_past(&error) {
            return CleanError::Aborted;
        }
        if error.is_about_the_log() {
            self.0.desk.set_uncleanable(true);
        }
        if let CleanError::Io { source, is_sync } = &error {
            let source = source.kind().into();
            self.0.directory.handle(if *is_sync {
                Fault::Sync(source)
            } else {
                Fault::Call(source)
            });
        }
        error
    }

    /// Whether it is about a segment that has left the log since, as retention has it: its file was renamed.
    fn is_of_the_past(&self, error: &CleanError) -> bool {
        let CleanError::Segment { base, .. } = error else {
            return false;
        };
        let view = self.0.view.load();
        view.segments.iter().all(|segment| segment.base() != *base)
    }
}

fn first_timestamp_of(view: &LogView, at: usize) -> Result<Option<WallMillis>, ReadError> {
    let Some(visible) = view.visible(at).filter(|visible| visible.size > 0) else {
        return Ok(None);
    };
    let base = visible.base();
    let fault = |source| ReadError::Segment { base, source };
    let file = visible.file().map_err(fault)?;
    first_timestamp(&**file, visible.size).map_err(fault)
}

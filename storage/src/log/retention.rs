//! What is thrown away at the front of a log: what lies below the log start, what is too old, what is too much.
//!
//! - Oldest first, and never past the high watermark; the active segment stays (a roll frees it).
//! - The log start moves first, in the view and in the journal, then the files go. A crash in between leaves files
//!   below the log start, which the next open removes.

use std::sync::Arc;

use super::files::{self, RemovedSegment};
use super::{LogShared, PartitionLog};
use crate::directory::{Directory, Fault};
use crate::ids::Offset;
use crate::segment::Segment;
use crate::time::WallMillis;
use crate::view::LogView;

/// What a retention pass removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Segments.
    pub segments: usize,
    /// Bytes of their log files.
    pub bytes: u64,
}

impl PartitionLog {
    /// Moves the log start up to `to`, which the caller bounds by the high watermark. False if it is there already.
    ///
    /// Segments wholly below go with the next [`PartitionLog::apply_retention`].
    pub fn advance_log_start(&mut self, to: Offset) -> bool {
        let to = to.min(self.bounds.log_end);
        if to <= self.bounds.log_start {
            return false;
        }
        self.bounds.log_start = to;
        Arc::make_mut(&mut self.epochs).truncate_from_start(to);
        self.publish();
        // If the journal does not take it now, the next record of this log carries it.
        if let Err(error) = self.shared.journal() {
            self.shared.directory.handle(Fault::of_call(error));
        }
        true
    }

    /// Removes the segments that the settings no longer keep.
    pub fn apply_retention(&mut self, now: WallMillis, high_watermark: Offset) -> Removed {
        // While cleaned segments are put in place the names are in motion: the next pass does it.
        if !self.is_ready() || self.shared.directory.is_offline() || self.is_swapping() {
            return Removed::default();
        }
        self.roll_if_overdue(now);
        let view = self.shared.view.load_full();
        let count = self.removable(&view, now, high_watermark);
        let Some(first_kept) = view.segments.get(count).filter(|_| count > 0) else {
            return Removed::default();
        };
        let removed = view.segments.get(..count).unwrap_or_default();
        let bytes = (0..count).map(|at| view.size_of(at)).sum();
        self.segments = view.segments.iter().skip(count).cloned().collect();
        if !self.advance_log_start(first_kept.base()) {
            self.publish();
        }
        self.post_removal(removed);
        Removed {
            segments: count,
            bytes,
        }
    }

    /// How many segments at the front may go.
    fn removable(&self, view: &LogView, now: WallMillis, high_watermark: Offset) -> usize {
        let limits = &self.config.retention;
        let mut size = view.size_bytes();
        let mut count = 0;
        // The last segment has no successor here, so it always stays.
        while let Some(next) = view.segments.get(count + 1) {
            let own = view.size_of(count);
            let is_below_start = next.base() <= view.log_start;
            let is_too_much = limits
                .bytes
                .is_some_and(|bytes| size.saturating_sub(own) >= bytes);
            let is_due = limits.is_enabled && (is_too_much || self.is_expired(view, count, now));
            if next.base() > high_watermark || !(is_below_start || is_due) {
                break;
            }
            size = size.saturating_sub(own);
            count += 1;
        }
        count
    }

    fn is_expired(&self, view: &LogView, at: usize, now: WallMillis) -> bool {
        let Some(age_max) = self.config.retention.age else {
            return false;
        };
        let newest = match view.max_timestamp_of(at) {
            Ok(Some(max)) => Some(max.timestamp),
            // No record has a timestamp: the time of the last write stands in.
            Ok(None) => view
                .segments
                .get(at)
                .and_then(|segment| segment.modified().ok()),
            Err(error) => {
                tracing::warn!(log = %self.shared.key, %error, "age of a segment");
                None
            }
        };
        let age_max = i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX);
        newest.is_some_and(|newest| now.millis_since(newest) > age_max)
    }

    fn post_removal(&self, removed: &[Arc<Segment>]) {
        let removed: Vec<_> = removed
            .iter()
            .map(|segment| RemovedSegment::of(segment))
            .collect();
        let delay = self.config.retention.file_delete_delay;
        self.shared.post(move |directory, log| {
            if directory.is_offline() {
                return;
            }
            match rename_all(directory, log, &removed) {
                Ok(()) => files::remove_later(directory, log, removed, delay),
                // What is left lies below the log start: the next open removes it.
                Err(fault) => directory.handle(fault),
            }
        });
    }
}

/// The journal durably first: else a crash could keep the old log start and only a part of what lies behind it.
fn rename_all(
    directory: &Directory,
    log: &LogShared,
    removed: &[RemovedSegment],
) -> Result<(), Fault> {
    log.journal().map_err(Fault::of_call)?;
    directory.journal.sync().map_err(Fault::Sync)?;
    for segment in removed {
        segment.rename(&log.home)?;
    }
    log.home.fs.sync_dir(&log.home.dir).map_err(Fault::Sync)
}

//! When a segment ends, and what is left to do for it then.
//!
//! A roll itself is a matter of memory: the next segment's file is created by its first write, and the old one's
//! index, snapshot and sync are a job of the I/O thread.

use std::sync::Arc;

use super::{Growing, JOBS_MAX, PartitionLog};
use crate::batch::BatchHeader;
use crate::directory::{Directory, Fault};
use crate::ids::Offset;
use crate::index::SegmentIndex;
use crate::log::LogShared;
use crate::segment::{FileKind, Segment, write_file, write_index_files};
use crate::time::WallMillis;

/// A batch that is to be appended, as far as the segment's limits are concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming {
    pub(super) size: u64,
    pub(super) max_timestamp: WallMillis,
    pub(super) last_offset: Offset,
}

impl Incoming {
    pub(super) fn of(header: &BatchHeader, base_offset: Offset) -> Self {
        let span = u64::try_from(header.last_offset_delta()).unwrap_or(0);
        Self {
            size: header.size() as u64,
            max_timestamp: header.max_timestamp(),
            last_offset: base_offset.saturating_add(span),
        }
    }
}

impl PartitionLog {
    /// Whether the active segment must end before `incoming`, given `pending` bytes prepared for it.
    pub(super) fn is_roll_due(&self, incoming: Incoming, pending: u64, now: WallMillis) -> bool {
        let limits = &self.config.segment;
        let size = self.active.size + pending;
        if size == 0 {
            // An empty segment rolls only where the format leaves no choice. An index without a slot is no reason: the
            // next segment's has none either, and its batch is found without one.
            return !self.active.index.can_express(incoming.last_offset);
        }
        size + incoming.size > u64::from(limits.bytes)
            || self.is_too_old(incoming.max_timestamp, now)
            || !self.active.index.has_room_for(incoming.last_offset)
    }

    fn is_too_old(&self, max_timestamp: WallMillis, now: WallMillis) -> bool {
        let limits = &self.config.segment;
        let age_max =
            i64::try_from(limits.age.saturating_sub(limits.jitter).as_millis()).unwrap_or(i64::MAX);
        let age = match (self.active.first_timestamp, self.active.created) {
            (Some(first), _) => max_timestamp.millis_since(first),
            (None, Some(created)) => now.millis_since(created),
            (None, None) => 0,
        };
        age > age_max
    }

    /// Whether so much file work is outstanding that more would only pile up.
    pub(super) fn is_backlogged(&self) -> bool {
        self.shared.jobs() >= JOBS_MAX
    }

    /// Ends the active segment at the log end and goes on in a new one.
    pub(super) fn roll(&mut self, now: WallMillis) {
        let base = self.bounds.log_end;
        let mut growing = Growing::new(base, &self.config.segment);
        growing.created = Some(now);
        let old = std::mem::replace(&mut self.active, growing);
        let next = Arc::new(Segment::growing(base, Arc::clone(&self.shared.home), None));
        let Some(segment) = self.active_segment().cloned() else {
            return;
        };
        if segment.base() == base {
            // The old segment is empty: it never had a file, and the new one has its name.
            self.replace_last(next);
            return;
        }
        let snapshot = Some((base, self.producers.encode()));
        self.seal(&segment, old, snapshot);
        self.segments = self.segments.iter().cloned().chain([next]).collect();
        self.publish();
    }

    fn replace_last(&mut self, next: Arc<Segment>) {
        let kept = self.segments.len().saturating_sub(1);
        self.segments = self
            .segments
            .iter()
            .take(kept)
            .cloned()
            .chain([next])
            .collect();
        self.publish();
    }

    /// Ends `segment` where it is and posts the writing of its files.
    pub(super) fn seal(
        &self,
        segment: &Arc<Segment>,
        mut growing: Growing,
        snapshot: Option<(Offset, Vec<u8>)>,
    ) {
        if let Err(error) = growing.index.close() {
            // Only batches shown out of order could do this; the index is a cache, so the log goes on.
            tracing::error!(log = %self.shared.key, %error, "closing an index");
        }
        segment.seal(growing.size, &growing.index);
        let sealed = Sealed {
            segment: Arc::clone(segment),
            index: growing.index,
            snapshot,
        };
        self.shared
            .post(move |directory, log| sealed.finish(directory, log));
    }
}

/// A segment whose index and snapshot files are to be written.
struct Sealed {
    segment: Arc<Segment>,
    index: SegmentIndex,
    snapshot: Option<(Offset, Vec<u8>)>,
}

impl Sealed {
    fn finish(self, directory: &Arc<Directory>, log: &Arc<LogShared>) {
        if directory.is_offline() {
            return;
        }
        match self.write_files(log) {
            Ok(()) => {
                self.segment.unmap_index();
                // Then the recovery point can move to the next segment's base.
                log.request_flush();
            }
            // Without its files the segment keeps its index in memory, and recovery makes new ones (S8).
            Err(fault) => directory.handle(fault),
        }
    }

    fn write_files(&self, log: &Arc<LogShared>) -> Result<(), Fault> {
        let home = self.segment.home();
        write_index_files(home, self.segment.base(), &self.index)?;
        if let Some((offset, bytes)) = &self.snapshot {
            write_file(home, *offset, FileKind::ProducerSnapshot, bytes)?;
        }
        log.names_changed();
        Ok(())
    }
}

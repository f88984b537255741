//! The writer's side of the cleaner: it lets rounds begin, and puts their copies in the place of the originals.
//!
//! - A copy is taken only if nothing was cut off since the round began, for that may be what superseded the records that
//!   the copy lacks, and if its originals are still the log's segments, one after the other.
//! - S5: no byte that a reader may hold a range of is changed. Offsets below the log end keep their records, but for those
//!   that a later record of the same key has superseded.

use std::sync::Arc;

use super::{Growing, PartitionLog, SegmentConfig};
use crate::compact::desk::{Start, Turn};
use crate::compact::rules::{LastOfProducer, LastOfProducers};
use crate::compact::swap::{Cleaned, Swap};
use crate::ids::Offset;
use crate::index::SegmentIndex;
use crate::log::files::RemovedSegment;
use crate::producer_state::{ProducerEntry, ProducerStates};
use crate::segment::Segment;
use crate::time::WallMillis;

impl PartitionLog {
    /// Does what the cleaner waits for, after [`LogEvent::CleanerWaits`](crate::LogEvent). True if the view has changed.
    pub fn serve_cleaner(&mut self) -> bool {
        match self.shared.desk.take_wish() {
            Some(Turn::Asked) => {
                let answer = self.begin_round().map_or(Turn::Refused, Turn::Begun);
                self.shared.desk.answer(answer);
                false
            }
            Some(Turn::Offered(cleaned)) => {
                let is_taken = self.swap_in(*cleaned);
                if !is_taken {
                    self.shared.desk.answer(Turn::Refused);
                }
                is_taken
            }
            _ => false,
        }
    }

    fn begin_round(&mut self) -> Option<Box<Start>> {
        if !self.is_ready() || !self.config.compaction.is_enabled {
            return None;
        }
        Some(Box::new(Start {
            view: self.shared.view.load_full(),
            config: Arc::clone(&self.config),
            producers: last_of_each(&self.producers),
        }))
    }

    /// Shows the copy to readers and posts its file work.
    fn swap_in(&mut self, cleaned: Cleaned) -> bool {
        let Some(at) = self.position_of(&cleaned).filter(|_| self.is_ready()) else {
            return false;
        };
        let Cleaned {
            originals,
            base,
            file,
            size,
            index,
            ..
        } = cleaned;
        // Before the files change: whoever reads an original from now on finds no index, and needs none.
        for original in &originals {
            original.disown_index_files();
        }
        let copy = Segment::growing(base, Arc::clone(&self.shared.home), Some(file));
        copy.seal(size, &index);
        let copy = Arc::new(copy);
        let before = self.segments.iter().take(at);
        let after = self.segments.iter().skip(at + originals.len());
        self.segments = before.chain([&copy]).chain(after).cloned().collect();
        self.publish();
        let others = originals.iter().skip(1);
        let swap = Swap {
            copy,
            index,
            others: others.map(|other| RemovedSegment::of(other)).collect(),
            delete_after: self.config.retention.file_delete_delay,
        };
        self.shared
            .post(move |directory, log| swap.run(directory, log));
        true
    }

    /// Where the originals stand among the segments, if all of them do and end where the copy ends.
    fn position_of(&self, cleaned: &Cleaned) -> Option<usize> {
        if cleaned.generation != self.bounds.generation {
            return None;
        }
        let first = cleaned.originals.first()?;
        let is_first = |segment: &Arc<Segment>| Arc::ptr_eq(segment, first);
        let at = self.segments.iter().position(is_first)?;
        let found = self.segments.get(at..at + cleaned.originals.len())?;
        let are_same = found
            .iter()
            .zip(&cleaned.originals)
            .all(|(found, original)| Arc::ptr_eq(found, original));
        let next = self.segments.get(at + cleaned.originals.len())?;
        (are_same && next.base() == cleaned.end).then_some(at)
    }

    /// Ends an active segment whose first record has waited for longer than `max.compaction.lag.ms`: the cleaner takes sealed
    /// segments only, and a log that nobody appends to would never have another.
    pub(super) fn roll_if_overdue(&mut self, now: WallMillis) {
        let compaction = &self.config.compaction;
        let (true, Some(lag_max)) = (compaction.is_enabled, compaction.lag_max) else {
            return;
        };
        let Growing {
            first_timestamp,
            created,
            ..
        } = self.active;
        // A record may claim to be older than it is. One that came just now has not waited for so long: without this, every
        // pass would find another, and end another segment.
        let is_overdue = first_timestamp
            .max(created)
            .is_some_and(|since| since.saturating_add(lag_max) < now);
        if self.active.size > 0 && is_overdue && !self.is_backlogged() {
            self.roll(now);
        }
    }

    /// The log now ends at `end`, or begins anew: what was cleaned above has to be cleaned again, and whatever kept the log
    /// from being cleaned may be gone.
    pub(super) fn forget_cleaned_above(&self, end: Offset) {
        self.shared.desk.set_uncleanable(false);
        let directory = &self.shared.directory;
        directory.cleaned.lower(self.shared.key, end);
    }

    /// Whether files of the log are being put in place, so that no others may be taken away.
    pub(super) fn is_swapping(&self) -> bool {
        self.shared.desk.is_swapping()
    }
}

fn last_of_each(producers: &ProducerStates) -> LastOfProducers {
    let last = |entry: &ProducerEntry| LastOfProducer {
        data: entry.last_batch().map(|batch| batch.last_offset),
        epoch: entry.epoch(),
    };
    producers
        .iter()
        .map(|(id, entry)| (id, last(entry)))
        .collect()
}

/// What a copy's index begins with.
pub(crate) fn growing_index(base: Offset, config: &SegmentConfig) -> SegmentIndex {
    Growing::new(base, config).index
}

//! Which leader epochs wrote which part of a log: the memory that truncation is decided by.
//!
//! - Epochs rise strictly, and so do their start offsets.
//! - R6: a log is cut where two histories part, and this is the history. An entry that is missing
//!   is worse than one too many, so entries are taken from elections *and* from batch headers.
//! - An epoch that nobody knows is answered with "unknown", never with the log's end.

use crate::ids::{LeaderEpoch, Offset};
use crate::planted::is_planted;

/// One reign: the first offset that was, or would have been, written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The first offset of the epoch.
    pub start: Offset,
}

/// Where an epoch ends in this log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The epoch asked for, or the largest known one below it.
    pub epoch: LeaderEpoch,
    /// The offset after the last of that epoch.
    pub end: Offset,
}

/// The epochs of one log, lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// No epoch is known.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// The cache that results from assigning `entries` in order.
    pub fn from_entries(entries: impl IntoIterator<Item = EpochEntry>) -> Self {
        let mut cache = Self::new();
        for entry in entries {
            cache.assign(entry.epoch, entry.start);
        }
        cache
    }

    /// Notes that `epoch` begins at `start`, and forgets what contradicts it. True if anything
    /// changed: the checkpoint is then to be written.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if self
            .entries
            .last()
            .is_some_and(|last| last.epoch == epoch && start >= last.start)
        {
            return false;
        }
        // A later or equal epoch, or an equal or later start, belongs to a history that was cut.
        while self
            .entries
            .last()
            .is_some_and(|last| last.epoch >= epoch || last.start >= start)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start });
        true
    }

    /// Where `epoch` ends in a log that ends at `log_end`. `None`: this log can't tell, because it
    /// has no epoch as high.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<EpochEnd> {
        let Some(latest) = self.latest() else {
            let end = log_end;
            return is_planted("an-unknown-epoch-is-not-placed").then_some(EpochEnd { epoch, end });
        };
        if epoch == latest.epoch {
            return Some(EpochEnd {
                epoch,
                end: log_end,
            });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        // Nothing higher is known: the asker's epoch is news to this log.
        let end = self.entries.get(higher)?.start;
        let floor = higher.checked_sub(1).and_then(|i| self.entries.get(i));
        Some(EpochEnd {
            epoch: floor.map_or(epoch, |entry| entry.epoch),
            end,
        })
    }

    /// The epoch that wrote `offset`, or will. `None` below the first entry.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let end = self.entries.partition_point(|entry| entry.start <= offset);
        self.entries
            .get(end.checked_sub(1)?)
            .map(|entry| entry.epoch)
    }

    /// Forgets the epochs that start at or above `end`. To be called even if the log itself needed
    /// no cut: a leader that failed at once left an entry at the log's end. True if it changed.
    pub fn truncate_from_end(&mut self, end: Offset) -> bool {
        let kept = self.entries.partition_point(|entry| entry.start < end);
        let is_change = kept < self.entries.len();
        self.entries.truncate(kept);
        is_change
    }

    /// Forgets the epochs that ended at or below the new log start; the one that reaches into the
    /// log starts at `start` from now on. True if it changed.
    pub fn truncate_from_start(&mut self, start: Offset) -> bool {
        let below = self.entries.partition_point(|entry| entry.start <= start);
        let Some(index) = below.checked_sub(1) else {
            return false;
        };
        let is_change = index > 0 || self.entries.first().is_some_and(|e| e.start < start);
        self.entries.drain(..index);
        if let Some(first) = self.entries.first_mut() {
            first.start = start;
        }
        is_change
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The highest epoch.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The entries, lowest epoch first: what the checkpoint holds.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn epoch(raw: u16) -> LeaderEpoch {
        LeaderEpoch::from(raw)
    }

    fn offset(raw: u32) -> Offset {
        Offset::from(raw)
    }

    fn cache(entries: &[(u16, u32)]) -> EpochCache {
        EpochCache::from_entries(entries.iter().map(|(e, o)| EpochEntry {
            epoch: epoch(*e),
            start: offset(*o),
        }))
    }

    fn end_of(cache: &EpochCache, asked: u16, log_end: u32) -> Option<(i32, i64)> {
        let end = cache.end_offset_for(epoch(asked), offset(log_end))?;
        Some((end.epoch.get(), end.end.get()))
    }

    /// KAFKA-6857.
    #[test]
    fn gotcha_05_an_unknown_epoch_is_never_answered_with_the_end() {
        assert_eq!(end_of(&EpochCache::new(), 0, 9), None);
        let cache = cache(&[(2, 10), (5, 20)]);
        assert_eq!(end_of(&cache, 6, 30), None);
        assert_eq!(end_of(&cache, 5, 30), Some((5, 30)));
        assert_eq!(end_of(&cache, 4, 30), Some((2, 20)));
        assert_eq!(end_of(&cache, 2, 30), Some((2, 20)));
        assert_eq!(end_of(&cache, 1, 30), Some((1, 10)));
    }

    /// Two elections in a row without data left entries at the log's end that no cut of the log
    /// removed, and truncation never converged.
    #[test]
    fn an_entry_at_the_log_end_goes_with_a_cut_that_cuts_nothing() {
        let mut cache = cache(&[(1, 0), (2, 10)]);
        assert!(cache.truncate_from_end(offset(10)));
        assert_eq!(
            cache.latest(),
            Some(EpochEntry {
                epoch: epoch(1),
                start: offset(0)
            })
        );
        assert!(!cache.truncate_from_end(offset(10)));
    }

    #[test]
    fn the_epoch_that_reaches_into_the_log_stays() {
        let mut cut = cache(&[(1, 0), (3, 10), (4, 20)]);
        assert!(cut.truncate_from_start(offset(15)));
        assert_eq!(cut, cache(&[(3, 15), (4, 20)]));
        assert!(cut.truncate_from_start(offset(20)));
        assert_eq!(cut, cache(&[(4, 20)]));
        assert!(!cut.truncate_from_start(offset(20)));
        assert!(!cut.truncate_from_start(offset(5)));
        assert_eq!(cut, cache(&[(4, 20)]));
    }

    #[test]
    fn a_contradicted_history_is_forgotten() {
        let mut known = cache(&[(1, 0), (3, 10), (4, 20)]);
        assert!(!known.assign(epoch(4), offset(25)));
        assert!(known.assign(epoch(5), offset(10)));
        assert_eq!(known, cache(&[(1, 0), (5, 10)]));
        assert!(known.assign(epoch(2), offset(40)));
        assert_eq!(known, cache(&[(1, 0), (2, 40)]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append { epochs: u16, count: u32 },
        Cut { to: u32 },
        Raise { to: u32 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3_u16, 0..6_u32).prop_map(|(epochs, count)| Step::Append { epochs, count }),
            1 => (0..40_u32).prop_map(|to| Step::Cut { to }),
            1 => (0..40_u32).prop_map(|to| Step::Raise { to }),
        ]
    }

    /// A log as the epoch of every record, and of the epoch that leads now.
    #[derive(Debug, Default)]
    struct Model {
        records: Vec<u16>,
        log_start: usize,
        current: u16,
    }

    impl Model {
        /// The end of `asked` by looking at every record.
        fn end_of(&self, asked: u16) -> usize {
            let higher = self
                .records
                .iter()
                .skip(self.log_start)
                .position(|e| *e > asked);
            higher.map_or(self.records.len(), |i| i + self.log_start)
        }
    }

    proptest! {
        /// The cache answers what a scan of the whole log answers.
        #[test]
        fn it_agrees_with_the_log(steps in vec(step(), 1..60)) {
            let mut model = Model::default();
            let mut cache = EpochCache::new();
            for step in steps {
                match step {
                    Step::Append { epochs, count } => {
                        model.current += epochs;
                        if epochs > 0 || cache.latest().is_none() {
                            let end = u32::try_from(model.records.len()).unwrap();
                            cache.assign(epoch(model.current), offset(end));
                        }
                        for _ in 0..count {
                            let at = u32::try_from(model.records.len()).unwrap();
                            cache.assign(epoch(model.current), offset(at));
                            model.records.push(model.current);
                        }
                    }
                    Step::Cut { to } => {
                        let to = usize::try_from(to).unwrap();
                        let to = to.clamp(model.log_start, model.records.len());
                        model.records.truncate(to);
                        cache.truncate_from_end(offset(u32::try_from(to).unwrap()));
                    }
                    Step::Raise { to } => {
                        let to = usize::try_from(to).unwrap().min(model.records.len());
                        model.log_start = model.log_start.max(to);
                        let start = u32::try_from(model.log_start).unwrap();
                        cache.truncate_from_start(offset(start));
                    }
                }
                let rising = |w: &[EpochEntry]| w[0].epoch < w[1].epoch && w[0].start < w[1].start;
                prop_assert!(cache.entries().windows(2).all(rising));
                let log_end = offset(u32::try_from(model.records.len()).unwrap());
                for (at, wrote) in model.records.iter().enumerate().skip(model.log_start) {
                    let at = offset(u32::try_from(at).unwrap());
                    prop_assert_eq!(cache.epoch_for_offset(at), Some(epoch(*wrote)));
                    let end = cache.end_offset_for(epoch(*wrote), log_end).unwrap();
                    prop_assert_eq!(end.epoch, epoch(*wrote));
                    let scanned = offset(u32::try_from(model.end_of(*wrote)).unwrap());
                    prop_assert_eq!(end.end, scanned);
                }
            }
        }
    }
}

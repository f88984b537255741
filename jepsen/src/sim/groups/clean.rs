//! A log as a cleaner may have left it on whichever replica is read: it comes by in its own time, and never as far as what is
//! not committed.

use std::collections::BTreeMap;

use ottla::coordinator::group::record::Record;

use super::log::Log;
use crate::rng::Rng;

/// What is left of a log.
#[derive(Debug)]
pub(super) struct Left<'l> {
    pub(super) records: Vec<&'l Record>,
    /// How many records are gone, tombstones among them.
    pub(super) gone: usize,
    pub(super) tombstones_gone: usize,
}

/// Any of the logs that a cleaner may have left.
pub(super) fn any<'l>(log: &'l Log, committed: usize, rng: &mut Rng) -> Left<'l> {
    let cleaned = if rng.chance(25) {
        committed
    } else {
        rng.index(committed + 1)
    };
    let forgotten = rng.index(cleaned + 1);
    clean(log, cleaned, forgotten)
}

/// Of the first `cleaned` batches the last record of each key is left. Of those, the tombstones in the first `forgotten`
/// batches have been there for their time, and are not left either.
pub(super) fn clean(log: &Log, cleaned: usize, forgotten: usize) -> Left<'_> {
    let mut last = BTreeMap::new();
    for (position, batch) in log.iter().take(cleaned).enumerate() {
        last.extend(batch.keys.iter().zip((0..).map(|at| (position, at))));
    }
    let mut left = Left {
        records: Vec::new(),
        gone: 0,
        tombstones_gone: 0,
    };
    for (position, batch) in log.iter().enumerate() {
        for (at, (key, record)) in batch.keys.iter().zip(&batch.records).enumerate() {
            let is_superseded = position < cleaned && last.get(key) != Some(&(position, at));
            let is_forgotten = position < forgotten && !record.fact.is_set();
            if is_superseded || is_forgotten {
                left.gone += 1;
                left.tombstones_gone += usize::from(!is_superseded);
            } else {
                left.records.push(record);
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ottla::coordinator::group::names::MemberId;
    use ottla::coordinator::group::record::{ConsumerEpochValue, Fact};
    use ottla_storage::time::WallMillis;

    use super::*;
    use crate::sim::groups::log::Batch;

    fn epoch(epoch: i32) -> Fact {
        let metadata_hash = 0;
        Fact::ConsumerEpoch(Some(ConsumerEpochValue {
            epoch,
            metadata_hash,
        }))
    }

    fn left(cleaned: usize, forgotten: usize) -> Vec<Fact> {
        let mut log = Log::default();
        for fact in [
            epoch(1),
            Fact::ConsumerMember(MemberId::from("m"), None),
            epoch(2),
            Fact::ConsumerTargetEpoch(None),
            epoch(3),
        ] {
            let group = "g".into();
            let batch = Batch::new(vec![Record { group, fact }], WallMillis::ZERO);
            log.push(Arc::new(batch.unwrap()));
        }
        let left = clean(&log, cleaned, forgotten);
        assert_eq!(left.gone + left.records.len(), 5);
        left.records.iter().map(|it| it.fact.clone()).collect()
    }

    #[test]
    fn a_half_cleaned_log_has_the_last_record_of_each_key_and_everything_later() {
        let gone = Fact::ConsumerMember(MemberId::from("m"), None);
        let target_gone = Fact::ConsumerTargetEpoch(None);
        let late = [target_gone, epoch(3)];
        assert_eq!(left(0, 0).len(), 5);
        assert_eq!(left(1, 0).len(), 5);
        assert_eq!(left(3, 0), [&[gone, epoch(2)], &late[..]].concat());
        assert_eq!(left(3, 2), [&[epoch(2)], &late[..]].concat());
        assert_eq!(left(5, 5), [epoch(3)]);
    }
}

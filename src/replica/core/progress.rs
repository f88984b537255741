//! What a leader knows of one follower: how far it is, and since when it has not kept up.

use std::time::Duration;

use ottla_storage::ids::Offset;
use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use super::effect::FollowerFetch;
use crate::metadata::{BrokerEpoch, ImageVersion};

/// One follower in one reign. A follower counts from its first fetch in the reign; until then it holds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    log_end: Option<Offset>,
    log_start: Offset,
    broker_epoch: Option<BrokerEpoch>,
    is_eligible: bool,
    /// The metadata that let it be in sync no more: what was judged by older ones is out of date.
    gone_since: ImageVersion,
    /// When it last had all that the leader had; `None` is never.
    caught_up_at: Option<MonoMillis>,
    /// Its last fetch, and where the leader's log ended then.
    last_fetch: Option<(MonoMillis, Offset)>,
}

impl Progress {
    /// At the beginning of a reign: a member of the in-sync set has `lag_max` to show itself.
    pub(crate) fn at_start(now: MonoMillis, is_in_sync: bool) -> Self {
        Self {
            caught_up_at: is_in_sync.then_some(now),
            ..Self::default()
        }
    }

    /// The same follower under the next reign of the same leader: what it holds, it still holds.
    pub(crate) fn carried_over(
        self,
        now: MonoMillis,
        is_in_sync: bool,
        leader_end: Offset,
    ) -> Self {
        Self {
            caught_up_at: is_in_sync.then_some(now),
            last_fetch: is_in_sync.then_some((now, leader_end)),
            ..self
        }
    }

    /// Takes in a fetch that was found to belong to this reign, unless another one of an older process came late.
    pub(crate) fn fetched(&mut self, now: MonoMillis, fetch: &FollowerFetch) {
        let is_older = fetch.broker_epoch < self.broker_epoch;
        if is_older && !is_planted("an-older-process-comes-too-late") {
            return;
        }
        if fetch.offset >= fetch.leader_end {
            self.caught_up_at = self.caught_up_at.max(Some(now));
        } else if let Some((at, end)) = self.last_fetch
            && fetch.offset >= end
        {
            // It has what there was when it last asked: it keeps up with a log that grows.
            self.caught_up_at = self.caught_up_at.max(Some(at));
        }
        self.last_fetch = Some((now, fetch.leader_end));
        self.log_end = Some(fetch.offset);
        self.log_start = fetch.log_start;
        self.broker_epoch = fetch.broker_epoch;
        self.is_eligible = fetch.is_eligible && fetch.judged_by >= self.gone_since;
    }

    /// From this version on the metadata do not let it be in sync.
    pub(crate) fn gone(&mut self, since: ImageVersion) {
        self.is_eligible = false;
        self.gone_since = self.gone_since.max(since);
    }

    /// The controller did not let it in.
    pub(crate) fn refused(&mut self) {
        self.is_eligible = false;
    }

    pub(crate) fn log_end(&self) -> Option<Offset> {
        self.log_end
    }

    pub(crate) fn log_start(&self) -> Offset {
        self.log_start
    }

    pub(crate) fn broker_epoch(&self) -> Option<BrokerEpoch> {
        self.broker_epoch
    }

    pub(crate) fn is_eligible(&self) -> bool {
        self.is_eligible
    }

    /// Whether it has everything, or had so not longer than `lag_max` ago.
    pub(crate) fn is_caught_up(
        &self,
        now: MonoMillis,
        leader_end: Offset,
        lag_max: Duration,
    ) -> bool {
        self.log_end == Some(leader_end)
            || self.caught_up_at.is_some_and(|at| now.since(at) <= lag_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::BrokerId;
    use ottla_storage::ids::LeaderEpoch;

    const LAG_MAX: Duration = Duration::from_millis(100);

    fn fetch(offset: u32, leader_end: u32) -> FollowerFetch {
        FollowerFetch {
            follower: BrokerId::ZERO,
            broker_epoch: None,
            is_eligible: true,
            judged_by: ImageVersion(1),
            leader_epoch: LeaderEpoch::ZERO,
            offset: Offset::from(offset),
            log_start: Offset::ZERO,
            leader_end: Offset::from(leader_end),
        }
    }

    /// KAFKA-15221: a fetch that a process sent before it died showed a log that its successor did not have any more.
    #[test]
    fn gotcha_09_what_older_metadata_or_an_older_process_say_comes_too_late() {
        let now = MonoMillis::ZERO;
        let mut progress = Progress::at_start(now, true);
        progress.gone(ImageVersion(5));
        let judged_by = |version| FollowerFetch {
            judged_by: ImageVersion(version),
            broker_epoch: BrokerEpoch::from_wire(7),
            ..fetch(9, 10)
        };
        progress.fetched(now, &judged_by(4));
        assert!(!progress.is_eligible());
        progress.fetched(now, &judged_by(5));
        assert!(progress.is_eligible());
        let of_before = FollowerFetch {
            broker_epoch: BrokerEpoch::from_wire(6),
            offset: Offset::from(10_u32),
            ..judged_by(6)
        };
        progress.fetched(now, &of_before);
        assert_eq!(progress.log_end(), Some(Offset::from(9_u32)));
        assert_eq!(progress.broker_epoch(), BrokerEpoch::from_wire(7));
    }

    #[test]
    fn a_follower_of_a_growing_log_keeps_up_by_having_what_there_was() {
        let at = MonoMillis::from_millis;
        let end = Offset::from(40_u32);
        let mut progress = Progress::at_start(at(0), true);
        progress.fetched(at(80), &fetch(0, 10));
        progress.fetched(at(160), &fetch(10, 20));
        assert!(progress.is_caught_up(at(170), end, LAG_MAX), "as of 80");
        progress.fetched(at(240), &fetch(15, 40));
        assert!(
            !progress.is_caught_up(at(240), end, LAG_MAX),
            "still as of 80"
        );
        progress.fetched(at(250), &fetch(40, 40));
        assert!(
            progress.is_caught_up(at(9_999), end, LAG_MAX),
            "it has everything"
        );
    }
}

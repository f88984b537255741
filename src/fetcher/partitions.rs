//! The partitions that are fetched from one leader, and which of them may be asked for now.
//!
//! - A partition that got records and did not move, or an error, is left alone for a while, longer each time.
//! - One whose log is opened, truncated or flushed is waited for a moment, then the others go on without it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::LeaderEpoch;
use ottla_storage::time::MonoMillis;
use tokio::sync::Notify;

use super::session::Position;
use crate::replica::view::{Change, View, Watch};
use crate::replica::{Replica, ReplicaKey, Watching};

/// The first pause of a partition that can't be fetched: a leader may be a moment behind the metadata.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// The longest: `replica.fetch.backoff.ms`.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Tells the task of a leader that one of its partitions has changed.
#[derive(Debug, Default)]
pub(super) struct Nudge(Notify);

impl Nudge {
    pub(super) async fn nudged(&self) {
        self.0.notified().await;
    }
}

impl Watch for Nudge {
    fn changed(&self, _change: Change) {
        self.0.notify_one();
    }
}

/// One followed partition.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) replica: Arc<Replica>,
    leader_epoch: LeaderEpoch,
    paused_until: Option<MonoMillis>,
    pause: Duration,
    _watching: Watching,
}

/// The partitions of one leader.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    all: BTreeMap<ReplicaKey, Followed>,
    pub(super) nudge: Arc<Nudge>,
}

/// What may be asked for now.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) positions: BTreeMap<ReplicaKey, Position>,
    /// Some partition will be ready in a moment.
    pub(super) is_any_busy: bool,
    /// When the first pause ends.
    pub(super) next: Option<MonoMillis>,
}

impl Partitions {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes a partition in. `false`: it is there already, and nothing about it is new.
    pub(super) fn follow(&mut self, replica: Arc<Replica>, leader_epoch: LeaderEpoch) -> bool {
        let known = self.all.get(&replica.key());
        if known.is_some_and(|known| {
            known.leader_epoch == leader_epoch && Arc::ptr_eq(&known.replica, &replica)
        }) {
            return false;
        }
        let watching = replica.watch(self.nudge.clone());
        let followed = Followed {
            leader_epoch,
            paused_until: None,
            pause: PAUSE_MIN,
            _watching: watching,
            replica,
        };
        self.all.insert(followed.replica.key(), followed);
        true
    }

    pub(super) fn stop(&mut self, key: ReplicaKey) {
        self.all.remove(&key);
    }

    pub(super) fn find(&self, key: ReplicaKey) -> Option<&Followed> {
        self.all.get(&key)
    }

    /// Leaves a partition alone for a while.
    pub(super) fn pause(&mut self, now: MonoMillis, key: ReplicaKey) {
        if let Some(followed) = self.all.get_mut(&key) {
            followed.paused_until = Some(now.saturating_add(followed.pause));
            followed.pause = (followed.pause * 2).min(PAUSE_MAX);
        }
    }

    /// A partition made progress.
    pub(super) fn resume(&mut self, key: ReplicaKey) {
        if let Some(followed) = self.all.get_mut(&key) {
            followed.paused_until = None;
            followed.pause = PAUSE_MIN;
        }
    }

    pub(super) fn ready(&self, now: MonoMillis) -> Ready {
        let mut ready = Ready::default();
        for (key, followed) in &self.all {
            if let Some(until) = followed.paused_until.filter(|until| *until > now) {
                ready.next = Some(ready.next.map_or(until, |next| next.min(until)));
                continue;
            }
            match position(followed) {
                Some(Ok(position)) => {
                    ready.positions.insert(*key, position);
                }
                Some(Err(Busy)) => ready.is_any_busy = true,
                None => {}
            }
        }
        ready
    }
}

/// Not now, but soon.
pub(super) struct Busy;

/// Where the partition goes on; `None` if it does not follow this leader.
pub(super) fn position(followed: &Followed) -> Option<Result<Position, Busy>> {
    match &**followed.replica.view() {
        View::Followed(view) if view.leader_epoch == followed.leader_epoch => {
            if !view.is_fetchable {
                return Some(Err(Busy));
            }
            let (offset, last_epoch) = view.goes_on_at();
            Some(Ok(Position {
                leader_epoch: view.leader_epoch,
                offset,
                last_epoch,
                log_start: view.log.log_start(),
            }))
        }
        View::Closed => {
            followed.replica.ask_open();
            Some(Err(Busy))
        }
        View::Followed(_) | View::Led(_) | View::Refused(_) => None,
    }
}

//! A fetch session as the follower keeps it (KIP-227): what the leader believes is asked for. Pure.
//!
//! - An incremental fetch names what is different from the last one. What it doesn't name the leader asks itself again.
//! - Whatever goes wrong, the next fetch is a full one: nothing depends on a session but bytes.

use std::collections::BTreeMap;

use ottla_storage::{LeaderEpoch, Offset};

use crate::replica::ReplicaKey;

/// Where a follower goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The leader's reign.
    pub(super) leader_epoch: LeaderEpoch,
    /// The end of the follower's log.
    pub(super) offset: Offset,
    /// The last leader epoch that the follower's log knows.
    pub(super) last_epoch: Option<LeaderEpoch>,
    /// Where the follower's log starts.
    pub(super) log_start: Offset,
}

/// What the next fetch says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    /// New and different positions.
    pub(super) named: Vec<(ReplicaKey, Position)>,
    /// Partitions that are fetched no more.
    pub(super) forgotten: Vec<ReplicaKey>,
}

/// The state of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    /// 0 is none.
    id: i32,
    /// Of the next fetch; 0 asks for a new session.
    epoch: i32,
    known: BTreeMap<ReplicaKey, Position>,
}

impl Session {
    /// The next fetch is a full one.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// The fetch that asks for exactly these positions.
    pub(super) fn ask(&mut self, positions: BTreeMap<ReplicaKey, Position>) -> Ask {
        let is_full = self.id == 0;
        let is_news = |key: &ReplicaKey, position: &Position| {
            is_full || self.known.get(key) != Some(position)
        };
        let named = positions
            .iter()
            .filter(|(key, position)| is_news(key, position))
            .map(|(key, position)| (*key, *position))
            .collect();
        let gone = self.known.keys().filter(|key| !positions.contains_key(key));
        let forgotten = if is_full {
            Vec::new()
        } else {
            gone.copied().collect()
        };
        let ask = Ask {
            session_id: self.id,
            session_epoch: self.epoch,
            named,
            forgotten,
        };
        self.known = positions;
        ask
    }

    /// The leader has answered with this session; 0 means that it keeps none.
    pub(super) fn answered(&mut self, id: i32) {
        if id == 0 {
            (self.id, self.epoch) = (0, 0);
        } else if id == self.id {
            self.epoch = if self.epoch == i32::MAX {
                1
            } else {
                self.epoch + 1
            };
        } else {
            (self.id, self.epoch) = (id, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{PartitionIndex, TopicId};

    fn key(partition: i32) -> ReplicaKey {
        ReplicaKey {
            topic: TopicId::new(uuid::Uuid::from_u128(1)),
            partition: PartitionIndex::from_wire(partition).unwrap(),
        }
    }

    fn at(offset: u32) -> Position {
        Position {
            leader_epoch: LeaderEpoch::ZERO,
            offset: Offset::from(offset),
            last_epoch: None,
            log_start: Offset::ZERO,
        }
    }

    #[test]
    fn a_session_names_what_is_different() {
        let mut session = Session::default();
        let first = BTreeMap::from([(key(0), at(0)), (key(1), at(5))]);
        let ask = session.ask(first);
        assert_eq!((ask.session_id, ask.session_epoch), (0, 0));
        assert_eq!((ask.named.len(), ask.forgotten.len()), (2, 0));
        session.answered(9);
        let ask = session.ask(BTreeMap::from([(key(1), at(6)), (key(2), at(0))]));
        assert_eq!((ask.session_id, ask.session_epoch), (9, 1));
        assert_eq!(ask.named, [(key(1), at(6)), (key(2), at(0))]);
        assert_eq!(ask.forgotten, [key(0)]);
        session.answered(9);
        let ask = session.ask(BTreeMap::from([(key(1), at(6)), (key(2), at(0))]));
        assert_eq!((ask.session_epoch, ask.named.len()), (2, 0));
        session.reset();
        let ask = session.ask(BTreeMap::from([(key(1), at(6))]));
        assert_eq!((ask.session_id, ask.session_epoch), (0, 0));
        assert_eq!(ask.named.len(), 1);
    }

    #[test]
    fn without_a_session_every_fetch_is_full() {
        let mut session = Session::default();
        for _ in 0..2 {
            let ask = session.ask(BTreeMap::from([(key(0), at(3))]));
            assert_eq!((ask.session_epoch, ask.named.len()), (0, 1));
            session.answered(0);
        }
    }
}

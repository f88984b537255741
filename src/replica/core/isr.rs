//! The in-sync replicas of one partition, as the leader counts them.
//!
//! - A leader is a member of its own in-sync set.
//! - With fewer members than the effective minimum nothing new is promised (R3).

use std::collections::BTreeSet;

use crate::metadata::BrokerId;

/// The committed in-sync set and the number of replicas it is drawn from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Isr {
    members: BTreeSet<BrokerId>,
    replica_count: usize,
}

impl Isr {
    pub(crate) fn new(members: BTreeSet<BrokerId>, replica_count: usize) -> Self {
        Self {
            members,
            replica_count,
        }
    }

    /// The members besides the leader: those that confirm by fetching.
    pub(crate) fn followers(&self, leader: BrokerId) -> impl Iterator<Item = BrokerId> {
        self.members
            .iter()
            .copied()
            .filter(move |member| *member != leader)
    }

    /// Whether there are as many members as `min.insync.replicas` asks for. A partition with fewer
    /// replicas than that can't be held to more than it has.
    pub(crate) fn suffices(&self, min_insync_replicas: u32) -> bool {
        let wanted = usize::try_from(min_insync_replicas).unwrap_or(usize::MAX);
        self.members.len() >= wanted.min(self.replica_count)
    }
}

//! The in-sync replicas of one partition, as the leader counts them.
//!
//! - A leader is a member of its own in-sync set.
//! - With fewer committed members than the effective minimum nothing new is promised (R3).
//! - A change that was asked for and not answered may have been made: whoever is in either set must hold a record before
//!   it is committed (R4). So an expansion counts from the moment it is proposed, a shrink only once it is committed.

use std::collections::BTreeSet;

use ottla_storage::planted::is_planted;

use crate::metadata::{BrokerId, PartitionEpoch};

/// The committed in-sync set, and the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Isr {
    committed: BTreeSet<BrokerId>,
    /// At most one change is on its way; with the partition epoch at which it was asked for.
    pending: Option<(PartitionEpoch, BTreeSet<BrokerId>)>,
    replica_count: usize,
}

impl Isr {
    /// What the metadata says: whatever was pending is decided by it.
    pub(crate) fn new(committed: BTreeSet<BrokerId>, replica_count: usize) -> Self {
        Self {
            committed,
            pending: None,
            replica_count,
        }
    }

    pub(crate) fn committed(&self) -> &BTreeSet<BrokerId> {
        &self.committed
    }

    pub(crate) fn is_changing(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether the proposal made at this epoch is the one that is pending.
    pub(crate) fn is_pending_at(&self, epoch: PartitionEpoch) -> bool {
        self.pending.as_ref().is_some_and(|(at, _)| *at == epoch)
    }

    /// Asks for another set.
    pub(crate) fn propose(&mut self, at: PartitionEpoch, members: BTreeSet<BrokerId>) {
        if is_planted("a-shrink-counts-once-it-is-committed") {
            self.committed.clone_from(&members);
        }
        self.pending = Some((at, members));
    }

    /// The pending change was certainly not made; who was to be let in by it.
    pub(crate) fn revert(&mut self) -> BTreeSet<BrokerId> {
        let asked_for = self.pending.take().map(|(_, members)| members);
        &asked_for.unwrap_or_default() - &self.committed
    }

    /// Installs a set that is committed; what was pending is decided.
    pub(crate) fn commit(&mut self, members: BTreeSet<BrokerId>) {
        self.committed = members;
        self.pending = None;
    }

    /// Whether a replica is in the committed set or in the one that was asked for.
    pub(crate) fn may_contain(&self, replica: BrokerId) -> bool {
        let is_asked_for = |(_, members): &(_, BTreeSet<BrokerId>)| members.contains(&replica);
        self.committed.contains(&replica) || self.pending.as_ref().is_some_and(is_asked_for)
    }

    /// Whether there are as many committed members as `min.insync.replicas` asks for. A partition with fewer
    /// replicas than that can't be held to more than it has.
    pub(crate) fn suffices(&self, min_insync_replicas: u32) -> bool {
        let wanted = usize::try_from(min_insync_replicas).unwrap_or(usize::MAX);
        self.committed.len() >= wanted.min(self.replica_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[i32]) -> BTreeSet<BrokerId> {
        ids.iter()
            .filter_map(|id| BrokerId::from_wire(*id))
            .collect()
    }

    /// R4: an expansion counts at once, a shrink only once it is committed.
    #[test]
    fn whoever_may_be_a_member_counts() {
        let epoch = PartitionEpoch::ZERO;
        let third = BrokerId::from_wire(3).unwrap();
        let mut isr = Isr::new(set(&[1, 2]), 3);
        isr.propose(epoch, set(&[1, 2, 3]));
        assert!(isr.may_contain(third));
        assert_eq!(isr.revert(), set(&[3]));
        assert!(!isr.may_contain(third));
        isr.commit(set(&[1, 2, 3]));
        isr.propose(epoch, set(&[1]));
        assert!(isr.may_contain(third) && isr.suffices(3));
        isr.commit(set(&[1]));
        assert!(!isr.may_contain(third) && !isr.suffices(2));
    }
}

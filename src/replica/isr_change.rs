//! What leaders want changed in their in-sync sets, on its way to the controller and back.
//!
//! - At most one proposal of a partition is on its way; an ambiguous answer leaves it pending until the metadata or
//!   another answer decides.
//! - Whoever carries proposals sends the same one again until it is answered: the epochs in it are those of the moment
//!   it was made, so what was carried out once is not carried out twice.

use ottla_storage::LeaderEpoch;
use tokio::sync::mpsc;

use super::ReplicaKey;
use crate::metadata::{BrokerEpoch, BrokerId, PartitionEpoch};

/// An in-sync set that a leader asks the controller for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The partition.
    pub key: ReplicaKey,
    /// The reign that asks.
    pub leader_epoch: LeaderEpoch,
    /// What the leader knows: the controller refuses a change of anything else.
    pub partition_epoch: PartitionEpoch,
    /// The members, each with the registration under which it last fetched. The leader's own is filled in by whoever
    /// sends the proposal; `None` is unknown.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
}

/// What the controller made of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsrAnswer {
    /// The partition is so now.
    Accepted {
        /// The reign.
        leader_epoch: LeaderEpoch,
        /// After the change.
        partition_epoch: PartitionEpoch,
        /// The members.
        isr: Vec<BrokerId>,
    },
    /// Certainly not carried out.
    NotApplied,
    /// It may have been carried out: the metadata will tell.
    Ambiguous,
}

/// Where proposals go. Bounded by one per partition.
pub type IsrProposals = mpsc::UnboundedSender<IsrProposal>;

/// Both ends of a queue of proposals.
#[expect(
    clippy::disallowed_methods,
    reason = "bounded by the partitions, each of which has at most one proposal on its way"
)]
pub fn queue() -> (IsrProposals, mpsc::UnboundedReceiver<IsrProposal>) {
    mpsc::unbounded_channel()
}

//! Between a follower's partitions and whoever fetches for them.
//!
//! - The metadata orders a partition to be fetched from a leader; the fetcher reads off the partition's view where to
//!   go on, and brings back what the leader said.
//! - An order or an answer of an older reign does no harm: each names its leader epoch.

use std::sync::Arc;

use bytes::Bytes;
use ottla_storage::{LeaderEpoch, Offset};
use tokio::sync::mpsc;

pub use super::core::effect::LeaderState;
use super::{Replica, ReplicaKey};
use crate::metadata::BrokerId;

/// What the metadata wants fetched.
#[derive(Clone, Debug)]
pub enum FetchOrder {
    /// Follow this leader.
    Follow {
        /// The partition.
        replica: Arc<Replica>,
        /// Whom to ask.
        leader: BrokerId,
        /// The leader's reign.
        leader_epoch: LeaderEpoch,
    },
    /// Follow nobody: this broker leads, nobody does, or the partition is gone.
    Stop(ReplicaKey),
}

/// Where orders go.
pub type FetchOrders = mpsc::UnboundedSender<FetchOrder>;

/// Both ends of a queue of orders.
#[expect(
    clippy::disallowed_methods,
    reason = "bounded by the changes of the metadata; whoever takes orders does nothing else"
)]
pub fn queue() -> (FetchOrders, mpsc::UnboundedReceiver<FetchOrder>) {
    mpsc::unbounded_channel()
}

/// What a leader answered to a fetch of one partition.
#[derive(Debug)]
pub struct FromLeader {
    /// The reign that was asked.
    pub leader_epoch: LeaderEpoch,
    /// The fetch offset: this log's end when it was asked.
    pub offset: Offset,
    /// What it said.
    pub answer: Answer,
}

/// What a leader can say.
#[derive(Debug)]
pub enum Answer {
    /// Records that follow, perhaps none.
    Records {
        /// Whole batches; the last one may be cut off.
        records: Bytes,
        /// How far the leader is.
        state: LeaderState,
    },
    /// The logs part.
    Diverged {
        /// The largest epoch of the leader that is not above the follower's last.
        epoch: LeaderEpoch,
        /// Where it ends.
        end: Offset,
    },
    /// The follower's end lies outside of the leader's log.
    OutOfRange {
        /// Where that starts.
        start: Offset,
        /// Where it ends.
        end: Offset,
    },
}

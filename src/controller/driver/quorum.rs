//! What the driver asks of the quorum: narrow, so that tests can stand in for it.

use ottla_raft::{BarrierError, Leadership, ProposeError, Raft};
use tokio::sync::watch;

use crate::metadata::BrokerId;

/// Why the quorum did not carry something out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// Another node leads; nothing was done.
    #[error("this node does not lead the quorum")]
    NotLeader {
        /// Who does, if known.
        leader: Option<BrokerId>,
    },
    /// It may be done later, or never.
    #[error("the leadership ended before the entry was applied")]
    OutcomeUnknown,
    /// The entry is too large; nothing was done.
    #[error("an entry of {size} bytes is larger than {max}")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The disk is full; nothing was done.
    #[error("the disk of the quorum log is full")]
    DiskFull,
    /// The quorum has stopped in this process.
    #[error("the quorum has stopped")]
    Stopped,
}

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// The term.
    pub term: u64,
    /// The leader, if known.
    pub node: Option<BrokerId>,
}

/// The quorum, as the controller sees it.
#[allow(
    async_fn_in_trait,
    reason = "the driver is its only user and stays on one thread"
)]
pub trait Quorum {
    /// Appends an entry and returns the state machine's answer once this node has applied it.
    async fn propose(&self, entry: Vec<u8>) -> Result<Vec<u8>, QuorumError>;

    /// Returns once this node still leads and has applied every commit before the call (Q3).
    async fn barrier(&self) -> Result<(), QuorumError>;

    /// Who leads now.
    fn leader(&self) -> Leader;

    /// Waits for another leader or term; `false` once the quorum is gone. Cancel safe.
    async fn leadership_changed(&mut self) -> bool;
}

/// The quorum of a running node.
#[derive(Clone, Debug)]
pub struct RaftQuorum {
    raft: Raft,
    leadership: watch::Receiver<Leadership>,
}

impl RaftQuorum {
    /// The driver's view of a node.
    pub fn new(raft: Raft) -> Self {
        let leadership = raft.leadership();
        Self { raft, leadership }
    }
}

fn broker(node: ottla_raft::NodeId) -> Option<BrokerId> {
    i32::try_from(node.0).ok().and_then(BrokerId::from_wire)
}

impl Quorum for RaftQuorum {
    async fn propose(&self, entry: Vec<u8>) -> Result<Vec<u8>, QuorumError> {
        match self.raft.propose(entry).await {
            Ok(applied) => Ok(applied.response),
            Err(ProposeError::NotLeader { leader }) => Err(QuorumError::NotLeader {
                leader: leader.and_then(broker),
            }),
            Err(ProposeError::OutcomeUnknown) => Err(QuorumError::OutcomeUnknown),
            Err(ProposeError::TooLarge { size, max }) => Err(QuorumError::TooLarge { size, max }),
            Err(ProposeError::DiskFull) => Err(QuorumError::DiskFull),
            Err(ProposeError::Stopped(_)) => Err(QuorumError::Stopped),
        }
    }

    async fn barrier(&self) -> Result<(), QuorumError> {
        match self.raft.barrier().await {
            Ok(_) => Ok(()),
            Err(BarrierError::NotLeader { leader }) => Err(QuorumError::NotLeader {
                leader: leader.and_then(broker),
            }),
            // Nothing was asked of the log, so nothing can happen later.
            Err(BarrierError::NoQuorum) => Err(QuorumError::NotLeader { leader: None }),
            Err(BarrierError::Stopped(_)) => Err(QuorumError::Stopped),
        }
    }

    fn leader(&self) -> Leader {
        let leadership = *self.leadership.borrow();
        Leader {
            term: leadership.term.0,
            node: leadership.leader.and_then(broker),
        }
    }

    async fn leadership_changed(&mut self) -> bool {
        self.leadership.changed().await.is_ok()
    }
}

/// The state of the quorum, for whoever describes it.
pub trait QuorumView: std::fmt::Debug + Send + Sync {
    /// A picture of this moment.
    fn metrics(&self) -> ottla_raft::Metrics;
}

/// The quorum that a running node belongs to.
pub struct RaftView(pub Raft);

impl std::fmt::Debug for RaftView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftView").finish_non_exhaustive()
    }
}

impl QuorumView for RaftView {
    fn metrics(&self) -> ottla_raft::Metrics {
        self.0.metrics()
    }
}

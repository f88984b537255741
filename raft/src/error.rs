//! One error for each thing that a caller can ask of a node.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::types::NodeId;

/// Why a node did not start. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file system refused.
    #[error("{action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What it answered.
        source: io::Error,
    },
    /// The log or a snapshot is damaged where it was durable: the disk lied or something wrote here.
    #[error("{} is damaged at byte {position}: {reason}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where.
        position: u64,
        /// How that was noticed.
        reason: &'static str,
    },
    /// A file was written by a newer version of this program.
    #[error("{} has format version {found}, newer than this program's {known}", path.display())]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u8,
        /// The newest version this program reads.
        known: u8,
    },
    /// The state machine refused its own snapshot.
    #[error("restore the state from {}", path.display())]
    Restore {
        /// The snapshot.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Settings that contradict each other.
    #[error("invalid settings: {0}")]
    Config(&'static str),
    /// The consensus engine did not start.
    #[error("start the consensus engine")]
    Engine(#[source] Fatal),
}

/// A node that can't go on: its process must end. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the quorum node stopped: {0}")]
pub struct Fatal(pub Arc<dyn Error + Send + Sync>);

/// Why a command was not applied.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead, and the command was not taken: safe to send it to the leader.
    #[error("not the leader (the leader is {leader:?})")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// The command was taken, and then the leadership ended or the node stopped: it may be applied
    /// later, or never. Never report success.
    #[error("the outcome is unknown: the leadership ended before the command was applied")]
    OutcomeUnknown,
    /// The command was not taken: it can never fit.
    #[error("a command of {size} bytes is larger than {max}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The command was not taken: the log has no space for more. Goes away when the disk has space.
    #[error("the disk of the quorum log is full")]
    DiskFull,
    /// The command was not taken: the node has stopped.
    #[error(transparent)]
    Stopped(#[from] Fatal),
}

/// Why a barrier did not succeed. The caller may retry.
#[derive(Debug, thiserror::Error)]
pub enum BarrierError {
    /// This node does not lead.
    #[error("not the leader (the leader is {leader:?})")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// No majority confirmed the leadership in time.
    #[error("no majority confirmed the leadership")]
    NoQuorum,
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Fatal),
}

/// Why a quorum was not initialised.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// The log holds something already: initialising again could fork the cluster.
    #[error("the quorum log is not empty")]
    NotEmpty,
    /// The members named do not include this node with its directory.
    #[error("the initial members do not include this node with its directory")]
    NotAMember,
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Fatal),
}

/// Why the membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// This node does not lead.
    #[error("not the leader (the leader is {leader:?})")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// An earlier change is not committed yet.
    #[error("an earlier membership change is not committed yet")]
    InProgress,
    /// A voter must be a learner first, and a quorum is never empty.
    #[error("node {node} is not a learner yet")]
    NotALearner {
        /// Who is missing.
        node: NodeId,
    },
    /// A quorum without voters.
    #[error("a quorum needs at least one voter")]
    NoVoters,
    /// The change was taken, and then the leadership ended: it may be applied later, or never.
    #[error("the outcome is unknown: the leadership ended before the change was applied")]
    OutcomeUnknown,
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Fatal),
}

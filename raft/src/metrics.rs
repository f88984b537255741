//! What a node tells about itself, for `DescribeQuorum` and for people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{LogIndex, Member, NodeId, Term};

/// A picture of one node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// This node.
    pub node: NodeId,
    /// The latest term it has seen.
    pub term: Term,
    /// The leader of that term, once known.
    pub leader: Option<NodeId>,
    /// One past the last entry of its log.
    pub log_end: LogIndex,
    /// One past the last entry known to be committed.
    pub high_watermark: LogIndex,
    /// The last entry applied to its state machine.
    pub applied: Option<LogIndex>,
    /// The last entry in its snapshot.
    pub snapshot: Option<LogIndex>,
    /// The last entry that the log no longer holds.
    pub purged: Option<LogIndex>,
    /// The voters, of both sides while a change is in progress.
    pub voters: BTreeMap<NodeId, Member>,
    /// The sets of voters of each of which a commit needs a majority: one, or two while a change is in progress, the
    /// last of them the voters after it. A leader that did not begin the change has to end it, with
    /// [`Raft::change_voters`](crate::Raft::change_voters) of that last set.
    pub voter_sets: Vec<BTreeSet<NodeId>>,
    /// The learners, which Kafka calls observers.
    pub observers: BTreeMap<NodeId, Member>,
    /// On the leader, how far each member is, itself included. Empty elsewhere.
    pub replicas: BTreeMap<NodeId, Replica>,
    /// The log has no space for more commands, or a snapshot waits for some.
    pub is_disk_full: bool,
}

/// How far a member is, as its leader knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// One past the last entry it has acknowledged as durable; `None` before its first answer.
    pub log_end: Option<LogIndex>,
    /// How long ago it last answered; `None` if never in this process.
    pub since_answer: Option<Duration>,
    /// How long ago it last had everything that the leader's log had; `None` if never in this
    /// process.
    pub since_caught_up: Option<Duration>,
}

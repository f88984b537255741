//! What brokers ask for themselves: that they live, and who is in sync with the partitions they lead.

use ottla_storage::ids::{DirectoryId, LeaderEpoch};

use crate::metadata::{
    BrokerEpoch, BrokerId, ImageVersion, PartitionEpoch, RecoveryState, TopicId,
};

/// A broker says that it lives, and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The broker.
    pub broker: BrokerId,
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// The version of the image that its replicas work by.
    pub applied: ImageVersion,
    /// It can't serve (yet).
    pub wants_fence: bool,
    /// It wants to stop.
    pub wants_shut_down: bool,
    /// Directories that failed since it started.
    pub offline_directories: Vec<DirectoryId>,
}

/// What the controller says to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// Whether the broker works by an image that has its own registration.
    pub is_caught_up: bool,
    /// Whether it may neither lead nor be in sync.
    pub is_fenced: bool,
    /// Whether nothing holds it any more.
    pub should_shut_down: bool,
}

/// A leader wants to change who is in sync with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartition {
    /// The leader.
    pub broker: BrokerId,
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// By topic. Each partition is judged by itself.
    pub topics: Vec<(TopicId, Vec<AlterPartitionOne>)>,
}

/// The change of one partition, in the numbers of the wire: they come from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterPartitionOne {
    /// The partition.
    pub partition: i32,
    /// The reign that asks.
    pub leader_epoch: i32,
    /// The state that shall be changed.
    pub partition_epoch: i32,
    /// Who shall be in sync: broker and broker epoch, -1 if unknown.
    pub isr: Vec<(i32, i64)>,
    /// 0 recovered, 1 recovering.
    pub recovery_state: i8,
}

/// A partition as the controller has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlteredPartition {
    /// Who leads.
    pub leader: Option<BrokerId>,
    /// Its reign.
    pub leader_epoch: LeaderEpoch,
    /// Who is in sync.
    pub isr: Vec<BrokerId>,
    /// Whether the leader may lack records.
    pub recovery_state: RecoveryState,
    /// The state that the next change names.
    pub partition_epoch: PartitionEpoch,
}

/// What became of each partition, by topic, in the order of the command.
pub type AlteredPartitions = Vec<(
    TopicId,
    Vec<(i32, Result<AlteredPartition, AlterPartitionError>)>,
)>;

/// Why a partition was not changed, in the order in which it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterPartitionError {
    /// Nothing has the topic's id.
    #[error("no topic has this id")]
    UnknownTopic,
    /// The topic has no such partition.
    #[error("the topic has no such partition")]
    UnknownPartition,
    /// The leader knows of a later state than this controller.
    #[error("the request is ahead of this controller, which may be deposed")]
    NotController,
    /// The reign is over.
    #[error("the partition is in leader epoch {current}")]
    FencedLeaderEpoch {
        /// The current one.
        current: LeaderEpoch,
    },
    /// Only the leader changes the ISR.
    #[error("the sender does not lead the partition")]
    NotLeader,
    /// The partition has changed since.
    #[error("the partition is at epoch {current}")]
    InvalidUpdateVersion {
        /// The current one.
        current: PartitionEpoch,
    },
    /// Not a set of replicas.
    #[error("the ISR is not a set of the partition's replicas")]
    NotReplicas,
    /// A leader is in sync with itself.
    #[error("the ISR lacks the leader")]
    WithoutLeader,
    /// No such state, or one that does not go with the ISR or with what the partition was.
    #[error("the partition can't have this recovery state")]
    RecoveryState,
    /// A member is not registered, fenced, stopping, another process by now, or its directory is offline.
    #[error("broker {broker} can't be in sync")]
    IneligibleReplica {
        /// The first such member.
        broker: BrokerId,
    },
    /// The request names the partition twice.
    #[error("the request names the partition twice")]
    Duplicate,
    /// The request changes more partitions than one entry takes; this one was left out.
    #[error("the request changes too many partitions at once")]
    NotAttempted,
    /// It was changed, and now the sender does not lead it any more.
    #[error("the change ended the sender's leadership")]
    NewLeaderElected,
}

//! What brokers say of the directories that their replicas lie in.

use ottla_storage::ids::DirectoryId;

use crate::metadata::{BrokerEpoch, BrokerId, TopicId};

/// A broker says where some of its replicas lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignReplicas {
    /// The broker.
    pub broker: BrokerId,
    /// Its registration.
    pub epoch: BrokerEpoch,
    /// Partitions, each judged by itself.
    pub directories: ByDirectory<i32>,
}

/// Partitions by directory, then by topic.
pub type ByDirectory<T> = Vec<(DirectoryId, Vec<(TopicId, Vec<T>)>)>;

/// What became of each partition, in the order of the command.
pub type AssignedReplicas = ByDirectory<AssignedReplica>;

/// A partition, and whether the metadata now have its directory.
pub type AssignedReplica = (i32, Result<(), AssignReplicaError>);

/// Why the directory of a replica was not noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignReplicaError {
    /// Nothing has the topic's id.
    #[error("no topic has this id")]
    UnknownTopic,
    /// The topic has no such partition.
    #[error("the topic has no such partition")]
    UnknownPartition,
    /// The sender holds none of its replicas.
    #[error("the sender has no replica of the partition")]
    NotReplica,
    /// A replica that lies somewhere can't be said to lie nowhere yet.
    #[error("the id names no directory")]
    NotADirectory,
    /// The request names the partition twice.
    #[error("the request names the partition twice")]
    Duplicate,
    /// The request changes more partitions than one entry takes; this one was left out.
    #[error("the request changes too many partitions at once")]
    NotAttempted,
}

//! Elections that somebody asks for.

use super::OperationTooLarge;

/// Which replica shall lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionKind {
    /// The first of the replicas, if it is in sync.
    Preferred,
    /// Any that is there, for a partition that nobody leads: what the others had and it lacks is lost.
    Unclean,
}

/// Elections to hold.
#[derive(Clone, Debug)]
pub struct ElectLeaders {
    /// Which.
    pub kind: ElectionKind,
    /// Of these partitions, by topic; `None` is all.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// One topic's elections, each partition once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicElections {
    /// The topic.
    pub topic: String,
    /// What became of each partition. Of all partitions, those that need no election are left out.
    pub partitions: Vec<(i32, Result<(), ElectionError>)>,
}

/// Why nobody was elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// There is no such topic or partition.
    #[error("there is no such partition")]
    UnknownPartition,
    /// The preferred replica leads already, or somebody leads and an unclean election was asked for.
    #[error("the partition needs no election")]
    NotNeeded,
    /// The preferred replica is not in sync, or its broker is fenced or stops.
    #[error("the preferred replica is not in sync, or its broker is away")]
    PreferredNotAvailable,
    /// No replica's broker is there.
    #[error("the brokers of all replicas are away")]
    NobodyAvailable,
    /// More facts than one operation may make.
    #[error(transparent)]
    TooLarge(#[from] OperationTooLarge),
}

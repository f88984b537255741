//! What the controller can be asked for, what it answers, and every reason to refuse.
//!
//! Commands are intentions: they never enter the quorum's log. Errors carry the facts a reader needs;
//! which error code of Kafka each one is stands in `broker/admin_error.rs`.

mod directories;
mod elections;
mod replication;

use std::collections::BTreeMap;

use ottla_storage::ids::DirectoryId;

use crate::config::TopicConfigError;
use crate::config::key::ValueError;
use crate::metadata::image::FeatureRange;
use crate::metadata::record::EndpointRecord;
use crate::metadata::{BrokerEpoch, BrokerId, Incarnation, Overrides, TopicId};

pub use directories::{
    AssignReplicaError, AssignReplicas, AssignedReplica, AssignedReplicas, ByDirectory,
};
pub use elections::{ElectLeaders, ElectionError, ElectionKind, TopicElections};
pub use replication::{
    AlterPartition, AlterPartitionError, AlterPartitionOne, AlteredPartition, AlteredPartitions,
    Heartbeat, HeartbeatAnswer,
};

/// One request to the controller.
#[derive(Clone, Debug)]
pub enum Command {
    /// Create topics.
    CreateTopics(CreateTopics),
    /// Delete topics.
    DeleteTopics(DeleteTopics),
    /// Add partitions to topics.
    CreatePartitions(CreatePartitions),
    /// Change dynamic configs.
    AlterConfigs(AlterConfigs),
    /// Register a broker's process.
    RegisterBroker(RegisterBroker),
    /// Fence a broker, let it in, or let it go.
    ChangeBroker(ChangeBroker),
    /// Change who is in sync with a leader.
    AlterPartition(AlterPartition),
    /// Note in which directories a broker's replicas lie.
    AssignReplicas(AssignReplicas),
    /// Hear that a broker lives.
    Heartbeat(Heartbeat),
    /// Elect leaders.
    ElectLeaders(ElectLeaders),
    /// Bring leaderships back to preferred replicas: the controller's own.
    BalanceLeaders,
    /// Give a broker a block of producer ids.
    AllocateProducerIds {
        /// The broker.
        broker: BrokerId,
        /// Its registration.
        epoch: BrokerEpoch,
    },
}

impl Command {
    /// Whether it goes before the users' bulk work: the cluster's health hangs on it.
    pub const fn is_urgent(&self) -> bool {
        match self {
            Self::RegisterBroker(_)
            | Self::ChangeBroker(_)
            | Self::AlterPartition(_)
            | Self::AssignReplicas(_)
            | Self::Heartbeat(_)
            | Self::AllocateProducerIds { .. } => true,
            Self::CreateTopics(_)
            | Self::DeleteTopics(_)
            | Self::CreatePartitions(_)
            | Self::ElectLeaders(_)
            | Self::BalanceLeaders
            | Self::AlterConfigs(_) => false,
        }
    }
}

/// What became of a command, one result per item in the order of the command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of [`Command::CreateTopics`].
    CreateTopics(Vec<Result<CreatedTopic, CreateTopicError>>),
    /// Of [`Command::DeleteTopics`].
    DeleteTopics(Vec<Result<DeletedTopic, DeleteTopicError>>),
    /// Of [`Command::CreatePartitions`].
    CreatePartitions(Vec<Result<(), CreatePartitionsError>>),
    /// Of [`Command::AlterConfigs`].
    AlterConfigs(Vec<Result<(), AlterConfigsError>>),
    /// Of [`Command::RegisterBroker`].
    RegisterBroker(Result<BrokerEpoch, RegisterError>),
    /// Of [`Command::ChangeBroker`].
    ChangeBroker(Result<(), ChangeBrokerError>),
    /// Of [`Command::AlterPartition`].
    AlterPartition(Result<AlteredPartitions, ChangeBrokerError>),
    /// Of [`Command::AssignReplicas`].
    AssignReplicas(Result<AssignedReplicas, ChangeBrokerError>),
    /// Of [`Command::Heartbeat`].
    Heartbeat(Result<HeartbeatAnswer, ChangeBrokerError>),
    /// Of [`Command::ElectLeaders`].
    ElectLeaders(Vec<TopicElections>),
    /// Of [`Command::BalanceLeaders`].
    BalanceLeaders,
    /// Of [`Command::AllocateProducerIds`].
    AllocateProducerIds(Result<ProducerIdBlock, AllocateError>),
}

/// Topics to create.
#[derive(Clone, Debug, Default)]
pub struct CreateTopics {
    /// In the order of the request.
    pub topics: Vec<NewTopic>,
    /// Decide, and write nothing.
    pub validate_only: bool,
}

/// A topic to create.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// -1 is the default.
    pub partitions: i32,
    /// -1 is the default.
    pub replication_factor: i16,
    /// Replicas by partition, if the client chose them.
    pub assignments: Vec<Assignment>,
    /// Overrides; `None` is a null value.
    pub configs: Vec<(String, Option<String>)>,
}

/// The replicas of one partition, as a client names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: i32,
    /// Its replicas.
    pub brokers: Vec<i32>,
}

/// A topic that was created, or would have been.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedTopic {
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
    /// Its overrides.
    pub overrides: Overrides,
}

/// Why a topic was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// The request names it twice.
    #[error("Duplicate topic name.")]
    Duplicate,
    /// The name of the quorum's own log.
    #[error("Creation of internal topic __cluster_metadata is prohibited.")]
    Reserved,
    /// The name isn't one.
    #[error("Topic name is invalid: {0}")]
    Name(NameError),
    /// A topic is called so.
    #[error("Topic '{name}' already exists.")]
    Exists {
        /// Its name.
        name: String,
    },
    /// A name that differs only in '.' and '_'.
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collision {
        /// The name wanted.
        name: String,
        /// The name in the way.
        existing: String,
    },
    /// Configs without a value.
    #[error("Null value not supported for topic configs: {}", keys.join(","))]
    NullConfig {
        /// The keys.
        keys: Vec<String>,
    },
    /// A config isn't legal.
    #[error(transparent)]
    Config(#[from] TopicConfigError),
    /// Replicas were chosen and a number was given, too.
    #[error("A manual partition assignment was specified, but {what} was not set to -1.")]
    NumberWithAssignment {
        /// Which number.
        what: &'static str,
    },
    /// The chosen replicas can't be.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The number of partitions isn't legal.
    #[error("Number of partitions was set to an invalid non-positive value.")]
    Partitions,
    /// The replicas can't be placed.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// More facts than one operation may make.
    #[error(transparent)]
    TooLarge(#[from] OperationTooLarge),
}

/// What is wrong with a topic's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing.
    #[error("the empty string is not allowed")]
    Empty,
    /// "." or "..".
    #[error("'.' or '..' is not allowed")]
    Dots,
    /// More than 249 characters.
    #[error("the length of '{name}' is longer than the max allowed length 249")]
    Length {
        /// The name.
        name: String,
    },
    /// Something else than letters, digits, '.', '_' and '-'.
    #[error(
        "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters {
        /// The name.
        name: String,
    },
}

/// Why chosen replicas can't be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// A partition is named twice.
    #[error("Found multiple manual partition assignments for partition {partition}")]
    DuplicatePartition {
        /// The partition.
        partition: i32,
    },
    /// The partitions are not 0, 1, 2, ...
    #[error("partitions should be a consecutive 0-based integer sequence")]
    Gap,
    /// A partition without replicas.
    #[error("The manual partition assignment includes an empty replica list.")]
    Empty,
    /// A broker is named twice.
    #[error("The manual partition assignment includes the broker {broker} more than once.")]
    DuplicateBroker {
        /// The broker.
        broker: i32,
    },
    /// Nobody registered by that number.
    #[error(
        "The manual partition assignment includes broker {broker}, but no such broker is registered."
    )]
    UnknownBroker {
        /// The broker.
        broker: i32,
    },
    /// Partitions with different numbers of replicas.
    #[error(
        "The manual partition assignment includes a partition with {found} replica(s), but this is \
         not consistent with previous partitions, which have {expected} replica(s)."
    )]
    ReplicationFactor {
        /// Of this partition.
        found: usize,
        /// Of the others.
        expected: usize,
    },
    /// No replica is active.
    #[error(
        "All brokers specified in the manual partition assignment for partition {partition} are fenced or in controlled shutdown."
    )]
    NobodyActive {
        /// The partition.
        partition: i32,
    },
    /// As many assignments as partitions to add are needed.
    #[error(
        "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
    )]
    Count {
        /// Partitions to add.
        added: i64,
        /// Assignments given.
        assigned: usize,
    },
}

/// Why replicas can't be placed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Zero, or negative and not -1.
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    NotPositive,
    /// Every broker is fenced.
    #[error("All brokers are currently fenced.")]
    NobodyActive,
    /// More replicas than brokers.
    #[error(
        "The target replication factor of {wanted} cannot be reached because only {registered} broker(s) are registered."
    )]
    TooFewBrokers {
        /// Replicas wanted.
        wanted: usize,
        /// Brokers that could hold one.
        registered: usize,
    },
}

/// An operation that makes too many facts to be atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "The operation would make more than {max} metadata records, which is the limit of one operation; split it."
)]
pub struct OperationTooLarge {
    /// The limit.
    pub max: usize,
}

/// Topics to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteTopics {
    /// In the order of the request.
    pub topics: Vec<TopicRef>,
}

/// A topic as a client names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// A topic that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its id.
    pub id: TopicId,
    /// Its name.
    pub name: String,
}

/// Why a topic was not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeleteTopicError {
    /// `delete.topic.enable` is false.
    #[error("Topic deletion is disabled.")]
    Disabled,
    /// The request names it twice, by name or by id.
    #[error("Duplicate topic name or topic id.")]
    Duplicate,
    /// Nothing is called so.
    #[error("This server does not host this topic-partition.")]
    UnknownName,
    /// Nothing has that id.
    #[error("This server does not host this topic ID.")]
    UnknownId,
}

/// Partitions to add.
#[derive(Clone, Debug, Default)]
pub struct CreatePartitions {
    /// In the order of the request.
    pub topics: Vec<MorePartitions>,
    /// Decide, and write nothing.
    pub validate_only: bool,
}

/// Partitions to add to one topic.
#[derive(Clone, Debug)]
pub struct MorePartitions {
    /// The topic.
    pub topic: String,
    /// How many partitions it shall have.
    pub total: i32,
    /// Replicas of each new partition, if the client chose them.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why no partitions were added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreatePartitionsError {
    /// The request names the topic twice.
    #[error("Duplicate topic name.")]
    Duplicate,
    /// Nothing is called so.
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    /// It has that many.
    #[error("Topic already has {current} partition(s).")]
    Unchanged {
        /// How many it has.
        current: usize,
    },
    /// It has more.
    #[error(
        "The topic {topic} currently has {current} partition(s); {total} would not be an increase."
    )]
    Fewer {
        /// The topic.
        topic: String,
        /// How many it has.
        current: usize,
        /// How many were asked for.
        total: i32,
    },
    /// What is in which of its partitions follows from their number.
    #[error(
        "The number of partitions of {topic} can't be changed: coordinators would look for what it holds elsewhere."
    )]
    Internal {
        /// The topic.
        topic: String,
    },
    /// The chosen replicas can't be.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The replicas can't be placed.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// More facts than one operation may make.
    #[error(transparent)]
    TooLarge(#[from] OperationTooLarge),
}

/// Dynamic configs to change.
#[derive(Clone, Debug, Default)]
pub struct AlterConfigs {
    /// In the order of the request.
    pub resources: Vec<AlterResource>,
    /// Decide, and write nothing.
    pub validate_only: bool,
}

/// The changes of one resource.
#[derive(Clone, Debug)]
pub struct AlterResource {
    /// What is configured.
    pub resource: NamedResource,
    /// The changes.
    pub change: ConfigChange,
}

/// A resource as a client names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamedResource {
    /// A topic.
    Topic(String),
    /// One broker, or all brokers by the empty name.
    Broker(String),
    /// Something that has no dynamic configs here.
    Other {
        /// Its type's number.
        kind: i8,
        /// Its name.
        name: String,
    },
}

/// How a resource's configs change.
#[derive(Clone, Debug)]
pub enum ConfigChange {
    /// Key by key.
    Incremental(Vec<(String, ConfigOp)>),
    /// The given ones are all there are; a null value is refused.
    Replace(Vec<(String, Option<String>)>),
}

/// What happens to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigOp {
    /// It gets this value.
    Set(Option<String>),
    /// It falls back to the default.
    Delete,
    /// A list gets these items.
    Append(Option<String>),
    /// A list loses these items.
    Subtract(Option<String>),
}

/// Why configs were not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlterConfigsError {
    /// The request names the resource twice.
    #[error("Each resource must appear at most once.")]
    DuplicateResource,
    /// The request names a key twice.
    #[error("Error due to duplicate config keys: {key}")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A value is null.
    #[error("Null value not supported for : {key}")]
    NullValue {
        /// The key.
        key: String,
    },
    /// No such topic.
    #[error("The topic '{topic}' does not exist.")]
    UnknownTopic {
        /// Its name.
        topic: String,
    },
    /// The topic's name isn't one.
    #[error("Topic name is invalid: {0}")]
    Name(NameError),
    /// The broker's name isn't a number.
    #[error("Unable to parse broker name '{name}' as a number from 0.")]
    BrokerName {
        /// The name.
        name: String,
    },
    /// No such broker.
    #[error("No broker with id {broker} is registered.")]
    UnknownBroker {
        /// The broker.
        broker: BrokerId,
    },
    /// Nothing of this type can be configured.
    #[error("Resources of type {kind} have no configs that can be altered here.")]
    UnsupportedResource {
        /// The type's number.
        kind: i8,
    },
    /// Items can be added to and taken from lists only.
    #[error("Can't {op} to key {key} because its type is not LIST.")]
    NotAList {
        /// The operation.
        op: &'static str,
        /// The key.
        key: String,
    },
    /// A topic config isn't legal.
    #[error(transparent)]
    Topic(#[from] TopicConfigError),
    /// A broker config has an unknown name.
    #[error("Unknown broker config name: {key}")]
    UnknownBrokerKey {
        /// The key.
        key: String,
    },
    /// A broker config can't change while the broker runs.
    #[error("Cannot update these configs dynamically: {key}")]
    ReadOnly {
        /// The key.
        key: String,
    },
    /// Replicas of one partition must agree on it.
    #[error("Broker-level {key} cannot be altered: set it for the topic or for the whole cluster.")]
    NotPerBroker {
        /// The key.
        key: String,
    },
    /// A value isn't legal.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// A value is longer than Kafka's limit.
    #[error("The configuration value of {key} exceeds the maximum value size of {max} bytes.")]
    ValueTooLong {
        /// The key.
        key: String,
        /// The limit.
        max: usize,
    },
    /// More facts than one operation may make.
    #[error(transparent)]
    TooLarge(#[from] OperationTooLarge),
}

/// A broker's process that wants to be registered.
#[derive(Clone, Debug)]
pub struct RegisterBroker {
    /// The broker.
    pub broker: BrokerId,
    /// The process.
    pub incarnation: Incarnation,
    /// The epoch that its clean stop left behind: the proof that nothing acknowledged was lost.
    pub previous_epoch: Option<BrokerEpoch>,
    /// Addresses by listener name.
    pub endpoints: Vec<EndpointRecord>,
    /// The failure domain.
    pub rack: Option<String>,
    /// Data directories that are online.
    pub directories: Vec<DirectoryId>,
    /// Levels of `ottla.version` it works with.
    pub feature: FeatureRange,
}

/// Why a broker was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Another process has the id and lives.
    #[error("Another broker is registered with id {broker}.")]
    Duplicate {
        /// The id.
        broker: BrokerId,
    },
    /// No directory, a reserved one, or one twice.
    #[error("The directories of the registration are empty, reserved or repeated.")]
    Directories,
    /// A directory belongs to another broker.
    #[error("Broker {owner} is already registered with the directory {directory}.")]
    DirectoryOwned {
        /// The other broker.
        owner: BrokerId,
        /// The directory.
        directory: DirectoryId,
    },
    /// The cluster's level is beyond the broker.
    #[error("The cluster works at ottla.version {level}, the broker supports {min} to {max}.")]
    Feature {
        /// The cluster's.
        level: u16,
        /// The broker's lowest.
        min: u16,
        /// The broker's highest.
        max: u16,
    },
    /// The counter of registrations is used up.
    #[error("No broker epoch is left.")]
    NoEpochLeft,
}

/// A change of a broker's state.
#[derive(Clone, Copy, Debug)]
pub struct ChangeBroker {
    /// The broker.
    pub broker: BrokerId,
    /// The registration that is meant.
    pub epoch: BrokerEpoch,
    /// What it becomes.
    pub to: BrokerState,
}

/// What a broker becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerState {
    /// It leads nothing and is in no ISR.
    Fenced,
    /// It may lead and be in ISRs.
    Unfenced,
    /// It hands its leaderships over and stops.
    ShuttingDown,
    /// Its registration is gone.
    Unregistered,
}

/// Why a broker's state was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeBrokerError {
    /// Nobody is registered by that id.
    #[error("Broker {broker} is not registered.")]
    NotRegistered {
        /// The id.
        broker: BrokerId,
    },
    /// Another registration is the current one.
    #[error("Broker {broker} has the epoch {current}, not {given}.")]
    StaleEpoch {
        /// The broker.
        broker: BrokerId,
        /// Its epoch.
        current: BrokerEpoch,
        /// The epoch given.
        given: BrokerEpoch,
    },
}

/// A block of producer ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first id.
    pub first: i64,
    /// How many.
    pub count: i32,
}

/// Why no producer ids were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocateError {
    /// The broker's registration isn't the current one.
    #[error(transparent)]
    Broker(#[from] ChangeBrokerError),
    /// All 2^63 were given out.
    #[error("No producer id is left.")]
    NoneLeft,
}

impl NewTopic {
    /// With the cluster's defaults.
    pub fn with_defaults(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: Vec::new(),
        }
    }
}

impl CreateTopics {
    /// One topic with the cluster's defaults.
    pub fn with_defaults(name: &str) -> Self {
        Self {
            topics: vec![NewTopic::with_defaults(name)],
            validate_only: false,
        }
    }
}

/// Counts how often each item is there, to refuse what a request names twice.
pub(super) fn occurrences<'a, T: Ord + 'a>(
    items: impl Iterator<Item = &'a T>,
) -> BTreeMap<&'a T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts
}

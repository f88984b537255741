//! Commands become facts: pure functions of the image, the command and drawn randomness.
//!
//! - A decision's facts apply to the image it was decided on; `driver` checks it, tests rely on it.
//! - A user's operation is atomic and makes at most [`Settings::operation_records_max`] facts. What
//!   the cluster itself must do (fencing) is cut into steps instead: see [`Decision::is_last`].

mod brokers;
mod configs;
mod directories;
mod draw;
mod elections;
mod heartbeat;
mod isr;
mod partitions;
mod placement;
mod producer_ids;
mod topics;

use std::time::Duration;

use crate::config::layers::MIN_INSYNC_REPLICAS;
use crate::config::{Layers, NodeConfig, StaticConfig, TopicConfig};
use crate::controller::Sessions;
use crate::controller::command::{Command, Outcome};
use crate::metadata::record::{FEATURE, FEATURE_MAX, Record, Resource};
use crate::metadata::{MetadataImage, TopicImage};

pub use draw::Draw;
pub use topics::check_name;

/// What one user operation may make at most.
pub const OPERATION_RECORDS_MAX: usize = 100_000;
/// What one step of an unlimited operation makes at most.
pub(crate) const STEP_RECORDS_MAX: usize = 4_096;

/// The node's own settings that decisions depend on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `num.partitions`.
    pub partitions_default: i32,
    /// `default.replication.factor`; `None` is min(3, brokers).
    pub replication_factor_default: Option<i16>,
    /// Nodes that the quorum was to begin with. They count as brokers before they have registered: the first of three that
    /// is up would otherwise make topics with one replica for good, those of the consumer groups too.
    pub founder_count: usize,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// Facts that one user operation may make.
    pub operation_records_max: usize,
    /// `broker.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `inter.broker.listener.name`: where brokers, this one too, reach each other.
    pub inter_broker_listener: String,
    /// `auto.leader.rebalance.enable`.
    pub rebalances_leaders: bool,
    /// `leader.imbalance.check.interval.seconds`.
    pub balance_interval: Duration,
    /// What was given at start: the lowest layer of topic configs.
    pub fixed: StaticConfig,
}

impl Settings {
    /// The settings of a node.
    pub fn new(config: &NodeConfig) -> Self {
        Self {
            partitions_default: config.broker.partitions_default,
            replication_factor_default: config.broker.replication_factor_default,
            founder_count: config.peers.len(),
            delete_topics: config.broker.delete_topics,
            operation_records_max: OPERATION_RECORDS_MAX,
            session_timeout: config.controller.session_timeout,
            inter_broker_listener: config.inter_broker_listener.clone(),
            rebalances_leaders: config.controller.rebalances_leaders,
            balance_interval: config.controller.balance_interval,
            fixed: config.values.clone(),
        }
    }

    /// A topic's configuration as the controller sees it: dynamic values of single brokers aside.
    fn topic_config(&self, image: &MetadataImage, topic: &TopicImage) -> TopicConfig {
        let layers = Layers {
            topic: image.topic_overrides(topic.id()),
            broker: None,
            cluster: image.cluster_overrides(),
            fixed: &self.fixed,
        };
        TopicConfig::resolve(&layers, topic.replication_factor())
    }
}

/// Facts, and the answer once they are applied.
#[derive(Clone, Debug)]
pub struct Decision<T> {
    /// The facts.
    pub records: Vec<Record>,
    /// The answer.
    pub outcome: T,
    /// Whether this is all. If not, the same command is decided again once these facts are applied,
    /// and only the last outcome counts.
    pub is_last: bool,
}

impl<T> Decision<T> {
    const fn last(records: Vec<Record>, outcome: T) -> Self {
        Self {
            records,
            outcome,
            is_last: true,
        }
    }

    fn map<U>(self, wrap: impl FnOnce(T) -> U) -> Decision<U> {
        Decision {
            records: self.records,
            outcome: wrap(self.outcome),
            is_last: self.is_last,
        }
    }
}

/// Decides one command over an image, and over what was heard of brokers.
pub fn decide(
    settings: &Settings,
    image: &MetadataImage,
    command: &Command,
    draw: &mut Draw,
    sessions: &Sessions,
) -> Decision<Outcome> {
    match command {
        Command::CreateTopics(command) => {
            topics::create(settings, image, command, draw).map(Outcome::CreateTopics)
        }
        Command::DeleteTopics(command) => {
            topics::delete(settings, image, command).map(Outcome::DeleteTopics)
        }
        Command::CreatePartitions(command) => {
            topics::add_partitions(settings, image, command, draw).map(Outcome::CreatePartitions)
        }
        Command::AlterConfigs(command) => {
            configs::alter(settings, image, command).map(Outcome::AlterConfigs)
        }
        Command::ElectLeaders(command) => {
            elections::elect(settings, image, command).map(Outcome::ElectLeaders)
        }
        Command::BalanceLeaders => {
            elections::balance(settings, image).map(|()| Outcome::BalanceLeaders)
        }
        Command::RegisterBroker(command) => {
            brokers::register(settings, image, command).map(Outcome::RegisterBroker)
        }
        Command::ChangeBroker(command) => {
            brokers::change(settings, image, command).map(Outcome::ChangeBroker)
        }
        Command::AlterPartition(command) => {
            isr::alter(settings, image, command).map(Outcome::AlterPartition)
        }
        Command::AssignReplicas(command) => {
            directories::assign(settings, image, command).map(Outcome::AssignReplicas)
        }
        Command::Heartbeat(command) => {
            heartbeat::hear(settings, image, command, sessions).map(Outcome::Heartbeat)
        }
        Command::AllocateProducerIds { broker, epoch } => {
            producer_ids::allocate(image, *broker, *epoch).map(Outcome::AllocateProducerIds)
        }
    }
}

/// The facts that come before all others in a new cluster.
pub fn first_records(settings: &Settings, image: &MetadataImage) -> Vec<Record> {
    if image.feature_level() > 0 {
        return Vec::new();
    }
    let level = Record::FeatureLevel {
        name: FEATURE.to_owned(),
        level: FEATURE_MAX,
    };
    let given = settings.fixed.text(MIN_INSYNC_REPLICAS);
    let min_insync = given.map(|value| Record::Config {
        resource: Resource::Cluster,
        key: MIN_INSYNC_REPLICAS.to_owned(),
        value: Some(value.to_owned()),
    });
    [level].into_iter().chain(min_insync).collect()
}

#[cfg(test)]
pub(crate) mod tests;

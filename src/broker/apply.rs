//! From a change of the metadata to the replicas of this broker.
//!
//! - Deletions come before creations, so that a topic made again under its name finds its place free.
//! - Settings come before the in-sync sets that were decided over them: a set that is too small for a raised minimum must
//!   commit nothing under the old one.
//! - Partitions are keyed by topic id: a stale name never reaches another topic's log.
//! - One step that fails leaves the others to go on: each replica carries its own failure.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_storage::DirectoryId;
use ottla_storage::journal::LogKey;
use ottla_storage::log_dir::LogDir;

use super::{Broker, housekeeping};
use crate::config::{Layers, StaticConfig, TopicConfig};
use crate::metadata::publisher::{Published, Subscription};
use crate::metadata::{
    BrokerId, BrokerImage, ConfigResource, ImageVersion, MetadataDelta, MetadataImage,
    PartitionImage, PartitionIndex, TopicId,
};
use crate::replica::{PartitionChange, ReplicaKey, Replicas};

/// Whose replicas follow the metadata, and what it was told at start.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// This broker.
    pub id: BrokerId,
    /// The lowest layer of topic configs.
    pub fixed: &'a StaticConfig,
    /// What it holds.
    pub replicas: &'a Replicas,
}

impl Broker {
    pub(crate) fn here(&self) -> Here<'_> {
        Here {
            id: self.id,
            fixed: &self.config.values,
            replicas: &self.replicas,
        }
    }
}

/// The effective configuration of a topic on this broker.
pub fn topic_config(here: Here<'_>, image: &MetadataImage, topic: TopicId) -> TopicConfig {
    let replication_factor = image
        .topics()
        .by_id(topic)
        .map_or(1, |topic| topic.replication_factor());
    let layers = Layers {
        topic: image.topic_overrides(topic),
        broker: image.broker_overrides(here.id),
        cluster: image.cluster_overrides(),
        fixed: here.fixed,
    };
    TopicConfig::resolve(&layers, replication_factor)
}

/// Applies every published change, and sees to what needs doing from time to time, until the
/// publisher is gone.
pub async fn run(broker: Arc<Broker>, changes: Subscription) {
    tokio::select! {
        () = follow(&broker, changes) => {}
        () = housekeeping::run(&broker) => {}
    }
}

async fn follow(broker: &Broker, mut changes: Subscription) {
    while let Some(Published { delta, image }) = changes.next().await {
        apply(broker.here(), &delta, &image);
        broker.coordinators.metadata_changed(&delta, &image);
        broker.applied.send_replace(image.version());
    }
}

/// Applies one change.
pub fn apply(here: Here<'_>, delta: &MetadataDelta, image: &MetadataImage) {
    delete(here, delta);
    configure(here, delta, image);
    create_and_lead(here, delta, image);
    tell_of_brokers(here, delta, image.version());
    tell_of_directories(here, delta, image);
}

fn is_here(here: Here<'_>, partition: &PartitionImage) -> bool {
    partition.has_replica(here.id)
}

fn delete(here: Here<'_>, delta: &MetadataDelta) {
    let mut gone = Vec::new();
    for (id, topic) in &delta.topics_deleted {
        let here = topic
            .partitions()
            .filter(|(_, partition)| is_here(here, partition));
        gone.extend(here.map(|(partition, _)| ReplicaKey {
            topic: *id,
            partition,
        }));
    }
    for ((topic, partition), change) in &delta.partitions {
        let was_here = change.old.as_ref().is_some_and(|old| is_here(here, old));
        if was_here && !is_here(here, &change.new) {
            gone.push(ReplicaKey {
                topic: *topic,
                partition: *partition,
            });
        }
    }
    if !gone.is_empty() {
        here.replicas.delete(&gone);
    }
}

fn create_and_lead(here: Here<'_>, delta: &MetadataDelta, image: &MetadataImage) {
    let mut configs: HashMap<TopicId, TopicConfig> = HashMap::new();
    for (topic, _) in delta.partitions.keys() {
        configs
            .entry(*topic)
            .or_insert_with(|| topic_config(here, image, *topic));
    }
    let mut changes = Vec::new();
    for ((topic, partition), change) in &delta.partitions {
        let known = (image.topics().by_id(*topic), configs.get(topic));
        let (Some(named), Some(config)) = known else {
            continue;
        };
        if is_here(here, &change.new) {
            changes.push(PartitionChange {
                key: ReplicaKey {
                    topic: *topic,
                    partition: *partition,
                },
                topic: named.name(),
                partition: &change.new,
                config,
            });
        }
    }
    if !changes.is_empty() {
        here.replicas.apply(changes);
    }
}

/// Whoever is not active any more is waited for by no leader.
fn tell_of_brokers(here: Here<'_>, delta: &MetadataDelta, now: ImageVersion) {
    let is_active =
        |side: &Option<Arc<BrokerImage>>| side.as_ref().is_some_and(|broker| broker.is_active());
    let gone = delta.brokers.iter().filter(|(_, change)| {
        let is_other =
            change.old.as_ref().map(|old| old.epoch) != change.new.as_ref().map(|new| new.epoch);
        is_active(&change.old) && (is_other || !is_active(&change.new))
    });
    let gone: Vec<_> = gone
        .map(|(id, _)| *id)
        .filter(|id| *id != here.id)
        .collect();
    if !gone.is_empty() {
        here.replicas.brokers_gone(&gone, now);
    }
}

/// Nor is a replica whose directory went.
fn tell_of_directories(here: Here<'_>, delta: &MetadataDelta, image: &MetadataImage) {
    let tell = |topic: TopicId, index: PartitionIndex, partition: &PartitionImage| {
        if partition.leader != Some(here.id) {
            return;
        }
        for replica in partition.replicas.iter().filter(|id| **id != here.id) {
            if !is_online(image, partition, *replica) {
                let partition = index;
                let key = ReplicaKey { topic, partition };
                here.replicas.replica_gone(key, *replica, image.version());
            }
        }
    };
    for ((topic, index), change) in &delta.partitions {
        tell(*topic, *index, &change.new);
    }
    let has_lost_a_directory = delta.brokers.values().any(|change| {
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return false;
        };
        old.directories
            .iter()
            .any(|dir| !new.directories.contains(dir))
    });
    if has_lost_a_directory {
        for topic in image.topics().iter() {
            for (index, partition) in topic.partitions() {
                tell(topic.id(), index, partition);
            }
        }
    }
}

/// Whether the directory of a registered broker's replica is online.
pub(crate) fn is_online(
    image: &MetadataImage,
    partition: &PartitionImage,
    replica: BrokerId,
) -> bool {
    let found = image.brokers().find(replica);
    found
        .zip(partition.directory_of(replica))
        .is_some_and(|(found, directory)| found.is_online(directory))
}

fn configure(here: Here<'_>, delta: &MetadataDelta, image: &MetadataImage) {
    let is_for_all = delta.configs.iter().any(|resource| match resource {
        ConfigResource::Cluster => true,
        ConfigResource::Broker(id) => *id == here.id,
        ConfigResource::Topic(_) => false,
    });
    if is_for_all {
        for topic in image.topics().iter() {
            configure_topic(here, image, topic.id());
        }
        return;
    }
    for resource in &delta.configs {
        if let ConfigResource::Topic(topic) = resource {
            configure_topic(here, image, *topic);
        }
    }
}

fn configure_topic(here: Here<'_>, image: &MetadataImage, id: TopicId) {
    let Some(topic) = image.topics().by_id(id) else {
        return;
    };
    let config = topic_config(here, image, id);
    for (partition, _) in topic.partitions() {
        here.replicas.configure(
            ReplicaKey {
                topic: id,
                partition,
            },
            &config,
        );
    }
}

/// Sets aside the logs that no metadata know of, and old copies of replicas that went on in another directory: call it
/// once, when the image has caught up.
///
/// They are renamed, never removed: the metadata may be the part that is wrong.
pub fn set_strays_aside(here: Here<'_>, image: &MetadataImage) {
    for dir in here.replicas.directories() {
        for (key, state) in dir.logs() {
            let topic = TopicId::new(key.log.uuid());
            let partition = i32::try_from(key.partition).ok();
            let partition = partition.and_then(PartitionIndex::from_wire);
            let known = image.topics().by_id(topic).zip(partition);
            let known = known.and_then(|(topic, partition)| topic.partition(partition));
            let named = known.and_then(|partition| partition.directory_of(here.id));
            if named.is_some_and(|named| !goes_on_elsewhere(here, key, dir.id(), named)) {
                continue;
            }
            tracing::warn!(
                topic = %state.topic,
                partition = key.partition,
                dir = %dir.path().display(),
                "setting a stray log aside"
            );
            let report = move |result: Result<(), ottla_storage::log_dir::RemoveError>| {
                if let Err(error) = result {
                    tracing::warn!(log = %key, %error, "could not set a stray log aside");
                }
            };
            dir.set_aside(key, None, Box::new(report));
        }
    }
}

/// Whether a log's replica is known to lie in another directory, and does: its disk was away for a while.
fn goes_on_elsewhere(here: Here<'_>, key: LogKey, found: DirectoryId, named: DirectoryId) -> bool {
    let mut dirs = here.replicas.directories().iter();
    let is_there = |dir: &Arc<LogDir>| dir.id() == named && dir.log(key).is_some();
    named != found && dirs.any(is_there)
}

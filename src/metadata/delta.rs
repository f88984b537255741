//! What is different between two images: what the broker side acts on.
//!
//! - Computed by comparing, never by remembering: it is right across any number of entries and
//!   across a snapshot. Parts that both images share cost nothing.
//! - A topic is its id: one that was deleted and created again is in both lists, and deletions are
//!   acted on first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::metadata::image::cow_map::Change;
use crate::metadata::{
    BrokerId, BrokerImage, ConfigResource, MetadataImage, PartitionImage, PartitionIndex, TopicId,
    TopicImage,
};

/// A partition that is new or different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDelta {
    /// What it was; `None` if it is new.
    pub old: Option<Arc<PartitionImage>>,
    /// What it is.
    pub new: Arc<PartitionImage>,
}

/// A broker that is new, different or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDelta {
    /// What it was; `None` if it is new.
    pub old: Option<Arc<BrokerImage>>,
    /// What it is; `None` if it is gone.
    pub new: Option<Arc<BrokerImage>>,
}

/// The difference between two images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataDelta {
    /// Topics that are gone, as they were.
    pub topics_deleted: BTreeMap<TopicId, Arc<TopicImage>>,
    /// Topics that are new; their partitions are in `partitions`, too.
    pub topics_created: BTreeMap<TopicId, Arc<TopicImage>>,
    /// New and different partitions.
    pub partitions: BTreeMap<(TopicId, PartitionIndex), PartitionDelta>,
    /// Resources whose dynamic configs are different. A deleted topic is not among them.
    pub configs: BTreeSet<ConfigResource>,
    /// Registrations that are different.
    pub brokers: BTreeMap<BrokerId, BrokerDelta>,
}

impl MetadataDelta {
    /// What makes `new` out of `old`.
    pub fn between(old: &MetadataImage, new: &MetadataImage) -> Self {
        let mut delta = Self::default();
        delta.compare_topics(old, new);
        delta.compare_configs(old, new);
        delta.compare_brokers(old, new);
        delta
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn compare_topics(&mut self, old: &MetadataImage, new: &MetadataImage) {
        for change in old
            .topics()
            .by_id_map()
            .diff(new.topics().by_id_map(), Arc::ptr_eq)
        {
            match change {
                Change::Removed(id, topic) => {
                    self.topics_deleted.insert(*id, topic.clone());
                }
                Change::Added(id, topic) => {
                    self.topics_created.insert(*id, topic.clone());
                    for (index, partition) in topic.partitions() {
                        self.add_partition(*id, index, None, partition);
                    }
                }
                Change::Changed(id, was, is) => self.compare_partitions(*id, was, is),
            }
        }
    }

    fn compare_partitions(&mut self, id: TopicId, was: &TopicImage, is: &TopicImage) {
        let is_same =
            |a: &Arc<PartitionImage>, b: &Arc<PartitionImage>| Arc::ptr_eq(a, b) || a == b;
        for change in was.partition_map().diff(is.partition_map(), is_same) {
            match change {
                Change::Added(index, new) => self.add_partition(id, *index, None, new),
                Change::Changed(index, old, new) => {
                    self.add_partition(id, *index, Some(old.clone()), new);
                }
                // A topic never loses partitions while it lives.
                Change::Removed(..) => {}
            }
        }
    }

    fn add_partition(
        &mut self,
        id: TopicId,
        index: PartitionIndex,
        old: Option<Arc<PartitionImage>>,
        new: &Arc<PartitionImage>,
    ) {
        self.partitions.insert(
            (id, index),
            PartitionDelta {
                old,
                new: new.clone(),
            },
        );
    }

    fn compare_configs(&mut self, old: &MetadataImage, new: &MetadataImage) {
        let (was, is) = (
            old.configs().by_resource_map(),
            new.configs().by_resource_map(),
        );
        let resources = was
            .diff(is, PartialEq::eq)
            .into_iter()
            .map(|change| match change {
                Change::Added(resource, _)
                | Change::Removed(resource, _)
                | Change::Changed(resource, ..) => *resource,
            });
        self.configs = resources
            .filter(|resource| match resource {
                ConfigResource::Topic(id) => !self.topics_deleted.contains_key(id),
                ConfigResource::Broker(_) | ConfigResource::Cluster => true,
            })
            .collect();
    }

    fn compare_brokers(&mut self, old: &MetadataImage, new: &MetadataImage) {
        let (was, is) = (old.brokers().by_id_map(), new.brokers().by_id_map());
        for change in was.diff(is, PartialEq::eq) {
            let (id, old, new) = match change {
                Change::Added(id, new) => (id, None, Some(new.clone())),
                Change::Removed(id, old) => (id, Some(old.clone()), None),
                Change::Changed(id, old, new) => (id, Some(old.clone()), Some(new.clone())),
            };
            self.brokers.insert(*id, BrokerDelta { old, new });
        }
    }
}

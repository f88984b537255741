//! The metadata at one version: an immutable value that is cheap to clone and to change.
//!
//! - [`MetadataImage::apply`] is total: an entry makes the next image, or is a counted rejection that
//!   changes nothing else. Which of the two is a function of the image and the entry (M1).
//! - `digest` is a function of the content, kept up to date with each change.
//! - Clones share everything: maps are chunked behind `Arc`s, so a change copies a few small pieces.

mod apply;
mod brokers;
mod configs;
pub(crate) mod cow_map;
mod digest;
mod partition;
mod topics;

use std::collections::BTreeMap;

use crate::metadata::record::{FEATURE, Record};
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, TopicId};

pub use apply::{ApplyOutcome, RecordError, Rejection};
pub use brokers::{BrokerImage, BrokersImage, FeatureRange};
pub use configs::{ConfigResource, ConfigsImage, Overrides};
pub use partition::{PartitionImage, RecoveryState};
pub use topics::{TopicImage, TopicsImage, squashed_name};

use digest::Digest;

/// Everything the cluster has agreed on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataImage {
    version: ImageVersion,
    rejected: u64,
    features: BTreeMap<String, u16>,
    brokers: BrokersImage,
    topics: TopicsImage,
    configs: ConfigsImage,
    next_broker_epoch: BrokerEpoch,
    next_producer_id: i64,
}

impl MetadataImage {
    /// How many entries it has applied.
    pub const fn version(&self) -> ImageVersion {
        self.version
    }

    /// How many entries were rejected on the way.
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The level of `ottla.version`; 0 before the first record.
    pub fn feature_level(&self) -> u16 {
        self.features.get(FEATURE).copied().unwrap_or(0)
    }

    /// Every feature's level.
    pub const fn features(&self) -> &BTreeMap<String, u16> {
        &self.features
    }

    /// The registered brokers.
    pub const fn brokers(&self) -> &BrokersImage {
        &self.brokers
    }

    /// The topics.
    pub const fn topics(&self) -> &TopicsImage {
        &self.topics
    }

    /// The dynamic configs.
    pub const fn configs(&self) -> &ConfigsImage {
        &self.configs
    }

    /// The number the next registration gets.
    pub const fn next_broker_epoch(&self) -> BrokerEpoch {
        self.next_broker_epoch
    }

    /// The first producer id that was not given out.
    pub const fn next_producer_id(&self) -> i64 {
        self.next_producer_id
    }

    /// A topic's overrides, if it has any.
    pub fn topic_overrides(&self, topic: TopicId) -> Option<&Overrides> {
        self.configs.find(ConfigResource::Topic(topic))
    }

    /// A broker's dynamic values, if it has any.
    pub fn broker_overrides(&self, broker: BrokerId) -> Option<&Overrides> {
        self.configs.find(ConfigResource::Broker(broker))
    }

    /// The dynamic defaults of all brokers, if there are any.
    pub fn cluster_overrides(&self) -> Option<&Overrides> {
        self.configs.find(ConfigResource::Cluster)
    }

    /// Whether a broker leads a partition.
    pub fn leads_any(&self, broker: BrokerId) -> bool {
        self.topics().iter().any(|topic| {
            let mut partitions = topic.partitions();
            partitions.any(|(_, partition)| partition.leader == Some(broker))
        })
    }

    /// A number that is equal for equal content of one version and, in practice, for no other (M1).
    /// Rejections are left out: they come between two versions, so of two nodes that are at one version
    /// one may have seen more of them.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new(0);
        digest.number(self.version.0);
        digest.number(self.next_broker_epoch.get().cast_unsigned());
        digest.number(self.next_producer_id.cast_unsigned());
        for (name, level) in &self.features {
            digest.text(name);
            digest.number(u64::from(*level));
        }
        digest.number(self.brokers.digest());
        digest.number(self.topics.digest());
        digest.number(self.configs.digest());
        digest.finish()
    }

    /// The facts that make this image out of an empty one, apart from its counters. Equal images
    /// give equal lists.
    pub(crate) fn to_records(&self) -> Vec<Record> {
        let features = self.features.iter();
        let features = features.map(|(name, level)| Record::FeatureLevel {
            name: name.clone(),
            level: *level,
        });
        let mut records: Vec<Record> = features.collect();
        self.brokers.to_records(&mut records);
        self.topics.to_records(&mut records);
        self.configs.to_records(&mut records);
        records
    }

    /// Puts back the counters that [`MetadataImage::to_records`] leaves out.
    pub(crate) fn with_counters(
        mut self,
        version: ImageVersion,
        rejected: u64,
        next_broker_epoch: BrokerEpoch,
        next_producer_id: i64,
    ) -> Self {
        self.version = version;
        self.rejected = rejected;
        self.next_broker_epoch = next_broker_epoch;
        self.next_producer_id = next_producer_id;
        self
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! What the cluster has agreed on: brokers, topics, partitions, configs, counters.
//!
//! - M1: the image is a function of the log: equal index, equal digest, on every node, also through
//!   snapshots.
//! - M2: a partition's epoch rises with every change of it.
//! - M3: ISR and ELR are disjoint subsets of the replicas; a leader is in the ISR.
//!
//! Facts come in as [`record`]s inside entries of the quorum's log; [`MetadataImage::apply`] is the
//! only thing that changes an image, and an image that was published never changes.

pub mod delta;
pub mod ids;
pub mod image;
pub mod publisher;
pub mod record;
pub mod snapshot;

pub use delta::MetadataDelta;
pub use ids::{
    BrokerEpoch, BrokerId, ImageVersion, Incarnation, PartitionEpoch, PartitionIndex, TopicId,
};
pub use image::{
    BrokerImage, ConfigResource, MetadataImage, Overrides, PartitionImage, RecoveryState,
    TopicImage,
};
pub use publisher::Publisher;

/// Topics that only coordinators write.
const INTERNAL_TOPICS: [&str; 3] = [
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
];

/// Whether only coordinators write the topic.
pub fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

//! A topic as clients see it: which of its replicas are offline, which topics are internal.

use crate::broker::partitions::is_shown;
use crate::metadata::{BrokerId, MetadataImage, PartitionImage};

/// Topics that the cluster keeps for itself.
const INTERNAL: [&str; 3] = [
    "__consumer_offsets",
    "__share_group_state",
    "__transaction_state",
];

/// Whether the cluster keeps a topic for itself.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Ids as the wire has them.
pub(crate) fn raw(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.get()).collect()
}

/// Replicas that can't answer: their broker is absent or fenced, or their directory is offline.
pub(crate) fn offline_replicas(image: &MetadataImage, partition: &PartitionImage) -> Vec<i32> {
    let offline = partition
        .replicas
        .iter()
        .zip(&partition.directories)
        .filter(|(id, directory)| {
            let Some(broker) = image.brokers().find(**id) else {
                return true;
            };
            broker.is_fenced || !broker.is_online(**directory)
        });
    offline.map(|(id, _)| id.get()).collect()
}

/// Whether a broker is shown to clients.
pub(crate) fn is_alive(image: &MetadataImage, id: BrokerId) -> bool {
    image
        .brokers()
        .find(id)
        .is_some_and(|broker| is_shown(broker))
}

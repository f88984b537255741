//! A topic as clients see it: which of its replicas are offline.

use crate::broker::partitions::is_shown;
use crate::metadata::{BrokerId, MetadataImage, PartitionImage};

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

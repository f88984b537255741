//! What consumers say to each other in the classic protocol, where the coordinator takes part: topics by name become
//! topics by id, and back.
//!
//! The bytes are a client's: what does not decode is an error, and a topic that does not exist is left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::coordinator::group::request::Partitions;
use crate::metadata::{MetadataImage, PartitionIndex};
use crate::wire::messages::data::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use crate::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::versioned::{self, Versioned, VersionedError};

/// What a consumer wants and has.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// What it reads.
    pub(super) topics: BTreeSet<Arc<str>>,
    /// What it did not give up before it joined again; always nothing if it is not cooperative.
    pub(super) owned: Partitions,
    /// Whether that was anything, be it of topics that are gone.
    pub(super) claims_any: bool,
    /// Where it is.
    pub(super) rack: Option<Arc<str>>,
}

/// What a consumer is to read.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    /// By topic.
    pub(super) partitions: Partitions,
    /// Whether its assignor tells it more than that, which only assignors of applications do.
    pub(super) has_user_data: bool,
}

/// Reads a subscription.
///
/// # Errors
/// The bytes are none.
pub(super) fn subscription(
    bytes: &[u8],
    image: &MetadataImage,
) -> Result<Subscription, VersionedError> {
    let said: ConsumerProtocolSubscription<'_> = versioned::decode_known_part(bytes)?;
    let owned = said.owned_partitions.iter();
    let claims_any = owned.clone().any(|of| !of.partitions.is_empty());
    Ok(Subscription {
        claims_any,
        topics: said.topics.iter().map(|name| Arc::from(&**name)).collect(),
        owned: by_id(
            owned.map(|of| (&*of.topic, of.partitions.as_slice())),
            image,
        ),
        rack: said.rack_id.as_deref().map(Arc::from),
    })
}

/// Reads an assignment; empty bytes are an empty one.
///
/// # Errors
/// The bytes are none.
pub(super) fn assigned(bytes: &[u8], image: &MetadataImage) -> Result<Assigned, VersionedError> {
    if bytes.is_empty() {
        return Ok(Assigned::default());
    }
    let said: ConsumerProtocolAssignment<'_> = versioned::decode_known_part(bytes)?;
    let partitions = said.assigned_partitions.iter();
    Ok(Assigned {
        partitions: by_id(
            partitions.map(|of| (&*of.topic, of.partitions.as_slice())),
            image,
        ),
        has_user_data: said.user_data.is_some_and(|data| !data.is_empty()),
    })
}

/// Writes an assignment for a consumer that has sent this subscription, in the version of that.
pub(super) fn assignment(
    partitions: &Partitions,
    subscription: &[u8],
    image: &MetadataImage,
) -> Bytes {
    let versions = ConsumerProtocolAssignment::VERSIONS;
    let version = subscription.first_chunk().copied();
    let version = version.map_or(0, i16::from_be_bytes);
    let topics = partitions.iter().filter_map(|(topic, indexes)| {
        Some(TopicPartition {
            topic: image.topics().by_id(*topic)?.name().to_string().into(),
            partitions: indexes.iter().map(|index| index.get()).collect(),
        })
    });
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: topics.collect(),
        user_data: None,
    };
    // Names and counts of the image fit: they came through the protocol.
    versioned::encode(&assignment, version.clamp(versions.min, versions.max)).unwrap_or_default()
}

fn by_id<'a>(
    topics: impl Iterator<Item = (&'a str, &'a [i32])>,
    image: &MetadataImage,
) -> Partitions {
    let mut partitions = Partitions::new();
    for (name, indexes) in topics {
        let Some(topic) = image.topics().by_name(name) else {
            continue;
        };
        let indexes = indexes.iter().copied();
        let indexes = indexes.filter_map(PartitionIndex::from_wire);
        let indexes = indexes.filter(|index| topic.partition(*index).is_some());
        let mut indexes = indexes.peekable();
        if indexes.peek().is_some() {
            partitions.entry(topic.id()).or_default().extend(indexes);
        }
    }
    partitions
}

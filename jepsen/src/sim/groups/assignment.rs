//! What consumers say to each other in the classic protocol, and what their leader assigns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ottla::coordinator::group::names::MemberId;
use ottla::coordinator::group::request::JoinedMember;
use ottla::metadata::{MetadataImage, PartitionIndex, TopicId};
use ottla::wire::messages::data::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition as Assigned,
};
use ottla::wire::messages::data::consumer_protocol_subscription::{
    ConsumerProtocolSubscription, TopicPartition as Claimed,
};
use ottla::wire::versioned;

use crate::rng::Rng;

/// Partitions of topics that are there.
pub(super) type Owned = BTreeSet<(TopicId, PartitionIndex)>;
/// Partitions by the names of their topics.
pub(super) type Named = BTreeSet<(Arc<str>, i32)>;

/// The names of partitions; those of topics that are gone are left out.
pub(super) fn named(owned: &Owned, image: &MetadataImage) -> Named {
    let names = owned.iter().filter_map(|(topic, index)| {
        let topic = image.topics().by_id(*topic)?;
        Some((topic.name().clone(), index.get()))
    });
    names.collect()
}

fn by_topic(named: &Named) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in named {
        topics.entry(topic).or_default().push(*partition);
    }
    topics
}

/// What a member says of itself. One that is not cooperative has nothing when it joins.
pub(super) fn subscription(
    topics: &BTreeSet<Arc<str>>,
    owned: &Named,
    generation_id: i32,
    is_cooperative: bool,
) -> Bytes {
    let claimed = by_topic(owned)
        .into_iter()
        .map(|(topic, partitions)| Claimed {
            topic: topic.to_owned().into(),
            partitions,
        });
    let said = ConsumerProtocolSubscription {
        topics: topics.iter().map(|name| name.to_string().into()).collect(),
        owned_partitions: claimed.collect(),
        generation_id,
        ..ConsumerProtocolSubscription::default()
    };
    let version = if is_cooperative { 3 } else { 1 };
    versioned::encode(&said, version).unwrap_or_default()
}

/// What the bytes of an assignment say.
pub(super) fn assigned(bytes: &[u8]) -> Named {
    let said = versioned::decode_known_part::<ConsumerProtocolAssignment<'_>>(bytes);
    let topics = said
        .map(|said| said.assigned_partitions)
        .unwrap_or_default();
    let partitions = topics.iter().flat_map(|of| {
        let topic: Arc<str> = Arc::from(&*of.topic);
        of.partitions
            .iter()
            .map(move |index| (topic.clone(), *index))
    });
    partitions.collect()
}

/// What a leader assigns: each partition to one of those that want it; a cooperative one gives nobody what another one
/// says that it has.
pub(super) fn assign(
    members: &[JoinedMember],
    image: &MetadataImage,
    is_cooperative: bool,
    rng: &mut Rng,
) -> Vec<(MemberId, Bytes)> {
    let said: Vec<_> = members
        .iter()
        .map(|member| {
            versioned::decode_known_part::<ConsumerProtocolSubscription<'_>>(&member.metadata)
                .unwrap_or_default()
        })
        .collect();
    let mut parts: Vec<Named> = vec![Named::new(); members.len()];
    let mut turn = rng.index(members.len());
    for topic in image.topics().iter_by_name() {
        for (index, _) in topic.partitions() {
            let wants = |at: &usize| {
                let said = said.get(*at);
                said.is_some_and(|said| said.topics.iter().any(|name| **name == **topic.name()))
            };
            let able: Vec<usize> = (0..members.len()).filter(wants).collect();
            let claims = |at: &usize| {
                let said = said.get(*at);
                said.is_some_and(|said| {
                    said.owned_partitions.iter().any(|of| {
                        *of.topic == **topic.name() && of.partitions.contains(&index.get())
                    })
                })
            };
            let Some(to) = able.get(turn % able.len().max(1)).copied() else {
                continue;
            };
            turn += 1;
            let mut others = (0..members.len()).filter(|at| *at != to);
            if is_cooperative && others.any(|at| claims(&at)) {
                continue;
            }
            if let Some(part) = parts.get_mut(to) {
                part.insert((topic.name().clone(), index.get()));
            }
        }
    }
    let parts = members.iter().zip(&parts);
    parts
        .map(|(member, part)| (member.member.clone(), encoded(part)))
        .collect()
}

fn encoded(part: &Named) -> Bytes {
    let topics = by_topic(part)
        .into_iter()
        .map(|(topic, partitions)| Assigned {
            topic: topic.to_owned().into(),
            partitions,
        });
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: topics.collect(),
        user_data: None,
    };
    versioned::encode(&assignment, 1).unwrap_or_default()
}

//! `OffsetFetch`: how far groups have come.
//!
//! A broker that the controller has not answered for a session does not know whether it still coordinates: it tells nothing
//! that may be older than what another one has acknowledged (C2).

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::group;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::clock;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::{FetchOffsets, FetchedOffset, TopicPartition};
use crate::metadata::TopicId;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};

/// From here on a group has an error of its own; before, each of its partitions.
const GROUP_ERROR_SINCE: i16 = 2;
/// From here on a request is about several groups.
const GROUPS_SINCE: i16 = 8;
/// From here on topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 10;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: OffsetFetchRequest<'r>,
) -> OffsetFetchResponse<'r> {
    if cx.version >= GROUPS_SINCE {
        let mut groups = Vec::with_capacity(request.groups.len());
        for asked in request.groups {
            groups.push(fetch(cx, asked, request.require_stable).await);
        }
        return OffsetFetchResponse {
            groups,
            ..OffsetFetchResponse::default()
        };
    }
    let topics = request.topics.map(|topics| {
        let topic = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name,
            partition_indexes: topic.partition_indexes,
            ..OffsetFetchRequestTopics::default()
        });
        topic.collect()
    });
    let asked = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics,
        ..OffsetFetchRequestGroup::default()
    };
    let partitions = (cx.version < GROUP_ERROR_SINCE).then(|| asked.topics.clone());
    let answer = fetch(cx, asked, request.require_stable).await;
    let topics = match partitions.flatten() {
        Some(asked) if answer.error_code != ErrorCode::None => {
            let topics = asked.into_iter();
            let refused = topics.map(|topic| refused_topic(topic, answer.error_code));
            refused.collect()
        }
        _ => answer.topics,
    };
    OffsetFetchResponse {
        topics: topics.into_iter().map(old_topic).collect(),
        error_code: answer.error_code,
        ..OffsetFetchResponse::default()
    }
}

/// The same in the words of the versions for one group.
fn old_topic(topic: OffsetFetchResponseTopics<'_>) -> OffsetFetchResponseTopic<'_> {
    let partitions = topic.partitions.into_iter();
    let partitions = partitions.map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: partitions.collect(),
    }
}

async fn fetch<'r>(
    cx: &Context,
    asked: OffsetFetchRequestGroup<'r>,
    require_stable: bool,
) -> OffsetFetchResponseGroup<'r> {
    let refused = |group_id, error_code| OffsetFetchResponseGroup {
        group_id,
        error_code,
        ..OffsetFetchResponseGroup::default()
    };
    if let Err(code) = group::check(cx, Operation::Describe, &asked.group_id) {
        return refused(asked.group_id, code);
    }
    let mut answers = Vec::new();
    let of = asked.topics.map(|topics| {
        let mut of = Vec::new();
        for topic in topics {
            match name_of(cx, &topic) {
                Ok(name) => of.extend(topic.partition_indexes.iter().map(|p| TopicPartition {
                    topic: name.clone(),
                    partition: *p,
                })),
                Err(code) => answers.push(refused_topic(topic, code)),
            }
        }
        of
    });
    let member = asked.member_id.as_deref().filter(|id| !id.is_empty());
    let by = member.map(|member| group::identity(member, None, asked.member_epoch));
    let fetch = FetchOffsets {
        group: (&*asked.group_id).into(),
        by,
        of,
        require_stable,
    };
    match ask(cx, &asked.group_id, fetch).await {
        Ok(offsets) => {
            answers.extend(topics(cx, offsets));
            OffsetFetchResponseGroup {
                group_id: asked.group_id,
                topics: answers,
                ..OffsetFetchResponseGroup::default()
            }
        }
        Err(error) => refused(asked.group_id, (&error).into()),
    }
}

async fn ask(
    cx: &Context,
    group: &str,
    fetch: FetchOffsets,
) -> Result<Vec<FetchedOffset>, GroupError> {
    // Of before: while a core is held up a newer one may be heard of before this broker sees that it was deposed.
    let contact = cx.broker.contact.last();
    let fetched = group::ask(cx, group, fetch).await;
    let fetched = fetched.map_err(|error| match error {
        // Consumers of before Kafka 3.9 end at any other code that is not a load (KAFKA-17267).
        GroupError::NotAvailable => GroupError::NotCoordinator,
        error => error,
    })?;
    if contact.is_recent(clock::mono()) {
        Ok(fetched.offsets)
    } else {
        Err(GroupError::NotCoordinator)
    }
}

/// The topic's name, if the client may see it.
fn name_of(cx: &Context, topic: &OffsetFetchRequestTopics<'_>) -> Result<Arc<str>, ErrorCode> {
    let name = if cx.version >= TOPIC_IDS_SINCE {
        let image = cx.broker.metadata.load();
        let found = image.topics().by_id(TopicId::new(topic.topic_id));
        found.ok_or(ErrorCode::UnknownTopicId)?.name().clone()
    } else {
        group::kept(&topic.name)
    };
    if authorize(cx, Operation::Describe, Resource::Topic(&name)) {
        Ok(name)
    } else {
        Err(ErrorCode::TopicAuthorizationFailed)
    }
}

/// The offsets, by topic. What the client may not see, or has no id any more where ids are asked for, is left out.
fn topics(cx: &Context, offsets: Vec<FetchedOffset>) -> Vec<OffsetFetchResponseTopics<'static>> {
    let mut by_topic: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
    for offset in offsets {
        let partitions = by_topic.entry(offset.of.topic.clone()).or_default();
        partitions.push(shown(offset));
    }
    let image = cx.broker.metadata.load();
    let by_topic = by_topic.into_iter().filter_map(|(name, partitions)| {
        let id = image.topics().by_name(&name).map(|topic| topic.id().uuid());
        if cx.version >= TOPIC_IDS_SINCE && id.is_none()
            || !authorize(cx, Operation::Describe, Resource::Topic(&name))
        {
            return None;
        }
        Some(OffsetFetchResponseTopics {
            name: name.to_string().into(),
            topic_id: id.unwrap_or(Uuid::nil()),
            partitions,
        })
    });
    by_topic.collect()
}

fn shown(offset: FetchedOffset) -> OffsetFetchResponsePartitions<'static> {
    let Some(committed) = offset.committed else {
        return none(offset.of.partition, ErrorCode::None);
    };
    OffsetFetchResponsePartitions {
        partition_index: offset.of.partition,
        committed_offset: committed.offset,
        committed_leader_epoch: committed.leader_epoch,
        metadata: Some(committed.metadata.to_string().into()),
        error_code: ErrorCode::None,
    }
}

fn none(partition_index: i32, error_code: ErrorCode) -> OffsetFetchResponsePartitions<'static> {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some("".into()),
        error_code,
    }
}

fn refused_topic(
    topic: OffsetFetchRequestTopics<'_>,
    code: ErrorCode,
) -> OffsetFetchResponseTopics<'_> {
    let partitions = topic.partition_indexes.iter();
    OffsetFetchResponseTopics {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: partitions.map(|partition| none(*partition, code)).collect(),
    }
}

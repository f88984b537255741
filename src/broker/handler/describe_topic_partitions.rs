//! `DescribeTopicPartitions`: topics page by page, with the eligible leaders of KIP-966.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::broker::authorize::{
    Operation, Resource, TOPIC_OPERATIONS, allowed_operations, authorize,
};
use crate::broker::context::Context;
use crate::broker::handler::topic_view::{is_alive, offline_replicas, raw};
use crate::controller::decide::check_name;
use crate::metadata::{
    BrokerId, MetadataImage, PartitionImage, PartitionIndex, TopicImage, is_internal,
};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
    RequestedCursor, TopicRequest,
};

#[allow(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DescribeTopicPartitionsRequest<'r>,
) -> DescribeTopicPartitionsResponse<'r> {
    if !is_legal(&request) {
        return illegal(request.topics);
    }
    let image = cx.broker.metadata.image();
    let first = request
        .cursor
        .as_ref()
        .map_or("", |cursor| &cursor.topic_name);
    let names: BTreeSet<Cow<'r, str>> = if request.topics.is_empty() {
        let from = image.topics().iter_from_name(first);
        let visible =
            from.filter(|topic| authorize(cx, Operation::Describe, Resource::Topic(topic.name())));
        visible
            .map(|topic| Cow::Owned(topic.name().to_string()))
            .collect()
    } else {
        let wanted = request.topics.into_iter().map(|topic| topic.name);
        wanted.filter(|name| **name >= *first).collect()
    };
    let most = cx.broker.config.broker.described_partitions_max;
    let limit = u32::try_from(request.response_partition_limit)
        .unwrap_or(1)
        .clamp(1, most.max(1));
    page(
        cx,
        &image,
        names,
        request.cursor.as_ref(),
        usize::try_from(limit).unwrap_or(1),
    )
}

/// A cursor names a partition of a topic that is asked for.
fn is_legal(request: &DescribeTopicPartitionsRequest<'_>) -> bool {
    request.cursor.as_ref().is_none_or(|cursor| {
        let is_asked_for = request.topics.is_empty()
            || request
                .topics
                .iter()
                .any(|topic| topic.name == cursor.topic_name);
        cursor.partition_index >= 0 && is_asked_for
    })
}

fn illegal(topics: Vec<TopicRequest<'_>>) -> DescribeTopicPartitionsResponse<'_> {
    let topics = topics
        .into_iter()
        .map(|topic| DescribeTopicPartitionsResponseTopic {
            error_code: ErrorCode::InvalidRequest,
            name: Some(topic.name),
            ..DescribeTopicPartitionsResponseTopic::default()
        });
    DescribeTopicPartitionsResponse {
        topics: topics.collect(),
        ..DescribeTopicPartitionsResponse::default()
    }
}

fn page<'r>(
    cx: &Context,
    image: &MetadataImage,
    names: BTreeSet<Cow<'r, str>>,
    cursor: Option<&RequestedCursor<'r>>,
    limit: usize,
) -> DescribeTopicPartitionsResponse<'r> {
    let mut response = DescribeTopicPartitionsResponse::default();
    let mut left = limit;
    for name in names {
        let topic = image.topics().by_name(&name);
        let is_visible = authorize(cx, Operation::Describe, Resource::Topic(&name));
        let Some(topic) = topic.filter(|_| is_visible) else {
            response.topics.push(missing(name, is_visible));
            continue;
        };
        let start = match cursor {
            Some(cursor) if cursor.topic_name == name => cursor.partition_index,
            _ => 0,
        };
        if left == 0 {
            let next = Cursor {
                topic_name: name,
                partition_index: start,
            };
            response.next_cursor = Some(next);
            break;
        }
        let start = usize::try_from(start).unwrap_or(0);
        let partitions: Vec<_> = topic
            .partitions()
            .skip(start)
            .take(left)
            .map(|(index, state)| partition(image, index, state))
            .collect();
        left -= partitions.len();
        let end = start + partitions.len();
        response.topics.push(found(cx, topic, partitions));
        if end < topic.partition_count() {
            let partition_index = i32::try_from(end).unwrap_or(i32::MAX);
            response.next_cursor = Some(Cursor {
                topic_name: name,
                partition_index,
            });
            break;
        }
    }
    response
}

fn missing(name: Cow<'_, str>, is_visible: bool) -> DescribeTopicPartitionsResponseTopic<'_> {
    DescribeTopicPartitionsResponseTopic {
        error_code: if !is_visible {
            ErrorCode::TopicAuthorizationFailed
        } else if check_name(&name).is_err() {
            ErrorCode::InvalidTopicException
        } else {
            ErrorCode::UnknownTopicOrPartition
        },
        is_internal: is_internal(&name),
        name: Some(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn found(
    cx: &Context,
    topic: &TopicImage,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic<'static> {
    let name = topic.name();
    DescribeTopicPartitionsResponseTopic {
        error_code: ErrorCode::None,
        name: Some(name.to_string().into()),
        topic_id: topic.id().uuid(),
        is_internal: is_internal(name),
        partitions,
        topic_authorized_operations: allowed_operations(
            cx,
            Resource::Topic(name),
            TOPIC_OPERATIONS,
        ),
    }
}

fn partition(
    image: &MetadataImage,
    index: PartitionIndex,
    state: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let leader = state.leader.filter(|leader| is_alive(image, *leader));
    DescribeTopicPartitionsResponsePartition {
        error_code: if leader.is_some() {
            ErrorCode::None
        } else {
            ErrorCode::LeaderNotAvailable
        },
        partition_index: index.get(),
        leader_id: BrokerId::to_wire(leader),
        leader_epoch: state.leader_epoch.get(),
        replica_nodes: raw(&state.replicas),
        isr_nodes: raw(&state.isr),
        eligible_leader_replicas: Some(raw(&state.elr)),
        last_known_elr: Some(raw(&state.last_known_elr)),
        offline_replicas: offline_replicas(image, state),
    }
}

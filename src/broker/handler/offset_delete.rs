//! `OffsetDelete`: forgets how far a group had come in topics that no member reads.

use super::group;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions::{self, Named};
use crate::coordinator::group::request::{DeleteOffsets, TopicPartition};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: OffsetDeleteRequest<'r>,
) -> OffsetDeleteResponse<'r> {
    match delete(cx, request).await {
        Ok(topics) => OffsetDeleteResponse {
            topics,
            ..OffsetDeleteResponse::default()
        },
        Err(error_code) => OffsetDeleteResponse {
            error_code,
            ..OffsetDeleteResponse::default()
        },
    }
}

async fn delete<'r>(
    cx: &Context,
    request: OffsetDeleteRequest<'r>,
) -> Result<Vec<OffsetDeleteResponseTopic<'r>>, ErrorCode> {
    group::check(cx, Operation::Delete, &request.group_id)?;
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let mut of = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let partition = asked.partition_index;
            let error_code = refusal(cx, &topic.name, partition).unwrap_or_default();
            if error_code == ErrorCode::None {
                of.push(TopicPartition {
                    topic: group::kept(&topic.name),
                    partition,
                });
            }
            partitions.push(OffsetDeleteResponsePartition {
                partition_index: partition,
                error_code,
            });
        }
        topics.push(OffsetDeleteResponseTopic {
            name: topic.name,
            partitions,
        });
    }
    let delete = DeleteOffsets {
        group: (&*request.group_id).into(),
        of,
    };
    let deleted = group::ask(cx, &request.group_id, delete).await;
    let deleted = deleted.map_err(|error| ErrorCode::from(&error))?;
    let mut codes = deleted.iter().map(group::code);
    let all = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in all.filter(|partition| partition.error_code == ErrorCode::None) {
        partition.error_code = codes.next().unwrap_or_default();
    }
    Ok(topics)
}

/// Why the coordinator is not even asked.
fn refusal(cx: &Context, topic: &str, partition: i32) -> Option<ErrorCode> {
    if !authorize(cx, Operation::Read, Resource::Topic(topic)) {
        return Some(ErrorCode::TopicAuthorizationFailed);
    }
    let image = cx.broker.metadata.load();
    let found = partitions::find_topic(&image, Named::Name(topic));
    let found = found.and_then(|topic| partitions::find_partition(topic, partition));
    found.err().map(|missing| missing.error_code())
}

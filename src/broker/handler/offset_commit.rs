//! `OffsetCommit`: how far a group has come.
//!
//! A partition that does not exist is refused by itself; the rest of the request goes to the coordinator, which takes all
//! of it or nothing, but for metadata that are too long.

use std::time::Duration;

use uuid::Uuid;

use super::group;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions::{self, Named};
use crate::coordinator::group::request::{CommitOffsets, NewOffset, TopicPartition};
use crate::metadata::MetadataImage;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};

/// From here on an unknown group has an error of its own.
const UNKNOWN_GROUP_SINCE: i16 = 9;
/// From here on topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 10;

pub(crate) async fn handle<'r>(
    cx: &Context,
    mut request: OffsetCommitRequest<'r>,
) -> OffsetCommitResponse<'r> {
    let topics = std::mem::take(&mut request.topics);
    let mut offsets = Vec::new();
    let checked = {
        let image = cx.broker.metadata.load();
        let check = |topic| check_topic(cx, &image, topic, &mut offsets);
        topics.into_iter().map(check).collect::<Vec<_>>()
    };
    let codes = if offsets.is_empty() {
        Vec::new()
    } else {
        commit(cx, &request, offsets).await
    };
    let mut codes = codes.into_iter();
    let answer = |mut topic: OffsetCommitResponseTopic<'r>| {
        // What was not refused is decided, in this order.
        for partition in &mut topic.partitions {
            if partition.error_code == ErrorCode::None {
                partition.error_code = codes.next().unwrap_or_default();
            }
        }
        topic
    };
    OffsetCommitResponse {
        topics: checked.into_iter().map(answer).collect(),
        ..OffsetCommitResponse::default()
    }
}

/// The answer for a topic as far as it is known; what is not refused yet is added to `offsets`.
fn check_topic<'r>(
    cx: &Context,
    image: &MetadataImage,
    topic: OffsetCommitRequestTopic<'r>,
    offsets: &mut Vec<NewOffset>,
) -> OffsetCommitResponseTopic<'r> {
    let named = named(cx, &topic.name, topic.topic_id);
    let found = partitions::find_topic(image, named);
    let check = |partition: &OffsetCommitRequestPartition<'_>| {
        let known = found.as_ref().map_err(partitions::Missing::error_code)?;
        if !authorize(cx, Operation::Read, Resource::Topic(known.name())) {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        partitions::find_partition(known, partition.partition_index)
            .map_err(|missing| missing.error_code())?;
        offsets.push(NewOffset {
            of: TopicPartition {
                topic: known.name().clone(),
                partition: partition.partition_index,
            },
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: group::kept(partition.committed_metadata.as_deref().unwrap_or_default()),
        });
        Ok(())
    };
    let mut check = check;
    let partitions = topic.partitions.iter().map(|partition| {
        let error_code = check(partition).err().unwrap_or_default();
        OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code,
        }
    });
    let partitions = partitions.collect();
    OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions,
    }
}

fn named<'n>(cx: &Context, name: &'n str, id: Uuid) -> Named<'n> {
    if cx.version >= TOPIC_IDS_SINCE {
        Named::Id(id)
    } else {
        Named::Name(name)
    }
}

/// A code for each of the offsets.
async fn commit(
    cx: &Context,
    request: &OffsetCommitRequest<'_>,
    offsets: Vec<NewOffset>,
) -> Vec<ErrorCode> {
    let count = offsets.len();
    if let Err(code) = group::check(cx, Operation::Read, &request.group_id) {
        return vec![code; count];
    }
    let retention = u64::try_from(request.retention_time_ms).ok();
    let commit = CommitOffsets {
        group: (&*request.group_id).into(),
        by: group::identity(
            &request.member_id,
            request.group_instance_id.as_deref(),
            request.generation_id_or_member_epoch,
        ),
        knows_unknown_group: cx.version >= UNKNOWN_GROUP_SINCE,
        retention: retention.map(Duration::from_millis),
        offsets,
    };
    match group::ask(cx, &request.group_id, commit).await {
        Ok(results) => results.iter().map(group::code).collect(),
        Err(error) => vec![(&error).into(); count],
    }
}

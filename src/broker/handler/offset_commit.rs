//! `OffsetCommit`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    request: OffsetCommitRequest<'r>,
) -> OffsetCommitResponse<'r> {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: ErrorCode::CoordinatorNotAvailable,
            });
        OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        }
    });
    OffsetCommitResponse {
        topics: topics.collect(),
        ..OffsetCommitResponse::default()
    }
}

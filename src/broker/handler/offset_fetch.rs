//! `OffsetFetch`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};

const REFUSAL: ErrorCode = ErrorCode::CoordinatorNotAvailable;

/// From this version on a response has an error of the group; before, one per partition.
const GROUP_ERROR_SINCE: i16 = 2;

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    cx: &Context,
    request: OffsetFetchRequest<'r>,
) -> OffsetFetchResponse<'r> {
    let topics = request.topics.filter(|_| cx.version < GROUP_ERROR_SINCE);
    let groups = request
        .groups
        .into_iter()
        .map(|group| OffsetFetchResponseGroup {
            group_id: group.group_id,
            error_code: REFUSAL,
            ..OffsetFetchResponseGroup::default()
        });
    OffsetFetchResponse {
        topics: topics.into_iter().flatten().map(refused).collect(),
        error_code: REFUSAL,
        groups: groups.collect(),
        ..OffsetFetchResponse::default()
    }
}

fn refused(topic: OffsetFetchRequestTopic<'_>) -> OffsetFetchResponseTopic<'_> {
    let partition = |partition_index| OffsetFetchResponsePartition {
        partition_index,
        committed_offset: -1,
        error_code: REFUSAL,
        ..OffsetFetchResponsePartition::default()
    };
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partition_indexes.into_iter().map(partition).collect(),
    }
}

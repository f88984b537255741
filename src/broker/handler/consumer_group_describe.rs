//! `ConsumerGroupDescribe`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    request: ConsumerGroupDescribeRequest<'r>,
) -> ConsumerGroupDescribeResponse<'r> {
    let groups = request
        .group_ids
        .into_iter()
        .map(|group_id| DescribedGroup {
            error_code: ErrorCode::CoordinatorNotAvailable,
            group_id,
            ..DescribedGroup::default()
        });
    ConsumerGroupDescribeResponse {
        groups: groups.collect(),
        ..ConsumerGroupDescribeResponse::default()
    }
}

//! `DescribeGroups`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup,
};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    request: DescribeGroupsRequest<'r>,
) -> DescribeGroupsResponse<'r> {
    let groups = request.groups.into_iter().map(|group_id| DescribedGroup {
        error_code: ErrorCode::CoordinatorNotAvailable,
        group_id,
        ..DescribedGroup::default()
    });
    DescribeGroupsResponse {
        groups: groups.collect(),
        ..DescribeGroupsResponse::default()
    }
}

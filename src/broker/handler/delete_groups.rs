//! `DeleteGroups`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    request: DeleteGroupsRequest<'r>,
) -> DeleteGroupsResponse<'r> {
    let results = request
        .groups_names
        .into_iter()
        .map(|group_id| DeletableGroupResult {
            group_id,
            error_code: ErrorCode::CoordinatorNotAvailable,
            ..DeletableGroupResult::default()
        });
    DeleteGroupsResponse {
        results: results.collect(),
        ..DeleteGroupsResponse::default()
    }
}

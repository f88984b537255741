//! `SyncGroup`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    _request: SyncGroupRequest<'r>,
) -> SyncGroupResponse<'r> {
    SyncGroupResponse {
        error_code: ErrorCode::CoordinatorNotAvailable,
        ..SyncGroupResponse::default()
    }
}

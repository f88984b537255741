//! `JoinGroup`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::join_group::{JoinGroupRequest, JoinGroupResponse};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    request: JoinGroupRequest<'r>,
) -> JoinGroupResponse<'r> {
    JoinGroupResponse {
        error_code: ErrorCode::CoordinatorNotAvailable,
        protocol_name: Some("".into()),
        member_id: request.member_id,
        ..JoinGroupResponse::default()
    }
}

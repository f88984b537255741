//! `Heartbeat`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle(_cx: &Context, _request: HeartbeatRequest<'_>) -> HeartbeatResponse {
    HeartbeatResponse {
        error_code: ErrorCode::CoordinatorNotAvailable,
        ..HeartbeatResponse::default()
    }
}

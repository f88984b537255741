//! `ConsumerGroupHeartbeat`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    _request: ConsumerGroupHeartbeatRequest<'r>,
) -> ConsumerGroupHeartbeatResponse<'r> {
    ConsumerGroupHeartbeatResponse {
        error_code: ErrorCode::CoordinatorNotAvailable,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

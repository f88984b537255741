//! `Heartbeat`: a member of a classic group is still there.

use super::group;
use crate::broker::context::Context;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::Heartbeat;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};

pub(crate) async fn handle(cx: &Context, request: HeartbeatRequest<'_>) -> HeartbeatResponse {
    HeartbeatResponse {
        error_code: heartbeat(cx, &request).await.err().unwrap_or_default(),
        ..HeartbeatResponse::default()
    }
}

async fn heartbeat(cx: &Context, request: &HeartbeatRequest<'_>) -> Result<(), ErrorCode> {
    let heartbeat = Heartbeat {
        group: group::member_of(cx, &request.group_id)?,
        by: group::identity(
            &request.member_id,
            request.group_instance_id.as_deref(),
            request.generation_id,
        ),
    };
    match group::ask(cx, &request.group_id, heartbeat).await {
        // As in Kafka: the member's session begins anew with the loaded group, and most clients would give theirs up.
        Ok(()) | Err(GroupError::LoadInProgress) => Ok(()),
        Err(error) => Err((&error).into()),
    }
}

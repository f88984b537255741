//! `SyncGroup`: the leader of a generation brings everybody's assignment, and the others wait for theirs.

use bytes::Bytes;

use super::group;
use crate::broker::context::Context;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::request::{Sync, Synced};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: SyncGroupRequest<'r>,
) -> SyncGroupResponse<'r> {
    match sync(cx, &request).await {
        Ok(synced) => SyncGroupResponse {
            protocol_type: Some(synced.protocol_type.to_string().into()),
            protocol_name: Some(synced.protocol.to_string().into()),
            assignment: synced.assignment.to_vec().into(),
            ..SyncGroupResponse::default()
        },
        Err(error_code) => SyncGroupResponse {
            error_code,
            ..SyncGroupResponse::default()
        },
    }
}

async fn sync(cx: &Context, request: &SyncGroupRequest<'_>) -> Result<Synced, ErrorCode> {
    let assignments = request.assignments.iter().map(|one| {
        let assignment = Bytes::copy_from_slice(&one.assignment);
        (MemberId::from(&*one.member_id), assignment)
    });
    let sync = Sync {
        group: group::member_of(cx, &request.group_id)?,
        by: group::identity(
            &request.member_id,
            request.group_instance_id.as_deref(),
            request.generation_id,
        ),
        protocol_type: request.protocol_type.as_deref().map(group::kept),
        protocol: request.protocol_name.as_deref().map(group::kept),
        assignments: assignments.collect(),
    };
    let synced = group::ask(cx, &request.group_id, sync).await;
    synced.map_err(|error| match error {
        // Java's consumers end at that code here; told this they join again.
        GroupError::LoadInProgress => ErrorCode::RebalanceInProgress,
        error => (&error).into(),
    })
}

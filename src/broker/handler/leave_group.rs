//! `LeaveGroup`: members leave a classic group; before version 3 one that says so itself.

use super::group;
use crate::broker::context::Context;
use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::request::{Leave, Leaving};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};

/// From here on the request names several members.
const MEMBERS_SINCE: i16 = 3;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: LeaveGroupRequest<'r>,
) -> LeaveGroupResponse<'r> {
    let members = if cx.version >= MEMBERS_SINCE {
        request.members
    } else {
        vec![MemberIdentity {
            member_id: request.member_id,
            ..MemberIdentity::default()
        }]
    };
    match leave(cx, &request.group_id, &members).await {
        Ok(codes) if cx.version >= MEMBERS_SINCE => {
            let answers = members.into_iter().zip(codes);
            let answers = answers.map(|(member, error_code)| MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code,
            });
            LeaveGroupResponse {
                members: answers.collect(),
                ..LeaveGroupResponse::default()
            }
        }
        Ok(codes) => refused(codes.first().copied().unwrap_or_default()),
        Err(code) => refused(code),
    }
}

async fn leave(
    cx: &Context,
    group: &str,
    members: &[MemberIdentity<'_>],
) -> Result<Vec<ErrorCode>, ErrorCode> {
    let leaving = members.iter().map(|member| Leaving {
        member: MemberId::from(&*member.member_id),
        instance: member.group_instance_id.as_deref().map(InstanceId::from),
        reason: member.reason.as_deref().map(str::to_owned),
    });
    let leave = Leave {
        group: group::member_of(cx, group)?,
        members: leaving.collect(),
    };
    let left = group::ask(cx, group, leave).await;
    let left = left.map_err(|error| ErrorCode::from(&error))?;
    Ok(left.iter().map(group::code).collect())
}

fn refused(error_code: ErrorCode) -> LeaveGroupResponse<'static> {
    LeaveGroupResponse {
        error_code,
        ..LeaveGroupResponse::default()
    }
}

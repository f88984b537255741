//! `JoinGroup`: a member wants to be in the next generation of a classic group, and waits for it.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::group;
use crate::broker::context::Context;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::request::{Join, Joined, Protocol};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};

/// What a member's id shows of its client's or instance's name; Kafka's clients allow 249 for that of an instance.
const NAME_BYTES_MAX: usize = 255;
/// From here on a request has a time for rebalances; before, the session's is meant (KAFKA-8653).
const REBALANCE_TIMEOUT_SINCE: i16 = 1;
/// From here on a member asks twice (KIP-394).
const KNOWN_ID_SINCE: i16 = 4;
/// From here on no protocol is null, not empty.
const NULL_PROTOCOL_SINCE: i16 = 7;
/// From here on a leader can be told that it need not assign (KIP-814).
const SKIPPED_ASSIGNMENT_SINCE: i16 = 9;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: JoinGroupRequest<'r>,
) -> JoinGroupResponse<'r> {
    let group = match group::member_of(cx, &request.group_id) {
        Ok(group) => group,
        Err(code) => return refused(cx, request.member_id.into_owned(), code),
    };
    let instance = request.group_instance_id.as_deref();
    let client = group::client(cx);
    let name = beginning(instance.unwrap_or(&client.id));
    let new_member = format!("{name}-{}", Uuid::new_v4());
    let timeout = if cx.version >= REBALANCE_TIMEOUT_SINCE {
        request.rebalance_timeout_ms
    } else {
        request.session_timeout_ms
    };
    let join = Join {
        group,
        member: MemberId::from(&*request.member_id),
        new_member: MemberId::from(new_member.as_str()),
        must_know_id: cx.version >= KNOWN_ID_SINCE,
        knows_skipped_assignment: cx.version >= SKIPPED_ASSIGNMENT_SINCE,
        instance: instance.map(InstanceId::from),
        client,
        session_timeout: millis(request.session_timeout_ms),
        rebalance_timeout: millis(timeout),
        protocol_type: group::kept(&request.protocol_type),
        protocols: request.protocols.iter().map(protocol).collect(),
        reason: request.reason.as_deref().map(str::to_owned),
    };
    match group::ask(cx, &request.group_id, join).await {
        Ok(joined) => accepted(joined),
        Err(error @ GroupError::MemberIdRequired) => refused(cx, new_member, (&error).into()),
        Err(error) => refused(cx, request.member_id.into_owned(), (&error).into()),
    }
}

/// As much of a name as a member's id shows: it is kept, and must fit a string of the protocol.
fn beginning(name: &str) -> &str {
    let end = name.floor_char_boundary(NAME_BYTES_MAX);
    name.get(..end).unwrap_or(name)
}

fn protocol(protocol: &JoinGroupRequestProtocol<'_>) -> Protocol {
    Protocol {
        name: group::kept(&protocol.name),
        metadata: Bytes::copy_from_slice(&protocol.metadata),
    }
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn accepted(joined: Joined) -> JoinGroupResponse<'static> {
    let members = joined.members.into_iter();
    let members = members.map(|member| JoinGroupResponseMember {
        member_id: member.member.as_str().to_owned().into(),
        group_instance_id: member.instance.map(|id| id.as_str().to_owned().into()),
        metadata: member.metadata.to_vec().into(),
    });
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: Some(joined.protocol_type.to_string().into()),
        protocol_name: Some(joined.protocol.to_string().into()),
        leader: joined.leader.as_str().to_owned().into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member.as_str().to_owned().into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn refused(cx: &Context, member_id: String, error_code: ErrorCode) -> JoinGroupResponse<'static> {
    JoinGroupResponse {
        error_code,
        protocol_name: (cx.version < NULL_PROTOCOL_SINCE).then(|| "".into()),
        member_id: member_id.into(),
        ..JoinGroupResponse::default()
    }
}

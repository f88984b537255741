//! `DescribeGroups`: classic groups, their members and what these read.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::group;
use crate::broker::authorize::{GROUP_OPERATIONS, Operation, Resource, allowed_operations};
use crate::broker::context::Context;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::{Describe, Described, DescribedMember};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

/// From here on a group that is not there is an error; before, it is dead.
const NOT_FOUND_SINCE: i16 = 6;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DescribeGroupsRequest<'r>,
) -> DescribeGroupsResponse<'r> {
    // A name that is repeated would have its group in the answer as often, however large it is.
    let names: BTreeSet<Cow<'r, str>> = request.groups.into_iter().collect();
    let mut groups = Vec::with_capacity(names.len());
    for id in names {
        let mut described = describe(cx, id).await;
        if request.include_authorized_operations && described.error_code == ErrorCode::None {
            let resource = Resource::Group(&described.group_id);
            described.authorized_operations = allowed_operations(cx, resource, GROUP_OPERATIONS);
        }
        groups.push(described);
    }
    DescribeGroupsResponse {
        groups,
        ..DescribeGroupsResponse::default()
    }
}

async fn describe<'r>(cx: &Context, id: Cow<'r, str>) -> DescribedGroup<'r> {
    if let Err(error_code) = group::check(cx, Operation::Describe, &id) {
        return DescribedGroup {
            error_code,
            group_id: id,
            ..DescribedGroup::default()
        };
    }
    match group::ask(cx, &id, Describe((&*id).into())).await {
        Ok(described) => shown(id, described),
        Err(GroupError::GroupIdNotFound) if cx.version < NOT_FOUND_SINCE => DescribedGroup {
            group_id: id,
            group_state: "Dead".into(),
            ..DescribedGroup::default()
        },
        Err(error) => DescribedGroup {
            error_code: ErrorCode::from(&error),
            error_message: Some(error.to_string().into()),
            group_state: if error == GroupError::GroupIdNotFound {
                "Dead".into()
            } else {
                "".into()
            },
            group_id: id,
            ..DescribedGroup::default()
        },
    }
}

fn shown(group_id: Cow<'_, str>, described: Described) -> DescribedGroup<'_> {
    DescribedGroup {
        group_id,
        group_state: described.state.into(),
        protocol_type: described.protocol_type.to_string().into(),
        protocol_data: described.protocol.to_string().into(),
        members: described.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}

fn member(member: DescribedMember) -> DescribedGroupMember<'static> {
    DescribedGroupMember {
        member_id: member.member.as_str().to_owned().into(),
        group_instance_id: member.instance.map(|id| id.as_str().to_owned().into()),
        client_id: member.client.id.to_string().into(),
        client_host: member.client.host.to_string().into(),
        member_metadata: member.metadata.to_vec().into(),
        member_assignment: member.assignment.to_vec().into(),
    }
}

//! `ListGroups`: the groups that this broker coordinates.

use super::group;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::coordinator::GROUP_TOPIC;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::{ListFilter, Listed};
use crate::metadata::PartitionIndex;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

pub(crate) async fn handle(
    cx: &Context,
    request: ListGroupsRequest<'_>,
) -> ListGroupsResponse<'static> {
    let lower = |names: &[std::borrow::Cow<'_, str>]| {
        names.iter().map(|name| name.to_ascii_lowercase()).collect()
    };
    let filter = ListFilter {
        states: lower(&request.states_filter),
        types: lower(&request.types_filter),
    };
    let may_all = authorize(cx, Operation::Describe, Resource::Cluster);
    let mut groups = Vec::new();
    for partition in led(cx) {
        let listed = cx.broker.coordinators.ask(partition, filter.clone());
        match listed.answer().await {
            Ok(listed) => groups.extend(
                listed
                    .into_iter()
                    .filter(|one| {
                        let id = one.group.as_str();
                        may_all || group::check(cx, Operation::Describe, id).is_ok()
                    })
                    .map(|one| shown(&one)),
            ),
            // Its groups are another broker's to list by now.
            Err(GroupError::NotCoordinator) => {}
            // A part of the list would pass for all of it.
            Err(error) => {
                return ListGroupsResponse {
                    error_code: ErrorCode::from(&error),
                    ..ListGroupsResponse::default()
                };
            }
        }
    }
    ListGroupsResponse {
        groups,
        ..ListGroupsResponse::default()
    }
}

fn led(cx: &Context) -> Vec<PartitionIndex> {
    let image = cx.broker.metadata.load();
    let topic = image.topics().by_name(GROUP_TOPIC);
    let all = topic.into_iter().flat_map(|topic| topic.partitions());
    let led = all.filter(|(_, partition)| partition.leader == Some(cx.broker.id));
    led.map(|(index, _)| index).collect()
}

fn shown(one: &Listed) -> ListedGroup<'static> {
    ListedGroup {
        group_id: one.group.as_str().to_owned().into(),
        protocol_type: one.protocol_type.to_string().into(),
        group_state: one.state.into(),
        group_type: one.kind.into(),
    }
}

//! What the handlers of groups share: the way to the coordinator, and names that outlive a request.

use std::sync::Arc;

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::controller::command::NewTopic;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::{GroupId, InstanceId};
use crate::coordinator::group::request::{Client, Identity, Question};
use crate::coordinator::{GROUP_TOPIC, Pending, partition_of};
use crate::metadata::PartitionIndex;
use crate::wire::error_code::ErrorCode;

/// Asks the coordinator of a group. The caller has seen to it that the client may.
pub(super) async fn ask<Q: Question>(
    cx: &Context,
    group: &str,
    question: Q,
) -> Result<Q::Answer, GroupError> {
    begin(cx, group, question).answer().await
}

/// The same; the answer can be waited for when others have been asked too.
pub(super) fn begin<Q: Question>(cx: &Context, group: &str, question: Q) -> Pending<Q> {
    match partition(cx, group) {
        Some(partition) => cx.broker.coordinators.ask(partition, question),
        None => Pending::refused(GroupError::NotCoordinator),
    }
}

/// The partition that holds the group, once there are any.
fn partition(cx: &Context, group: &str) -> Option<PartitionIndex> {
    let image = cx.broker.metadata.load();
    let topic = image.topics().by_name(GROUP_TOPIC)?;
    partition_of(group, topic.partitions().count())
}

/// The group as a name, if the client may do that to it. Members of a group need one that is not empty.
pub(super) fn member_of(cx: &Context, group: &str) -> Result<GroupId, ErrorCode> {
    check(cx, Operation::Read, group)?;
    if group.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    Ok(GroupId::from(group))
}

/// Whether the client may.
pub(super) fn check(cx: &Context, operation: Operation, group: &str) -> Result<(), ErrorCode> {
    if authorize(cx, operation, Resource::Group(group)) {
        Ok(())
    } else {
        Err(ErrorCode::GroupAuthorizationFailed)
    }
}

/// Who a member says that it is.
pub(super) fn identity(member: &str, instance: Option<&str>, generation: i32) -> Identity {
    Identity {
        member: member.into(),
        instance: instance.map(InstanceId::from),
        generation,
    }
}

/// Who is at the other end, as Kafka writes it.
pub(super) fn client(cx: &Context) -> Client {
    Client {
        id: cx.client_id.as_deref().unwrap_or_default().into(),
        host: format!("/{}", cx.connection.peer.ip()).into(),
    }
}

/// The code of a result.
pub(super) fn code(result: &Result<(), GroupError>) -> ErrorCode {
    result
        .as_ref()
        .map_or_else(ErrorCode::from, |()| ErrorCode::None)
}

/// A text of the request that is kept.
pub(super) fn kept(text: &str) -> Arc<str> {
    Arc::from(text)
}

/// Makes the topic that holds the groups, if there is none.
pub(super) async fn make_topic(cx: &Context) {
    if cx
        .broker
        .metadata
        .load()
        .topics()
        .by_name(GROUP_TOPIC)
        .is_some()
    {
        return;
    }
    let wanted = cx.broker.coordinators.config().topic;
    let config = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let topic = NewTopic {
        partitions: wanted.partitions,
        replication_factor: wanted.replication_factor.unwrap_or(-1),
        configs: vec![
            config("cleanup.policy", "compact"),
            config("compression.type", "producer"),
            config("segment.bytes", &wanted.segment_bytes.to_string()),
        ],
        ..NewTopic::with_defaults(GROUP_TOPIC)
    };
    let refusals = cx.broker.create(&cx.connection, vec![topic]).await;
    for (topic, code) in refusals {
        tracing::warn!(topic, %code, "the topic of the consumer groups was not created");
    }
}

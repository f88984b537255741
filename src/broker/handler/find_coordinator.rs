//! `FindCoordinator`: which broker coordinates a group.
//!
//! The first question makes the topic that holds the groups. There are no transactions yet: who asks for their coordinator
//! is told to ask again.

use std::borrow::Cow;

use super::group;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions::endpoint;
use crate::coordinator::{GROUP_TOPIC, partition_of};
use crate::metadata::{BrokerId, MetadataImage};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

/// From this version on a request asks for several keys.
const KEYS_SINCE: i16 = 4;
/// What a key is.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: FindCoordinatorRequest<'r>,
) -> FindCoordinatorResponse<'r> {
    if request.key_type == GROUP {
        group::make_topic(cx).await;
    }
    let image = cx.broker.metadata.image();
    if cx.version >= KEYS_SINCE {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| find(cx, &image, request.key_type, key));
        return FindCoordinatorResponse {
            coordinators: coordinators.collect(),
            ..FindCoordinatorResponse::default()
        };
    }
    let found = find(cx, &image, request.key_type, request.key);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

fn find<'r>(
    cx: &Context,
    image: &MetadataImage,
    key_type: i8,
    key: Cow<'r, str>,
) -> Coordinator<'r> {
    let found = match key_type {
        GROUP => coordinator_of(cx, image, &key),
        TRANSACTION if !authorize(cx, Operation::Describe, Resource::TransactionalId(&key)) => {
            Err(ErrorCode::TransactionalIdAuthorizationFailed)
        }
        TRANSACTION => Err(ErrorCode::CoordinatorNotAvailable),
        _ => Err(ErrorCode::InvalidRequest),
    };
    let found = found.and_then(|(id, listener)| {
        let (host, port, _) = listener.ok_or(ErrorCode::CoordinatorNotAvailable)?;
        Ok((id, host, port))
    });
    match found {
        Ok((id, host, port)) => Coordinator {
            key,
            node_id: id.get(),
            host: host.into(),
            port,
            error_message: Some("".into()),
            ..Coordinator::default()
        },
        Err(error_code) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code,
            error_message: Some(error_code.message().into()),
            ..Coordinator::default()
        },
    }
}

type Endpoint = Option<(String, i32, Option<String>)>;

fn coordinator_of(
    cx: &Context,
    image: &MetadataImage,
    group: &str,
) -> Result<(BrokerId, Endpoint), ErrorCode> {
    group::check(cx, Operation::Describe, group)?;
    let none = ErrorCode::CoordinatorNotAvailable;
    let topic = image.topics().by_name(GROUP_TOPIC).ok_or(none)?;
    let partition = partition_of(group, topic.partitions().count()).ok_or(none)?;
    let leader = topic.partition(partition).and_then(|found| found.leader);
    let leader = leader.ok_or(none)?;
    Ok((leader, endpoint(cx, image, leader)))
}

//! `ConsumerGroupHeartbeat`: everything that a member of the new consumer protocol says, and is told (KIP-848).

use std::time::Duration;

use uuid::Uuid;

use super::group;
use crate::broker::authorize::Operation;
use crate::broker::context::Context;
use crate::coordinator::group::names::{GroupId, InstanceId, MemberId};
use crate::coordinator::group::request::{ConsumerHeard, ConsumerHeartbeat, Partitions};
use crate::metadata::{PartitionIndex, TopicId};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    RequestedTopicPartitions, TopicPartitions,
};

/// From here on a client makes up its own id.
const OWN_ID_SINCE: i16 = 1;
/// The epoch of a member that joins.
const JOIN: i32 = 0;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: ConsumerGroupHeartbeatRequest<'r>,
) -> ConsumerGroupHeartbeatResponse<'r> {
    if !cx.broker.coordinators.config().consumer.is_enabled {
        return refused(ErrorCode::UnsupportedVersion, None);
    }
    if let Err(code) = group::check(cx, Operation::Read, &request.group_id) {
        return refused(code, None);
    }
    let needs_id = cx.version < OWN_ID_SINCE && request.member_epoch == JOIN;
    let member = if request.member_id.is_empty() && needs_id {
        MemberId::from(Uuid::new_v4().to_string())
    } else {
        MemberId::from(&*request.member_id)
    };
    let rebalance_timeout = u64::try_from(request.rebalance_timeout_ms).ok();
    let names = request.subscribed_topic_names.as_ref();
    let topics = names.map(|names| names.iter().map(|name| group::kept(name)).collect());
    let heartbeat = ConsumerHeartbeat {
        group: GroupId::from(&*request.group_id),
        member,
        epoch: request.member_epoch,
        instance: request.instance_id.as_deref().map(InstanceId::from),
        rack: request.rack_id.as_deref().map(group::kept),
        rebalance_timeout: rebalance_timeout.map(Duration::from_millis),
        topics,
        topics_regex: request.subscribed_topic_regex.as_deref().map(group::kept),
        assignor: request.server_assignor.as_deref().map(group::kept),
        owned: request.topic_partitions.as_deref().map(partitions),
        client: group::client(cx),
    };
    match group::ask(cx, &request.group_id, heartbeat).await {
        Ok(heard) => accepted(&heard),
        Err(error) => refused((&error).into(), Some(error.to_string())),
    }
}

/// A topic may be named more than once.
fn partitions(topics: &[RequestedTopicPartitions]) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in topics {
        let indexes = topic.partitions.iter();
        let indexes = indexes.filter_map(|raw| PartitionIndex::from_wire(*raw));
        let known = partitions.entry(TopicId::new(topic.topic_id));
        known.or_default().extend(indexes);
    }
    partitions
}

fn accepted(heard: &ConsumerHeard) -> ConsumerGroupHeartbeatResponse<'static> {
    let assignment = heard.assignment.as_ref().map(|assignment| {
        let topics = assignment.iter();
        let topics = topics.map(|(id, partitions)| TopicPartitions {
            topic_id: id.uuid(),
            partitions: partitions.iter().map(|p| p.get()).collect(),
        });
        Assignment {
            topic_partitions: topics.collect(),
        }
    });
    let interval = heard.heartbeat_interval.as_millis();
    ConsumerGroupHeartbeatResponse {
        member_id: Some(heard.member.as_str().to_owned().into()),
        member_epoch: heard.epoch,
        heartbeat_interval_ms: i32::try_from(interval).unwrap_or(i32::MAX),
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn refused(
    error_code: ErrorCode,
    message: Option<String>,
) -> ConsumerGroupHeartbeatResponse<'static> {
    ConsumerGroupHeartbeatResponse {
        error_code,
        error_message: message.map(Into::into),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_is_named_twice_has_all_its_partitions() {
        let named = |partitions: &[i32]| RequestedTopicPartitions {
            topic_id: Uuid::from_u128(7),
            partitions: partitions.to_vec(),
        };
        let all = partitions(&[named(&[0, 1]), named(&[2])]);
        assert_eq!(all, partitions(&[named(&[0, 1, 2])]));
    }
}

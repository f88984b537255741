//! `DescribeQuorum`: the metadata quorum in the words of Kafka's own, offsets being log indexes.

use ottla_raft::{Member, Metrics, NodeId, Replica};

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::clock;
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState,
    RequestedTopicData, TopicData,
};

const TOPIC: &str = "__cluster_metadata";
/// How the quorum's listener is called in Kafka's examples.
const LISTENER: &str = "CONTROLLER";

#[allow(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DescribeQuorumRequest<'r>,
) -> DescribeQuorumResponse<'r> {
    if !authorize(cx, Operation::Describe, Resource::Cluster) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    let metrics = cx.broker.admin.quorum.metrics();
    let is_metadata_only = match request.topics.as_slice() {
        [topic] => {
            topic.topic_name == TOPIC
                && matches!(topic.partitions.as_slice(), [one] if one.partition_index == 0)
        }
        _ => false,
    };
    if !is_metadata_only {
        return unknown_partitions(request.topics);
    }
    if metrics.leader != Some(metrics.node) {
        return refused(ErrorCode::NotLeaderOrFollower);
    }
    DescribeQuorumResponse {
        error_code: ErrorCode::None,
        error_message: None,
        topics: vec![TopicData {
            topic_name: TOPIC.into(),
            partitions: vec![partition(&metrics)],
        }],
        nodes: nodes(&metrics),
    }
}

fn refused(error_code: ErrorCode) -> DescribeQuorumResponse<'static> {
    DescribeQuorumResponse {
        error_code,
        error_message: Some(error_code.message().into()),
        ..DescribeQuorumResponse::default()
    }
}

fn unknown_partitions(topics: Vec<RequestedTopicData<'_>>) -> DescribeQuorumResponse<'_> {
    let topics = topics.into_iter().map(|topic| TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition,
                error_message: Some(ErrorCode::UnknownTopicOrPartition.message().into()),
                ..PartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse {
        error_message: None,
        topics: topics.collect(),
        ..DescribeQuorumResponse::default()
    }
}

fn partition(metrics: &Metrics) -> PartitionData<'static> {
    let states = |members: &std::collections::BTreeMap<NodeId, Member>| -> Vec<ReplicaState> {
        members
            .iter()
            .map(|(node, member)| replica(metrics, *node, member))
            .collect()
    };
    PartitionData {
        partition_index: 0,
        error_code: ErrorCode::None,
        error_message: None,
        leader_id: metrics.leader.map_or(-1, id),
        leader_epoch: i32::try_from(metrics.term.0).unwrap_or(i32::MAX),
        high_watermark: offset(metrics.high_watermark.0),
        current_voters: states(&metrics.voters),
        observers: states(&metrics.observers),
    }
}

fn replica(metrics: &Metrics, node: NodeId, member: &Member) -> ReplicaState {
    let known: Replica = metrics.replicas.get(&node).copied().unwrap_or_default();
    let now = clock::wall().as_millis();
    let ago = |since: Option<std::time::Duration>| {
        since.map_or(-1, |since| {
            now.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        })
    };
    let is_leader = node == metrics.node;
    ReplicaState {
        replica_id: id(node),
        replica_directory_id: Uuid::from_bytes(member.directory.0),
        log_end_offset: if is_leader {
            offset(metrics.log_end.0)
        } else {
            known.log_end.map_or(-1, |end| offset(end.0))
        },
        last_fetch_timestamp: if is_leader {
            now
        } else {
            ago(known.since_answer)
        },
        last_caught_up_timestamp: if is_leader {
            now
        } else {
            ago(known.since_caught_up)
        },
    }
}

fn nodes(metrics: &Metrics) -> Vec<Node<'static>> {
    let members = metrics.voters.iter().chain(&metrics.observers);
    let nodes = members.map(|(node, member)| {
        let address = member.address.rsplit_once(':');
        let listener = address.and_then(|(host, port)| {
            let host = host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned();
            Some(Listener {
                name: LISTENER.into(),
                host: host.into(),
                port: port.parse().ok()?,
            })
        });
        Node {
            node_id: id(*node),
            listeners: listener.into_iter().collect(),
        }
    });
    nodes.collect()
}

fn id(node: NodeId) -> i32 {
    i32::try_from(node.0).unwrap_or(-1)
}

fn offset(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

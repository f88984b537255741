//! `ElectLeaders`: the preferred replicas, or any for partitions without a leader.

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::controller::command::{ElectLeaders, ElectionKind, TopicElections};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: ElectLeadersRequest<'r>,
) -> ElectLeadersResponse<'r> {
    if !authorize(cx, Operation::Alter, Resource::Cluster) {
        return refused(request, ErrorCode::ClusterAuthorizationFailed, None);
    }
    let kind = match request.election_type {
        0 => ElectionKind::Preferred,
        1 => ElectionKind::Unclean,
        other => {
            let message = format!("Unknown election type {other}");
            return refused(request, ErrorCode::InvalidRequest, Some(&message));
        }
    };
    let topics = request.topic_partitions.as_ref();
    let partitions = topics.map(|topics| {
        let topics = topics.iter();
        topics
            .map(|topic| (topic.topic.to_string(), topic.partitions.clone()))
            .collect()
    });
    let elected = cx
        .broker
        .admin
        .controller
        .elect_leaders(ElectLeaders { kind, partitions });
    match cx.ask(request.timeout_ms, elected).await {
        Ok(outcome) => {
            cx.broker.caught_up().await;
            ElectLeadersResponse {
                replica_election_results: outcome.into_iter().map(result).collect(),
                ..ElectLeadersResponse::default()
            }
        }
        Err(error) => refused(request, error.code, Some(&error.message)),
    }
}

fn result<'r>(elections: TopicElections) -> ReplicaElectionResult<'r> {
    let partitions = elections.partitions.into_iter().map(|(index, result)| {
        let error = result.err();
        PartitionResult {
            partition_id: index,
            error_code: error.as_ref().map_or(ErrorCode::None, ErrorCode::from),
            error_message: error.map(|error| error.to_string().into()),
        }
    });
    ReplicaElectionResult {
        topic: elections.topic.into(),
        partition_result: partitions.collect(),
    }
}

/// The same error for all: version 0 has none for the whole.
fn refused<'r>(
    request: ElectLeadersRequest<'r>,
    error_code: ErrorCode,
    message: Option<&str>,
) -> ElectLeadersResponse<'r> {
    let topics = request.topic_partitions.unwrap_or_default();
    let results = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|index| PartitionResult {
            partition_id: index,
            error_code,
            error_message: message.map(|message| message.to_owned().into()),
        });
        ReplicaElectionResult {
            topic: topic.topic,
            partition_result: partitions.collect(),
        }
    });
    ElectLeadersResponse {
        throttle_time_ms: 0,
        error_code,
        replica_election_results: results.collect(),
    }
}

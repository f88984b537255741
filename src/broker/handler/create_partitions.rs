//! `CreatePartitions`: more partitions for topics that exist.

use std::collections::BTreeSet;

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::controller::command::{CreatePartitions, MorePartitions};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: CreatePartitionsRequest<'r>,
) -> CreatePartitionsResponse<'r> {
    let may_alter = |topic: &CreatePartitionsTopic<'r>| {
        authorize(cx, Operation::Alter, Resource::Topic(&topic.name))
    };
    let (allowed, refused): (Vec<_>, Vec<_>) = request.topics.into_iter().partition(may_alter);
    let command = CreatePartitions {
        topics: allowed.iter().map(more_partitions).collect(),
        validate_only: request.validate_only,
    };
    let added = cx.broker.admin.controller.create_partitions(command);
    let outcome = cx.ask(request.timeout_ms, added).await;
    if outcome.is_ok() {
        cx.broker.caught_up().await;
    }
    let codes: Vec<(ErrorCode, Option<String>)> = match outcome {
        Ok(outcome) => outcome
            .into_iter()
            .map(|result| match result {
                Ok(()) => (ErrorCode::None, None),
                Err(error) => ((&error).into(), Some(error.to_string())),
            })
            .collect(),
        Err(error) => vec![(error.code, Some(error.message)); allowed.len()],
    };
    let mut answered = BTreeSet::new();
    let mut results: Vec<CreatePartitionsTopicResult<'r>> = Vec::with_capacity(codes.len());
    for (topic, (error_code, message)) in allowed.into_iter().zip(codes) {
        if answered.insert(topic.name.clone()) {
            let error_message = message.map(Into::into);
            results.push(CreatePartitionsTopicResult {
                name: topic.name,
                error_code,
                error_message,
            });
        }
    }
    results.extend(
        refused
            .into_iter()
            .map(|topic| CreatePartitionsTopicResult {
                name: topic.name,
                error_code: ErrorCode::TopicAuthorizationFailed,
                error_message: None,
            }),
    );
    CreatePartitionsResponse {
        throttle_time_ms: 0,
        results,
    }
}

fn more_partitions(topic: &CreatePartitionsTopic<'_>) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        assignments
            .iter()
            .map(|assignment| assignment.broker_ids.clone())
            .collect()
    });
    MorePartitions {
        topic: topic.name.to_string(),
        total: topic.count,
        assignments,
    }
}

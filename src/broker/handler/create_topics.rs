//! `CreateTopics`: the controller decides, the answer shows what it made.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::config::describe;
use crate::controller::command::{
    Assignment, CreateTopicError, CreateTopics, CreatedTopic, NewTopic,
};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: CreateTopicsRequest<'r>,
) -> CreateTopicsResponse<'r> {
    let may_create_all = authorize(cx, Operation::Create, Resource::Cluster);
    let may_create = |topic: &&CreatableTopic<'r>| {
        may_create_all || authorize(cx, Operation::Create, Resource::Topic(&topic.name))
    };
    let (allowed, refused): (Vec<_>, Vec<_>) = request.topics.iter().partition(may_create);
    let command = CreateTopics {
        topics: allowed.iter().map(|topic| new_topic(topic)).collect(),
        validate_only: request.validate_only,
    };
    let created = cx.broker.admin.controller.create_topics(command);
    let mut topics = Vec::with_capacity(request.topics.len());
    match cx.ask(request.timeout_ms, created).await {
        Ok(outcome) => {
            cx.broker.caught_up().await;
            // A name that stands in the request twice is answered once: the answer is a set.
            let mut answered = BTreeSet::new();
            let results = allowed.into_iter().zip(outcome);
            let once = results.filter(|(topic, _)| answered.insert(&topic.name));
            topics.extend(once.map(|(topic, result)| answer(cx, topic.name.clone(), result)));
        }
        Err(error) => topics.extend(allowed.into_iter().map(|topic| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: error.code,
            error_message: Some(error.message.clone().into()),
            ..CreatableTopicResult::default()
        })),
    }
    topics.extend(refused.into_iter().map(|topic| CreatableTopicResult {
        name: topic.name.clone(),
        error_code: ErrorCode::TopicAuthorizationFailed,
        error_message: Some("Authorization failed.".into()),
        ..CreatableTopicResult::default()
    }));
    CreateTopicsResponse {
        throttle_time_ms: 0,
        topics,
    }
}

fn new_topic(topic: &CreatableTopic<'_>) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| Assignment {
        partition: assignment.partition_index,
        brokers: assignment.broker_ids.clone(),
    });
    let configs = topic.configs.iter().map(|config| {
        (
            config.name.to_string(),
            config.value.as_ref().map(ToString::to_string),
        )
    });
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn answer<'r>(
    cx: &Context,
    name: Cow<'r, str>,
    result: Result<CreatedTopic, CreateTopicError>,
) -> CreatableTopicResult<'r> {
    let created = match result {
        Ok(created) => created,
        Err(error) => {
            return CreatableTopicResult {
                name,
                error_code: (&error).into(),
                error_message: Some(error.to_string().into()),
                ..CreatableTopicResult::default()
            };
        }
    };
    let (topic_config_error_code, num_partitions, replication_factor, configs) =
        if authorize(cx, Operation::DescribeConfigs, Resource::Topic(&name)) {
            let configs = effective_configs(cx, &created);
            (
                ErrorCode::None,
                created.partitions,
                created.replication_factor,
                Some(configs),
            )
        } else {
            (ErrorCode::TopicAuthorizationFailed, -1, -1, None)
        };
    CreatableTopicResult {
        name,
        topic_id: created.id.uuid(),
        error_code: ErrorCode::None,
        error_message: None,
        topic_config_error_code,
        num_partitions,
        replication_factor,
        configs,
    }
}

fn effective_configs(cx: &Context, created: &CreatedTopic) -> Vec<CreatableTopicConfigs<'static>> {
    let image = cx.broker.metadata.image();
    let layers = cx.broker.config_layers(&image, Some(&created.overrides));
    let replication_factor = usize::try_from(created.replication_factor).unwrap_or(0);
    let entries = describe::topic_entries(&layers, replication_factor).into_iter();
    let shown = entries.map(|entry| CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.map(Cow::Owned),
        read_only: entry.is_read_only,
        config_source: entry.source.wire_code(),
        is_sensitive: entry.is_sensitive,
    });
    shown.collect()
}

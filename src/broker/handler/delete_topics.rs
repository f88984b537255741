//! `DeleteTopics`: by name, from version 6 also by id.

use std::borrow::Cow;

use crate::broker::admin_error::DeleteTopicErrorCode as _;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::controller::command::{DeleteTopics, TopicRef};
use crate::metadata::{MetadataImage, TopicId};
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};

/// The first version that can name topics by id.
const IDS_SINCE: i16 = 6;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DeleteTopicsRequest<'r>,
) -> DeleteTopicsResponse<'r> {
    let states = if cx.version >= IDS_SINCE {
        request.topics
    } else {
        let named = request.topic_names.into_iter();
        named
            .map(|name| DeleteTopicState {
                name: Some(name),
                topic_id: Uuid::nil(),
            })
            .collect()
    };
    let image = cx.broker.metadata.image();
    let mut responses = Vec::with_capacity(states.len());
    let mut asked = Vec::with_capacity(states.len());
    for state in states {
        match check(cx, &image, &state) {
            Ok(topic) => asked.push((state, topic)),
            Err((error_code, message)) => {
                let (name, topic_id) = (state.name, state.topic_id);
                let error_message = Some(message.into());
                responses.push(DeletableTopicResult {
                    name,
                    topic_id,
                    error_code,
                    error_message,
                });
            }
        }
    }
    let topics = asked.iter().map(|(_, topic)| topic.clone()).collect();
    let deleted = cx
        .broker
        .admin
        .controller
        .delete_topics(DeleteTopics { topics });
    let outcome = cx.ask(request.timeout_ms, deleted).await;
    if outcome.is_ok() {
        cx.broker.caught_up().await;
    }
    let results = match outcome {
        Ok(outcome) => outcome
            .into_iter()
            .map(|result| result.map_err(|error| (error.code(cx.version), error.to_string())))
            .collect(),
        Err(error) => vec![Err((error.code, error.message)); asked.len()],
    };
    for ((state, _), result) in asked.into_iter().zip(results) {
        responses.push(match result {
            Ok(topic) => DeletableTopicResult {
                name: Some(Cow::Owned(topic.name)),
                topic_id: topic.id.uuid(),
                error_code: ErrorCode::None,
                error_message: None,
            },
            Err((error_code, message)) => DeletableTopicResult {
                name: state.name,
                topic_id: state.topic_id,
                error_code,
                error_message: Some(message.into()),
            },
        });
    }
    DeleteTopicsResponse {
        throttle_time_ms: 0,
        responses,
    }
}

fn check(
    cx: &Context,
    image: &MetadataImage,
    state: &DeleteTopicState<'_>,
) -> Result<TopicRef, (ErrorCode, &'static str)> {
    let id = TopicId::from_wire(state.topic_id.into_bytes());
    let invalid = |message| Err((ErrorCode::InvalidRequest, message));
    let topic = match (&state.name, id) {
        (Some(_), Some(_)) => {
            return invalid("You may not specify both topic name and topic id.");
        }
        (None, None) => return invalid("Neither topic name nor id were specified."),
        (Some(name), None) => TopicRef::Name(name.to_string()),
        (None, Some(id)) => TopicRef::Id(id),
    };
    let name = match &topic {
        TopicRef::Name(name) => Some(name.clone()),
        TopicRef::Id(id) => image
            .topics()
            .by_id(*id)
            .map(|topic| topic.name().to_string()),
    };
    // Who may not look at a topic doesn't learn which name an id has, or that it exists.
    let Some(name) = name else { return Ok(topic) };
    let resource = Resource::Topic(&name);
    if !authorize(cx, Operation::Describe, resource) && matches!(topic, TopicRef::Id(_)) {
        return Err((
            ErrorCode::UnknownTopicId,
            ErrorCode::UnknownTopicId.message(),
        ));
    }
    if !authorize(cx, Operation::Delete, resource) {
        return Err((ErrorCode::TopicAuthorizationFailed, "Authorization failed."));
    }
    Ok(topic)
}

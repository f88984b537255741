//! `DescribeConfigs`: values with where they come from, of topics and of this broker.

use std::borrow::Cow;

use crate::broker::authorize::Operation;
use crate::broker::context::Context;
use crate::broker::handler::config_resource::{check_access, named};
use crate::config::describe::{self, ConfigEntry};
use crate::config::{Layers, StaticConfig};
use crate::controller::command::{AlterConfigsError, NamedResource};
use crate::controller::decide::check_name;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

#[allow(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DescribeConfigsRequest<'r>,
) -> DescribeConfigsResponse<'r> {
    let shape = Shape {
        synonyms: request.include_synonyms,
        documentation: request.include_documentation,
    };
    let results = request
        .resources
        .into_iter()
        .map(|resource| describe(cx, resource, shape));
    DescribeConfigsResponse {
        throttle_time_ms: 0,
        results: results.collect(),
    }
}

/// What the client wants to see of each value.
#[derive(Clone, Copy)]
struct Shape {
    synonyms: bool,
    documentation: bool,
}

fn describe<'r>(
    cx: &Context,
    resource: DescribeConfigsResource<'r>,
    shape: Shape,
) -> DescribeConfigsResult<'r> {
    let found = entries(cx, &named(resource.resource_type, &resource.resource_name));
    let (error_code, error_message, entries) = match found {
        Ok(entries) => (ErrorCode::None, None, entries),
        Err((code, message)) => (code, message, Vec::new()),
    };
    // No list and an empty list both mean everything.
    let keys = resource.configuration_keys.unwrap_or_default();
    let is_wanted =
        |entry: &ConfigEntry| keys.is_empty() || keys.iter().any(|key| **key == *entry.name);
    let configs = entries
        .into_iter()
        .filter(is_wanted)
        .map(|entry| shown(entry, shape));
    DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        configs: configs.collect(),
    }
}

type Refusal = (ErrorCode, Option<Cow<'static, str>>);

fn entries(cx: &Context, resource: &NamedResource) -> Result<Vec<ConfigEntry>, Refusal> {
    check_access(cx, Operation::DescribeConfigs, resource).map_err(|code| (code, None))?;
    match resource {
        NamedResource::Topic(name) => topic(cx, name),
        NamedResource::Broker(name) if name.is_empty() => Ok(cluster_defaults(cx)),
        NamedResource::Broker(name) => broker(cx, name),
        NamedResource::Other { kind, .. } => {
            let error = AlterConfigsError::UnsupportedResource { kind: *kind };
            Err((ErrorCode::InvalidRequest, Some(error.to_string().into())))
        }
    }
}

fn topic(cx: &Context, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
    if let Err(error) = check_name(name) {
        let message = format!("Topic name is invalid: {error}");
        return Err((ErrorCode::InvalidTopicException, Some(message.into())));
    }
    let image = cx.broker.metadata.image();
    let Some(topic) = image.topics().by_name(name) else {
        return Err((ErrorCode::UnknownTopicOrPartition, None));
    };
    let layers = cx
        .broker
        .config_layers(&image, image.topic_overrides(topic.id()));
    Ok(describe::topic_entries(&layers, topic.replication_factor()))
}

fn broker(cx: &Context, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
    let own = cx.broker.id;
    if name.parse::<i32>() != Ok(own.get()) {
        let message =
            format!("Unexpected broker id, expected {own} or empty string, but received {name}");
        return Err((ErrorCode::InvalidRequest, Some(message.into())));
    }
    let image = cx.broker.metadata.image();
    Ok(describe::broker_entries(
        &cx.broker.config_layers(&image, None),
    ))
}

/// The dynamic defaults of all brokers: only what was set, for it has no other layer.
fn cluster_defaults(cx: &Context) -> Vec<ConfigEntry> {
    let image = cx.broker.metadata.image();
    let nothing = StaticConfig::default();
    let Some(set) = image.cluster_overrides() else {
        return Vec::new();
    };
    let layers = Layers {
        cluster: Some(set),
        ..Layers::of_static(&nothing)
    };
    let mut entries = describe::broker_entries(&layers);
    entries.retain(|entry| set.contains_key(&entry.name));
    entries
}

fn shown(entry: ConfigEntry, shape: Shape) -> DescribeConfigsResourceResult<'static> {
    let synonyms = if shape.synonyms {
        entry.synonyms
    } else {
        Vec::new()
    };
    let synonyms = synonyms.into_iter().map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.into(),
        value: synonym.value.map(Cow::Owned),
        source: synonym.source.wire_code(),
    });
    DescribeConfigsResourceResult {
        name: entry.name.into(),
        value: entry.value.map(Cow::Owned),
        read_only: entry.is_read_only,
        config_source: entry.source.wire_code(),
        is_sensitive: entry.is_sensitive,
        synonyms: synonyms.collect(),
        config_type: entry.kind.wire_code(),
        documentation: shape.documentation.then(|| entry.documentation.into()),
    }
}

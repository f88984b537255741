//! The settings of topics, as the brokers resolve them.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::cli::client::Client;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};

/// Kafka's code of the resource type "topic".
pub(super) const TOPIC_RESOURCE: i8 = 2;

/// How small an ISR may be for acks=all.
pub(in crate::cli) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

#[derive(Debug, Serialize)]
pub(in crate::cli) struct Setting {
    key: String,
    value: Option<String>,
    source: &'static str,
}

impl Setting {
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn value(&self) -> Option<&String> {
        self.value.as_ref()
    }

    pub(super) fn source(&self) -> &'static str {
        self.source
    }
}

/// The settings of each topic: all of them, or those with one key.
pub(in crate::cli) async fn settings(
    client: &mut Client,
    topics: &[String],
    key: Option<&'static str>,
) -> Result<BTreeMap<String, Vec<Setting>>> {
    if topics.is_empty() {
        return Ok(BTreeMap::new());
    }
    let resource = |name: &'_ String| DescribeConfigsResource {
        resource_type: TOPIC_RESOURCE,
        resource_name: name.clone().into(),
        configuration_keys: key.map(|key| vec![key.into()]),
    };
    let request = DescribeConfigsRequest {
        resources: topics.iter().map(resource).collect(),
        ..DescribeConfigsRequest::default()
    };
    let answer = client.call_any(&request).await?;
    let mut settings = BTreeMap::new();
    for topic in answer.decode()?.results {
        // Deleted meanwhile.
        if topic.error_code == ErrorCode::UnknownTopicOrPartition {
            continue;
        }
        if topic.error_code.is_error() {
            let message = topic.error_message.as_deref();
            let message = message.unwrap_or_else(|| topic.error_code.message());
            bail!("settings of {}: {message}", topic.resource_name);
        }
        let of_topic = topic.configs.iter().map(|config| Setting {
            key: config.name.to_string(),
            value: config.value.as_ref().map(ToString::to_string),
            source: source(config.config_source),
        });
        settings.insert(topic.resource_name.to_string(), of_topic.collect());
    }
    Ok(settings)
}

/// The `min.insync.replicas` among a topic's settings.
pub(in crate::cli) fn min_insync_replicas(settings: &[Setting]) -> Option<usize> {
    let found = settings.iter().find(|one| one.key == MIN_INSYNC_REPLICAS)?;
    found.value.as_ref()?.parse().ok()
}

/// Kafka's names of where a setting comes from.
fn source(code: i8) -> &'static str {
    match code {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        _ => "UNKNOWN",
    }
}

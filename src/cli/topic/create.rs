//! `ottla topic create`.

use anyhow::Result;

use crate::cli::Reporting;
use crate::cli::value::KeyValue;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};

use super::Outcomes;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The topics to create
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions of each topic [default: the broker's num.partitions]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's default.replication.factor]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A topic setting under its Kafka name (repeatable)
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<KeyValue>,
    /// A topic that exists already is fine
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether it would work
    #[arg(short, long)]
    dry_run: bool,
    #[command(flatten)]
    reporting: Reporting,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let configs = options.config.iter().map(|setting| CreatableTopicConfig {
        name: setting.key.as_str().into(),
        value: Some(setting.value.as_str().into()),
    });
    let configs: Vec<_> = configs.collect();
    let topic = |name: &'_ String| CreatableTopic {
        name: name.clone().into(),
        // -1 leaves the choice to the broker.
        num_partitions: options.partitions.unwrap_or(-1),
        replication_factor: options.replication_factor.unwrap_or(-1),
        configs: configs.clone(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: options.topics.iter().map(topic).collect(),
        timeout_ms: client.timeout_ms(),
        validate_only: options.dry_run,
    };
    let answer = client.call_any(&request).await?;
    let created = if options.dry_run { "valid" } else { "created" };
    let mut outcomes = Outcomes::default();
    for topic in &answer.decode()?.topics {
        match topic.error_code {
            ErrorCode::None => outcomes.done(topic.name.as_ref(), created),
            ErrorCode::TopicAlreadyExists if options.if_not_exists => {
                outcomes.done(topic.name.as_ref(), "exists");
            }
            code => outcomes.failed(topic.name.as_ref(), code, topic.error_message.as_deref()),
        }
    }
    outcomes.finish(options.reporting.format(), "created")
}

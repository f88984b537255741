//! `ottla topic alter`: settings and the number of partitions.

use anyhow::{Result, bail};

use crate::cli::Reporting;
use crate::cli::client::Client;
use crate::cli::value::KeyValue;
use crate::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::Outcomes;
use super::settings::TOPIC_RESOURCE;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The topics to change
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Set a setting (repeatable)
    #[arg(short, long, alias = "add-config", value_name = "KEY=VALUE")]
    set: Vec<KeyValue>,
    /// Take a setting back to its default (repeatable)
    #[arg(short, long, aliases = ["unset", "delete-config"], value_name = "KEY")]
    delete: Vec<String>,
    /// Add a value to a list setting (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    append: Vec<KeyValue>,
    /// Take a value out of a list setting (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    subtract: Vec<KeyValue>,
    /// Grow to this number of partitions; keys move to other partitions
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Only check whether it would work
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reporting: Reporting,
}

/// Kafka's codes of what to do with a setting.
#[derive(Clone, Copy)]
enum Operation {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let changes = options.changes();
    if changes.is_empty() && options.partitions.is_none() {
        bail!("nothing to change: give --set, --delete, --append, --subtract or --partitions");
    }
    let mut client = options.reporting.connect.client();
    let mut outcomes = Outcomes::default();
    if !changes.is_empty() {
        alter_configs(&mut client, &options, &changes, &mut outcomes).await?;
    }
    if let Some(count) = options.partitions {
        grow(&mut client, &options, count, &mut outcomes).await?;
    }
    outcomes.finish(options.reporting.format(), "changed")
}

impl Options {
    fn changes(&self) -> Vec<AlterableConfig<'_>> {
        let pairs = [
            (Operation::Set, &self.set),
            (Operation::Append, &self.append),
            (Operation::Subtract, &self.subtract),
        ];
        let mut changes = Vec::new();
        for (operation, settings) in pairs {
            for KeyValue { key, value } in settings {
                changes.push(change(operation, key, Some(value)));
            }
        }
        for key in &self.delete {
            changes.push(change(Operation::Delete, key, None));
        }
        changes
    }

    fn done(&self, action: &'static str) -> &'static str {
        if self.dry_run { "valid" } else { action }
    }
}

fn change<'a>(operation: Operation, key: &'a str, value: Option<&'a str>) -> AlterableConfig<'a> {
    AlterableConfig {
        name: key.into(),
        config_operation: operation as i8,
        value: value.map(Into::into),
    }
}

async fn alter_configs(
    client: &mut Client,
    options: &Options,
    changes: &[AlterableConfig<'_>],
    outcomes: &mut Outcomes,
) -> Result<()> {
    let mut request = IncrementalAlterConfigsRequest {
        validate_only: options.dry_run,
        ..IncrementalAlterConfigsRequest::default()
    };
    for name in &options.topics {
        request.resources.push(AlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: name.as_str().into(),
            configs: changes.to_vec(),
        });
    }
    let answer = client.call_any(&request).await?;
    for topic in &answer.decode()?.responses {
        let name = topic.resource_name.as_ref();
        if topic.error_code.is_error() {
            outcomes.failed(name, topic.error_code, topic.error_message.as_deref());
        } else {
            outcomes.done(name, options.done("changed"));
        }
    }
    Ok(())
}

async fn grow(
    client: &mut Client,
    options: &Options,
    count: i32,
    outcomes: &mut Outcomes,
) -> Result<()> {
    let mut request = CreatePartitionsRequest {
        timeout_ms: client.timeout_ms(),
        validate_only: options.dry_run,
        ..CreatePartitionsRequest::default()
    };
    for name in &options.topics {
        request.topics.push(CreatePartitionsTopic {
            name: name.as_str().into(),
            count,
            // Null leaves the placement to the controller.
            assignments: None,
        });
    }
    let answer = client.call_any(&request).await?;
    for topic in &answer.decode()?.results {
        let name = topic.name.as_ref();
        if topic.error_code.is_error() {
            outcomes.failed(name, topic.error_code, topic.error_message.as_deref());
        } else {
            outcomes.done(name, options.done("grown"));
        }
    }
    Ok(())
}

//! `ottla topic delete`.

use anyhow::Result;

use crate::cli::{Reporting, confirm};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};

use super::Outcomes;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The topics to delete
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that does not exist is fine
    #[arg(long)]
    if_exists: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reporting: Reporting,
}

pub(super) async fn run(options: Options) -> Result<()> {
    if !options.yes {
        confirm::deletion_of(&format!("{} and all records", options.topics.join(", ")))?;
    }
    let mut client = options.reporting.connect.client();
    let request = DeleteTopicsRequest {
        topics: options.topics.iter().map(|name| by_name(name)).collect(),
        // The same names for brokers that know no topic ids here.
        topic_names: options
            .topics
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        timeout_ms: client.timeout_ms(),
    };
    let answer = client.call_any(&request).await?;
    let mut outcomes = Outcomes::default();
    for topic in &answer.decode()?.responses {
        let name = topic.name.as_deref().unwrap_or_default();
        match topic.error_code {
            ErrorCode::None => outcomes.done(name, "deleted"),
            ErrorCode::UnknownTopicOrPartition if options.if_exists => {
                outcomes.done(name, "absent");
            }
            code => outcomes.failed(name, code, topic.error_message.as_deref()),
        }
    }
    outcomes.finish(options.reporting.format(), "deleted")
}

fn by_name(name: &str) -> DeleteTopicState<'_> {
    DeleteTopicState {
        name: Some(name.into()),
        ..DeleteTopicState::default()
    }
}

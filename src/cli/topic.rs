//! `ottla topic`: create, list, describe, delete, alter, offsets.

mod alter;
mod create;
mod delete;
mod describe;
mod eligible;
mod list;
mod offsets;
mod settings;

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::wire::error_code::ErrorCode;

pub(super) use self::describe::topic_id;
pub(super) use self::settings::{MIN_INSYNC_REPLICAS, min_insync_replicas, settings};
use super::output::{OutputFormat, Report, Table, print};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create topics
    Create(create::Options),
    /// List topics
    #[command(visible_alias = "ls")]
    List(list::Options),
    /// Show settings and partitions of topics
    Describe(describe::Options),
    /// Delete topics and their records
    #[command(visible_alias = "rm")]
    Delete(delete::Options),
    /// Change settings, or add partitions
    Alter(alter::Options),
    /// Show where partitions start and end, or which offset stands at a time
    Offsets(offsets::Options),
}

pub(super) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Create(options) => create::run(options).await,
        Command::List(options) => list::run(options).await,
        Command::Describe(options) => describe::run(options).await,
        Command::Delete(options) => delete::run(options).await,
        Command::Alter(options) => alter::run(options).await,
        Command::Offsets(options) => offsets::run(options).await,
    }
}

/// What became of each topic that a command was to change.
#[derive(Debug, Default, Serialize)]
struct Outcomes {
    topics: Vec<TopicOutcome>,
}

#[derive(Debug, Serialize)]
struct TopicOutcome {
    topic: String,
    /// `created`, `exists`, ... or `failed`
    status: &'static str,
    /// Kafka's name of the error.
    error: Option<&'static str>,
    message: Option<String>,
}

impl Outcomes {
    fn done(&mut self, topic: impl Into<String>, status: &'static str) {
        self.topics.push(TopicOutcome {
            topic: topic.into(),
            status,
            error: None,
            message: None,
        });
    }

    /// The broker's own words where it has some, else the code's sentence.
    fn failed(&mut self, topic: impl Into<String>, code: ErrorCode, message: Option<&str>) {
        let message = message.filter(|text| !text.is_empty());
        self.topics.push(TopicOutcome {
            topic: topic.into(),
            status: "failed",
            error: Some(code.name()),
            message: Some(message.unwrap_or_else(|| code.message()).to_owned()),
        });
    }

    /// Prints what happened; an error if anything failed, so that the exit code says so.
    fn finish(&self, format: OutputFormat, action: &str) -> Result<()> {
        print(self, format)?;
        let failed = self
            .topics
            .iter()
            .filter(|topic| topic.error.is_some())
            .count();
        if failed > 0 {
            bail!(
                "{failed} of {} topics could not be {action}",
                self.topics.len()
            );
        }
        Ok(())
    }
}

impl Report for Outcomes {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["TOPIC", "STATUS"]);
        for topic in &self.topics {
            let status = match (topic.error, &topic.message) {
                (Some(error), Some(message)) => format!("{error}: {message}"),
                _ => topic.status.to_owned(),
            };
            table.row([&topic.topic, &status]);
        }
        table.write(out)
    }
}

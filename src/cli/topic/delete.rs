//! `ottla topic delete`.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};

use crate::cli::Reporting;
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
        confirm(&options.topics)?;
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

/// Asks on the terminal; a script has to say `--yes`.
fn confirm(topics: &[String]) -> Result<()> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("deleting needs a confirmation and there is no terminal to ask on: add --yes");
    }
    let mut stderr = std::io::stderr().lock();
    write!(
        stderr,
        "Delete {} and all records? [y/N] ",
        topics.join(", ")
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was deleted");
    }
    Ok(())
}

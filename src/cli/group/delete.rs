//! `ottla group delete`.

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::cli::client::Client;
use crate::cli::output::{Report, Table, print};
use crate::cli::{Reporting, confirm, message};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::delete_groups::DeleteGroupsRequest;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The groups to delete
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Default, Serialize)]
struct Outcomes {
    groups: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    group: String,
    /// `deleted` or `failed`
    status: &'static str,
    /// Kafka's name of the error that the coordinator answered with.
    error: Option<&'static str>,
    message: Option<String>,
}

const FAILED: &str = "failed";

impl Outcome {
    fn failed(group: &str, error: &anyhow::Error) -> Self {
        Self {
            group: group.to_owned(),
            status: FAILED,
            error: None,
            message: Some(message(error)),
        }
    }
}

impl Report for Outcomes {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["GROUP", "STATUS"]);
        for one in &self.groups {
            let status = match (one.error, &one.message) {
                (Some(error), Some(message)) => format!("{error}: {message}"),
                (None, Some(message)) => message.clone(),
                _ => one.status.to_owned(),
            };
            table.row([&one.group, &status]);
        }
        table.write(out)
    }
}

pub(super) async fn run(options: Options) -> Result<()> {
    if !options.yes {
        confirm::deletion_of(&format!("{} and all offsets", options.groups.join(", ")))?;
    }
    let mut client = options.reporting.connect.client();
    let mut outcomes = Outcomes::default();
    for group in &options.groups {
        let outcome = match delete(&mut client, group).await {
            Ok(outcome) => outcome,
            Err(error) if options.groups.len() == 1 => return Err(error),
            // Others have other coordinators, and what became of them is to be said.
            Err(error) => Outcome::failed(group, &error),
        };
        outcomes.groups.push(outcome);
    }
    print(&outcomes, options.reporting.format())?;
    let all = outcomes.groups.len();
    let failed = outcomes.groups.iter().filter(|one| one.status == FAILED);
    match failed.count() {
        0 => Ok(()),
        failed => bail!("{failed} of {all} groups could not be deleted"),
    }
}

async fn delete(client: &mut Client, group: &str) -> Result<Outcome> {
    let request = DeleteGroupsRequest {
        groups_names: vec![group.into()],
    };
    let answer = client.call_coordinator(group, &request).await?;
    let response = answer.decode()?;
    let Some(result) = response.results.first() else {
        bail!("the coordinator's answer leaves it out");
    };
    let code = match result.error_code {
        // The try before was carried out, and its answer was that it may not have been.
        ErrorCode::GroupIdNotFound if answer.is_repeat() => ErrorCode::None,
        code => code,
    };
    let message = result.error_message.as_deref();
    let message = message.filter(|text| !text.is_empty());
    let message = match code {
        ErrorCode::NonEmptyGroup => {
            format!("the group has members; `ottla group describe {group} --members` shows them")
        }
        code => message.unwrap_or_else(|| code.message()).to_owned(),
    };
    let is_error = code.is_error();
    Ok(Outcome {
        group: group.to_owned(),
        status: if is_error { FAILED } else { "deleted" },
        error: is_error.then(|| code.name()),
        message: is_error.then_some(message),
    })
}

//! `ottla group list`: every broker names the groups that it coordinates.

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::cli::Reporting;
use crate::cli::client::{Client, ClientError, Metadata, RETRY_BACKOFF, Topics, is_elsewhere};
use crate::cli::output::{Report, Table, print};
use crate::wire::messages::list_groups::ListGroupsRequest;

/// The states that groups can be in, as brokers spell them.
const STATES: &[&str] = &[
    "PreparingRebalance",
    "CompletingRebalance",
    "Assigning",
    "Reconciling",
    "Stable",
    "Empty",
    "Dead",
    "NotReady",
];

const TYPES: &[&str] = &["classic", "consumer", "share", "streams"];

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Only groups in these states, such as Stable or Empty
    #[arg(long, value_name = "STATE,...", value_delimiter = ',', value_parser = state)]
    state: Vec<&'static str>,
    /// Only groups of these types, such as consumer or classic
    #[arg(long = "type", value_name = "TYPE,...", value_delimiter = ',', value_parser = group_type)]
    types: Vec<&'static str>,
    #[command(flatten)]
    reporting: Reporting,
}

fn state(text: &str) -> Result<&'static str, String> {
    one_of(STATES, text)
}

fn group_type(text: &str) -> Result<&'static str, String> {
    one_of(TYPES, text)
}

/// In any case, with or without dashes, as people write them.
fn one_of(known: &[&'static str], text: &str) -> Result<&'static str, String> {
    let plain = text.replace(['-', '_'], "");
    let found = known.iter().find(|one| one.eq_ignore_ascii_case(&plain));
    found
        .copied()
        .ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

#[derive(Debug, Serialize)]
struct List {
    groups: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    group: String,
    /// Empty where the broker is too old to say.
    #[serde(rename = "type")]
    group_type: String,
    /// Empty where the broker is too old to say.
    state: String,
    /// What the members are: `consumer`, `connect`, ...; empty for offsets without members.
    protocol_type: String,
    coordinator: i32,
}

impl Report for List {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"]);
        for one in &self.groups {
            table.row([
                &one.group,
                &one.group_type,
                &one.state,
                &one.protocol_type,
                &one.coordinator,
            ]);
        }
        table.write(out)
    }
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let nothing = Topics::Named {
        names: &[],
        may_create: false,
    };
    let deadline = Instant::now() + client.timeout();
    let mut groups = loop {
        let metadata = client.metadata(nothing).await?;
        let error = match of_brokers(&client, &metadata, &options).await {
            Ok(groups) => break groups,
            Err(error) => error,
        };
        // One that has just died is listed until the controller has noticed.
        if !may_pass(&error) || Instant::now() >= deadline {
            return Err(error.into());
        }
        sleep(RETRY_BACKOFF).await;
    };
    // Brokers that know no filters name all groups.
    let lacks = |wanted: &[&str], said: fn(&Listed) -> &str| {
        !wanted.is_empty() && groups.iter().any(|one: &Listed| said(one).is_empty())
    };
    if lacks(&options.state, |one| &one.state) || lacks(&options.types, |one| &one.group_type) {
        bail!("a broker is too old to say the states or types of groups: leave the filter out");
    }
    let is_wanted = |wanted: &[&str], said: &str| {
        wanted.is_empty() || wanted.iter().any(|one| one.eq_ignore_ascii_case(said))
    };
    groups.retain(|one| {
        is_wanted(&options.state, &one.state) && is_wanted(&options.types, &one.group_type)
    });
    groups.sort_by(|a, b| a.group.cmp(&b.group));
    print(&List { groups }, options.reporting.format())
}

/// The groups of all brokers, each asked once.
async fn of_brokers(
    client: &Client,
    metadata: &Metadata,
    options: &Options,
) -> Result<Vec<Listed>, ClientError> {
    let owned = |filter: &[&'static str]| filter.iter().map(|&one| one.into()).collect();
    let request = ListGroupsRequest {
        states_filter: owned(&options.state),
        types_filter: owned(&options.types),
    };
    let mut groups = Vec::new();
    for &broker in metadata.brokers.keys() {
        let answer = client.broker(broker)?.call(&request).await?;
        let response = answer.decode()?;
        answer.check(response.error_code)?;
        groups.extend(response.groups.into_iter().map(|one| Listed {
            group: one.group_id.into_owned(),
            group_type: one.group_type.to_lowercase(),
            state: one.group_state.into_owned(),
            protocol_type: one.protocol_type.into_owned(),
            coordinator: broker,
        }));
    }
    Ok(groups)
}

/// A broker has not loaded its groups yet, or is away.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code, .. } => is_elsewhere(*code),
        error => error.is_transient(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_types_are_read_in_every_spelling() {
        for text in [
            "PreparingRebalance",
            "preparing-rebalance",
            "PREPARING_REBALANCE",
        ] {
            assert_eq!(state(text), Ok("PreparingRebalance"));
        }
        assert_eq!(group_type("Consumer"), Ok("consumer"));
        assert!(state("asleep").unwrap_err().contains("Stable"));
    }
}

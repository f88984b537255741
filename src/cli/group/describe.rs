//! `ottla group describe`: offsets and lag, members, state.
//!
//! - The JSON always has everything; the flags choose among the tables.
//! - A group that is not there or cannot be asked does not keep the others from being shown.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde::Serialize;

use super::inspect::{Assigned, Group, inspect, no_such_group};
use crate::cli::client::{At, Client, CommittedOffsets, Isolation};
use crate::cli::output::print;
use crate::cli::{Reporting, message, say};
use crate::wire::error_code::ErrorCode;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The groups to describe
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    #[command(flatten)]
    sections: Sections,
    #[command(flatten)]
    reporting: Reporting,
}

/// Which tables are wanted.
#[derive(Clone, Copy, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag each")]
pub(super) struct Sections {
    /// Show offsets and lag per partition (default)
    #[arg(long)]
    pub(super) offsets: bool,
    /// Show the members
    #[arg(long)]
    pub(super) members: bool,
    /// Show the state
    #[arg(long)]
    pub(super) state: bool,
    /// Show more columns
    #[arg(short, long)]
    pub(super) verbose: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Description {
    pub(super) groups: Vec<GroupDescription>,
    #[serde(skip)]
    pub(super) sections: Sections,
}

#[derive(Debug, Serialize)]
pub(super) struct GroupDescription {
    #[serde(flatten)]
    pub(super) group: Group,
    pub(super) coordinator: CoordinatorDescription,
    /// Over all partitions; null unless that of each is known.
    pub(super) lag: Option<i64>,
    pub(super) partitions: Vec<Progress>,
}

#[derive(Debug, Serialize)]
pub(super) struct CoordinatorDescription {
    pub(super) id: i32,
    pub(super) address: String,
}

/// How far a group is in a partition that it has committed, or that a member reads.
#[derive(Debug, Serialize)]
pub(super) struct Progress {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) committed_offset: Option<i64>,
    pub(super) leader_epoch: Option<i32>,
    pub(super) metadata: Option<String>,
    pub(super) log_end_offset: Option<i64>,
    pub(super) lag: Option<i64>,
    pub(super) member_id: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) host: Option<String>,
    /// Why the log's end, or what was committed, is not known.
    pub(super) error: Option<&'static str>,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let mut groups = Vec::new();
    let mut failures = Vec::new();
    let names: BTreeSet<_> = options.groups.iter().collect();
    for name in names {
        match describe(&mut client, name).await {
            Ok(Some(group)) => groups.push(group),
            Ok(None) => failures.push(no_such_group(name)),
            Err(error) => failures.push(error.context(format!("group {name}"))),
        }
    }
    let all = groups.len() + failures.len();
    for group in groups.iter().filter(|one| one.group.members.is_empty()) {
        say(&format!("group {} has no members now", group.group.name));
    }
    if !groups.is_empty() {
        let description = Description {
            groups,
            sections: options.sections(),
        };
        print(&description, options.reporting.format())?;
    }
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        failed => {
            for failure in &failures {
                say(&message(failure));
            }
            bail!("{failed} of {all} groups could not be described")
        }
    }
}

impl Options {
    fn sections(&self) -> Sections {
        let sections = self.sections;
        Sections {
            offsets: sections.offsets || !(sections.members || sections.state),
            ..sections
        }
    }
}

async fn describe(client: &mut Client, name: &str) -> Result<Option<GroupDescription>> {
    let Some(group) = inspect(client, name).await? else {
        return Ok(None);
    };
    let coordinator = client.coordinator(name).await?;
    let committed = client.committed(name).await?;
    let partitions = progress(client, &group, &committed).await;
    Ok(Some(GroupDescription {
        coordinator: CoordinatorDescription {
            id: coordinator.id,
            address: coordinator.link.address().to_string(),
        },
        lag: lag_of_all(&partitions),
        partitions,
        group,
    }))
}

/// None for a group without partitions, too: nothing says that it is where it should be.
fn lag_of_all(partitions: &[Progress]) -> Option<i64> {
    let lag = |one: &Progress| {
        // Where nothing was ever written a group without an offset is behind nothing.
        let nothing = Some(0).filter(|_| one.log_end_offset == Some(0));
        // An offset past the end of its log makes no other partition's lag smaller.
        Some(one.lag.or(nothing)?.max(0))
    };
    let mut lags = partitions.iter().map(lag);
    let first = lags.next()?;
    lags.fold(first, |sum, lag| Some(sum?.saturating_add(lag?)))
}

/// A row for each partition that has an offset or a reader.
async fn progress(
    client: &mut Client,
    group: &Group,
    committed: &CommittedOffsets,
) -> Vec<Progress> {
    let assigned = group
        .members
        .iter()
        .flat_map(|one| one.assignment.iter().flatten());
    let keys: BTreeSet<(String, i32)> = assigned
        .flat_map(Assigned::keys)
        .chain(committed.keys().cloned())
        .collect();
    let keys: Vec<_> = keys.into_iter().collect();
    let ends = ends(client, &keys).await;
    let rows = keys.into_iter().map(|key| {
        let unknown = Err(None);
        let end = ends.get(&key).copied().unwrap_or(unknown);
        Progress::of(group, key, committed, end)
    });
    rows.collect()
}

impl Assigned {
    fn keys(&self) -> impl Iterator<Item = (String, i32)> {
        let topic = |&partition| (self.topic.clone(), partition);
        self.partitions.iter().map(topic)
    }
}

/// Where a log ends, or the partition's error; no error where its leader could not be asked.
type End = Result<i64, Option<ErrorCode>>;

/// Asked once: a partition of a topic that is gone has no end, and is no reason to wait.
async fn ends(client: &mut Client, keys: &[(String, i32)]) -> BTreeMap<(String, i32), End> {
    let level = Isolation::ReadUncommitted;
    let asked = client.offsets_now(keys, At::Latest, level).await;
    if let Some(error) = asked.failure {
        say(&format!("warning: not every lag is known: {error}"));
    }
    let ends = asked.answers.into_iter().map(|(key, found)| {
        let end = found.map_err(Some);
        (key, end.and_then(|found| found.offset.ok_or(None)))
    });
    ends.collect()
}

impl Progress {
    fn of(group: &Group, key: (String, i32), committed: &CommittedOffsets, end: End) -> Self {
        let offset = committed.get(&key);
        let refusal = offset.and_then(|offset| offset.as_ref().err().copied());
        let offset = offset.and_then(|offset| offset.as_ref().ok()?.as_ref());
        let (topic, partition) = key;
        let reader = group.reader(&topic, partition);
        let log_end_offset = end.ok();
        let error = refusal.or_else(|| end.err().flatten());
        Self {
            committed_offset: offset.map(|one| one.offset),
            leader_epoch: offset.and_then(|one| one.leader_epoch),
            metadata: offset.map(|one| one.metadata.clone()),
            log_end_offset,
            lag: log_end_offset
                .zip(offset)
                .map(|(end, one)| end.saturating_sub(one.offset)),
            member_id: reader.map(|member| member.id.clone()),
            client_id: reader.map(|member| member.client_id.clone()),
            host: reader.map(|member| member.host.clone()),
            error: error.map(ErrorCode::name),
            topic,
            partition,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Committed;

    fn group() -> Group {
        Group {
            name: "g".to_owned(),
            kind: "classic",
            state: "Empty".to_owned(),
            protocol_type: String::new(),
            assignor: String::new(),
            epoch: None,
            assignment_epoch: None,
            members: Vec::new(),
        }
    }

    /// A script that waits for a lag of 0 must not take what nobody knows for it.
    #[test]
    fn the_lag_of_all_is_known_if_each_is() {
        let row = |lag: Option<i64>, end: End| Progress {
            lag,
            ..Progress::of(&group(), ("t".to_owned(), 0), &CommittedOffsets::new(), end)
        };
        let of = |lags: &[Option<i64>]| {
            let rows = lags.iter().map(|lag| row(*lag, Err(None)));
            lag_of_all(&rows.collect::<Vec<_>>())
        };
        assert_eq!(of(&[Some(2), Some(3)]), Some(5));
        assert_eq!(of(&[Some(0)]), Some(0));
        assert_eq!(of(&[Some(2), None]), None);
        assert_eq!(of(&[None, Some(2)]), None);
        assert_eq!(of(&[]), None, "no partitions");
        assert_eq!(of(&[Some(-7), Some(3), Some(-1)]), Some(3), "past the end");
        assert_eq!(of(&[Some(i64::MAX), Some(i64::MAX)]), Some(i64::MAX));
        assert_eq!(
            lag_of_all(&[row(Some(2), Ok(9)), row(None, Ok(0))]),
            Some(2),
            "empty"
        );
        assert_eq!(lag_of_all(&[row(Some(2), Ok(9)), row(None, Ok(1))]), None);
    }

    #[test]
    fn lag_needs_an_offset_and_an_end() {
        let committed = Committed {
            offset: 7,
            leader_epoch: Some(1),
            metadata: String::new(),
        };
        let gone = ErrorCode::UnknownTopicOrPartition;
        let key = |topic: &str| (topic.to_owned(), 0);
        let offsets = CommittedOffsets::from([
            (key("a"), Ok(Some(committed.clone()))),
            (key("gone"), Ok(Some(committed))),
            (key("none"), Ok(None)),
        ]);
        let of = |topic: &str, end: End| Progress::of(&group(), key(topic), &offsets, end);
        assert_eq!(of("a", Ok(10)).lag, Some(3));
        assert_eq!(of("none", Ok(10)).lag, None);
        assert_eq!(of("unasked", Ok(10)).lag, None);
        let row = of("gone", Err(Some(gone)));
        assert_eq!((row.committed_offset, row.lag), (Some(7), None));
        assert_eq!(row.error, Some("UNKNOWN_TOPIC_OR_PARTITION"));
    }
}

//! `ottla group delete-offsets`: the group forgets how far it is in topics.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::inspect::{inspect, no_such_group};
use super::scope::TopicScope;
use crate::cli::client::{Client, CommittedOffsets};
use crate::cli::output::{Report, Table, optional, print};
use crate::cli::{Reporting, confirm};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The group
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic, or some of its partitions (repeatable)
    #[arg(long = "topic", required = true, value_name = "TOPIC[:N,...]")]
    topics: Vec<TopicScope>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Serialize)]
struct Deleted {
    group: String,
    partitions: Vec<DeletedPartition>,
}

#[derive(Debug, Serialize)]
struct DeletedPartition {
    topic: String,
    partition: i32,
    /// What the group had committed.
    offset: Option<i64>,
    /// `deleted` or `failed`
    status: &'static str,
    error: Option<&'static str>,
}

impl Report for Deleted {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["GROUP", "TOPIC", "PARTITION", "OFFSET", "STATUS"]);
        for one in &self.partitions {
            let status = one.error.unwrap_or(one.status);
            let offset = optional(one.offset);
            table.row([&self.group, &one.topic, &one.partition, &offset, &status]);
        }
        table.write(out)
    }
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let group = &options.group;
    let found = inspect(&mut client, group).await;
    let found = found.with_context(|| format!("group {group}"))?;
    if found.is_none() {
        return Err(no_such_group(group));
    }
    let mut committed = client.committed(group).await?;
    // Also those of topics that exist no more: the coordinator refuses them, and its answer says so.
    committed.retain(|(topic, partition), offset| {
        let mut scopes = options.topics.iter();
        scopes.any(|scope| scope.wants(topic, *partition)) && !matches!(offset, Ok(None))
    });
    for scope in &options.topics {
        if !committed
            .keys()
            .any(|(topic, partition)| scope.wants(topic, *partition))
        {
            let topic = &scope.topic;
            bail!(
                "group {group} has no offsets in {topic}; `ottla group describe {group}` shows them"
            );
        }
    }
    if !options.yes {
        let count = committed.len();
        confirm::deletion_of(&format!(
            "the offsets of {count} partitions in group {group}"
        ))?;
    }
    let deleted = Deleted {
        partitions: delete(&mut client, group, committed).await?,
        group: group.clone(),
    };
    print(&deleted, options.reporting.format())?;
    match failure(&deleted) {
        None => Ok(()),
        Some(failure) => bail!(failure),
    }
}

/// What to do about the offsets that stay.
fn failure(deleted: &Deleted) -> Option<String> {
    let errors = deleted.partitions.iter().filter_map(|one| one.error);
    let errors: Vec<&str> = errors.collect();
    let has = |code: ErrorCode| errors.contains(&code.name());
    let group = &deleted.group;
    let failed = errors.len();
    let stay =
        (failed > 0).then(|| format!("{failed} of {} offsets stay", deleted.partitions.len()))?;
    let are_read = has(ErrorCode::GroupSubscribedToTopic).then(|| {
        format!(
            ": members of the group read the topic; `ottla group describe {group} --members` \
             shows them"
        )
    });
    let are_gone = has(ErrorCode::UnknownTopicOrPartition).then(|| {
        format!(
            ": in a topic that exists no more they go with the group \
             (`ottla group delete {group}`), or after offsets.retention.minutes"
        )
    });
    Some(
        [Some(stay), are_read, are_gone]
            .into_iter()
            .flatten()
            .collect(),
    )
}

async fn delete(
    client: &mut Client,
    group: &str,
    committed: CommittedOffsets,
) -> Result<Vec<DeletedPartition>> {
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for (topic, partition) in committed.keys() {
        let partition = OffsetDeleteRequestPartition {
            partition_index: *partition,
        };
        topics.entry(topic.as_str()).or_default().push(partition);
    }
    let topics = topics.into_iter();
    let topics = topics.map(|(name, partitions)| OffsetDeleteRequestTopic {
        name: name.into(),
        partitions,
    });
    let request = OffsetDeleteRequest {
        group_id: group.into(),
        topics: topics.collect(),
    };
    let answer = client.call_coordinator(group, &request).await?;
    let response = answer.decode()?;
    answer.check(response.error_code)?;
    let code_of = |topic: &str, partition: i32| {
        let topic = response.topics.iter().find(|one| one.name == topic)?;
        let mut partitions = topic.partitions.iter();
        let found = partitions.find(|one| one.partition_index == partition)?;
        Some(found.error_code)
    };
    let outcomes = committed.iter().map(|((topic, partition), offset)| {
        let code = code_of(topic, *partition).unwrap_or(ErrorCode::UnknownServerError);
        let offset = offset.as_ref().ok().and_then(Option::as_ref);
        DeletedPartition {
            topic: topic.clone(),
            partition: *partition,
            offset: offset.map(|committed| committed.offset),
            status: if code.is_error() { "failed" } else { "deleted" },
            error: code.is_error().then(|| code.name()),
        }
    });
    Ok(outcomes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deleted(errors: &[Option<ErrorCode>]) -> Deleted {
        let partitions = errors.iter().map(|error| DeletedPartition {
            topic: "t".to_owned(),
            partition: 0,
            offset: Some(1),
            status: "",
            error: error.map(ErrorCode::name),
        });
        Deleted {
            group: "g".to_owned(),
            partitions: partitions.collect(),
        }
    }

    /// Kafka's coordinator refuses to delete offsets in topics that are gone.
    #[test]
    fn offsets_that_stay_are_said_with_the_way_out() {
        assert_eq!(failure(&deleted(&[None])), None);
        let gone = Some(ErrorCode::UnknownTopicOrPartition);
        let said = failure(&deleted(&[None, gone, gone])).unwrap();
        assert!(said.starts_with("2 of 3 offsets stay"), "{said}");
        assert!(said.contains("ottla group delete g"), "{said}");
        let read = Some(ErrorCode::GroupSubscribedToTopic);
        let said = failure(&deleted(&[read])).unwrap();
        assert!(said.contains("--members"), "{said}");
    }
}

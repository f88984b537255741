//! `ottla group reset-offsets`: chooses where a group goes on reading.
//!
//! - Without `--execute` nothing is changed.
//! - A group with members is refused: they would go on from where they are and commit that.
//! - An offset that lies outside of the log is moved to its nearest end, and said to be.

mod goal;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use self::goal::{Goal, GoalFlags, Known};
use super::inspect::inspect;
use super::scope::TopicScope;
use crate::cli::client::{
    At, Client, CommittedOffsets, Isolation, ListedOffsets, Metadata, Topics,
};
use crate::cli::output::{Report, Table, optional, print};
use crate::cli::{Reporting, say};
use crate::wire::error_code::ErrorCode;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The group; one that does not exist yet is made
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    scope: ScopeFlags,
    #[command(flatten)]
    goal: GoalFlags,
    /// Only show what would change (default)
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
    /// Change the offsets
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct ScopeFlags {
    /// A topic, or some of its partitions (repeatable)
    #[arg(long = "topic", value_name = "TOPIC[:N,...]")]
    topics: Vec<TopicScope>,
    /// All topics that the group has offsets in
    #[arg(long)]
    all_topics: bool,
}

#[derive(Debug, Serialize)]
struct Reset {
    group: String,
    executed: bool,
    /// The moment that was understood, where one was asked for.
    time: Option<String>,
    partitions: Vec<PartitionReset>,
}

#[derive(Debug, Serialize)]
struct PartitionReset {
    topic: String,
    partition: i32,
    before: Option<i64>,
    after: i64,
    /// What was asked for, where that lies outside of the log.
    asked: Option<i64>,
    log_start_offset: i64,
    log_end_offset: i64,
    error: Option<&'static str>,
}

impl Report for Reset {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "GROUP",
            "TOPIC",
            "PARTITION",
            "BEFORE",
            "AFTER",
            "LOG-START",
            "LOG-END",
        ]);
        for one in &self.partitions {
            let after = one
                .error
                .map_or_else(|| one.after.to_string(), str::to_owned);
            table.row([
                &self.group,
                &one.topic,
                &one.partition,
                &optional(one.before),
                &after,
                &one.log_start_offset,
                &one.log_end_offset,
            ]);
        }
        table.write(out)
    }
}

type Partitions = Vec<(String, i32)>;

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let goal = options.goal.goal()?;
    refuse_if_busy(&mut client, &options.group).await?;
    let committed = client.committed(&options.group).await?;
    let partitions = partitions(&mut client, &options, &committed).await?;
    let mut reset = Reset {
        group: options.group,
        executed: options.execute,
        time: goal.time(),
        partitions: plan(&mut client, goal, &partitions, &committed).await?,
    };
    if let Some(time) = &reset.time {
        say(&format!("to the first record at or after {time}"));
    }
    for one in &reset.partitions {
        one.say_if_moved();
    }
    if options.execute {
        execute(&mut client, &mut reset).await?;
    }
    print(&reset, options.reporting.format())?;
    if !options.execute {
        say("this was a dry run: add --execute to change the offsets");
    }
    let all = reset.partitions.len();
    let failed = reset.partitions.iter().filter(|one| one.error.is_some());
    match failed.count() {
        0 => Ok(()),
        failed => bail!("{failed} of {all} offsets could not be changed"),
    }
}

async fn refuse_if_busy(client: &mut Client, group: &str) -> Result<()> {
    let found = inspect(client, group).await;
    match found.with_context(|| format!("group {group}"))? {
        Some(found) if !found.is_idle() => {
            let (count, state) = (found.members.len(), found.state);
            let members = if count == 1 { "member" } else { "members" };
            bail!(
                "group {group} has {count} {members} and is {state}: its consumers must stop first; \
                 `ottla group describe {group} --members` shows them"
            )
        }
        _ => Ok(()),
    }
}

/// The partitions whose offsets are to change, each of which exists.
async fn partitions(
    client: &mut Client,
    options: &Options,
    committed: &CommittedOffsets,
) -> Result<Partitions> {
    let group = &options.group;
    let names: BTreeSet<&String> = if options.scope.all_topics {
        committed.keys().map(|(topic, _)| topic).collect()
    } else {
        options
            .scope
            .topics
            .iter()
            .map(|scope| &scope.topic)
            .collect()
    };
    if names.is_empty() {
        bail!("group {group} has no offsets: name a topic with --topic");
    }
    let names: Vec<String> = names.into_iter().cloned().collect();
    let asked = Topics::Named {
        names: &names,
        may_create: false,
    };
    let metadata = client.metadata(asked).await?;
    let chosen = if options.scope.all_topics {
        of_all_topics(committed, &metadata)
    } else {
        of_scopes(&options.scope.topics, &metadata)?
    };
    if chosen.is_empty() {
        bail!("none of the topics that group {group} has offsets in exists any more");
    }
    Ok(chosen.into_iter().collect())
}

fn of_all_topics(committed: &CommittedOffsets, metadata: &Metadata) -> BTreeSet<(String, i32)> {
    let mut chosen = BTreeSet::new();
    for (topic, partition) in committed.keys() {
        let listed = metadata.topics.get(topic);
        if listed.is_some_and(|listed| listed.partitions.contains_key(partition)) {
            chosen.insert((topic.clone(), *partition));
        } else {
            say(&format!(
                "warning: {topic}-{partition} does not exist any more, its offset stays"
            ));
        }
    }
    chosen
}

fn of_scopes(scopes: &[TopicScope], metadata: &Metadata) -> Result<BTreeSet<(String, i32)>> {
    let mut chosen = BTreeSet::new();
    for scope in scopes {
        let name = &scope.topic;
        let topic = metadata.existing(name)?;
        for wanted in scope.partitions.iter().flatten() {
            if !topic.partitions.contains_key(wanted) {
                let count = topic.partitions.len();
                bail!("topic {name} has {count} partitions, none numbered {wanted}");
            }
        }
        let wanted = topic
            .partitions
            .keys()
            .filter(|index| scope.wants(name, **index));
        chosen.extend(wanted.map(|index| (name.clone(), *index)));
    }
    Ok(chosen)
}

async fn plan(
    client: &mut Client,
    goal: Goal,
    partitions: &Partitions,
    committed: &CommittedOffsets,
) -> Result<Vec<PartitionReset>> {
    let level = Isolation::ReadUncommitted;
    let starts = client.all_offsets(partitions, At::Earliest, level).await?;
    let ends = client.all_offsets(partitions, At::Latest, level).await?;
    let at_times = match goal {
        Goal::TimestampMs(ms) => {
            client
                .all_offsets(partitions, At::TimestampMs(ms), level)
                .await?
        }
        _ => BTreeMap::new(),
    };
    let mut planned = Vec::new();
    for key in partitions {
        let (topic, partition) = key;
        let before = match committed.get(key) {
            Some(Ok(Some(committed))) => Some(committed.offset),
            Some(Err(code)) => bail!("{topic}-{partition}: {} ({})", code.message(), code.name()),
            Some(Ok(None)) | None => None,
        };
        let of = |answers: &ListedOffsets| answers.get(key).copied().flatten();
        let known = Known {
            committed: before,
            start: of(&starts).unwrap_or_default(),
            end: of(&ends).unwrap_or_default(),
            at_timestamp: of(&at_times),
        };
        let Some((asked, after)) = goal.resolve(known) else {
            bail!("{topic}-{partition} cannot be shifted: the group has no offset there");
        };
        planned.push(PartitionReset {
            topic: topic.clone(),
            partition: *partition,
            before,
            after,
            asked: Some(asked).filter(|asked| *asked != after),
            log_start_offset: known.start,
            log_end_offset: known.end,
            error: None,
        });
    }
    Ok(planned)
}

async fn execute(client: &mut Client, reset: &mut Reset) -> Result<()> {
    let offsets = reset
        .partitions
        .iter()
        .map(|one| ((one.topic.clone(), one.partition), one.after));
    let outcomes = client.commit(&reset.group, &offsets.collect()).await?;
    for one in &mut reset.partitions {
        let code = outcomes.get(&(one.topic.clone(), one.partition));
        let code = code.copied().unwrap_or(ErrorCode::UnknownServerError);
        if code == ErrorCode::UnknownMemberId {
            bail!(
                "group {0} has got members meanwhile: stop them first; \
                 `ottla group describe {0} --members` shows them",
                reset.group
            );
        }
        one.error = code.is_error().then(|| code.name());
    }
    Ok(())
}

impl PartitionReset {
    fn say_if_moved(&self) {
        let Self {
            topic,
            partition,
            after,
            log_start_offset: start,
            log_end_offset: end,
            ..
        } = self;
        if let Some(asked) = self.asked {
            say(&format!(
                "warning: offset {asked} of {topic}-{partition} is outside of the log, \
                 which spans {start} to {end}; {after} is taken"
            ));
        }
    }
}

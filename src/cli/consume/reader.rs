//! Reads partitions until there is a reason to stop.
//!
//! - Each broker has one fetch on its way, asked for before the last answer is printed.
//! - A partition's position only moves forward, and every record from it on is printed once.
//! - What fails for a moment is tried again while the timeout lasts; then it is an error.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ottla_storage::time::MonoMillis;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::cli::client::{At, Client, Isolation, Metadata, RETRY_BACKOFF, Topics};
use crate::cli::say;
use crate::clock;
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};

use super::cursor::{Cursor, Key};
use super::fetch::{Fetched, Wanted, fetch};
use super::member::Part;
use super::printer::{Printer, bytes_of};
use super::records::next_position;

pub(super) struct Reader {
    client: Client,
    isolation: Isolation,
    names: Vec<String>,
    metadata: Metadata,
    is_metadata_stale: bool,
    cursors: BTreeMap<Key, Cursor>,
    in_flight: JoinSet<Fetched>,
    /// Brokers that have a fetch on its way.
    busy: Vec<i32>,
    /// Nothing is asked before this time: something just failed.
    pause_until: Option<MonoMillis>,
    failing_since: Option<MonoMillis>,
    rounds: u64,
    /// Where to start when the first position is outside of the log; none if that is an error.
    start_over: Option<At>,
}

impl Reader {
    pub(super) fn new(
        client: Client,
        isolation: Isolation,
        metadata: Metadata,
        cursors: BTreeMap<Key, Cursor>,
    ) -> Self {
        Self {
            client,
            isolation,
            names: metadata.topics.keys().cloned().collect(),
            metadata,
            is_metadata_stale: false,
            cursors,
            in_flight: JoinSet::new(),
            busy: Vec::new(),
            pause_until: None,
            failing_since: None,
            rounds: 0,
            start_over: None,
        }
    }

    /// A reader to which a group gives partitions; committed offsets may have left the log since.
    pub(super) fn of_member(
        client: Client,
        isolation: Isolation,
        metadata: Metadata,
        start_over: At,
    ) -> Self {
        Self {
            start_over: Some(start_over),
            ..Self::new(client, isolation, metadata, BTreeMap::new())
        }
    }

    /// Prints records until the end that was asked for, the printer's limit, or a signal.
    pub(super) async fn run(mut self, printer: &mut Printer) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            self.go_on();
            if self.is_idle() || printer.is_full() {
                return Ok(());
            }
            self.refresh().await?;
            self.dispatch();
            let wake_at = self.wake_at();
            tokio::select! {
                fetched = self.next() => {
                    self.settle(fetched, printer).await?;
                }
                () = pause(wake_at) => {}
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
        }
    }

    /// What a new round begins with: partitions that are read to their end are left, and a pause that is over ends.
    pub(super) fn go_on(&mut self) {
        self.cursors.retain(|_, cursor| !cursor.is_done());
        let now = clock::mono();
        self.pause_until = self.pause_until.filter(|until| *until > now);
    }

    /// There is nothing to read.
    pub(super) fn is_idle(&self) -> bool {
        self.cursors.is_empty()
    }

    /// When a round is due, if nothing is fetched.
    pub(super) fn wake_at(&self) -> MonoMillis {
        self.pause_until.unwrap_or(MonoMillis::MAX)
    }

    /// The next answer. Never, while none is waited for.
    pub(super) async fn next(&mut self) -> Fetched {
        match self.in_flight.join_next().await {
            // A panic in a task is ours: it goes on here.
            Some(done) => {
                done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
            None => std::future::pending().await,
        }
    }

    /// Reads a partition from now on.
    pub(super) fn read(&mut self, key: Key, cursor: Cursor) {
        self.cursors.insert(key, cursor);
    }

    /// Prints nothing more of a partition; an answer that is on its way is dropped.
    pub(super) fn stop(&mut self, key: &Key) {
        self.cursors.remove(key);
    }

    /// The topic with this id, if it is among those that are read.
    pub(super) fn name_of(&self, id: Uuid) -> Option<&str> {
        let mut topics = self.metadata.topics.iter();
        let found = topics.find(|(_, topic)| topic.id == id);
        found.map(|(name, _)| name.as_str())
    }

    pub(super) fn id_of(&self, name: &str) -> Option<Uuid> {
        self.metadata.topics.get(name).map(|topic| topic.id)
    }

    /// The metadata lack something that is there.
    pub(super) fn want_metadata(&mut self) {
        self.is_metadata_stale = true;
    }

    pub(super) async fn refresh(&mut self) -> Result<()> {
        if !self.is_metadata_stale || self.pause_until.is_some() {
            return Ok(());
        }
        let topics = Topics::Named {
            names: &self.names,
            may_create: false,
        };
        match self.client.metadata(topics).await {
            Ok(metadata) => {
                for name in &self.names {
                    // A topic that is gone will not come back under its id.
                    metadata.existing(name)?;
                }
                self.metadata = metadata;
                self.is_metadata_stale = false;
                Ok(())
            }
            Err(error) if error.is_transient() => self.failed(&error),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives every idle broker a fetch for the partitions that it leads.
    pub(super) fn dispatch(&mut self) {
        if self.pause_until.is_some() {
            return;
        }
        let mut by_leader: BTreeMap<i32, Vec<(u64, Wanted)>> = BTreeMap::new();
        for ((name, partition), cursor) in &self.cursors {
            let topic = self.metadata.topics.get(&**name);
            let leader = topic.and_then(|topic| topic.partitions.get(partition)?.leader);
            let (Some(topic), Some(leader)) = (topic, leader) else {
                self.is_metadata_stale = true;
                continue;
            };
            if !cursor.is_done() && !self.busy.contains(&leader) {
                let wanted = Wanted {
                    topic: Arc::clone(name),
                    topic_id: topic.id,
                    partition: *partition,
                    position: cursor.position,
                    until: cursor.until,
                };
                by_leader
                    .entry(leader)
                    .or_default()
                    .push((cursor.served, wanted));
            }
        }
        for (leader, mut wanted) in by_leader {
            let Ok(link) = self.client.broker(leader) else {
                self.is_metadata_stale = true;
                continue;
            };
            wanted.sort_by_key(|(served, _)| *served);
            let wanted = wanted.into_iter().map(|(_, wanted)| wanted).collect();
            self.in_flight
                .spawn(fetch(leader, link, wanted, self.isolation));
            self.busy.push(leader);
        }
        if self.is_metadata_stale {
            self.pause();
        }
    }

    /// Prints what came. Returns up to where each partition is printed.
    pub(super) async fn settle(
        &mut self,
        fetched: Fetched,
        printer: &mut Printer,
    ) -> Result<Vec<(Part, i64)>> {
        self.busy.retain(|broker| *broker != fetched.broker);
        let answer = match fetched.outcome {
            Ok(answer) => answer,
            Err(error) if error.is_transient() => {
                self.failed(&error)?;
                return Ok(Vec::new());
            }
            Err(error) => return Err(error.into()),
        };
        let response = answer.decode()?;
        answer.check(response.error_code)?;
        self.failing_since = None;
        let served = self.advance(&fetched.wanted, &response).await?;
        self.dispatch();
        let mut printed = Vec::new();
        for (wanted, data) in served {
            let next = printer.print(wanted, data)?;
            printed.push(((wanted.topic_id, wanted.partition), next));
        }
        printer.flush()?;
        Ok(printed)
    }

    /// Moves the positions, so that the next fetch can go before anything is printed. Returns what
    /// there is to print.
    async fn advance<'w, 'r>(
        &mut self,
        wanted: &'w [Wanted],
        response: &'r FetchResponse<'r>,
    ) -> Result<Vec<(&'w Wanted, &'r PartitionData<'r>)>> {
        let mut served = Vec::new();
        self.rounds += 1;
        for topic in &response.responses {
            for data in &topic.partitions {
                // What was not asked for is not looked at.
                let Some(wanted) = find(wanted, topic, data.partition_index) else {
                    continue;
                };
                if data.error_code.is_error() {
                    self.refused(wanted, data.error_code).await?;
                    continue;
                }
                let key = (Arc::clone(&wanted.topic), wanted.partition);
                let Entry::Occupied(mut cursor) = self.cursors.entry(key) else {
                    continue;
                };
                let cursor = cursor.get_mut();
                // It was stopped and goes on elsewhere since this was asked for.
                if cursor.position != wanted.position {
                    continue;
                }
                cursor.is_proven = true;
                let bytes = bytes_of(data);
                if bytes.is_empty() {
                    continue;
                }
                let next = next_position(bytes, wanted.position);
                if next == wanted.position {
                    bail!(
                        "{}-{} at offset {next}: {} bytes hold no whole batch",
                        wanted.topic,
                        wanted.partition,
                        bytes.len()
                    );
                }
                cursor.position = next;
                cursor.served = self.rounds;
                served.push((wanted, data));
            }
        }
        Ok(served)
    }

    async fn refused(&mut self, wanted: &Wanted, code: ErrorCode) -> Result<()> {
        let name = format!("{}-{}", wanted.topic, wanted.partition);
        match code {
            ErrorCode::OffsetOutOfRange => self.relocate(wanted, &name).await,
            code if code.is_retriable() => {
                self.is_metadata_stale = true;
                self.failed(&format!("{name}: {} ({})", code.message(), code.name()))
            }
            code => bail!("{name}: {} ({})", code.message(), code.name()),
        }
    }

    /// The position is outside of the log: an error if the user chose it, else the log was cut.
    async fn relocate(&mut self, wanted: &Wanted, name: &str) -> Result<()> {
        let start = self.end_of(wanted, At::Earliest).await?;
        let end = self.end_of(wanted, At::Latest).await?;
        let position = wanted.position;
        let key = (Arc::clone(&wanted.topic), wanted.partition);
        let Some(cursor) = self.cursors.get_mut(&key) else {
            return Ok(());
        };
        let nearest = if position < start { start } else { end };
        cursor.position = match self.start_over {
            _ if cursor.is_proven => nearest,
            Some(At::Earliest) => start,
            Some(_) => end,
            None => bail!(
                "offset {position} of {name} is outside of the log, which spans {start} to {end}; \
                 use --offset start or --offset end"
            ),
        };
        say_moved(&key, position, cursor.position);
        Ok(())
    }

    async fn end_of(&mut self, wanted: &Wanted, at: At) -> Result<i64> {
        let key = (wanted.topic.to_string(), wanted.partition);
        let found = self
            .client
            .offsets(std::slice::from_ref(&key), at, self.isolation)
            .await?;
        let found = found
            .get(&key)
            .copied()
            .context("the broker names no offset")?;
        match found {
            Ok(found) => found.offset.context("the broker names no offset"),
            Err(code) => bail!("{}-{}: {}", key.0, key.1, code.message()),
        }
    }

    /// Something failed that may pass: an error once it has gone on for the timeout.
    fn failed(&mut self, why: &dyn std::fmt::Display) -> Result<()> {
        let now = clock::mono();
        let since = *self.failing_since.get_or_insert(now);
        if now.since(since) >= self.client.timeout() {
            bail!("gave up after {} s: {why}", self.client.timeout().as_secs());
        }
        self.is_metadata_stale = true;
        self.pause();
        Ok(())
    }

    fn pause(&mut self) {
        self.pause_until = Some(clock::mono().saturating_add(RETRY_BACKOFF));
    }
}

fn find<'w>(
    wanted: &'w [Wanted],
    topic: &FetchableTopicResponse<'_>,
    partition: i32,
) -> Option<&'w Wanted> {
    let is_topic = |one: &&Wanted| {
        // By id from version 13 on, by name before.
        if topic.topic.is_empty() {
            one.topic_id == topic.topic_id
        } else {
            *one.topic == *topic.topic
        }
    };
    wanted
        .iter()
        .filter(is_topic)
        .find(|one| one.partition == partition)
}

/// The log was cut, or is another one.
pub(super) fn say_moved((topic, index): &Key, from: i64, to: i64) {
    say(&format!(
        "warning: offset {from} of {topic}-{index} is gone, going on at {to}"
    ));
}

pub(super) async fn pause(until: MonoMillis) {
    tokio::time::sleep(until.since(clock::mono())).await;
}

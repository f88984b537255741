//! Reads partitions until there is a reason to stop.
//!
//! - Each broker has one fetch on its way, asked for before the last answer is printed.
//! - A partition's position only moves forward, and every record from it on is printed once.
//! - What fails for a moment is tried again while the timeout lasts; then it is an error. Each partition has its own time,
//!   and only its own success ends it.
//! - Whatever is asked is asked by a task: nothing that a broker lets us wait for holds up signals, heartbeats or commits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use ottla_storage::time::MonoMillis;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::cursor::{Cursor, Key, Span, Wait};
use super::fetch::{Fetched, Wanted, fetch};
use super::lookup::{self, Listed};
use super::member::Part;
use super::patience::Patience;
use super::printer::{Printer, bytes_of};
use super::records::next_position;
use crate::cli::client::{At, Client, Isolation, Metadata, RETRY_BACKOFF, Said};
use crate::cli::say;
use crate::clock;
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData};

/// An answer to something that the reader asked.
pub(super) enum Came {
    Fetched(Fetched),
    Listed(Listed),
    /// What the log spans that refused a position.
    Span(Wanted, Result<Span>),
}

/// How partitions have come on.
pub(super) type Progress = Vec<(Part, Step)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Everything below was printed.
    Printed(i64),
    /// Reading goes on here: the log was cut.
    Moved(i64),
}

pub(super) struct Reader {
    client: Client,
    isolation: Isolation,
    names: Vec<String>,
    metadata: Metadata,
    /// When metadata are asked for, if they are wanted.
    metadata_at: Option<MonoMillis>,
    is_listing: bool,
    /// Since when there are no new metadata.
    unlisted: Patience,
    cursors: BTreeMap<Key, Cursor>,
    in_flight: JoinSet<Came>,
    /// Brokers that have a fetch on its way.
    busy: Vec<i32>,
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
            metadata_at: None,
            is_listing: false,
            unlisted: Patience::default(),
            cursors,
            in_flight: JoinSet::new(),
            busy: Vec::new(),
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
            self.ask();
            let wake_at = self.wake_at();
            tokio::select! {
                came = self.next() => self.settle(came, printer, &mut Progress::new())?,
                () = pause(wake_at) => {}
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
        }
    }

    /// What a new round begins with: partitions that are read to their end are left.
    pub(super) fn go_on(&mut self) {
        self.cursors.retain(|_, cursor| !cursor.is_done());
    }

    /// There is nothing to read.
    pub(super) fn is_idle(&self) -> bool {
        self.cursors.is_empty()
    }

    /// When there is something to ask for, if nothing comes.
    pub(super) fn wake_at(&self) -> MonoMillis {
        let metadata_at = self.metadata_at.filter(|_| !self.is_listing);
        metadata_at.unwrap_or(MonoMillis::MAX)
    }

    /// The next answer. Never, while none is waited for.
    pub(super) async fn next(&mut self) -> Came {
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

    /// The metadata lack something, or are wrong. They are asked for again after a moment, not at once: what they lack may
    /// take its time.
    pub(super) fn want_metadata(&mut self) {
        let soon = || clock::mono().saturating_add(RETRY_BACKOFF);
        self.metadata_at.get_or_insert_with(soon);
    }

    /// Asks for what is due.
    pub(super) fn ask(&mut self) {
        let is_due = self.metadata_at.is_some_and(|at| at <= clock::mono());
        if is_due && !self.is_listing {
            self.metadata_at = None;
            self.is_listing = true;
            let listed = lookup::list(self.client.clone(), self.names.clone());
            self.in_flight
                .spawn(async move { Came::Listed(listed.await) });
        }
        self.dispatch();
    }

    /// Gives every idle broker a fetch for the partitions that it leads.
    fn dispatch(&mut self) {
        let mut by_leader: BTreeMap<i32, Vec<(u64, Wanted)>> = BTreeMap::new();
        let mut has_all_leaders = true;
        for (key, cursor) in &self.cursors {
            if cursor.waits_for.is_some() || cursor.is_done() {
                continue;
            }
            let Some((topic_id, leader)) = self.leader_of(key) else {
                has_all_leaders = false;
                continue;
            };
            if self.busy.contains(&leader) {
                continue;
            }
            let wanted = Wanted {
                topic: Arc::clone(&key.0),
                topic_id,
                partition: key.1,
                position: cursor.position,
                until: cursor.until,
            };
            by_leader
                .entry(leader)
                .or_default()
                .push((cursor.served, wanted));
        }
        for (leader, mut wanted) in by_leader {
            let Ok(link) = self.client.broker(leader) else {
                continue;
            };
            wanted.sort_by_key(|(served, _)| *served);
            let wanted = wanted.into_iter().map(|(_, wanted)| wanted).collect();
            let fetched = fetch(leader, link, wanted, self.isolation);
            self.in_flight
                .spawn(async move { Came::Fetched(fetched.await) });
            self.busy.push(leader);
        }
        if !has_all_leaders {
            self.want_metadata();
        }
    }

    /// The topic's id, and the broker that leads the partition, if there is one that is known.
    fn leader_of(&self, (name, partition): &Key) -> Option<(Uuid, i32)> {
        let topic = self.metadata.topics.get(&**name)?;
        let leader = topic.partitions.get(partition)?.leader?;
        let is_known = self.client.broker(leader).is_ok();
        is_known.then_some((topic.id, leader))
    }

    /// Takes in what came, and prints it. How far that got is told also where it ends in an error.
    pub(super) fn settle(
        &mut self,
        came: Came,
        printer: &mut Printer,
        progress: &mut Progress,
    ) -> Result<()> {
        match came {
            Came::Fetched(fetched) => self.fetched(fetched, printer, progress),
            Came::Listed(listed) => self.listed(listed),
            Came::Span(wanted, span) => self.located(&wanted, span, progress),
        }
    }

    fn fetched(
        &mut self,
        fetched: Fetched,
        printer: &mut Printer,
        progress: &mut Progress,
    ) -> Result<()> {
        self.busy.retain(|broker| *broker != fetched.broker);
        let answer = match fetched.outcome {
            Ok(answer) => answer,
            Err(error) if error.is_transient() => {
                let mut wanted = fetched.wanted.iter();
                return wanted.try_for_each(|wanted| self.failed(wanted, &error));
            }
            Err(error) => return Err(error.into()),
        };
        let response = answer.decode()?;
        answer.check(response.error_code)?;
        let served = self.advance(&fetched.wanted, &response)?;
        self.dispatch();
        let mut printed = Progress::new();
        let outcome = served.into_iter().try_for_each(|(wanted, data)| {
            let mut next = wanted.position;
            let outcome = printer.print(wanted, data, &mut next);
            printed.push((wanted.part(), Step::Printed(next)));
            outcome
        });
        // What came before an error is printed, and counts once it is out.
        printer.flush()?;
        progress.append(&mut printed);
        outcome
    }

    /// Moves the positions, so that the next fetch can go before anything is printed. Returns what
    /// there is to print.
    fn advance<'w, 'r>(
        &mut self,
        wanted: &'w [Wanted],
        response: &'r FetchResponse<'r>,
    ) -> Result<Vec<(&'w Wanted, &'r PartitionData<'r>)>> {
        let mut served = Vec::new();
        self.rounds += 1;
        let rounds = self.rounds;
        for topic in &response.responses {
            for data in &topic.partitions {
                // What was not asked for is not looked at.
                let Some(wanted) = find(wanted, topic, data.partition_index) else {
                    continue;
                };
                let Some(cursor) = self.current(wanted) else {
                    continue;
                };
                if data.error_code.is_error() {
                    self.refused(wanted, data.error_code)?;
                    continue;
                }
                cursor.is_proven = true;
                cursor.trouble.over();
                let bytes = bytes_of(data);
                if bytes.is_empty() {
                    continue;
                }
                let next = next_position(bytes, wanted.position);
                if next == wanted.position {
                    bail!(
                        "{wanted} at offset {next}: {} bytes hold no whole batch",
                        bytes.len()
                    );
                }
                cursor.position = next;
                cursor.served = rounds;
                served.push((wanted, data));
            }
        }
        Ok(served)
    }

    /// None if the partition was stopped, or goes on elsewhere, since this was asked for.
    fn current(&mut self, wanted: &Wanted) -> Option<&mut Cursor> {
        let cursor = self.cursors.get_mut(&wanted.key());
        cursor.filter(|cursor| cursor.position == wanted.position)
    }

    fn refused(&mut self, wanted: &Wanted, code: ErrorCode) -> Result<()> {
        match code {
            ErrorCode::OffsetOutOfRange => {
                self.locate(wanted.clone());
                Ok(())
            }
            code if code.is_retriable() => {
                self.failed(wanted, &format_args!("{wanted}: {}", Said(code)))
            }
            code => bail!("{wanted}: {}", Said(code)),
        }
    }

    fn locate(&mut self, wanted: Wanted) {
        if let Some(cursor) = self.current(&wanted) {
            cursor.waits_for = Some(Wait::Span);
        }
        let (client, isolation) = (self.client.clone(), self.isolation);
        self.in_flight.spawn(async move {
            let span = lookup::span(client, &wanted, isolation).await;
            Came::Span(wanted, span)
        });
    }

    /// The position is outside of the log: an error if the user chose it, else the log was cut.
    fn located(
        &mut self,
        wanted: &Wanted,
        span: Result<Span>,
        progress: &mut Progress,
    ) -> Result<()> {
        let start_over = self.start_over;
        let Some(cursor) = self.cursors.get_mut(&wanted.key()) else {
            return Ok(());
        };
        cursor.waits_for = None;
        let from = wanted.position;
        if cursor.position != from {
            return Ok(());
        }
        let span = span?;
        let Some(to) = cursor.relocated(span, start_over) else {
            let Span { start, end } = span;
            bail!(
                "offset {from} of {wanted} is outside of the log, which spans {start} to {end}; \
                 use --offset start or --offset end"
            )
        };
        if to == from {
            let why = format!("{wanted}: {}", Said(ErrorCode::OffsetOutOfRange));
            return self.failed(wanted, &why);
        }
        cursor.position = to;
        say_moved(&wanted.key(), from, to);
        progress.push((wanted.part(), Step::Moved(to)));
        Ok(())
    }

    fn listed(&mut self, listed: Listed) -> Result<()> {
        self.is_listing = false;
        let (client, metadata) = match listed {
            Ok(listed) => listed,
            Err(error) if error.is_transient() => {
                self.want_metadata();
                return self.unlisted.failed(self.client.timeout(), &error);
            }
            Err(error) => return Err(error.into()),
        };
        for name in &self.names {
            // A topic that is gone will not come back under its id.
            metadata.existing(name)?;
        }
        self.unlisted.over();
        self.client = client;
        self.metadata = metadata;
        for cursor in self.cursors.values_mut() {
            cursor.waits_for = cursor.waits_for.filter(|wait| *wait != Wait::Metadata);
        }
        let limit = self.client.timeout();
        let keys = self.cursors.keys();
        let leaderless: Vec<Key> = keys
            .filter(|key| self.leader_of(key).is_none())
            .cloned()
            .collect();
        for key in leaderless {
            if let Some(cursor) = self.cursors.get_mut(&key) {
                let why = format!("{}-{} has no leader", key.0, key.1);
                cursor.trouble.failed(limit, &why)?;
            }
        }
        Ok(())
    }

    /// It may pass: the partition is asked for again when there are new metadata.
    fn failed(&mut self, wanted: &Wanted, why: &dyn fmt::Display) -> Result<()> {
        self.want_metadata();
        let limit = self.client.timeout();
        let Some(cursor) = self.current(wanted) else {
            return Ok(());
        };
        cursor.waits_for = Some(Wait::Metadata);
        cursor.trouble.failed(limit, why)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn reader(index: i32, position: i64) -> Reader {
        let client = Client::new(Vec::new(), Duration::from_secs(30));
        let level = Isolation::ReadUncommitted;
        let mut reader = Reader::of_member(client, level, Metadata::default(), At::Latest);
        reader.read(("t".into(), index), Cursor::new(position, None));
        reader
    }

    fn wanted(partition: i32, position: i64) -> Wanted {
        Wanted {
            topic: "t".into(),
            topic_id: ID,
            partition,
            position,
            until: None,
        }
    }

    /// It was given up while it was asked for: what becomes of it is another member's business.
    #[test]
    fn errors_of_partitions_that_are_not_read_any_more_are_none() {
        let refusal = |partition, error_code| PartitionData {
            partition_index: partition,
            error_code,
            ..PartitionData::default()
        };
        let final_code = ErrorCode::TopicAuthorizationFailed;
        let response = FetchResponse {
            responses: vec![FetchableTopicResponse {
                topic_id: ID,
                partitions: vec![refusal(0, final_code), refusal(1, final_code)],
                ..FetchableTopicResponse::default()
            }],
            ..FetchResponse::default()
        };
        // Partition 0 is not read, 1 goes on elsewhere.
        let mut reader = reader(1, 5);
        let asked = [wanted(0, 10), wanted(1, 10)];
        assert!(reader.advance(&asked, &response).unwrap().is_empty());
        for wanted in &asked {
            let mut progress = Progress::new();
            let span = Err(anyhow::anyhow!("no leader"));
            reader.located(wanted, span, &mut progress).unwrap();
            assert_eq!(progress, []);
        }
        let asked = [wanted(1, 5)];
        assert!(reader.advance(&asked, &response).is_err());
    }

    #[test]
    fn where_a_log_was_cut_is_told_to_who_commits() {
        let mut reader = reader(0, 100);
        let mut progress = Progress::new();
        let span = Span {
            start: 500,
            end: 800,
        };
        reader
            .located(&wanted(0, 100), Ok(span), &mut progress)
            .unwrap();
        assert_eq!(progress, [((ID, 0), Step::Moved(800))]);
    }
}

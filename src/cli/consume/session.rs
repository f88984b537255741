//! The membership behind `consume --group`: heartbeats, partitions that come and go, commits.
//!
//! - Each kind of call is on its way at most once; what is due is looked at anew after everything that happened, so a call
//!   that failed for a moment is simply due again.
//! - Connections of its own: a fetch that waits for records holds no heartbeat up.
//! - A partition is given up only after what was printed of it is committed; then the coordinator is told.
//! - A fenced member commits nothing: its partitions may have another reader by then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Result, bail};
use ottla_storage::time::MonoMillis;
use tokio::task::JoinSet;

use super::calls::{self, Done, Offsets, Verdict, verdict};
use super::cursor::{Cursor, Key};
use super::ledger::Ledger;
use super::member::{Member, Part};
use super::patience::Patience;
use super::place::{Asking, Place, Places};
use super::reader::{Progress, Reader, Step, pause, say_moved};
use crate::cli::client::{
    Answer, At, Client, ClientError, CommitOutcomes, Coordinator, GroupPartition, GroupTopic,
    HostPort, Isolation, RETRY_BACKOFF, Said, Speaker,
};
use crate::cli::say;
use crate::clock;
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, RequestedTopicPartitions,
};

/// As often as Kafka's consumers commit.
const COMMIT_EVERY: Duration = Duration::from_secs(5);
/// How long the coordinator waits for partitions to be given up: commits take milliseconds.
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
/// Until the coordinator has said how often it wants to hear of us, and never more often than the second.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// The epoch of one who leaves.
const LEAVING: i32 = -1;
/// For the farewell, which only saves the others the session timeout.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// What the command line says of the membership.
pub(super) struct Terms {
    pub(super) group: String,
    pub(super) topics: Vec<String>,
    /// Where to start without a committed offset.
    pub(super) reset: At,
    pub(super) isolation: Isolation,
    /// Stop at what is the end when a partition is taken.
    pub(super) is_bounded: bool,
}

pub(super) struct Session {
    terms: Terms,
    client: Client,
    member_id: String,
    member: Member,
    /// How the partitions are called that were taken.
    names: BTreeMap<Part, Key>,
    ledger: Ledger,
    coordinator: Option<Coordinator>,
    calls: JoinSet<Done>,
    on_way: OnWay,
    timing: Timing,
    /// The partitions that people were last told of.
    told: Option<BTreeSet<Part>>,
    is_leaving: bool,
}

/// Which calls are on their way.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent calls")]
struct OnWay {
    find: bool,
    heartbeat: bool,
    commit: bool,
    places: bool,
}

struct Timing {
    interval: Duration,
    heartbeat_at: MonoMillis,
    commit_at: MonoMillis,
    /// Nothing is asked before: something just failed.
    retry_at: MonoMillis,
    /// Since when the coordinator has not heard us, commits fail, places are not known.
    unheard: Patience,
    uncommitted: Patience,
    unplaced: BTreeMap<Part, Patience>,
    empty_since: Option<MonoMillis>,
}

impl Session {
    pub(super) fn new(client: Client, terms: Terms) -> Self {
        let now = clock::mono();
        Self {
            terms,
            client,
            member_id: Uuid::new_v4().to_string(),
            member: Member::new(),
            names: BTreeMap::new(),
            ledger: Ledger::default(),
            coordinator: None,
            calls: JoinSet::new(),
            on_way: OnWay::default(),
            timing: Timing {
                interval: INTERVAL,
                heartbeat_at: now,
                commit_at: now,
                retry_at: now,
                unheard: Patience::default(),
                uncommitted: Patience::default(),
                unplaced: BTreeMap::new(),
                empty_since: None,
            },
            told: None,
            is_leaving: false,
        }
    }

    /// Takes in how far reading and printing have come.
    pub(super) fn follow(&mut self, progress: Progress) {
        for (part, step) in progress {
            match step {
                Step::Printed(next) => self.ledger.printed(part, next),
                Step::Moved(position) => self.ledger.moved(part, position),
            }
        }
    }

    /// Calls what is due.
    pub(super) fn act(&mut self, reader: &mut Reader) {
        let now = clock::mono();
        if now < self.timing.retry_at {
            return;
        }
        if self.coordinator.is_none() {
            self.find();
            return;
        }
        self.drop_replaced(reader);
        self.release(reader);
        self.start(reader);
        self.settle_patience();
        if now >= self.timing.commit_at {
            self.commit(self.ledger.due());
        }
        if now >= self.timing.heartbeat_at || self.member.has_news() {
            self.beat();
        }
        self.tell();
    }

    /// What comes next, of the calls. Never, while there is none.
    pub(super) async fn next(&mut self) -> Done {
        match self.calls.join_next().await {
            // A panic in a task is ours: it goes on here.
            Some(done) => {
                done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
            }
            None => std::future::pending().await,
        }
    }

    /// When `act` may have something to do, if nothing else happens.
    pub(super) fn wake_at(&self) -> MonoMillis {
        let Timing {
            retry_at,
            heartbeat_at,
            commit_at,
            ..
        } = self.timing;
        if clock::mono() < retry_at {
            return retry_at;
        }
        let mut wake_at = MonoMillis::MAX;
        if self.coordinator.is_some() {
            if self.may_beat() {
                wake_at = wake_at.min(heartbeat_at);
            }
            if !self.on_way.commit && !self.ledger.due().is_empty() {
                wake_at = wake_at.min(commit_at);
            }
        }
        wake_at
    }

    /// A bounded reader has read what the group gives it; or it gets nothing, for as long as the timeout.
    pub(super) fn is_done(&mut self, reader: &Reader) -> bool {
        if !self.terms.is_bounded || !self.member.is_settled() {
            return false;
        }
        if !self.member.held().is_empty() {
            self.timing.empty_since = None;
            return reader.is_idle();
        }
        let now = clock::mono();
        let since = *self.timing.empty_since.get_or_insert(now);
        now.since(since) >= self.client.timeout()
    }

    /// Commits what was printed and leaves. Reading has stopped.
    pub(super) async fn finish(&mut self, reader: &mut Reader) -> Result<()> {
        self.is_leaving = true;
        self.timing.commit_at = clock::mono();
        let committed = tokio::time::timeout(self.client.timeout(), self.settle_all(reader)).await;
        self.leave().await;
        match committed {
            Ok(outcome) => outcome,
            Err(_) => bail!(
                "group {}: the last offsets could not be committed; what was printed since the \
                 last commit will be read again",
                self.terms.group
            ),
        }
    }

    async fn settle_all(&mut self, reader: &mut Reader) -> Result<()> {
        while self.on_way.commit || !self.ledger.due().is_empty() {
            self.act(reader);
            let wake_at = self.wake_at();
            tokio::select! {
                done = self.next() => self.settle(done, reader)?,
                () = pause(wake_at) => {}
            }
        }
        Ok(())
    }

    async fn leave(&self) {
        let Some(coordinator) = &self.coordinator else {
            return;
        };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.terms.group.as_str().into(),
            member_id: self.member_id.as_str().into(),
            member_epoch: LEAVING,
            ..ConsumerGroupHeartbeatRequest::default()
        };
        // The others get the partitions after the session timeout if this is lost.
        let _ = tokio::time::timeout(LEAVE_WITHIN, coordinator.link.call(&request)).await;
    }

    /// Takes in how a call ended.
    pub(super) fn settle(&mut self, done: Done, reader: &mut Reader) -> Result<()> {
        match done {
            Done::Found(found) => {
                self.on_way.find = false;
                self.found(found)
            }
            Done::Heartbeat(outcome) => {
                self.on_way.heartbeat = false;
                self.heard(outcome, reader)
            }
            Done::Commit(offsets, outcomes) => {
                self.on_way.commit = false;
                self.committed(&offsets, outcomes)
            }
            Done::Places(asked, places) => {
                self.on_way.places = false;
                self.placed(&asked, places, reader)
            }
        }
    }
}

/// Calls.
impl Session {
    fn find(&mut self) {
        if !std::mem::replace(&mut self.on_way.find, true) {
            let (client, group) = (self.client.clone(), self.terms.group.clone());
            self.calls.spawn(calls::find(client, group));
        }
    }

    /// One who leaves does not join again.
    fn may_beat(&self) -> bool {
        !self.on_way.heartbeat && (self.member.has_joined() || !self.is_leaving)
    }

    fn beat(&mut self) {
        let Some(coordinator) = self.coordinator.as_ref().filter(|_| self.may_beat()) else {
            return;
        };
        let link = coordinator.link.clone();
        let says = self.member.heartbeat();
        let names = || self.terms.topics.iter().map(|name| name.clone().into());
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.terms.group.clone().into(),
            member_id: self.member_id.clone().into(),
            member_epoch: says.epoch,
            rebalance_timeout_ms: if says.is_full {
                REBALANCE_TIMEOUT_MS
            } else {
                -1
            },
            subscribed_topic_names: says.is_full.then(|| names().collect()),
            topic_partitions: says.held.as_deref().map(by_topic),
            ..ConsumerGroupHeartbeatRequest::default()
        };
        self.calls.spawn(calls::beat(link, request));
        self.on_way.heartbeat = true;
        self.timing.heartbeat_at = clock::mono().saturating_add(self.timing.interval);
    }

    fn speaker(&self) -> Speaker {
        Speaker {
            group: self.terms.group.clone(),
            member: Some((self.member_id.clone(), self.member.epoch())),
        }
    }

    fn commit(&mut self, due: BTreeMap<Part, i64>) {
        if due.is_empty() || self.on_way.commit {
            return;
        }
        let Some(coordinator) = &self.coordinator else {
            return;
        };
        let link = coordinator.link.clone();
        let named = due.into_iter().filter_map(|(part, offset)| {
            let (name, _) = self.names.get(&part)?;
            Some((group_partition(name, part), offset))
        });
        let offsets: Offsets = named.collect();
        self.calls
            .spawn(calls::commit(link, self.speaker(), offsets));
        self.on_way.commit = true;
    }

    /// Stops reading what is to be given up, commits what was printed of it, and gives it up.
    fn release(&mut self, reader: &mut Reader) {
        let parts = self.member.to_release();
        if parts.is_empty() {
            return;
        }
        for key in parts.iter().filter_map(|part| self.names.get(part)) {
            reader.stop(key);
        }
        let due = self.ledger.due_of(&parts);
        if !due.is_empty() {
            self.commit(due);
        } else if !self.on_way.commit {
            self.member.released(&parts);
            self.ledger.forget(&parts);
            self.names.retain(|part, _| !parts.contains(part));
        }
    }

    /// Asks where to go on in partitions that the group gives.
    fn start(&mut self, reader: &mut Reader) {
        let parts = self.member.to_start();
        if parts.is_empty() || self.on_way.places || self.is_leaving {
            return;
        }
        let Some(coordinator) = &self.coordinator else {
            return;
        };
        let link = coordinator.link.clone();
        let mut partitions = Vec::new();
        for part in parts {
            match reader.name_of(part.0) {
                Some(name) => partitions.push(group_partition(name, part)),
                // The coordinator knows the topic before this command does.
                None => reader.want_metadata(),
            }
        }
        if partitions.is_empty() {
            return;
        }
        let asking = Asking {
            client: self.client.clone(),
            link,
            speaker: self.speaker(),
            reset: self.terms.reset,
            isolation: self.terms.isolation,
            is_bounded: self.terms.is_bounded,
        };
        self.calls.spawn(calls::places(asking, partitions));
        self.on_way.places = true;
    }

    /// A topic that was deleted and made anew is another one: the coordinator takes the old one away soon.
    fn drop_replaced(&self, reader: &mut Reader) {
        for ((id, _), key) in &self.names {
            if reader.id_of(&key.0).is_some_and(|known| known != *id) {
                reader.stop(key);
            }
        }
    }

    /// What is neither to be placed nor to be committed is no trouble any more.
    fn settle_patience(&mut self) {
        let parts = self.member.to_start();
        self.timing.unplaced.retain(|part, _| parts.contains(part));
        if self.ledger.due().is_empty() {
            self.timing.uncommitted.over();
        }
    }

    fn tell(&mut self) {
        let held = self.member.held();
        if !self.member.is_settled() || self.told.as_ref() == Some(held) || self.is_leaving {
            return;
        }
        let group = &self.terms.group;
        let mut topics = BTreeMap::<&str, Vec<String>>::new();
        for (name, index) in held.iter().filter_map(|part| self.names.get(part)) {
            topics.entry(name).or_default().push(index.to_string());
        }
        let topics = topics.iter();
        let topics = topics.map(|(name, indexes)| format!("{name}:{}", indexes.join(",")));
        match topics.collect::<Vec<_>>().join(" ") {
            none if none.is_empty() => say(&format!(
                "group {group}: no partition for this member now, others read them all"
            )),
            topics => say(&format!("group {group}: reading {topics}")),
        }
        self.told = Some(held.clone());
    }
}

/// Answers.
impl Session {
    fn found(&mut self, found: Result<(Client, Coordinator), ClientError>) -> Result<()> {
        match found {
            Ok((client, coordinator)) => {
                self.client = client;
                self.coordinator = Some(coordinator);
                Ok(())
            }
            Err(ClientError::Refused { code, .. }) if verdict(code) != Verdict::Final => {
                self.unheard(&Said(code))
            }
            Err(error) if error.is_transient() => self.unheard(&error),
            Err(error) => Err(error.into()),
        }
    }

    fn heard(
        &mut self,
        outcome: Result<Answer<ConsumerGroupHeartbeatRequest<'static>>, ClientError>,
        reader: &mut Reader,
    ) -> Result<()> {
        let answer = match outcome {
            Ok(answer) => answer,
            Err(ClientError::NoCommonVersion { address, .. }) => bail!(no_protocol(&address)),
            Err(error) if error.is_transient() => return self.unheard(&error),
            Err(error) => return Err(error.into()),
        };
        let response = answer.decode()?;
        match response.error_code {
            ErrorCode::None => {
                self.timing.unheard.over();
                let millis = u64::try_from(response.heartbeat_interval_ms).unwrap_or_default();
                self.timing.interval = Duration::from_millis(millis).max(INTERVAL_MIN);
                self.timing.heartbeat_at = clock::mono().saturating_add(self.timing.interval);
                if let Some(id) = response.member_id {
                    self.member_id = id.into_owned();
                }
                let assignment = response.assignment.as_ref().map(parts_of);
                self.member.accepted(response.member_epoch, assignment);
                Ok(())
            }
            // The group is there, the protocol is switched off.
            ErrorCode::UnsupportedVersion => match &self.coordinator {
                Some(coordinator) => bail!(no_protocol(coordinator.link.address())),
                None => bail!("{}", Said(ErrorCode::UnsupportedVersion)),
            },
            // Joining makes a group that is not there: this one is of the other protocol.
            code @ ErrorCode::GroupIdNotFound if !self.member.has_joined() => {
                bail!(self.refusal(code, response.error_message.as_deref()))
            }
            code => match verdict(code) {
                Verdict::Fenced => {
                    self.fenced(reader);
                    Ok(())
                }
                Verdict::Elsewhere | Verdict::Later => self.unheard(&Said(code)),
                Verdict::Gone | Verdict::Final => {
                    bail!(self.refusal(code, response.error_message.as_deref()))
                }
            },
        }
    }

    fn refusal(&self, code: ErrorCode, message: Option<&str>) -> String {
        let message = message.filter(|text| !text.is_empty());
        let message = message.unwrap_or_else(|| code.message());
        format!("group {}: {message} ({})", self.terms.group, code.name())
    }

    /// The coordinator may be another broker now.
    fn unheard(&mut self, why: &dyn fmt::Display) -> Result<()> {
        self.member.unheard();
        self.coordinator = None;
        self.pause();
        let limit = self.client.timeout();
        self.timing.unheard.failed(limit, why)
    }

    fn pause(&mut self) {
        self.timing.retry_at = clock::mono().saturating_add(RETRY_BACKOFF);
    }

    fn fenced(&mut self, reader: &mut Reader) {
        for key in self.names.values() {
            reader.stop(key);
        }
        self.names.clear();
        self.ledger = Ledger::default();
        self.member.fenced();
        self.settle_patience();
        self.told = None;
        say(&format!(
            "warning: group {} took this member for dead and gave its partitions away; what was \
             printed since the last commit may be read again",
            self.terms.group
        ));
    }

    fn committed(
        &mut self,
        offsets: &Offsets,
        outcomes: Result<CommitOutcomes, ClientError>,
    ) -> Result<()> {
        let limit = self.client.timeout();
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) if error.is_transient() => {
                self.coordinator = None;
                self.pause();
                return self.timing.uncommitted.failed(limit, &error);
            }
            Err(error) => return Err(error.into()),
        };
        let mut trouble = None;
        for ((topic, index), offset) in offsets {
            let code = outcomes.get(&(topic.name.clone(), *index)).copied();
            let code = code.unwrap_or(ErrorCode::UnknownServerError);
            let part = (topic.id, *index);
            match verdict(code) {
                _ if !code.is_error() => self.ledger.committed(part, *offset),
                // Nobody will ask for it.
                Verdict::Gone => self.ledger.committed(part, *offset),
                Verdict::Final => bail!("commit {}-{index}: {}", topic.name, Said(code)),
                Verdict::Elsewhere => {
                    self.coordinator = None;
                    trouble = Some(code);
                }
                // The next heartbeat tells.
                Verdict::Fenced | Verdict::Later => {
                    self.timing.heartbeat_at = clock::mono();
                    trouble = Some(code);
                }
            }
        }
        if let Some(code) = trouble {
            self.pause();
            return self.timing.uncommitted.failed(limit, &Said(code));
        }
        self.timing.uncommitted.over();
        self.timing.commit_at = clock::mono().saturating_add(COMMIT_EVERY);
        Ok(())
    }

    fn placed(
        &mut self,
        asked: &[GroupPartition],
        places: Result<Places, ClientError>,
        reader: &mut Reader,
    ) -> Result<()> {
        let error = match places {
            Ok(places) => {
                let mut places = places.into_iter();
                return places.try_for_each(|(partition, place)| match place {
                    Ok(place) => {
                        self.read(partition, place, reader);
                        Ok(())
                    }
                    Err(code) => self.refused(&partition, code),
                });
            }
            Err(error) => error,
        };
        match &error {
            ClientError::Refused { code, .. } => match verdict(*code) {
                Verdict::Elsewhere => self.coordinator = None,
                Verdict::Final => return Err(error.into()),
                // The next heartbeat tells.
                Verdict::Fenced | Verdict::Later | Verdict::Gone => {
                    self.timing.heartbeat_at = clock::mono();
                }
            },
            error if error.is_transient() => self.coordinator = None,
            _ => return Err(error.into()),
        }
        let mut asked = asked.iter();
        asked.try_for_each(|partition| self.unplaced(partition, &error))
    }

    /// One partition has no place yet; the others are read.
    fn refused(&mut self, partition: &GroupPartition, code: ErrorCode) -> Result<()> {
        let (topic, index) = partition;
        let why = format!("{}-{index}: {}", topic.name, Said(code));
        match verdict(code) {
            Verdict::Elsewhere => self.coordinator = None,
            Verdict::Final => bail!(why),
            // The next heartbeat tells.
            Verdict::Fenced | Verdict::Gone => self.timing.heartbeat_at = clock::mono(),
            // Its leader is asked again, there or elsewhere.
            Verdict::Later => {}
        }
        self.unplaced(partition, &why)
    }

    fn unplaced(&mut self, (topic, index): &GroupPartition, why: &dyn fmt::Display) -> Result<()> {
        self.pause();
        let limit = self.client.timeout();
        let patience = self.timing.unplaced.entry((topic.id, *index));
        patience.or_default().failed(limit, why)
    }

    fn read(&mut self, (topic, index): GroupPartition, place: Place, reader: &mut Reader) {
        let part = (topic.id, index);
        // It may have been taken away while it was asked for.
        if self.is_leaving || !self.member.start(part) {
            return;
        }
        let Place {
            position,
            committed,
            until,
        } = place;
        let key: Key = (topic.name.into(), index);
        if let Some(gone) = committed.filter(|committed| *committed != position) {
            say_moved(&key, gone, position);
        }
        self.ledger.start(part, position, committed);
        self.names.insert(part, key.clone());
        reader.read(key, Cursor::new(position, until));
    }
}

fn no_protocol(address: &HostPort) -> String {
    format!(
        "{address} does not serve the consumer group protocol of KIP-848 (ConsumerGroupHeartbeat), which --group needs: \
         Kafka has it from 4.0 on; leave --group out to read without a group"
    )
}

fn group_partition(name: &str, (id, index): Part) -> GroupPartition {
    let name = name.to_owned();
    (GroupTopic { name, id }, index)
}

fn by_topic(parts: &[Part]) -> Vec<RequestedTopicPartitions> {
    let mut topics = BTreeMap::<Uuid, Vec<i32>>::new();
    for (topic_id, index) in parts {
        topics.entry(*topic_id).or_default().push(*index);
    }
    let topics = topics.into_iter();
    let topics = topics.map(|(topic_id, partitions)| RequestedTopicPartitions {
        topic_id,
        partitions,
    });
    topics.collect()
}

fn parts_of(assignment: &Assignment) -> BTreeSet<Part> {
    let topics = assignment.topic_partitions.iter();
    let parts = topics.flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|index| (topic.topic_id, *index))
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Metadata;

    const LIMIT: Duration = Duration::from_secs(30);

    /// The next trouble took over the age of the last one, however long that was over.
    #[test]
    fn patience_begins_anew_after_trouble_that_vanished() {
        let client = Client::new(Vec::new(), LIMIT);
        let terms = Terms {
            group: "g".to_owned(),
            topics: vec!["t".to_owned()],
            reset: At::Latest,
            isolation: Isolation::ReadUncommitted,
            is_bounded: false,
        };
        let mut session = Session::new(client.clone(), terms);
        let mut reader = Reader::of_member(
            client,
            Isolation::ReadUncommitted,
            Metadata::default(),
            At::Latest,
        );
        let partition = group_partition("t", (Uuid::from_u128(7), 0));
        let fail = |session: &mut Session| {
            let (topic, index) = &partition;
            session.ledger.start((topic.id, *index), 0, None);
            session.timing.uncommitted.failed(LIMIT, &"x").unwrap();
            session.unplaced(&partition, &"x").unwrap();
        };
        let is_calm = |session: &Session| {
            session.timing.uncommitted == Patience::default() && session.timing.unplaced.is_empty()
        };
        fail(&mut session);
        assert!(!is_calm(&session));
        session.fenced(&mut reader);
        assert!(is_calm(&session));
        // What was neither placed nor committed belongs to others.
        fail(&mut session);
        session.ledger = Ledger::default();
        session.settle_patience();
        assert!(is_calm(&session));
    }
}

//! The world of a history: what happens, and what has to be true after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla::config::GroupConfig;
use ottla::coordinator::group::effects::Cx;
use ottla::coordinator::group::names::{GroupId, InstanceId, MemberId};
use ottla::coordinator::group::record::{Fact, OffsetValue, Record};
use ottla::coordinator::group::request::{
    AskId, DeleteOffsets, FetchOffsets, Identity, Leave, Leaving, Request, Response,
};
use ottla::coordinator::group::shard::Event;
use ottla_storage::time::{MonoMillis, WallMillis};

use super::announced::{Announced, Source};
use super::assignment::{Owned, assigned};
use super::client::{Client, commit, commit_of};
use super::commits::{Commits, Floor, Key};
use super::coordinator::Coordinator;
use super::count::KINDS;
use super::expiry::Expiry;
use super::hear::{Heard, is_unclear, refusal};
use super::log::Log;
use super::mirror::{Change, Kind, Mirror, who};
use super::ownership::{self, Generations};
use super::plan::{Act, Flavour, Plan, Planned};
use super::topics::{NAMES, Topics};
use crate::rng::Rng;
use crate::sim::check::Violation;
use crate::sim::count::Counts;
use crate::sim::simulated::Outcome;
use crate::sim::trace::Trace;

const WALL_BEGIN: i64 = 1_700_000_000_000;
const RETENTION: Duration = Duration::from_mins(3);
const SWEEP: Duration = Duration::from_secs(20);
/// Old coordinators that still answer.
const ZOMBIES_MAX: usize = 2;

/// A question under way.
#[derive(Debug)]
struct Asked {
    /// `None`: an admin.
    by: Option<usize>,
    request: Request,
    step: u64,
    floors: Vec<(Key, Floor)>,
    /// The committed log says that who asks is no member.
    is_barred: bool,
}

pub(super) struct World<'p> {
    pub(super) plan: &'p Plan,
    pub(super) now: u64,
    /// Events that had an effect.
    acts: usize,
    step: u64,
    pub(super) topics: Topics,
    pub(super) settings: GroupConfig,
    pub(super) current: Coordinator,
    pub(super) zombies: Vec<Coordinator>,
    pub(super) clients: Vec<Client>,
    asked: BTreeMap<AskId, Asked>,
    asks: u64,
    /// The number of the last commit or deletion.
    operation: u64,
    /// Batches that are committed.
    pub(super) committed: usize,
    stalled_until: u64,
    mirror: Mirror,
    expiry: Expiry,
    announced: Announced,
    generations: Generations,
    commits: Commits,
    /// Static members that have been in.
    known: BTreeSet<(GroupId, InstanceId)>,
    pub(super) counts: Counts,
    trace: Trace,
    story: Option<Vec<String>>,
}

macro_rules! cx {
    ($world:expr) => {
        Cx {
            now: MonoMillis::from_millis($world.now),
            wall: wall($world.now),
            image: &$world.topics.image,
            settings: &$world.settings,
        }
    };
}
pub(super) use cx;

pub(super) fn wall(now: u64) -> WallMillis {
    WallMillis::from_millis(WALL_BEGIN.saturating_add_unsigned(now))
}

fn settings(plan: &Plan) -> GroupConfig {
    let mut settings = GroupConfig {
        initial_rebalance_delay: Duration::from_millis(plan.shape.initial_delay),
        offsets_retention: RETENTION,
        offsets_retention_check_interval: SWEEP,
        ..GroupConfig::default()
    };
    settings.consumer.session_timeout = Duration::from_secs(8);
    settings.consumer.regex_refresh_interval = Duration::from_secs(30);
    settings
}

pub(super) fn group_id(position: usize) -> GroupId {
    GroupId::from(format!("g{position}"))
}

impl<'p> World<'p> {
    pub(super) fn new(plan: &'p Plan, is_told: bool) -> Self {
        let clients = plan.shape.clients.iter().enumerate();
        let clients = clients.map(|(number, shape)| {
            let instance = shape.instance.map(|it| InstanceId::from(format!("i{it}")));
            let group = plan.shape.groups.get(shape.group);
            let is_cooperative = group.is_some_and(|group| group.is_cooperative);
            Client::new(number, group_id(shape.group), instance, is_cooperative)
        });
        Self {
            now: 1_000,
            acts: 0,
            step: 0,
            topics: Topics::new(),
            settings: settings(plan),
            current: Coordinator::new(0, Log::default(), 0, Rng::new(0)),
            zombies: Vec::new(),
            clients: clients.collect(),
            asked: BTreeMap::new(),
            asks: 0,
            operation: 0,
            committed: 0,
            stalled_until: 0,
            mirror: Mirror::default(),
            expiry: Expiry::new(RETENTION),
            announced: Announced::default(),
            generations: Generations::default(),
            commits: Commits::default(),
            known: BTreeSet::new(),
            counts: Counts::of_kinds(KINDS),
            trace: Trace::default(),
            story: is_told.then(Vec::new),
            plan,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        let violation = self.history().err();
        if let Some(violation) = &violation {
            self.tell(|| violation.to_string());
        }
        Outcome {
            violation,
            counts: self.counts,
            acts: self.acts,
            steps: self.step,
            hash: self.trace.hash(),
            story: self.story.unwrap_or_default(),
        }
    }

    fn history(&mut self) -> Result<(), Violation> {
        let mut rng = Rng::new(0);
        self.pump(&mut rng)?;
        for client in 0..self.clients.len() {
            self.start(client, &mut rng);
        }
        for planned in &self.plan.events {
            self.happen(planned)?;
        }
        self.finish()
    }

    fn happen(&mut self, planned: &Planned) -> Result<(), Violation> {
        self.now += planned.wait;
        self.tell(|| format!("{:?}", planned.act));
        let mut rng = Rng::new(planned.salt);
        self.pump(&mut rng)?;
        self.acts += usize::from(self.act(planned.act, &mut rng)?);
        self.pump(&mut rng)
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>8} {}", self.now, line()));
        }
    }

    /// Coordinators do what they can: time, appends and commits.
    pub(super) fn pump(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        self.step += 1;
        for at in 0..self.zombies.len() {
            let cx = cx!(self);
            if let Some(zombie) = self.zombies.get_mut(at) {
                zombie.tick(&cx)?;
                zombie.flush(&cx)?;
                if rng.chance(30) {
                    zombie.append(&cx)?;
                }
            }
        }
        self.flush()?;
        self.current.tick(&cx!(self))?;
        let cx = cx!(self);
        self.current.flush(&cx)?;
        for (gone, tombstones_gone) in std::mem::take(&mut self.current.loads) {
            if gone > 0 {
                self.counts.add("compacted load");
            }
            if tombstones_gone > 0 {
                self.counts.add("compacted load without a tombstone");
            }
        }
        for batch in std::mem::take(&mut self.current.decided) {
            count_expired(&batch.records, &mut self.counts);
        }
        while rng.chance(self.plan.shape.append) && self.current.append(&cx!(self))? {}
        let waiting = self.current.log.len() - self.committed;
        if waiting > 0 && self.now >= self.stalled_until && rng.chance(self.plan.shape.commit) {
            let more = 1 + rng.index(waiting);
            self.commit(self.committed + more)?;
        }
        self.current.tick(&cx!(self))?;
        self.answers(rng)?;
        self.flush()?;
        ownership::check(&self.clients, &self.mirror)
    }

    fn flush(&mut self) -> Result<(), Violation> {
        self.current.flush(&cx!(self))?;
        self.current.decided.clear();
        Ok(())
    }

    /// Batches up to `count` are committed: nobody can lose them any more.
    fn commit(&mut self, count: usize) -> Result<(), Violation> {
        for position in self.committed..count {
            let Some(batch) = self.current.log.get(position).cloned() else {
                continue;
            };
            self.tell(|| {
                let facts = batch
                    .records
                    .iter()
                    .map(|it| format!("{}: {:?}", it.group, it.fact));
                format!(
                    "COMMITTED {position}\n    {}",
                    facts.collect::<Vec<_>>().join("\n    ")
                )
            });
            for byte in batch.bytes.chunks(8) {
                let number = byte
                    .iter()
                    .fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
                self.trace.add(number);
            }
            for record in &batch.records {
                self.record(position, batch.at, record)?;
            }
            self.mirror.check()?;
        }
        self.committed = count;
        self.current.commit(&cx!(self), count)
    }

    fn record(
        &mut self,
        position: usize,
        at: WallMillis,
        record: &Record,
    ) -> Result<(), Violation> {
        let group = &record.group;
        if let Fact::Offset(of, value) = &record.fact {
            let key = (group.clone(), of.clone());
            let may_expire = |it: &OffsetValue| self.expiry.may_expire(group, &of.topic, it, at);
            let step = self.step;
            self.commits.said(step, &key, value.as_ref(), may_expire)?;
        }
        self.expiry.apply(record, at);
        let change = self.mirror.apply(position, record)?;
        let incarnation = self.mirror.group(group).map_or(0, |it| it.incarnation);
        self.announced.apply(self.step, incarnation, record);
        match change {
            Some(Change::Generation) => self.counts.add("rebalance, classic generation"),
            Some(Change::Epoch) => self.counts.add("rebalance, consumer group epoch"),
            Some(Change::Moved) => self.counts.add("consumer group partition moved"),
            Some(Change::Downgrade) => {
                self.counts.add("downgrade to a classic group");
                self.certify(group, |_, _| Owned::new());
            }
            Some(Change::Upgrade) => self.counts.add("upgrade to a consumer group"),
            None => {}
        }
        // What a classic member has becomes the group's only as far as the log says so.
        if let Fact::ConsumerCurrent(member, Some(_)) = &record.fact
            && self
                .clients
                .iter()
                .any(|it| it.member == *member && it.certified.is_empty() && !it.speaks_new)
        {
            let assigned = self.mirror.group(group).map(|it| it.assigned(member));
            let assigned = assigned.unwrap_or_default();
            self.certify(group, |client, certified| {
                if client == member {
                    assigned.clone()
                } else {
                    certified.clone()
                }
            });
        }
        Ok(())
    }

    fn certify(&mut self, group: &GroupId, certified: impl Fn(&MemberId, &Owned) -> Owned) {
        for client in self.clients.iter_mut().filter(|it| it.group == *group) {
            let certified = certified(&client.member, &client.certified);
            client.certified = client.owned.intersection(&certified).copied().collect();
        }
    }

    /// Takes what the coordinators have answered to whoever asked.
    fn answers(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        let mut all: Vec<(bool, AskId, Response)> = Vec::new();
        for zombie in &mut self.zombies {
            all.extend(zombie.answers.drain(..).map(|(ask, it)| (true, ask, it)));
        }
        all.extend(
            self.current
                .answers
                .drain(..)
                .map(|(ask, it)| (false, ask, it)),
        );
        for (is_zombie, ask, response) in all {
            self.answered(is_zombie, ask, &response, rng)?;
        }
        Ok(())
    }

    fn answered(
        &mut self,
        is_zombie: bool,
        ask: AskId,
        response: &Response,
        rng: &mut Rng,
    ) -> Result<(), Violation> {
        let Some(asked) = self.asked.remove(&ask) else {
            let text = format!("{ask:?} is answered twice, now with {response:?}");
            return Err(Violation::new("answers", text));
        };
        self.trace
            .add(ask.0 << 1 | u64::from(refusal(response).is_some()));
        self.tell(|| {
            let word = if is_zombie { " (zombie)" } else { "" };
            format!("  {ask:?}{word} -> {response:?}")
        });
        if is_zombie {
            self.counts.add("answer of a zombie");
        }
        self.judge(&asked, is_zombie, response)?;
        let Some(client) = asked.by.and_then(|at| self.clients.get_mut(at)) else {
            return Ok(());
        };
        if client.waiting != Some(ask) {
            return Ok(());
        }
        client.waiting = None;
        if rng.chance(self.plan.shape.lose) {
            client.must_tell_all = true;
            self.counts.add("answer lost");
            return Ok(());
        }
        let group = self.mirror.group(&client.group);
        let is_consumer = group.is_some_and(|group| group.kind == Some(Kind::Consumer));
        let heard = Heard {
            image: &self.topics.image,
            is_certain: is_consumer && !is_zombie,
        };
        client.hear(&asked.request, response, &heard, &mut self.counts);
        if let (Response::Join(Ok(_)), Some(instance)) = (response, &client.instance)
            && !self.known.insert((client.group.clone(), instance.clone()))
        {
            self.counts.add("static member back");
        }
        Ok(())
    }

    /// What an answer promises.
    fn judge(
        &mut self,
        asked: &Asked,
        is_zombie: bool,
        response: &Response,
    ) -> Result<(), Violation> {
        let refused = refusal(response);
        if asked.is_barred && refused.is_none() && !is_zombie {
            let text = format!("{:?} of no member is answered {response:?}", asked.request);
            return Err(Violation::new("C4", text));
        }
        let since = (!is_zombie).then_some(asked.step);
        match (&asked.request, response) {
            (Request::CommitOffsets(commit), _) => {
                for new in &commit.offsets {
                    let key = (commit.group.clone(), new.of.clone());
                    let number = u64::try_from(new.offset).unwrap_or_default();
                    match refused {
                        None => {
                            self.counts.add("commit acknowledged");
                            self.commits.acknowledged(&key, number)?;
                        }
                        Some(error) if is_unclear(error) => self.counts.add("commit in doubt"),
                        Some(_) => {
                            self.counts.add("commit refused");
                            self.commits.refused(&key, number)?;
                        }
                    }
                }
            }
            (Request::FetchOffsets(fetch), Response::FetchOffsets(Ok(fetched))) if !is_zombie => {
                self.counts.add("fetch");
                for (key, floor) in &asked.floors {
                    let found = fetched.offsets.iter().find(|it| it.of == key.1);
                    let told = found
                        .and_then(|it| it.committed.as_ref())
                        .map(|it| it.offset);
                    self.commits.fetched(key, *floor, told)?;
                }
                if fetch.require_stable {
                    self.counts.add("fetch that waits for what is stable");
                }
            }
            (Request::Join(join), Response::Join(Ok(joined))) => {
                self.announced.joined(join, joined, since)?;
            }
            (Request::ConsumerHeartbeat(heartbeat), Response::ConsumerHeartbeat(Ok(heard))) => {
                self.announced.heard(heartbeat, heard, since)?;
            }
            (Request::Sync(sync), Response::Sync(Ok(synced))) => {
                let source = self.announced.synced(sync, synced, &self.topics, since)?;
                if let Source::Generation(incarnation) = source {
                    let who = who(sync.by.instance.as_ref(), &sync.by.member);
                    let part = assigned(&synced.assignment);
                    let number = sync.by.generation;
                    let group = &sync.group;
                    let is_new = self
                        .generations
                        .told(group, incarnation, number, &who, &part)?;
                    if is_new {
                        self.counts.add("classic generation assigned");
                    }
                }
            }
            (Request::DeleteOffsets(_), Response::DeleteOffsets(Ok(answers)))
                if answers.contains(&Ok(())) =>
            {
                self.counts.add("offset deleted");
            }
            (Request::DeleteGroup(_), Response::DeleteGroup(Ok(()))) => {
                self.counts.add("group deleted");
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks the coordinator, or one that was.
    fn ask(&mut self, by: Option<usize>, request: Request, rng: &mut Rng) -> Result<(), Violation> {
        let ask = AskId(self.asks);
        self.asks += 1;
        self.tell(|| format!("  {ask:?} {by:?} asks {request:?}"));
        self.expect(&request);
        let asked = Asked {
            by,
            step: self.step,
            floors: self.floors(&request),
            is_barred: self.is_barred(&request),
            request: request.clone(),
        };
        self.asked.insert(ask, asked);
        if let Some(client) = by.and_then(|at| self.clients.get_mut(at)) {
            client.waiting = Some(ask);
        }
        let to_zombie = rng.chance(self.plan.shape.to_zombie);
        let at = rng.index(self.zombies.len());
        if let Some(zombie) = self.zombies.get_mut(at).filter(|_| to_zombie) {
            zombie.ask(&cx!(self), ask, request)?;
            return self.answers(rng);
        }
        if rng.chance(self.plan.shape.together) {
            self.current.ask(&cx!(self), ask, request)?;
            return self.answers(rng);
        }
        self.flush()?;
        let is_join = matches!(request, Request::Join(_));
        self.current.ask(&cx!(self), ask, request)?;
        self.current.flush(&cx!(self))?;
        let answers = &self.current.answers;
        let answer = answers.iter().find(|(of, _)| *of == ask);
        let refused = answer.and_then(|(_, response)| refusal(response));
        let has_refused = refused.is_some_and(|error| !is_unclear(error));
        for batch in std::mem::take(&mut self.current.decided) {
            // Kafka's: somebody who joins in the classic words ends a consumer group that is empty, admitted or not.
            let is_end = is_join && batch.records.iter().all(|it| !it.fact.is_set());
            if has_refused && !is_end {
                let text = format!("{ask:?} is refused and led to {:?}", batch.records);
                return Err(Violation::new("C4", text));
            }
        }
        self.answers(rng)
    }

    /// Notes what a question may lead to.
    fn expect(&mut self, request: &Request) {
        match request {
            Request::CommitOffsets(commit) => {
                for new in &commit.offsets {
                    self.commits.asked((commit.group.clone(), new.of.clone()));
                }
            }
            Request::DeleteOffsets(delete) => {
                self.operation += 1;
                let is_concerned = |key: &Key| key.0 == delete.group && delete.of.contains(&key.1);
                self.commits.may_delete(self.operation, is_concerned);
            }
            Request::DeleteGroup(group) => {
                self.operation += 1;
                self.commits
                    .may_delete(self.operation, |key| key.0 == *group);
            }
            _ => {}
        }
    }

    fn floors(&self, request: &Request) -> Vec<(Key, Floor)> {
        let Request::FetchOffsets(fetch) = request else {
            return Vec::new();
        };
        let keys = match &fetch.of {
            Some(of) => of
                .iter()
                .map(|of| (fetch.group.clone(), of.clone()))
                .collect(),
            None => self.commits.keys(&fetch.group),
        };
        let keys: Vec<Key> = keys;
        keys.into_iter()
            .map(|key| {
                let floor = self.commits.floor(self.step, &key);
                (key, floor)
            })
            .collect()
    }

    /// Whether the committed log says that who asks is no member any more.
    fn is_barred(&self, request: &Request) -> bool {
        let (group, member, epoch) = match request {
            Request::Heartbeat(it) => (&it.group, &it.by.member, it.by.generation),
            Request::Sync(it) => (&it.group, &it.by.member, it.by.generation),
            Request::CommitOffsets(it) => (&it.group, &it.by.member, it.by.generation),
            Request::ConsumerHeartbeat(it) => (&it.group, &it.member, it.epoch),
            _ => return false,
        };
        let Some(group) = self.mirror.group(group).filter(|_| epoch > 0) else {
            return false;
        };
        let is_gone = group.kind == Some(Kind::Consumer) && !group.members.contains(member);
        is_gone || group.replaced.contains(member)
    }

    /// Lets it happen; whether anything did.
    fn act(&mut self, act: Act, rng: &mut Rng) -> Result<bool, Violation> {
        match act {
            Act::Everybody => {
                let from = rng.index(self.clients.len());
                let mut has_asked = false;
                for at in 0..self.clients.len() {
                    has_asked |= self.step_client((from + at) % self.clients.len(), rng)?;
                }
                Ok(has_asked)
            }
            Act::Step(at) => self.step_client(at, rng),
            Act::GiveUp(at) => {
                let client = self.clients.get_mut(at);
                let Some(client) = client.filter(|it| it.waiting.is_some()) else {
                    return Ok(false);
                };
                client.waiting = None;
                client.must_tell_all = true;
                Ok(true)
            }
            Act::Repeat(at) => {
                let client = self.clients.get_mut(at);
                let client = client.filter(|it| it.waiting.is_some());
                let again = client.and_then(Client::again);
                self.ask_if_any(Some(at), again, rng)
            }
            Act::Late(at) => {
                let late = self.late(at, rng);
                self.ask_if_any(None, late, rng)
            }
            Act::Silence(at, millis) => {
                let client = self.clients.get_mut(at).filter(|it| it.is_up);
                Ok(client.is_some_and(|client| {
                    client.silent_until = self.now + millis;
                    millis > 0
                }))
            }
            Act::Crash(at) => {
                let client = self.clients.get_mut(at).filter(|it| it.is_up);
                Ok(client.is_some_and(|client| {
                    client.crash();
                    self.counts.add("member crashed");
                    true
                }))
            }
            Act::Start(at) => Ok(self.start(at, rng)),
            Act::Leave(at) => {
                let client = self.clients.get_mut(at).filter(|it| it.is_up);
                let leave = client.and_then(|client| client.leave(rng));
                if leave.is_some() {
                    self.counts.add("member left");
                }
                self.ask_if_any(None, leave, rng)
            }
            Act::Remove(at) => {
                let removal = self.removal(at);
                self.ask_if_any(None, removal, rng)
            }
            Act::Commit(_) | Act::Fetch(_) | Act::DeleteOffsets(_) | Act::DeleteGroup(_) => {
                let request = self.administration(act, rng);
                self.ask_if_any(None, request, rng)
            }
            Act::CreateTopic(_) | Act::GrowTopic(_) | Act::DeleteTopic(_) => {
                self.change_topic(act, rng)
            }
            Act::Move => self.change_coordinator(rng).map(|()| true),
            Act::EndZombies => {
                let are_there = !self.zombies.is_empty();
                self.end_zombies(rng).map(|()| are_there)
            }
            Act::RefuseAppends => {
                let now = MonoMillis::from_millis(self.now);
                let has_refused = self.current.refuse_appends(now);
                if has_refused {
                    self.counts.add("append refused");
                }
                self.answers(rng).map(|()| has_refused)
            }
            Act::StallLog(millis) => {
                self.stalled_until = self.now + millis;
                Ok(millis > 0)
            }
        }
    }

    fn ask_if_any(
        &mut self,
        by: Option<usize>,
        request: Option<Request>,
        rng: &mut Rng,
    ) -> Result<bool, Violation> {
        match request {
            Some(request) => self.ask(by, request, rng).map(|()| true),
            None => Ok(false),
        }
    }

    pub(super) fn step_client(&mut self, at: usize, rng: &mut Rng) -> Result<bool, Violation> {
        let (topics, operation, now) = (&self.topics, &mut self.operation, self.now);
        let client = self.clients.get_mut(at);
        let client = client.filter(|it| it.is_up && it.silent_until <= now && it.waiting.is_none());
        let request = client.map(|client| client.next(rng, topics, operation));
        self.ask_if_any(Some(at), request, rng)
    }

    /// What a client asks under its former name, if it has another one by now.
    fn late(&mut self, at: usize, rng: &mut Rng) -> Option<Request> {
        let client = self.clients.get(at)?;
        let late = client.late(rng, &self.topics.image, &mut self.operation)?;
        let former = client.former.as_ref();
        former
            .is_none_or(|by| by.member != client.member)
            .then_some(late)
    }

    /// A process starts, with the other protocol perhaps. Whether there was one to start.
    pub(super) fn start(&mut self, at: usize, rng: &mut Rng) -> bool {
        let shape = self.plan.shape.clients.get(at);
        let group = shape.and_then(|shape| self.plan.shape.groups.get(shape.group));
        let Some(client) = self.clients.get_mut(at).filter(|it| !it.is_up) else {
            return false;
        };
        match group.map(|group| group.flavour) {
            None | Some(Flavour::Simple) => return false,
            Some(Flavour::Classic) => client.speaks_new = false,
            Some(Flavour::Consumer) => client.speaks_new = true,
            Some(Flavour::Mixed) => client.speaks_new = rng.chance(50),
        }
        client.start(rng);
        true
    }

    /// An operator removes the static member.
    fn removal(&self, at: usize) -> Option<Request> {
        let client = self.clients.get(at)?;
        let leaving = Leaving {
            member: MemberId::from(""),
            instance: Some(client.instance.clone()?),
            reason: None,
        };
        Some(Request::Leave(Leave {
            group: client.group.clone(),
            members: vec![leaving],
        }))
    }

    /// What an admin asks.
    fn administration(&mut self, act: Act, rng: &mut Rng) -> Option<Request> {
        let of = commit_of(rng, &Owned::new(), &self.topics.image);
        match act {
            Act::Commit(at) => {
                self.operation += 1;
                let by = Identity {
                    member: MemberId::from(""),
                    instance: None,
                    generation: -1,
                };
                let retention = rng
                    .chance(20)
                    .then(|| Duration::from_secs(20 + rng.below(200)));
                Some(commit(&group_id(at), by, of, self.operation, retention))
            }
            Act::Fetch(at) => Some(Request::FetchOffsets(FetchOffsets {
                group: group_id(at),
                by: None,
                of: rng.chance(50).then(|| vec![of]),
                require_stable: rng.chance(50),
            })),
            Act::DeleteOffsets(at) => Some(Request::DeleteOffsets(DeleteOffsets {
                group: group_id(at),
                of: vec![of],
            })),
            Act::DeleteGroup(at) => Some(Request::DeleteGroup(group_id(at))),
            _ => None,
        }
    }

    fn change_topic(&mut self, act: Act, rng: &mut Rng) -> Result<bool, Violation> {
        let mut deleted = Vec::new();
        let name = |at: usize| NAMES.get(at).copied().unwrap_or_default();
        let has_changed = match act {
            Act::CreateTopic(at) => {
                let is_new = self.topics.create(name(at), 1 + rng.index(4));
                if is_new {
                    self.counts.add("topic created");
                }
                is_new
            }
            Act::GrowTopic(at) => {
                let has_grown = self.topics.grow(name(at));
                if has_grown {
                    self.counts.add("topic grown");
                }
                has_grown
            }
            Act::DeleteTopic(at) => {
                deleted.extend(self.topics.delete(name(at)));
                if !deleted.is_empty() {
                    self.counts.add("topic deleted");
                }
                !deleted.is_empty()
            }
            _ => false,
        };
        if !has_changed {
            return Ok(false);
        }
        self.operation += 1;
        self.commits
            .may_delete(self.operation, |key| deleted.contains(&key.1.topic));
        let event = Event::Metadata(deleted);
        let cx = cx!(self);
        for zombie in &mut self.zombies {
            zombie.event(&cx, event.clone())?;
        }
        self.current.event(&cx, event).map(|()| true)
    }

    /// Another broker coordinates, with any part of the log that has everything committed.
    fn change_coordinator(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        let end = self.current.log.len();
        let kept = self.committed + rng.index(end - self.committed + 1);
        for _ in kept..end {
            self.counts.add("batch that a move dropped");
        }
        for _ in self.committed..kept {
            self.counts.add("batch that a move committed");
        }
        self.counts.add("coordinator move");
        for (ask, asked) in &self.asked {
            if matches!(asked.request, Request::CommitOffsets(_)) && self.current.is_asked(*ask) {
                self.counts.add("commit in flight at a move");
            }
        }
        let log = self.current.log.prefix(kept);
        let life = self.current.life + 1;
        let next = Coordinator::new(life, log, self.committed, rng.fork());
        let old = std::mem::replace(&mut self.current, next);
        self.tell(|| format!("  {kept} of {end} batches stay"));
        self.zombies.push(old);
        if self.zombies.len() > ZOMBIES_MAX || rng.chance(30) {
            self.end_zombies(rng)?;
        }
        Ok(())
    }

    pub(super) fn end_zombies(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        for zombie in &mut self.zombies {
            zombie.end();
        }
        self.answers(rng)?;
        self.zombies.clear();
        Ok(())
    }

    /// How many questions have no answer.
    pub(super) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// Ends what would keep the log from its end.
    pub(super) fn unstall(&mut self) {
        self.stalled_until = 0;
    }

    /// Everything is appended and committed, and there is nothing more to write.
    pub(super) fn settle_log(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        for _ in 0..4 {
            self.flush()?;
            while self.current.append(&cx!(self))? {}
            let end = self.current.log.len();
            if end > self.committed {
                self.commit(end)?;
            }
            self.current.tick(&cx!(self))?;
            self.answers(rng)?;
        }
        Ok(())
    }
}

fn count_expired(records: &[Record], counts: &mut Counts) {
    let mut is_gone = false;
    let mut is_there = false;
    for record in records {
        match &record.fact {
            Fact::Offset(_, None) => counts.add("offset expired"),
            Fact::Classic(None) | Fact::ConsumerEpoch(None) => is_gone = true,
            Fact::Classic(Some(_)) | Fact::ConsumerEpoch(Some(_)) => is_there = true,
            _ => {}
        }
    }
    if is_gone && !is_there {
        counts.add("group expired");
    }
}

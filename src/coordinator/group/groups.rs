//! All groups of one partition of `__consumer_offsets`: which group is asked, and how far each has come.
//!
//! - A group is of one kind at a time. It is there as soon as somebody joins it or commits for it, and goes with a
//!   tombstone when it has neither members nor offsets.
//! - What is replayed is what was written: a group after a move is the group before it, with fresh sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use ottla_storage::planted::is_planted;
use ottla_storage::time::{MonoMillis, WallMillis};

use super::classic::{ClassicGroup, Subscribed};
use super::consumer::{self, ConsumerGroup, MayCommit};
use super::deadlines::Deadlines;
use super::effects::{Cx, Effects};
use super::error::GroupError;
use super::names::GroupId;
use super::offsets::{Expiry, Offsets};
use super::record::{Fact, OffsetValue, Record};
use super::request::{
    AskId, CommitOffsets, ConsumerHeartbeat, DeleteOffsets, FetchOffsets, FetchedOffsets,
    Heartbeat, Join, Leave, ListFilter, Listed, Request, Response, Sync, TopicPartition,
};

/// Groups whose offsets are looked through before something else may have its turn.
const SWEEP_COUNT: usize = 256;

/// A group's members, in the words of its protocol.
#[derive(Clone, Debug)]
enum Kind {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

impl Kind {
    fn none(id: &GroupId) -> Self {
        Self::Classic(Box::new(ClassicGroup::new(id.clone())))
    }

    fn next_deadline(&self) -> Option<MonoMillis> {
        match self {
            Self::Classic(group) => group.next_deadline(),
            Self::Consumer(group) => group.next_deadline(),
        }
    }

    /// What the members are subscribed to.
    fn subscribed(&self) -> Subscribed {
        match self {
            Self::Classic(group) => group.subscribed(),
            Self::Consumer(group) => {
                let topics = group.subscribed_topics().into_iter();
                Subscribed::To(topics.map(ToString::to_string).collect())
            }
        }
    }

    fn check_delete(&self) -> Result<(), GroupError> {
        match self {
            Self::Classic(group) => group.check_delete(),
            Self::Consumer(group) => group.check_delete(),
        }
    }

    fn has_members(&self) -> bool {
        self.check_delete().is_err()
    }

    fn offsets_expire(&self) -> Expiry {
        match self {
            Self::Classic(group) => group.offsets_expire(),
            Self::Consumer(_) => Expiry::SinceCommit,
        }
    }

    /// What makes the log forget the group.
    fn tombstones(&self) -> Vec<Fact> {
        match self {
            Self::Classic(group) if group.is_forgettable() => Vec::new(),
            Self::Classic(_) => vec![Fact::Classic(None)],
            Self::Consumer(group) => group.tombstones(),
        }
    }

    fn listed(&self) -> Listed {
        match self {
            Self::Classic(group) => group.listed(),
            Self::Consumer(group) => group.listed(),
        }
    }
}

#[derive(Clone, Debug)]
struct Group {
    kind: Kind,
    offsets: Offsets,
}

impl Group {
    fn new(id: &GroupId) -> Self {
        Self {
            kind: Kind::none(id),
            offsets: Offsets::default(),
        }
    }

    /// Whether nothing is lost with it, here or in the log.
    fn is_nothing(&self) -> bool {
        let is_unwritten = match &self.kind {
            Kind::Classic(group) => group.is_forgettable(),
            Kind::Consumer(group) => group.is_nothing(),
        };
        is_unwritten && self.offsets.is_empty()
    }

    /// Forgets members and offsets; what is on its way comes before.
    fn delete(&mut self, id: &GroupId, fx: &mut Effects) {
        forget(id, self.offsets.all(), fx);
        write_all(id, self.kind.tombstones(), fx);
        self.kind = Kind::none(id);
    }
}

fn write_all(group: &GroupId, facts: Vec<Fact>, fx: &mut Effects) {
    for fact in facts {
        fx.write(Record {
            group: group.clone(),
            fact,
        });
    }
}

fn forget(group: &GroupId, all: impl IntoIterator<Item = TopicPartition>, fx: &mut Effects) {
    let facts = all.into_iter().map(|of| Fact::Offset(of, None));
    write_all(group, facts.collect(), fx);
}

/// What came of an event, for each group that it concerned.
pub type Outcomes = Vec<(GroupId, Effects)>;

/// The groups of one partition.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    all: BTreeMap<GroupId, Group>,
    deadlines: Deadlines<GroupId>,
    sweep: Sweep,
}

/// When the offsets are looked through for what has aged too long.
#[derive(Clone, Debug, Default)]
struct Sweep {
    /// The next look, once there is one.
    next: Option<MonoMillis>,
    /// The last group that was looked at, if a look is under way.
    after: Option<GroupId>,
}

impl Groups {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// A record of the log, in its order.
    pub fn replay(&mut self, record: Record) {
        let Record { group: id, fact } = record;
        let is_gone = matches!(
            fact,
            Fact::Offset(_, None) | Fact::Classic(None) | Fact::ConsumerEpoch(None)
        );
        if is_gone && !self.all.contains_key(&id) {
            return;
        }
        let group = self
            .all
            .entry(id.clone())
            .or_insert_with(|| Group::new(&id));
        match (fact, &mut group.kind) {
            (Fact::Offset(of, mut value), _) => {
                if is_planted("a-reload-keeps-commit-times")
                    && let Some(value) = &mut value
                {
                    value.committed_at = WallMillis::ZERO;
                }
                group.offsets.set(&of, value);
            }
            (Fact::Classic(Some(value)), kind) => {
                *kind = Kind::Classic(Box::new(ClassicGroup::restored(id.clone(), value)));
            }
            (Fact::Classic(None), kind @ Kind::Classic(_))
            | (Fact::ConsumerEpoch(None), kind @ Kind::Consumer(_)) => *kind = Kind::none(&id),
            (Fact::Classic(None), Kind::Consumer(_)) => {}
            (fact, Kind::Consumer(consumer)) => consumer.replay(fact),
            (fact, kind @ Kind::Classic(_)) => {
                if fact.is_set() {
                    let mut consumer = ConsumerGroup::new(id.clone());
                    consumer.replay(fact);
                    *kind = Kind::Consumer(Box::new(consumer));
                }
            }
        }
        if group.is_nothing() {
            self.all.remove(&id);
        }
    }

    /// The log is replayed: sessions begin.
    pub fn start(&mut self, cx: &Cx<'_>) -> Outcomes {
        let interval = cx.settings.offsets_retention_check_interval;
        self.sweep.next = Some(cx.now.saturating_add(interval));
        let mut outcomes = Outcomes::new();
        for (id, group) in &mut self.all {
            let mut fx = Effects::default();
            forget(id, group.offsets.orphaned(cx.image), &mut fx);
            match &mut group.kind {
                Kind::Classic(classic) => classic.start(cx, &mut fx),
                Kind::Consumer(consumer) => consumer.start(cx),
            }
            outcomes.push((id.clone(), fx));
        }
        // Under another policy some were left consumer groups.
        for (id, fx) in &mut outcomes {
            self.downgrade(cx, id, fx);
        }
        self.noted(outcomes)
    }

    /// Somebody asks. Only [`Request::List`] is about no group.
    pub fn ask(&mut self, cx: &Cx<'_>, ask: AskId, request: Request) -> Outcomes {
        let mut fx = Effects::default();
        let id = match request {
            Request::Join(join) => {
                self.join(cx, ask, &join, &mut fx);
                join.group
            }
            Request::Sync(sync) => self.sync(cx, ask, sync, &mut fx),
            Request::Heartbeat(heartbeat) => self.heartbeat(cx, ask, heartbeat, &mut fx),
            Request::Leave(leave) => self.leave(cx, ask, leave, &mut fx),
            Request::ConsumerHeartbeat(heartbeat) => {
                self.consumer_heartbeat(cx, ask, heartbeat, &mut fx)
            }
            Request::CommitOffsets(commit) => {
                let id = commit.group.clone();
                let answer = self.commit(cx, commit, &mut fx);
                fx.answer(ask, Response::CommitOffsets(answer));
                id
            }
            Request::FetchOffsets(fetch) => {
                fx.answer(ask, Response::FetchOffsets(self.fetch(&fetch)));
                fetch.group
            }
            Request::DeleteOffsets(delete) => {
                let answer = self.delete_offsets(&delete, &mut fx);
                fx.answer(ask, Response::DeleteOffsets(answer));
                delete.group
            }
            Request::DeleteGroup(id) => {
                let answer = self.delete(&id, &mut fx);
                fx.answer(ask, Response::DeleteGroup(answer));
                id
            }
            Request::Describe(id) => {
                let described = match self.all.get(&id).map(|group| &group.kind) {
                    Some(Kind::Classic(classic)) => Ok(classic.describe()),
                    Some(Kind::Consumer(_)) | None => Err(GroupError::GroupIdNotFound),
                };
                fx.answer(ask, Response::Describe(described));
                id
            }
            Request::DescribeConsumer(id) => {
                let described = match self.all.get(&id).map(|group| &group.kind) {
                    Some(Kind::Consumer(consumer)) => Ok(consumer.describe(cx.settings)),
                    Some(Kind::Classic(_)) | None => Err(GroupError::GroupIdNotFound),
                };
                fx.answer(ask, Response::DescribeConsumer(described));
                id
            }
            Request::List(filter) => {
                fx.answer(ask, Response::List(Ok(self.list(&filter))));
                GroupId::from("")
            }
        };
        self.noted(vec![(id, fx)])
    }

    /// What is due in one group; `None`: in none.
    pub fn tick(&mut self, cx: &Cx<'_>) -> Option<(GroupId, Effects)> {
        let id = self.deadlines.pop_due(cx.now)?;
        let mut fx = Effects::default();
        match self.all.get_mut(&id).map(|group| &mut group.kind) {
            Some(Kind::Classic(classic)) => classic.tick(cx, &mut fx),
            Some(Kind::Consumer(consumer)) => consumer.tick(cx, &mut fx),
            None => {}
        }
        self.downgrade(cx, &id, &mut fx);
        self.noted(vec![(id, fx)]).pop()
    }

    /// When [`Groups::tick`] or [`Groups::sweep`] has something to do.
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        let both = [self.deadlines.next(), self.sweep.next];
        both.into_iter().flatten().min()
    }

    /// The cluster's metadata have changed; these topics are no more.
    pub fn metadata_changed(&mut self, deleted: &[Arc<str>]) -> Outcomes {
        let mut outcomes = Outcomes::new();
        for (id, group) in &mut self.all {
            if let Kind::Consumer(consumer) = &mut group.kind {
                consumer.metadata_changed();
            }
            let mut fx = Effects::default();
            for topic in deleted {
                forget(id, group.offsets.of_topic(topic), &mut fx);
            }
            // Of many groups few are concerned.
            if !fx.records.is_empty() {
                outcomes.push((id.clone(), fx));
            }
        }
        self.noted(outcomes)
    }

    /// A record about offsets that was written is committed.
    pub fn committed(&mut self, group: &GroupId, of: &TopicPartition, value: Option<OffsetValue>) {
        if let Some(found) = self.all.get_mut(group) {
            found.offsets.committed(of, value);
            self.looked_at(group);
        }
    }

    /// Whether offsets of the group are on their way.
    pub fn is_committing(&self, group: &GroupId) -> bool {
        self.all
            .get(group)
            .is_some_and(|group| group.offsets.is_on_the_way())
    }

    /// Takes note of what was written about offsets (it counts once it is committed), and of when each group is due next.
    fn noted(&mut self, outcomes: Outcomes) -> Outcomes {
        for record in outcomes.iter().flat_map(|(_, fx)| &fx.records) {
            if let (Fact::Offset(of, value), Some(group)) =
                (&record.fact, self.all.get_mut(&record.group))
            {
                group.offsets.wrote(of);
                if is_planted("an-offset-counts-once-it-is-committed") {
                    group.offsets.set(of, value.clone());
                }
            }
        }
        for (id, _) in &outcomes {
            self.looked_at(id);
        }
        outcomes
    }

    /// Sets the group's next moment; or forgets it, if it is nothing.
    fn looked_at(&mut self, id: &GroupId) {
        let Some(group) = self.all.get(id) else {
            return self.deadlines.cancel(id);
        };
        if group.is_nothing() {
            self.all.remove(id);
            self.deadlines.cancel(id);
        } else {
            let next = group.kind.next_deadline();
            self.deadlines.put(id.clone(), next);
        }
    }

    fn join(&mut self, cx: &Cx<'_>, ask: AskId, join: &Join, fx: &mut Effects) {
        let id = &join.group;
        let bounds = cx.settings.session_timeout_min..=cx.settings.session_timeout_max;
        if !bounds.contains(&join.session_timeout) {
            return fx.answer(ask, Response::Join(Err(GroupError::InvalidSessionTimeout)));
        }
        if !self.all.contains_key(id) && !join.member.is_empty() {
            return fx.answer(ask, Response::Join(Err(GroupError::UnknownMemberId)));
        }
        let group = self.all.entry(id.clone()).or_insert_with(|| Group::new(id));
        if let Kind::Consumer(consumer) = &group.kind
            && consumer.is_empty()
        {
            write_all(id, consumer.tombstones(), fx);
            group.kind = Kind::none(id);
        }
        match &mut group.kind {
            Kind::Classic(classic) => classic.join(cx, ask, join, fx),
            Kind::Consumer(consumer) => consumer.join(cx, ask, join, fx),
        }
        // It may have taken the place of the last member of the new protocol.
        self.downgrade(cx, id, fx);
    }

    fn sync(&mut self, cx: &Cx<'_>, ask: AskId, sync: Sync, fx: &mut Effects) -> GroupId {
        match self.all.get_mut(&sync.group).map(|group| &mut group.kind) {
            Some(Kind::Classic(classic)) => classic.sync(cx, ask, &sync, fx),
            Some(Kind::Consumer(consumer)) => consumer.sync(cx, ask, &sync, fx),
            None => fx.answer(ask, Response::Sync(Err(GroupError::UnknownMemberId))),
        }
        sync.group
    }

    fn heartbeat(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        heartbeat: Heartbeat,
        fx: &mut Effects,
    ) -> GroupId {
        let group = self.all.get_mut(&heartbeat.group);
        match group.map(|group| &mut group.kind) {
            Some(Kind::Classic(classic)) => classic.heartbeat(cx, ask, &heartbeat, fx),
            Some(Kind::Consumer(consumer)) => consumer.classic_heartbeat(cx, ask, &heartbeat, fx),
            None => fx.answer(ask, Response::Heartbeat(Err(GroupError::UnknownMemberId))),
        }
        heartbeat.group
    }

    fn leave(&mut self, cx: &Cx<'_>, ask: AskId, leave: Leave, fx: &mut Effects) -> GroupId {
        match self.all.get_mut(&leave.group).map(|group| &mut group.kind) {
            Some(Kind::Classic(classic)) => classic.leave(cx, ask, &leave, fx),
            Some(Kind::Consumer(consumer)) => consumer.classic_leave(cx, ask, &leave, fx),
            None => {
                let unknown = leave.members.iter();
                let unknown = unknown.map(|_| Err(GroupError::UnknownMemberId));
                fx.answer(ask, Response::Leave(Ok(unknown.collect())));
            }
        }
        self.downgrade(cx, &leave.group, fx);
        leave.group
    }

    fn consumer_heartbeat(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        heartbeat: ConsumerHeartbeat,
        fx: &mut Effects,
    ) -> GroupId {
        match self.consumer_for(cx, &heartbeat, fx) {
            Ok(consumer) => consumer.heartbeat(cx, ask, &heartbeat, fx),
            Err(error) => fx.answer(ask, Response::ConsumerHeartbeat(Err(error))),
        }
        self.downgrade(cx, &heartbeat.group, fx);
        heartbeat.group
    }

    /// The consumer group that is asked: made if somebody joins, out of a classic one if that may be.
    fn consumer_for(
        &mut self,
        cx: &Cx<'_>,
        heartbeat: &ConsumerHeartbeat,
        fx: &mut Effects,
    ) -> Result<&mut ConsumerGroup, GroupError> {
        consumer::check(heartbeat, cx.settings)?;
        let id = &heartbeat.group;
        if heartbeat.epoch != 0 && !self.all.contains_key(id) {
            return Err(GroupError::GroupIdNotFound);
        }
        let group = self.all.entry(id.clone()).or_insert_with(|| Group::new(id));
        if let Kind::Classic(classic) = &group.kind {
            if heartbeat.epoch != 0 {
                return Err(GroupError::GroupIdNotFound);
            }
            consumer::check_upgrade(&classic.value(), heartbeat, cx)?;
        }
        let upgraded = match std::mem::replace(&mut group.kind, Kind::none(id)) {
            Kind::Consumer(consumer) => consumer,
            // One whose members have just gone may not have written that: its generation goes on.
            Kind::Classic(classic) if !classic.is_empty() => {
                Box::new(ConsumerGroup::of_classic(cx, id.clone(), *classic, fx))
            }
            empty @ Kind::Classic(_) => {
                write_all(id, empty.tombstones(), fx);
                Box::new(ConsumerGroup::new(id.clone()))
            }
        };
        group.kind = Kind::Consumer(upgraded);
        match &mut group.kind {
            Kind::Consumer(consumer) => Ok(consumer),
            Kind::Classic(_) => Err(GroupError::GroupIdNotFound),
        }
    }

    /// A consumer group whose last member of the new protocol is gone becomes a classic one again.
    fn downgrade(&mut self, cx: &Cx<'_>, id: &GroupId, fx: &mut Effects) {
        let Some(group) = self.all.get_mut(id) else {
            return;
        };
        let is_due = match &group.kind {
            Kind::Consumer(consumer) => consumer.is_to_be_classic(cx.settings),
            Kind::Classic(_) => false,
        };
        if is_due
            && let Kind::Consumer(consumer) = std::mem::replace(&mut group.kind, Kind::none(id))
        {
            group.kind = Kind::Classic(Box::new(consumer.into_classic(cx, fx)));
        }
    }

    fn commit(
        &mut self,
        cx: &Cx<'_>,
        commit: CommitOffsets,
        fx: &mut Effects,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let id = commit.group;
        if !self.all.contains_key(&id) && commit.by.generation >= 0 {
            return Err(if commit.knows_unknown_group {
                GroupError::GroupIdNotFound
            } else {
                GroupError::IllegalGeneration
            });
        }
        let group = self
            .all
            .entry(id.clone())
            .or_insert_with(|| Group::new(&id));
        let may_commit = match &mut group.kind {
            Kind::Classic(classic) => {
                classic.check_commit(cx, &commit.by)?;
                MayCommit::All
            }
            Kind::Consumer(consumer) => {
                consumer.check_commit(&commit.by, commit.knows_unknown_group)?
            }
        };
        let expires_at = commit.retention.map(|wait| cx.wall.saturating_add(wait));
        let noted = commit.offsets.into_iter().map(|new| {
            if is_longer(&new.metadata, cx.settings.offset_metadata_bytes_max) {
                return Err(GroupError::OffsetMetadataTooLarge);
            }
            let topic = cx.image.topics().by_name(&new.of.topic).map(|t| t.id());
            may_commit.check(topic, new.of.partition)?;
            let value = OffsetValue {
                offset: new.offset,
                leader_epoch: new.leader_epoch,
                metadata: new.metadata,
                committed_at: cx.wall,
                expires_at,
                topic,
            };
            fx.write(Record {
                group: id.clone(),
                fact: Fact::Offset(new.of, Some(value)),
            });
            Ok(())
        });
        Ok(noted.collect())
    }

    fn fetch(&self, fetch: &FetchOffsets) -> Result<FetchedOffsets, GroupError> {
        let Some(group) = self.all.get(&fetch.group) else {
            let offsets = Offsets::default().fetch(fetch.of.as_deref());
            return Ok(FetchedOffsets { offsets });
        };
        if let (Some(by), Kind::Consumer(consumer)) = (&fetch.by, &group.kind) {
            consumer.check_fetch(by)?;
        }
        let offsets = group.offsets.fetch(fetch.of.as_deref());
        Ok(FetchedOffsets { offsets })
    }

    fn delete_offsets(
        &mut self,
        delete: &DeleteOffsets,
        fx: &mut Effects,
    ) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let group = self.all.get(&delete.group);
        let group = group.ok_or(GroupError::GroupIdNotFound)?;
        if let Kind::Classic(classic) = &group.kind {
            classic.check_delete_offsets()?;
        }
        let subscribed = group.kind.subscribed();
        let mut forgotten = BTreeSet::new();
        let deleted = delete.of.iter().map(|of| {
            if subscribed.contains(&of.topic) {
                return Err(GroupError::GroupSubscribedToTopic);
            }
            if group.offsets.knows(of) {
                forgotten.insert(of.clone());
            }
            Ok(())
        });
        let deleted = deleted.collect();
        forget(&delete.group, forgotten, fx);
        Ok(deleted)
    }

    fn delete(&mut self, id: &GroupId, fx: &mut Effects) -> Result<(), GroupError> {
        let group = self.all.get_mut(id).ok_or(GroupError::GroupIdNotFound)?;
        group.kind.check_delete()?;
        group.delete(id, fx);
        Ok(())
    }

    fn list(&self, filter: &ListFilter) -> Vec<Listed> {
        let is_in = |set: &BTreeSet<String>, name: &str| {
            set.is_empty() || set.contains(&name.to_ascii_lowercase())
        };
        let all = self.all.values().map(|group| group.kind.listed());
        all.filter(|one| is_in(&filter.states, one.state) && is_in(&filter.types, one.kind))
            .collect()
    }

    /// If it is time, looks through the offsets of some groups, and of the next ones the next time.
    pub fn sweep(&mut self, cx: &Cx<'_>) -> Outcomes {
        if self.sweep.next.is_none_or(|next| next > cx.now) {
            return Outcomes::new();
        }
        let after = self.sweep.after.take();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut outcomes = Outcomes::new();
        let mut last = None;
        for (id, group) in self
            .all
            .range_mut((from, Bound::Unbounded))
            .take(SWEEP_COUNT)
        {
            let mut fx = Effects::default();
            expire(cx, id, group, &mut fx);
            outcomes.push((id.clone(), fx));
            last = Some(id.clone());
        }
        if outcomes.len() < SWEEP_COUNT {
            let interval = cx.settings.offsets_retention_check_interval;
            self.sweep.next = Some(cx.now.saturating_add(interval));
        } else {
            self.sweep.after = last;
        }
        self.noted(outcomes)
    }
}

/// Whether a text is longer than so many of the units that Kafka counts, those of UTF-16.
fn is_longer(text: &str, max: usize) -> bool {
    text.len() > max && text.encode_utf16().count() > max
}

/// Lets offsets go that have aged too long, and the group if it has nothing more.
fn expire(cx: &Cx<'_>, id: &GroupId, group: &mut Group, fx: &mut Effects) {
    let (expiry, retention) = (group.kind.offsets_expire(), cx.settings.offsets_retention);
    let mut expired = group.offsets.expired(cx.wall, expiry, retention);
    if group.kind.has_members() && !expired.is_empty() {
        let renewed = group.kind.subscribed();
        expired.retain(|of| !renewed.contains(&of.topic));
    }
    if !group.kind.has_members() && group.offsets.are_all(&expired) {
        group.delete(id, fx);
    } else {
        forget(id, expired, fx);
    }
}

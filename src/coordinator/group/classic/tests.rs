//! A group with a clock: what its members see, rule by rule, and under any history.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::time::{MonoMillis, WallMillis};

use super::*;
use crate::config::GroupConfig;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::InstanceId;
use crate::coordinator::group::request::{
    AskId, Client, Heartbeat, Identity, Join, Joined, Leave, Leaving, Protocol, Response, Sync,
    Synced,
};
use crate::metadata::MetadataImage;

mod history;
mod join;
mod offsets;
mod over_time;
mod restart;
mod static_members;
mod sync_and_leave;

const SESSION: u64 = 10_000;
const REBALANCE: u64 = 60_000;
const INITIAL_DELAY: u64 = 3_000;
const WALL_BEGIN: i64 = 1_000_000;

/// A group, its clock, and what was asked of it.
struct World {
    group: ClassicGroup,
    now: u64,
    settings: GroupConfig,
    image: MetadataImage,
    asked: u64,
    answers: BTreeMap<AskId, Response>,
    written: Vec<ClassicValue>,
}

impl World {
    fn new() -> Self {
        Self::of(ClassicGroup::new("g".into()))
    }

    fn of(group: ClassicGroup) -> Self {
        Self {
            group,
            now: 0,
            settings: GroupConfig::default(),
            image: MetadataImage::default(),
            asked: 0,
            answers: BTreeMap::new(),
            written: vec![],
        }
    }

    fn with_size_max(size_max: usize) -> Self {
        let mut world = Self::new();
        world.settings.size_max = size_max;
        world
    }

    /// Members that are stable in generation 1; the first leads, and each reads what is called as it is.
    fn stable(members: &[&str]) -> Self {
        Self::stable_of(members.iter().map(|name| join_as(name)).collect())
    }

    fn stable_of(joins: Vec<Join>) -> Self {
        let mut world = Self::new();
        let joined: Vec<_> = joins.into_iter().map(|join| world.join(join)).collect();
        world.after(INITIAL_DELAY * 2);
        let members: Vec<_> = joined.iter().map(|ask| world.joined(*ask).member).collect();
        world.settle(&members);
        assert_eq!(world.state(), "Stable");
        world
    }

    /// Everybody asks for the assignment, the leader last.
    fn settle(&mut self, members: &[MemberId]) {
        let leader = self.group.members.leader_id().unwrap().clone();
        for member in members.iter().filter(|member| **member != leader) {
            self.sync(sync_as(member.as_str(), self.group.generation));
        }
        let mut sync = sync_as(leader.as_str(), self.group.generation);
        sync.assignments = assignments(members);
        self.sync(sync);
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut ClassicGroup, &Cx<'_>, &mut Effects) -> T) -> T {
        let mut fx = Effects::default();
        let cx = Cx {
            now: MonoMillis::from_millis(self.now),
            wall: WallMillis::from_millis(WALL_BEGIN + i64::try_from(self.now).unwrap()),
            image: &self.image,
            settings: &self.settings,
        };
        let outcome = act(&mut self.group, &cx, &mut fx);
        self.take(fx);
        outcome
    }

    fn take(&mut self, fx: Effects) {
        for (ask, response) in fx.answers {
            assert!(ask.0 < self.asked, "nobody asked {ask:?}");
            let before = self.answers.insert(ask, response);
            assert!(before.is_none(), "{ask:?} was answered twice");
        }
        for record in fx.records {
            let Fact::Classic(Some(value)) = record.fact else {
                panic!("{record:?}")
            };
            assert_eq!(record.group, self.group.id);
            self.written.push(value);
        }
    }

    fn next_ask(&mut self) -> AskId {
        self.asked += 1;
        AskId(self.asked - 1)
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is made where it is given"
    )]
    fn join(&mut self, join: Join) -> AskId {
        let ask = self.next_ask();
        self.with(|group, cx, fx| group.join(cx, ask, &join, fx));
        ask
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is made where it is given"
    )]
    fn sync(&mut self, sync: Sync) -> AskId {
        let ask = self.next_ask();
        self.with(|group, cx, fx| group.sync(cx, ask, &sync, fx));
        ask
    }

    fn heartbeat(&mut self, by: Identity) -> Result<(), GroupError> {
        let ask = self.next_ask();
        let group = self.group.id.clone();
        let heartbeat = Heartbeat { group, by };
        self.with(|group, cx, fx| group.heartbeat(cx, ask, &heartbeat, fx));
        let Some(Response::Heartbeat(outcome)) = self.answers.get(&ask) else {
            panic!("no heartbeat waits")
        };
        outcome.clone()
    }

    fn leave(&mut self, members: Vec<Leaving>) -> Vec<Result<(), GroupError>> {
        let ask = self.next_ask();
        let group = self.group.id.clone();
        let leave = Leave { group, members };
        self.with(|group, cx, fx| group.leave(cx, ask, &leave, fx));
        let Some(Response::Leave(Ok(outcomes))) = self.answers.get(&ask) else {
            panic!("no leave waits")
        };
        outcomes.clone()
    }

    fn commit(&mut self, by: &Identity) -> Result<(), GroupError> {
        self.with(|group, cx, _| group.check_commit(cx, by))
    }

    /// Time passes, and what is due is done when it is.
    fn after(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(next) = self.group.next_deadline() {
            if next.as_millis() > end {
                break;
            }
            self.now = self.now.max(next.as_millis());
            self.tick();
        }
        self.now = end;
    }

    fn tick(&mut self) {
        self.with(ClassicGroup::tick);
        let next = self.group.next_deadline();
        assert!(next.is_none_or(|next| next.as_millis() > self.now));
    }

    /// Time passes, and these members show themselves.
    fn after_with(&mut self, millis: u64, alive: &[&str]) {
        let step = SESSION / 2;
        for _ in 0..millis / step {
            self.after(step);
            for member in alive {
                let _ = self.heartbeat(identity(member, self.group.generation));
            }
        }
        self.after(millis % step);
    }

    fn is_waiting(&self, ask: AskId) -> bool {
        !self.answers.contains_key(&ask)
    }

    fn join_outcome(&self, ask: AskId) -> Result<Joined, GroupError> {
        match self.answers.get(&ask) {
            Some(Response::Join(outcome)) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn joined(&self, ask: AskId) -> Joined {
        self.join_outcome(ask).unwrap()
    }

    fn sync_outcome(&self, ask: AskId) -> Result<Synced, GroupError> {
        match self.answers.get(&ask) {
            Some(Response::Sync(outcome)) => outcome.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn assigned(&self, ask: AskId) -> Bytes {
        self.sync_outcome(ask).unwrap().assignment
    }

    fn state(&self) -> &'static str {
        self.group.state.name()
    }

    fn member_ids(&self) -> Vec<String> {
        let members = self.group.members.iter();
        members.map(|it| it.known.member.to_string()).collect()
    }
}

fn protocol(name: &str, metadata: &'static [u8]) -> Protocol {
    Protocol {
        name: name.into(),
        metadata: Bytes::from_static(metadata),
    }
}

/// A dynamic member without an id, of before KIP-394, that gets `name` as its id.
fn join_as(name: &str) -> Join {
    Join {
        group: "g".into(),
        member: "".into(),
        new_member: name.into(),
        must_know_id: false,
        knows_skipped_assignment: true,
        instance: None,
        client: Client {
            id: "client".into(),
            host: "/127.0.0.1".into(),
        },
        session_timeout: Duration::from_millis(SESSION),
        rebalance_timeout: Duration::from_millis(REBALANCE),
        protocol_type: "consumer".into(),
        protocols: vec![protocol("range", b"says"), protocol("sticky", b"says")],
        reason: None,
    }
}

/// A member that has its id.
fn rejoin_as(name: &str) -> Join {
    Join {
        member: name.into(),
        ..join_as("unused")
    }
}

/// A static member without an id, that gets `name` as its id.
fn static_join_as(instance: &str, name: &str) -> Join {
    Join {
        instance: Some(instance.into()),
        ..join_as(name)
    }
}

fn identity(member: &str, generation: i32) -> Identity {
    Identity {
        member: member.into(),
        instance: None,
        generation,
    }
}

fn static_identity(instance: &str, member: &str, generation: i32) -> Identity {
    Identity {
        instance: Some(instance.into()),
        ..identity(member, generation)
    }
}

fn sync_as(member: &str, generation: i32) -> Sync {
    Sync {
        group: "g".into(),
        by: identity(member, generation),
        protocol_type: None,
        protocol: None,
        assignments: vec![],
    }
}

/// Each member is to read what is called as it is.
fn assignments(members: &[MemberId]) -> Vec<(MemberId, Bytes)> {
    let members = members.iter();
    let named = |member: &MemberId| Bytes::copy_from_slice(member.as_str().as_bytes());
    members
        .map(|member| (member.clone(), named(member)))
        .collect()
}

fn leaving(member: &str) -> Leaving {
    Leaving {
        member: member.into(),
        instance: None,
        reason: None,
    }
}

fn static_leaving(instance: &str, member: &str) -> Leaving {
    Leaving {
        instance: Some(instance.into()),
        ..leaving(member)
    }
}

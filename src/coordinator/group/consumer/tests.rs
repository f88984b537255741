//! Consumer groups against their promises.

mod classic;
mod commits;
mod convert;
mod joining;
mod moving;
mod patterns;
mod random;
mod statics;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_storage::time::WallMillis;

use super::*;
use crate::coordinator::group::request::{
    AskId, Client, ConsumerHeard, ConsumerHeartbeat, Heartbeat, Identity, Join, Joined, Leave,
    Leaving, Partitions, Protocol, Response, Sync,
};
use crate::metadata::record::{PartitionState, Record as MetadataRecord};
use crate::metadata::{MetadataImage, PartitionIndex, TopicId};
use crate::wire::messages::data::consumer_protocol_subscription::{
    ConsumerProtocolSubscription, TopicPartition as OwnedPartition,
};
use crate::wire::versioned;

type Heard = Result<ConsumerHeard, GroupError>;

/// A group with its surroundings, and another one that is told only what is written.
struct World {
    image: MetadataImage,
    settings: GroupConfig,
    now: u64,
    group: ConsumerGroup,
    replica: ConsumerGroup,
    log: Vec<Record>,
    topics_made: u8,
}

impl World {
    fn new(topics: &[(&str, i32)]) -> Self {
        let mut world = Self {
            image: MetadataImage::default(),
            settings: GroupConfig::default(),
            now: 1000,
            group: ConsumerGroup::new("g".into()),
            replica: ConsumerGroup::new("g".into()),
            log: Vec::new(),
            topics_made: 0,
        };
        for (name, count) in topics {
            world.create(name, *count);
        }
        world
    }

    fn create(&mut self, name: &str, count: i32) {
        self.topics_made += 1;
        let id = [self.topics_made; 16];
        let name = name.to_owned();
        let topic = MetadataRecord::Topic { id, name };
        self.image.apply_records(&[topic]).unwrap();
        self.add_partitions(id, 0..count);
    }

    fn grow(&mut self, name: &str, count: i32) {
        let topic = self.image.topics().by_name(name).unwrap();
        let (id, from) = (topic.id().to_bytes(), topic.partition_count());
        self.add_partitions(id, i32::try_from(from).unwrap()..count);
    }

    fn add_partitions(&mut self, topic: [u8; 16], indexes: std::ops::Range<i32>) {
        let state = PartitionState {
            replicas: vec![1],
            directories: vec![],
            isr: vec![1],
            elr: vec![],
            last_known_elr: vec![],
            adding: vec![],
            removing: vec![],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            recovering: false,
        };
        let records = indexes.map(|partition| MetadataRecord::Partition {
            topic,
            partition,
            state: state.clone(),
        });
        let records: Vec<_> = records.collect();
        self.image.apply_records(&records).unwrap();
        self.group.metadata_changed();
    }

    fn delete(&mut self, name: &str) {
        let id = self.topic(name).to_bytes();
        let gone = MetadataRecord::TopicRemoval { id };
        self.image.apply_records(&[gone]).unwrap();
        self.group.metadata_changed();
    }

    fn topic(&self, name: &str) -> TopicId {
        self.image.topics().by_name(name).unwrap().id()
    }

    /// Partitions of one topic.
    fn of(&self, topic: &str, indexes: &[i32]) -> Partitions {
        if indexes.is_empty() {
            return Partitions::new();
        }
        let indexes = indexes.iter();
        let indexes = indexes.map(|index| PartitionIndex::from_wire(*index).unwrap());
        [(self.topic(topic), indexes.collect())].into()
    }

    /// One event, with what it led to.
    fn event<T>(&mut self, act: impl FnOnce(&mut ConsumerGroup, &Cx<'_>, &mut Effects) -> T) -> T {
        self.event_with_answers(act).0
    }

    fn event_with_answers<T>(
        &mut self,
        act: impl FnOnce(&mut ConsumerGroup, &Cx<'_>, &mut Effects) -> T,
    ) -> (T, Vec<(AskId, Response)>) {
        let mut fx = Effects::default();
        let cx = Cx {
            now: MonoMillis::from_millis(self.now),
            wall: WallMillis::from_millis(1_000_000 + i64::try_from(self.now).unwrap()),
            image: &self.image,
            settings: &self.settings,
        };
        let done = act(&mut self.group, &cx, &mut fx);
        for record in fx.records {
            assert!(record.is_about_members());
            self.replica.replay(record.fact.clone());
            if !matches!(record.fact, Fact::Classic(_)) {
                self.log.push(record);
            }
        }
        assert_eq!(self.replica.facts, self.group.facts, "replayed == live");
        self.check_owners();
        (done, fx.answers)
    }

    fn ask(&mut self, heartbeat: &ConsumerHeartbeat) -> Heard {
        let written = self.log.len();
        let ((), mut answers) =
            self.event_with_answers(|group, cx, fx| match check(heartbeat, cx.settings) {
                Ok(()) => group.heartbeat(cx, AskId(7), heartbeat, fx),
                Err(error) => fx.answer(AskId(7), Response::ConsumerHeartbeat(Err(error))),
            });
        assert_eq!(answers.len(), 1, "one answer for each request");
        match answers.pop() {
            Some((AskId(7), Response::ConsumerHeartbeat(heard))) => {
                if heard.is_err() {
                    assert_eq!(self.log.len(), written, "a refusal writes nothing");
                }
                heard
            }
            other => panic!("{other:?}"),
        }
    }

    fn heard(&mut self, heartbeat: &ConsumerHeartbeat) -> ConsumerHeard {
        self.ask(heartbeat).unwrap()
    }

    fn refused(&mut self, heartbeat: &ConsumerHeartbeat) -> GroupError {
        self.ask(heartbeat).unwrap_err()
    }

    /// A member of the classic protocol joins.
    fn join_classic(&mut self, join: &Join) -> Result<Joined, GroupError> {
        let ((), answers) =
            self.event_with_answers(|group, cx, fx| group.join(cx, AskId(7), join, fx));
        match answers.as_slice() {
            [(AskId(7), Response::Join(joined))] => joined.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// It asks for its assignment.
    fn sync_classic(&mut self, by: &Identity) -> Result<Partitions, GroupError> {
        let sync = Sync {
            group: "g".into(),
            by: by.clone(),
            protocol_type: Some("consumer".into()),
            protocol: Some("cooperative-sticky".into()),
            assignments: Vec::new(),
        };
        let ((), answers) =
            self.event_with_answers(|group, cx, fx| group.sync(cx, AskId(7), &sync, fx));
        match answers.as_slice() {
            [(AskId(7), Response::Sync(Ok(synced)))] => {
                let assigned = embedded::assigned(&synced.assignment, &self.image);
                Ok(assigned.unwrap().partitions)
            }
            [(AskId(7), Response::Sync(Err(error)))] => Err(error.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// It shows that it is there.
    fn beat_classic(&mut self, by: &Identity) -> Result<(), GroupError> {
        let heartbeat = Heartbeat {
            group: "g".into(),
            by: by.clone(),
        };
        let ((), answers) = self.event_with_answers(|group, cx, fx| {
            group.classic_heartbeat(cx, AskId(7), &heartbeat, fx);
        });
        match answers.as_slice() {
            [(AskId(7), Response::Heartbeat(heard))] => heard.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Members leave.
    fn leave_classic(&mut self, members: Vec<Leaving>) -> Vec<Result<(), GroupError>> {
        let leave = Leave {
            group: "g".into(),
            members,
        };
        let ((), answers) =
            self.event_with_answers(|group, cx, fx| group.classic_leave(cx, AskId(7), &leave, fx));
        match answers.as_slice() {
            [(AskId(7), Response::Leave(Ok(answers)))] => answers.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// What a member of the classic protocol says that it wants and has.
    fn classic_join(&self, member: &str, topics: &[&str], owned: &Partitions) -> Join {
        Join {
            group: "g".into(),
            member: member.into(),
            new_member: "new".into(),
            must_know_id: true,
            knows_skipped_assignment: true,
            instance: None,
            client: beat("", 0).client,
            session_timeout: Duration::from_secs(30),
            rebalance_timeout: Duration::from_mins(1),
            protocol_type: "consumer".into(),
            protocols: vec![Protocol {
                name: "cooperative-sticky".into(),
                metadata: self.subscription(topics, owned),
            }],
            reason: None,
        }
    }

    fn subscription(&self, topics: &[&str], owned: &Partitions) -> Bytes {
        // Of a topic that is gone nothing is owned any more.
        let owned = owned.iter().filter_map(|(topic, indexes)| {
            Some(OwnedPartition {
                topic: self.image.topics().by_id(*topic)?.name().to_string().into(),
                partitions: indexes.iter().map(|index| index.get()).collect(),
            })
        });
        let subscription = ConsumerProtocolSubscription {
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            owned_partitions: owned.collect(),
            ..ConsumerProtocolSubscription::default()
        };
        versioned::encode(&subscription, 3).unwrap()
    }

    /// Time passes, and what is due happens.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + seconds * 1000;
        while let Some(at) = self
            .group
            .next_deadline()
            .filter(|at| at.as_millis() <= end)
        {
            self.now = self.now.max(at.as_millis());
            self.event(ConsumerGroup::tick);
        }
        self.now = end;
    }

    /// The coordinator moves: all that is left is the log, as compaction left it.
    fn move_coordinator(&mut self) {
        let mut group = ConsumerGroup::new("g".into());
        for record in compacted(&self.log) {
            group.replay(record.fact);
        }
        assert_eq!(group.facts, self.group.facts, "loaded == live");
        self.group = group;
        self.event(|group, cx, _| group.start(cx));
    }

    /// C1 as the coordinator sees it.
    fn check_owners(&self) {
        let mut seen = BTreeSet::new();
        for id in self.group.facts.members().keys() {
            let current = self.group.facts.current(id);
            for (topic, indexes) in current.assigned.iter().chain(&current.revoking) {
                for index in indexes {
                    assert!(seen.insert((*topic, *index)), "C1: {topic} {index} twice");
                    assert_eq!(self.group.facts.owner(*topic, *index), Some(id));
                }
            }
        }
    }

    fn state(&self) -> &'static str {
        self.group.describe(&self.settings).state
    }

    fn current(&self, member: &str) -> super::super::record::ConsumerCurrentValue {
        self.group.facts.current(&member.into()).clone()
    }

    fn target(&self, member: &str) -> Partitions {
        let target = self.group.facts.target(&member.into());
        target.cloned().unwrap_or_default()
    }
}

/// The last record of each key, in order, without tombstones.
fn compacted(log: &[Record]) -> Vec<Record> {
    let mut last = BTreeMap::new();
    for (position, record) in log.iter().enumerate() {
        last.insert(key(&record.fact), position);
    }
    let kept: BTreeSet<usize> = last.into_values().collect();
    let kept = kept.into_iter().map(|position| log[position].clone());
    kept.filter(|record| !is_tombstone(&record.fact)).collect()
}

fn key(fact: &Fact) -> (u8, String) {
    match fact {
        Fact::ConsumerEpoch(_) => (0, String::new()),
        Fact::ConsumerMember(id, _) => (1, id.to_string()),
        Fact::ConsumerRegex(pattern, _) => (2, pattern.to_string()),
        Fact::ConsumerTargetEpoch(_) => (3, String::new()),
        Fact::ConsumerTarget(id, _) => (4, id.to_string()),
        Fact::ConsumerCurrent(id, _) => (5, id.to_string()),
        other => panic!("not of a consumer group: {other:?}"),
    }
}

fn is_tombstone(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::ConsumerEpoch(None)
            | Fact::ConsumerMember(_, None)
            | Fact::ConsumerRegex(_, None)
            | Fact::ConsumerTargetEpoch(None)
            | Fact::ConsumerTarget(_, None)
            | Fact::ConsumerCurrent(_, None)
    )
}

/// A member of the classic protocol, or anybody, by its name.
fn by(member: &str, generation: i32) -> Identity {
    Identity {
        member: member.into(),
        instance: None,
        generation,
    }
}

/// A heartbeat that says nothing new.
fn beat(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: "g".into(),
        member: member.into(),
        epoch,
        instance: None,
        rack: None,
        rebalance_timeout: None,
        topics: None,
        topics_regex: None,
        assignor: None,
        owned: None,
        client: Client {
            id: "client".into(),
            host: "/127.0.0.1".into(),
        },
    }
}

/// A heartbeat that joins.
fn join(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout: Some(Duration::from_mins(5)),
        topics: Some(topics.iter().map(|name| (*name).into()).collect()),
        owned: Some(Partitions::new()),
        ..beat(member, JOIN)
    }
}

/// A heartbeat that says what the member has.
fn owning(member: &str, epoch: i32, owned: &Partitions) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        owned: Some(owned.clone()),
        ..beat(member, epoch)
    }
}

/// The same of a static member.
fn of_instance(instance: &str, heartbeat: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        instance: Some(instance.into()),
        ..heartbeat
    }
}

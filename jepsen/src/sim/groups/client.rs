//! A client: what it thinks that it is, and what it asks next.
//!
//! - It has one question at a time. An answer that it does not wait for any more does not reach it.
//! - Before it joins as an eager member, and whenever it is told that it is none, it has given up what it read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla::coordinator::group::names::{GroupId, InstanceId, MemberId};
use ottla::coordinator::group::request::{
    AskId, Client as Asker, CommitOffsets, ConsumerHeartbeat, FetchOffsets, Heartbeat, Identity,
    Join, JoinedMember, Leave, Leaving, NewOffset, Partitions, Protocol, Request, Sync,
    TopicPartition,
};
use ottla::metadata::MetadataImage;

use super::assignment::{self, Owned};
use super::topics::{NAMES, Topics};
use crate::rng::Rng;

/// Where a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is to join.
    Joining,
    /// It has joined a classic generation; for its leader, with everybody in it.
    Syncing(Vec<JoinedMember>),
    /// It reads.
    In,
}

/// A client of a group.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what it speaks, how it speaks, and whether it is there are facts of their own"
)]
pub(super) struct Client {
    number: usize,
    pub(super) group: GroupId,
    pub(super) instance: Option<InstanceId>,
    pub(super) is_cooperative: bool,
    /// Whether it speaks the protocol of KIP-848.
    pub(super) speaks_new: bool,
    pub(super) is_up: bool,
    pub(super) silent_until: u64,
    pub(super) member: MemberId,
    /// Its generation or member epoch; -1: none.
    pub(super) epoch: i32,
    pub(super) phase: Phase,
    topics: BTreeSet<Arc<str>>,
    pattern: Option<Arc<str>>,
    session: Duration,
    /// What it reads.
    pub(super) owned: Owned,
    /// That part of it that a consumer group has told it to.
    pub(super) certified: Owned,
    /// What it was told last.
    pub(super) told: Owned,
    /// The consumer group's coordinator told it so, and no zombie.
    pub(super) is_told_for_certain: bool,
    /// Its last answer may have been lost.
    pub(super) must_tell_all: bool,
    pub(super) waiting: Option<AskId>,
    last: Option<Request>,
    /// Who it was before.
    pub(super) former: Option<Identity>,
    names: u64,
}

fn partitions(owned: &Owned) -> Partitions {
    let mut partitions = Partitions::new();
    for (topic, index) in owned {
        partitions.entry(*topic).or_default().insert(*index);
    }
    partitions
}

impl Client {
    pub(super) fn new(
        number: usize,
        group: GroupId,
        instance: Option<InstanceId>,
        is_cooperative: bool,
    ) -> Self {
        Self {
            number,
            group,
            instance,
            is_cooperative,
            speaks_new: false,
            is_up: false,
            silent_until: 0,
            member: MemberId::from(""),
            epoch: -1,
            phase: Phase::Joining,
            topics: BTreeSet::new(),
            pattern: None,
            session: Duration::from_secs(6),
            owned: Owned::new(),
            certified: Owned::new(),
            told: Owned::new(),
            is_told_for_certain: false,
            must_tell_all: true,
            waiting: None,
            last: None,
            former: None,
            names: 0,
        }
    }

    pub(super) fn start(&mut self, rng: &mut Rng) {
        self.is_up = true;
        self.phase = Phase::Joining;
        self.session = Duration::from_secs(6 + rng.below(5));
        self.choose_topics(rng);
        self.member = if self.speaks_new {
            self.new_name()
        } else {
            MemberId::from("")
        };
    }

    fn choose_topics(&mut self, rng: &mut Rng) {
        let chosen = NAMES.iter().filter(|_| rng.chance(70));
        self.topics = chosen.map(|name| Arc::from(*name)).collect();
        self.topics.insert(Arc::from("b"));
        self.pattern = match rng.below(100) {
            0..=14 => Some(Arc::from("[ab]")),
            // None that is valid.
            15..=17 => Some(Arc::from("[")),
            _ => None,
        };
        self.must_tell_all = true;
    }

    fn new_name(&mut self) -> MemberId {
        self.names += 1;
        MemberId::from(format!("c{}-{}", self.number, self.names))
    }

    /// The process is no more.
    pub(super) fn crash(&mut self) {
        self.lose();
        self.former = Some(self.identity());
        self.is_up = false;
        self.waiting = None;
        self.last = None;
        self.phase = Phase::Joining;
        self.epoch = -1;
        self.silent_until = 0;
    }

    /// It reads nothing any more.
    pub(super) fn lose(&mut self) {
        self.owned.clear();
        self.certified.clear();
        self.told.clear();
        self.must_tell_all = true;
    }

    /// It is nobody, and joins anew.
    pub(super) fn join_anew(&mut self) {
        self.lose();
        self.former = Some(self.identity());
        self.phase = Phase::Joining;
        self.epoch = -1;
        if !self.speaks_new {
            self.member = MemberId::from("");
        }
    }

    pub(super) fn forget_pattern(&mut self) {
        self.pattern = None;
        self.must_tell_all = true;
    }

    /// It reads what it was told and nothing else.
    pub(super) fn revoke(&mut self) {
        let told = &self.told;
        self.owned.retain(|one| told.contains(one));
        self.certified.retain(|one| told.contains(one));
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            member: self.member.clone(),
            instance: self.instance.clone(),
            generation: self.epoch,
        }
    }

    /// What it asks next; nothing while it waits, is away or rests.
    pub(super) fn next(&mut self, rng: &mut Rng, topics: &Topics, operation: &mut u64) -> Request {
        let request = match self.phase.clone() {
            Phase::Joining if self.speaks_new => self.heartbeat(0, rng),
            Phase::Joining => self.join(topics),
            Phase::Syncing(members) => self.sync(&members, &topics.image, rng),
            Phase::In => self.work(rng, topics, operation),
        };
        self.last = Some(request.clone());
        request
    }

    fn work(&mut self, rng: &mut Rng, topics: &Topics, operation: &mut u64) -> Request {
        let is_behind = !self.owned.is_subset(&self.told);
        if is_behind && rng.chance(60) {
            self.revoke();
            if !self.speaks_new {
                self.phase = Phase::Joining;
                return self.join(topics);
            }
        }
        match rng.below(100) {
            0..=64 if self.speaks_new => self.heartbeat(self.epoch, rng),
            0..=59 => Request::Heartbeat(Heartbeat {
                group: self.group.clone(),
                by: self.identity(),
            }),
            60..=64 => {
                self.choose_topics(rng);
                self.phase = Phase::Joining;
                self.join(topics)
            }
            65..=69 if self.speaks_new => {
                self.choose_topics(rng);
                self.heartbeat(self.epoch, rng)
            }
            70..=89 => {
                *operation += 1;
                let of = commit_of(rng, &self.owned, &topics.image);
                commit(&self.group, self.identity(), of, *operation, None)
            }
            _ => Request::FetchOffsets(FetchOffsets {
                group: self.group.clone(),
                by: self.speaks_new.then(|| self.identity()),
                of: None,
                require_stable: rng.chance(50),
            }),
        }
    }

    fn asker(&self) -> Asker {
        Asker {
            id: format!("client-{}", self.number).into(),
            host: "/127.0.0.1".into(),
        }
    }

    fn join(&mut self, topics: &Topics) -> Request {
        if !self.is_cooperative {
            self.lose();
        }
        let claims = topics.named(&self.owned);
        let metadata =
            assignment::subscription(&self.topics, &claims, self.epoch, self.is_cooperative);
        let names: &[&str] = if self.is_cooperative {
            &["cooperative-sticky"]
        } else {
            &["range", "roundrobin"]
        };
        let protocols = names.iter().map(|name| Protocol {
            name: Arc::from(*name),
            metadata: metadata.clone(),
        });
        Request::Join(Join {
            group: self.group.clone(),
            member: self.member.clone(),
            new_member: self.new_name(),
            must_know_id: self.instance.is_none(),
            knows_skipped_assignment: !self.names.is_multiple_of(3),
            instance: self.instance.clone(),
            client: self.asker(),
            session_timeout: self.session,
            rebalance_timeout: self.session,
            protocol_type: "consumer".into(),
            protocols: protocols.collect(),
            reason: None,
        })
    }

    fn sync(&self, members: &[JoinedMember], image: &MetadataImage, rng: &mut Rng) -> Request {
        let assignments = if members.is_empty() {
            Vec::new()
        } else {
            assignment::assign(members, image, self.is_cooperative, rng)
        };
        Request::Sync(Sync {
            group: self.group.clone(),
            by: self.identity(),
            protocol_type: None,
            protocol: None,
            assignments,
        })
    }

    fn heartbeat(&mut self, epoch: i32, rng: &mut Rng) -> Request {
        let is_joining = epoch == 0;
        if is_joining {
            self.lose();
        }
        let tells_all = is_joining || self.must_tell_all;
        let tells_owned = tells_all || rng.chance(60);
        self.must_tell_all = false;
        // An empty pattern takes an earlier one back.
        let pattern = self.pattern.clone().unwrap_or_else(|| Arc::from(""));
        Request::ConsumerHeartbeat(ConsumerHeartbeat {
            group: self.group.clone(),
            member: self.member.clone(),
            epoch,
            instance: self.instance.clone(),
            rack: None,
            rebalance_timeout: tells_all.then_some(self.session),
            topics: tells_all.then(|| self.topics.clone()),
            topics_regex: tells_all.then_some(pattern),
            assignor: is_joining
                .then(|| Arc::from(if rng.chance(50) { "uniform" } else { "range" })),
            owned: tells_owned.then(|| partitions(&self.owned)),
            client: self.asker(),
        })
    }

    /// It says goodbye, and is down; static members of the new protocol come back, most of them.
    pub(super) fn leave(&mut self, rng: &mut Rng) -> Option<Request> {
        let by = self.identity();
        let is_member = by.generation >= 0;
        let request = if self.speaks_new {
            let mut request = self.heartbeat(-1, rng);
            if let Request::ConsumerHeartbeat(heartbeat) = &mut request
                && heartbeat.instance.is_some()
                && rng.chance(80)
            {
                heartbeat.epoch = -2;
            }
            request
        } else {
            Request::Leave(Leave {
                group: self.group.clone(),
                members: vec![Leaving {
                    member: by.member,
                    instance: by.instance,
                    reason: None,
                }],
            })
        };
        self.crash();
        is_member.then_some(request)
    }

    /// Its question once more; a commit has its number once.
    pub(super) fn again(&mut self) -> Option<Request> {
        let mut request = self.last.clone()?;
        match &mut request {
            Request::CommitOffsets(_) => return None,
            // The node has a new name for whoever comes without one.
            Request::Join(join) => join.new_member = self.new_name(),
            _ => {}
        }
        Some(request)
    }

    /// What it would ask if it were still who it was.
    pub(super) fn late(
        &self,
        rng: &mut Rng,
        image: &MetadataImage,
        operation: &mut u64,
    ) -> Option<Request> {
        let by = self.former.clone().filter(|by| !by.member.is_empty())?;
        let by = Identity {
            generation: by.generation.max(1),
            ..by
        };
        Some(if rng.chance(50) {
            *operation += 1;
            let of = commit_of(rng, &Owned::new(), image);
            commit(&self.group, by, of, *operation, None)
        } else {
            Request::Heartbeat(Heartbeat {
                group: self.group.clone(),
                by,
            })
        })
    }
}

/// A partition to commit for: one of these, mostly.
pub(super) fn commit_of(rng: &mut Rng, owned: &Owned, image: &MetadataImage) -> TopicPartition {
    let named: Vec<_> = assignment::named(owned, image).into_iter().collect();
    let own = named.get(rng.index(named.len())).cloned();
    let any = || {
        let topic = NAMES
            .get(rng.index(NAMES.len()))
            .copied()
            .unwrap_or_default();
        let partition = i32::try_from(rng.below(3)).unwrap_or_default();
        (Arc::from(topic), partition)
    };
    let (topic, partition) = own.unwrap_or_else(any);
    TopicPartition { topic, partition }
}

/// A commit; its number is its offset.
pub(super) fn commit(
    group: &GroupId,
    by: Identity,
    of: TopicPartition,
    number: u64,
    retention: Option<Duration>,
) -> Request {
    Request::CommitOffsets(CommitOffsets {
        group: group.clone(),
        by,
        knows_unknown_group: true,
        retention,
        offsets: vec![NewOffset {
            of,
            offset: i64::try_from(number).unwrap_or_default(),
            leader_epoch: -1,
            metadata: "".into(),
        }],
    })
}

//! The facts that a coordinator writes: what a group's memory is made of again after a move.
//!
//! `None` as a value is a tombstone: the fact is no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::time::WallMillis;

use super::names::{GroupId, InstanceId, MemberId};
use super::request::{Client, FIELD_BYTES, Partitions, Protocol, RECORD_BYTES, TopicPartition};
use crate::metadata::TopicId;

/// One fact; its group is the first part of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which group.
    pub group: GroupId,
    /// What about it.
    pub fact: Fact,
}

/// A fact about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// How far it has come in a partition.
    Offset(TopicPartition, Option<OffsetValue>),
    /// The generation of a classic group.
    Classic(Option<ClassicValue>),
    /// The epoch of a consumer group.
    ConsumerEpoch(Option<ConsumerEpochValue>),
    /// What a member of a consumer group wants.
    ConsumerMember(MemberId, Option<ConsumerMemberValue>),
    /// Which topics a pattern means.
    ConsumerRegex(Arc<str>, Option<ConsumerRegexValue>),
    /// For which epoch the target assignment was computed.
    ConsumerTargetEpoch(Option<ConsumerTargetEpochValue>),
    /// What a member of a consumer group is to have.
    ConsumerTarget(MemberId, Option<Partitions>),
    /// What a member of a consumer group has.
    ConsumerCurrent(MemberId, Option<ConsumerCurrentValue>),
}

impl Record {
    /// Whether it is about who is in the group and what they read, not how far they have come.
    pub fn is_about_members(&self) -> bool {
        !matches!(self.fact, Fact::Offset(..))
    }

    /// What it takes in the log, about, and not less than half of it.
    pub fn bytes(&self) -> usize {
        RECORD_BYTES + self.group.as_str().len() + self.fact.bytes()
    }
}

/// How far a group has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the last record that was read; -1 if not known.
    pub leader_epoch: i32,
    /// Whatever the client wants to find again.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub committed_at: WallMillis,
    /// When it expires, if the client said so.
    pub expires_at: Option<WallMillis>,
    /// Of which topic of that name; `None` if it is not known.
    pub topic: Option<TopicId>,
}

/// A generation of a classic group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicValue {
    /// `consumer`, ...; empty for none.
    pub protocol_type: Arc<str>,
    /// Which.
    pub generation: i32,
    /// The chosen protocol, if the group has members.
    pub protocol: Option<Arc<str>>,
    /// Who assigns.
    pub leader: Option<MemberId>,
    /// Since when it is in its state; `None` if it is not known.
    pub state_since: Option<WallMillis>,
    /// Who is in it.
    pub members: Vec<ClassicMemberValue>,
}

/// A member of a classic generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberValue {
    /// Who.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Who asks for it.
    pub client: Client,
    /// How long it may take to join again.
    pub rebalance_timeout: Duration,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// What it says of itself in the chosen protocol.
    pub subscription: Bytes,
    /// What it reads.
    pub assignment: Bytes,
}

impl ClassicMemberValue {
    fn bytes(&self) -> usize {
        let names = self.member.as_str().len() + self.client.bytes();
        let instance = self.instance.as_ref().map_or(0, |it| it.as_str().len());
        FIELD_BYTES + names + instance + self.subscription.len() + self.assignment.len()
    }
}

/// The epoch of a consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerEpochValue {
    /// The group's epoch.
    pub epoch: i32,
    /// A hash of the metadata of the topics that it reads (KIP-1101); 0 if it is not known.
    pub metadata_hash: i64,
}

/// What a member of a consumer group wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberValue {
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// Who asks for it.
    pub client: Client,
    /// What it reads, by name.
    pub topics: BTreeSet<Arc<str>>,
    /// What it reads, by pattern.
    pub topics_regex: Option<Arc<str>>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout: Duration,
    /// By which assignor, if it says so.
    pub assignor: Option<Arc<str>>,
    /// If it speaks the classic protocol: how long it may be silent, and its protocols.
    pub classic: Option<ConsumerClassicValue>,
}

impl ConsumerMemberValue {
    fn bytes(&self) -> usize {
        let instance = self.instance.as_ref().map_or(0, |it| it.as_str().len());
        let texts = [&self.rack, &self.topics_regex, &self.assignor];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let topics = self.topics.iter().map(|topic| FIELD_BYTES + topic.len());
        let protocols = self.classic.iter().flat_map(|classic| &classic.protocols);
        let all = texts.chain(topics).chain(protocols.map(Protocol::bytes));
        self.client.bytes() + instance + all.sum::<usize>()
    }
}

/// What a member of a consumer group says in the classic protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerClassicValue {
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
}

/// Which topics a pattern means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRegexValue {
    /// By name.
    pub topics: BTreeSet<Arc<str>>,
    /// The version of the metadata that it was resolved with.
    pub version: i64,
    /// When that was.
    pub at: WallMillis,
}

/// For which epoch the target assignment was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerTargetEpochValue {
    /// The group's epoch.
    pub epoch: i32,
    /// When.
    pub at: Option<WallMillis>,
}

/// What a member of a consumer group has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCurrentValue {
    /// Its epoch.
    pub epoch: i32,
    /// The one before.
    pub previous_epoch: i32,
    /// Kafka's number of the member's state.
    pub state: i8,
    /// What it has.
    pub assigned: Partitions,
    /// What it is to give up.
    pub revoking: Partitions,
    /// Since which epoch it has each partition, also those that it is to give up, where the log tells (KIP-1251); empty
    /// if it does not.
    pub assigned_since: BTreeMap<TopicId, BTreeMap<crate::metadata::PartitionIndex, i32>>,
}

impl ConsumerCurrentValue {
    /// Without what is known of partitions that it has no more.
    #[must_use]
    pub fn forgetting_what_is_gone(mut self) -> Self {
        let (assigned, revoking) = (&self.assigned, &self.revoking);
        self.assigned_since.retain(|topic, since| {
            since.retain(|index, _| {
                let mut held = [assigned, revoking]
                    .into_iter()
                    .filter_map(|it| it.get(topic));
                held.any(|indexes| indexes.contains(index))
            });
            !since.is_empty()
        });
        self
    }
}

impl Fact {
    fn bytes(&self) -> usize {
        let partitions = |all: &Partitions| {
            let topics = all.values();
            topics.map(|of| FIELD_BYTES + 12 * of.len()).sum::<usize>()
        };
        match self {
            Self::Offset(of, value) => {
                of.topic.len() + value.as_ref().map_or(0, |value| value.metadata.len())
            }
            Self::Classic(value) => {
                let members = value.iter().flat_map(|value| &value.members);
                members.map(ClassicMemberValue::bytes).sum()
            }
            Self::ConsumerEpoch(_) | Self::ConsumerTargetEpoch(_) => 0,
            Self::ConsumerMember(id, value) => {
                let value = value.as_ref().map_or(0, ConsumerMemberValue::bytes);
                id.as_str().len() + value
            }
            Self::ConsumerRegex(pattern, value) => {
                let topics = value.iter().flat_map(|value| &value.topics);
                let topics = topics.map(|topic| FIELD_BYTES + topic.len());
                pattern.len() + topics.sum::<usize>()
            }
            Self::ConsumerTarget(id, value) => {
                id.as_str().len() + value.as_ref().map_or(0, partitions)
            }
            Self::ConsumerCurrent(id, value) => {
                let value = value.iter();
                let value = value.map(|it| partitions(&it.assigned) + partitions(&it.revoking));
                id.as_str().len() + value.sum::<usize>()
            }
        }
    }

    /// Whether it says something, and does not take something back.
    pub fn is_set(&self) -> bool {
        match self {
            Self::Offset(_, value) => value.is_some(),
            Self::Classic(value) => value.is_some(),
            Self::ConsumerEpoch(value) => value.is_some(),
            Self::ConsumerMember(_, value) => value.is_some(),
            Self::ConsumerRegex(_, value) => value.is_some(),
            Self::ConsumerTargetEpoch(value) => value.is_some(),
            Self::ConsumerTarget(_, value) => value.is_some(),
            Self::ConsumerCurrent(_, value) => value.is_some(),
        }
    }
}

//! Records of a coordinator as they stand in its log, byte for byte as Kafka's.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::time::WallMillis;
use uuid::Uuid;

use super::group::names::{GroupId, InstanceId, MemberId};
use super::group::record::{
    ClassicMemberValue, ClassicValue, ConsumerClassicValue, ConsumerCurrentValue,
    ConsumerEpochValue, ConsumerMemberValue, ConsumerRegexValue, ConsumerTargetEpochValue, Fact,
    OffsetValue, Record,
};
use super::group::request::{Client, Partitions, Protocol, TopicPartition};
use crate::metadata::{PartitionIndex, TopicId};
use crate::wire::consumer_offsets::{Key, encode_value};
use crate::wire::messages::data::consumer_group_current_member_assignment::{
    self as current, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
};
use crate::wire::messages::data::consumer_group_member_metadata::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
};
use crate::wire::messages::data::consumer_group_metadata::{
    ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
};
use crate::wire::messages::data::consumer_group_regular_expression::{
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
};
use crate::wire::messages::data::consumer_group_target_assignment_member::{
    self as target, ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
};
use crate::wire::messages::data::consumer_group_target_assignment_metadata::{
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue,
};
use crate::wire::messages::data::group_metadata::{
    GroupMetadataKey, GroupMetadataValue, MemberMetadata,
};
use crate::wire::messages::data::legacy_offset_commit::LegacyOffsetCommitValue;
use crate::wire::messages::data::offset_commit::{OffsetCommitKey, OffsetCommitValue};
use crate::wire::reader::DecodeError;
use crate::wire::versioned::{self, Versioned, VersionedError};
use crate::wire::writer::EncodeError;

/// Why a record of the log is none of ours.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Its key does not decode.
    #[error("its key: {0}")]
    Key(#[from] DecodeError),
    /// Its value does not decode.
    #[error("its value: {0}")]
    Value(#[from] VersionedError),
}

/// Key and value; a tombstone has no value.
pub(super) fn encode(record: &Record) -> Result<(Bytes, Option<Bytes>), EncodeError> {
    let group = record.group.as_str();
    let key = key_of(group, &record.fact).encode()?;
    let value = match &record.fact {
        Fact::Offset(_, value) => value.as_ref().map(encode_offset),
        Fact::Classic(value) => value.as_ref().map(encode_classic),
        Fact::ConsumerEpoch(value) => value.map(|value| {
            encode_value(&ConsumerGroupMetadataValue {
                epoch: value.epoch,
                metadata_hash: value.metadata_hash,
            })
        }),
        Fact::ConsumerMember(_, value) => value.as_ref().map(encode_member),
        Fact::ConsumerRegex(_, value) => value.as_ref().map(|value| {
            encode_value(&ConsumerGroupRegularExpressionValue {
                topics: borrowed(&value.topics),
                version: value.version,
                timestamp: value.at.as_millis(),
            })
        }),
        Fact::ConsumerTargetEpoch(value) => value.map(|value| {
            encode_value(&ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: value.epoch,
                assignment_timestamp: value.at.map_or(0, WallMillis::as_millis),
            })
        }),
        Fact::ConsumerTarget(_, value) => value.as_ref().map(|value| {
            let topic =
                |(id, partitions): (&TopicId, &BTreeSet<PartitionIndex>)| target::TopicPartition {
                    topic_id: id.uuid(),
                    partitions: numbers(partitions),
                };
            encode_value(&ConsumerGroupTargetAssignmentMemberValue {
                topic_partitions: value.iter().map(topic).collect(),
            })
        }),
        Fact::ConsumerCurrent(_, value) => value.as_ref().map(encode_current),
    };
    Ok((key, value.transpose()?))
}

fn key_of<'a>(group: &'a str, fact: &'a Fact) -> Key<'a> {
    let group_id = Cow::Borrowed(group);
    match fact {
        Fact::Offset(of, _) => Key::from(OffsetCommitKey {
            group: group_id,
            topic: Cow::Borrowed(&of.topic),
            partition: of.partition,
        }),
        Fact::Classic(_) => Key::from(GroupMetadataKey { group: group_id }),
        Fact::ConsumerEpoch(_) => Key::from(ConsumerGroupMetadataKey { group_id }),
        Fact::ConsumerMember(member, _) => Key::from(ConsumerGroupMemberMetadataKey {
            group_id,
            member_id: Cow::Borrowed(member.as_str()),
        }),
        Fact::ConsumerRegex(regex, _) => Key::from(ConsumerGroupRegularExpressionKey {
            group_id,
            regular_expression: Cow::Borrowed(regex),
        }),
        Fact::ConsumerTargetEpoch(_) => {
            Key::from(ConsumerGroupTargetAssignmentMetadataKey { group_id })
        }
        Fact::ConsumerTarget(member, _) => Key::from(ConsumerGroupTargetAssignmentMemberKey {
            group_id,
            member_id: Cow::Borrowed(member.as_str()),
        }),
        Fact::ConsumerCurrent(member, _) => Key::from(ConsumerGroupCurrentMemberAssignmentKey {
            group_id,
            member_id: Cow::Borrowed(member.as_str()),
        }),
    }
}

fn encode_offset(value: &OffsetValue) -> Result<Bytes, EncodeError> {
    encode_value(&OffsetCommitValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: Cow::Borrowed(&value.metadata),
        commit_timestamp: value.committed_at.as_millis(),
        expire_timestamp: value.expires_at.map_or(-1, WallMillis::as_millis),
        topic_id: value.topic.map_or(Uuid::nil(), TopicId::uuid),
    })
}

fn encode_classic(value: &ClassicValue) -> Result<Bytes, EncodeError> {
    let member = |member: &ClassicMemberValue| MemberMetadata {
        member_id: Cow::Owned(member.member.as_str().to_owned()),
        group_instance_id: member.instance.as_ref().map(|id| owned(id.as_str())),
        client_id: owned(&member.client.id),
        client_host: owned(&member.client.host),
        rebalance_timeout: millis(member.rebalance_timeout),
        session_timeout: millis(member.session_timeout),
        subscription: Cow::Owned(member.subscription.to_vec()),
        assignment: Cow::Owned(member.assignment.to_vec()),
    };
    encode_value(&GroupMetadataValue {
        protocol_type: Cow::Borrowed(&value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_deref().map(Cow::Borrowed),
        leader: value.leader.as_ref().map(|id| Cow::Borrowed(id.as_str())),
        current_state_timestamp: value.state_since.map_or(-1, WallMillis::as_millis),
        members: value.members.iter().map(member).collect(),
    })
}

fn encode_member(value: &ConsumerMemberValue) -> Result<Bytes, EncodeError> {
    let classic = value.classic.as_ref().map(|classic| ClassicMemberMetadata {
        session_timeout_ms: millis(classic.session_timeout),
        supported_protocols: classic
            .protocols
            .iter()
            .map(|protocol| ClassicProtocol {
                name: owned(&protocol.name),
                metadata: Cow::Owned(protocol.metadata.to_vec()),
            })
            .collect(),
    });
    encode_value(&ConsumerGroupMemberMetadataValue {
        instance_id: value.instance.as_ref().map(|id| Cow::Borrowed(id.as_str())),
        rack_id: value.rack.as_deref().map(Cow::Borrowed),
        client_id: Cow::Borrowed(&value.client.id),
        client_host: Cow::Borrowed(&value.client.host),
        subscribed_topic_names: borrowed(&value.topics),
        subscribed_topic_regex: value.topics_regex.as_deref().map(Cow::Borrowed),
        rebalance_timeout_ms: millis(value.rebalance_timeout),
        server_assignor: value.assignor.as_deref().map(Cow::Borrowed),
        classic_member_metadata: classic,
    })
}

fn encode_current(value: &ConsumerCurrentValue) -> Result<Bytes, EncodeError> {
    let topic = |(id, partitions): (&TopicId, &BTreeSet<PartitionIndex>)| {
        let since = value.assigned_since.get(id);
        current::TopicPartitions {
            topic_id: id.uuid(),
            partitions: numbers(partitions),
            assignment_epochs: since.and_then(|since| {
                let epochs = partitions.iter().map(|p| since.get(p).copied());
                epochs.collect()
            }),
        }
    };
    encode_value(&ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: value.epoch,
        previous_member_epoch: value.previous_epoch,
        state: value.state,
        assigned_partitions: value.assigned.iter().map(topic).collect(),
        partitions_pending_revocation: value.revoking.iter().map(topic).collect(),
    })
}

/// Reads a record; `None` if it is of a kind that says nothing here: a newer node may have written it.
pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, CodecError> {
    let (group, fact) = match Key::decode(key)? {
        Key::OffsetCommit(key) => {
            let value = read(value, offset)?;
            (
                key.group,
                Fact::Offset(partition(&key.topic, key.partition), value),
            )
        }
        Key::LegacyOffsetCommit(key) => {
            let value = read(value, legacy_offset)?;
            (
                key.group,
                Fact::Offset(partition(&key.topic, key.partition), value),
            )
        }
        Key::GroupMetadata(key) => (key.group, Fact::Classic(read(value, classic)?)),
        Key::ConsumerGroupMetadata(key) => {
            let epoch = |value: &ConsumerGroupMetadataValue| ConsumerEpochValue {
                epoch: value.epoch,
                metadata_hash: value.metadata_hash,
            };
            (key.group_id, Fact::ConsumerEpoch(read(value, epoch)?))
        }
        Key::ConsumerGroupMemberMetadata(key) => {
            let member = MemberId::from(&*key.member_id);
            (
                key.group_id,
                Fact::ConsumerMember(member, read(value, consumer_member)?),
            )
        }
        Key::ConsumerGroupRegularExpression(key) => {
            let regex = Arc::from(&*key.regular_expression);
            (
                key.group_id,
                Fact::ConsumerRegex(regex, read(value, resolved)?),
            )
        }
        Key::ConsumerGroupTargetAssignmentMetadata(key) => {
            let epoch = |value: &ConsumerGroupTargetAssignmentMetadataValue| {
                let at = Some(value.assignment_timestamp).filter(|at| *at > 0);
                ConsumerTargetEpochValue {
                    epoch: value.assignment_epoch,
                    at: at.map(WallMillis::from_millis),
                }
            };
            (key.group_id, Fact::ConsumerTargetEpoch(read(value, epoch)?))
        }
        Key::ConsumerGroupTargetAssignmentMember(key) => {
            let all = |value: &ConsumerGroupTargetAssignmentMemberValue| {
                let topics = value.topic_partitions.iter();
                partitions(topics.map(|topic| (topic.topic_id, topic.partitions.as_slice())))
            };
            let member = MemberId::from(&*key.member_id);
            (
                key.group_id,
                Fact::ConsumerTarget(member, read(value, all)?),
            )
        }
        Key::ConsumerGroupCurrentMemberAssignment(key) => {
            let member = MemberId::from(&*key.member_id);
            (
                key.group_id,
                Fact::ConsumerCurrent(member, read(value, consumer_current)?),
            )
        }
        // What topics were like is in the metadata.
        Key::ConsumerGroupPartitionMetadata(_) | Key::Unknown(_) => return Ok(None),
    };
    Ok(Some(Record {
        group: GroupId::from(&*group),
        fact,
    }))
}

fn read<'a, V: Versioned<'a>, T>(
    value: Option<&'a [u8]>,
    into: impl FnOnce(&V) -> T,
) -> Result<Option<T>, VersionedError> {
    let value = value.map(versioned::decode::<V>).transpose()?;
    Ok(value.as_ref().map(into))
}

fn offset(value: &OffsetCommitValue<'_>) -> OffsetValue {
    OffsetValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: Arc::from(&*value.metadata),
        committed_at: WallMillis::from_millis(value.commit_timestamp),
        expires_at: wall(value.expire_timestamp),
        topic: Some(value.topic_id)
            .filter(|id| !id.is_nil())
            .map(TopicId::new),
    }
}

fn legacy_offset(value: &LegacyOffsetCommitValue<'_>) -> OffsetValue {
    OffsetValue {
        offset: value.offset,
        leader_epoch: -1,
        metadata: Arc::from(&*value.metadata),
        committed_at: WallMillis::from_millis(value.commit_timestamp),
        expires_at: None,
        topic: None,
    }
}

fn classic(value: &GroupMetadataValue<'_>) -> ClassicValue {
    let member = |member: &MemberMetadata<'_>| {
        let session_timeout = duration(member.session_timeout).unwrap_or_default();
        ClassicMemberValue {
            member: MemberId::from(&*member.member_id),
            instance: member.group_instance_id.as_deref().map(InstanceId::from),
            client: client(&member.client_id, &member.client_host),
            rebalance_timeout: duration(member.rebalance_timeout).unwrap_or(session_timeout),
            session_timeout,
            subscription: Bytes::copy_from_slice(&member.subscription),
            assignment: Bytes::copy_from_slice(&member.assignment),
        }
    };
    ClassicValue {
        protocol_type: Arc::from(&*value.protocol_type),
        generation: value.generation,
        protocol: value.protocol.as_deref().map(Arc::from),
        leader: value.leader.as_deref().map(MemberId::from),
        state_since: wall(value.current_state_timestamp),
        members: value.members.iter().map(member).collect(),
    }
}

fn consumer_member(value: &ConsumerGroupMemberMetadataValue<'_>) -> ConsumerMemberValue {
    // Where the field is left out it reads as one that says nothing, not as null.
    let classic = value
        .classic_member_metadata
        .as_ref()
        .filter(|classic| !classic.supported_protocols.is_empty());
    let classic = classic.map(|classic| {
        let protocol = |protocol: &ClassicProtocol<'_>| Protocol {
            name: Arc::from(&*protocol.name),
            metadata: Bytes::copy_from_slice(&protocol.metadata),
        };
        let protocols = classic.supported_protocols.iter();
        ConsumerClassicValue {
            session_timeout: duration(classic.session_timeout_ms).unwrap_or_default(),
            protocols: protocols.map(protocol).collect(),
        }
    });
    ConsumerMemberValue {
        instance: value.instance_id.as_deref().map(InstanceId::from),
        rack: value.rack_id.as_deref().map(Arc::from),
        client: client(&value.client_id, &value.client_host),
        topics: arcs(&value.subscribed_topic_names),
        topics_regex: value.subscribed_topic_regex.as_deref().map(Arc::from),
        rebalance_timeout: duration(value.rebalance_timeout_ms).unwrap_or_default(),
        assignor: value.server_assignor.as_deref().map(Arc::from),
        classic,
    }
}

fn resolved(value: &ConsumerGroupRegularExpressionValue<'_>) -> ConsumerRegexValue {
    ConsumerRegexValue {
        topics: arcs(&value.topics),
        version: value.version,
        at: WallMillis::from_millis(value.timestamp),
    }
}

fn consumer_current(value: &ConsumerGroupCurrentMemberAssignmentValue) -> ConsumerCurrentValue {
    let of = |all: &[current::TopicPartitions]| {
        partitions(
            all.iter()
                .map(|one| (one.topic_id, one.partitions.as_slice())),
        )
    };
    let (assigned, revoking) = (
        &value.assigned_partitions,
        &value.partitions_pending_revocation,
    );
    let mut assigned_since: BTreeMap<TopicId, BTreeMap<_, _>> = BTreeMap::new();
    for one in assigned.iter().chain(revoking) {
        let each = one
            .partitions
            .iter()
            .zip(one.assignment_epochs.iter().flatten());
        for (partition, epoch) in each {
            if let Some(index) = PartitionIndex::from_wire(*partition) {
                let topic = assigned_since.entry(TopicId::new(one.topic_id));
                topic.or_default().insert(index, *epoch);
            }
        }
    }
    ConsumerCurrentValue {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: value.state,
        assigned: of(assigned),
        revoking: of(revoking),
        assigned_since,
    }
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.into(),
        partition,
    }
}

fn partitions<'a>(topics: impl Iterator<Item = (Uuid, &'a [i32])>) -> Partitions {
    let index = |raw: &i32| PartitionIndex::from_wire(*raw);
    topics
        .map(|(id, all)| (TopicId::new(id), all.iter().filter_map(index).collect()))
        .collect()
}

fn numbers(partitions: &BTreeSet<PartitionIndex>) -> Vec<i32> {
    partitions.iter().map(|partition| partition.get()).collect()
}

fn client(id: &str, host: &str) -> Client {
    Client {
        id: id.into(),
        host: host.into(),
    }
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

fn borrowed(names: &BTreeSet<Arc<str>>) -> Vec<Cow<'_, str>> {
    names.iter().map(|name| Cow::Borrowed(&**name)).collect()
}

fn arcs(names: &[Cow<'_, str>]) -> BTreeSet<Arc<str>> {
    names.iter().map(|name| Arc::from(&**name)).collect()
}

fn wall(millis: i64) -> Option<WallMillis> {
    (millis >= 0).then(|| WallMillis::from_millis(millis))
}

fn duration(millis: i32) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

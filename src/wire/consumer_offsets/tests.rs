//! The bytes of docs/formats/consumer-offsets.md; tests/interop compares random ones with Kafka's own classes.

use std::fmt::Debug;

use super::*;
use crate::wire::{
    Uuid,
    messages::data::{
        consumer_group_current_member_assignment as current,
        consumer_group_partition_metadata as partition_metadata,
        consumer_group_target_assignment_member as target, group_metadata::MemberMetadata,
    },
    versioned::{VersionedError, decode},
};

const TOPIC_ID: Uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
const TOPIC_ID_HEX: &str = "00112233445566778899aabbccddeeff";

fn bytes(hex: &str) -> &'static [u8] {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|digit| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap())
        .collect();
    let bytes = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]);
    Box::leak(bytes.collect())
}

/// The key and the value are these bytes, and the bytes are these.
fn golden<V>(key: impl Into<Key<'static>>, key_hex: &str, value: &V, value_hex: &str)
where
    V: Value<'static> + PartialEq + Debug,
{
    let (key, key_bytes) = (key.into(), bytes(key_hex));
    assert_eq!(key.encode().unwrap(), key_bytes);
    assert_eq!(Key::decode(key_bytes).as_ref(), Ok(&key));
    let value_bytes = bytes(value_hex);
    assert_eq!(encode_value(value).unwrap(), value_bytes, "{key:?}");
    assert_eq!(decode::<V>(value_bytes).as_ref(), Ok(value));
}

fn committed() -> (OffsetCommitKey<'static>, OffsetCommitValue<'static>) {
    let key = OffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
    };
    let value = OffsetCommitValue {
        offset: 42,
        leader_epoch: 5,
        metadata: "m".into(),
        commit_timestamp: 1000,
        topic_id: TOPIC_ID,
        ..OffsetCommitValue::default()
    };
    (key, value)
}

const COMMITTED_KEY: &str = "0001 0001 67 0001 74 00000003";

#[test]
fn a_committed_offset_has_its_topic_id_in_a_tag() {
    let (key, value) = committed();
    let body = "0004 000000000000002a 00000005 02 6d 00000000000003e8";
    let tag = format!("{body} 01 00 10 {TOPIC_ID_HEX}");
    golden(key.clone(), COMMITTED_KEY, &value, &tag);
    let topic_id = Uuid::nil();
    golden(
        key,
        COMMITTED_KEY,
        &OffsetCommitValue { topic_id, ..value },
        &format!("{body} 00"),
    );
}

/// A client that asks for a retention time of its own (`OffsetCommit` 2-4).
#[test]
fn an_offset_that_expires_on_its_own_is_of_version_1() {
    let (key, value) = committed();
    let value = OffsetCommitValue {
        leader_epoch: -1,
        topic_id: Uuid::nil(),
        expire_timestamp: 2000,
        ..value
    };
    let hex = "0001 000000000000002a 0001 6d 00000000000003e8 00000000000007d0";
    golden(key, COMMITTED_KEY, &value, hex);
}

/// The oldest form, which nobody writes any more.
#[test]
fn a_legacy_offset_is_read() {
    let key = LegacyOffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 3,
    };
    let value = LegacyOffsetCommitValue {
        offset: 42,
        metadata: "m".into(),
        commit_timestamp: 1000,
    };
    let key_hex = "0000 0001 67 0001 74 00000003";
    let value_hex = "0000 000000000000002a 0001 6d 00000000000003e8";
    golden(key, key_hex, &value, value_hex);
}

#[test]
fn a_classic_group_is_of_version_3() {
    let key = GroupMetadataKey { group: "g".into() };
    let member = MemberMetadata {
        member_id: "a".into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/h".into(),
        rebalance_timeout: 300_000,
        session_timeout: 45_000,
        subscription: bytes("aa").into(),
        assignment: bytes("bbbb").into(),
    };
    let value = GroupMetadataValue {
        protocol_type: "consumer".into(),
        generation: 2,
        protocol: Some("range".into()),
        leader: Some("a".into()),
        current_state_timestamp: 1000,
        members: vec![member],
    };
    let value_hex = "0003 0008 636f6e73756d6572 00000002 0005 72616e6765 0001 61 00000000000003e8 \
        00000001 0001 61 ffff 0001 63 0002 2f68 000493e0 0000afc8 00000001 aa 00000002 bbbb";
    golden(key, "0002 0001 67", &value, value_hex);
}

#[test]
fn a_consumer_group_is_an_epoch_and_what_it_was_reached_on() {
    let key = ConsumerGroupMetadataKey {
        group_id: "g".into(),
    };
    let value = ConsumerGroupMetadataValue {
        epoch: 7,
        metadata_hash: 9,
    };
    let hex = "0000 00000007 01 00 08 0000000000000009";
    golden(key, "0003 0001 67", &value, hex);

    let key = ConsumerGroupPartitionMetadataKey {
        group_id: "g".into(),
    };
    let racks = partition_metadata::PartitionMetadata {
        partition: 0,
        racks: vec!["r".into()],
    };
    let topic = partition_metadata::TopicMetadata {
        topic_id: TOPIC_ID,
        topic_name: "t".into(),
        num_partitions: 1,
        partition_metadata: vec![racks],
    };
    let value = ConsumerGroupPartitionMetadataValue {
        topics: vec![topic],
    };
    let hex = format!("0000 02 {TOPIC_ID_HEX} 02 74 00000001 02 00000000 02 02 72 00 00 00");
    golden(key, "0004 0001 67", &value, &hex);
}

/// No classic metadata is a tag that says null: without the tag there would be empty ones.
#[test]
fn a_member_of_the_consumer_protocol_says_that_it_has_no_classic_metadata() {
    let key = ConsumerGroupMemberMetadataKey {
        group_id: "g".into(),
        member_id: "a".into(),
    };
    let value = ConsumerGroupMemberMetadataValue {
        instance_id: None,
        rack_id: Some("r".into()),
        client_id: "c".into(),
        client_host: "/h".into(),
        subscribed_topic_names: vec!["t".into()],
        subscribed_topic_regex: None,
        rebalance_timeout_ms: 300_000,
        server_assignor: None,
        classic_member_metadata: None,
    };
    let hex = "0000 00 02 72 02 63 03 2f68 02 02 74 00 000493e0 00 01 00 01 00";
    golden(key, "0005 0001 67 0001 61", &value, hex);
}

#[test]
fn assignments_are_by_topic_id() {
    let key = ConsumerGroupTargetAssignmentMetadataKey {
        group_id: "g".into(),
    };
    let value = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: 7,
        assignment_timestamp: 1000,
    };
    let hex = "0000 00000007 01 00 08 00000000000003e8";
    golden(key, "0006 0001 67", &value, hex);

    let key = ConsumerGroupTargetAssignmentMemberKey {
        group_id: "g".into(),
        member_id: "a".into(),
    };
    let partitions = target::TopicPartition {
        topic_id: TOPIC_ID,
        partitions: vec![0, 1],
    };
    let value = ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: vec![partitions],
    };
    let hex = format!("0000 02 {TOPIC_ID_HEX} 03 00000000 00000001 00 00");
    golden(key, "0007 0001 67 0001 61", &value, &hex);

    let key = ConsumerGroupCurrentMemberAssignmentKey {
        group_id: "g".into(),
        member_id: "a".into(),
    };
    let assigned = current::TopicPartitions {
        topic_id: TOPIC_ID,
        partitions: vec![0],
        assignment_epochs: Some(vec![7]),
    };
    let value = ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: 7,
        previous_member_epoch: 6,
        state: 1,
        assigned_partitions: vec![assigned],
        partitions_pending_revocation: Vec::new(),
    };
    let hex = format!(
        "0000 00000007 00000006 01 02 {TOPIC_ID_HEX} 02 00000000 01 00 05 02 00000007 01 00"
    );
    golden(key, "0008 0001 67 0001 61", &value, &hex);
}

#[test]
fn a_regular_expression_is_kept_with_the_topics_that_it_matched() {
    let key = ConsumerGroupRegularExpressionKey {
        group_id: "g".into(),
        regular_expression: "t.*".into(),
    };
    let value = ConsumerGroupRegularExpressionValue {
        topics: vec!["t".into()],
        version: 12,
        timestamp: 1000,
    };
    let hex = "0000 02 02 74 000000000000000c 00000000000003e8 00";
    golden(key, "0010 0001 67 0003 742e2a", &value, hex);
}

#[test]
fn a_key_of_another_type_is_kept_whole() {
    let share_group = bytes("000b 0001 67");
    let key = Key::decode(share_group).unwrap();
    let body = &share_group[2..];
    let record_type = 11;
    assert_eq!(key, Key::Unknown(UnknownKey { record_type, body }));
    assert_eq!(key.record_type(), record_type);
    assert_eq!(key.encode().unwrap(), share_group);
}

#[test]
fn a_value_of_a_newer_version_is_refused_by_name() {
    let refused = decode::<OffsetCommitValue<'_>>(bytes("0005 000000000000002a")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "OffsetCommitValue of version 5, where 0-4 are known"
    );
}

/// W1.
#[test]
fn damaged_records_are_refused() {
    let key = bytes(COMMITTED_KEY);
    for end in 0..key.len() {
        assert!(Key::decode(&key[..end]).is_err(), "{end}");
    }
    let longer = bytes("0001 0001 67 0001 74 00000003 00");
    assert!(Key::decode(longer).is_err());
    let value = bytes("0004 000000000000002a 00000005 02 6d 00000000000003e8 00");
    for end in 0..value.len() {
        let refused = decode::<OffsetCommitValue<'_>>(&value[..end]);
        assert!(
            matches!(refused, Err(VersionedError::Malformed { .. })),
            "{end}"
        );
    }
}

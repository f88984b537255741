//! Our bytes are those of another implementation: the crate kafka-protocol 0.18, generated from
//! Kafka 4.1. The versions that it lacks are compared with Kafka's own classes in tests/interop.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed expectation fails the test"
)]

#[path = "wire/dispatch.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod dispatch;
#[path = "wire/every.rs"]
mod every;
#[path = "wire/random.rs"]
#[allow(dead_code, reason = "shared with tests/wire")]
mod random;
#[path = "wire/schema.rs"]
#[allow(dead_code, reason = "shared with the generator")]
mod schema;

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use dispatch::{Data, Key, Subject, recode};
use every::{Case, cases};
use kafka_protocol::{
    messages,
    protocol::{Decodable, Encodable, Message},
};
use ottla::wire::api::{ApiKey, ControllerApi};
use proptest::{collection::vec, prelude::*};

/// Reads and writes with kafka-protocol, `None` for a version that it does not know.
fn foreign<M: Decodable + Encodable + Message>(version: i16, bytes: &[u8]) -> Option<Vec<u8>> {
    if version < M::VERSIONS.min || version > M::VERSIONS.max {
        return None;
    }
    let mut rest = Bytes::copy_from_slice(bytes);
    let message = M::decode(&mut rest, version).expect("kafka-protocol reads it");
    assert!(rest.is_empty(), "kafka-protocol reads all of it");
    let mut again = BytesMut::new();
    message
        .encode(&mut again, version)
        .expect("kafka-protocol writes it");
    Some(again.to_vec())
}

macro_rules! foreign_recode {
    ($($side:ident $table:ident {
        $($api:ident $request:ident $response:ident,)*
    })*) => {
        fn foreign_recode(case: &Case, bytes: &[u8]) -> Option<Vec<u8>> {
            match case.subject {
                $($(
                    Subject::Request(Key::$side($table::$api)) => {
                        foreign::<messages::$request>(case.version, bytes)
                    }
                    Subject::Response(Key::$side($table::$api)) => {
                        foreign::<messages::$response>(case.version, bytes)
                    }
                )*)*
                Subject::Data(Data::ConsumerProtocolSubscription) => {
                    foreign::<messages::ConsumerProtocolSubscription>(case.version, bytes)
                }
                Subject::Data(Data::ConsumerProtocolAssignment) => {
                    foreign::<messages::ConsumerProtocolAssignment>(case.version, bytes)
                }
                // It has no records of `__consumer_offsets`.
                Subject::Data(_) => None,
            }
        }
    };
}

foreign_recode! {
    Client ApiKey {
        Produce ProduceRequest ProduceResponse,
        Fetch FetchRequest FetchResponse,
        ListOffsets ListOffsetsRequest ListOffsetsResponse,
        Metadata MetadataRequest MetadataResponse,
        ApiVersions ApiVersionsRequest ApiVersionsResponse,
        CreateTopics CreateTopicsRequest CreateTopicsResponse,
        DeleteTopics DeleteTopicsRequest DeleteTopicsResponse,
        DeleteRecords DeleteRecordsRequest DeleteRecordsResponse,
        InitProducerId InitProducerIdRequest InitProducerIdResponse,
        OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
        DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse,
        AlterConfigs AlterConfigsRequest AlterConfigsResponse,
        DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse,
        CreatePartitions CreatePartitionsRequest CreatePartitionsResponse,
        ElectLeaders ElectLeadersRequest ElectLeadersResponse,
        FindCoordinator FindCoordinatorRequest FindCoordinatorResponse,
        IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
        DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse,
        DescribeCluster DescribeClusterRequest DescribeClusterResponse,
        DescribeTopicPartitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
        OffsetCommit OffsetCommitRequest OffsetCommitResponse,
        OffsetFetch OffsetFetchRequest OffsetFetchResponse,
        JoinGroup JoinGroupRequest JoinGroupResponse,
        Heartbeat HeartbeatRequest HeartbeatResponse,
        LeaveGroup LeaveGroupRequest LeaveGroupResponse,
        SyncGroup SyncGroupRequest SyncGroupResponse,
        DescribeGroups DescribeGroupsRequest DescribeGroupsResponse,
        ListGroups ListGroupsRequest ListGroupsResponse,
        DeleteGroups DeleteGroupsRequest DeleteGroupsResponse,
        OffsetDelete OffsetDeleteRequest OffsetDeleteResponse,
        ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
        ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
    }
    Controller ControllerApi {
        AlterPartition AlterPartitionRequest AlterPartitionResponse,
        BrokerRegistration BrokerRegistrationRequest BrokerRegistrationResponse,
        BrokerHeartbeat BrokerHeartbeatRequest BrokerHeartbeatResponse,
        AllocateProducerIds AllocateProducerIdsRequest AllocateProducerIdsResponse,
        AssignReplicasToDirs AssignReplicasToDirsRequest AssignReplicasToDirsResponse,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_write_the_same_bytes(choices in vec(any::<u8>(), 0..600)) {
        for case in cases() {
            let bytes = case.random(&choices);
            if let Some(theirs) = foreign_recode(&case, &bytes) {
                let ours = recode(case.subject, case.version, &bytes);
                prop_assert_eq!(ours, Ok(theirs), "{}", case);
            }
        }
    }
}

#[test]
fn only_what_kafka_4_1_lacks_is_left_out() {
    let unknown = cases().filter(|case| foreign_recode(case, &case.random(&[])).is_none());
    let of_apis = unknown.filter_map(|case| case.subject.api().map(|api| (api, case.version)));
    let unknown: BTreeSet<_> = of_apis.collect();
    let newer = [
        (Key::Client(ApiKey::ListOffsets), 11),
        (Key::Client(ApiKey::OffsetCommit), 10),
        (Key::Client(ApiKey::OffsetFetch), 10),
        (Key::Client(ApiKey::ApiVersions), 5),
        (Key::Client(ApiKey::InitProducerId), 6),
        (Key::Client(ApiKey::DescribeLogDirs), 5),
        (Key::Client(ApiKey::DeleteGroups), 3),
        (Key::Controller(ControllerApi::BrokerHeartbeat), 2),
    ];
    let older = (0..3).map(|version| (Key::Client(ApiKey::Produce), version));
    assert_eq!(unknown, older.chain(newer).collect());
}

//! Every message by API, direction and version, for tests that go through all of them.

use std::fmt;

use ottla::wire::{
    api::{ApiKey, ControllerApi},
    messages,
    reader::{DecodeError, Reader},
    writer::{EncodeError, Writer},
};

/// An API of either table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Client(ApiKey),
    Controller(ControllerApi),
}

impl Key {
    pub(crate) fn from_code(code: i16) -> Option<Self> {
        let of_controller = || ControllerApi::from_code(code).map(Self::Controller);
        ApiKey::from_code(code)
            .map(Self::Client)
            .or_else(of_controller)
    }
}

impl From<ApiKey> for Key {
    fn from(api: ApiKey) -> Self {
        Self::Client(api)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(api) => api.fmt(f),
            Self::Controller(api) => api.fmt(f),
        }
    }
}

/// One of the messages that the schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Request(Key),
    Response(Key),
    Data(Data),
}

impl Subject {
    pub(crate) fn request(api: impl Into<Key>) -> Self {
        Self::Request(api.into())
    }

    pub(crate) fn response(api: impl Into<Key>) -> Self {
        Self::Response(api.into())
    }

    pub(crate) fn api(self) -> Option<Key> {
        match self {
            Self::Request(api) | Self::Response(api) => Some(api),
            Self::Data(_) => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(api) => write!(f, "{api} request"),
            Self::Response(api) => write!(f, "{api} response"),
            Self::Data(data) => write!(f, "{}", data.name()),
        }
    }
}

/// Reads a message and writes it again.
pub(crate) fn recode(subject: Subject, version: i16, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut writer = Writer::new();
    recode_with(subject, version, &mut reader, Some(&mut writer))?;
    reader.finish()?;
    let segments = writer.finish().expect("what was read can be written");
    Ok(segments.into_bytes().expect("in memory").to_vec())
}

/// Reads a message and drops it, with nothing around it that could allocate.
pub(crate) fn decode(subject: Subject, version: i16, bytes: &[u8]) -> Result<(), DecodeError> {
    recode_with(subject, version, &mut Reader::new(bytes), None)
}

/// Writes the message that has its defaults only.
pub(crate) fn defaults(subject: Subject, version: i16) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    write_defaults(subject, version, &mut writer);
    Ok(writer.finish()?.into_bytes().expect("in memory").to_vec())
}

macro_rules! dispatch {
    (
        $($side:ident $table:ident {
            $($api:ident $module:ident $request:ident $response:ident,)*
        })*;
        Data {
            $($data_module:ident $($data:ident)*,)*
        }
    ) => {
        /// What is not asked or answered: it stands in records and in the bytes of other messages.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Data {
            $($($data,)*)*
        }

        impl Data {
            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($(stringify!($data) => Some(Self::$data),)*)*
                    _ => None,
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $($(Self::$data => stringify!($data),)*)*
                }
            }
        }

        fn recode_with(
            subject: Subject,
            version: i16,
            reader: &mut Reader<'_>,
            writer: Option<&mut Writer>,
        ) -> Result<(), DecodeError> {
            match subject {
                $($(
                    Subject::Request(Key::$side($table::$api)) => {
                        let message = messages::$module::$request::decode(reader, version)?;
                        writer.map(|writer| message.encode(writer, version));
                    }
                    Subject::Response(Key::$side($table::$api)) => {
                        let message = messages::$module::$response::decode(reader, version)?;
                        writer.map(|writer| message.encode(writer, version));
                    }
                )*)*
                $($(
                    Subject::Data(Data::$data) => {
                        let message = messages::data::$data_module::$data::decode(reader, version)?;
                        writer.map(|writer| message.encode(writer, version));
                    }
                )*)*
            }
            Ok(())
        }

        fn write_defaults(subject: Subject, version: i16, writer: &mut Writer) {
            match subject {
                $($(
                    Subject::Request(Key::$side($table::$api)) => {
                        messages::$module::$request::default().encode(writer, version);
                    }
                    Subject::Response(Key::$side($table::$api)) => {
                        messages::$module::$response::default().encode(writer, version);
                    }
                )*)*
                $($(
                    Subject::Data(Data::$data) => {
                        messages::data::$data_module::$data::default().encode(writer, version);
                    }
                )*)*
            }
        }
    };
}

dispatch! {
    Client ApiKey {
        Produce produce ProduceRequest ProduceResponse,
        Fetch fetch FetchRequest FetchResponse,
        ListOffsets list_offsets ListOffsetsRequest ListOffsetsResponse,
        Metadata metadata MetadataRequest MetadataResponse,
        ApiVersions api_versions ApiVersionsRequest ApiVersionsResponse,
        CreateTopics create_topics CreateTopicsRequest CreateTopicsResponse,
        DeleteTopics delete_topics DeleteTopicsRequest DeleteTopicsResponse,
        DeleteRecords delete_records DeleteRecordsRequest DeleteRecordsResponse,
        InitProducerId init_producer_id InitProducerIdRequest InitProducerIdResponse,
        OffsetForLeaderEpoch offset_for_leader_epoch
            OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
        DescribeConfigs describe_configs DescribeConfigsRequest DescribeConfigsResponse,
        AlterConfigs alter_configs AlterConfigsRequest AlterConfigsResponse,
        DescribeLogDirs describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse,
        CreatePartitions create_partitions CreatePartitionsRequest CreatePartitionsResponse,
        ElectLeaders elect_leaders ElectLeadersRequest ElectLeadersResponse,
        FindCoordinator find_coordinator FindCoordinatorRequest FindCoordinatorResponse,
        IncrementalAlterConfigs incremental_alter_configs
            IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
        DescribeQuorum describe_quorum DescribeQuorumRequest DescribeQuorumResponse,
        DescribeCluster describe_cluster DescribeClusterRequest DescribeClusterResponse,
        DescribeTopicPartitions describe_topic_partitions
            DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
        OffsetCommit offset_commit OffsetCommitRequest OffsetCommitResponse,
        OffsetFetch offset_fetch OffsetFetchRequest OffsetFetchResponse,
        JoinGroup join_group JoinGroupRequest JoinGroupResponse,
        Heartbeat heartbeat HeartbeatRequest HeartbeatResponse,
        LeaveGroup leave_group LeaveGroupRequest LeaveGroupResponse,
        SyncGroup sync_group SyncGroupRequest SyncGroupResponse,
        DescribeGroups describe_groups DescribeGroupsRequest DescribeGroupsResponse,
        ListGroups list_groups ListGroupsRequest ListGroupsResponse,
        DeleteGroups delete_groups DeleteGroupsRequest DeleteGroupsResponse,
        OffsetDelete offset_delete OffsetDeleteRequest OffsetDeleteResponse,
        ConsumerGroupHeartbeat consumer_group_heartbeat
            ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
        ConsumerGroupDescribe consumer_group_describe
            ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
    }
    Controller ControllerApi {
        AlterPartition alter_partition AlterPartitionRequest AlterPartitionResponse,
        BrokerRegistration broker_registration
            BrokerRegistrationRequest BrokerRegistrationResponse,
        BrokerHeartbeat broker_heartbeat BrokerHeartbeatRequest BrokerHeartbeatResponse,
        AllocateProducerIds allocate_producer_ids
            AllocateProducerIdsRequest AllocateProducerIdsResponse,
        AssignReplicasToDirs assign_replicas_to_dirs
            AssignReplicasToDirsRequest AssignReplicasToDirsResponse,
    };
    Data {
        legacy_offset_commit LegacyOffsetCommitKey LegacyOffsetCommitValue,
        offset_commit OffsetCommitKey OffsetCommitValue,
        group_metadata GroupMetadataKey GroupMetadataValue,
        consumer_group_metadata ConsumerGroupMetadataKey ConsumerGroupMetadataValue,
        consumer_group_partition_metadata
            ConsumerGroupPartitionMetadataKey ConsumerGroupPartitionMetadataValue,
        consumer_group_member_metadata
            ConsumerGroupMemberMetadataKey ConsumerGroupMemberMetadataValue,
        consumer_group_target_assignment_metadata
            ConsumerGroupTargetAssignmentMetadataKey ConsumerGroupTargetAssignmentMetadataValue,
        consumer_group_target_assignment_member
            ConsumerGroupTargetAssignmentMemberKey ConsumerGroupTargetAssignmentMemberValue,
        consumer_group_current_member_assignment
            ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupCurrentMemberAssignmentValue,
        consumer_group_regular_expression
            ConsumerGroupRegularExpressionKey ConsumerGroupRegularExpressionValue,
        consumer_protocol_subscription ConsumerProtocolSubscription,
        consumer_protocol_assignment ConsumerProtocolAssignment,
    }
}

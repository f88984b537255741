//! Every message by API, direction and version, for tests that go through all of them.

use ottla::wire::{
    api::ApiKey,
    messages,
    reader::{DecodeError, Reader},
    writer::{EncodeError, Writer},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Reads a message and writes it again.
pub(crate) fn recode(
    api: ApiKey,
    direction: Direction,
    version: i16,
    bytes: &[u8],
) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut writer = Writer::new();
    recode_with(api, direction, version, &mut reader, Some(&mut writer))?;
    reader.finish()?;
    let segments = writer.finish().expect("what was read can be written");
    Ok(segments.into_bytes().expect("in memory").to_vec())
}

/// Reads a message and drops it, with nothing around it that could allocate.
pub(crate) fn decode(
    api: ApiKey,
    direction: Direction,
    version: i16,
    bytes: &[u8],
) -> Result<(), DecodeError> {
    recode_with(api, direction, version, &mut Reader::new(bytes), None)
}

/// Writes the message that has its defaults only.
pub(crate) fn defaults(
    api: ApiKey,
    direction: Direction,
    version: i16,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    write_defaults(api, direction, version, &mut writer);
    Ok(writer.finish()?.into_bytes().expect("in memory").to_vec())
}

macro_rules! dispatch {
    ($($api:ident $module:ident $request:ident $response:ident,)*) => {
        fn recode_with(
            api: ApiKey,
            direction: Direction,
            version: i16,
            reader: &mut Reader<'_>,
            writer: Option<&mut Writer>,
        ) -> Result<(), DecodeError> {
            match (api, direction) {
                $(
                    (ApiKey::$api, Direction::Request) => {
                        let message = messages::$module::$request::decode(reader, version)?;
                        writer.map(|writer| message.encode(writer, version));
                    }
                    (ApiKey::$api, Direction::Response) => {
                        let message = messages::$module::$response::decode(reader, version)?;
                        writer.map(|writer| message.encode(writer, version));
                    }
                )*
            }
            Ok(())
        }

        fn write_defaults(api: ApiKey, direction: Direction, version: i16, writer: &mut Writer) {
            match (api, direction) {
                $(
                    (ApiKey::$api, Direction::Request) => {
                        messages::$module::$request::default().encode(writer, version);
                    }
                    (ApiKey::$api, Direction::Response) => {
                        messages::$module::$response::default().encode(writer, version);
                    }
                )*
            }
        }
    };
}

dispatch! {
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
    FindCoordinator find_coordinator FindCoordinatorRequest FindCoordinatorResponse,
    IncrementalAlterConfigs incremental_alter_configs
        IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
    DescribeQuorum describe_quorum DescribeQuorumRequest DescribeQuorumResponse,
    DescribeCluster describe_cluster DescribeClusterRequest DescribeClusterResponse,
    DescribeTopicPartitions describe_topic_partitions
        DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
}

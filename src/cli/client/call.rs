//! Requests and the answers that belong to them.
//!
//! An answer owns its bytes; what is decoded borrows from them, so a fetched batch is not copied.

use std::marker::PhantomData;

use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::header::decode_response_header;
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::messages::consumer_group_describe::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
};
use crate::wire::messages::consumer_group_heartbeat::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use crate::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsResponse};
use crate::wire::messages::create_topics::{CreateTopicsRequest, CreateTopicsResponse};
use crate::wire::messages::delete_groups::{DeleteGroupsRequest, DeleteGroupsResponse};
use crate::wire::messages::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use crate::wire::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use crate::wire::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::wire::messages::describe_groups::{DescribeGroupsRequest, DescribeGroupsResponse};
use crate::wire::messages::describe_quorum::{DescribeQuorumRequest, DescribeQuorumResponse};
use crate::wire::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use crate::wire::messages::fetch::{FetchRequest, FetchResponse};
use crate::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::messages::incremental_alter_configs::{
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use crate::wire::messages::list_groups::{ListGroupsRequest, ListGroupsResponse};
use crate::wire::messages::list_offsets::{ListOffsetsRequest, ListOffsetsResponse};
use crate::wire::messages::metadata::{MetadataRequest, MetadataResponse};
use crate::wire::messages::offset_commit::{OffsetCommitRequest, OffsetCommitResponse};
use crate::wire::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};
use crate::wire::messages::offset_fetch::{OffsetFetchRequest, OffsetFetchResponse};
use crate::wire::messages::produce::{ProduceRequest, ProduceResponse};
use crate::wire::reader::{DecodeError, Reader};
use crate::wire::writer::Writer;

use super::address::HostPort;
use super::error::ClientError;

/// A request of the Kafka protocol that this client sends.
pub(crate) trait Call {
    const API: ApiKey;
    type Response<'a>;

    /// The newest version that can say this request.
    fn newest(&self) -> i16 {
        i16::MAX
    }
    fn encode(&self, writer: &mut Writer, version: i16);
    fn decode<'a>(reader: &mut Reader<'a>, version: i16)
    -> Result<Self::Response<'a>, DecodeError>;
}

macro_rules! calls {
    ($($api:ident $request:ty => $response:ty $(, newest $newest:expr)?;)*) => {
        $(impl Call for $request {
            const API: ApiKey = ApiKey::$api;
            type Response<'a> = $response;

            $(fn newest(&self) -> i16 {
                let newest: fn(&Self) -> i16 = $newest;
                newest(self)
            })?

            fn encode(&self, writer: &mut Writer, version: i16) {
                self.encode(writer, version);
            }

            fn decode<'a>(
                reader: &mut Reader<'a>,
                version: i16,
            ) -> Result<Self::Response<'a>, DecodeError> {
                <$response>::decode(reader, version)
            }
        })*
    };
}

calls! {
    ApiVersions ApiVersionsRequest<'_> => ApiVersionsResponse<'a>;
    Metadata MetadataRequest<'_> => MetadataResponse<'a>;
    Produce ProduceRequest<'_> => ProduceResponse<'a>;
    Fetch FetchRequest<'_> => FetchResponse<'a>;
    ListOffsets ListOffsetsRequest<'_> => ListOffsetsResponse<'a>;
    InitProducerId InitProducerIdRequest<'_> => InitProducerIdResponse;
    CreateTopics CreateTopicsRequest<'_> => CreateTopicsResponse<'a>;
    DeleteTopics DeleteTopicsRequest<'_> => DeleteTopicsResponse<'a>;
    CreatePartitions CreatePartitionsRequest<'_> => CreatePartitionsResponse<'a>;
    DescribeConfigs DescribeConfigsRequest<'_> => DescribeConfigsResponse<'a>;
    IncrementalAlterConfigs IncrementalAlterConfigsRequest<'_> => IncrementalAlterConfigsResponse<'a>;
    DescribeQuorum DescribeQuorumRequest<'_> => DescribeQuorumResponse<'a>;
    DescribeTopicPartitions DescribeTopicPartitionsRequest<'_> => DescribeTopicPartitionsResponse<'a>;
    DescribeCluster DescribeClusterRequest => DescribeClusterResponse<'a>;
    FindCoordinator FindCoordinatorRequest<'_> => FindCoordinatorResponse<'a>;
    ListGroups ListGroupsRequest<'_> => ListGroupsResponse<'a>;
    DescribeGroups DescribeGroupsRequest<'_> => DescribeGroupsResponse<'a>;
    DeleteGroups DeleteGroupsRequest<'_> => DeleteGroupsResponse<'a>;
    OffsetCommit OffsetCommitRequest<'_> => OffsetCommitResponse<'a>, newest newest_commit;
    OffsetFetch OffsetFetchRequest<'_> => OffsetFetchResponse<'a>, newest newest_fetch;
    OffsetDelete OffsetDeleteRequest<'_> => OffsetDeleteResponse<'a>;
    ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest<'_> => ConsumerGroupHeartbeatResponse<'a>;
    ConsumerGroupDescribe ConsumerGroupDescribeRequest<'_> => ConsumerGroupDescribeResponse<'a>;
}

/// From version 10 on a commit names topics by id only, which not everybody knows.
fn newest_commit(request: &OffsetCommitRequest<'_>) -> i16 {
    let has_ids = request.topics.iter().all(|topic| !topic.topic_id.is_nil());
    if has_ids { i16::MAX } else { NEWEST_BY_NAME }
}

/// As commits; asked for everything, a version with ids would leave out topics that are gone.
fn newest_fetch(request: &OffsetFetchRequest<'_>) -> i16 {
    let mut groups = request.groups.iter();
    let has_ids = groups.all(|group| {
        let mut topics = group.topics.iter().flatten();
        group.topics.is_some() && topics.all(|topic| !topic.topic_id.is_nil())
    });
    if has_ids { i16::MAX } else { NEWEST_BY_NAME }
}

/// The last version of `OffsetCommit` and of `OffsetFetch` with names of topics.
const NEWEST_BY_NAME: i16 = 9;

/// The bytes of one answer.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    address: HostPort,
    version: i16,
    /// The answer from its header on.
    frame: Vec<u8>,
    /// An earlier try of the request may have been carried out.
    is_repeat: bool,
    request: PhantomData<fn() -> R>,
}

impl<R: Call> Answer<R> {
    pub(super) fn new(address: HostPort, version: i16, frame: Vec<u8>) -> Self {
        Self {
            address,
            version,
            frame,
            is_repeat: false,
            request: PhantomData,
        }
    }

    pub(super) fn repeated(self, is_repeat: bool) -> Self {
        Self { is_repeat, ..self }
    }

    /// Whether an earlier try of the request may have been carried out.
    pub(crate) fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    pub(crate) fn decode(&self) -> Result<R::Response<'_>, ClientError> {
        self.decode_in(self.version)
    }

    pub(super) fn decode_in(&self, version: i16) -> Result<R::Response<'_>, ClientError> {
        let mut reader = Reader::new(&self.frame);
        let decoded = (|| {
            decode_response_header(&mut reader, R::API, version)?;
            let response = R::decode(&mut reader, version)?;
            reader.finish()?;
            Ok(response)
        })();
        decoded.map_err(|cause| ClientError::Decode {
            address: self.address.clone(),
            api: R::API,
            cause,
        })
    }

    /// The answer's own refusal, for APIs with one code for everything.
    pub(crate) fn check(&self, code: ErrorCode) -> Result<(), ClientError> {
        if code.is_error() {
            return Err(ClientError::Refused {
                address: self.address.clone(),
                api: R::API,
                code,
            });
        }
        Ok(())
    }
}

//! From a frame to the handler of its API: a match, no logic.
//!
//! A handler is `async fn handle<'r>(cx: &Context, request: XRequest<'r>) -> XResponse<'r>` in
//! `handler/x.rs`; its version is `cx.version`. It holds back the start of the connection's later
//! requests until it is done. Produce and Fetch decode and answer for themselves, because they wait
//! without holding anything back and touch no more bytes than they must.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;

use super::Broker;
use super::context::{Body, ConnectionContext, Context};
use super::core::Core;
use super::handler;
use super::reply::{CloseReason, Holding, Reply, Response, Service};
use crate::wire::api::ApiKey;
use crate::wire::header::RequestHeader;
use crate::wire::messages;
use crate::wire::private;
use crate::wire::reader::Reader;

/// What answers the requests of one connection.
#[derive(Debug)]
pub struct Dispatcher {
    broker: Arc<Broker>,
    core: Rc<Core>,
    connection: Rc<ConnectionContext>,
    /// The last request's, because the next one's is the same.
    client_id: RefCell<Option<Rc<str>>>,
}

impl Dispatcher {
    /// A dispatcher for a connection that has just been made.
    pub fn new(broker: Arc<Broker>, core: Rc<Core>, connection: ConnectionContext) -> Self {
        Self {
            broker,
            core,
            connection: Rc::new(connection),
            client_id: RefCell::new(None),
        }
    }

    fn context(&self, header: &RequestHeader<'_>, holding: Option<Holding>) -> Context {
        let mut client_id = self.client_id.borrow_mut();
        if client_id.as_deref() != header.client_id {
            *client_id = header.client_id.map(Rc::from);
        }
        Context {
            broker: self.broker.clone(),
            core: self.core.clone(),
            connection: self.connection.clone(),
            api: header.api,
            version: header.version,
            correlation_id: header.correlation_id,
            client_id: client_id.clone(),
            unanswered: None,
            holding,
        }
    }
}

impl Service for Dispatcher {
    fn start(&self, frame: BytesMut) -> Reply {
        self.begin(frame, None)
    }

    fn start_holding(&self, frame: BytesMut, holding: Holding) -> Reply {
        self.begin(frame, Some(holding))
    }
}

impl Dispatcher {
    fn begin(&self, frame: BytesMut, holding: Option<Holding>) -> Reply {
        let mut reader = Reader::new(&frame);
        let header = match RequestHeader::decode(&mut reader) {
            Ok(header) => header,
            Err(error) => return Reply::Close(error.into()),
        };
        let start = reader.position();
        let is_served = header.is_served();
        let cx = self.context(&header, holding);
        cx.broker.metrics.count_request(cx.api);
        let body = Body { frame, start };
        if !is_served {
            handler::unserved(&cx, &body)
        } else if is_for_controller(cx.api) && !cx.connection.is_forwarded {
            Reply::held(by_controller(cx, body))
        } else {
            dispatch(cx, body)
        }
    }
}

/// Whether only the controller can answer.
pub fn is_for_controller(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::ElectLeaders
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::DescribeQuorum
    )
}

/// Passes the request on if the controller is elsewhere; without an answer from there, the handler here says why, and a
/// body that is none closes the connection as it would there.
async fn by_controller(mut cx: Context, body: Body) -> Reply {
    match cx.broker.forwarded(&cx.connection, &body.frame).await {
        Some(Ok(answer)) => return passed_back(&cx, &answer),
        Some(Err(error)) => cx.unanswered = Some(error),
        None => {}
    }
    dispatch(cx, body).settled().await
}

/// The answer of another node, whose header repeats the client's own number.
fn passed_back(cx: &Context, answer: &[u8]) -> Reply {
    match private::encode_answer(cx.correlation_id, private::answer_body(answer)) {
        Ok(segments) => Reply::Ready(Response {
            segments,
            files: Vec::new(),
        }),
        Err(error) => Reply::Close(CloseReason::Answer(error)),
    }
}

/// Decodes the request, lets the handler answer it, and encodes the answer.
///
/// Bytes behind the message are ignored, as Kafka does: librdkafka's Metadata requests have some.
macro_rules! handle {
    ($cx:ident, $body:ident, $module:ident :: $request:ident) => {
        Reply::held(async move {
            let mut reader = $body.reader();
            let request = match messages::$module::$request::decode(&mut reader, $cx.version) {
                Ok(request) => request,
                Err(error) => return $cx.undecodable(error),
            };
            let response = handler::$module::handle(&$cx, request).await;
            $cx.respond(|writer| response.encode(writer, $cx.version))
        })
    };
}

fn dispatch(cx: Context, body: Body) -> Reply {
    match cx.api {
        ApiKey::Produce => handler::produce::start(cx, body),
        ApiKey::Fetch => handler::fetch::start(cx, body),
        ApiKey::ListOffsets => handle!(cx, body, list_offsets::ListOffsetsRequest),
        ApiKey::FindCoordinator => {
            handle!(cx, body, find_coordinator::FindCoordinatorRequest)
        }
        ApiKey::ApiVersions => handle!(cx, body, api_versions::ApiVersionsRequest),
        ApiKey::Metadata => handle!(cx, body, metadata::MetadataRequest),
        ApiKey::CreateTopics => handle!(cx, body, create_topics::CreateTopicsRequest),
        ApiKey::DeleteTopics => handle!(cx, body, delete_topics::DeleteTopicsRequest),
        ApiKey::InitProducerId => handle!(cx, body, init_producer_id::InitProducerIdRequest),
        ApiKey::DescribeConfigs => handle!(cx, body, describe_configs::DescribeConfigsRequest),
        ApiKey::AlterConfigs => handle!(cx, body, alter_configs::AlterConfigsRequest),
        ApiKey::CreatePartitions => {
            handle!(cx, body, create_partitions::CreatePartitionsRequest)
        }
        ApiKey::IncrementalAlterConfigs => {
            handle!(
                cx,
                body,
                incremental_alter_configs::IncrementalAlterConfigsRequest
            )
        }
        ApiKey::ElectLeaders => handle!(cx, body, elect_leaders::ElectLeadersRequest),
        ApiKey::DescribeQuorum => handle!(cx, body, describe_quorum::DescribeQuorumRequest),
        ApiKey::DescribeCluster => handle!(cx, body, describe_cluster::DescribeClusterRequest),
        ApiKey::DescribeTopicPartitions => {
            handle!(
                cx,
                body,
                describe_topic_partitions::DescribeTopicPartitionsRequest
            )
        }
        ApiKey::DeleteRecords => handle!(cx, body, delete_records::DeleteRecordsRequest),
        ApiKey::OffsetForLeaderEpoch => {
            handle!(
                cx,
                body,
                offset_for_leader_epoch::OffsetForLeaderEpochRequest
            )
        }
        ApiKey::OffsetCommit => handle!(cx, body, offset_commit::OffsetCommitRequest),
        ApiKey::OffsetFetch => handle!(cx, body, offset_fetch::OffsetFetchRequest),
        ApiKey::JoinGroup => handle!(cx, body, join_group::JoinGroupRequest),
        ApiKey::Heartbeat => handle!(cx, body, heartbeat::HeartbeatRequest),
        ApiKey::LeaveGroup => handle!(cx, body, leave_group::LeaveGroupRequest),
        ApiKey::SyncGroup => handle!(cx, body, sync_group::SyncGroupRequest),
        ApiKey::DescribeGroups => handle!(cx, body, describe_groups::DescribeGroupsRequest),
        ApiKey::ListGroups => handle!(cx, body, list_groups::ListGroupsRequest),
        ApiKey::DeleteGroups => handle!(cx, body, delete_groups::DeleteGroupsRequest),
        ApiKey::OffsetDelete => handle!(cx, body, offset_delete::OffsetDeleteRequest),
        ApiKey::ConsumerGroupHeartbeat => handle!(
            cx,
            body,
            consumer_group_heartbeat::ConsumerGroupHeartbeatRequest
        ),
        ApiKey::ConsumerGroupDescribe => handle!(
            cx,
            body,
            consumer_group_describe::ConsumerGroupDescribeRequest
        ),
        ApiKey::DescribeLogDirs => handle!(cx, body, describe_log_dirs::DescribeLogDirsRequest),
    }
}

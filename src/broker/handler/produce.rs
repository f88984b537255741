//! Produce: each partition's batch, out of the request's own buffer into that partition's queue.
//!
//! - A batch is never copied: the frame's buffer is cut into one piece per partition, and the leader
//!   stamps offsets and epoch there.
//! - Each partition is decided for itself; the answer leaves when all are, or at the deadline. A batch that is still in
//!   front of a log that is not open is dropped then, so that a client that tries again does not have it twice.
//! - A broker that was stopped for a while appends nothing before it knows that it still leads: see
//!   [`pauses`](crate::broker::pauses).
//! - `acks=0` gets no answer, and a failure of any partition closes the connection: nothing else
//!   would make the client look for the leader again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use ottla_storage::batch::BatchView;
use ottla_storage::log::PrepareError;
use ottla_storage::planted::is_planted;
use ottla_storage::time::{MonoMillis, WallMillis};
use ottla_storage::validate::{RejectedRecord, ValidateError};

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::{Body, Context};
use crate::broker::partitions::{self, Missing, Named};
use crate::broker::reply::{CloseReason, Reply};
use crate::broker::wait::{Outcome, Wait, outcome_or_timeout};
use crate::clock;
use crate::metadata::{MetadataImage, is_internal};
use crate::replica::Replica;
use crate::replica::request::{
    Acks, Batch, Done, Produce, Request, RequestError, Submission, Writer,
};
use crate::replica::view::View;
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceRequest, ProduceResponse, TopicProduceResponse,
};
use crate::wire::reader::DecodeError;
use crate::wire::records::{Records, range_within};

/// A log that is being opened is waited for at least so long, however short the client's time is: that is about
/// acknowledgements, and a batch would be dropped for a log that nobody has needed yet.
const OPENING_WAIT_MIN: Duration = Duration::from_secs(2);
/// Versions in which the client knows zstd, and topics have ids instead of names.
const ZSTD_SINCE: i16 = 7;
const TOPIC_IDS_SINCE: i16 = 13;
/// The client id with which Kafka's admin tools may write them after all.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// What the request asks, without its bytes.
#[derive(Debug)]
struct Plan {
    acks: i16,
    deadline: MonoMillis,
    topics: Vec<Topic>,
    parts: Vec<Part>,
    is_behind: bool,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    id: Uuid,
}

#[derive(Debug)]
struct Part {
    topic: usize,
    partition: i32,
    /// Where its batch lies in the frame; parts ascend.
    range: Range<usize>,
    target: Result<Arc<Replica>, ErrorCode>,
}

impl Plan {
    /// The same, with nothing to append.
    fn refused(mut self, code: ErrorCode) -> Self {
        for part in self.parts.iter_mut().filter(|part| part.target.is_ok()) {
            part.target = Err(code);
        }
        self
    }
}

pub(crate) fn start(cx: Context, body: Body) -> Reply {
    let plan = match plan(&cx, &body) {
        Ok(plan) => plan,
        Err(error) => return cx.undecodable(error),
    };
    let was_in_doubt = !cx.broker.pauses.is_sure(clock::mono());
    if !was_in_doubt && !plan.is_behind {
        return begin(cx, body.frame, plan);
    }
    let deadline = plan.deadline;
    Reply::held(async move {
        let is_sure = cx.broker.pauses.sure(clock::mono, deadline).await;
        if plan.is_behind {
            let version = cx.broker.metadata.load().version();
            partitions::catch_up(&cx.broker, version).await;
        }
        match self::plan(&cx, &body) {
            // What is left of the client's time after a doubt. A log that this broker has only just heard of has its own
            // time to open.
            Ok(plan) if is_sure && was_in_doubt => {
                let deadline = plan.deadline.min(deadline);
                begin(cx, body.frame, Plan { deadline, ..plan })
            }
            Ok(plan) if is_sure => begin(cx, body.frame, plan),
            Ok(plan) => begin(cx, body.frame, plan.refused(ErrorCode::NotLeaderOrFollower)),
            Err(error) => cx.undecodable(error),
        }
    })
}

/// Answers the versions that are advertised for the sake of old clients and not served.
pub(crate) fn unsupported_version(cx: &Context, body: &Body) -> Reply {
    let mut reader = body.reader();
    let request = match ProduceRequest::decode(&mut reader, cx.version) {
        Ok(request) => request,
        Err(error) => return cx.undecodable(error),
    };
    if request.acks == 0 {
        return Reply::Close(CloseReason::UnacknowledgedProduceFailed);
    }
    let refused = |index| refused(index, ErrorCode::UnsupportedVersion);
    let topics = request.topic_data.iter().map(|topic| TopicProduceResponse {
        name: Cow::Borrowed(&topic.name),
        topic_id: topic.topic_id,
        partition_responses: topic
            .partition_data
            .iter()
            .map(|p| refused(p.index))
            .collect(),
    });
    let response = ProduceResponse {
        responses: topics.collect(),
        ..ProduceResponse::default()
    };
    cx.respond(|writer| response.encode(writer, cx.version))
}

fn refused(index: i32, error_code: ErrorCode) -> PartitionProduceResponse<'static> {
    let base_offset = -1;
    PartitionProduceResponse {
        index,
        error_code,
        base_offset,
        ..Default::default()
    }
}

fn plan(cx: &Context, body: &Body) -> Result<Plan, DecodeError> {
    let mut reader = body.reader();
    let request = ProduceRequest::decode(&mut reader, cx.version)?;
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let image = cx.broker.metadata.load();
    let now = clock::mono();
    let mut plan = Plan {
        acks: request.acks,
        deadline: now.saturating_add(timeout),
        topics: Vec::with_capacity(request.topic_data.len()),
        parts: Vec::new(),
        is_behind: false,
    };
    let is_acks_valid = (-1..=1).contains(&request.acks);
    for asked in &request.topic_data {
        let named = if cx.version >= TOPIC_IDS_SINCE {
            Named::Id(asked.topic_id)
        } else {
            Named::Name(&asked.name)
        };
        let found = partitions::find_topic(&image, named);
        let (name, id) = match &found {
            Ok(topic) => (
                topic.name().clone(),
                Uuid::from_bytes(topic.id().to_bytes()),
            ),
            Err(_) => (Arc::from(&*asked.name), asked.topic_id),
        };
        let refusal = if is_acks_valid {
            topic_refusal(cx, &name)
        } else {
            Some(ErrorCode::InvalidRequiredAcks)
        };
        for data in &asked.partition_data {
            let batch = data.records.as_ref().and_then(Records::as_slice);
            let batch = batch.unwrap_or_default();
            let target = match (refusal, &found) {
                (Some(code), _) => Err(code),
                (None, Err(missing)) => Err(missing.error_code()),
                (None, Ok(_)) if is_transactional(batch) => Err(ErrorCode::InvalidTxnState),
                (None, Ok(topic)) => {
                    let leader = partitions::find_leader(&cx.broker, topic, data.index);
                    plan.is_behind |= matches!(leader, Err(Missing::NotApplied));
                    let is_closed =
                        |replica: &Arc<Replica>| matches!(**replica.view(), View::Closed);
                    if leader.as_ref().is_ok_and(is_closed) {
                        let opened_by = now.saturating_add(OPENING_WAIT_MIN);
                        plan.deadline = plan.deadline.max(opened_by);
                    }
                    leader.map_err(|missing| missing.error_code())
                }
            };
            plan.parts.push(Part {
                topic: plan.topics.len(),
                partition: data.index,
                range: range_within(&body.frame, batch).unwrap_or(0..0),
                target,
            });
        }
        plan.topics.push(Topic { name, id });
    }
    plan.is_behind &= !partitions::is_caught_up(&cx.broker, &image);
    Ok(plan)
}

fn topic_refusal(cx: &Context, name: &str) -> Option<ErrorCode> {
    if is_internal(name) && cx.client_id.as_deref() != Some(ADMIN_CLIENT_ID) {
        return Some(ErrorCode::InvalidTopicException);
    }
    let is_allowed = authorize(cx, Operation::Write, Resource::Topic(name));
    (!is_allowed).then_some(ErrorCode::TopicAuthorizationFailed)
}

/// There are no transactions yet, so none that a batch could belong to.
fn is_transactional(batch: &[u8]) -> bool {
    BatchView::parse(batch).is_ok_and(|batch| batch.header().attributes().is_transactional())
}

/// Cuts the frame into its batches and submits each to its partition.
fn begin(cx: Context, frame: BytesMut, plan: Plan) -> Reply {
    let wait = Wait::new(plan.parts.len());
    let mut left = Vec::new();
    let mut rest = frame;
    let mut consumed = 0;
    for (part, asked) in plan.parts.iter().enumerate() {
        // Parts that hold no bytes of the frame have none to cut off.
        let mut bytes = BytesMut::new();
        if asked.range.start >= consumed && !asked.range.is_empty() {
            rest.advance(asked.range.start - consumed);
            bytes = rest.split_to(asked.range.len());
            consumed = asked.range.end;
        }
        let Ok(replica) = &asked.target else { continue };
        let produce = Produce {
            batch: Batch {
                writer: Writer::Client,
                bytes,
                accepts_zstd: cx.version >= ZSTD_SINCE,
                holding: cx.holding.clone(),
            },
            acks: match plan.acks {
                0 => Acks::None,
                1 => Acks::Leader,
                _ => Acks::All,
            },
            deadline: plan.deadline,
            by: wait.ask(part),
        };
        let mut submission = Submission::from(Request::Produce(produce));
        // Without room in the queue the rest waits its turn: batches of one partition keep their order.
        let is_in = left.is_empty()
            && replica
                .poll_submit(&mut submission, Waker::noop())
                .is_ready();
        if !is_in {
            left.push((replica.clone(), submission));
        }
    }
    if left.is_empty() {
        return finish(cx, plan, wait);
    }
    Reply::held(async move {
        submit(left, plan.deadline).await;
        finish(cx, plan, wait)
    })
}

/// Submits the rest as room comes, until `deadline`; what is left then has timed out.
async fn submit(left: Vec<(Arc<Replica>, Submission)>, deadline: MonoMillis) {
    let submit_all = async {
        for (replica, mut submission) in left {
            std::future::poll_fn(|task| replica.poll_submit(&mut submission, task.waker())).await;
        }
    };
    let patience = deadline.since(clock::mono());
    let _ = tokio::time::timeout(patience, submit_all).await;
}

/// Answers if everything is decided, or waits for it without holding up later requests.
fn finish(cx: Context, plan: Plan, wait: Arc<Wait>) -> Reply {
    if wait.is_decided() {
        return answer(&cx, &plan, &wait);
    }
    Reply::waiting(async move {
        let replica = |part: usize| plan.parts.get(part)?.target.as_ref().ok();
        wait.until(&cx, plan.deadline, replica).await;
        answer(&cx, &plan, &wait)
    })
}

fn answer(cx: &Context, plan: &Plan, wait: &Wait) -> Reply {
    let outcomes = wait.take();
    let is_error = |part: &Part, outcome: &Option<Outcome>| {
        part.target.is_err() || !matches!(outcome, Some(Ok(_)))
    };
    if plan.acks == 0 {
        let has_failed = plan
            .parts
            .iter()
            .zip(&outcomes)
            .any(|(p, o)| is_error(p, o));
        return if has_failed && !is_planted("without-acks-a-failure-closes") {
            Reply::Close(CloseReason::UnacknowledgedProduceFailed)
        } else {
            Reply::Silent
        };
    }
    let image = cx.broker.metadata.load();
    let mut responses: Vec<_> = plan.topics.iter().map(topic_response).collect();
    let mut leaders = BTreeMap::new();
    for (part, outcome) in plan.parts.iter().zip(outcomes) {
        let mut response = match (&part.target, outcome) {
            (Err(code), _) => refused(part.partition, *code),
            (Ok(_), outcome) => match outcome_or_timeout(outcome) {
                Ok(done) => accepted(part.partition, &done),
                Err(error) => failed(part.partition, &error),
            },
        };
        if response.error_code == ErrorCode::NotLeaderOrFollower {
            response.current_leader = current_leader(cx, &image, plan, part, &mut leaders);
        }
        if let Some(topic) = responses.get_mut(part.topic) {
            topic.partition_responses.push(response);
        }
    }
    let node_endpoints = leaders.into_values().collect();
    let response = ProduceResponse {
        responses,
        node_endpoints,
        ..ProduceResponse::default()
    };
    cx.respond(|writer| response.encode(writer, cx.version))
}

fn topic_response(topic: &Topic) -> TopicProduceResponse<'_> {
    TopicProduceResponse {
        name: Cow::Borrowed(&topic.name),
        topic_id: topic.id,
        partition_responses: Vec::new(),
    }
}

fn accepted(index: i32, done: &Done) -> PartitionProduceResponse<'static> {
    PartitionProduceResponse {
        index,
        base_offset: done.base_offset.get(),
        log_append_time_ms: done.log_append_time.unwrap_or(WallMillis::NONE).as_millis(),
        log_start_offset: done.log_start.get(),
        ..Default::default()
    }
}

fn failed(index: i32, error: &RequestError) -> PartitionProduceResponse<'static> {
    let record_errors = match error {
        RequestError::Prepare(PrepareError::Invalid(
            ValidateError::InvalidRecords { records }
            | ValidateError::InvalidTimestamps { records },
        )) => records.iter().map(record_error).collect(),
        _ => Vec::new(),
    };
    let error_code = ErrorCode::from(error);
    if error_code == ErrorCode::UnknownServerError {
        tracing::error!(
            error = error as &dyn std::error::Error,
            "produce failed unexpectedly"
        );
    }
    PartitionProduceResponse {
        record_errors,
        error_message: Some(Cow::Owned(error.to_string())),
        ..refused(index, error_code)
    }
}

fn record_error(record: &RejectedRecord) -> BatchIndexAndErrorMessage<'static> {
    BatchIndexAndErrorMessage {
        batch_index: i32::try_from(record.index).unwrap_or(i32::MAX),
        batch_index_error_message: Some(Cow::Owned(record.reason.to_string())),
    }
}

/// Tells the client where to go instead, and remembers how to get there.
fn current_leader(
    cx: &Context,
    image: &MetadataImage,
    plan: &Plan,
    part: &Part,
    leaders: &mut BTreeMap<i32, NodeEndpoint<'static>>,
) -> LeaderIdAndEpoch {
    let topic = plan
        .topics
        .get(part.topic)
        .map(|topic| crate::metadata::TopicId::new(topic.id));
    let hint = topic.and_then(|topic| partitions::leader_hint(image, topic, part.partition));
    let Some((leader, leader_epoch)) = hint else {
        return LeaderIdAndEpoch::default();
    };
    let leader_id = leader.get();
    if let Some((host, port, rack)) = partitions::endpoint(cx, image, leader) {
        let rack = rack.map(Cow::Owned);
        let endpoint = NodeEndpoint {
            node_id: leader_id,
            host: Cow::Owned(host),
            port,
            rack,
        };
        leaders.insert(leader_id, endpoint);
    }
    LeaderIdAndEpoch {
        leader_id,
        leader_epoch,
    }
}

//! `DeleteRecords`: moves the start of partitions up, so that what lies below is gone for readers at
//! once and its files go as soon as they may.

use std::sync::Arc;
use std::time::Duration;

use ottla_storage::Offset;

use crate::broker::apply::topic_config;
use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions::{self, Named};
use crate::broker::wait::{Wait, outcome_or_timeout};
use crate::clock;
use crate::metadata::is_internal;
use crate::replica::Replica;
use crate::replica::request::{DeleteRecords, Request, Submission};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteRecordsTopicResult,
};

/// The offset that means "all that can be read".
const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DeleteRecordsRequest<'r>,
) -> DeleteRecordsResponse<'r> {
    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let deadline = clock::mono().saturating_add(timeout);
    let mut parts = Vec::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            parts.push(find(cx, &topic.name, asked).await);
        }
    }
    let wait = Wait::new(parts.len());
    for (part, found) in parts.iter().enumerate() {
        let Ok((replica, before)) = found else {
            continue;
        };
        let by = wait.ask(part);
        let ask = DeleteRecords {
            before: *before,
            deadline,
            by,
        };
        let mut submission = Submission::from(Request::DeleteRecords(ask));
        std::future::poll_fn(|task| replica.poll_submit(&mut submission, task.waker())).await;
    }
    let replica = |part: usize| parts.get(part)?.as_ref().ok().map(|(replica, _)| replica);
    wait.until(cx, deadline, replica).await;
    let mut outcomes = wait.take().into_iter();
    let mut results = parts
        .iter()
        .map(|found| match (found, outcomes.next().flatten()) {
            (Err(code), _) => Err(*code),
            (Ok(_), outcome) => outcome_or_timeout(outcome)
                .map(|done| done.log_start.get())
                .map_err(|error| ErrorCode::from(&error)),
        });
    let mut result = |partition_index| match results.next() {
        Some(Ok(low_watermark)) => DeleteRecordsPartitionResult {
            partition_index,
            low_watermark,
            error_code: ErrorCode::None,
        },
        Some(Err(error_code)) => DeleteRecordsPartitionResult {
            partition_index,
            low_watermark: -1,
            error_code,
        },
        None => unreachable!("a result per partition asked for"),
    };
    let topics = request
        .topics
        .into_iter()
        .map(|topic| DeleteRecordsTopicResult {
            partitions: topic
                .partitions
                .iter()
                .map(|p| result(p.partition_index))
                .collect(),
            name: topic.name,
        });
    DeleteRecordsResponse {
        topics: topics.collect(),
        ..DeleteRecordsResponse::default()
    }
}

/// The partition's leader and the first offset to keep (`None`: the high watermark).
async fn find(
    cx: &Context,
    topic: &str,
    asked: &DeleteRecordsPartition,
) -> Result<(Arc<Replica>, Option<Offset>), ErrorCode> {
    if !authorize(cx, Operation::Delete, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let named = Named::Name(topic);
    let replica = partitions::find_leader_now(&cx.broker, named, asked.partition_index).await?;
    if is_internal(topic) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let image = cx.broker.metadata.image();
    if !topic_config(cx.broker.here(), &image, replica.key().topic)
        .cleanup
        .delete
    {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = match asked.offset {
        HIGH_WATERMARK => None,
        offset => Some(Offset::from_wire(offset).ok_or(ErrorCode::OffsetOutOfRange)?),
    };
    Ok((replica, before))
}

//! One produce request and its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cli::client::{ClientError, Link};
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::produce::{
    PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData,
};
use crate::wire::records::Records;

/// One request and what came of it.
pub(super) struct Exchange {
    pub(super) partitions: Vec<i32>,
    pub(super) outcome: Result<Vec<Answered>, ClientError>,
}

/// A broker's answer for one partition.
pub(super) struct Answered {
    pub(super) partition: i32,
    pub(super) code: ErrorCode,
    pub(super) base_offset: i64,
    pub(super) message: Option<String>,
}

/// Where a request goes and how.
pub(super) struct Target {
    pub(super) link: Arc<Link>,
    pub(super) topic: String,
    pub(super) topic_id: Uuid,
    pub(super) acks: i16,
    /// How long the broker may hold the answer back.
    pub(super) held: Duration,
}

/// Sends batches by partition, all to their leader.
pub(super) async fn send(target: Target, batches: Vec<(i32, Bytes)>) -> Exchange {
    let partitions: Vec<i32> = batches.iter().map(|(partition, _)| *partition).collect();
    let partition_data = batches
        .into_iter()
        .map(|(index, bytes)| PartitionProduceData {
            index,
            records: Some(Records::Shared(bytes)),
        });
    let request = ProduceRequest {
        transactional_id: None,
        acks: target.acks,
        timeout_ms: i32::try_from(target.held.as_millis()).unwrap_or(i32::MAX),
        topic_data: vec![TopicProduceData {
            name: target.topic.into(),
            topic_id: target.topic_id,
            partition_data: partition_data.collect(),
        }],
    };
    let outcome = exchange(&target.link, &request, target.held, &partitions).await;
    Exchange {
        partitions,
        outcome,
    }
}

async fn exchange(
    link: &Link,
    request: &ProduceRequest<'_>,
    held: Duration,
    partitions: &[i32],
) -> Result<Vec<Answered>, ClientError> {
    if request.acks == 0 {
        link.tell(request).await?;
        let sent = |&partition: &i32| Answered {
            partition,
            code: ErrorCode::None,
            base_offset: -1,
            message: None,
        };
        return Ok(partitions.iter().map(sent).collect());
    }
    let answer = link.call_waiting(request, held).await?;
    Ok(answered(&answer.decode()?))
}

fn answered(response: &ProduceResponse<'_>) -> Vec<Answered> {
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    partitions
        .map(|partition| Answered {
            partition: partition.index,
            code: partition.error_code,
            base_offset: partition.base_offset,
            message: partition
                .record_errors
                .first()
                .and_then(|error| error.batch_index_error_message.as_deref())
                .or(partition.error_message.as_deref())
                .map(str::to_owned),
        })
        .collect()
}

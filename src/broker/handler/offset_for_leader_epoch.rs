//! `OffsetForLeaderEpoch`: where a leader's reign ended in this log, so that a client or a follower
//! finds the point up to which it agrees.

use ottla_storage::LeaderEpoch;

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions::{self, Named};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: OffsetForLeaderEpochRequest<'r>,
) -> OffsetForLeaderEpochResponse<'r> {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let partition = asked.partition;
            partitions.push(
                find(cx, &topic.topic, asked)
                    .await
                    .unwrap_or_else(|error_code| EpochEndOffset {
                        error_code,
                        partition,
                        ..Default::default()
                    }),
            );
        }
        topics.push(OffsetForLeaderTopicResult {
            topic: topic.topic,
            partitions,
        });
    }
    OffsetForLeaderEpochResponse {
        topics,
        ..OffsetForLeaderEpochResponse::default()
    }
}

async fn find(
    cx: &Context,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<EpochEndOffset, ErrorCode> {
    if !authorize(cx, Operation::Describe, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let named = Named::Name(topic);
    let led = partitions::find_led(cx, named, asked.partition, asked.current_leader_epoch).await?;
    // An epoch that this log can't tell of, or none at all, is answered as unknown, never as the end.
    let epoch = LeaderEpoch::from_wire(asked.leader_epoch);
    let found = epoch.and_then(|epoch| led.log.end_offset_for(epoch));
    let mut answer = EpochEndOffset {
        partition: asked.partition,
        ..Default::default()
    };
    if let Some(found) = found {
        answer.leader_epoch = found.epoch.get();
        answer.end_offset = found.end.get();
    }
    Ok(answer)
}

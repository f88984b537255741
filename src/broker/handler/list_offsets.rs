//! `ListOffsets`: where a partition begins, ends, or has the first record of a time.
//!
//! A new leader whose high watermark has not reached the start of its reign does not vouch for an
//! end yet: a client that reset to it could go back (KIP-207).

use std::collections::BTreeSet;

use ottla_storage::planted::is_planted;
use ottla_storage::time::WallMillis;
use ottla_storage::{Offset, TimestampHit};

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions::{self, Named};
use crate::replica::view::Led;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListOffsetsTopicResponse,
};

const CONSUMER: i32 = -1;
const READ_COMMITTED: i8 = 1;
/// From here on clients know `OFFSET_NOT_AVAILABLE`.
const OFFSET_NOT_AVAILABLE_SINCE: i16 = 5;

/// What a timestamp of a request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Latest,
    Earliest,
    MaxTimestamp,
    /// Of what is in tiered storage: nothing is.
    Tiered,
    At(WallMillis),
}

impl Wanted {
    /// `None` if the version does not know this special timestamp.
    fn of(timestamp: i64, version: i16) -> Option<Self> {
        let (wanted, since) = match timestamp {
            0.. => (Self::At(WallMillis::from_millis(timestamp)), 1),
            -1 => (Self::Latest, 1),
            -2 => (Self::Earliest, 1),
            -3 => (Self::MaxTimestamp, 7),
            // Without tiered storage all of the log is local.
            -4 => (Self::Earliest, 8),
            -5 => (Self::Tiered, 9),
            -6 => (Self::Tiered, 11),
            _ => return None,
        };
        (version >= since).then_some(wanted)
    }
}

/// How far the asker may see.
#[derive(Clone, Copy, Debug)]
enum Reach {
    LogEnd,
    HighWatermark,
    LastStable,
}

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: ListOffsetsRequest<'r>,
) -> ListOffsetsResponse<'r> {
    let reach = match (request.replica_id, request.isolation_level) {
        (CONSUMER, READ_COMMITTED) => Reach::LastStable,
        (CONSUMER, _) => Reach::HighWatermark,
        _ => Reach::LogEnd,
    };
    let mut asked_twice = BTreeSet::new();
    let mut asked = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name.clone(), partition.partition_index);
            if !asked.insert(key.clone()) {
                asked_twice.insert(key);
            }
        }
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let found = if asked_twice.contains(&(topic.name.clone(), index)) {
                Err(ErrorCode::InvalidRequest)
            } else {
                find(cx, &topic.name, partition, reach).await
            };
            partitions.push(response(index, found));
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
        });
    }
    ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    }
}

fn response(
    partition_index: i32,
    found: Result<Option<TimestampHit>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let none = ListOffsetsPartitionResponse {
        partition_index,
        ..Default::default()
    };
    match found {
        Err(error_code) => ListOffsetsPartitionResponse { error_code, ..none },
        Ok(None) => none,
        Ok(Some(hit)) => ListOffsetsPartitionResponse {
            timestamp: hit.timestamp.as_millis(),
            offset: hit.offset.get(),
            leader_epoch: ottla_storage::LeaderEpoch::to_wire(hit.leader_epoch),
            ..none
        },
    }
}

async fn find(
    cx: &Context,
    topic: &str,
    asked: &ListOffsetsPartition,
    reach: Reach,
) -> Result<Option<TimestampHit>, ErrorCode> {
    if !authorize(cx, Operation::Describe, Resource::Topic(topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let wanted = Wanted::of(asked.timestamp, cx.version).ok_or(ErrorCode::UnsupportedVersion)?;
    let named = Named::Name(topic);
    let led =
        partitions::find_led(cx, named, asked.partition_index, asked.current_leader_epoch).await?;
    let end = match reach {
        Reach::LogEnd => led.log.log_end(),
        Reach::HighWatermark => led.high_watermark(),
        Reach::LastStable => led.last_stable_offset(),
    };
    let found = look_up(&led, wanted, end)?;
    // A consumer must not be told of an end that may yet lie before what it was told earlier.
    let is_vouched = matches!(reach, Reach::LogEnd)
        || led.high_watermark() >= led.reign.epoch_start
        || is_planted("a-new-leader-vouches-for-no-end-yet");
    let is_beyond = found.is_none_or(|hit| hit.offset >= end);
    match wanted {
        Wanted::Latest | Wanted::MaxTimestamp | Wanted::At(_) if is_beyond && !is_vouched => {
            Err(if cx.version >= OFFSET_NOT_AVAILABLE_SINCE {
                ErrorCode::OffsetNotAvailable
            } else {
                ErrorCode::LeaderNotAvailable
            })
        }
        Wanted::Earliest | Wanted::Tiered | Wanted::Latest => Ok(found),
        Wanted::MaxTimestamp | Wanted::At(_) => Ok(found.filter(|hit| hit.offset < end)),
    }
}

fn look_up(led: &Led, wanted: Wanted, end: Offset) -> Result<Option<TimestampHit>, ErrorCode> {
    let at = |offset, leader_epoch| {
        Some(TimestampHit {
            offset,
            timestamp: WallMillis::NONE,
            leader_epoch,
        })
    };
    let found = match wanted {
        Wanted::Latest => return Ok(at(end, Some(led.reign.leader_epoch))),
        Wanted::Earliest => {
            let start = led.log.log_start();
            return Ok(at(start, led.log.epoch_at(start)));
        }
        Wanted::Tiered => return Ok(None),
        Wanted::MaxTimestamp => led.log.max_timestamp(),
        Wanted::At(timestamp) => led.log.offset_for_timestamp(timestamp),
    };
    found.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "could not look up a timestamp"
        );
        ErrorCode::from(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_exist_from_their_version_on() {
        for (timestamp, since) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            assert!(Wanted::of(timestamp, since).is_some(), "{timestamp}");
            assert_eq!(Wanted::of(timestamp, since - 1), None, "{timestamp}");
        }
        assert_eq!(Wanted::of(-7, 11), None);
        assert_eq!(Wanted::of(0, 1), Some(Wanted::At(WallMillis::ZERO)));
    }
}

//! Fetch requests for the partitions of one broker, and their answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cursor::Key;
use super::member::Part;
use crate::cli::client::{Answer, ClientError, Isolation, Link};
use crate::wire::Uuid;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};

/// The broker answers after this time also when it has nothing.
const WAIT: Duration = Duration::from_millis(500);
/// Bytes of one answer; it is larger only if one batch alone is.
const ANSWER_SIZE_MAX: i32 = 16 * 1024 * 1024;
/// Bytes of one partition in an answer, so that one with much to read does not starve the others.
const PARTITION_SIZE_MAX: i32 = 4 * 1024 * 1024;

/// A partition and where to go on reading.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) topic: Arc<str>,
    pub(super) topic_id: Uuid,
    pub(super) partition: i32,
    pub(super) position: i64,
    /// Records from here on are not printed.
    pub(super) until: Option<i64>,
}

impl Wanted {
    pub(super) fn key(&self) -> Key {
        (Arc::clone(&self.topic), self.partition)
    }

    pub(super) fn part(&self) -> Part {
        (self.topic_id, self.partition)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// One request to one broker and what came of it.
pub(super) struct Fetched {
    pub(super) broker: i32,
    pub(super) wanted: Vec<Wanted>,
    pub(super) outcome: Result<Answer<FetchRequest<'static>>, ClientError>,
}

/// Asks one broker, in the order given: what stands first is served first.
pub(super) async fn fetch(
    broker: i32,
    link: Arc<Link>,
    wanted: Vec<Wanted>,
    isolation: Isolation,
) -> Fetched {
    let request = request(&wanted, isolation);
    let outcome = link.call_waiting(&request, WAIT).await;
    Fetched {
        broker,
        wanted,
        outcome,
    }
}

fn request(wanted: &[Wanted], isolation: Isolation) -> FetchRequest<'static> {
    // One entry per topic, in the order of the topics' first partitions.
    let mut topics: Vec<FetchTopic<'static>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for one in wanted {
        let place = *places.entry(&one.topic).or_insert_with(|| {
            topics.push(FetchTopic {
                topic: one.topic.to_string().into(),
                topic_id: one.topic_id,
                ..FetchTopic::default()
            });
            topics.len() - 1
        });
        if let Some(topic) = topics.get_mut(place) {
            topic.partitions.push(FetchPartition {
                partition: one.partition,
                fetch_offset: one.position,
                partition_max_bytes: PARTITION_SIZE_MAX,
                ..FetchPartition::default()
            });
        }
    }
    FetchRequest {
        max_wait_ms: i32::try_from(WAIT.as_millis()).unwrap_or(i32::MAX),
        min_bytes: 1,
        max_bytes: ANSWER_SIZE_MAX,
        isolation_level: isolation.code(),
        topics,
        ..FetchRequest::default()
    }
}

//! `DescribeLogDirs`: what lies in this broker's directories, and how much room they have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_storage::log_dir::{LogDir, LogStatus};
use ottla_storage::{DirectoryId, LeaderEpoch};

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::broker::partitions;
use crate::replica::request::Refusal;
use crate::replica::view::View;
use crate::replica::{Replica, Replicas};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

/// Above this many, logs are not opened only to be measured.
const OPENED_COUNT_MAX: usize = 1000;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DescribeLogDirsRequest<'r>,
) -> DescribeLogDirsResponse<'r> {
    if !authorize(cx, Operation::Describe, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed;
        return DescribeLogDirsResponse {
            error_code,
            ..DescribeLogDirsResponse::default()
        };
    }
    let wanted: Option<BTreeSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        let of = |topic| topic_partitions(topic);
        topics.iter().flat_map(of).collect()
    });
    let is_wanted = |replica: &Arc<Replica>| {
        let name = (&**replica.topic(), replica.key().partition.get());
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&name))
    };
    let replicas: Vec<_> = cx
        .broker
        .replicas
        .all()
        .into_iter()
        .filter(|replica| is_wanted(replica))
        .collect();
    let is_opening = replicas.len() <= OPENED_COUNT_MAX;
    let mut sizes: BTreeMap<DirectoryId, Sizes> = BTreeMap::new();
    for replica in &replicas {
        let Some(dir) = directory_of(&cx.broker.replicas, replica) else {
            continue;
        };
        let size = size_of(cx, replica, dir, is_opening).await;
        let topics = sizes.entry(dir.id()).or_default();
        let partitions = topics.entry(replica.topic().to_string()).or_default();
        partitions.insert(replica.key().partition.get(), size);
    }
    let dirs = cx.broker.replicas.directories().iter();
    let results = dirs.map(|dir| describe(dir, sizes.remove(&dir.id()).unwrap_or_default()));
    DescribeLogDirsResponse {
        results: results.collect(),
        ..DescribeLogDirsResponse::default()
    }
}

/// Bytes by partition by topic.
type Sizes = BTreeMap<String, BTreeMap<i32, u64>>;

fn topic_partitions<'a>(
    topic: &'a crate::wire::messages::describe_log_dirs::DescribableLogDirTopic<'_>,
) -> impl Iterator<Item = (&'a str, i32)> {
    topic
        .partitions
        .iter()
        .map(|partition| (&*topic.topic, *partition))
}

/// Where the log is, or where it will be made when it is first needed. One that can't be opened is nowhere.
fn directory_of<'a>(replicas: &'a Replicas, replica: &Replica) -> Option<&'a Arc<LogDir>> {
    if matches!(**replica.view(), View::Refused(Refusal::Offline)) {
        return None;
    }
    let home = replica.directory()?;
    let dir = replicas.directories().iter().find(|dir| dir.id() == home)?;
    let status = dir.status(Replicas::log_key(replica.key()));
    (!matches!(status, LogStatus::Offline(_))).then_some(dir)
}

async fn size_of(cx: &Context, replica: &Arc<Replica>, dir: &LogDir, is_opening: bool) -> u64 {
    let state = dir.log(Replicas::log_key(replica.key()));
    // A log that was never written has no files, and is not made for the asking.
    let Some(state) = state else { return 0 };
    if is_opening && let Ok(led) = partitions::open_view(cx, replica, LeaderEpoch::ZERO).await {
        return led.log.size_bytes();
    }
    match &**replica.view() {
        View::Led(led) => led.log.size_bytes(),
        View::Followed(followed) => followed.log.size_bytes(),
        View::Closed | View::Refused(_) => state.active_size,
    }
}

fn describe(dir: &Arc<LogDir>, sizes: Sizes) -> DescribeLogDirsResult<'static> {
    let log_dir = Cow::Owned(dir.path().display().to_string());
    if dir.failure().is_some() {
        let error_code = ErrorCode::KafkaStorageError;
        return DescribeLogDirsResult {
            error_code,
            log_dir,
            ..Default::default()
        };
    }
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (total_bytes, usable_bytes) = match dir.space() {
        Ok(space) => (bytes(space.total), bytes(space.available)),
        Err(error) => {
            tracing::warn!(path = %dir.path().display(), %error, "could not ask for free space");
            (-1, -1)
        }
    };
    let partition = |(partition_index, size): (i32, u64)| DescribeLogDirsPartition {
        partition_index,
        partition_size: bytes(size),
        offset_lag: 0,
        is_future_key: false,
    };
    let topics = sizes
        .into_iter()
        .map(|(name, partitions)| DescribeLogDirsTopic {
            name: Cow::Owned(name),
            partitions: partitions.into_iter().map(partition).collect(),
        });
    DescribeLogDirsResult {
        log_dir,
        topics: topics.collect(),
        total_bytes,
        usable_bytes,
        ..Default::default()
    }
}

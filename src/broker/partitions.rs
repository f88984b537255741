//! From what a request names to the replica that answers for it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ottla_storage::LeaderEpoch;
use ottla_storage::planted::is_planted;
use uuid::Uuid;

use super::Broker;
use super::context::Context;
use super::purgatory::WakeCell;
use crate::clock;
use crate::metadata::{
    BrokerId, BrokerImage, ImageVersion, MetadataImage, PartitionImage, PartitionIndex, TopicId,
    TopicImage,
};
use crate::replica::request::Refusal;
use crate::replica::view::{Led, View};
use crate::replica::{OPEN_PAUSE, Replica};
use crate::wire::error_code::ErrorCode;

/// How long a request waits for this broker to catch up with what its clients know already.
const APPLY_PATIENCE: Duration = Duration::from_secs(1);
/// How long a request waits for a log to be opened.
const OPEN_PATIENCE: Duration = Duration::from_secs(20);

/// A topic as a request names it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named<'a> {
    Name(&'a str),
    Id(Uuid),
}

/// Why no replica here answers for a partition.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    /// No such topic, or it has no such partition.
    Unknown(ErrorCode),
    /// Another broker may.
    Elsewhere,
    /// This broker does, but has not got that far yet.
    NotApplied,
}

impl Missing {
    pub(crate) fn error_code(&self) -> ErrorCode {
        match self {
            Self::Unknown(code) => *code,
            Self::Elsewhere | Self::NotApplied => ErrorCode::NotLeaderOrFollower,
        }
    }
}

/// The topic that a request names.
pub(crate) fn find_topic<'i>(
    image: &'i MetadataImage,
    named: Named<'_>,
) -> Result<&'i Arc<TopicImage>, Missing> {
    let (topic, unknown) = match named {
        Named::Name(name) => (
            image.topics().by_name(name),
            ErrorCode::UnknownTopicOrPartition,
        ),
        Named::Id(id) => (
            image.topics().by_id(TopicId::new(id)),
            ErrorCode::UnknownTopicId,
        ),
    };
    topic.ok_or(Missing::Unknown(unknown))
}

/// The metadata of a partition.
pub(crate) fn find_partition(
    topic: &TopicImage,
    partition: i32,
) -> Result<(PartitionIndex, &Arc<PartitionImage>), Missing> {
    let index = PartitionIndex::from_wire(partition);
    let found = index.and_then(|index| topic.partition(index).map(|found| (index, found)));
    found.ok_or(Missing::Unknown(ErrorCode::UnknownTopicOrPartition))
}

/// The replica that leads a partition, if this broker has it.
pub(crate) fn find_leader(
    broker: &Broker,
    topic: &TopicImage,
    partition: i32,
) -> Result<Arc<Replica>, Missing> {
    let (index, image) = find_partition(topic, partition)?;
    if image.leader != Some(broker.id) {
        return Err(Missing::Elsewhere);
    }
    let replica = broker
        .replicas
        .find(topic.id(), index)
        .ok_or(Missing::NotApplied)?;
    if matches!(
        **replica.view(),
        View::Refused(Refusal::NotLeader) | View::Followed(_)
    ) {
        return Err(Missing::NotApplied);
    }
    Ok(replica)
}

/// One moment of a partition that this broker leads; waits until its log is open.
///
/// `current_epoch` is the leader epoch that the client believes in, -1 if it does not say.
pub(crate) async fn find_led(
    cx: &Context,
    named: Named<'_>,
    partition: i32,
    current_epoch: i32,
) -> Result<Led, ErrorCode> {
    let replica = find_leader_now(&cx.broker, named, partition).await?;
    let image = cx.broker.metadata.image();
    let known = find_topic(&image, named).and_then(|topic| find_partition(topic, partition));
    let (_, known) = known.map_err(|missing| missing.error_code())?;
    let led = open_view(cx, &replica, known.leader_epoch).await?;
    check_epoch(&led, current_epoch)?;
    Ok(led)
}

/// The replica that leads a partition, once this broker has caught up with what clients may know.
pub(crate) async fn find_leader_now(
    broker: &Broker,
    named: Named<'_>,
    partition: i32,
) -> Result<Arc<Replica>, ErrorCode> {
    let find = |image: &MetadataImage| {
        find_topic(image, named).and_then(|topic| find_leader(broker, topic, partition))
    };
    let image = broker.metadata.image();
    let mut found = find(&image);
    if matches!(found, Err(Missing::NotApplied)) {
        catch_up(broker, image.version()).await;
        found = find(&image);
    }
    found.map_err(|missing| missing.error_code())
}

/// Refuses a client whose leader epoch is not this leader's (-1: it did not say).
pub(crate) fn check_epoch(led: &Led, claimed: i32) -> Result<(), ErrorCode> {
    match LeaderEpoch::from_wire(claimed) {
        Some(claimed) if claimed < led.reign.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
        Some(claimed) if claimed > led.reign.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

/// The replica's view once its log is open and its reign has come to `reign`, or why it can't be.
///
/// This broker may have led before, and another one since: what the earlier reign shows may lie behind what the other one
/// has told.
pub(crate) async fn open_view(
    cx: &Context,
    replica: &Arc<Replica>,
    reign: LeaderEpoch,
) -> Result<Led, ErrorCode> {
    let now = || match &**replica.view() {
        View::Led(led) if led.reign.leader_epoch < reign => None,
        View::Led(led) => Some(Ok(led.clone())),
        View::Refused(refusal) => Some(Err(ErrorCode::from(*refusal))),
        View::Followed(_) => Some(Err(ErrorCode::NotLeaderOrFollower)),
        View::Closed => None,
    };
    if let Some(known) = now() {
        return known;
    }
    let opened = Arc::new(WakeCell::default());
    let _watching = replica.watch(opened.clone());
    let deadline = clock::mono().saturating_add(OPEN_PATIENCE);
    let mut timer = None;
    std::future::poll_fn(|task| {
        opened.set(task.waker());
        replica.ask_open();
        if let Some(known) = now() {
            return Poll::Ready(known);
        }
        let now = clock::mono();
        if now >= deadline {
            return Poll::Ready(Err(ErrorCode::OffsetNotAvailable));
        }
        // Nobody tells of a log that could not be opened.
        let next = now.saturating_add(OPEN_PAUSE).min(deadline);
        timer = Some(cx.core.timer(next, task.waker().clone()));
        Poll::Pending
    })
    .await
}

/// Waits until this broker has applied what its clients may know already. Whether it has.
pub(crate) async fn catch_up(broker: &Broker, version: ImageVersion) -> bool {
    let mut applied = broker.applied.subscribe();
    let reached = applied.wait_for(|applied| *applied >= version);
    matches!(
        tokio::time::timeout(APPLY_PATIENCE, reached).await,
        Ok(Ok(_))
    )
}

/// Whether everything that `image` says has been applied here.
pub(crate) fn is_caught_up(broker: &Broker, image: &MetadataImage) -> bool {
    *broker.applied.borrow() >= image.version()
}

/// Who leads a partition, for a client that asked the wrong broker: broker and epoch, or -1.
pub(crate) fn leader_hint(
    image: &MetadataImage,
    topic: TopicId,
    partition: i32,
) -> Option<(BrokerId, i32)> {
    let index = PartitionIndex::from_wire(partition)?;
    let partition = image.topics().by_id(topic)?.partition(index)?;
    Some((partition.leader?, partition.leader_epoch.get()))
}

/// Whether clients are sent to a broker: what stands in the registration of a fenced one may lead nowhere.
pub(crate) fn is_shown(broker: &BrokerImage) -> bool {
    !broker.is_fenced || is_planted("fenced-brokers-are-not-shown")
}

/// How the client's listener reaches a broker that is shown: host, port and rack.
pub(crate) fn endpoint(
    cx: &Context,
    image: &MetadataImage,
    broker: BrokerId,
) -> Option<(String, i32, Option<String>)> {
    let broker = image.brokers().find(broker).filter(|b| is_shown(b))?;
    let endpoint = broker.endpoint(&cx.connection.listener)?;
    Some((
        endpoint.host.clone(),
        i32::from(endpoint.port),
        broker.rack.clone(),
    ))
}

//! Fetch: what a consumer or a follower may see of its partitions, now or when enough has come.
//!
//! - R7: a consumer gets what lies below the high watermark; with `read_committed`, below the last
//!   stable offset. One view answers for a partition, so the two and the log belong together.
//! - A follower gets all there is, and its fetch offset is its acknowledgement of what lies below (R4). A fetch of an
//!   earlier registration, or of a broker that holds no replica, counts for nothing (KIP-903).
//! - Records are named as ranges of files and never pass through this process's memory here.
//! - A fetch that waits reads everything anew when it is woken: what it was told to expect is a hint.
//! - A request's partitions are served in their order until the bytes are spent; a session rotates
//!   them, so none starves.

mod park;
pub mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use ottla_storage::planted::is_planted;

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::{Body, Context};
use crate::broker::fetch_session::{
    self, Admission, PartitionAnswer, PartitionAsk, PartitionKey, Session, SessionAsk, TopicKey,
};
use crate::broker::partitions::{self, Missing, Named};
use crate::broker::reply::{FileSlice, Reply};
use crate::clock;
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, MetadataImage, TopicId, TopicImage};
use crate::replica::Replica;
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use crate::wire::reader::DecodeError;
use crate::wire::records::{ExternalRange, Records};
use read::{PartitionRead, Reading};

/// From here on topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 13;

/// What the request asks, without its bytes.
#[derive(Debug)]
struct Fetch {
    max_wait: Duration,
    min_bytes: u64,
    max_bytes: u64,
    is_read_committed: bool,
    follower: Option<Follower>,
    session: SessionAsk,
}

/// A broker that fetches as a replica.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    /// Who.
    pub id: BrokerId,
    /// Its registration, if it says.
    pub epoch: Option<BrokerEpoch>,
}

/// One partition to be read.
#[derive(Debug)]
struct Target {
    key: PartitionKey,
    ask: PartitionAsk,
    /// The topic's id if it is known, for hints at its leader.
    topic: Option<TopicId>,
    /// Whether the metadata lets the follower that asks be in sync.
    is_eligible: bool,
    replica: Result<Arc<Replica>, ErrorCode>,
}

/// A fetch that was let in, with its partitions in the order of service.
#[derive(Debug)]
struct Admitted {
    fetch: Fetch,
    /// The session that it goes on with, and the epoch under which it came.
    session: Option<(Arc<Mutex<Session>>, i32)>,
    wants_session: bool,
    targets: Vec<Target>,
    /// The metadata by which they were found.
    judged_by: ImageVersion,
}

pub(crate) fn start(cx: Context, body: Body) -> Reply {
    let fetch = match decode(&cx, &body) {
        Ok(fetch) => fetch,
        Err(error) => return cx.undecodable(error),
    };
    drop(body);
    let mut sessions = cx
        .broker
        .sessions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let admission = sessions.admit(clock::mono(), &fetch.session);
    drop(sessions);
    let (session, wants_session) = match admission {
        Ok(Admission::Sessionless) => (None, false),
        Ok(Admission::Full) => (None, true),
        Ok(Admission::Incremental { session, epoch }) => (Some((session, epoch)), false),
        Err(error) => return refuse(&cx, error.into()),
    };
    let mut admitted = Admitted {
        fetch,
        session,
        wants_session,
        targets: Vec::new(),
        judged_by: ImageVersion::default(),
    };
    let image = cx.broker.metadata.load();
    let is_behind = admitted.find_targets(&cx, &image);
    if !is_behind || partitions::is_caught_up(&cx.broker, &image) {
        return serve(cx, admitted);
    }
    let version = image.version();
    Reply::waiting(async move {
        partitions::catch_up(&cx.broker, version).await;
        let image = cx.broker.metadata.image();
        admitted.find_targets(&cx, &image);
        serve(cx, admitted)
    })
}

/// Answers at once if there is enough, or waits for it.
fn serve(cx: Context, admitted: Admitted) -> Reply {
    read::note_progress(&admitted);
    let reading = read::read(&admitted);
    if reading.is_due(&admitted.fetch) {
        return answer(&cx, &admitted, reading);
    }
    match cx.broker.purgatory.park() {
        Some(place) => Reply::waiting(park::wait(cx, admitted, place)),
        None => answer(&cx, &admitted, reading),
    }
}

fn decode(cx: &Context, body: &Body) -> Result<Fetch, DecodeError> {
    let mut reader = body.reader();
    let request = FetchRequest::decode(&mut reader, cx.version)?;
    let replica_id = request.replica_id.max(request.replica_state.replica_id);
    let follower = BrokerId::from_wire(replica_id).map(|id| Follower {
        id,
        epoch: BrokerEpoch::from_wire(request.replica_state.replica_epoch),
    });
    let max_bytes = u64::try_from(request.max_bytes).unwrap_or(0);
    let max_bytes = max_bytes.min(u64::from(cx.broker.config.broker.fetch_size_max));
    let mut session = SessionAsk {
        session_id: request.session_id,
        session_epoch: request.session_epoch,
        uses_topic_ids: cx.version >= TOPIC_IDS_SINCE,
        is_follower: follower.is_some(),
        partitions: Vec::new(),
        forgotten: Vec::new(),
    };
    let image = cx.broker.metadata.load();
    let key = |name: &str, id: Uuid| topic_key(cx, &image, name, id);
    for asked in &request.topics {
        let topic = key(&asked.topic, asked.topic_id);
        for partition in &asked.partitions {
            let key = PartitionKey {
                topic: topic.clone(),
                partition: partition.partition,
            };
            session.partitions.push((
                key,
                PartitionAsk {
                    fetch_offset: partition.fetch_offset,
                    max_bytes: partition.partition_max_bytes,
                    current_leader_epoch: partition.current_leader_epoch,
                    last_fetched_epoch: partition.last_fetched_epoch,
                    log_start_offset: partition.log_start_offset,
                },
            ));
        }
    }
    for forgotten in &request.forgotten_topics_data {
        let topic = key(&forgotten.topic, forgotten.topic_id);
        let keys = forgotten.partitions.iter();
        let keys = keys.map(|p| PartitionKey {
            topic: topic.clone(),
            partition: *p,
        });
        session.forgotten.extend(keys);
    }
    Ok(Fetch {
        max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        // More than may be returned can't be waited for.
        min_bytes: u64::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
        max_bytes,
        is_read_committed: request.isolation_level == 1,
        follower,
        session,
    })
}

/// The topic as the request names it; a known name shares its text with the metadata.
fn topic_key(cx: &Context, image: &MetadataImage, name: &str, id: Uuid) -> TopicKey {
    if cx.version >= TOPIC_IDS_SINCE {
        return TopicKey::Id(TopicId::new(id));
    }
    let known = image
        .topics()
        .by_name(name)
        .map(|topic| topic.name().clone());
    TopicKey::Name(known.unwrap_or_else(|| Arc::from(name)))
}

impl Admitted {
    /// Whether its session, if it has one, lets it wait; `waker` is woken when it does not any more.
    fn may_wait(&self, waker: &Waker) -> bool {
        let session = self.session.as_ref();
        session.is_none_or(|(session, epoch)| fetch_session::lock(session).may_wait(*epoch, waker))
    }

    /// Finds the partitions' replicas; whether this broker is behind what the metadata says.
    fn find_targets(&mut self, cx: &Context, image: &MetadataImage) -> bool {
        self.judged_by = image.version();
        let mut is_behind = false;
        let follower = self.fetch.follower;
        let mut find = |key: &PartitionKey, ask: &PartitionAsk| {
            let named = match &key.topic {
                TopicKey::Name(name) => Named::Name(name),
                TopicKey::Id(id) => Named::Id(Uuid::from_bytes(id.to_bytes())),
            };
            let topic = partitions::find_topic(image, named);
            let leader = topic.as_ref().map_err(Clone::clone).and_then(|topic| {
                let (is_allowed, refusal) = match follower {
                    None => (
                        authorize(cx, Operation::Read, Resource::Topic(topic.name())),
                        ErrorCode::TopicAuthorizationFailed,
                    ),
                    Some(_) => (
                        authorize(cx, Operation::ClusterAction, Resource::Cluster),
                        ErrorCode::ClusterAuthorizationFailed,
                    ),
                };
                if !is_allowed {
                    return Err(Missing::Unknown(refusal));
                }
                partitions::find_leader(&cx.broker, topic, key.partition)
            });
            is_behind |= matches!(leader, Err(Missing::NotApplied));
            let standing = match (follower, &topic) {
                (Some(follower), Ok(topic)) => standing(image, topic, key.partition, follower, ask),
                _ => Ok(false),
            };
            let replica = match (leader, standing) {
                (Err(missing), _) => Err(missing.error_code()),
                (Ok(_), Err(code)) => Err(code),
                (Ok(replica), Ok(_)) => Ok(replica),
            };
            let topic = topic.ok().map(|topic| topic.id());
            Target {
                is_eligible: standing.unwrap_or(false),
                key: key.clone(),
                ask: *ask,
                topic,
                replica,
            }
        };
        let targets = match &self.session {
            Some((session, _)) => {
                let session = fetch_session::lock(session);
                session
                    .partitions()
                    .map(|(key, ask)| find(key, ask))
                    .collect()
            }
            None => self
                .fetch
                .session
                .partitions
                .iter()
                .map(|(k, a)| find(k, a))
                .collect(),
        };
        self.targets = targets;
        is_behind
    }
}

/// Whether a follower may be in sync, or why its fetch does not count as one.
///
/// # Errors
/// The code that its fetch of the partition is answered with.
pub fn standing(
    image: &MetadataImage,
    topic: &TopicImage,
    partition: i32,
    follower: Follower,
    ask: &PartitionAsk,
) -> Result<bool, ErrorCode> {
    let found = partitions::find_partition(topic, partition).ok();
    let directory = found.and_then(|(_, partition)| partition.directory_of(follower.id));
    let Some(directory) = directory else {
        // This broker may be behind: the follower tries again.
        return Err(if ask.current_leader_epoch >= 0 {
            ErrorCode::UnknownLeaderEpoch
        } else {
            ErrorCode::NotLeaderOrFollower
        });
    };
    let Some(registration) = image.brokers().find(follower.id) else {
        return Ok(false);
    };
    // An earlier process of that broker, whose log may be another one by now.
    let is_older = |epoch| epoch < registration.epoch;
    if follower.epoch.is_some_and(is_older) && !is_planted("a-fetch-of-an-older-process-is-refused")
    {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    // Who does not say which process it is reads, and is never in sync (KIP-903); nor is one whose disk is not known to work.
    let is_that_process = follower.epoch == Some(registration.epoch);
    Ok(registration.is_active() && is_that_process && registration.is_online(directory))
}

fn refuse(cx: &Context, error_code: ErrorCode) -> Reply {
    let response = FetchResponse {
        error_code,
        ..FetchResponse::default()
    };
    cx.respond(|writer| response.encode(writer, cx.version))
}

/// Encodes what was read, and remembers in the session what the client now knows.
fn answer(cx: &Context, admitted: &Admitted, reading: Reading) -> Reply {
    let is_current = |(session, epoch): &(Arc<Mutex<Session>>, i32)| {
        fetch_session::lock(session).is_current(*epoch)
    };
    if admitted
        .session
        .as_ref()
        .is_some_and(|session| !is_current(session))
    {
        return refuse(cx, ErrorCode::InvalidFetchSessionEpoch);
    }
    let image = cx.broker.metadata.load();
    let mut files = Vec::new();
    let mut leaders = BTreeMap::new();
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut last_topic = None;
    let answers: Vec<_> = reading
        .partitions
        .iter()
        .map(PartitionRead::answer)
        .collect();
    let is_named = |target: &Target, answer: &PartitionAnswer| match &admitted.session {
        Some((session, _)) => fetch_session::lock(session).learn(&target.key, answer),
        None => true,
    };
    for ((target, read), answer) in admitted
        .targets
        .iter()
        .zip(reading.partitions)
        .zip(answers.iter())
    {
        if !is_named(target, answer) {
            continue;
        }
        if last_topic != Some(&target.key.topic) {
            last_topic = Some(&target.key.topic);
            responses.push(topic_response(&target.key.topic));
        }
        let mut data = partition_data(target, read, &mut files, admitted.fetch.is_read_committed);
        if is_about_the_leader(data.error_code) {
            data.current_leader = current_leader(cx, &image, target, &mut leaders);
        }
        if let Some(topic) = responses.last_mut() {
            topic.partitions.push(data);
        }
    }
    let session_id = match &admitted.session {
        Some((session, _)) => fetch_session::session_id(session),
        None if admitted.wants_session => create_session(cx, admitted, &answers),
        None => 0,
    };
    let node_endpoints = leaders.into_values().collect();
    let response = FetchResponse {
        session_id,
        responses,
        node_endpoints,
        ..FetchResponse::default()
    };
    cx.respond_with(files, |writer| response.encode(writer, cx.version))
}

fn create_session(cx: &Context, admitted: &Admitted, answers: &[PartitionAnswer]) -> i32 {
    let keys = admitted.targets.iter().map(|target| &target.key);
    let mut sessions = cx
        .broker
        .sessions
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let answers = keys.zip(answers.iter().copied());
    sessions.create(
        clock::mono(),
        &admitted.fetch.session,
        answers,
        rand::random::<u32>,
    )
}

fn topic_response(topic: &TopicKey) -> FetchableTopicResponse<'_> {
    match topic {
        TopicKey::Name(name) => FetchableTopicResponse {
            topic: Cow::Borrowed(name),
            ..FetchableTopicResponse::default()
        },
        TopicKey::Id(id) => FetchableTopicResponse {
            topic_id: Uuid::from_bytes(id.to_bytes()),
            ..FetchableTopicResponse::default()
        },
    }
}

fn partition_data(
    target: &Target,
    read: PartitionRead,
    files: &mut Vec<FileSlice>,
    is_read_committed: bool,
) -> PartitionData<'static> {
    let records = match read.range.filter(|range| !range.is_empty()) {
        None => Records::Slice(&[]),
        Some(range) => {
            let token = u64::try_from(files.len()).unwrap_or(u64::MAX);
            let len = u32::try_from(range.len()).unwrap_or(u32::MAX);
            files.push(FileSlice {
                position: range.position(),
                len,
                file: Arc::new(range),
            });
            Records::External(ExternalRange { token, len })
        }
    };
    PartitionData {
        partition_index: target.key.partition,
        error_code: read.error_code,
        high_watermark: read.high_watermark,
        last_stable_offset: read.last_stable_offset,
        log_start_offset: read.log_start_offset,
        diverging_epoch: read.diverging_epoch,
        aborted_transactions: is_read_committed.then(Vec::new),
        records: Some(records),
        ..PartitionData::default()
    }
}

fn is_about_the_leader(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    )
}

fn current_leader(
    cx: &Context,
    image: &MetadataImage,
    target: &Target,
    leaders: &mut BTreeMap<i32, NodeEndpoint<'static>>,
) -> LeaderIdAndEpoch {
    let hint = target
        .topic
        .and_then(|topic| partitions::leader_hint(image, topic, target.key.partition));
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

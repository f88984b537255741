//! The requests of a follower, and the connection that they go over.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::{LeaderEpoch, Offset};

use super::Settings;
use super::session::{Ask, Position};
use crate::metadata::{BrokerEpoch, BrokerId};
use crate::net::peer::{PeerConnection, PeerError, PeerLimits};
use crate::replica::{Replica, ReplicaKey};
use crate::wire::Uuid;
use crate::wire::api::ApiKey;
use crate::wire::frame;
use crate::wire::header::{RequestHeader, decode_response_header};
use crate::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState,
};
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use crate::wire::reader::{DecodeError, Reader};

const CLIENT_ID: &str = "ottla-follower";
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Why a leader gave no answer that is one.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The metadata has no address for it.
    #[error("broker {0} has no address on the listener {1}")]
    Address(BrokerId, String),
    /// The connection.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The bytes of the answer.
    #[error("the answer: {0}")]
    Decode(#[from] DecodeError),
}

/// Connects to a leader.
pub(super) async fn connect(
    settings: &Settings,
    leader: BrokerId,
) -> Result<Arc<PeerConnection>, ExchangeError> {
    let image = settings.metadata.image();
    let registration = image.brokers().find(leader);
    let endpoint = registration.and_then(|broker| broker.endpoint(&settings.listener));
    let no_address = || ExchangeError::Address(leader, settings.listener.clone());
    let endpoint = endpoint.ok_or_else(no_address)?;
    let limits = PeerLimits {
        in_flight_count: 1,
        response_bytes: settings.frame_bytes_max,
        connect: Duration::from_secs(1),
        unacknowledged: Some(settings.request_timeout),
    };
    let address = (endpoint.host.as_str(), endpoint.port);
    Ok(Arc::new(PeerConnection::open(address, limits).await?))
}

/// Fetches; the answer begins with its header.
pub(super) async fn fetch(
    settings: &Settings,
    connection: &PeerConnection,
    broker_epoch: BrokerEpoch,
    ask: &Ask,
    wait: Duration,
) -> Result<Vec<u8>, ExchangeError> {
    let request = fetch_request(settings, broker_epoch, ask, wait);
    let version = ApiKey::Fetch.served().max;
    let encode = |correlation_id| {
        let header = header(ApiKey::Fetch, correlation_id);
        frame::encode_request(&header, |writer| request.encode(writer, version))
    };
    Ok(connection
        .call(encode, wait.saturating_add(settings.request_timeout))
        .await?)
}

/// Both ends are ottla: the newest version that this one serves.
fn header(api: ApiKey, correlation_id: i32) -> RequestHeader<'static> {
    RequestHeader {
        api,
        version: api.served().max,
        correlation_id,
        client_id: Some(CLIENT_ID),
    }
}

/// A reader behind the header of the answer to a fetch.
pub(super) fn fetch_body(frame: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(frame);
    decode_response_header(&mut reader, ApiKey::Fetch, ApiKey::Fetch.served().max)?;
    Ok(reader)
}

fn fetch_request<'a>(
    settings: &Settings,
    broker_epoch: BrokerEpoch,
    ask: &Ask,
    wait: Duration,
) -> FetchRequest<'a> {
    let mut topics: Vec<FetchTopic<'_>> = Vec::new();
    for (key, position) in &ask.named {
        let id = Uuid::from_bytes(key.topic.to_bytes());
        if topics.last().is_none_or(|topic| topic.topic_id != id) {
            topics.push(FetchTopic {
                topic_id: id,
                ..FetchTopic::default()
            });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(FetchPartition {
                partition: key.partition.get(),
                current_leader_epoch: position.leader_epoch.get(),
                fetch_offset: position.offset.get(),
                last_fetched_epoch: LeaderEpoch::to_wire(position.last_epoch),
                log_start_offset: position.log_start.get(),
                partition_max_bytes: settings.partition_bytes_max,
                ..FetchPartition::default()
            });
        }
    }
    let forgotten = ask.forgotten.iter().map(|key| ForgottenTopic {
        topic_id: Uuid::from_bytes(key.topic.to_bytes()),
        partitions: vec![key.partition.get()],
        ..ForgottenTopic::default()
    });
    FetchRequest {
        replica_state: ReplicaState {
            replica_id: settings.me.get(),
            replica_epoch: broker_epoch.get(),
        },
        max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: settings.bytes_min,
        max_bytes: settings.response_bytes_max,
        session_id: ask.session_id,
        session_epoch: ask.session_epoch,
        topics,
        forgotten_topics_data: forgotten.collect(),
        ..FetchRequest::default()
    }
}

/// Where the leader's log starts and ends; `None` if it does not say.
pub(super) async fn bounds(
    settings: &Settings,
    connection: &PeerConnection,
    replica: &Replica,
    key: ReplicaKey,
    position: Position,
) -> Result<Option<(Offset, Offset)>, ExchangeError> {
    let mut offsets = [None; 2];
    for (found, timestamp) in offsets.iter_mut().zip([EARLIEST, LATEST]) {
        let partition = ListOffsetsPartition {
            partition_index: key.partition.get(),
            current_leader_epoch: position.leader_epoch.get(),
            timestamp,
        };
        let request = ListOffsetsRequest {
            replica_id: settings.me.get(),
            topics: vec![ListOffsetsTopic {
                name: Cow::Borrowed(replica.topic()),
                partitions: vec![partition],
            }],
            ..ListOffsetsRequest::default()
        };
        let (api, version) = (ApiKey::ListOffsets, ApiKey::ListOffsets.served().max);
        let encode = |correlation_id| {
            let header = header(api, correlation_id);
            frame::encode_request(&header, |writer| request.encode(writer, version))
        };
        let frame = connection.call(encode, settings.request_timeout).await?;
        let mut reader = Reader::new(&frame);
        decode_response_header(&mut reader, api, version)?;
        let response = ListOffsetsResponse::decode(&mut reader, version)?;
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let answer = partitions.next().filter(|p| !p.error_code.is_error());
        *found = answer.and_then(|answer| Offset::from_wire(answer.offset));
    }
    let [start, end] = offsets;
    Ok(start.zip(end))
}

//! Brokers of a few lines, for what a whole node cannot be brought to say at the right moment.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use ottla::wire::Uuid;
use ottla::wire::api::ApiKey;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::frame::encode_response;
use ottla::wire::header::RequestHeader;
use ottla::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla::wire::messages::find_coordinator::{Coordinator, FindCoordinatorResponse};
use ottla::wire::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla::wire::reader::Reader;
use ottla::wire::writer::Writer;

/// A broker that listens, and answers once it is told how.
pub(crate) struct Fake(TcpListener);

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Answered,
    /// No answer comes, and the connection stays.
    Unheard,
    /// The connection ends.
    Closed,
}

/// The id of the topic `t`.
pub(crate) const TOPIC_ID: Uuid = Uuid::from_u128(7);

/// An address where nobody listens.
pub(crate) fn gone() -> SocketAddr {
    Fake::bind().address()
}

impl Fake {
    pub(crate) fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Serves these APIs, each in its versions: `answer` reads the request's body and writes the
    /// answer's, if there is to be one.
    pub(crate) fn serve(
        self,
        apis: &'static [ApiKey],
        answer: impl Fn(&RequestHeader<'_>, &mut Reader<'_>, &mut Writer) -> Reply
        + Send
        + Sync
        + 'static,
    ) {
        let answer = Arc::new(
            move |header: &RequestHeader<'_>, body: &mut Reader<'_>, writer: &mut Writer| {
                if header.api == ApiKey::ApiVersions {
                    versions(apis).encode(writer, header.version);
                    return Reply::Answered;
                }
                answer(header, body, writer)
            },
        );
        thread::spawn(move || {
            for connection in self.0.incoming() {
                let (connection, answer) = (connection.unwrap(), Arc::clone(&answer));
                thread::spawn(move || while serve_one(&connection, &*answer).is_some() {});
            }
        });
    }
}

/// Answers one request; `None` when there is no further one.
fn serve_one(
    mut connection: &TcpStream,
    answer: impl Fn(&RequestHeader<'_>, &mut Reader<'_>, &mut Writer) -> Reply,
) -> Option<()> {
    let mut size = [0; 4];
    connection.read_exact(&mut size).ok()?;
    let mut request = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    connection.read_exact(&mut request).ok()?;
    let mut reader = Reader::new(&request);
    let header = RequestHeader::decode(&mut reader).unwrap();
    let (api, version, id) = (header.api, header.version, header.correlation_id);
    let mut reply = Reply::Closed;
    let frame = encode_response(api, version, id, |writer| {
        reply = answer(&header, &mut reader, writer);
    });
    match reply {
        Reply::Answered => {
            let frame = frame.unwrap().into_bytes().unwrap();
            connection.write_all(&frame).ok()
        }
        Reply::Unheard => Some(()),
        Reply::Closed => None,
    }
}

fn versions(apis: &[ApiKey]) -> ApiVersionsResponse<'static> {
    let apis = apis.iter().chain([&ApiKey::ApiVersions]);
    let api_keys = apis.map(|api| ApiVersion {
        api_key: api.code(),
        min_version: api.served().min,
        max_version: api.served().max,
    });
    ApiVersionsResponse {
        api_keys: api_keys.collect(),
        ..ApiVersionsResponse::default()
    }
}

/// These brokers, and the topic `t`, whose partitions have these leaders; -1 is none.
pub(crate) fn metadata(
    brokers: &[(i32, SocketAddr)],
    leaders: &[i32],
) -> MetadataResponse<'static> {
    let brokers = brokers.iter().map(|(id, address)| MetadataResponseBroker {
        node_id: *id,
        host: address.ip().to_string().into(),
        port: address.port().into(),
        ..MetadataResponseBroker::default()
    });
    let partitions = (0..)
        .zip(leaders)
        .map(|(index, leader)| MetadataResponsePartition {
            partition_index: index,
            leader_id: *leader,
            ..MetadataResponsePartition::default()
        });
    MetadataResponse {
        brokers: brokers.collect(),
        topics: vec![MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: TOPIC_ID,
            partitions: partitions.collect(),
            ..MetadataResponseTopic::default()
        }],
        ..MetadataResponse::default()
    }
}

/// This broker coordinates the group that was asked for.
pub(crate) fn coordinator(id: i32, address: SocketAddr) -> FindCoordinatorResponse<'static> {
    FindCoordinatorResponse {
        coordinators: vec![Coordinator {
            node_id: id,
            host: address.ip().to_string().into(),
            port: address.port().into(),
            ..Coordinator::default()
        }],
        ..FindCoordinatorResponse::default()
    }
}

/// No broker coordinates it.
pub(crate) fn no_coordinator(error_code: ErrorCode) -> FindCoordinatorResponse<'static> {
    FindCoordinatorResponse {
        coordinators: vec![Coordinator {
            error_code,
            ..Coordinator::default()
        }],
        ..FindCoordinatorResponse::default()
    }
}

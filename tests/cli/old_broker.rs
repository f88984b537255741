//! A broker without the consumer protocol: `consume --group` says so, and what to do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use ottla::wire::api::ApiKey;
use ottla::wire::frame::encode_response;
use ottla::wire::header::RequestHeader;
use ottla::wire::messages::api_versions::{ApiVersion, ApiVersionsResponse};
use ottla::wire::messages::find_coordinator::{Coordinator, FindCoordinatorResponse};
use ottla::wire::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla::wire::reader::Reader;
use ottla::wire::writer::Writer;

use crate::run::ottla;

/// What it serves.
const APIS: [ApiKey; 3] = [
    ApiKey::ApiVersions,
    ApiKey::Metadata,
    ApiKey::FindCoordinator,
];

/// A broker with one topic, which coordinates every group.
fn broker() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let connection = connection.unwrap();
            thread::spawn(move || while serve(&connection, address).is_some() {});
        }
    });
    address
}

/// Answers one request; `None` when there is no further one.
fn serve(mut connection: &TcpStream, address: SocketAddr) -> Option<()> {
    let mut size = [0; 4];
    connection.read_exact(&mut size).ok()?;
    let mut request = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    connection.read_exact(&mut request).ok()?;
    let header = RequestHeader::decode(&mut Reader::new(&request)).unwrap();
    let (api, version, id) = (header.api, header.version, header.correlation_id);
    let frame = encode_response(api, version, id, |writer| answer(writer, &header, address));
    let frame = frame.unwrap().into_bytes().unwrap();
    connection.write_all(&frame).ok()
}

fn answer(writer: &mut Writer, header: &RequestHeader<'_>, address: SocketAddr) {
    let (host, port) = (address.ip().to_string(), i32::from(address.port()));
    match header.api {
        ApiKey::ApiVersions => {
            let api_keys = APIS.map(|api| ApiVersion {
                api_key: api.code(),
                min_version: api.served().min,
                max_version: api.served().max,
            });
            let response = ApiVersionsResponse {
                api_keys: api_keys.to_vec(),
                ..ApiVersionsResponse::default()
            };
            response.encode(writer, header.version);
        }
        ApiKey::Metadata => {
            let partition = MetadataResponsePartition {
                leader_id: 1,
                ..MetadataResponsePartition::default()
            };
            let response = MetadataResponse {
                brokers: vec![MetadataResponseBroker {
                    node_id: 1,
                    host: host.into(),
                    port,
                    ..MetadataResponseBroker::default()
                }],
                topics: vec![MetadataResponseTopic {
                    name: Some("t".into()),
                    partitions: vec![partition],
                    ..MetadataResponseTopic::default()
                }],
                ..MetadataResponse::default()
            };
            response.encode(writer, header.version);
        }
        ApiKey::FindCoordinator => {
            let response = FindCoordinatorResponse {
                coordinators: vec![Coordinator {
                    key: "g".into(),
                    node_id: 1,
                    host: host.into(),
                    port,
                    ..Coordinator::default()
                }],
                ..FindCoordinatorResponse::default()
            };
            response.encode(writer, header.version);
        }
        api => panic!("{api} is not served"),
    }
}

#[test]
fn a_broker_without_the_consumer_protocol_is_named_with_the_way_out() {
    let address = broker().to_string();
    let done = ottla(&["consume", "t", "--group", "g", "-b", &address]);
    done.assert_failed(&[&address, "KIP-848", "leave --group out"]);
    let done = ottla(&["group", "describe", "g", "-b", &address]);
    done.assert_failed(&["DescribeGroups", "upgrade"]);
}

//! One connection to one broker, in the versions that both sides know.

use std::time::Duration;

use crate::net::peer::{PeerConnection, PeerError, PeerLimits};
use crate::wire::api::ApiKey;
use crate::wire::frame::encode_request;
use crate::wire::header::RequestHeader;
use crate::wire::writer::{EncodeError, Segments};

use super::address::HostPort;
use super::call::{Answer, Call};
use super::error::ClientError;
use super::versions::Versions;

/// What Kafka's producers allow: with it an idempotent producer keeps its order.
const IN_FLIGHT_MAX: usize = 5;

/// What brokers see in their logs and quotas.
const CLIENT_ID: &str = "ottla-cli";

/// Larger than any answer we ask for (see `consume`), smaller than a mistake: `HTTP` read as a
/// length is 1.2 GB.
const RESPONSE_SIZE_MAX: usize = 256 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    address: HostPort,
    versions: Versions,
    peer: PeerConnection,
}

impl Connection {
    /// Connects and learns which versions the broker serves.
    pub(crate) async fn open(address: &HostPort, within: Duration) -> Result<Self, ClientError> {
        let limits = PeerLimits {
            in_flight_count: IN_FLIGHT_MAX,
            response_bytes: RESPONSE_SIZE_MAX,
            connect: within,
            unacknowledged: None,
        };
        let peer = PeerConnection::open((&address.host, address.port), limits).await;
        let peer = peer.map_err(|error| failed(address, ApiKey::ApiVersions, error))?;
        let mut connection = Self {
            address: address.clone(),
            versions: Versions::default(),
            peer,
        };
        connection.versions = Versions::ask(&connection, within).await?;
        Ok(connection)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.peer.is_broken()
    }

    /// The highest version that both sides know and that can say the request.
    pub(super) fn version_of<R: Call>(&self, request: &R) -> Result<i16, ClientError> {
        let api = R::API;
        let version = self.versions.common(api, request.newest());
        version.ok_or_else(|| ClientError::NoCommonVersion {
            address: self.address.clone(),
            api,
        })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call<R: Call>(
        &self,
        request: &R,
        version: i16,
        within: Duration,
    ) -> Result<Answer<R>, ClientError> {
        let answer = self.peer.call(|id| frame(request, version, id), within);
        let body = answer.await.map_err(|error| self.failed(R::API, error))?;
        Ok(Answer::new(self.address.clone(), version, body))
    }

    /// Sends a request that gets no answer (`Produce` with `acks=0`).
    pub(super) async fn tell<R: Call>(
        &self,
        request: &R,
        version: i16,
        within: Duration,
    ) -> Result<(), ClientError> {
        let told = self.peer.tell(|id| frame(request, version, id), within);
        told.await.map_err(|error| self.failed(R::API, error))
    }

    fn failed(&self, api: ApiKey, error: PeerError) -> ClientError {
        failed(&self.address, api, error)
    }
}

fn failed(address: &HostPort, api: ApiKey, error: PeerError) -> ClientError {
    let address = address.clone();
    match error {
        PeerError::Connect(cause) => ClientError::Connect { address, cause },
        PeerError::Closed(cause) => ClientError::Closed { address, cause },
        PeerError::Timeout { after } => ClientError::Timeout {
            address,
            api,
            after,
        },
        PeerError::Frame { length } => ClientError::Frame { address, length },
        PeerError::Correlation { expected, found } => ClientError::Correlation {
            address,
            expected,
            found,
        },
        PeerError::Encode(cause) => ClientError::Encode { api, cause },
    }
}

fn frame<R: Call>(request: &R, version: i16, correlation_id: i32) -> Result<Segments, EncodeError> {
    let header = RequestHeader {
        api: R::API,
        version,
        correlation_id,
        client_id: Some(CLIENT_ID),
    };
    encode_request(&header, |writer| request.encode(writer, version))
}

//! Calls to the other nodes of the quorum.
//!
//! - A connection for each kind of calls to each address, never shared: an append's answer must not queue behind a
//!   piece of a snapshot.
//! - A connection that broke is opened anew by the next call; nothing is sent twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_raft::{CallClass, CallFuture, Peer, Transport, TransportError};

use super::hello::{Hello, HelloError};
use crate::broker::controller_channel::{Carried, Carry, CarryClass, CarryError};
use crate::net::peer::{PeerConnection, PeerError, PeerLimits};
use crate::wire::private::{PrivateApi, PrivateRequest, answer_body};

/// A quorum lives on round trips of milliseconds: what takes longer than this is as good as gone.
const LIMITS: PeerLimits = PeerLimits {
    in_flight_count: 16,
    // Answers say yes or no; only what is asked is large.
    response_bytes: 1 << 20,
    connect: Duration::from_millis(500),
    unacknowledged: Some(Duration::from_secs(1)),
};
/// The answer to a client's request shows what was made, config by config: larger than what nodes tell each other.
const FORWARD_LIMITS: PeerLimits = PeerLimits {
    response_bytes: 100 << 20,
    ..LIMITS
};
const HELLO_WITHIN: Duration = Duration::from_millis(500);

/// Connections to the nodes that were called so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers(Arc<Mutex<Links>>);

type Links = HashMap<(String, PrivateApi), Arc<Link>>;

/// A connection that may be open, or not yet, or not any more.
#[derive(Debug)]
struct Link {
    address: String,
    limits: PeerLimits,
    connection: tokio::sync::Mutex<Option<Arc<PeerConnection>>>,
}

/// Why a node did not introduce itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Call(#[from] PeerError),
    #[error("the answer: {0}")]
    Answer(#[from] HelloError),
}

impl Peers {
    fn link(&self, address: &str, api: PrivateApi) -> Arc<Link> {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry((address.to_owned(), api)).or_insert_with(|| {
            Arc::new(Link {
                address: address.to_owned(),
                limits: match api {
                    PrivateApi::Forward => FORWARD_LIMITS,
                    _ => LIMITS,
                },
                connection: tokio::sync::Mutex::default(),
            })
        });
        Arc::clone(link)
    }

    async fn call(
        &self,
        address: &str,
        api: PrivateApi,
        body: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let connection = self.link(address, api).connected().await?;
        let encode = |correlation_id| {
            let request = PrivateRequest {
                api,
                correlation_id,
                body,
            };
            request.encode()
        };
        let frame = connection.call(encode, within).await?;
        Ok(answer_body(&frame).to_vec())
    }

    /// Introduces `me` to whoever listens at `address`, and returns who that is.
    pub(super) async fn ask(&self, address: &str, me: &Hello) -> Result<Hello, AskError> {
        let me = me.encode();
        let answer = self.call(address, PrivateApi::Hello, &me, HELLO_WITHIN);
        Ok(Hello::decode(&answer.await?)?)
    }
}

impl Link {
    async fn connected(&self) -> Result<Arc<PeerConnection>, PeerError> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.is_broken()) {
            return Ok(Arc::clone(connection));
        }
        *slot = None;
        let connection =
            Arc::new(PeerConnection::open(host_port(&self.address), self.limits).await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

/// The parts of `host:port`; an IPv6 address stands in brackets. What is neither can't be resolved, and says so.
fn host_port(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    (host, port.parse().unwrap_or_default())
}

impl Transport for Peers {
    fn call<'a>(
        &'a self,
        peer: &'a Peer,
        class: CallClass,
        request: Vec<u8>,
        timeout: Duration,
    ) -> CallFuture<'a> {
        let api = match class {
            CallClass::Consensus => PrivateApi::Consensus,
            CallClass::Snapshot => PrivateApi::Snapshot,
        };
        Box::pin(async move {
            let answer = Self::call(self, &peer.member.address, api, &request, timeout);
            answer.await.map_err(|error| match error {
                PeerError::Connect(_) => TransportError::Unreachable(error.into()),
                _ => TransportError::Broken(error.into()),
            })
        })
    }
}

/// Connections that carry a broker's calls to the controller, one for each kind of calls.
#[derive(Clone, Debug, Default)]
pub struct Carriers(Peers);

impl Carry for Carriers {
    fn carry<'a>(
        &'a self,
        address: &'a str,
        class: CarryClass,
        body: &'a [u8],
        within: Duration,
    ) -> Carried<'a> {
        let api = match class {
            CarryClass::Lifecycle => PrivateApi::Broker,
            CarryClass::Admin => PrivateApi::Forward,
        };
        Box::pin(async move {
            let answer = self.0.call(address, api, body, within).await;
            answer.map_err(|error| match error {
                PeerError::Connect(_) => CarryError::NotSent(error.into()),
                _ => CarryError::Unknown(error.into()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (host, written) in [("a.b", "a.b:1"), ("::1", "[::1]:1")] {
            let peer = crate::config::Peer {
                id: crate::metadata::BrokerId::from_wire(1).unwrap(),
                host: host.to_owned(),
                port: 1,
            };
            assert_eq!(peer.address(), written);
            assert_eq!(host_port(written), (host, 1));
        }
    }
}

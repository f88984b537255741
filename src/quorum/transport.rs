//! Calls to the other nodes of the quorum.
//!
//! - A connection for each kind of calls to each node, never shared: an append's answer must not queue behind a
//!   piece of a snapshot.
//! - A node is looked for where `--peers` says, and where the membership says: one of them may be out of date.
//! - A connection that broke is opened anew by the next call; nothing is sent twice.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_raft::{CallClass, CallFuture, NodeId, Peer, Transport, TransportError};

use super::hello::{Hello, HelloError};
use super::node_id;
use crate::broker::controller_channel::{Carried, Carry, CarryClass, CarryError};
use crate::config;
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
#[derive(Clone, Debug)]
pub(super) struct Peers(Arc<Book>);

#[derive(Debug)]
struct Book {
    /// Where `--peers` says that nodes are.
    named: BTreeMap<NodeId, String>,
    links: Mutex<Links>,
}

type Links = HashMap<(Vec<String>, PrivateApi), Arc<Link>>;

/// A connection that may be open, or not yet, or not any more.
#[derive(Debug)]
struct Link {
    /// Where the node may be.
    addresses: Vec<String>,
    /// Which of them to try next: the one that was reached, or the one after it that was not.
    next: AtomicUsize,
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
    /// Nobody was called yet; these are the nodes that were named at the start.
    pub(super) fn new(named: &[config::Peer]) -> Self {
        let named = named.iter().map(|peer| (node_id(peer.id), peer.address()));
        Self(Arc::new(Book {
            named: named.collect(),
            links: Mutex::default(),
        }))
    }

    fn link(&self, addresses: Vec<String>, api: PrivateApi) -> Arc<Link> {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links
            .entry((addresses, api))
            .or_insert_with_key(|(addresses, api)| {
                Arc::new(Link {
                    addresses: addresses.clone(),
                    next: AtomicUsize::new(0),
                    limits: match api {
                        PrivateApi::Forward => FORWARD_LIMITS,
                        _ => LIMITS,
                    },
                    connection: tokio::sync::Mutex::default(),
                })
            });
        Arc::clone(link)
    }

    /// Where a member may be.
    fn addresses(&self, peer: &Peer) -> Vec<String> {
        let mut addresses: Vec<_> = self.0.named.get(&peer.id).cloned().into_iter().collect();
        let stored = &peer.member.address;
        // A node that began alone has stored none.
        if !stored.is_empty() && !addresses.contains(stored) {
            addresses.push(stored.clone());
        }
        addresses
    }

    async fn call(
        &self,
        addresses: Vec<String>,
        api: PrivateApi,
        body: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        let connection = self.link(addresses, api).connected().await?;
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
    pub(super) async fn ask(&self, address: String, me: &Hello) -> Result<Hello, AskError> {
        let me = me.encode();
        let answer = self.call(vec![address], PrivateApi::Hello, &me, HELLO_WITHIN);
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
        // A caller may give up while this one still waits: the next one tries the next address all the same.
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        let address = self.addresses.get(at % self.addresses.len().max(1));
        let address = address.map_or("", String::as_str);
        let connection = Arc::new(PeerConnection::open(host_port(address), self.limits).await?);
        self.next.store(at, Ordering::Relaxed);
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
            let answer = Self::call(self, self.addresses(peer), api, &request, timeout);
            answer.await.map_err(|error| match error {
                PeerError::Connect(_) => TransportError::Unreachable(error.into()),
                _ => TransportError::Broken(error.into()),
            })
        })
    }
}

/// Connections that carry a broker's calls to the controller, one for each kind of calls.
#[derive(Clone, Debug)]
pub struct Carriers(Peers);

impl Carriers {
    /// No connection yet; these are the nodes that were named at the start.
    pub fn new(named: &[config::Peer]) -> Self {
        Self(Peers::new(named))
    }
}

impl Carry for Carriers {
    fn carry<'a>(
        &'a self,
        peer: &'a Peer,
        class: CarryClass,
        body: &'a [u8],
        within: Duration,
    ) -> Carried<'a> {
        let api = match class {
            CarryClass::Lifecycle => PrivateApi::Broker,
            CarryClass::Admin => PrivateApi::Forward,
        };
        Box::pin(async move {
            let answer = self.0.call(self.0.addresses(peer), api, body, within);
            answer.await.map_err(|error| match error {
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
            let peer = config::Peer {
                id: crate::metadata::BrokerId::from_wire(1).unwrap(),
                host: host.to_owned(),
                port: 1,
            };
            assert_eq!(peer.address(), written);
            assert_eq!(host_port(written), (host, 1));
        }
    }
}

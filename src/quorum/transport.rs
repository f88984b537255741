//! Calls to the other nodes of the quorum.
//!
//! - A connection for each kind of calls to each node, never shared: an append's answer must not queue behind a
//!   piece of a snapshot.
//! - A node is looked for where `--peers` says, and where the membership says: one of them may be out of date.
//! - A connection that broke is opened anew by the next call; nothing is sent twice.

mod link;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_raft::{CallClass, CallFuture, NodeId, Peer, Transport, TransportError};

use super::hello::{Hello, HelloError};
use super::node_id;
use crate::broker::controller_channel::{Carried, Carry, CarryClass, CarryError};
use crate::config;
use crate::net::peer::{PeerError, PeerLimits};
use crate::wire::private::{PrivateApi, PrivateRequest, answer_body};
use link::{Link, OpenError};

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

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It was not sent.
    #[error(transparent)]
    NotSent(Arc<OpenError>),
    /// It may have arrived.
    #[error(transparent)]
    Unknown(#[from] PeerError),
}

/// Why a node did not introduce itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Call(#[from] CallError),
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
                let limits = match api {
                    PrivateApi::Forward => FORWARD_LIMITS,
                    _ => LIMITS,
                };
                Arc::new(Link::new(addresses.clone(), limits))
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
    ) -> Result<Vec<u8>, CallError> {
        let connection = self.link(addresses, api).connected(within).await;
        let connection = connection.map_err(CallError::NotSent)?;
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
                CallError::NotSent(_) => TransportError::Unreachable(error.into()),
                CallError::Unknown(_) => TransportError::Broken(error.into()),
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
                CallError::NotSent(_) => CarryError::NotSent(error.into()),
                CallError::Unknown(_) => CarryError::Unknown(error.into()),
            })
        })
    }
}

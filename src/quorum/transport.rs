//! Calls to the other nodes of the quorum.
//!
//! - A connection for each kind of calls to each node, never shared: an append's answer must not queue behind a
//!   piece of a snapshot.
//! - A node is looked for where `--peers` says, and where the membership says: one of them may be out of date, and
//!   somebody else may answer there.
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
use crate::wire::private::PrivateApi;
use link::{Identity, Link, OpenError};

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
/// How long a peer is waited for that is asked for its own sake.
const ASK_WITHIN: Duration = Duration::from_millis(500);

/// Connections to the nodes that were called so far.
#[derive(Clone, Debug)]
pub(super) struct Peers(Arc<Book>);

#[derive(Debug)]
struct Book {
    /// Where `--peers` says that nodes are.
    named: BTreeMap<NodeId, String>,
    links: Mutex<Links>,
}

type Links = HashMap<(Whom, PrivateApi), Arc<Link>>;

/// Whom a call is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Whom {
    addresses: Vec<String>,
    /// `None` for whoever listens there.
    addressee: Option<Identity>,
}

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

    fn link(&self, whom: Whom, api: PrivateApi) -> Arc<Link> {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.entry((whom, api)).or_insert_with_key(|(whom, api)| {
            let limits = match api {
                PrivateApi::Forward => FORWARD_LIMITS,
                _ => LIMITS,
            };
            Arc::new(Link::new(whom.addresses.clone(), whom.addressee, limits))
        });
        Arc::clone(link)
    }

    /// A member, wherever it may be.
    fn member(&self, peer: &Peer) -> Whom {
        let mut addresses: Vec<_> = self.0.named.get(&peer.id).cloned().into_iter().collect();
        let stored = &peer.member.address;
        // A node that began alone has stored none.
        if !stored.is_empty() && !addresses.contains(stored) {
            addresses.push(stored.clone());
        }
        let addressee = Some(Identity {
            node: peer.id,
            directory: peer.member.directory,
        });
        Whom {
            addresses,
            addressee,
        }
    }

    async fn call(
        &self,
        whom: Whom,
        api: PrivateApi,
        body: &[u8],
        within: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let connection = self.link(whom, api).connected(within).await;
        let connection = connection.map_err(CallError::NotSent)?;
        Ok(link::exchange(&connection, api, body, within).await?)
    }

    /// Introduces `me` to whoever listens at `address`, and returns who that is.
    pub(super) async fn ask(&self, address: String, me: &Hello) -> Result<Hello, AskError> {
        let me = me.encode();
        let whom = Whom {
            addresses: vec![address],
            addressee: None,
        };
        let answer = self.call(whom, PrivateApi::Hello, &me, ASK_WITHIN);
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
            let answer = Self::call(self, self.member(peer), api, &request, timeout);
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
            let answer = self.0.call(self.0.member(peer), api, body, within);
            answer.await.map_err(|error| match error {
                CallError::NotSent(_) => CarryError::NotSent(error.into()),
                CallError::Unknown(_) => CarryError::Unknown(error.into()),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use ottla_raft::{DirectoryId, Member};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use uuid::Uuid;

    use super::super::hello::PeersDigest;
    use super::*;
    use crate::metadata::BrokerId;
    use crate::wire::private::{PrivateRequest, encode_answer};

    const WITHIN: Duration = Duration::from_secs(10);

    fn id() -> BrokerId {
        BrokerId::from_wire(1).unwrap()
    }

    async fn answer_all(mut socket: TcpStream, hello: Hello, directory: u128) {
        while let Ok(size) = socket.read_u32().await {
            let mut frame = vec![0; usize::try_from(size).unwrap()];
            socket.read_exact(&mut frame).await.unwrap();
            let request = PrivateRequest::decode(&frame).unwrap();
            let body = match request.api {
                PrivateApi::Hello => hello.encode(),
                _ => directory.to_be_bytes().to_vec(),
            };
            let answer = encode_answer(request.correlation_id, &body).unwrap();
            let answer = answer.into_bytes().unwrap();
            socket.write_all(&answer).await.unwrap();
        }
    }

    /// A listener that says it is node 1 with that directory, and answers each call with its number.
    async fn node(directory: u128) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let hello = Hello {
            node: id(),
            directory: Uuid::from_u128(directory),
            cluster: None,
            is_initialized: false,
            peers: PeersDigest(0),
        };
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer_all(socket, hello, directory));
            }
        });
        address
    }

    fn named(address: &str) -> [config::Peer; 1] {
        let (host, port) = address.rsplit_once(':').unwrap();
        [config::Peer {
            id: id(),
            host: host.to_owned(),
            port: port.parse().unwrap(),
        }]
    }

    fn member(directory: u128, address: &str) -> Peer {
        Peer {
            id: node_id(id()),
            member: Member {
                directory: DirectoryId(directory.to_be_bytes()),
                address: address.to_owned(),
            },
        }
    }

    /// `--peers` named a machine that another node had got meanwhile: it refused every call, and the node was never
    /// looked for where the membership says.
    #[tokio::test]
    async fn a_node_is_found_though_another_listens_where_peers_says() {
        let (other, right) = (node(7).await, node(8).await);
        let peer = member(8, &right);
        let peers = Peers::new(&named(&other));
        let call = || {
            Transport::call(
                &peers,
                &peer,
                CallClass::Consensus,
                b"vote".to_vec(),
                WITHIN,
            )
        };
        let first = call().await;
        assert!(matches!(first, Err(TransportError::Unreachable(_))));
        for _ in 0..2 {
            assert_eq!(call().await.unwrap(), 8_u128.to_be_bytes());
        }
        let carriers = Carriers::new(&named(&other));
        let call = || carriers.carry(&peer, CarryClass::Lifecycle, b"register", WITHIN);
        assert!(matches!(call().await, Err(CarryError::NotSent(_))));
        assert_eq!(call().await.unwrap(), 8_u128.to_be_bytes());
    }

    /// openraft waits before it calls the unreachable again, and sends at once after a connection that broke: a proxy
    /// that accepts for a dead node kept both sides busy.
    #[tokio::test]
    async fn who_accepts_and_hangs_up_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        let peers = Peers::new(&[]);
        let peer = member(8, &address);
        for class in [CallClass::Consensus, CallClass::Snapshot] {
            let called = Transport::call(&peers, &peer, class, b"vote".to_vec(), WITHIN).await;
            assert!(matches!(called, Err(TransportError::Unreachable(_))));
        }
    }
}

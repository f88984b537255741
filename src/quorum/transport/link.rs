//! One way to one node: a connection that may be open, or not yet, or not any more.
//!
//! - A task of its own opens it. openraft drops an append after a heartbeat and a vote after an election timeout; a
//!   look-up of a name or a connect that takes longer would never come to its end within such a call. Who gives up
//!   waiting stops nothing, and who calls next finds the connection open.
//! - One opening at a time; all who call meanwhile wait for that one.
//! - Where a node may be is tried turn by turn: the address where it was found stays, after another one it is the next
//!   one's turn.
//! - Found means that the node has said who it is. An old `--peers` may name an address that somebody else has by now:
//!   who refuses each call there would keep the node from being looked for where it is. Asked before the first call, so
//!   that a call that was sent has reached its addressee, and an end that accepts and hangs up is as good as none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_raft::{DirectoryId, NodeId};
use tokio::sync::watch;

use crate::net::peer::{PeerConnection, PeerError, PeerLimits};
use crate::quorum::hello::{Hello, HelloError};
use crate::quorum::node_id;
use crate::wire::private::{PrivateApi, PrivateRequest, answer_body};

/// How long a node may take to say who it is.
const HELLO_WITHIN: Duration = Duration::from_millis(500);

/// How an opening ended; many may have waited for it.
type Opened = Result<Arc<PeerConnection>, Arc<OpenError>>;
/// An opening under way, or over.
type Opening = watch::Receiver<Option<Opened>>;

/// A node and its disk. A wiped disk makes it another one, which refuses what is meant for the former.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::quorum) struct Identity {
    pub(super) node: NodeId,
    pub(super) directory: DirectoryId,
}

/// A way to a node.
#[derive(Debug)]
pub(super) struct Link {
    /// Where the node may be.
    addresses: Vec<String>,
    /// Who it is; `None` for whoever listens there.
    addressee: Option<Identity>,
    limits: PeerLimits,
    /// Which of the addresses is tried next.
    next: AtomicUsize,
    /// What came of the last opening, or will.
    last: Mutex<Option<Opening>>,
}

/// Why there is no connection. Nothing that was to be called has been sent.
#[derive(Debug, thiserror::Error)]
pub(in crate::quorum) enum OpenError {
    /// Nobody answers there.
    #[error("{address}: {source}")]
    Connect { address: String, source: PeerError },
    /// Who answers did not say who it is.
    #[error("{address} did not introduce itself: {source}")]
    Silent { address: String, source: PeerError },
    /// Who answers is no node, or one that does not know yet what to say.
    #[error("{address} did not introduce itself: {source}")]
    Unknown { address: String, source: HelloError },
    /// Somebody else answers.
    #[error("{address} is node {} with directory {}", found.node, found.directory)]
    Other { address: String, found: Identity },
    /// It goes on, and the caller no longer waits.
    #[error("no connection within {} ms", after.as_millis())]
    Late { after: Duration },
    /// The runtime ended meanwhile.
    #[error("the node stops")]
    Stopping,
}

impl Link {
    pub(super) fn new(
        addresses: Vec<String>,
        addressee: Option<Identity>,
        limits: PeerLimits,
    ) -> Self {
        Self {
            addresses,
            addressee,
            limits,
            next: AtomicUsize::new(0),
            last: Mutex::new(None),
        }
    }

    /// The open connection, after as long as it takes to open one, but not longer than `within`. Must be called within
    /// the runtime that the connection is to live on.
    ///
    /// # Errors
    /// [`OpenError`]; the next call tries again, at the next address.
    pub(super) async fn connected(self: &Arc<Self>, within: Duration) -> Opened {
        let mut opening = self.opening();
        let opened = tokio::time::timeout(within, opening.wait_for(Option::is_some)).await;
        let late = OpenError::Late { after: within };
        let opened = opened.map_err(|_| Arc::new(late))?;
        let opened = opened.ok().and_then(|opened| opened.clone());
        opened.unwrap_or_else(|| Err(Arc::new(OpenError::Stopping)))
    }

    /// The last opening if it is of use, else a new one.
    fn opening(self: &Arc<Self>) -> Opening {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opening) = last.as_ref().filter(|opening| is_of_use(opening)) {
            return opening.clone();
        }
        let (opened, opening) = watch::channel(None);
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = link.open().await;
            opened.send_replace(Some(outcome.map(Arc::new).map_err(Arc::new)));
        });
        *last = Some(opening.clone());
        opening
    }

    async fn open(&self) -> Result<PeerConnection, OpenError> {
        let at = self.next.load(Ordering::Relaxed);
        let address = self.addresses.get(at % self.addresses.len().max(1));
        let address = address.map_or("", String::as_str);
        let reached = self.reach(address).await;
        if let Err(error) = &reached {
            tracing::debug!(%error, "a node was not found where it was looked for");
            self.next.store(at.wrapping_add(1), Ordering::Relaxed);
        }
        reached
    }

    async fn reach(&self, address: &str) -> Result<PeerConnection, OpenError> {
        let connection = PeerConnection::open(host_port(address), self.limits).await;
        let connection = connection.map_err(|source| OpenError::Connect {
            address: address.to_owned(),
            source,
        })?;
        if let Some(addressee) = self.addressee {
            let found = introduced(&connection, address).await?;
            if found != addressee {
                let address = address.to_owned();
                return Err(OpenError::Other { address, found });
            }
        }
        Ok(connection)
    }
}

/// Who the other end says it is.
async fn introduced(connection: &PeerConnection, address: &str) -> Result<Identity, OpenError> {
    // An answer needs nothing to be known of who asks.
    let answer = exchange(connection, PrivateApi::Hello, b"", HELLO_WITHIN).await;
    let answer = answer.map_err(|source| OpenError::Silent {
        address: address.to_owned(),
        source,
    })?;
    let hello = Hello::decode(&answer).map_err(|source| OpenError::Unknown {
        address: address.to_owned(),
        source,
    })?;
    Ok(Identity {
        node: node_id(hello.node),
        directory: DirectoryId(*hello.directory.as_bytes()),
    })
}

/// Sends the body of a call and waits for the body of its answer.
pub(super) async fn exchange(
    connection: &PeerConnection,
    api: PrivateApi,
    body: &[u8],
    within: Duration,
) -> Result<Vec<u8>, PeerError> {
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

/// Whether it is under way or its connection is open.
fn is_of_use(opening: &Opening) -> bool {
    match &*opening.borrow() {
        Some(Ok(connection)) => !connection.is_broken(),
        Some(Err(_)) => false,
        // Its task may be gone with an earlier runtime.
        None => opening.has_changed().is_ok(),
    }
}

/// The parts of `host:port`; an IPv6 address stands in brackets. What is neither can't be resolved, and says so.
fn host_port(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    (host, port.parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::config;

    const LIMITS: PeerLimits = PeerLimits {
        in_flight_count: 1,
        response_bytes: 1 << 10,
        connect: Duration::from_secs(10),
        unacknowledged: None,
    };

    /// A name server that took 50 ms kept a leader from ever reaching its follower: each append gave up after 40 ms,
    /// and took the connection that was being made with it.
    #[tokio::test]
    async fn a_caller_that_gives_up_stops_no_opening() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let link = Arc::new(Link::new(vec![address], None, LIMITS));
        for _ in 0..1000 {
            // Its time is over when it is first polled.
            if link.connected(Duration::ZERO).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it is never open");
    }

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

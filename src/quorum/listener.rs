//! What other nodes of the quorum ask this one.
//!
//! - Before this node has found its cluster it answers `Hello` and nothing else: a call of the quorum is answered
//!   with no bytes, which no caller takes for a vote or an acknowledgement.
//! - It never says that it has no quorum while it can't know: between the start of a disk that has a cluster and the
//!   opening of its log it does not introduce itself, and once its quorum has stopped it still counts as one. Else a
//!   wiped peer could take restarting nodes for empty ones, and begin a second history.
//! - Identities are checked by the quorum itself, before a call has any effect.
//! - The calls of brokers go to whoever serves them, once the node has set that; what a connection has of it is dropped
//!   when the connection ends.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::{Buf, BytesMut};
use ottla_raft::Raft;
use uuid::Uuid;

use super::hello::Hello;
use crate::broker::core::Core;
use crate::broker::reply::{CloseReason, Reply, Response, Service};
use crate::net::CoreStart;
use crate::wire::private::{PrivateApi, PrivateRequest, encode_answer};

/// The body of an answer, on its way. It stays on the listener's thread.
pub type CallAnswer = Pin<Box<dyn Future<Output = Vec<u8>>>>;

/// What serves the calls of brokers.
pub trait ServeBrokers: Send + Sync {
    /// The part of one connection, made on the listener's thread; it is dropped when the connection ends.
    fn connected(&self, core: &Rc<Core>) -> Box<dyn BrokerConnection>;
}

/// The calls of one connection.
pub trait BrokerConnection {
    /// Answers a call of a broker for itself, given its body.
    fn broker(&self, body: BytesMut) -> CallAnswer;

    /// Answers a call that a broker passes on for a client, given its body.
    fn forward(&self, body: BytesMut) -> CallAnswer;
}

/// What the connections answer from; shared with whoever starts the quorum.
#[derive(Clone)]
pub(super) struct Doors(Arc<Inner>);

/// The door for the calls of brokers.
#[derive(Clone)]
pub struct BrokerDoor(pub(super) Doors);

impl std::fmt::Debug for BrokerDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerDoor").finish_non_exhaustive()
    }
}

impl BrokerDoor {
    /// Lets the calls in. The first one set stays.
    pub fn serve(&self, brokers: Arc<dyn ServeBrokers>) {
        let _ = self.0.0.brokers.set(brokers);
    }
}

struct Inner {
    hello: Mutex<Hello>,
    raft: OnceLock<Raft>,
    brokers: OnceLock<Arc<dyn ServeBrokers>>,
}

impl Doors {
    /// Doors behind which there is no quorum yet.
    pub(super) fn new(hello: Hello) -> Self {
        Self(Arc::new(Inner {
            hello: Mutex::new(hello),
            raft: OnceLock::new(),
            brokers: OnceLock::new(),
        }))
    }

    pub(super) fn hello(&self) -> Hello {
        *self.0.hello.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk belongs to a cluster from now on.
    pub(super) fn set_cluster(&self, cluster: Uuid) {
        let mut hello = self.0.hello.lock().unwrap_or_else(PoisonError::into_inner);
        hello.cluster = Some(cluster);
    }

    /// Lets the calls of the quorum in.
    pub(super) fn open(&self, raft: Raft) {
        let _ = self.0.raft.set(raft);
    }
}

impl Doors {
    /// What this node says of itself now; nothing if it can't know.
    async fn introduce(&self) -> Option<Hello> {
        let hello = self.hello();
        let is_initialized = match self.0.raft.get() {
            _ if hello.is_initialized => true,
            Some(raft) => raft.is_initialized().await.unwrap_or(true),
            None if hello.cluster.is_some() => return None,
            None => false,
        };
        Some(Hello {
            is_initialized,
            ..hello
        })
    }
}

/// One connection.
pub(super) struct Visit {
    doors: Doors,
    core: Rc<Core>,
    calls: OnceCell<Box<dyn BrokerConnection>>,
}

impl Visit {
    fn calls(&self) -> Option<&dyn BrokerConnection> {
        if self.calls.get().is_none() {
            let brokers = self.doors.0.brokers.get()?;
            let _ = self.calls.set(brokers.connected(&self.core));
        }
        self.calls.get().map(AsRef::as_ref)
    }
}

impl Service for Visit {
    fn start(&self, mut frame: BytesMut) -> Reply {
        let request = match PrivateRequest::decode(&frame) {
            Ok(request) => request,
            Err(error) => return Reply::Close(error.into()),
        };
        let correlation_id = request.correlation_id;
        let start = frame.len() - request.body.len();
        match request.api {
            PrivateApi::Hello => {
                let doors = self.doors.clone();
                Reply::held(async move {
                    let hello = doors.introduce().await.map(|hello| hello.encode());
                    answer(correlation_id, &hello.unwrap_or_default())
                })
            }
            api @ (PrivateApi::Broker | PrivateApi::Forward) => {
                let Some(calls) = self.calls() else {
                    return answer(correlation_id, b"");
                };
                frame.advance(start);
                let answered = match api {
                    PrivateApi::Broker => calls.broker(frame),
                    _ => calls.forward(frame),
                };
                Reply::held(async move { answer(correlation_id, &answered.await) })
            }
            PrivateApi::Consensus | PrivateApi::Snapshot => {
                let Some(raft) = self.doors.0.raft.get().cloned() else {
                    return answer(correlation_id, b"");
                };
                Reply::held(async move {
                    let body = frame.get(start..).unwrap_or_default();
                    answer(correlation_id, &raft.handle(body).await)
                })
            }
        }
    }
}

fn answer(correlation_id: i32, body: &[u8]) -> Reply {
    match encode_answer(correlation_id, body) {
        Ok(segments) => Reply::Ready(Response {
            segments,
            files: Vec::new(),
        }),
        Err(error) => Reply::Close(CloseReason::Answer(error)),
    }
}

impl CoreStart for Doors {
    type Service = Visit;

    fn start(self, _core: usize) -> Box<dyn Fn(SocketAddr) -> Visit> {
        let core = Core::start();
        Box::new(move |_| Visit {
            doors: self.clone(),
            core: core.clone(),
            calls: OnceCell::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::PeersDigest;
    use super::*;
    use crate::metadata::BrokerId;

    fn introduced(cluster: Option<Uuid>) -> Option<Hello> {
        let doors = Doors::new(Hello {
            node: BrokerId::from_wire(1).unwrap(),
            directory: Uuid::from_u128(1),
            cluster,
            is_initialized: false,
            peers: PeersDigest(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(doors.introduce())
    }

    #[test]
    fn a_disk_with_a_cluster_is_silent_until_its_log_is_open() {
        assert!(introduced(None).is_some_and(|hello| !hello.is_initialized));
        assert_eq!(introduced(Some(Uuid::from_u128(2))), None);
    }
}

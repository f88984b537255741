//! This broker's way to the controller, wherever that is.
//!
//! - The controller is the quorum's leader: its name and address come from the quorum itself; a node that was asked in
//!   vain may know better.
//! - A node that leads itself serves its own calls, through the same function and from the same bytes as another's.
//! - A call that surely was not carried out is tried again until its time is over; one that may have been is not.
//! - Connections live on the quorum's runtime: a busy core holds up no call of another one.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use ottla_raft::{NodeId, Peer};
use ottla_storage::time::MonoMillis;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::controller_service::ControllerService;
use crate::clock;
use crate::controller::QuorumView;
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion};
use crate::wire::envelope::{Answer, BrokerCall, Envelope, ForwardCall};
use crate::wire::messages::ControllerRequest;
use crate::wire::writer::{EncodeError, Writer};

/// Between two looks for the controller.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// How often a call that waits looks whether the one it asked still leads.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A leadership that nobody told us of.
const NO_HINT: i32 = -1;

/// Calls of one class share a connection, and never wait for those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CarryClass {
    /// The broker's own: registration, heartbeats, ISR changes.
    Lifecycle,
    /// Those of clients.
    Admin,
}

/// A carried call's answer, on its way.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, CarryError>> + Send + 'a>>;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// It was not sent.
    #[error("{0}")]
    NotSent(#[source] Box<dyn Error + Send + Sync>),
    /// It may have arrived.
    #[error("{0}")]
    Unknown(#[source] Box<dyn Error + Send + Sync>),
}

/// Carries calls to other nodes.
pub trait Carry: fmt::Debug + Send + Sync {
    /// Sends the body of a call to a member of the quorum and waits for the body of its answer.
    fn carry<'a>(
        &'a self,
        peer: &'a Peer,
        class: CarryClass,
        body: &'a [u8],
        within: Duration,
    ) -> Carried<'a>;
}

/// Why the controller did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nobody was found who leads; nothing was carried out.
    #[error("the controller can't be reached")]
    NoController,
    /// It may have been carried out.
    #[error("the controller changed, or did not answer in time")]
    OutcomeUnknown,
    /// The call is longer than a frame can be; nothing was sent.
    #[error("the request is too large to be sent to the controller")]
    TooLarge,
    /// This node's metadata differ from the controller's of the same version: it must end.
    #[error("the metadata of this node differ from those of the controller")]
    Diverged,
}

/// What the controller has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its image by then.
    pub version: ImageVersion,
    /// The message, or the whole response.
    pub body: Vec<u8>,
}

/// A client's request to pass on.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// The listener it came to.
    pub listener: Arc<str>,
    /// Who sent it.
    pub principal: Arc<str>,
    /// From where.
    pub client: String,
    /// Header and message.
    pub frame: Vec<u8>,
}

/// The way to the controller. Clones are the same one.
#[derive(Clone, Debug)]
pub struct ControllerChannel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: ControllerService,
    quorum: Arc<dyn QuorumView>,
    carry: Box<dyn Carry>,
    /// The registration of this process.
    registration: watch::Sender<Option<BrokerEpoch>>,
    runtime: Handle,
    /// Whom the last node that was asked in vain takes for the leader.
    hint: AtomicI32,
}

/// A call whose envelope is not written yet.
enum Call {
    Broker {
        api_key: i16,
        api_version: i16,
        message: Vec<u8>,
    },
    Forward(ClientRequest),
}

impl ControllerChannel {
    /// The way of the node that `service` serves; its calls run on `runtime`.
    pub fn new(
        service: ControllerService,
        quorum: Arc<dyn QuorumView>,
        carry: Box<dyn Carry>,
        runtime: Handle,
    ) -> Self {
        let registration = watch::Sender::new(None);
        Self(Arc::new(Inner {
            service,
            quorum,
            carry,
            registration,
            runtime,
            hint: AtomicI32::new(NO_HINT),
        }))
    }

    /// Where the registration of this process is told.
    pub(super) fn registration(&self) -> watch::Sender<Option<BrokerEpoch>> {
        self.0.registration.clone()
    }

    /// Asks the controller for this broker. The answer is a message in the request's newest version.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn ask<R: ControllerRequest>(
        &self,
        request: &R,
        within: Duration,
    ) -> Result<Answered, Unanswered> {
        let api_version = R::API.served().max;
        let mut writer = Writer::new();
        request.encode(&mut writer, api_version);
        let segments = writer.finish().map_err(|_| Unanswered::TooLarge)?;
        let call = Call::Broker {
            api_key: R::API.code(),
            api_version,
            message: segments.into_bytes().unwrap_or_default().into(),
        };
        self.run(call, within).await
    }

    /// Passes a client's request on.
    ///
    /// # Errors
    /// [`Unanswered`]; `NoController` also if this node turns out to lead.
    pub async fn forward(
        &self,
        request: ClientRequest,
        within: Duration,
    ) -> Result<Answered, Unanswered> {
        self.run(Call::Forward(request), within).await
    }

    async fn run(&self, call: Call, within: Duration) -> Result<Answered, Unanswered> {
        let inner = Arc::clone(&self.0);
        let calling = async move { inner.call(&call, within).await };
        let called = self.0.runtime.spawn(calling).await;
        // The runtime ends with the node.
        called.unwrap_or(Err(Unanswered::OutcomeUnknown))
    }
}

impl Inner {
    async fn call(&self, call: &Call, within: Duration) -> Result<Answered, Unanswered> {
        let deadline = clock::mono().saturating_add(within);
        let mut pause = PAUSE_MIN;
        loop {
            match self.attempt(call, deadline).await? {
                Attempt::Answered(answered) => return Ok(answered),
                Attempt::Mine => return Err(Unanswered::NoController),
                Attempt::Again => {}
            }
            if deadline.since(clock::mono()) <= pause {
                return Err(Unanswered::NoController);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, call: &Call, deadline: MonoMillis) -> Result<Attempt, Unanswered> {
        let Some(target) = self.target() else {
            return Ok(Attempt::Again);
        };
        let body = self.encode(call, target.leader);
        let body = body.map_err(|_| Unanswered::TooLarge)?;
        let class = match call {
            Call::Broker { .. } => CarryClass::Lifecycle,
            Call::Forward(_) => CarryClass::Admin,
        };
        let bytes = match target.peer {
            None if class == CarryClass::Admin => return Ok(Attempt::Mine),
            None => {
                let within = deadline.since(clock::mono());
                let answer = tokio::time::timeout(within, self.service.answer(&body)).await;
                answer.map_err(|_| Unanswered::OutcomeUnknown)?.bytes
            }
            Some(peer) => {
                let within = deadline.since(clock::mono());
                let carried = tokio::select! {
                    carried = self.carry.carry(&peer, class, &body, within) => carried,
                    () = self.deposed(target.leader) => return Err(Unanswered::OutcomeUnknown),
                };
                match carried {
                    Ok(bytes) => bytes,
                    Err(CarryError::NotSent(error)) => {
                        tracing::debug!(leader = %target.leader, error, "the controller can't be reached");
                        self.hint.store(NO_HINT, Ordering::Relaxed);
                        return Ok(Attempt::Again);
                    }
                    Err(CarryError::Unknown(error)) => {
                        tracing::debug!(leader = %target.leader, error, "no answer of the controller");
                        self.hint.store(NO_HINT, Ordering::Relaxed);
                        return Err(Unanswered::OutcomeUnknown);
                    }
                }
            }
        };
        self.judge(&bytes)
    }

    fn judge(&self, bytes: &[u8]) -> Result<Attempt, Unanswered> {
        if bytes.is_empty() {
            // It does not serve yet.
            self.hint.store(NO_HINT, Ordering::Relaxed);
            return Ok(Attempt::Again);
        }
        match Answer::decode(bytes) {
            Ok(Answer::Ok {
                image_version,
                body,
            }) => Ok(Attempt::Answered(Answered {
                version: ImageVersion(image_version),
                body: body.to_vec(),
            })),
            Ok(Answer::NotController { leader }) => {
                self.hint
                    .store(leader.unwrap_or(NO_HINT), Ordering::Relaxed);
                Ok(Attempt::Again)
            }
            Ok(Answer::Stranger) => {
                self.hint.store(NO_HINT, Ordering::Relaxed);
                Ok(Attempt::Again)
            }
            Ok(Answer::Diverged) => Err(Unanswered::Diverged),
            // It has answered, or this build can't read what: another try would be answered alike.
            Ok(Answer::Unanswerable) | Err(_) => Err(Unanswered::OutcomeUnknown),
        }
    }

    /// Whom to ask: the leader that this node knows of, or the one that it was pointed to.
    fn target(&self) -> Option<Target> {
        let metrics = self.quorum.metrics();
        let hint = self.hint.swap(NO_HINT, Ordering::Relaxed);
        let hint = u64::try_from(hint).ok().map(NodeId);
        let node = hint
            .filter(|hint| *hint != metrics.node)
            .or(metrics.leader)?;
        let leader = i32::try_from(node.0).ok().and_then(BrokerId::from_wire)?;
        if node == metrics.node {
            let peer = None;
            return Some(Target { leader, peer });
        }
        let voter = metrics.voters.get(&node);
        let member = voter.or_else(|| metrics.observers.get(&node))?;
        let peer = Some(Peer {
            id: node,
            member: member.clone(),
        });
        Some(Target { leader, peer })
    }

    /// Returns once this node hears of a leader that is not the one asked.
    async fn deposed(&self, asked: BrokerId) {
        let asked = NodeId(u64::from(asked.get().unsigned_abs()));
        // Whoever was asked upon a hint may be newer than what this node knows.
        let known = self.quorum.metrics().leader;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.quorum.metrics().leader;
            if now.is_some() && now != known && now != Some(asked) {
                return;
            }
        }
    }

    fn encode(&self, call: &Call, addressee: BrokerId) -> Result<Vec<u8>, EncodeError> {
        let envelope = self.envelope(addressee);
        match call {
            Call::Broker {
                api_key,
                api_version,
                message,
            } => BrokerCall {
                envelope,
                api_key: *api_key,
                api_version: *api_version,
                message,
            }
            .encode(),
            Call::Forward(request) => ForwardCall {
                envelope,
                listener: (*request.listener).into(),
                principal: (*request.principal).into(),
                client: request.client.as_str().into(),
                frame: &request.frame,
            }
            .encode(),
        }
    }

    fn envelope(&self, addressee: BrokerId) -> Envelope {
        let image = self.service.metadata().image();
        Envelope {
            cluster: self.service.cluster(),
            sender: self.service.node().get(),
            sender_epoch: BrokerEpoch::to_wire(*self.registration.borrow()),
            addressee: addressee.get(),
            image_version: image.version().0,
            image_digest: image.digest(),
        }
    }
}

/// Whom to ask.
struct Target {
    leader: BrokerId,
    /// `None` for this node itself.
    peer: Option<Peer>,
}

/// What became of one try.
enum Attempt {
    Answered(Answered),
    /// This node leads, so there is nobody to pass a request on to.
    Mine,
    Again,
}

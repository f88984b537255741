//! Where other nodes ask this one as their controller: the quorum listener's calls meet the broker's handlers.
//!
//! - A connection that carried a registered broker's own calls and ends makes the controller look whether the process
//!   is still there.
//! - A request that another broker passes on is answered by the very handler that answers this node's clients, and goes
//!   no further.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;

use crate::broker::Broker;
use crate::broker::context::ConnectionContext;
use crate::broker::controller_service::ControllerService;
use crate::broker::core::Core;
use crate::broker::dispatch::{Dispatcher, is_for_controller};
use crate::broker::reply::{Reply, Service as _};
use crate::metadata::{BrokerEpoch, BrokerId};
use crate::quorum::{BrokerConnection, CallAnswer, ServeBrokers};
use crate::wire::envelope::ForwardCall;
use crate::wire::header::RequestHeader;
use crate::wire::reader::Reader;

/// Bytes of a frame's size.
const SIZE_BYTES: usize = 4;

/// Serves the calls of brokers.
pub(super) struct Desk {
    service: ControllerService,
    broker: Arc<Broker>,
}

/// One connection of another broker.
struct Caller {
    service: ControllerService,
    broker: Arc<Broker>,
    core: Rc<Core>,
    /// Whose own calls came over it.
    registered: Rc<Cell<Option<(BrokerId, BrokerEpoch)>>>,
}

impl Desk {
    pub(super) fn new(service: ControllerService, broker: Arc<Broker>) -> Self {
        Self { service, broker }
    }
}

impl ServeBrokers for Desk {
    fn connected(&self, core: &Rc<Core>) -> Box<dyn BrokerConnection> {
        Box::new(Caller {
            service: self.service.clone(),
            broker: self.broker.clone(),
            core: core.clone(),
            registered: Rc::default(),
        })
    }
}

impl BrokerConnection for Caller {
    fn broker(&self, body: BytesMut) -> CallAnswer {
        let (service, registered) = (self.service.clone(), self.registered.clone());
        Box::pin(async move {
            let served = service.answer(&body).await;
            if served.broker.is_some() {
                registered.set(served.broker);
            }
            served.bytes
        })
    }

    fn forward(&self, body: BytesMut) -> CallAnswer {
        let (service, broker) = (self.service.clone(), self.broker.clone());
        let core = self.core.clone();
        Box::pin(async move {
            let call = match ForwardCall::decode(&body) {
                Ok(call) => call,
                Err(error) => {
                    tracing::warn!(%error, "a request that was passed on can't be read");
                    return Vec::new();
                }
            };
            if let Some(refusal) = service.refusal(&call.envelope) {
                return refusal.encode().unwrap_or_default();
            }
            match respond(broker, core, &call).await {
                Some(response) => service.answered(&response),
                None => Vec::new(),
            }
        })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some((broker, epoch)) = self.registered.get() {
            tracing::debug!(%broker, "the connection of a broker has ended");
            self.service.suspect(broker, epoch);
        }
    }
}

/// The response without its size; `None` if the request can't have been meant for this.
async fn respond(broker: Arc<Broker>, core: Rc<Core>, call: &ForwardCall<'_>) -> Option<Vec<u8>> {
    let header = RequestHeader::decode(&mut Reader::new(call.frame)).ok()?;
    if !is_for_controller(header.api) || !header.is_served() {
        return None;
    }
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let connection = ConnectionContext {
        listener: (*call.listener).into(),
        peer: call.client.parse().unwrap_or(unknown),
        principal: (*call.principal).into(),
        is_forwarded: true,
    };
    let dispatcher = Dispatcher::new(broker, core, connection);
    match dispatcher.start(BytesMut::from(call.frame)).settled().await {
        Reply::Ready(response) => {
            let bytes = response.segments.into_bytes()?;
            bytes.get(SIZE_BYTES..).map(Into::into)
        }
        Reply::Close(reason) => {
            tracing::warn!(%reason, "a request that was passed on can't be answered");
            None
        }
        Reply::Silent | Reply::Waiting(_) | Reply::Held(_) => None,
    }
}

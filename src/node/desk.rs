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
use crate::broker::controller_service::{ControllerService, encode};
use crate::broker::core::Core;
use crate::broker::dispatch::{Dispatcher, is_for_controller};
use crate::broker::reply::{Reply, Service as _};
use crate::metadata::{BrokerEpoch, BrokerId};
use crate::quorum::{BrokerConnection, CallAnswer, ServeBrokers};
use crate::wire::envelope::{Answer, ForwardCall};
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
                    return encode(&Answer::Unanswerable);
                }
            };
            if let Some(refusal) = service.refusal(&call.envelope) {
                return encode(&refusal);
            }
            match respond(broker, core, &call).await {
                Some(response) => service.answered(&response),
                None => encode(&Answer::Unanswerable),
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

/// The response without its size; `None` if there is none: the client's connection would be closed here.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ottla_raft::{LogIndex, Metrics, NodeId, Term};
    use tokio::task::LocalSet;
    use uuid::Uuid;

    use super::*;
    use crate::broker::admin::Admin;
    use crate::config::{NodeConfig, Sources};
    use crate::controller::driver::fake;
    use crate::controller::{QuorumView, Settings};
    use crate::metadata::Publisher;
    use crate::replica::replicas::Outbound;
    use crate::replica::{ReplicaMap, Replicas, following, isr_change, worker};
    use crate::wire::api::ApiKey;
    use crate::wire::envelope::Envelope;
    use crate::wire::frame::encode_request;

    const CLUSTER: Uuid = Uuid::from_u128(7);
    const ME: BrokerId = BrokerId::from_wire(1).unwrap();

    /// Node 1 leads itself.
    #[derive(Debug)]
    struct Alone;

    impl QuorumView for Alone {
        fn metrics(&self) -> Metrics {
            Metrics {
                node: NodeId(1),
                term: Term(1),
                leader: Some(NodeId(1)),
                log_end: LogIndex(0),
                high_watermark: LogIndex(0),
                applied: None,
                snapshot: None,
                purged: None,
                voters: BTreeMap::new(),
                voter_sets: Vec::new(),
                observers: BTreeMap::new(),
                replicas: BTreeMap::new(),
                is_disk_full: false,
            }
        }
    }

    fn caller() -> Box<dyn BrokerConnection> {
        let config = NodeConfig::load(&Sources::default()).unwrap();
        let metadata = Publisher::default();
        let (controller, _, _) = fake::spawn(metadata.clone(), Settings::new(&config));
        let names = (CLUSTER, "cluster".into());
        let quorum = Arc::new(Alone);
        let service = ControllerService::new(
            ME,
            names,
            controller.clone(),
            quorum.clone(),
            metadata.clone(),
        );
        let outbound = Outbound {
            clock: Arc::new(crate::clock::SystemClock),
            isr_proposals: isr_change::queue().0,
            fetch_orders: following::queue().0,
            work: worker::start().unwrap(),
            counters: Arc::default(),
        };
        let settings = (config.storage.clone(), config.replica.lag_max);
        let map = Arc::new(ReplicaMap::default());
        let replicas = Arc::new(Replicas::new(ME, map, Vec::new(), settings, outbound));
        let admin = Admin::new("cluster".into(), controller, quorum);
        let broker = Arc::new(Broker::new(config, metadata, admin, replicas));
        Desk::new(service, broker).connected(&Core::start())
    }

    /// A request of a client, passed on by broker 2.
    fn passed_on(api: ApiKey, body: &[u8]) -> BytesMut {
        let header = RequestHeader {
            api,
            version: api.served().max,
            correlation_id: 9,
            client_id: None,
        };
        let frame = encode_request(&header, |writer| writer.raw(body)).unwrap();
        let frame = frame.into_bytes().unwrap();
        let call = ForwardCall {
            envelope: Envelope {
                cluster: CLUSTER,
                sender: 2,
                sender_epoch: -1,
                addressee: 1,
                image_version: u64::MAX,
                image_digest: 0,
            },
            listener: "PLAINTEXT".into(),
            principal: "User:ANONYMOUS".into(),
            client: "[::1]:5".into(),
            frame: &frame[SIZE_BYTES..],
        };
        BytesMut::from(&call.encode().unwrap()[..])
    }

    /// It was answered with nothing, which is what a node says that does not serve yet: the sender asked again, 300 times
    /// in half a minute, before its client heard of it.
    #[test]
    fn a_request_that_can_not_be_answered_is_told_so() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let caller = caller();
            for unanswerable in [
                // One topic is announced, and the frame ends.
                passed_on(ApiKey::CreateTopics, &[2]),
                // No broker passes this on.
                passed_on(ApiKey::Metadata, &[0, 0, 0, 0]),
                BytesMut::from(&b"\x01"[..]),
            ] {
                let answer = caller.forward(unanswerable).await;
                assert_eq!(Answer::decode(&answer), Ok(Answer::Unanswerable));
            }
        });
    }
}

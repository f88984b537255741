//! A network of one process: it delays, drops and cuts, as its seed says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ottla_jepsen::rng::Rng;
use ottla_raft::{CallClass, CallFuture, NodeId, Peer, Raft, Transport, TransportError};

use crate::history::History;

/// Shared by all nodes of one seed.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<Wires>>);

struct Wires {
    rng: Rng,
    history: History,
    /// Who answers now; the number is its incarnation.
    nodes: BTreeMap<NodeId, (u64, Raft)>,
    /// Pairs (from, to) through which nothing passes.
    cut: BTreeSet<(NodeId, NodeId)>,
    drop_percent: u64,
    delay_us_max: u64,
}

impl Network {
    pub(crate) fn new(rng: Rng, history: History) -> Self {
        Self(Arc::new(Mutex::new(Wires {
            rng,
            history,
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            drop_percent: 0,
            delay_us_max: 1000,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().unwrap()
    }

    pub(crate) fn attach(&self, node: NodeId, incarnation: u64, raft: Raft) {
        self.lock().nodes.insert(node, (incarnation, raft));
    }

    pub(crate) fn detach(&self, node: NodeId) {
        self.lock().nodes.remove(&node);
    }

    pub(crate) fn set_quality(&self, drop_percent: u64, delay_us_max: u64) {
        let mut wires = self.lock();
        wires.drop_percent = drop_percent;
        wires.delay_us_max = delay_us_max;
    }

    pub(crate) fn cut(&self, from: NodeId, to: NodeId) {
        self.lock().cut.insert((from, to));
    }

    pub(crate) fn heal(&self) {
        self.lock().cut.clear();
    }

    /// How long a message takes from one node to another; `None` if it is lost.
    fn pass(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        let mut wires = self.lock();
        let percent = wires.drop_percent;
        let is_lost = wires.cut.contains(&(from, to)) || wires.rng.chance(percent);
        if is_lost {
            wires.history.count(|counts| counts.drops += 1);
            return None;
        }
        let delay_us_max = wires.delay_us_max;
        Some(Duration::from_micros(wires.rng.below(delay_us_max)))
    }

    fn reach(&self, node: NodeId) -> Option<(u64, Raft)> {
        self.lock().nodes.get(&node).cloned()
    }
}

/// One node's end. It falls silent when its incarnation ends.
pub(crate) struct Endpoint {
    pub(crate) node: NodeId,
    pub(crate) incarnation: u64,
    pub(crate) network: Network,
}

impl Endpoint {
    async fn deliver(&self, to: NodeId, request: Vec<u8>) -> Option<Vec<u8>> {
        tokio::time::sleep(self.network.pass(self.node, to)?).await;
        let (incarnation, raft) = self.network.reach(to)?;
        let answer = raft.handle(&request).await;
        // What a dead process would have said is not heard, nor is a dead caller there to hear.
        let still = self.network.reach(to).map(|(incarnation, _)| incarnation);
        if still != Some(incarnation) || !self.is_alive() {
            return None;
        }
        tokio::time::sleep(self.network.pass(to, self.node)?).await;
        Some(answer)
    }

    fn is_alive(&self) -> bool {
        let own = self
            .network
            .reach(self.node)
            .map(|(incarnation, _)| incarnation);
        // Before it is attached it is starting.
        own.is_none_or(|own| own == self.incarnation)
    }
}

impl Transport for Endpoint {
    fn call<'a>(
        &'a self,
        peer: &'a Peer,
        _: CallClass,
        request: Vec<u8>,
        timeout: Duration,
    ) -> CallFuture<'a> {
        Box::pin(async move {
            if !self.is_alive() || self.network.reach(peer.id).is_none() {
                return Err(TransportError::Unreachable("nobody is there".into()));
            }
            let Some(answer) = self.deliver(peer.id, request).await else {
                tokio::time::sleep(timeout).await;
                return Err(TransportError::Broken("no answer".into()));
            };
            Ok(answer)
        })
    }
}

//! How far each member is, and when it last had everything: what `DescribeQuorum` shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::RaftMetrics;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::metrics::Replica;
use crate::network::Contacts;
use crate::types::{LogIndex, Member, NodeId};

type EngineMetrics = RaftMetrics<NodeId, Member>;

/// When each member was last seen with all of the leader's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<BTreeMap<NodeId, Instant>>>);

impl Progress {
    /// Follows the engine for as long as it lives.
    pub(crate) fn start(engine: &Engine) -> Self {
        let progress = Self::default();
        let noted = progress.clone();
        let mut metrics = engine.metrics();
        tokio::spawn(async move {
            while metrics.changed().await.is_ok() {
                noted.note(&metrics.borrow_and_update());
            }
        });
        progress
    }

    fn note(&self, metrics: &EngineMetrics) {
        let mut caught_up = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(replication) = &metrics.replication else {
            // Times noted in an earlier leadership say nothing in the next.
            caught_up.clear();
            return;
        };
        for (node, matching) in replication {
            if matching.map(|id| id.index) >= metrics.last_log_index {
                caught_up.insert(*node, Instant::now());
            }
        }
    }

    pub(crate) fn replicas(
        &self,
        metrics: &EngineMetrics,
        contacts: &Contacts,
    ) -> BTreeMap<NodeId, Replica> {
        let caught_up = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let replication = metrics.replication.iter().flatten();
        let replicas = replication.map(|(node, matching)| {
            let matching = matching.map(|id| id.index);
            let is_self = *node == metrics.id;
            let answered = if is_self {
                Some(Instant::now())
            } else {
                contacts.last(*node)
            };
            // While nothing changes nothing is noted: then every answer shows it caught up.
            let has_all = matching >= metrics.last_log_index;
            let seen = if has_all {
                answered
            } else {
                caught_up.get(node).copied()
            };
            let replica = Replica {
                log_end: matching.map(|index| LogIndex(index + 1)),
                since_answer: answered.map(|at| at.elapsed()),
                since_caught_up: seen.map(|at| at.elapsed()),
            };
            (*node, replica)
        });
        replicas.collect()
    }
}

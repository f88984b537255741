//! Counters of what was asked and how it ended; read by tests and, later, by the metrics endpoint.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::api::ApiKey;

/// Counters of one node. Each is its own truth: they are not read as one moment.
#[derive(Debug)]
pub struct Metrics {
    requests: Vec<AtomicU64>,
    unknown_server_errors: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            requests: ApiKey::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            unknown_server_errors: AtomicU64::new(0),
        }
    }
}

impl Metrics {
    /// A request of this API started.
    pub(crate) fn count_request(&self, api: ApiKey) {
        if let Some(counter) = position(api).and_then(|at| self.requests.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A response says `UNKNOWN_SERVER_ERROR`.
    pub(crate) fn count_unknown_server_error(&self) {
        self.unknown_server_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests of this API started.
    pub fn requests(&self, api: ApiKey) -> u64 {
        let counter = position(api).and_then(|at| self.requests.get(at));
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How many responses said `UNKNOWN_SERVER_ERROR`: an error that we have no better word for is
    /// a bug of ours, so this is 0.
    pub fn unknown_server_errors(&self) -> u64 {
        self.unknown_server_errors.load(Ordering::Relaxed)
    }
}

fn position(api: ApiKey) -> Option<usize> {
    ApiKey::ALL.binary_search(&api).ok()
}

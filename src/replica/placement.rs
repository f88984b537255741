//! What the controller may not know yet of where replicas lie.
//!
//! - Bounded by the replicas: each is noted once, however often it is in doubt.
//! - A note says that it is worth looking, not what will be found: that is asked when somebody looks.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::ReplicaKey;

/// The replicas that may lie elsewhere than the metadata say, for the one that tells the controller.
#[derive(Debug, Default)]
pub struct InDoubt {
    keys: Mutex<BTreeSet<ReplicaKey>>,
    noted: Notify,
}

impl InDoubt {
    pub(crate) fn note(&self, keys: impl IntoIterator<Item = ReplicaKey>) {
        let mut all = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(keys);
        if !all.is_empty() {
            self.noted.notify_one();
        }
    }

    /// Takes what was noted since the last time.
    pub fn take(&self) -> BTreeSet<ReplicaKey> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once something was noted since the last time that this returned.
    pub async fn noted(&self) {
        self.noted.notified().await;
    }
}

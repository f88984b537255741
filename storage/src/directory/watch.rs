//! How long the calls that a directory has under way have been running.
//!
//! A call that does not come back tells of a disk that hangs; the broker's heartbeat vouches for the data plane with
//! this age. Waiting for work does not count, only calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::time::MonoMillis;

/// The calls under way. Only I/O threads call, so the lock is all but free.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    started: u64,
    under_way: BTreeMap<u64, MonoMillis>,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `call`, which is known to be under way meanwhile.
    pub(crate) fn during<T>(&self, now: MonoMillis, call: impl FnOnce() -> T) -> T {
        let number = {
            let mut calls = self.lock();
            calls.started += 1;
            let number = calls.started;
            calls.under_way.insert(number, now);
            number
        };
        let result = call();
        self.lock().under_way.remove(&number);
        result
    }

    /// The age of the oldest call; `None` if there is none under way.
    pub(crate) fn oldest(&self, now: MonoMillis) -> Option<Duration> {
        let oldest = self.lock().under_way.values().copied().min()?;
        Some(now.since(oldest))
    }
}

//! The work of a directory's I/O thread: flushes, jobs, and jobs for later.
//!
//! - Bounded: outside callers are refused above the limit. Logs may always post, and each has at most one flush
//!   and a few jobs under way, so the queue is bounded by the number of logs that are open.
//! - Flushes are taken together, so that one sync of the journal serves them all.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Directory;
use crate::log::LogShared;
use crate::time::MonoMillis;

/// Something to be done on the I/O thread.
pub(crate) type Job = Box<dyn FnOnce(&Arc<Directory>) + Send>;

/// What the I/O thread does next.
pub(crate) enum Work {
    /// Flush these logs.
    Flush(Vec<Arc<LogShared>>),
    /// Run this.
    Job(Job),
    /// A timer went off: flush this log and mark it clean if it is quiet.
    Settle(Arc<LogShared>),
}

/// What a timer starts.
pub(crate) enum Later {
    Job(Job),
    Settle(Arc<LogShared>),
}

/// The queue is full, try again later; or the directory is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of the directory's I/O thread is full")]
pub struct QueueFull;

pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    flushes: Vec<Arc<LogShared>>,
    jobs: VecDeque<Job>,
    timers: BTreeMap<(MonoMillis, u64), Later>,
    timers_set: u64,
    is_closed: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue")
            .field("flushes", &state.flushes.len())
            .field("jobs", &state.jobs.len())
            .field("timers", &state.timers.len())
            .finish_non_exhaustive()
    }
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            capacity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Posts a job from outside.
    pub(crate) fn offer(&self, job: Job) -> Result<(), QueueFull> {
        let mut state = self.lock();
        if state.jobs.len() >= self.capacity || state.is_closed {
            return Err(QueueFull);
        }
        state.jobs.push_back(job);
        self.wake.notify_one();
        Ok(())
    }

    /// Posts a job of a log.
    pub(crate) fn post(&self, job: Job) {
        self.lock().jobs.push_back(job);
        self.wake.notify_one();
    }

    /// Posts a flush; the caller makes sure that the log is queued once.
    pub(crate) fn flush(&self, log: Arc<LogShared>) {
        self.lock().flushes.push(log);
        self.wake.notify_one();
    }

    pub(crate) fn at(&self, due: MonoMillis, later: Later) {
        let mut state = self.lock();
        state.timers_set += 1;
        let number = state.timers_set;
        state.timers.insert((due, number), later);
        self.wake.notify_one();
    }

    /// What is to be done now, if anything.
    pub(crate) fn take(&self, now: MonoMillis) -> Option<Work> {
        self.lock().take(now)
    }

    /// Waits until there is work at the time that `now` tells, or the queue is closed and empty.
    pub(crate) fn wait(&self, now: impl Fn() -> MonoMillis) -> Option<Work> {
        let mut state = self.lock();
        loop {
            let time = now();
            if let Some(work) = state.take(time) {
                return Some(work);
            }
            if state.is_closed {
                return None;
            }
            let idle = state
                .timers
                .keys()
                .next()
                .map_or(Duration::from_hours(1), |(due, _)| due.since(time));
            // At least a millisecond: the clock has that resolution, and a zero wait would spin.
            let idle = idle.max(Duration::from_millis(1));
            state = match self.wake.wait_timeout(state, idle) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Lets the thread end when everything posted so far is done. Timers that are not due are dropped.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.timers.clear();
        self.wake.notify_all();
    }
}

impl State {
    fn take(&mut self, now: MonoMillis) -> Option<Work> {
        if !self.flushes.is_empty() {
            return Some(Work::Flush(std::mem::take(&mut self.flushes)));
        }
        if let Some(job) = self.jobs.pop_front() {
            return Some(Work::Job(job));
        }
        let timer = self
            .timers
            .first_entry()
            .filter(|timer| timer.key().0 <= now)?;
        Some(match timer.remove() {
            Later::Job(job) => Work::Job(job),
            Later::Settle(log) => Work::Settle(log),
        })
    }
}

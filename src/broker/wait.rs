//! A request whose parts are decided by several partitions, each in its own time.
//!
//! The parts are counted in before they are submitted, so nobody sees "all decided" too early; an
//! answer that comes after the request has given up finds nothing to change.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use ottla_storage::time::MonoMillis;

use super::context::Context;
use super::purgatory::WakeCell;
use crate::clock;
use crate::replica::Replica;
use crate::replica::request::{AskedBy, Asker, Done, Refusal, RequestError};

/// How one part ended.
pub(crate) type Outcome = Result<Done, RequestError>;

/// What the parts of a request have come to.
#[derive(Debug)]
pub(crate) struct Wait {
    state: Mutex<State>,
    waker: WakeCell,
}

#[derive(Debug)]
struct State {
    undecided: usize,
    outcomes: Vec<Option<Outcome>>,
}

impl Wait {
    /// No part is asked yet.
    pub(crate) fn new(part_count: usize) -> Arc<Self> {
        let outcomes = (0..part_count).map(|_| None).collect();
        let state = Mutex::new(State {
            undecided: 0,
            outcomes,
        });
        Arc::new(Self {
            state,
            waker: WakeCell::default(),
        })
    }

    /// Counts a part in: whom its partition tells.
    pub(crate) fn ask(self: &Arc<Self>, part: usize) -> AskedBy {
        self.state().undecided += 1;
        AskedBy {
            asker: self.clone(),
            part,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.state().undecided == 0
    }

    /// The outcomes; a part that was asked and is not decided has timed out.
    pub(crate) fn take(&self) -> Vec<Option<Outcome>> {
        std::mem::take(&mut self.state().outcomes)
    }

    /// Waits until all parts are decided, or `deadline`. `replica` finds a part's partition.
    pub(crate) async fn until<'r>(
        &self,
        cx: &Context,
        deadline: MonoMillis,
        replica: impl Fn(usize) -> Option<&'r Arc<Replica>>,
    ) {
        if self.is_decided_until(cx, deadline).await {
            return;
        }
        let open: Vec<_> = {
            let state = self.state();
            let open = state
                .outcomes
                .iter()
                .enumerate()
                .filter(|(_, outcome)| outcome.is_none());
            open.map(|(part, _)| part).collect()
        };
        // The partitions have the same deadline, so this settles them, unless a disk holds them up.
        open.into_iter()
            .filter_map(replica)
            .for_each(|replica| replica.tick());
    }

    async fn is_decided_until(&self, cx: &Context, deadline: MonoMillis) -> bool {
        let mut timer = None;
        std::future::poll_fn(|task| {
            self.waker.set(task.waker());
            if self.is_decided() {
                return Poll::Ready(true);
            }
            if clock::mono() >= deadline {
                return Poll::Ready(false);
            }
            timer.get_or_insert_with(|| cx.core.timer(deadline, task.waker().clone()));
            Poll::Pending
        })
        .await
    }
}

impl Asker for Wait {
    fn decided(&self, part: usize, outcome: Outcome) {
        let is_last = {
            let mut state = self.state();
            if let Some(slot) = state.outcomes.get_mut(part) {
                *slot = Some(outcome);
                state.undecided -= 1;
            }
            state.undecided == 0
        };
        if is_last {
            self.waker.wake();
        }
    }
}

/// The outcome of a part that was asked.
pub(crate) fn outcome_or_timeout(outcome: Option<Outcome>) -> Outcome {
    outcome.unwrap_or(Err(RequestError::Refused(Refusal::TimedOut)))
}

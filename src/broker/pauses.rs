//! Pauses of the whole process, in which others may have taken its leaderships over. Nobody in it has noticed: what waits
//! in the sockets would be appended and acknowledged as if nothing had happened.
//!
//! - From a pause on, until the controller has answered a heartbeat that was sent after it and this broker has applied what
//!   the controller knew by then, it does not know whether it still leads: it appends nothing for producers. An answer that
//!   does not show that the controller still is one says nothing.
//! - Whoever looks at the clock next notices, whether that is a core or the one who looks regularly.
//! - Nothing else raises doubt. A controller that can't be reached elects nobody, so leaders go on without it.
//! - A machine that sleeps together with its monotonic clock is not noticed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_storage::time::MonoMillis;
use tokio::sync::watch;

/// The part of a session that a pause may take unnoticed: with a heartbeat before it, and what is left of the
/// session after it, it is too short for a fence.
const SESSION_PART: u32 = 4;
/// Looks in that time.
const LOOKS: u32 = 3;
/// Whoever waits in doubt looks again after this long: the pause that it has seen may be none to who looks regularly.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Nobody looks regularly: there is no life yet, or no more.
const NOBODY: u64 = u64::MAX;

/// So many pauses, counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PauseCount(u64);

/// The pauses of this process.
#[derive(Debug)]
pub struct Pauses {
    pause_min: Duration,
    /// When the clock was last looked at, in milliseconds.
    looked: AtomicU64,
    noticed: AtomicU64,
    /// Up to which pause the controller was heard of since.
    settled: watch::Sender<u64>,
}

impl Pauses {
    /// None yet, of a broker that is fenced after `session`.
    pub(super) fn new(session: Duration) -> Self {
        Self {
            pause_min: (session / SESSION_PART).max(Duration::from_millis(1)),
            looked: AtomicU64::new(NOBODY),
            noticed: AtomicU64::new(0),
            settled: watch::Sender::new(0),
        }
    }

    /// How often to look.
    pub(super) fn interval(&self) -> Duration {
        (self.pause_min / LOOKS).max(Duration::from_millis(1))
    }

    /// Looks at the clock; whether that was a pause since the last time.
    pub(super) fn look(&self, now: MonoMillis) -> bool {
        let is_pause = self.is_pause(now);
        if is_pause {
            // Before the look is seen: nobody may find the clock looked at, and no doubt.
            self.noticed.fetch_add(1, Ordering::Release);
        }
        self.looked.store(now.as_millis(), Ordering::Release);
        is_pause
    }

    /// Nobody looks any more, and nothing is a pause.
    pub(super) fn end(&self) {
        self.looked.store(NOBODY, Ordering::Release);
    }

    fn is_pause(&self, now: MonoMillis) -> bool {
        let looked = MonoMillis::from_millis(self.looked.load(Ordering::Acquire));
        now.since(looked) >= self.pause_min
    }

    /// The pauses that a heartbeat sent now comes after; `None` if there is nothing to settle.
    pub(super) fn unsettled(&self) -> Option<PauseCount> {
        let noticed = self.noticed.load(Ordering::Acquire);
        (noticed > *self.settled.borrow()).then_some(PauseCount(noticed))
    }

    /// What the controller said to such a heartbeat is applied here.
    pub(super) fn settle(&self, PauseCount(upto): PauseCount) {
        self.settled
            .send_modify(|settled| *settled = (*settled).max(upto));
    }

    /// Whether this broker knows what it leads, as far as pauses go.
    pub(crate) fn is_sure(&self, now: MonoMillis) -> bool {
        !self.is_pause(now) && self.unsettled().is_none()
    }

    /// Waits until it knows, at most until `deadline`; whether it does.
    pub(crate) async fn sure(&self, clock: impl Fn() -> MonoMillis, deadline: MonoMillis) -> bool {
        let mut settled = self.settled.subscribe();
        loop {
            let now = clock();
            if self.is_sure(now) {
                return true;
            }
            let patience = deadline.since(now).min(LOOK_AGAIN);
            if patience.is_zero() {
                return false;
            }
            // However that ends: it is looked at again.
            let _ = tokio::time::timeout(patience, settled.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_millis(400);

    fn at(millis: u64) -> MonoMillis {
        MonoMillis::from_millis(millis)
    }

    #[test]
    fn who_looks_regularly_has_no_doubt() {
        let pauses = Pauses::new(SESSION);
        assert!(pauses.is_sure(at(5_000)), "there is no life yet");
        for now in (5_000..6_000).step_by(99) {
            assert!(!pauses.look(at(now)));
            assert!(pauses.is_sure(at(now + 99)));
        }
        pauses.end();
        assert!(pauses.is_sure(at(50_000)), "the life is over");
    }

    #[test]
    fn a_core_that_wakes_up_first_is_in_doubt_and_so_is_who_comes_after_the_look() {
        let pauses = Pauses::new(SESSION);
        pauses.look(at(1_000));
        assert!(!pauses.is_sure(at(1_100)));
        assert!(pauses.look(at(1_101)));
        assert!(!pauses.is_sure(at(1_102)));
    }

    #[test]
    fn only_a_heartbeat_that_was_sent_after_the_last_pause_settles_it() {
        let pauses = Pauses::new(SESSION);
        pauses.look(at(1_000));
        assert_eq!(pauses.unsettled(), None);
        pauses.look(at(2_000));
        let first = pauses.unsettled().unwrap();
        pauses.look(at(3_000));
        pauses.settle(first);
        assert!(!pauses.is_sure(at(3_001)));
        let second = pauses.unsettled().unwrap();
        pauses.settle(second);
        pauses.settle(first);
        assert!(pauses.is_sure(at(3_001)));
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_when_it_is_settled_and_not_after_the_deadline() {
        let pauses = Pauses::new(SESSION);
        pauses.look(at(0));
        pauses.look(at(1_000));
        let clock = || at(1_050);
        assert!(!pauses.sure(clock, at(1_050)).await);
        let count = pauses.unsettled().unwrap();
        let settle = async {
            tokio::task::yield_now().await;
            pauses.settle(count);
        };
        let (is_sure, ()) = tokio::join!(pauses.sure(clock, at(9_000)), settle);
        assert!(is_sure);
    }
}

//! A fetch that waits for more.
//!
//! It registers with every partition first and reads again after that: what changed in between is
//! in that reading, and what changes later finds the registration. Woken, it reads everything anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use super::read::{self, Reading};
use super::{Admitted, answer};
use crate::broker::context::Context;
use crate::broker::purgatory::{Place, WakeCell};
use crate::broker::reply::Reply;
use crate::clock;
use crate::replica::view::{Change, Watch};
use crate::replica::{OPEN_PAUSE, Replica, Watching};

/// A consumer that would get nothing waits at least so long for a log that is being opened.
const OPENING_WAIT_MIN: Duration = Duration::from_secs(2);

/// How much must come before the fetch is woken.
#[derive(Debug)]
struct Hunger {
    /// Bytes still to come; 0 wakes.
    missing: AtomicU64,
    /// Whether what was appended counts, or only what became visible to consumers.
    is_follower: bool,
    waker: WakeCell,
}

impl Watch for Hunger {
    fn changed(&self, change: Change) {
        let eaten = if change.is_other {
            u64::MAX
        } else if self.is_follower {
            change.appended_bytes
        } else {
            change.visible_bytes
        };
        let eat = |missing: u64| Some(missing.saturating_sub(eaten));
        let before = self
            .missing
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, eat);
        if before.is_ok_and(|before| before <= eaten) {
            self.waker.wake();
        }
    }
}

pub(super) async fn wait(cx: Context, admitted: Admitted, mut place: Place) -> Reply {
    let start = clock::mono();
    let deadline = start.saturating_add(admitted.fetch.max_wait);
    let deadline_to_open = start.saturating_add(admitted.fetch.max_wait.max(OPENING_WAIT_MIN));
    let hunger = Arc::new(Hunger {
        missing: AtomicU64::new(u64::MAX),
        is_follower: admitted.fetch.follower.is_some(),
        waker: WakeCell::default(),
    });
    let watch = |replica: &Arc<Replica>| replica.watch(hunger.clone());
    let registered = admitted
        .targets
        .iter()
        .filter_map(|t| t.replica.as_ref().ok());
    let watching: Vec<Watching> = registered.map(watch).collect();
    let mut timer = None;
    let reading = std::future::poll_fn(|task| {
        hunger.waker.set(task.waker());
        // Whatever comes from here on wakes us, until the reading below says how much is missing.
        hunger.missing.store(1, Ordering::Release);
        let reading = read::read(&admitted);
        let waits_to_open = reading.waits_to_open(&admitted.fetch);
        let until = if waits_to_open {
            deadline_to_open
        } else {
            deadline
        };
        let now = clock::mono();
        let is_over = now >= until
            || place.closing.as_mut().poll(task).is_ready()
            || !admitted.may_wait(task.waker());
        if reading.is_due(&admitted.fetch) || is_over {
            return Poll::Ready(reading);
        }
        let missing = if waits_to_open {
            1
        } else {
            missing(&admitted, &reading)
        };
        // Only if nothing came meanwhile: what did has woken us already.
        let _ = hunger
            .missing
            .compare_exchange(1, missing, Ordering::AcqRel, Ordering::Acquire);
        let next = if reading.is_opening {
            // Nobody tells of a log that could not be opened.
            now.saturating_add(OPEN_PAUSE).min(until)
        } else {
            until
        };
        timer = Some(cx.core.timer(next, task.waker().clone()));
        Poll::Pending
    })
    .await;
    drop((watching, timer, place));
    answer(&cx, &admitted, reading)
}

fn missing(admitted: &Admitted, reading: &Reading) -> u64 {
    admitted
        .fetch
        .min_bytes
        .saturating_sub(reading.bytes)
        .max(1)
}

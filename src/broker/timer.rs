//! The timer wheel of one core: every deadline of its parked requests, and one place that sleeps.
//!
//! - A timer fires at its tick or later, never earlier; a tick is 4 ms.
//! - Setting and cancelling cost the same however many timers there are; no timer allocates once the
//!   wheel has grown to the number that wait at a time.
//! - The wheel belongs to one core and holds no clock: time comes in with each call.

use std::task::Waker;

use ottla_storage::time::MonoMillis;

/// Width of a tick: what a long poll may overshoot its wait by.
const TICK_MILLIS: u64 = 4;
/// Slots of the wheel; a deadline further away than a turn stays in its slot for another turn.
const SLOT_COUNT: u64 = 256;

/// Names one timer until it has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerId {
    entry: usize,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    generation: u64,
    tick: u64,
    waker: Option<Waker>,
}

/// The deadlines of one core.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<TimerId>>,
    entries: Vec<Entry>,
    free: Vec<usize>,
    /// Every tick below this one has been looked at.
    next_tick: u64,
}

impl Wheel {
    pub(crate) fn new(now: MonoMillis) -> Self {
        Self {
            slots: (0..SLOT_COUNT).map(|_| Vec::new()).collect(),
            entries: Vec::new(),
            free: Vec::new(),
            next_tick: tick_at_or_after(now),
        }
    }

    /// When to advance next, so that nobody ticks for nothing; `None` if no timer waits.
    ///
    /// A slot may hold timers of a later turn of the wheel, so this may come early, never late.
    pub(crate) fn next_deadline(&self) -> Option<MonoMillis> {
        let occupied = |tick: &u64| {
            let index = usize::try_from(tick % SLOT_COUNT).unwrap_or(0);
            self.slots.get(index).is_some_and(|slot| !slot.is_empty())
        };
        let tick = (self.next_tick..self.next_tick + SLOT_COUNT).find(occupied)?;
        Some(MonoMillis::from_millis(tick * TICK_MILLIS))
    }

    /// Wakes `waker` once, at `deadline` or at most a tick later.
    pub(crate) fn set(&mut self, deadline: MonoMillis, waker: Waker) -> TimerId {
        let tick = tick_at_or_after(deadline).max(self.next_tick);
        let entry = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry {
                generation: 0,
                tick: 0,
                waker: None,
            });
            self.entries.len() - 1
        });
        let mut generation = 0;
        if let Some(slot) = self.entries.get_mut(entry) {
            slot.tick = tick;
            slot.waker = Some(waker);
            generation = slot.generation;
        }
        let id = TimerId { entry, generation };
        self.slot(tick).push(id);
        id
    }

    /// Forgets a timer; does nothing if it has fired.
    pub(crate) fn cancel(&mut self, id: TimerId) {
        self.take(id);
    }

    /// Wakes what is due at `now`.
    pub(crate) fn advance(&mut self, now: MonoMillis) {
        let end = now.as_millis() / TICK_MILLIS + 1;
        // After a pause of more than a turn every slot is looked at once, not once per turn.
        let first = self.next_tick.max(end.saturating_sub(SLOT_COUNT));
        self.next_tick = self.next_tick.max(end);
        for tick in first..end {
            let mut slot = std::mem::take(self.slot(tick));
            slot.retain(|id| match self.tick_of(*id) {
                None => false,
                Some(due) if due >= end => true,
                Some(_) => {
                    if let Some(waker) = self.take(*id) {
                        waker.wake();
                    }
                    false
                }
            });
            *self.slot(tick) = slot;
        }
    }

    /// The slot of `tick`.
    fn slot(&mut self, tick: u64) -> &mut Vec<TimerId> {
        let index = usize::try_from(tick % SLOT_COUNT).unwrap_or(0);
        &mut self.slots[index]
    }

    fn tick_of(&self, id: TimerId) -> Option<u64> {
        let entry = self.entries.get(id.entry)?;
        (entry.generation == id.generation && entry.waker.is_some()).then_some(entry.tick)
    }

    fn take(&mut self, id: TimerId) -> Option<Waker> {
        self.tick_of(id)?;
        let entry = self.entries.get_mut(id.entry)?;
        entry.generation += 1;
        self.free.push(id.entry);
        entry.waker.take()
    }
}

fn tick_at_or_after(moment: MonoMillis) -> u64 {
    moment.as_millis().div_ceil(TICK_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn at(millis: u64) -> MonoMillis {
        MonoMillis::from_millis(millis)
    }

    proptest! {
        /// Each timer fires exactly once, not before its deadline and within a tick of it, however
        /// the wheel is advanced; a cancelled one never fires.
        #[test]
        fn a_timer_fires_once_and_in_time(
            start in 0_u64..5000,
            timers in prop::collection::vec((0_u64..6000, any::<bool>()), 1..40),
            steps in prop::collection::vec(1_u64..3000, 1..20),
        ) {
            let mut wheel = Wheel::new(at(start));
            let mut set = Vec::new();
            for (wait, cancelled) in timers {
                let count = Arc::new(Count::default());
                let id = wheel.set(at(start + wait), Waker::from(count.clone()));
                if cancelled {
                    wheel.cancel(id);
                    wheel.cancel(id);
                }
                set.push((start + wait, cancelled, count));
            }
            let mut now = start;
            for step in steps {
                now += step;
                wheel.advance(at(now));
                for (deadline, cancelled, count) in &set {
                    let fired = count.0.load(Ordering::Relaxed);
                    if *cancelled || now < *deadline {
                        prop_assert_eq!(fired, 0);
                    } else if now >= deadline + 2 * TICK_MILLIS {
                        prop_assert_eq!(fired, 1);
                    } else {
                        prop_assert!(fired <= 1);
                    }
                }
            }
            let waiting = set.iter().filter(|(_, cancelled, count)| {
                !cancelled && count.0.load(Ordering::Relaxed) == 0
            });
            if let Some(deadline) = waiting.map(|(deadline, ..)| *deadline).min() {
                let next = wheel.next_deadline().expect("a timer waits");
                prop_assert!(next.as_millis() < deadline + TICK_MILLIS);
            }
        }
    }

    #[test]
    fn entries_are_used_again() {
        let mut wheel = Wheel::new(at(0));
        for round in 1..1000 {
            wheel.set(at(round * 10), Waker::noop().clone());
            wheel.advance(at(round * 10 + 8));
        }
        assert_eq!(wheel.next_deadline(), None);
        assert!(wheel.entries.len() <= 2, "{}", wheel.entries.len());
    }

    #[test]
    fn a_stale_id_does_not_cancel_the_next_timer_in_its_place() {
        let mut wheel = Wheel::new(at(0));
        let old = wheel.set(at(10), Waker::noop().clone());
        wheel.cancel(old);
        let count = Arc::new(Count::default());
        wheel.set(at(10), Waker::from(count.clone()));
        wheel.cancel(old);
        wheel.advance(at(20));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}

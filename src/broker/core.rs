//! What the requests of one core share: its timers.
//!
//! One task sleeps for all of them, and only until the next timer that waits; a core without parked
//! requests does not wake.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use ottla_storage::time::MonoMillis;
use tokio::sync::Notify;

use super::timer::{TimerId, Wheel};
use crate::clock;

/// The part of the broker that belongs to one core and never leaves it.
#[derive(Debug)]
pub struct Core {
    wheel: RefCell<Wheel>,
    /// A timer was set before the one that the core sleeps for.
    sooner: Notify,
}

impl Core {
    /// Starts the core's timers; inside the core's `LocalSet`.
    pub fn start() -> Rc<Self> {
        let wheel = RefCell::new(Wheel::new(clock::mono()));
        let core = Rc::new(Self {
            wheel,
            sooner: Notify::new(),
        });
        tokio::task::spawn_local(core.clone().keep_time());
        core
    }

    async fn keep_time(self: Rc<Self>) {
        loop {
            let next = self.wheel.borrow().next_deadline();
            match next {
                None => self.sooner.notified().await,
                Some(deadline) => {
                    let wait = deadline.since(clock::mono());
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.sooner.notified() => {}
                    }
                }
            }
            self.wheel.borrow_mut().advance(clock::mono());
        }
    }

    /// Wakes `waker` at `deadline`, until the timer is dropped.
    pub fn timer(self: &Rc<Self>, deadline: MonoMillis, waker: Waker) -> Timer {
        let mut wheel = self.wheel.borrow_mut();
        let is_first = wheel.next_deadline().is_none_or(|next| deadline < next);
        let id = wheel.set(deadline, waker);
        if is_first {
            self.sooner.notify_one();
        }
        Timer {
            core: self.clone(),
            id,
        }
    }
}

/// A timer of a core; dropping it cancels it.
#[derive(Debug)]
pub struct Timer {
    core: Rc<Core>,
    id: TimerId,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.core.wheel.borrow_mut().cancel(self.id);
    }
}

//! How a broker lives in the cluster: registered, let in, and let go. Pure: `(now, event) -> effects`.
//!
//! - One call to the controller is in flight at a time; what becomes urgent meanwhile goes out when that one is over.
//! - After a failure nothing is immediate: the next call waits, longer each time.
//! - The broker asks to stay fenced until it can serve, and to be fenced while nobody can vouch for its data plane. It
//!   is let go before it stops; but a controller that can't
//!   be reached holds up no stop for longer than its patience.

use std::time::Duration;

use ottla_storage::time::MonoMillis;

use crate::metadata::BrokerEpoch;

mod driver;

pub use driver::{Lifecycle, Registration};

/// Between two heartbeats of a broker that waits for something that takes milliseconds.
const SOON: Duration = Duration::from_millis(10);
/// The pauses after failures.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// A broker that wants to stop and hears nothing of the controller for this long goes without its leave.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Where a broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It registers, and catches up with its own registration.
    Starting,
    /// It makes itself ready to serve.
    Recovery,
    /// It was let in.
    Running,
    /// It asked to be let go.
    PendingControlledShutdown,
    /// It may stop.
    ShuttingDown,
}

/// What the controller says to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the broker has applied its own registration.
    pub is_caught_up: bool,
    /// Whether it is fenced.
    pub is_fenced: bool,
    /// Whether it may stop.
    pub should_shut_down: bool,
}

/// What happens to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The controller has registered this process.
    Registered(BrokerEpoch),
    /// The controller has answered a heartbeat.
    Beaten(Standing),
    /// The controller does not know the registration that a heartbeat named.
    Stale,
    /// A call has no answer, or one that says: try again.
    Failed,
    /// Clients are served. Logs that were not closed in order may still wait for their scans.
    Ready,
    /// Whether the data plane answers, looked at from time to time.
    Vouched(bool),
    /// The controller should know at once what the next heartbeat says: a directory is lost.
    Urgent,
    /// The node stops; it may ask to be let go for so long.
    Stop {
        /// Zero: it is alone.
        patience: Duration,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Register this process.
    Register,
    /// Send a heartbeat.
    Beat {
        /// Ask to be fenced, or to stay so.
        wants_fence: bool,
        /// Ask to be let go.
        wants_shut_down: bool,
    },
    /// The state is another one.
    Entered(State),
}

/// The call to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// None is out.
    Idle,
    /// One is out.
    Out,
    /// One is out, and the next follows at once.
    Chased,
}

/// The life of one broker process.
#[derive(Debug)]
pub struct Life {
    state: State,
    interval: Duration,
    is_registered: bool,
    is_ready: bool,
    /// The data plane answers.
    is_sound: bool,
    call: Call,
    failures: u32,
    /// When the next call is due.
    next: MonoMillis,
    /// When the broker stops asking to be let go.
    give_up: Option<MonoMillis>,
    /// The last answer of the controller, or the wish to stop.
    heard: MonoMillis,
}

impl Life {
    /// A broker that is not registered, with `interval` between its heartbeats.
    pub const fn new(now: MonoMillis, interval: Duration) -> Self {
        Self {
            state: State::Starting,
            interval,
            is_registered: false,
            is_ready: false,
            is_sound: true,
            call: Call::Idle,
            failures: 0,
            next: now,
            give_up: None,
            heard: now,
        }
    }

    /// Where it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When a [`Event::Tick`] has something to do; `None` while a call is out or all is over.
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        if self.state == State::ShuttingDown {
            return None;
        }
        let call = (self.call == Call::Idle).then_some(self.next);
        let patience = self.give_up.map(|at| at.min(self.silent_at()));
        call.into_iter().chain(patience).min()
    }

    /// Takes an event and says what to do.
    pub fn handle(&mut self, now: MonoMillis, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Tick => {}
            Event::Registered(_) => {
                self.answered(now);
                self.is_registered = true;
                self.next = now;
            }
            Event::Beaten(standing) => {
                let is_urgent = self.answered(now);
                self.beaten(standing, effects);
                let pause = if is_urgent {
                    Duration::ZERO
                } else {
                    self.pause(standing)
                };
                self.next = now.saturating_add(pause);
            }
            Event::Stale => {
                self.answered(now);
                self.is_registered = false;
                self.next = now;
            }
            Event::Failed => self.failed(now),
            Event::Ready => {
                self.is_ready = true;
                self.hurry(now);
            }
            Event::Vouched(is_sound) => {
                if is_sound != self.is_sound {
                    self.is_sound = is_sound;
                    self.hurry(now);
                }
            }
            Event::Urgent => self.hurry(now),
            Event::Stop { patience } => self.stop(now, patience, effects),
        }
        self.act(now, effects);
    }

    /// Returns whether the next call was waited for.
    fn answered(&mut self, now: MonoMillis) -> bool {
        self.failures = 0;
        self.heard = now;
        std::mem::replace(&mut self.call, Call::Idle) == Call::Chased
    }

    fn beaten(&mut self, standing: Standing, effects: &mut Vec<Effect>) {
        if self.state == State::Starting && standing.is_caught_up {
            self.enter(State::Recovery, effects);
        }
        // A broker that was ready before it had caught up takes both steps at once.
        if self.state == State::Recovery && self.is_ready && !standing.is_fenced {
            self.enter(State::Running, effects);
        }
        if self.state == State::PendingControlledShutdown && standing.should_shut_down {
            self.enter(State::ShuttingDown, effects);
        }
    }

    /// Between this answer and the next heartbeat, if nothing is urgent.
    fn pause(&self, standing: Standing) -> Duration {
        let waits = match self.state {
            State::Starting | State::PendingControlledShutdown => true,
            // A broker that could serve is let in at once, also after its session was lost.
            State::Recovery | State::Running => self.can_serve() && standing.is_fenced,
            State::ShuttingDown => false,
        };
        if waits { SOON } else { self.interval }
    }

    fn failed(&mut self, now: MonoMillis) {
        self.call = Call::Idle;
        let factor = 1_u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX);
        self.next = now.saturating_add(pause);
    }

    /// The next call goes out as soon as it can, unless the last one failed.
    fn hurry(&mut self, now: MonoMillis) {
        if self.call != Call::Idle {
            self.call = Call::Chased;
        } else if self.failures == 0 {
            self.next = now;
        }
    }

    fn stop(&mut self, now: MonoMillis, patience: Duration, effects: &mut Vec<Effect>) {
        match self.state {
            State::Starting | State::Recovery => self.enter(State::ShuttingDown, effects),
            State::Running if patience.is_zero() => self.enter(State::ShuttingDown, effects),
            State::Running => {
                self.enter(State::PendingControlledShutdown, effects);
                self.give_up = Some(now.saturating_add(patience));
                self.heard = now;
                self.hurry(now);
            }
            State::PendingControlledShutdown | State::ShuttingDown => {}
        }
    }

    const fn can_serve(&self) -> bool {
        self.is_ready && self.is_sound
    }

    fn silent_at(&self) -> MonoMillis {
        self.heard.saturating_add(SILENCE_MAX)
    }

    fn act(&mut self, now: MonoMillis, effects: &mut Vec<Effect>) {
        let is_over = self
            .give_up
            .is_some_and(|at| now >= at || now >= self.silent_at());
        if self.state == State::PendingControlledShutdown && is_over {
            self.enter(State::ShuttingDown, effects);
        }
        if self.state == State::ShuttingDown || self.call != Call::Idle || now < self.next {
            return;
        }
        self.call = Call::Out;
        effects.push(if self.is_registered {
            Effect::Beat {
                wants_fence: !self.can_serve(),
                wants_shut_down: self.state == State::PendingControlledShutdown,
            }
        } else {
            Effect::Register
        });
    }

    fn enter(&mut self, state: State, effects: &mut Vec<Effect>) {
        self.state = state;
        effects.push(Effect::Entered(state));
    }
}

#[cfg(test)]
mod tests;

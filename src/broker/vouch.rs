//! What a heartbeat vouches for: every core answers, and some data directory does (decision 8). A process that only its
//! heartbeats keep in the cluster would hold leaderships that it can't serve.
//!
//! - A directory that hangs while others answer costs its own replicas only: the controller is told that they are lost, and
//!   where they are once its calls come back.
//! - A core is asked from time to time, and answers as soon as it comes to it; how long it takes is its age. Nothing
//!   but the question wakes an idle core.
//! - Whoever looks must have been awake: after a pause of the whole process everybody is asked anew before anybody is
//!   held for stalled.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ottla_storage::log_dir::LogDir;
use ottla_storage::time::MonoMillis;
use tokio::sync::Notify;

use super::Broker;

/// Looks in the time after which something counts as stalled.
const LOOKS: u32 = 4;
/// A question that nobody asked.
const NONE: u64 = u64::MAX;

/// The pulse of one core.
#[derive(Debug)]
pub struct Pulse {
    /// When the oldest question was asked that is not answered, in milliseconds.
    asked: AtomicU64,
    question: Notify,
}

/// The pulses of the cores that serve clients.
#[derive(Debug, Default)]
pub struct Pulses(Mutex<Vec<Arc<Pulse>>>);

/// Looks at the data plane, time and again.
#[derive(Debug)]
pub(super) struct Watchman {
    stall: Duration,
    failure: Duration,
    looked: MonoMillis,
    is_sound: bool,
}

impl Pulse {
    /// Answers questions; runs on the core for as long as that does.
    pub async fn beat(self: Arc<Self>) {
        loop {
            self.asked.store(NONE, Ordering::Release);
            self.question.notified().await;
        }
    }

    /// How old the question is that waits for an answer; asks one if none does.
    fn ask(&self, now: MonoMillis) -> Duration {
        let asked = self.asked.load(Ordering::Acquire);
        if asked == NONE {
            self.asked.store(now.as_millis(), Ordering::Release);
            self.question.notify_one();
            return Duration::ZERO;
        }
        now.since(MonoMillis::from_millis(asked))
    }

    /// Asks as if nothing had been asked before.
    fn ask_anew(&self, now: MonoMillis) {
        self.asked.store(now.as_millis(), Ordering::Release);
        self.question.notify_one();
    }
}

impl Pulses {
    /// A pulse for a core that begins.
    pub fn add(&self) -> Arc<Pulse> {
        let pulse = Arc::new(Pulse {
            asked: AtomicU64::new(NONE),
            question: Notify::new(),
        });
        self.all().push(pulse.clone());
        pulse
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pulse>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watchman {
    /// One that begins by trusting everything.
    pub(super) fn new(now: MonoMillis, broker: &Broker) -> Self {
        Self {
            stall: broker.config.storage.stall,
            failure: broker.config.storage.failure_timeout,
            looked: now,
            is_sound: true,
        }
    }

    /// How often to look.
    pub(super) fn interval(&self) -> Duration {
        (self.stall / LOOKS).max(Duration::from_millis(1))
    }

    /// Whether the data plane can be vouched for. A directory that hangs for too long is taken offline.
    pub(super) fn look(&mut self, now: MonoMillis, broker: &Broker) -> bool {
        let pause = now.since(std::mem::replace(&mut self.looked, now));
        if pause >= self.stall / 2 {
            for pulse in broker.pulses.all().iter() {
                pulse.ask_anew(now);
            }
            return self.is_sound;
        }
        let core = self.slowest_core(now, broker);
        let is_serving = self.look_at_directories(broker);
        let is_sound = core.is_none() && is_serving;
        if is_sound != self.is_sound {
            self.is_sound = is_sound;
            if let Some(age) = core {
                tracing::warn!(
                    ?age,
                    "a core does not answer: this broker asks to be fenced until it does"
                );
            } else if is_sound {
                tracing::info!("this broker can be vouched for again");
            } else {
                tracing::warn!(
                    "no data directory answers: this broker asks to be fenced until one does"
                );
            }
        }
        is_sound
    }

    fn slowest_core(&self, now: MonoMillis, broker: &Broker) -> Option<Duration> {
        let pulses = broker.pulses.all();
        let ages = pulses.iter().map(|pulse| pulse.ask(now));
        ages.max().filter(|age| *age >= self.stall)
    }

    /// Whether any directory answers. Those that do not are given up for now, or for good.
    fn look_at_directories(&self, broker: &Broker) -> bool {
        let mut hanging = BTreeMap::new();
        let mut is_any_answering = false;
        for dir in broker.replicas.directories() {
            if dir.failure().is_some() {
                continue;
            }
            let age = dir.oldest_call_age();
            if age >= self.failure {
                dir.give_up(age);
            } else if age >= self.stall {
                hanging.insert(dir.id(), age);
            } else {
                is_any_answering = true;
            }
        }
        let changed = broker
            .replicas
            .set_hanging(hanging.keys().copied().collect());
        for dir in broker.replicas.directories() {
            if changed.contains(&dir.id()) && dir.failure().is_none() {
                tell_of(dir, hanging.get(&dir.id()));
            }
        }
        is_any_answering
    }
}

/// A directory hangs, or does not any more.
fn tell_of(dir: &LogDir, age: Option<&Duration>) {
    let path = dir.path().display();
    if let Some(age) = age {
        tracing::warn!(
            %path,
            ?age,
            "a call on a data directory does not come back: its replicas are given up until it does"
        );
    } else {
        tracing::info!(%path, "the data directory answers again: its replicas come back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_that_waits_grows_old_and_an_answer_ends_it() {
        let pulses = Pulses::default();
        let pulse = pulses.add();
        let at = MonoMillis::from_millis;
        assert_eq!(pulse.ask(at(100)), Duration::ZERO);
        assert_eq!(pulse.ask(at(350)), Duration::from_millis(250));
        pulse.ask_anew(at(400));
        assert_eq!(pulse.ask(at(410)), Duration::from_millis(10));
        let core = tokio::spawn(pulse.clone().beat());
        while pulse.asked.load(Ordering::Acquire) != NONE {
            tokio::task::yield_now().await;
        }
        assert_eq!(pulse.ask(at(500)), Duration::ZERO);
        core.abort();
    }
}

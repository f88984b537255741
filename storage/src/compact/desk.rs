//! Where a log's writer and the cleaner meet: each leaves something and goes on, neither waits for a lock.
//!
//! - The cleaner asks, and offers copies; the writer answers when it is told that there is something to do.
//! - A copy that was offered belongs to the writer once it has taken it: then it is put in place, whatever becomes of the
//!   cleaner.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rules::LastOfProducers;
use super::swap::Cleaned;
use crate::log::LogConfig;
use crate::time::MonoMillis;
use crate::view::LogView;

/// What a round begins with: one moment of the log, as its writer knows it.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) view: Arc<LogView>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) producers: LastOfProducers,
}

/// What lies there.
#[derive(Debug, Default)]
pub(crate) enum Turn {
    #[default]
    Idle,
    /// The cleaner wants to begin a round.
    Asked,
    /// The writer lets it.
    Begun(Box<Start>),
    /// The cleaner has a copy.
    Offered(Box<Cleaned>),
    /// The writer has taken it: readers see it, and the files are being put in place.
    Swapping,
    /// The files are in place.
    Swapped,
    /// The writer does not take it, or does not let a round begin: the log has changed.
    Refused,
}

/// One log's.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    turn: Mutex<Turn>,
    is_uncleanable: AtomicBool,
    /// When the last round failed, in milliseconds; 0 if it did not.
    failed_at: AtomicU64,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a wish of the cleaner's; false if the files of an earlier copy are not in place yet.
    pub(super) fn ask(&self, wish: Turn) -> bool {
        let mut turn = self.lock();
        let is_free = !matches!(*turn, Turn::Swapping);
        if is_free {
            *turn = wish;
        }
        is_free
    }

    /// Takes the writer's answer, if there is one.
    pub(super) fn take_answer(&self) -> Option<Turn> {
        let mut turn = self.lock();
        let is_answer = matches!(*turn, Turn::Begun(_) | Turn::Swapped | Turn::Refused);
        is_answer.then(|| std::mem::take(&mut *turn))
    }

    /// Takes back what the writer has not taken; the copy, if it was one.
    pub(super) fn take_back(&self) -> Option<Box<Cleaned>> {
        let mut turn = self.lock();
        if matches!(*turn, Turn::Swapping) {
            return None;
        }
        match std::mem::take(&mut *turn) {
            Turn::Offered(cleaned) => Some(cleaned),
            _ => None,
        }
    }

    /// Takes the cleaner's wish, if there is one. For the writer, which leaves its answer at once.
    pub(crate) fn take_wish(&self) -> Option<Turn> {
        let mut turn = self.lock();
        let is_wish = matches!(*turn, Turn::Asked | Turn::Offered(_));
        is_wish.then(|| std::mem::replace(&mut *turn, Turn::Swapping))
    }

    pub(crate) fn answer(&self, answer: Turn) {
        *self.lock() = answer;
    }

    /// Whether the files of a copy that readers see are not in place yet.
    pub(crate) fn is_swapping(&self) -> bool {
        matches!(*self.lock(), Turn::Swapping)
    }

    /// Whether a round found that the log can't be cleaned.
    pub(super) fn is_uncleanable(&self) -> bool {
        self.is_uncleanable.load(Ordering::Relaxed)
    }

    /// When the last round failed; zero if it did not.
    pub(super) fn failed_at(&self) -> MonoMillis {
        MonoMillis::from_millis(self.failed_at.load(Ordering::Relaxed))
    }

    pub(super) fn set_failed_at(&self, at: MonoMillis) {
        self.failed_at.store(at.as_millis(), Ordering::Relaxed);
    }

    pub(crate) fn set_uncleanable(&self, is_uncleanable: bool) {
        self.is_uncleanable.store(is_uncleanable, Ordering::Relaxed);
    }
}

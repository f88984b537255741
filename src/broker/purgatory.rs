//! Where requests wait: for the high watermark, or for records to come.
//!
//! - Bounded: a fetch that finds no place is answered at once with what there is. A produce always
//!   waits, and is bounded by the requests in flight of its connection.
//! - A request waits on the core that it came to; whoever ends the wait wakes that core's task, which
//!   on the same core costs no more than a push to its run queue.
//! - Nobody parks once the node stops, and who is parked then is woken.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use crate::replica::view::{Change, Watch};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// The waker of one waiting request, which several threads may want to wake.
#[derive(Debug, Default)]
pub(crate) struct WakeCell(Mutex<Option<Waker>>);

impl WakeCell {
    /// Remembers whom to wake. Look at the condition again afterwards.
    pub(crate) fn set(&self, waker: &Waker) {
        let mut cell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !cell.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *cell = Some(waker.clone());
        }
    }

    pub(crate) fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Watch for WakeCell {
    fn changed(&self, _change: Change) {
        self.wake();
    }
}

/// The places for fetches that wait.
#[derive(Debug)]
pub struct Purgatory {
    parked: AtomicUsize,
    place_count: usize,
    is_closed: AtomicBool,
    closing: Arc<Notify>,
}

impl Purgatory {
    /// A purgatory with so many places.
    pub fn new(place_count: usize) -> Arc<Self> {
        Arc::new(Self {
            parked: AtomicUsize::new(0),
            place_count,
            is_closed: AtomicBool::new(false),
            closing: Arc::default(),
        })
    }

    /// Wakes everyone who is parked, and parks nobody any more.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.closing.notify_waiters();
    }

    /// Takes a place, if there is one.
    pub(crate) fn park(self: &Arc<Self>) -> Option<Place> {
        let closing = Box::pin(self.closing.clone().notified_owned());
        let place = Place {
            purgatory: self.clone(),
            closing,
        };
        let before = self.parked.fetch_add(1, Ordering::AcqRel);
        let is_free = before < self.place_count && !self.is_closed.load(Ordering::Acquire);
        // Dropping the place gives it back.
        is_free.then_some(place)
    }

    /// How many are parked.
    pub fn parked(&self) -> usize {
        self.parked.load(Ordering::Acquire)
    }
}

/// A place in the purgatory.
#[derive(Debug)]
pub(crate) struct Place {
    purgatory: Arc<Purgatory>,
    /// Resolves when the purgatory closes.
    pub(crate) closing: std::pin::Pin<Box<OwnedNotified>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.purgatory.parked.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let purgatory = Purgatory::new(2);
        let first = purgatory.park().unwrap();
        let _second = purgatory.park().unwrap();
        assert!(purgatory.park().is_none());
        assert_eq!(purgatory.parked(), 2);
        drop(first);
        assert!(purgatory.park().is_some());
    }

    #[test]
    fn a_closed_purgatory_parks_nobody() {
        let purgatory = Purgatory::new(2);
        purgatory.close();
        assert!(purgatory.park().is_none());
        assert_eq!(purgatory.parked(), 0);
    }
}

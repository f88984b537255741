//! How much the log takes without asking the disk for space.
//!
//! Until the next segment is there, only what is left of the active one counts: on a full disk a
//! write beyond it would fail, and a failed write is final. That nothing has failed yet says nothing.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::sync::watch;

/// Votes and the entries of elections must find room after what is taken.
const RESERVE: usize = 64 << 10;
/// About what a frame takes beside a command.
const FRAME_SIZE: usize = 128;

/// Whether the next segment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is being made: the disk has not answered yet.
    Unknown,
    Ready,
    /// There is no space for it.
    Full,
}

#[derive(Debug)]
pub(super) struct Room {
    /// Bytes left in the active segment.
    left: AtomicU32,
    /// Bytes of proposals that may not be in `left` yet.
    claimed: AtomicUsize,
    next: watch::Sender<Next>,
}

impl Room {
    pub(super) fn new(left: u32, next: Next) -> Self {
        Self {
            left: AtomicU32::new(left),
            claimed: AtomicUsize::new(0),
            next: watch::Sender::new(next),
        }
    }

    pub(super) fn set_left(&self, left: u32) {
        self.left.store(left, Ordering::Relaxed);
    }

    /// Says how it is with the next segment, and returns what was said before.
    pub(super) fn set_next(&self, next: Next) -> Next {
        self.next.send_replace(next)
    }

    pub(super) fn is_full(&self) -> bool {
        *self.next.borrow() == Next::Full
    }

    /// Whether `size` more bytes fit.
    pub(super) fn has(&self, size: usize) -> bool {
        let left = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(0);
        let needed = size
            .saturating_add(self.claimed.load(Ordering::Relaxed))
            .saturating_add(RESERVE);
        needed <= left || *self.next.borrow() == Next::Ready
    }

    /// Returns once the disk has answered.
    pub(super) async fn known(&self) {
        let mut next = self.next.subscribe();
        // The sender lives in `self`.
        let _ = next.wait_for(|next| *next != Next::Unknown).await;
    }

    fn claim(&self, size: usize) {
        self.claimed.fetch_add(size, Ordering::Relaxed);
    }

    fn release(&self, size: usize) {
        self.claimed.fetch_sub(size, Ordering::Relaxed);
    }
}

/// Room for a proposal under way.
pub(crate) struct Claim {
    shared: std::sync::Arc<super::store::Shared>,
    size: usize,
}

impl Claim {
    pub(super) fn new(shared: std::sync::Arc<super::store::Shared>, size: usize) -> Self {
        let size = size.saturating_add(FRAME_SIZE);
        shared.room.claim(size);
        Self { shared, size }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.shared.room.release(self.size);
    }
}

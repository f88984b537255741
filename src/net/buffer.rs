//! Receive buffers, and how many bytes of requests may be in flight.
//!
//! - A buffer for large frames starts on a page: a block from the allocator lies 16 bytes past one,
//!   which halves the speed of the copy out of the socket (performance.md 1.5).
//! - Buffers are used again: fresh pages cost more than the copy into them.
//! - W1: bytes in flight are counted against the connection's and the node's limit before room is
//!   made for them; who is above a limit does not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, BytesMut};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// What an ordinary read has room for.
pub(crate) const SMALL: usize = 64 << 10;
/// A produce request of a full batch (1 MiB and its header) fits.
pub(crate) const LARGE: usize = (1 << 20) + SMALL;
const SMALL_COUNT_MAX: usize = 32;
const LARGE_COUNT_MAX: usize = 8;
const PAGE: usize = 4096;

/// The receive buffers of one core that nobody uses just now.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    small: Vec<BytesMut>,
    large: Vec<BytesMut>,
}

impl Pool {
    /// An empty buffer with room for at least `size` bytes.
    pub(crate) fn take(&mut self, size: usize) -> BytesMut {
        if size > LARGE {
            return aligned(size);
        }
        let (shelf, capacity) = if size > SMALL {
            (&mut self.large, LARGE)
        } else {
            (&mut self.small, SMALL)
        };
        shelf.pop().unwrap_or_else(|| aligned(capacity))
    }

    /// Takes a buffer back. One that requests still hold parts of, or of no common size, is let go.
    pub(crate) fn put(&mut self, mut buffer: BytesMut) {
        buffer.clear();
        if self.large.len() < LARGE_COUNT_MAX && buffer.try_reclaim(LARGE + PAGE) {
            if buffer.capacity() <= 2 * LARGE {
                align(&mut buffer);
                self.large.push(buffer);
            }
        } else if self.small.len() < SMALL_COUNT_MAX
            && buffer.try_reclaim(SMALL + PAGE)
            && buffer.capacity() <= 2 * SMALL
        {
            align(&mut buffer);
            self.small.push(buffer);
        }
    }
}

fn aligned(size: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(size + PAGE);
    align(&mut buffer);
    buffer
}

/// Drops the front of an empty buffer up to the next page.
fn align(buffer: &mut BytesMut) {
    let pad = buffer.as_ptr().align_offset(PAGE);
    if pad < PAGE {
        buffer.resize(pad, 0);
        buffer.advance(pad);
    }
}

/// A limit on bytes that many connections share.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    limit: usize,
    freed: Arc<Notify>,
    /// The wider limit that counts as well.
    parent: Option<Arc<Self>>,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
            freed: Arc::default(),
            parent: None,
        })
    }

    /// A narrower limit under this one.
    pub(crate) fn child(self: &Arc<Self>, limit: usize) -> Arc<Self> {
        let parent = Some(self.clone());
        Arc::new(Self {
            used: AtomicUsize::new(0),
            limit,
            freed: Arc::default(),
            parent,
        })
    }

    /// Takes `size` bytes if they fit, or if nobody else holds any (one frame always fits).
    pub(crate) fn try_take(self: &Arc<Self>, size: usize) -> Option<Share> {
        self.reserve(size).then(|| Share {
            budget: self.clone(),
            size,
        })
    }

    fn reserve(&self, size: usize) -> bool {
        let fits = |used: usize| {
            let after = used.saturating_add(size);
            (used == 0 || after <= self.limit).then_some(after)
        };
        if self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, fits)
            .is_err()
        {
            return false;
        }
        let is_wide_enough = self
            .parent
            .as_ref()
            .is_none_or(|parent| parent.reserve(size));
        if !is_wide_enough {
            self.give_back(size);
        }
        is_wide_enough
    }

    fn give_back(&self, size: usize) {
        self.used.fetch_sub(size, Ordering::AcqRel);
        self.freed.notify_waiters();
    }

    /// Resolves when bytes were given back since the call: make it first, then try to take.
    pub(crate) fn freed(&self) -> OwnedNotified {
        self.freed.clone().notified_owned()
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

/// Bytes taken from a budget, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    size: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut budget = Some(&self.budget);
        while let Some(here) = budget {
            here.give_back(self.size);
            budget = here.parent.as_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_start_on_a_page_and_have_the_room_asked_for() {
        let mut pool = Pool::default();
        for size in [1, SMALL, SMALL + 1, LARGE, 3 * LARGE] {
            let buffer = pool.take(size);
            assert!(buffer.is_empty() && buffer.capacity() >= size, "{size}");
            assert_eq!(buffer.as_ptr().align_offset(PAGE), 0, "{size}");
        }
    }

    #[test]
    fn a_buffer_is_used_again_once_its_parts_are_gone() {
        let mut pool = Pool::default();
        let mut buffer = pool.take(10);
        let place = buffer.as_ptr();
        buffer.extend_from_slice(&[7; 100]);
        drop(buffer.split_to(60));
        pool.put(buffer);
        let again = pool.take(10);
        assert_eq!(again.as_ptr(), place);
        assert!(again.capacity() >= SMALL);
    }

    #[test]
    fn a_buffer_whose_parts_are_held_is_let_go() {
        let mut pool = Pool::default();
        let mut buffer = pool.take(10);
        buffer.extend_from_slice(&[7; 100]);
        let part = buffer.split_to(60);
        pool.put(buffer);
        assert!(pool.small.is_empty());
        assert_eq!(part[..], [7; 60]);
    }

    #[test]
    fn a_budget_is_never_exceeded_but_by_one_alone() {
        let budget = Budget::new(100);
        let alone = budget.try_take(150).unwrap();
        assert!(budget.try_take(1).is_none());
        drop(alone);
        let first = budget.try_take(60).unwrap();
        assert!(budget.try_take(41).is_none());
        let second = budget.try_take(40).unwrap();
        assert_eq!(budget.used(), 100);
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }
}

//! The lock of one partition: whoever takes it works for everyone who queued (decision 10).
//!
//! - Every event enters the one bounded queue, and only the holder of the lock takes events out: one
//!   logical writer, in the order of the queue.
//! - A submitter that finds the lock taken goes on; the holder looks at the queue once more *after*
//!   it has let go, so no event is stranded. (Between the holder's last look and its release a
//!   submitter may have pushed and failed to take the lock.)
//! - Completions (of work that the writer itself started, and decisions from above) pass requests
//!   and are taken even while the writer accepts no requests; each is the answer to one piece of
//!   work in flight, which is what bounds them. Requests are bounded by count and bytes.
//! - A thread that must not be kept may work for a bounded time; what it leaves, it hands to somebody who will do it.
//! - Nothing here waits, so the lock is never held across an await.
//!
//! This file imports nothing of the crate: the loom tests compile it by itself.

use std::collections::VecDeque;
use std::task::{Poll, Waker};

#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};

/// What may wait in one partition's queue, and how much of it one turn takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests that may wait.
    pub request_count: usize,
    /// Bytes of requests that may wait; one request is accepted whatever its size.
    pub request_bytes: usize,
    /// Bytes of requests that one turn takes; one request is taken whatever its size.
    pub turn_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_count: 1024,
            request_bytes: 16 << 20,
            turn_bytes: 1 << 20,
        }
    }
}

/// The one writer: the state behind the lock.
pub trait Writer<E> {
    /// Whether requests may be taken now; only a turn changes the answer.
    fn accepts_requests(&self) -> bool;

    /// Handles one turn's events, in order, and leaves `events` empty.
    fn turn(&mut self, events: &mut Vec<E>);
}

/// A bounded queue of events and the state that only the holder of the lock touches.
#[derive(Debug)]
pub struct Combining<E, W> {
    limits: Limits,
    queue: Mutex<Queue<E>>,
    writer: TryLock<Locked<E, W>>,
}

#[derive(Debug)]
struct Locked<E, W> {
    writer: W,
    /// The turn's events; kept for its allocation.
    events: Vec<E>,
}

#[derive(Debug)]
struct Queue<E> {
    completions: VecDeque<E>,
    requests: VecDeque<(usize, E)>,
    bytes: usize,
    /// Submitters that found no room.
    waiting: Vec<Waker>,
}

impl<E> Queue<E> {
    fn has_room(&self, size: usize, limits: &Limits) -> bool {
        self.requests.is_empty()
            || (self.requests.len() < limits.request_count
                && self.bytes.saturating_add(size) <= limits.request_bytes)
    }

    fn push(&mut self, size: usize, event: E) {
        self.bytes = self.bytes.saturating_add(size);
        self.requests.push_back((size, event));
    }

    fn take_turn(&mut self, requests_too: bool, turn_bytes: usize, turn: &mut Vec<E>) {
        turn.extend(self.completions.drain(..));
        if !requests_too {
            return;
        }
        let mut taken: usize = 0;
        while let Some((size, _)) = self.requests.front() {
            if taken > 0 && taken.saturating_add(*size) > turn_bytes {
                break;
            }
            if let Some((size, event)) = self.requests.pop_front() {
                self.bytes = self.bytes.saturating_sub(size);
                // An event without bytes still counts, so that a turn ends.
                taken = taken.saturating_add(size.max(1));
                turn.push(event);
            }
        }
    }
}

impl<E, W: Writer<E>> Combining<E, W> {
    /// An empty queue before `writer`.
    pub fn new(limits: Limits, writer: W) -> Self {
        Self {
            limits,
            queue: Mutex::new(Queue {
                completions: VecDeque::new(),
                requests: VecDeque::new(),
                bytes: 0,
                waiting: Vec::new(),
            }),
            writer: TryLock::new(Locked {
                writer,
                events: Vec::new(),
            }),
        }
    }

    /// Queues a request of `size` bytes. Follow with `run`.
    ///
    /// # Errors
    /// The request, if there is no room for it.
    pub fn submit(&self, size: usize, event: E) -> Result<(), E> {
        let mut queue = lock(&self.queue);
        if !queue.has_room(size, &self.limits) {
            return Err(event);
        }
        queue.push(size, event);
        Ok(())
    }

    /// Queues the request in `event`, or remembers to wake `waker` when there may be room.
    ///
    /// `event` is empty after `Ready`. Follow with `run`.
    pub fn poll_submit(&self, size: usize, event: &mut Option<E>, waker: &Waker) -> Poll<()> {
        let mut queue = lock(&self.queue);
        if !queue.has_room(size, &self.limits) {
            if !queue.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                queue.waiting.push(waker.clone());
            }
            return Poll::Pending;
        }
        if let Some(event) = event.take() {
            queue.push(size, event);
        }
        Poll::Ready(())
    }

    /// Queues a completion: the end of work that the writer started, or a decision from above.
    pub fn complete(&self, event: E) {
        lock(&self.queue).completions.push_back(event);
    }

    /// Works until the queue holds nothing to do, unless someone else is doing so already.
    pub fn run(&self) {
        while self.work(true, usize::MAX) {}
    }

    /// Works for so many turns at most. `true`: something is left that nobody works on; the caller must see that
    /// somebody does.
    #[must_use]
    pub fn run_for(&self, turn_count: usize) -> bool {
        self.work(true, turn_count)
    }

    /// Works off the completions that are there, and no request. `true` as of [`Self::run_for`].
    #[must_use]
    pub fn run_completions(&self) -> bool {
        self.work(false, 1)
    }

    fn work(&self, requests_too: bool, turn_count: usize) -> bool {
        let Some(mut locked) = self.writer.try_lock() else {
            return false;
        };
        let Locked { writer, events } = &mut *locked;
        for _ in 0..turn_count {
            let waiting = self.take_turn(requests_too && writer.accepts_requests(), events);
            waiting.into_iter().for_each(Waker::wake);
            if events.is_empty() {
                break;
            }
            writer.turn(events);
            events.clear();
        }
        let accepts_requests = writer.accepts_requests();
        drop(locked);
        self.has_work(accepts_requests)
    }

    fn take_turn(&self, requests_too: bool, turn: &mut Vec<E>) -> Vec<Waker> {
        let mut queue = lock(&self.queue);
        queue.take_turn(requests_too, self.limits.turn_bytes, turn);
        if turn.is_empty() {
            Vec::new()
        } else {
            std::mem::take(&mut queue.waiting)
        }
    }

    fn has_work(&self, requests_too: bool) -> bool {
        let queue = lock(&self.queue);
        !queue.completions.is_empty() || (requests_too && !queue.requests.is_empty())
    }
}

// A poisoned lock means that a turn panicked: the process is ending (fail stop, decision 13), and
// with `panic = "abort"` nobody sees this.
#[cfg_attr(
    not(loom),
    expect(clippy::expect_used, reason = "a panicked turn ends the process")
)]
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a turn panicked")
}

/// A lock that is only ever tried.
#[cfg(not(loom))]
#[derive(Debug)]
struct TryLock<T>(Mutex<T>);

#[cfg(not(loom))]
impl<T> TryLock<T> {
    fn new(value: T) -> Self {
        Self(Mutex::new(value))
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::WouldBlock) => None,
            Err(std::sync::TryLockError::Poisoned(_)) => Some(lock(&self.0)),
        }
    }
}

#[cfg(loom)]
use model::TryLock;

/// The same lock with its word spelt out: loom does not take the release of its own mutex for an
/// operation, so it would never run a submitter between the holder's last look and its release, which
/// is the very interleaving that strands events.
#[cfg(loom)]
mod model {
    use super::lock;
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::sync::{Mutex, MutexGuard};
    use std::ops::{Deref, DerefMut};

    #[derive(Debug)]
    pub(super) struct TryLock<T> {
        taken: AtomicBool,
        value: Mutex<T>,
    }

    impl<T> TryLock<T> {
        pub(super) fn new(value: T) -> Self {
            Self {
                taken: AtomicBool::new(false),
                value: Mutex::new(value),
            }
        }

        pub(super) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.taken
                .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire)
                .ok()?;
            Some(Guard {
                lock: self,
                value: Some(lock(&self.value)),
            })
        }
    }

    pub(super) struct Guard<'a, T> {
        lock: &'a TryLock<T>,
        value: Option<MutexGuard<'a, T>>,
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.value.as_deref().expect("held until dropped")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.value.as_deref_mut().expect("held until dropped")
        }
    }

    impl<T> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            self.value = None;
            self.lock.taken.store(false, Ordering::Release);
        }
    }
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Recorder {
        closed: bool,
        turns: Vec<Vec<u32>>,
    }

    impl Writer<u32> for Recorder {
        fn accepts_requests(&self) -> bool {
            !self.closed
        }

        fn turn(&mut self, events: &mut Vec<u32>) {
            if events.contains(&1000) {
                self.closed = false;
            }
            self.turns.push(std::mem::take(events));
        }
    }

    fn combining(closed: bool) -> Combining<u32, Recorder> {
        let limits = Limits {
            request_count: 3,
            request_bytes: 100,
            turn_bytes: 60,
        };
        Combining::new(
            limits,
            Recorder {
                closed,
                turns: Vec::new(),
            },
        )
    }

    fn turns(combining: &Combining<u32, Recorder>) -> Vec<Vec<u32>> {
        combining.writer.try_lock().unwrap().writer.turns.clone()
    }

    #[test]
    fn a_turn_takes_requests_in_order_up_to_its_bytes() {
        let combining = combining(false);
        for (size, event) in [(40, 1), (20, 2), (10, 3)] {
            combining.submit(size, event).unwrap();
        }
        combining.run();
        assert_eq!(turns(&combining), [vec![1, 2], vec![3]]);
    }

    #[test]
    fn a_full_queue_gives_the_request_back_and_wakes_when_there_is_room() {
        let combining = combining(false);
        for event in 1..=3 {
            combining.submit(1, event).unwrap();
        }
        assert_eq!(combining.submit(1, 4), Err(4));
        let waker = Waker::noop();
        let mut event = Some(4);
        assert!(combining.poll_submit(1, &mut event, waker).is_pending());
        combining.run();
        assert!(combining.poll_submit(1, &mut event, waker).is_ready());
        combining.run();
        assert_eq!(turns(&combining), [vec![1, 2, 3], vec![4]]);
    }

    #[test]
    fn one_request_above_the_byte_limit_passes_alone() {
        let combining = combining(false);
        combining.submit(1000, 1).unwrap();
        assert_eq!(combining.submit(1, 2), Err(2));
        combining.run();
        assert_eq!(turns(&combining), [vec![1]]);
    }

    #[test]
    fn bounded_work_says_that_something_is_left() {
        let combining = combining(false);
        combining.submit(40, 1).unwrap();
        combining.submit(40, 2).unwrap();
        combining.complete(7);
        assert!(combining.run_completions());
        assert_eq!(turns(&combining), [vec![7]]);
        assert!(combining.run_for(1));
        assert_eq!(turns(&combining), [vec![7], vec![1]]);
        assert!(!combining.run_for(1));
        assert_eq!(turns(&combining), [vec![7], vec![1], vec![2]]);
    }

    #[test]
    fn requests_wait_while_the_writer_is_closed_and_completions_pass() {
        let combining = combining(true);
        combining.submit(1, 1).unwrap();
        combining.run();
        assert!(turns(&combining).is_empty());
        combining.complete(7);
        combining.run();
        combining.complete(1000);
        combining.run();
        assert_eq!(turns(&combining), [vec![7], vec![1000], vec![1]]);
    }
}

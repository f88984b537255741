//! What is asked of a partition whose log is not open yet: in order, bounded, and each until its deadline.
//!
//! - Whoever waits is told at the deadline, and what was asked is never carried out after that: a client that tries again
//!   would have it twice.

use std::collections::VecDeque;

use ottla_storage::time::MonoMillis;

use super::super::combining::Limits;
use super::super::core::effect::Refusal;
use super::super::request::Request;
use super::Driver;

/// Requests that wait for the log.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    limits: Limits,
    /// The first deadline, or an earlier moment.
    next_deadline: Option<MonoMillis>,
    /// A turn is asked for that goes on with them.
    is_resuming: bool,
}

impl Waiting {
    /// Whether another request may be added.
    pub(super) fn has_room(&self) -> bool {
        self.requests.len() < self.limits.request_count && self.bytes < self.limits.request_bytes
    }

    /// Lets a request wait, unless its time is over.
    pub(super) fn add(&mut self, now: MonoMillis, request: Request) {
        self.expire(now);
        self.push(now, request);
    }

    fn push(&mut self, now: MonoMillis, request: Request) {
        let deadline = request.deadline();
        if deadline <= now {
            return refuse(request);
        }
        let next = self
            .next_deadline
            .map_or(deadline, |next| next.min(deadline));
        self.next_deadline = Some(next);
        self.bytes += request.size();
        self.requests.push_back(request);
    }

    /// Drops what has waited long enough.
    pub(super) fn expire(&mut self, now: MonoMillis) {
        if self.next_deadline.is_none_or(|next| next > now) {
            return;
        }
        (self.bytes, self.next_deadline) = (0, None);
        for request in std::mem::take(&mut self.requests) {
            self.push(now, request);
        }
    }

    /// Takes out what has waited longest, as much as one turn takes.
    fn take_turn(&mut self) -> Vec<Request> {
        let mut turn = Vec::new();
        let mut bytes = 0;
        while bytes < self.limits.turn_bytes
            && let Some(request) = self.requests.pop_front()
        {
            // One without bytes still counts, so that a turn ends.
            bytes += request.size().max(1);
            self.bytes -= request.size();
            turn.push(request);
        }
        turn
    }
}

impl Driver {
    /// Whether requests wait: for the log, or for those that came before.
    pub(super) fn must_wait(&self) -> bool {
        self.log.is_awaited() || !self.waiting.requests.is_empty()
    }

    /// Asks for a turn that goes on with what waits, if it need not wait any more: who has opened the log does not
    /// append.
    pub(super) fn resume_later(&mut self) {
        let is_due = !self.log.is_awaited() && !self.waiting.requests.is_empty();
        if is_due
            && !self.waiting.is_resuming
            && let Some(replica) = self.replica.upgrade()
        {
            self.waiting.is_resuming = true;
            replica.resume_later();
        }
    }

    pub(super) fn resume(&mut self, now: MonoMillis) {
        self.waiting.is_resuming = false;
        if self.log.is_awaited() {
            return;
        }
        for request in self.waiting.take_turn() {
            if !matches!(request, Request::Produce(_)) {
                self.append_group(now);
            }
            self.ask(now, request);
        }
    }
}

fn refuse(request: Request) {
    request.into_asker().tell(Err(Refusal::TimedOut.into()));
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::replica::request::{AskedBy, Asker, DeleteRecords, Done, RequestError};

    /// The parts that were told, in order.
    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<usize>>);

    impl Asker for Told {
        fn decided(&self, part: usize, outcome: Result<Done, RequestError>) {
            assert!(outcome.is_err());
            self.0.lock().unwrap().push(part);
        }
    }

    fn at(millis: u64) -> MonoMillis {
        MonoMillis::from_millis(millis)
    }

    fn request(told: &Arc<Told>, part: usize, deadline: u64) -> Request {
        let asker = told.clone();
        Request::DeleteRecords(DeleteRecords {
            before: None,
            deadline: at(deadline),
            by: AskedBy { asker, part },
        })
    }

    #[test]
    fn requests_leave_in_order_and_each_is_over_at_its_deadline() {
        let told = Arc::new(Told::default());
        let mut waiting = Waiting::default();
        for (part, deadline) in [(0, 50), (1, 10), (2, 40), (3, 60)] {
            waiting.add(at(0), request(&told, part, deadline));
        }
        waiting.expire(at(9));
        assert!(told.0.lock().unwrap().is_empty());
        waiting.expire(at(10));
        waiting.add(at(45), request(&told, 4, 45));
        assert_eq!(*told.0.lock().unwrap(), [1, 2, 4]);
        let left = waiting.take_turn().into_iter();
        let left = left.map(|request| request.into_asker().part);
        assert_eq!(left.collect::<Vec<_>>(), [0, 3]);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let told = Arc::new(Told::default());
        let mut waiting = Waiting::default();
        for part in 0..Limits::default().request_count {
            assert!(waiting.has_room());
            waiting.add(at(0), request(&told, part, 10));
        }
        assert!(!waiting.has_room());
        waiting.expire(at(10));
        assert!(waiting.has_room());
    }
}

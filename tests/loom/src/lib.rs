//! Every interleaving of a few threads at the combining lock of one partition.
//!
//! Promises: each event is handled exactly once, each submitter's events in its order, one writer at
//! a time, and nothing is left behind when everyone has returned. Run with `tests/loom/run`.
#![cfg(loom)]

#[path = "../../../src/replica/combining.rs"]
pub mod combining;

#[cfg(test)]
mod tests {
    use super::combining::{Combining, Limits, Writer};
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;
    use std::sync::Mutex;

    struct Recorder {
        open: bool,
        inside: AtomicUsize,
        seen: std::sync::Arc<Mutex<Vec<u32>>>,
    }

    const OPEN: u32 = 100;

    impl Writer<u32> for Recorder {
        fn accepts_requests(&self) -> bool {
            self.open
        }

        fn turn(&mut self, events: &mut Vec<u32>) {
            assert_eq!(self.inside.fetch_add(1, Ordering::AcqRel), 0, "two writers at once");
            self.open |= events.contains(&OPEN);
            self.seen.lock().unwrap().append(events);
            self.inside.fetch_sub(1, Ordering::AcqRel);
        }
    }

    type Seen = std::sync::Arc<Mutex<Vec<u32>>>;

    fn partition(open: bool) -> (Arc<Combining<u32, Recorder>>, Seen) {
        let seen = Seen::default();
        let writer = Recorder { open, inside: AtomicUsize::new(0), seen: seen.clone() };
        (Arc::new(Combining::new(Limits::default(), writer)), seen)
    }

    #[test]
    fn no_event_is_stranded_when_two_threads_submit() {
        loom::model(|| {
            let (partition, seen) = partition(true);
            let other = {
                let partition = partition.clone();
                thread::spawn(move || {
                    for event in [1, 2] {
                        partition.submit(1, event).unwrap();
                        partition.run();
                    }
                })
            };
            partition.submit(1, 11).unwrap();
            partition.run();
            other.join().unwrap();
            let seen = seen.lock().unwrap().clone();
            assert_eq!(seen.len(), 3, "{seen:?}");
            assert!(seen.iter().position(|e| *e == 1) < seen.iter().position(|e| *e == 2));
        });
    }

    #[test]
    fn three_threads_leave_nothing_behind() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (partition, seen) = partition(true);
            let others = [1, 2].map(|event| {
                let partition = partition.clone();
                thread::spawn(move || {
                    partition.submit(1, event).unwrap();
                    partition.run();
                })
            });
            partition.submit(1, 3).unwrap();
            partition.run();
            others.into_iter().for_each(|other| other.join().unwrap());
            let mut seen = seen.lock().unwrap().clone();
            seen.sort_unstable();
            assert_eq!(seen, [1, 2, 3]);
        });
    }

    #[test]
    fn what_bounded_work_leaves_is_done_by_whoever_it_is_handed_to() {
        loom::model(|| {
            let (partition, seen) = partition(true);
            let bounded = {
                let partition = partition.clone();
                thread::spawn(move || {
                    partition.complete(7);
                    if partition.run_completions() {
                        while partition.run_for(1) {}
                    }
                })
            };
            partition.submit(1, 1).unwrap();
            partition.run();
            bounded.join().unwrap();
            let mut seen = seen.lock().unwrap().clone();
            seen.sort_unstable();
            assert_eq!(seen, [1, 7]);
        });
    }

    #[test]
    fn requests_that_waited_for_the_writer_to_open_are_not_stranded() {
        loom::model(|| {
            let (partition, seen) = partition(false);
            let opener = {
                let partition = partition.clone();
                thread::spawn(move || {
                    partition.complete(OPEN);
                    partition.run();
                })
            };
            partition.submit(1, 1).unwrap();
            partition.run();
            opener.join().unwrap();
            assert_eq!(*seen.lock().unwrap(), [OPEN, 1]);
        });
    }
}

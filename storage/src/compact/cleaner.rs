//! The node's cleaner: threads that look for the dirtiest log, clean it, and look again.
//!
//! - A log is cleaned by one thread at a time. Among those that are due, one that is overdue goes first, then the one with the
//!   largest dirty part. One whose last round failed lets all others go first, so that no log keeps them from their turns.
//! - A log that can't be cleaned is left alone until it is opened anew or truncated; the others go on.
//! - A full disk is left alone until it has healed: a copy would take the room that healing needs.
//! - The threads touch nothing but log files: what their work does to a partition is done by its writer.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use uuid::Uuid;

use super::compacted_log::CompactedLog;
use super::counters::CleanerCounters;
use super::course::Waiting;
use super::error::CleanError;
use super::range::Dirtiness;
use super::round::{CleanReport, CleanTools};
use crate::directory::events::Clock;
use crate::ids::DirectoryId;
use crate::journal::LogKey;
use crate::log_dir::LogDir;
use crate::time::MonoMillis;

/// The `log.cleaner.*` settings of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanerConfig {
    /// `log.cleaner.threads`.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: bytes for the maps of all threads.
    pub map_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`, in percent.
    pub map_load_percent: u32,
    /// `log.cleaner.io.buffer.size`: bytes read and written at once, of all threads.
    pub io_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`, of all threads; `None` is no limit.
    pub bytes_per_second: Option<u64>,
    /// `log.cleaner.backoff.ms`: how long a thread that found nothing waits.
    pub backoff: Duration,
}

/// The running cleaner.
#[derive(Debug)]
pub struct LogCleaner {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    dirs: Vec<Arc<LogDir>>,
    clock: Arc<dyn Clock>,
    config: CleanerConfig,
    counters: Arc<CleanerCounters>,
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_stopping: bool,
    /// Logs that a thread is at, by directory: two may hold one of the same name.
    busy: BTreeSet<(DirectoryId, LogKey)>,
}

/// A log that is due.
#[derive(Debug)]
struct Chosen {
    dir: DirectoryId,
    log: CompactedLog,
    dirtiness: Dirtiness,
}

impl Chosen {
    /// Whoever has more goes first.
    fn rank(&self) -> (Reverse<MonoMillis>, bool, u32) {
        let Dirtiness { is_overdue, .. } = self.dirtiness;
        let ratio = self.dirtiness.ratio_ppm();
        (Reverse(self.log.failed_at()), is_overdue, ratio)
    }
}

impl LogCleaner {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn start(
        dirs: Vec<Arc<LogDir>>,
        clock: Arc<dyn Clock>,
        config: CleanerConfig,
        counters: Arc<CleanerCounters>,
    ) -> io::Result<Self> {
        let threads = config.threads;
        let shared = Arc::new(Shared {
            dirs,
            clock,
            config,
            counters,
            state: Mutex::default(),
            stopped: Condvar::new(),
        });
        let mut cleaner = Self {
            shared,
            threads: Vec::new(),
        };
        for _ in 0..threads {
            let shared = Arc::clone(&cleaner.shared);
            let thread = thread::Builder::new().name("log-cleaner".to_owned());
            cleaner.threads.push(thread.spawn(move || shared.work())?);
        }
        Ok(cleaner)
    }

    /// Ends the threads; a round under way is given up.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.stopped.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said why; what it left is what a crash leaves.
            let _ = thread.join();
        }
    }
}

impl Drop for LogCleaner {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let is_done = self.choose().is_some_and(|chosen| {
                let is_done = self.clean(&chosen).is_ok();
                self.lock().busy.remove(&(chosen.dir, chosen.log.key()));
                is_done
            });
            // A round that failed for want of room, or met a change of its log, need not be tried again at once.
            let pause = if is_done {
                Duration::ZERO
            } else {
                self.config.backoff
            };
            if !self.pass(pause) {
                return;
            }
        }
    }

    /// Lets so much time pass; false if the threads are to end.
    fn pass(&self, time: Duration) -> bool {
        let state = self.lock();
        let passed = self
            .stopped
            .wait_timeout_while(state, time, |state| !state.is_stopping);
        let (state, _) = passed.unwrap_or_else(PoisonError::into_inner);
        !state.is_stopping
    }

    /// Takes the log whose turn it is.
    fn choose(&self) -> Option<Chosen> {
        let mut best: Option<Chosen> = None;
        let mut max_dirty_ppm = 0;
        let mut uncleanable = 0;
        for dir in self.dirs.iter().filter(|dir| dir.failure().is_none()) {
            for log in dir.compacted() {
                if log.is_uncleanable() {
                    uncleanable += 1;
                    continue;
                }
                let dirtiness = match log.dirtiness() {
                    Ok(dirtiness) => dirtiness,
                    Err(error) => {
                        say_failed(&log, &error);
                        continue;
                    }
                };
                max_dirty_ppm = max_dirty_ppm.max(dirtiness.ratio_ppm());
                let is_candidate = !dir.is_disk_full()
                    && log.is_due(&dirtiness)
                    && !self.is_busy(dir.id(), log.key());
                let chosen = Chosen {
                    dir: dir.id(),
                    log,
                    dirtiness,
                };
                let is_better = |best: &Chosen| chosen.rank() > best.rank();
                if is_candidate && best.as_ref().is_none_or(is_better) {
                    best = Some(chosen);
                }
            }
        }
        self.counters.note_logs(max_dirty_ppm, uncleanable);
        // Another thread may have taken it meanwhile.
        best.filter(|best| self.lock().busy.insert((best.dir, best.log.key())))
    }

    fn is_busy(&self, dir: DirectoryId, key: LogKey) -> bool {
        self.lock().busy.contains(&(dir, key))
    }

    fn clean(&self, chosen: &Chosen) -> Result<(), CleanError> {
        let config = &self.config;
        let threads = config.threads.max(1);
        let share = |bytes: u64| bytes / u64::try_from(threads).unwrap_or(1);
        let tools = CleanTools {
            map_bytes: share(config.map_bytes),
            map_load_percent: config.map_load_percent,
            io_bytes: config.io_bytes / threads,
            bytes_per_second: config.bytes_per_second.map(share),
            hash_key: *Uuid::new_v4().as_bytes(),
            counters: Arc::clone(&self.counters),
        };
        let since = self.clock.mono();
        let result = chosen.log.clean(&tools, &mut &*self);
        let took = self.clock.mono().since(since);
        match &result {
            Ok(report) => {
                self.counters.count_round(report.records_dropped, took);
                say_done(chosen, report, took);
            }
            Err(error) => say_failed(&chosen.log, error),
        }
        result.map(|_| ())
    }
}

impl Waiting for &Shared {
    fn pass(&mut self, time: Duration) -> bool {
        Shared::pass(self, time)
    }
}

fn say_done(chosen: &Chosen, report: &CleanReport, took: Duration) {
    let millis = took.as_millis().max(1);
    // Read twice, of which the dirty part once for its keys, and written once.
    let bytes = u128::from(report.bytes_before) + u128::from(chosen.dirtiness.dirty_bytes);
    tracing::info!(
        topic = chosen.log.topic(),
        partition = chosen.log.key().partition,
        up_to = report.first_dirty.get(),
        segments_before = report.segments_before,
        segments_after = report.segments_after,
        bytes_before = report.bytes_before,
        bytes_after = report.bytes_after,
        records_dropped = report.records_dropped,
        millis,
        mb_per_second = bytes / 1000 / millis,
        "cleaned a log"
    );
}

fn say_failed(log: &CompactedLog, error: &CleanError) {
    let (topic, partition) = (log.topic(), log.key().partition);
    let reason = error as &dyn std::error::Error;
    match error {
        CleanError::Aborted => tracing::debug!(topic, partition, "a round was given up"),
        CleanError::DiskFull => {
            tracing::warn!(
                topic,
                partition,
                "no room for a cleaned copy: tried again later"
            );
        }
        _ if error.is_about_the_log() => {
            tracing::error!(topic, partition, error = reason, "the log can't be cleaned");
        }
        _ => tracing::warn!(
            topic,
            partition,
            error = reason,
            "a round failed: tried again later"
        ),
    }
}

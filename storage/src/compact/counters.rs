//! What the cleaner did since the process started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of one node's cleaner. Each is its own truth: they are not read as one moment.
#[derive(Debug, Default)]
pub struct CleanerCounters {
    rounds: AtomicU64,
    failed_rounds: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    records_dropped: AtomicU64,
    last_round_ms: AtomicU64,
    max_dirty_ppm: AtomicU64,
    uncleanable: AtomicU64,
}

impl CleanerCounters {
    pub(crate) fn count_round(&self, records_dropped: u64, took: Duration) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.records_dropped
            .fetch_add(records_dropped, Ordering::Relaxed);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.last_round_ms.store(millis, Ordering::Relaxed);
    }

    pub(crate) fn count_failed_round(&self) {
        self.failed_rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn count_written(&self, bytes: u64) {
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn note_logs(&self, max_dirty_ppm: u32, uncleanable: usize) {
        self.max_dirty_ppm
            .store(max_dirty_ppm.into(), Ordering::Relaxed);
        let uncleanable = u64::try_from(uncleanable).unwrap_or(u64::MAX);
        self.uncleanable.store(uncleanable, Ordering::Relaxed);
    }

    /// Rounds that were finished.
    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Rounds that were not: the log was truncated or closed meanwhile, the disk was full, or the log can't be cleaned.
    pub fn failed_rounds(&self) -> u64 {
        self.failed_rounds.load(Ordering::Relaxed)
    }

    /// Bytes of log files read.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Bytes of log files written.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written.load(Ordering::Relaxed)
    }

    /// Records that finished rounds have dropped.
    pub fn records_dropped(&self) -> u64 {
        self.records_dropped.load(Ordering::Relaxed)
    }

    /// How long the last finished round took, in milliseconds.
    pub fn last_round_ms(&self) -> u64 {
        self.last_round_ms.load(Ordering::Relaxed)
    }

    /// The largest dirty ratio of a log when the cleaner last looked, in percent.
    pub fn max_dirty_percent(&self) -> u64 {
        self.max_dirty_ppm.load(Ordering::Relaxed) / 10_000
    }

    /// Logs that can't be cleaned; the reason of each is in the log.
    pub fn uncleanable(&self) -> u64 {
        self.uncleanable.load(Ordering::Relaxed)
    }
}

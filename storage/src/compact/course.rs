//! How a round goes on: at its pace, counted, and only for as long as it is wanted.

use std::fmt::Debug;
use std::time::Duration;

use super::counters::CleanerCounters;
use super::error::CleanError;
use super::throttle::Throttle;
use crate::log::LogShared;

/// How a round lets time pass: for the log's writer, or because it has done enough for now.
pub trait Waiting: Debug {
    /// Lets at most so much time pass, maybe none; false if the round is to be given up.
    fn pass(&mut self, time: Duration) -> bool;
}

/// How a round goes on: it counts, keeps its pace, and sees when it is no longer wanted.
#[derive(Debug)]
pub(super) struct Course<'a> {
    pub(super) log: &'a LogShared,
    pub(super) generation: u64,
    pub(super) throttle: Throttle,
    pub(super) counters: &'a CleanerCounters,
    pub(super) waiting: &'a mut dyn Waiting,
    pub(super) io_bytes: usize,
    pub(super) records_bytes_max: usize,
}

impl Course<'_> {
    /// Whether the log is still the one that the round began with.
    pub(super) fn check(&mut self) -> Result<(), CleanError> {
        self.check_after(Duration::ZERO)
    }

    fn check_after(&mut self, wait: Duration) -> Result<(), CleanError> {
        let is_wanted = self.waiting.pass(wait);
        let is_same = self.log.view.load().generation == self.generation;
        if is_wanted && is_same && !self.log.is_closed() && !self.log.directory.is_offline() {
            Ok(())
        } else {
            Err(CleanError::Aborted)
        }
    }

    /// Whether the disk has room for a copy of `bytes`, and for the ballast and as much again, by which a disk that was full
    /// is told from one that has healed.
    pub(super) fn check_room(&self, bytes: u64) -> Result<(), CleanError> {
        let directory = &self.log.directory;
        let space = directory.fs.space(&directory.path);
        let space = space.map_err(CleanError::of_call)?;
        let needed = directory.ballast_bytes.saturating_mul(2);
        if space.available < bytes.saturating_add(needed) {
            return Err(CleanError::DiskFull);
        }
        Ok(())
    }

    pub(super) fn count_read(&mut self, bytes: u64) -> Result<(), CleanError> {
        self.counters.count_read(bytes);
        self.pace(bytes)
    }

    pub(super) fn count_written(&mut self, bytes: u64) -> Result<(), CleanError> {
        self.counters.count_written(bytes);
        self.pace(bytes)
    }

    fn pace(&mut self, bytes: u64) -> Result<(), CleanError> {
        // Most batches come out of the buffer.
        if bytes == 0 {
            return Ok(());
        }
        let wait = self.throttle.note(bytes, self.log.directory.now());
        self.check_after(wait)
    }
}

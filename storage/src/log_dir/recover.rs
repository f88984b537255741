//! Scanning the logs of an unclean stop, on threads of their own, while the others are served.
//!
//! - A scan that meets a full disk has found nothing wrong: it is done again, and until then the log waits.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{Catalog, Config, LogDir, LogStatus, names, open};
use crate::directory::events::LogEvent;
use crate::directory::queue::Later;
use crate::directory::{Directory, Fault, RETRY_AFTER};
use crate::journal::LogKey;
use crate::recovery::{self, OpenError, Site};

/// The logs that are still to be scanned.
type Pending = Mutex<VecDeque<LogKey>>;

fn next(pending: &Pending) -> Option<LogKey> {
    pending
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .pop_front()
}

impl LogDir {
    /// Scans every unrecovered log. A [`LogEvent`] tells the outcome of each; a directory without threads scans them
    /// before this returns.
    ///
    /// # Errors
    /// The operating system has no more threads.
    pub fn recover(&self, config: &Config) -> io::Result<()> {
        let keys = self.unrecovered();
        if keys.is_empty() {
            return Ok(());
        }
        tracing::info!(path = %self.directory.path.display(), logs = keys.len(), "scanning after an unclean stop");
        let pending: Arc<Pending> = Arc::new(Mutex::new(keys.into()));
        if self.tuning.threads == 0 {
            work_off(&self.directory, &self.catalog, &pending, config);
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..self.tuning.threads {
            let (directory, catalog) = (Arc::clone(&self.directory), Arc::clone(&self.catalog));
            let (pending, config) = (Arc::clone(&pending), Arc::clone(config));
            let name = "log-dir-recovery".to_owned();
            let work = move || work_off(&directory, &catalog, &pending, &config);
            threads.push(thread::Builder::new().name(name).spawn(work)?);
        }
        Ok(())
    }
}

fn work_off(
    directory: &Arc<Directory>,
    catalog: &Arc<Catalog>,
    pending: &Pending,
    config: &Config,
) {
    while let Some(key) = next(pending) {
        if directory.is_offline() || directory.queue.is_closed() {
            return;
        }
        scan(directory, catalog, key, config);
    }
}

/// Scans one log and tells the outcome, unless there was no room for what a scan writes: then it is scanned again later.
fn scan(directory: &Arc<Directory>, catalog: &Arc<Catalog>, key: LogKey, config: &Config) {
    // A log that is being taken away, or was, is nobody's loss: there is nothing to scan, and nothing to tell.
    let Some(_claim) = catalog.claim(key) else {
        return;
    };
    if directory.journal.state(key).is_none() {
        return;
    }
    let (status, event) = match recover(directory, key, config) {
        Ok(log_end) => (LogStatus::Closed, LogEvent::Recovered { log_end }),
        Err(OpenError::DiskFull) => {
            tracing::warn!(%key, "no room to recover the log: it waits for some");
            directory.met_full_disk();
            return scan_later(directory, catalog, key, config);
        }
        Err(error) => {
            tracing::error!(%key, error = &error as &dyn std::error::Error, "recovery failed: the log is offline");
            open::draw_consequence(directory, &error);
            (
                LogStatus::Offline(Arc::new(error)),
                LogEvent::RecoveryFailed,
            )
        }
    };
    catalog.set(key, status);
    directory.events.partition(key, event);
}

/// A full disk is a state that heals. The few logs that met it are scanned on the I/O thread: the others are long done.
fn scan_later(directory: &Arc<Directory>, catalog: &Arc<Catalog>, key: LogKey, config: &Config) {
    let (catalog, config) = (Arc::clone(catalog), Arc::clone(config));
    let again = move |directory: &Arc<Directory>| {
        if directory.is_offline() {
            return;
        }
        if directory.is_full() {
            scan_later(directory, &catalog, key, &config);
        } else {
            scan(directory, &catalog, key, &config);
        }
    };
    let due = directory.now().saturating_add(RETRY_AFTER);
    directory.queue.at(due, Later::Job(Box::new(again)));
}

fn recover(
    directory: &Directory,
    key: LogKey,
    config: &Config,
) -> Result<crate::ids::Offset, OpenError> {
    let state = directory.journal.state(key).ok_or(OpenError::Unknown)?;
    let name = names::log_dir_name(&state.topic, key.partition);
    let site = Site::new(directory, key, &name, Arc::clone(config));
    let clean = recovery::recover(&site, &state)?;
    let log_end = clean.log_end;
    directory.journal.put(key, clean).map_err(Fault::of_call)?;
    Ok(log_end)
}

//! Taking logs out of a directory: deletion, and setting strangers aside.
//!
//! - The rename is what counts: after it the log is gone, even if the process ends; the bytes go later.
//! - A log is never taken away while it is scanned: the removal comes after the scan.
//! - A removal that meets a full disk is done again until it is done. Meanwhile a topic made anew may have its log under
//!   the old name: that one stays.

use std::sync::Arc;
use std::time::Duration;

use super::{Catalog, Done, LogDir, LogStatus, names};
use crate::directory::queue::{Later, QueueFull};
use crate::directory::{Directory, DirectoryFailure, Fault, RETRY_AFTER};
use crate::journal::LogKey;
use crate::log::{PartitionLog, files::ignore_missing};
use crate::recovery;

/// Why a log was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The queue of the I/O thread is full: try again later.
    #[error(transparent)]
    Busy(#[from] QueueFull),
    /// The log is open and was not handed over.
    #[error("the log is open")]
    Open,
    /// The directory is offline.
    #[error("the directory is offline")]
    Offline,
}

impl LogDir {
    /// Removes a log, which is handed over if it is open. Its files go after `delay`. A log that is not there is
    /// removed already.
    pub fn delete(
        &self,
        key: LogKey,
        log: Option<PartitionLog>,
        delay: Duration,
        done: Done<Result<(), RemoveError>>,
    ) {
        self.take_away(key, log, names::DELETE, Some(delay), done);
    }

    /// Sets a log aside that no metadata knows of. It is kept under a name that ends in `-stray`.
    pub fn set_aside(
        &self,
        key: LogKey,
        log: Option<PartitionLog>,
        done: Done<Result<(), RemoveError>>,
    ) {
        self.take_away(key, log, names::STRAY, None, done);
    }

    fn take_away(
        &self,
        key: LogKey,
        log: Option<PartitionLog>,
        suffix: &'static str,
        delay: Option<Duration>,
        done: Done<Result<(), RemoveError>>,
    ) {
        if log.is_none() && matches!(self.status(key), LogStatus::Open) {
            done(Err(RemoveError::Open));
            return;
        }
        let removal = Removal {
            key,
            suffix,
            delay,
            catalog: Arc::clone(&self.catalog),
            done,
        };
        // Posted, not offered: the log was handed over, so there is no one left who could try again.
        self.directory.queue.post(Box::new(move |directory| {
            if let Some(log) = &log {
                log.shared().close();
            }
            drop(log);
            removal.run(directory);
        }));
    }
}

/// A log on its way out.
struct Removal {
    key: LogKey,
    suffix: &'static str,
    delay: Option<Duration>,
    catalog: Arc<Catalog>,
    done: Done<Result<(), RemoveError>>,
}

impl Removal {
    fn run(self, directory: &Arc<Directory>) {
        // A scan would find its files gone in the middle, and hold the disk for broken.
        let Some(claim) = self.catalog.claim(self.key) else {
            return self.run_later(directory);
        };
        match rename(directory, self.key, self.suffix, self.delay) {
            Ok(()) => {
                self.catalog.set(self.key, LogStatus::Closed);
                drop(claim);
                (self.done)(Ok(()));
            }
            Err(Fault::Full) => {
                directory.handle(Fault::Full);
                self.run_later(directory);
            }
            Err(fault) => {
                directory.handle(fault);
                (self.done)(Err(RemoveError::Offline));
            }
        }
    }

    fn run_later(self, directory: &Arc<Directory>) {
        let due = directory.now().saturating_add(RETRY_AFTER);
        let again = move |directory: &Arc<Directory>| self.run(directory);
        directory.queue.at(due, Later::Job(Box::new(again)));
    }
}

fn rename(
    directory: &Arc<Directory>,
    key: LogKey,
    suffix: &str,
    delay: Option<Duration>,
) -> Result<(), Fault> {
    if let Some(failure) = directory.failure() {
        let DirectoryFailure { source, .. } = &*failure;
        return Err(Fault::Call(source.kind().into()));
    }
    let Some(state) = directory.journal.state(key) else {
        return Ok(());
    };
    // While the name is taken: a log that is made under it would take the line for its own.
    directory.cleaned.forget(key);
    directory.cleaned.write(directory)?;
    let from = directory
        .path
        .join(names::log_dir_name(&state.topic, key.partition));
    let to = directory
        .path
        .join(names::renamed(&state.topic, key, suffix));
    let is_anothers = matches!(
        recovery::read_metadata(&*directory.fs, &from),
        Ok(Some(log)) if log != key.log
    );
    if !is_anothers {
        ignore_missing(directory.fs.rename(&from, &to)).map_err(Fault::of_call)?;
    }
    directory
        .fs
        .sync_dir(&directory.path)
        .map_err(Fault::Sync)?;
    directory.journal.remove(key).map_err(Fault::of_call)?;
    if let Some(delay) = delay {
        let remove = move |directory: &Arc<Directory>| {
            if let Err(error) = ignore_missing(directory.fs.remove(&to)) {
                tracing::warn!(path = %to.display(), %error, "remove a deleted log");
            }
        };
        let due = directory.now().saturating_add(delay);
        directory.queue.at(due, Later::Job(Box::new(remove)));
    }
    Ok(())
}

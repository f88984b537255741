//! Closing logs in order, and the clean stop of the whole directory.
//!
//! Order of a stop: every log flushed and closed, checkpoints written, journal synced, and the marker last. A marker
//! is a promise that nothing needs to be scanned; it is not written if any log is still dirty.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Done, LogDir, LogStatus, worker};
use crate::checkpoint::{
    LOG_START_FILE, LogName, RECOVERY_POINT_FILE, REPLICATION_FILE, encode_offsets,
};
use crate::clean_shutdown;
use crate::directory::queue::Later;
use crate::directory::{Directory, Fault, replace_file};
use crate::ids::Offset;
use crate::journal::{LogKey, LogState};
use crate::log::PartitionLog;

/// Why a log was not closed in order. It will be scanned at the next start.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The disk is full.
    #[error("no space left on the disk")]
    DiskFull,
    /// The directory is offline.
    #[error("the directory is offline")]
    Offline,
}

/// Why a stop was not clean.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Logs are open or were not recovered: the marker was not written.
    #[error("{count} logs were not closed in order")]
    Unclean {
        /// How many.
        count: usize,
    },
    /// The file system failed: the marker was not written.
    #[error("the directory is offline")]
    Offline,
}

impl LogDir {
    /// Flushes a log, writes what makes its next opening quick, and marks it clean.
    pub fn close(&self, log: PartitionLog, done: Done<Result<(), CloseError>>) {
        let catalog = Arc::clone(&self.catalog);
        self.directory.queue.post(Box::new(move |directory| {
            let key = log.key();
            let result = match directory.failure() {
                Some(_) => Err(CloseError::Offline),
                None => log.close().map_err(|fault| {
                    let is_full = matches!(fault, Fault::Full);
                    directory.handle(fault);
                    if is_full {
                        CloseError::DiskFull
                    } else {
                        CloseError::Offline
                    }
                }),
            };
            let status = if result.is_ok() {
                LogStatus::Closed
            } else {
                LogStatus::Unrecovered
            };
            catalog.set(key, status);
            done(result);
        }));
    }

    /// Ends the directory in order. All logs must have been closed; blocks until the marker is on the disk.
    ///
    /// # Errors
    /// [`StopError`]: the directory is released all the same, and the next start scans what it must.
    pub fn stop(&self, broker_epoch: i64) -> Result<(), StopError> {
        self.end_threads();
        let result = self.stop_files(broker_epoch);
        self.release();
        result
    }

    fn stop_files(&self, broker_epoch: i64) -> Result<(), StopError> {
        worker::run_pending(&self.directory);
        let open = self
            .catalog
            .keys_where(|status| matches!(status, LogStatus::Open | LogStatus::Unrecovered));
        let dirty = self
            .directory
            .journal
            .logs()
            .iter()
            .filter(|(_, state)| state.is_dirty)
            .count();
        let count = open.len().max(dirty);
        if self.directory.is_offline() {
            return Err(StopError::Offline);
        }
        let written = write_checkpoints(&self.directory).and_then(|()| {
            self.directory.journal.sync().map_err(Fault::Sync)?;
            if count == 0 {
                write_marker(&self.directory, broker_epoch)
            } else {
                Ok(())
            }
        });
        if let Err(fault) = written {
            self.directory.handle(fault);
            return Err(StopError::Offline);
        }
        if count == 0 {
            Ok(())
        } else {
            Err(StopError::Unclean { count })
        }
    }

    pub(super) fn write_checkpoints_from_time_to_time(&self) {
        let every = self.tuning.checkpoint_every;
        let due = self.directory.now().saturating_add(every);
        self.directory.queue.at(
            due,
            Later::Job(Box::new(move |directory| checkpoint(directory, every))),
        );
    }
}

fn checkpoint(directory: &Arc<Directory>, every: std::time::Duration) {
    if directory.is_offline() {
        return;
    }
    if let Err(fault) = write_checkpoints(directory) {
        directory.handle(fault);
    }
    let due = directory.now().saturating_add(every);
    directory.queue.at(
        due,
        Later::Job(Box::new(move |directory| checkpoint(directory, every))),
    );
}

fn write_marker(directory: &Directory, broker_epoch: i64) -> Result<(), Fault> {
    let text = clean_shutdown::encode(broker_epoch);
    replace_file(
        &*directory.fs,
        &directory.path.join(clean_shutdown::FILE),
        text.as_bytes(),
    )?;
    directory.fs.sync_dir(&directory.path).map_err(Fault::Sync)
}

/// Kafka's three text checkpoints, from the journal. Nothing here reads them; Kafka's tools do.
fn write_checkpoints(directory: &Directory) -> Result<(), Fault> {
    let logs = directory.journal.logs();
    write_checkpoint(directory, RECOVERY_POINT_FILE, &logs, |state| {
        Some(state.recovery_point)
    })?;
    write_checkpoint(directory, REPLICATION_FILE, &logs, |state| {
        Some(state.high_watermark)
    })?;
    // Kafka lists a log start only where it is not simply the first segment's.
    let log_start = |state: &LogState| (state.log_start > Offset::ZERO).then_some(state.log_start);
    write_checkpoint(directory, LOG_START_FILE, &logs, log_start)?;
    directory.fs.sync_dir(&directory.path).map_err(Fault::Sync)
}

fn write_checkpoint(
    directory: &Directory,
    name: &str,
    logs: &[(LogKey, LogState)],
    offset: impl Fn(&LogState) -> Option<Offset>,
) -> Result<(), Fault> {
    let offsets: BTreeMap<LogName, Offset> = logs
        .iter()
        .filter_map(|(key, state)| {
            let name = LogName {
                topic: state.topic.to_string(),
                partition: key.partition,
            };
            Some((name, offset(state)?))
        })
        .collect();
    let text = encode_offsets(&offsets);
    replace_file(&*directory.fs, &directory.path.join(name), text.as_bytes())
}

//! Where the logs of this broker's partitions are, and the requests to the directories' I/O threads.
//!
//! - A log is in the directory whose journal knows it; a new one goes where the metadata says, or to
//!   the directory with the fewest logs.
//! - Everything here returns at once; what became of it comes back to the replica as an event, also if it was nothing:
//!   whoever still needs the log asks again.

use std::sync::Arc;
use std::time::Duration;

use ottla_storage::journal::LogKey;
use ottla_storage::log::{LogConfig, PartitionLog};
use ottla_storage::log_dir::{LogDir, LogStatus, RemoveError, place_new_log};
use ottla_storage::{DirectoryId, OpenError};

use super::{OpenFailure, OpenedLog, Replica, ReplicaKey};

/// The log directories of a node.
#[derive(Debug)]
pub(crate) struct Directories {
    dirs: Vec<Arc<LogDir>>,
}

/// What storage calls a partition.
pub(crate) fn log_key(key: ReplicaKey) -> LogKey {
    LogKey {
        log: key.topic.log_id(),
        partition: key.partition.get().unsigned_abs(),
    }
}

impl Directories {
    pub(crate) fn new(dirs: Vec<Arc<LogDir>>) -> Arc<Self> {
        Arc::new(Self { dirs })
    }

    pub(crate) fn all(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// The directory that holds the log, if any does.
    pub(crate) fn holding(&self, key: ReplicaKey) -> Option<&Arc<LogDir>> {
        let key = log_key(key);
        self.dirs.iter().find(|dir| dir.log(key).is_some())
    }

    /// Whether the log has more than its active segment, as far as the journal knows.
    pub(crate) fn holds_inactive_segments(&self, key: ReplicaKey) -> bool {
        let key = log_key(key);
        let state = self.dirs.iter().find_map(|dir| dir.log(key));
        state.is_some_and(|state| state.active_base > state.log_start)
    }

    fn place(&self, key: ReplicaKey, assigned: Option<DirectoryId>) -> Option<&Arc<LogDir>> {
        let is_assigned = |dir: &&Arc<LogDir>| Some(dir.id()) == assigned;
        self.holding(key)
            .or_else(|| self.dirs.iter().find(is_assigned))
            .or_else(|| place_new_log(&self.dirs))
    }

    /// Opens the replica's log, making it if there is none.
    pub(crate) fn open(self: &Arc<Self>, replica: Arc<Replica>, config: Arc<LogConfig>) {
        let key = log_key(replica.key());
        let Some(dir) = self
            .place(replica.key(), replica.assigned_directory())
            .cloned()
        else {
            replica.opened(Err(OpenFailure::Unavailable));
            return;
        };
        replica.set_directory(dir.id());
        let (directories, topic) = (self.clone(), replica.topic().clone());
        let (home, settings) = (dir.clone(), config.clone());
        let done = move |result: Result<PartitionLog, OpenError>| {
            match result {
                Ok(log) => {
                    let state = home.log(key);
                    let high_watermark =
                        state.map_or_else(|| log.log_start(), |s| s.high_watermark);
                    replica.opened(Ok(OpenedLog {
                        log,
                        high_watermark,
                    }));
                }
                // The scan ended in between, and its end is not announced again.
                Err(OpenError::Unrecovered)
                    if !matches!(home.status(key), LogStatus::Unrecovered) =>
                {
                    directories.open(replica, settings);
                }
                Err(error) => {
                    let failure = failure_of(&error);
                    if failure != OpenFailure::Unrecovered {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(log = %key, error, "could not open a log");
                    }
                    replica.opened(Err(failure));
                }
            }
        };
        dir.create(key, &topic, config, Box::new(done));
    }

    /// Closes a log in order.
    pub(crate) fn close(
        &self,
        key: ReplicaKey,
        log: PartitionLog,
        done: impl FnOnce() + Send + 'static,
    ) {
        let Some(dir) = self.holding(key) else {
            done();
            return;
        };
        dir.close(
            log,
            Box::new(move |result| {
                if let Err(error) = result {
                    tracing::warn!(?key, %error, "a log was not closed in order");
                }
                done();
            }),
        );
    }

    /// Removes the log, which is handed over if it is open. Its files go after `delay`.
    pub(crate) fn delete(&self, key: ReplicaKey, log: Option<PartitionLog>, delay: Duration) {
        let Some(dir) = self.holding(key) else { return };
        let done = move |result: Result<(), RemoveError>| {
            if let Err(error) = result {
                tracing::warn!(?key, %error, "could not remove a log");
            }
        };
        dir.delete(log_key(key), log, delay, Box::new(done));
    }
}

fn failure_of(error: &OpenError) -> OpenFailure {
    match error {
        OpenError::Unrecovered => OpenFailure::Unrecovered,
        OpenError::AlreadyOpen
        | OpenError::Busy(_)
        | OpenError::DirectoryTaken { .. }
        | OpenError::DiskFull => OpenFailure::Unavailable,
        OpenError::Unknown
        | OpenError::LogOffline { .. }
        | OpenError::NoMetadata
        | OpenError::MissingDirectory { .. }
        | OpenError::WrongTopic { .. }
        | OpenError::DamagedMetadata(_)
        | OpenError::LostSynced { .. }
        | OpenError::Read(_)
        | OpenError::Io { .. }
        | OpenError::Offline(_) => OpenFailure::Offline,
    }
}

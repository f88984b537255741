//! The shared heart of a log directory: its journal, its queue of file work, and its health.
//!
//! - S7: the first call that must not fail and does takes the directory offline, for good; nothing is retried.
//! - A full disk is a state that heals: it refuses writes, not reads, and a job that met it is done again later.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::compact::checkpoint::CleanedOffsets;
use crate::fs::{Fs, OpenMode, write_all_at};
use crate::ids::DirectoryId;
use crate::journal::{Journal, LogKey};
use crate::log::LogShared;
use crate::planted::is_planted;
use crate::segment::index_cache::IndexCache;
use crate::time::MonoMillis;

pub(crate) mod ballast;
pub(crate) mod events;
pub(crate) mod flush;
pub(crate) mod queue;
pub(crate) mod watch;
pub(crate) mod watched_fs;

use events::{Clock, DirectoryEvent, LogEvents};
use queue::Queue;
use watch::Watch;

/// How soon file work that met a full disk is tried again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a job on files stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// A write met a full disk. It may be done again.
    #[error("no space left")]
    Full,
    /// A sync failed: nobody knows what is on the disk (S7).
    #[error("sync")]
    Sync(#[source] io::Error),
    /// Another call failed.
    #[error("file system call")]
    Call(#[source] io::Error),
}

impl Fault {
    /// Sorts the error of a call that is not a sync.
    pub(crate) fn of_call(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Call(error),
        }
    }

    /// What the file system said.
    pub(crate) fn into_source(self) -> io::Error {
        match self {
            Self::Full => io::ErrorKind::StorageFull.into(),
            Self::Sync(source) | Self::Call(source) => source,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) id: DirectoryId,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<dyn LogEvents>,
    pub(crate) journal: Journal,
    pub(crate) queue: Queue,
    pub(crate) watch: Arc<Watch>,
    pub(crate) indexes: Arc<IndexCache>,
    pub(crate) ballast_bytes: u64,
    pub(crate) cleaned: CleanedOffsets,
    /// The open logs that are compacted.
    compacted: Mutex<BTreeMap<LogKey, Weak<LogShared>>>,
    failure: OnceLock<Arc<DirectoryFailure>>,
    is_full: AtomicBool,
}

/// Why a directory is offline.
#[derive(Debug, thiserror::Error)]
#[error("directory {path} is offline")]
pub struct DirectoryFailure {
    /// The directory.
    pub path: PathBuf,
    /// What the failed call said.
    pub source: io::Error,
}

/// What a [`Directory`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) path: PathBuf,
    pub(crate) id: DirectoryId,
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<dyn LogEvents>,
    pub(crate) journal: Journal,
    pub(crate) watch: Arc<Watch>,
    pub(crate) queue_capacity: usize,
    pub(crate) mapped_indexes_max: usize,
    pub(crate) ballast_bytes: u64,
}

impl Directory {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            path: parts.path,
            id: parts.id,
            fs: parts.fs,
            clock: parts.clock,
            events: parts.events,
            journal: parts.journal,
            queue: Queue::new(parts.queue_capacity),
            watch: parts.watch,
            indexes: Arc::new(IndexCache::new(parts.mapped_indexes_max)),
            ballast_bytes: parts.ballast_bytes,
            cleaned: CleanedOffsets::default(),
            compacted: Mutex::default(),
            failure: OnceLock::new(),
            is_full: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> MonoMillis {
        self.clock.mono()
    }

    /// Takes the directory offline. The first failure counts.
    pub(crate) fn fail(&self, source: io::Error) {
        // The kernel may have dropped the dirty pages already, so another sync could lie: the directory goes
        // offline and the partitions' other replicas take over (S7).
        let failure = DirectoryFailure {
            path: self.path.clone(),
            source,
        };
        if self.failure.set(Arc::new(failure)).is_ok() {
            if let Some(failure) = self.failure.get() {
                tracing::error!(path = %self.path.display(), error = %failure.source, "directory goes offline");
            }
            self.events.directory(self.id, DirectoryEvent::Offline);
        }
    }

    /// Why the directory is offline, if it is.
    pub(crate) fn failure(&self) -> Option<Arc<DirectoryFailure>> {
        self.failure.get().cloned()
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.failure.get().is_some()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    /// A write met a full disk.
    pub(crate) fn met_full_disk(&self) {
        if !self.is_full.swap(true, Ordering::AcqRel) {
            tracing::error!(path = %self.path.display(), "disk full: appends are refused until there is room");
            self.events.directory(self.id, DirectoryEvent::DiskFull);
            self.queue.post(Box::new(ballast::heal));
        }
    }

    /// There is room again.
    pub(crate) fn has_space_again(&self) {
        if self.is_full.swap(false, Ordering::AcqRel) {
            tracing::info!(path = %self.path.display(), "there is room on the disk again");
            self.events.directory(self.id, DirectoryEvent::SpaceBack);
        }
    }

    /// Draws the consequence of a fault: a full disk heals, anything else is final.
    pub(crate) fn handle(&self, fault: Fault) {
        match fault {
            Fault::Full => self.met_full_disk(),
            Fault::Sync(source) | Fault::Call(source) => self.fail(source),
        }
    }

    fn lock_compacted(&self) -> MutexGuard<'_, BTreeMap<LogKey, Weak<LogShared>>> {
        self.compacted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the cleaner see an open log.
    pub(crate) fn add_compacted(&self, log: &Arc<LogShared>) {
        self.lock_compacted().insert(log.key, Arc::downgrade(log));
    }

    /// A log is closed, or not compacted.
    pub(crate) fn remove_compacted(&self, key: LogKey) {
        self.lock_compacted().remove(&key);
    }

    /// The open logs that are compacted.
    pub(crate) fn compacted(&self) -> Vec<Arc<LogShared>> {
        let mut compacted = self.lock_compacted();
        compacted.retain(|_, log| log.upgrade().is_some_and(|log| !log.is_closed()));
        compacted.values().filter_map(Weak::upgrade).collect()
    }

    /// The age of the oldest call under way; zero if there is none.
    pub(crate) fn oldest_call_age(&self) -> Duration {
        self.watch.oldest(self.now()).unwrap_or_default()
    }
}

/// Writes a file aside, syncs it and puts it in place; the directory's sync is left to the caller.
pub(crate) fn replace_file(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let aside = if is_planted("checkpoints-are-written-aside") {
        path.to_owned()
    } else {
        path.with_added_extension("tmp")
    };
    let file = fs.open(&aside, OpenMode::Create).map_err(Fault::of_call)?;
    file.set_len(0).map_err(Fault::of_call)?;
    write_all_at(&*file, bytes, 0).map_err(Fault::of_call)?;
    file.sync().map_err(Fault::Sync)?;
    drop(file);
    fs.rename(&aside, path).map_err(Fault::of_call)
}

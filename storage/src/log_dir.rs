//! One data directory: many logs, one I/O thread, one fate.
//!
//! - A second process, another cluster, another node or a newer format is refused before anything is changed.
//! - Starting reads the journal and opens no log: a clean directory of any size starts at once. After an unclean stop
//!   exactly the dirty logs are scanned, and none of them can be opened before.
//! - A log whose directory is gone is offline, never empty.
//! - The marker of a clean stop is written last and taken away first, durably both times.
//! - S7: a failed sync takes the directory offline for good.
//!
//! What lies in a directory is described in docs/formats/log-directory.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use crate::compact::CompactedLog;
use crate::directory::events::{Clock, LogEvents};
use crate::directory::queue::{Job, QueueFull};
use crate::directory::{Directory, DirectoryFailure};
use crate::fs::{File, Fs, Space};
use crate::ids::DirectoryId;
use crate::journal::{LogKey, LogState};
use crate::log::{LogConfig, PartitionLog};
use crate::recovery::OpenError;

mod identity;
mod names;
mod open;
mod recover;
mod remove;
mod start;
mod stop;
mod worker;

#[cfg(test)]
mod tests;

pub use identity::IdentityError;
pub use remove::RemoveError;
pub use start::StartError;
pub use stop::{CloseError, StopError};

/// Called once on the I/O thread with what became of a request.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;

/// How a directory is started.
#[derive(Clone, Debug)]
pub struct LogDirOptions {
    /// The directory; made if it is not there.
    pub path: PathBuf,
    /// The file system it is on.
    pub fs: Arc<dyn Fs>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Who is told of what happens.
    pub events: Arc<dyn LogEvents>,
    /// The node that the directory belongs to.
    pub node_id: i32,
    /// The directory's identity if it has none yet.
    pub new_id: DirectoryId,
    /// Limits and counts.
    pub tuning: Tuning,
}

/// Limits and counts of a directory.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// `num.recovery.threads.per.data.dir`. With 0 nothing runs by itself, neither recovery nor the I/O thread: the
    /// owner calls [`LogDir::run_pending`].
    pub threads: usize,
    /// Bytes kept back for the time when the disk is full.
    pub ballast_bytes: u64,
    /// Requests that may wait for the I/O thread.
    pub queue_capacity: usize,
    /// Indexes of sealed segments that are mapped at a time.
    pub mapped_indexes_max: usize,
    /// How often Kafka's text checkpoints are written.
    pub checkpoint_every: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            threads: 2,
            ballast_bytes: 64 << 20,
            queue_capacity: 65_536,
            mapped_indexes_max: 4096,
            checkpoint_every: Duration::from_mins(10),
        }
    }
}

impl LogDirOptions {
    /// Options with a new identity and the usual limits.
    pub fn new(
        path: PathBuf,
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        events: Arc<dyn LogEvents>,
        node_id: i32,
    ) -> Self {
        let new_id = DirectoryId::new(Uuid::new_v4());
        Self {
            path,
            fs,
            clock,
            events,
            node_id,
            new_id,
            tuning: Tuning::default(),
        }
    }
}

/// What can be said of a log without opening it.
#[derive(Clone, Debug)]
pub enum LogStatus {
    /// It can be opened.
    Closed,
    /// It was not closed in order and waits for its scan.
    Unrecovered,
    /// It is open.
    Open,
    /// It can not be opened, and the reason.
    Offline(Arc<OpenError>),
}

/// A started directory.
#[derive(Debug)]
pub struct LogDir {
    directory: Arc<Directory>,
    catalog: Arc<Catalog>,
    identity: identity::Identity,
    clean_epoch: Option<i64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    tuning: Tuning,
    /// Held until the directory is stopped.
    lock: Mutex<Option<Arc<dyn File>>>,
}

/// The logs that are not simply closed, and those whose files somebody works on who must be alone.
#[derive(Debug, Default)]
struct Catalog(Mutex<BTreeMap<LogKey, LogStatus>>, Mutex<BTreeSet<LogKey>>);

/// The right to work on the files of a closed log; it ends when this is dropped.
struct Claim {
    catalog: Arc<Catalog>,
    key: LogKey,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.catalog.claimed().remove(&self.key);
    }
}

impl Catalog {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogKey, LogStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self, key: LogKey) -> LogStatus {
        self.lock().get(&key).cloned().unwrap_or(LogStatus::Closed)
    }

    fn set(&self, key: LogKey, status: LogStatus) {
        let mut logs = self.lock();
        match status {
            LogStatus::Closed => drop(logs.remove(&key)),
            status => drop(logs.insert(key, status)),
        }
    }

    fn claimed(&self) -> MutexGuard<'_, BTreeSet<LogKey>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a log scanned or taken away by one alone. `None`: somebody is at it.
    fn claim(self: &Arc<Self>, key: LogKey) -> Option<Claim> {
        let catalog = Arc::clone(self);
        let is_free = self.claimed().insert(key);
        is_free.then_some(Claim { catalog, key })
    }

    fn keys_where(&self, is_wanted: impl Fn(&LogStatus) -> bool) -> Vec<LogKey> {
        let logs = self.lock();
        logs.iter()
            .filter(|(_, status)| is_wanted(status))
            .map(|(key, _)| *key)
            .collect()
    }
}

impl LogDir {
    /// The directory's identity.
    pub fn id(&self) -> DirectoryId {
        self.directory.id
    }

    /// The path it was started with.
    pub fn path(&self) -> &std::path::Path {
        &self.directory.path
    }

    /// The broker epoch of the clean stop before this start; `None` if that stop was not clean, or there was none.
    pub fn clean_broker_epoch(&self) -> Option<i64> {
        self.clean_epoch
    }

    /// Every log and what the journal says of it: exact for a closed log, a little old for an open one.
    pub fn logs(&self) -> Vec<(LogKey, LogState)> {
        self.directory.journal.logs()
    }

    /// How many logs there are.
    pub fn log_count(&self) -> usize {
        self.directory.journal.len()
    }

    /// What the journal says of one log.
    pub fn log(&self, key: LogKey) -> Option<LogState> {
        self.directory.journal.state(key)
    }

    /// Whether a log can be opened.
    pub fn status(&self, key: LogKey) -> LogStatus {
        self.catalog.status(key)
    }

    /// The logs that wait for their scan.
    pub fn unrecovered(&self) -> Vec<LogKey> {
        self.catalog
            .keys_where(|status| matches!(status, LogStatus::Unrecovered))
    }

    /// The age of the oldest file system call under way; zero if there is none.
    pub fn oldest_call_age(&self) -> Duration {
        self.directory.oldest_call_age()
    }

    /// Takes the directory offline, because a call has not come back for `age` (S7: for good, even if it does).
    pub fn give_up(&self, age: Duration) {
        let text = format!("a call has not come back for {} ms", age.as_millis());
        let source = std::io::Error::new(std::io::ErrorKind::TimedOut, text);
        self.directory.fail(source);
    }

    /// Why the directory is offline, if it is.
    pub fn failure(&self) -> Option<Arc<DirectoryFailure>> {
        self.directory.failure()
    }

    /// Whether appends are refused because a write met a full disk.
    pub fn is_disk_full(&self) -> bool {
        self.directory.is_full()
    }

    /// Room on the directory's volume.
    ///
    /// # Errors
    /// What the file system says.
    pub fn space(&self) -> std::io::Result<Space> {
        self.directory.fs.space(&self.directory.path)
    }

    /// The open logs that are compacted, for the cleaner.
    pub fn compacted(&self) -> Vec<CompactedLog> {
        let logs = self.directory.compacted();
        logs.into_iter().map(CompactedLog).collect()
    }

    fn offer(&self, job: Job) -> Result<(), QueueFull> {
        self.directory.queue.offer(job)
    }

    /// Lets the threads finish what is posted, and waits for them.
    fn end_threads(&self) {
        self.directory.queue.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last owner may be a callback on the I/O thread itself: it can not wait for its own end.
            if thread.thread().id() != std::thread::current().id() {
                // A thread that panicked has said why; what it left is what a crash leaves.
                let _ = thread.join();
            }
        }
    }

    /// Lets another process have the directory.
    fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Does everything that is due now, on the calling thread. For directories without threads of their own.
    pub fn run_pending(&self) {
        worker::run_pending(&self.directory);
    }
}

impl Drop for LogDir {
    /// Ends the directory's threads, so that nothing touches its files once the lock is gone.
    fn drop(&mut self) {
        self.end_threads();
    }
}

fn refuse<T>(done: Done<Result<T, OpenError>>, error: impl Into<OpenError>) {
    done(Err(error.into()));
}

/// What a request to open a log ends with.
pub type OpenDone = Done<Result<PartitionLog, OpenError>>;

/// What an open log is configured with.
type Config = Arc<LogConfig>;

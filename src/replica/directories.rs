//! Where the logs of this broker's partitions are, and the requests to the directories' I/O threads.
//!
//! - A log is in the directory whose journal knows it; a new one goes where the metadata say, or, if they leave that
//!   open, to the directory with the fewest logs, and then it stays with that.
//! - No log is made for a replica that may lie in a directory which this process can't use: an empty one would be taken
//!   for it.
//! - Everything here returns at once; what became of it comes back to the replica as an event, also if it was nothing:
//!   whoever still needs the log asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_storage::journal::{LogKey, LogState};
use ottla_storage::log::{LogConfig, PartitionLog};
use ottla_storage::log_dir::{LogDir, LogStatus, RemoveError};
use ottla_storage::{DirectoryId, OpenError};

use super::placement::InDoubt;
use super::{OpenFailure, OpenedLog, Replica, ReplicaKey};
use crate::metadata::ids::DIRECTORY_UNASSIGNED;

/// The log directories of a node.
#[derive(Debug)]
pub(crate) struct Directories {
    dirs: Vec<Arc<LogDir>>,
    in_doubt: Arc<InDoubt>,
    planned: Mutex<Planned>,
    hanging: Mutex<BTreeSet<DirectoryId>>,
}

/// The homes of logs that are not made yet: they count where the next one is put.
#[derive(Debug, Default)]
struct Planned {
    homes: BTreeMap<ReplicaKey, DirectoryId>,
    counts: BTreeMap<DirectoryId, usize>,
}

impl Planned {
    fn insert(&mut self, key: ReplicaKey, home: DirectoryId) {
        self.remove(key);
        self.homes.insert(key, home);
        *self.counts.entry(home).or_default() += 1;
    }

    fn remove(&mut self, key: ReplicaKey) {
        let home = self.homes.remove(&key);
        if let Some(count) = home.and_then(|home| self.counts.get_mut(&home)) {
            *count = count.saturating_sub(1);
        }
    }

    fn count(&self, home: DirectoryId) -> usize {
        self.counts.get(&home).copied().unwrap_or_default()
    }
}

/// What storage calls a partition.
pub(crate) fn log_key(key: ReplicaKey) -> LogKey {
    LogKey {
        log: key.topic.log_id(),
        partition: key.partition.get().unsigned_abs(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Directories {
    pub(crate) fn new(dirs: Vec<Arc<LogDir>>) -> Arc<Self> {
        Arc::new(Self {
            dirs,
            in_doubt: Arc::default(),
            planned: Mutex::default(),
            hanging: Mutex::default(),
        })
    }

    pub(crate) fn all(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    pub(crate) fn in_doubt(&self) -> &InDoubt {
        &self.in_doubt
    }

    pub(crate) fn find(&self, id: DirectoryId) -> Option<&Arc<LogDir>> {
        self.dirs.iter().find(|dir| dir.id() == id)
    }

    /// Whether calls on a directory do not come back while others do: a replica there is as good as lost for now. One
    /// that hangs alone is its broker's matter.
    pub(crate) fn hangs(&self, id: DirectoryId) -> bool {
        self.dirs.len() > 1 && lock(&self.hanging).contains(&id)
    }

    /// Notes which directories hang; returns those of which something else was known.
    pub(crate) fn set_hanging(&self, now: BTreeSet<DirectoryId>) -> BTreeSet<DirectoryId> {
        let mut known = lock(&self.hanging);
        let changed = known.symmetric_difference(&now).copied().collect();
        *known = now;
        changed
    }

    /// The directory that holds the log, if any does. Where several do, a disk was away for a while: the metadata know
    /// which of them went on.
    fn holding(&self, key: ReplicaKey, assigned: DirectoryId) -> Option<&Arc<LogDir>> {
        let key = log_key(key);
        let mut holding = self.dirs.iter().filter(|dir| dir.log(key).is_some());
        let first = holding.clone().next();
        holding.find(|dir| dir.id() == assigned).or(first)
    }

    /// Whether the log has more than its active segment, as far as the journal knows.
    pub(crate) fn holds_inactive_segments(&self, replica: &Replica) -> bool {
        let state = self.state(replica);
        state.is_some_and(|state| state.active_base > state.log_start)
    }

    /// Whether the log has any record, as far as the journal knows.
    pub(crate) fn holds_records(&self, replica: &Replica) -> bool {
        let state = self.state(replica);
        state.is_some_and(|state| state.log_end > state.log_start)
    }

    fn state(&self, replica: &Replica) -> Option<LogState> {
        let home = replica.directory().and_then(|id| self.find(id));
        home.and_then(|dir| dir.log(log_key(replica.key())))
    }

    /// Finds the replica its home, where that can be said before anybody needs the log.
    pub(crate) fn settle(&self, replica: &Replica) {
        if replica.directory().is_some() {
            return;
        }
        let (key, assigned) = (replica.key(), replica.assigned_directory());
        let home = self.holding(key, assigned).map(|dir| dir.id());
        let home = home.or_else(|| self.find(assigned).map(|_| self.plan(key, assigned)));
        let is_open = assigned == DIRECTORY_UNASSIGNED;
        if let Some(home) = home.or_else(|| is_open.then(|| self.choose(key)).flatten()) {
            replica.set_directory(home);
        }
    }

    /// The home of a replica that is to be opened now, or why it has none.
    fn home(&self, replica: &Replica, is_led: bool) -> Result<&Arc<LogDir>, OpenFailure> {
        self.settle(replica);
        if replica.directory().is_none() {
            // The metadata name a directory that is not here, or hold the replica for lost. If all that were ever here
            // work, there is nothing that a copy of the leader's log could be taken for. Or the replica is new, and none
            // of those that work takes it just now.
            let failed = self.dirs.iter().filter(|dir| dir.failure().is_some());
            let is_new = replica.assigned_directory() == DIRECTORY_UNASSIGNED;
            match failed.count() {
                0 => {}
                some if is_new && some < self.dirs.len() => return Err(OpenFailure::Unavailable),
                _ => return Err(OpenFailure::Offline),
            }
            let home = (!is_led).then(|| self.choose(replica.key())).flatten();
            replica.set_directory(home.ok_or(OpenFailure::Unavailable)?);
        }
        let home = replica.directory().and_then(|id| self.find(id));
        home.ok_or(OpenFailure::Unavailable)
    }

    /// The directory with the fewest logs, made or planned, of those that take any.
    fn choose(&self, key: ReplicaKey) -> Option<DirectoryId> {
        let usable = self
            .dirs
            .iter()
            .filter(|dir| dir.failure().is_none() && !dir.is_disk_full() && !self.hangs(dir.id()));
        let count = |dir: &&Arc<LogDir>| dir.log_count() + lock(&self.planned).count(dir.id());
        let chosen = usable.min_by_key(count)?.id();
        Some(self.plan(key, chosen))
    }

    fn plan(&self, key: ReplicaKey, home: DirectoryId) -> DirectoryId {
        if self.dirs.len() > 1 {
            lock(&self.planned).insert(key, home);
        }
        home
    }

    /// The metadata may have to hear of where a replica lies.
    pub(crate) fn doubt(&self, key: ReplicaKey) {
        self.in_doubt.note([key]);
    }

    /// Opens the replica's log, making it if there is none.
    pub(crate) fn open(
        self: &Arc<Self>,
        replica: Arc<Replica>,
        config: Arc<LogConfig>,
        is_led: bool,
    ) {
        let key = log_key(replica.key());
        let dir = match self.home(&replica, is_led) {
            Ok(dir) => dir.clone(),
            Err(failure) => {
                if failure == OpenFailure::Offline {
                    tracing::error!(
                        log = %key,
                        "the replica may lie in a directory that failed: it is offline, and none is made in its place"
                    );
                }
                replica.opened(Err(failure));
                return;
            }
        };
        let (directories, topic) = (self.clone(), replica.topic().clone());
        let (home, settings) = (dir.clone(), config.clone());
        let done = move |result: Result<PartitionLog, OpenError>| {
            match result {
                Ok(log) => {
                    lock(&directories.planned).remove(replica.key());
                    if replica.assigned_directory() != home.id() {
                        directories.doubt(replica.key());
                    }
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
                    directories.open(replica, settings, is_led);
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
        replica: &Replica,
        log: PartitionLog,
        done: impl FnOnce() + Send + 'static,
    ) {
        let key = replica.key();
        let Some(dir) = replica.directory().and_then(|id| self.find(id)) else {
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
    pub(crate) fn delete(&self, replica: &Replica, log: Option<PartitionLog>, delay: Duration) {
        let key = replica.key();
        lock(&self.planned).remove(key);
        let home = replica.directory().and_then(|id| self.find(id));
        let Some(dir) = home.filter(|dir| log.is_some() || dir.log(log_key(key)).is_some()) else {
            return;
        };
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

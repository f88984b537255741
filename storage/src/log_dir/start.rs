//! Starting a directory: refuse what is not ours, take the marker away, read the journal, look for strangers.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::identity::{Identity, IdentityError};
use super::{Catalog, LogDir, LogDirOptions, LogStatus, names, worker};
use crate::clean_shutdown;
use crate::directory::events::Clock;
use crate::directory::queue::Later;
use crate::directory::watch::Watch;
use crate::directory::watched_fs::WatchedFs;
use crate::directory::{Directory, Fault, Parts, ballast};
use crate::fs::{DirEntry, File, Fs, read_all};
use crate::ids::Offset;
use crate::journal::{Journal, JournalError, LogKey, LogState};
use crate::planted::is_planted;
use crate::recovery::{OpenError, read_metadata};
use crate::segment::FileKind;

/// How often the journal is looked at for old records.
const TIDY_EVERY: std::time::Duration = std::time::Duration::from_mins(1);

/// Why a directory did not start. Nothing in it was changed but what a retry does again.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has it.
    #[error(
        "{path} is in use by another process: stop that process, or use another --data directory"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// There is no room even for the ballast.
    #[error("the disk that holds {path} is full: free {needed} bytes")]
    DiskFull {
        /// The directory.
        path: PathBuf,
        /// What is needed.
        needed: u64,
    },
    /// It is not ours.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The journal can not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file system failed.
    #[error("{path}")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl LogDir {
    /// Starts a directory. Opens no log: see [`LogDir::unrecovered`] and [`LogDir::recover`].
    ///
    /// # Errors
    /// [`StartError`]: one line that says what is wrong and what to do.
    pub fn start(options: LogDirOptions) -> Result<Self, StartError> {
        let LogDirOptions {
            path,
            fs: plain,
            clock,
            events,
            node_id,
            new_id,
            tuning,
        } = options;
        let at = |source| fault(&path, tuning.ballast_bytes, source);
        plain.create_dir(&path).map_err(at)?;
        let lock = lock(&*plain, &path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StartError::Locked { path: path.clone() },
            _ => at(error),
        })?;
        let watch = Arc::new(Watch::default());
        let watched = WatchedFs::new(plain, Arc::clone(&watch), Arc::clone(&clock));
        let fs: Arc<dyn Fs> = Arc::new(watched);
        let identity = Identity::load_or_create(&*fs, &path, node_id, new_id)?;
        ballast::take(&*fs, &path, tuning.ballast_bytes).map_err(at)?;
        let clean_epoch = take_marker(&*fs, &path).map_err(at)?;
        let journal = Journal::open(&fs, &path)?;
        let directory = Arc::new(Directory::new(Parts {
            path: path.clone(),
            id: identity.id,
            fs,
            clock: Arc::<dyn Clock>::clone(&clock),
            events,
            journal,
            watch,
            queue_capacity: tuning.queue_capacity,
            mapped_indexes_max: tuning.mapped_indexes_max,
            ballast_bytes: tuning.ballast_bytes,
        }));
        let catalog = Arc::new(Catalog::default());
        let entries = directory.fs.list(&path).map_err(at)?;
        adopt_strangers(&directory, &entries).map_err(at)?;
        judge(&directory, &catalog, &entries);
        load_cleaned(&directory, &entries).map_err(at)?;
        remove_leftovers(&directory, &entries);
        tidy(&directory);
        let mut threads = Vec::new();
        if tuning.threads > 0 {
            threads.push(worker::spawn(&directory).map_err(at)?);
        }
        let threads = Mutex::new(threads);
        let started = Self {
            directory,
            catalog,
            identity,
            clean_epoch,
            threads,
            tuning,
            lock: Mutex::new(Some(lock)),
        };
        started.write_checkpoints_from_time_to_time();
        Ok(started)
    }
}

fn fault(path: &Path, ballast_bytes: u64, source: io::Error) -> StartError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StartError::DiskFull {
            path,
            needed: ballast_bytes.max(1 << 20),
        },
        _ => StartError::Io { path, source },
    }
}

fn lock(fs: &dyn Fs, dir: &Path) -> io::Result<Arc<dyn File>> {
    fs.lock(&dir.join(names::LOCK))
}

/// The broker epoch of a clean stop. The marker is gone, durably, before anything is served: the next crash must not
/// look clean.
fn take_marker(fs: &dyn Fs, dir: &Path) -> io::Result<Option<i64>> {
    let path = dir.join(clean_shutdown::FILE);
    let bytes = match read_all(fs, &path, 4096) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_planted("a-clean-stop-is-believed-once") {
        fs.remove(&path)?;
        fs.sync_dir(dir)?;
    }
    Ok(clean_shutdown::decode(&bytes))
}

/// Takes up the logs that the journal does not know: it was lost, or a crash came between the two.
///
/// With a journal that is there, such a log was never announced as flushed, nor was anything below its start ever taken: the
/// journal would have heard of it first, durably. One that begins behind offset 0 has lost its beginning in a power cut.
/// Taken up as it is, it would say that the beginning was deleted, and its leader's log might end below its start; so it is
/// set aside, and the replica begins anew.
fn adopt_strangers(directory: &Arc<Directory>, entries: &[DirEntry]) -> io::Result<()> {
    let known: BTreeSet<String> = directory
        .journal
        .logs()
        .iter()
        .map(|(key, state)| names::log_dir_name(&state.topic, key.partition))
        .collect();
    let mut is_any_aside = false;
    for entry in entries
        .iter()
        .filter(|entry| entry.is_dir && !known.contains(&entry.name))
    {
        let Some((topic, partition)) = names::parse_log_dir_name(&entry.name) else {
            continue;
        };
        let dir = directory.path.join(&entry.name);
        match read_metadata(&*directory.fs, &dir) {
            Ok(Some(log)) => {
                tracing::warn!(dir = %dir.display(), "not in the journal: to be scanned from its start");
                // Where the log starts is not known better than by its first segment.
                let names = directory.fs.list(&dir)?;
                let logs = names
                    .iter()
                    .filter_map(|entry| FileKind::parse(&entry.name));
                let first = logs
                    .filter(|(_, kind)| *kind == FileKind::Log)
                    .map(|(base, _)| base)
                    .min();
                let start = first.unwrap_or(Offset::ZERO);
                if start > Offset::ZERO && directory.journal.was_there() {
                    tracing::error!(dir = %dir.display(), %start, "what was not synced is lost at the log's beginning: set aside");
                    set_aside(
                        directory,
                        &dir,
                        &names::renamed(topic, LogKey { log, partition }, names::STRAY),
                    )?;
                    is_any_aside = true;
                    continue;
                }
                let state = LogState {
                    topic: Arc::from(topic),
                    recovery_point: start,
                    log_end: start,
                    log_start: start,
                    high_watermark: start,
                    last_epoch: None,
                    active_base: start,
                    active_size: 0,
                    is_dirty: true,
                };
                directory.journal.put(LogKey { log, partition }, state)?;
            }
            // The topic id is on disk before the first byte of a log, so this directory never held one.
            Ok(None) => {
                tracing::warn!(dir = %dir.display(), "a directory without partition.metadata is ignored");
            }
            Err(error) => tracing::error!(dir = %dir.display(), %error, "ignored"),
        }
    }
    if is_any_aside {
        directory.fs.sync_dir(&directory.path)?;
    }
    directory.journal.sync()
}

/// Gives a directory the name of one that no log has. What was set aside earlier under it is older, and is kept.
fn set_aside(directory: &Directory, dir: &Path, name: &str) -> io::Result<()> {
    match directory.fs.rename(dir, &directory.path.join(name)) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            directory.fs.remove(dir)
        }
        renamed => renamed,
    }
}

/// Says of every log in the journal what can be said from the outside.
fn judge(directory: &Directory, catalog: &Catalog, entries: &[DirEntry]) {
    let there: BTreeSet<&str> = entries
        .iter()
        .filter(|entry| entry.is_dir)
        .map(|entry| entry.name.as_str())
        .collect();
    for (key, state) in directory.journal.logs() {
        let name = names::log_dir_name(&state.topic, key.partition);
        let is_deleted = there.contains(names::renamed(&state.topic, key, names::DELETE).as_str());
        if is_deleted && !there.contains(name.as_str()) {
            // The process ended between the rename and the journal. Should this fail, the next start does it.
            let _ = directory.journal.remove(key);
        } else if !there.contains(name.as_str()) {
            tracing::error!(%key, name, "the log's directory is missing: the log is offline");
            catalog.set(
                key,
                LogStatus::Offline(Arc::new(OpenError::MissingDirectory { name })),
            );
        } else if state.is_dirty {
            catalog.set(key, LogStatus::Unrecovered);
        }
    }
}

/// Reads how far the logs that are there were cleaned.
fn load_cleaned(directory: &Directory, entries: &[DirEntry]) -> io::Result<()> {
    let there: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let mut logs = directory.journal.logs();
    logs.retain(|(key, state)| {
        there.contains(names::log_dir_name(&state.topic, key.partition).as_str())
    });
    directory.cleaned.load(directory, &logs)?;
    directory
        .cleaned
        .write(directory)
        .map_err(Fault::into_source)
}

/// Posts the removal of what was being removed when the process ended.
fn remove_leftovers(directory: &Directory, entries: &[DirEntry]) {
    for entry in entries
        .iter()
        .filter(|entry| entry.is_dir && entry.name.ends_with(names::DELETE))
    {
        let path = directory.path.join(&entry.name);
        directory.queue.post(Box::new(move |directory| {
            if let Err(error) = directory.fs.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "remove a deleted log");
            }
        }));
    }
}

/// Rewrites the journal when that pays, from time to time.
fn tidy(directory: &Arc<Directory>) {
    if directory.is_offline() {
        return;
    }
    if directory.journal.is_compaction_due()
        && let Err(error) = directory.journal.compact()
    {
        tracing::warn!(path = %directory.path.display(), %error, "rewrite the journal");
    }
    let due = directory.now().saturating_add(TIDY_EVERY);
    directory.queue.at(due, Later::Job(Box::new(tidy)));
}

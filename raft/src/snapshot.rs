//! Snapshots on disk: one file, written aside, synced, renamed, read through a map.
//!
//! A file under its final name is complete and never changes. Damage in one is therefore damage to
//! something durable, and the node refuses to start.
//!
//! A full disk is a state, and openraft ends the node for an error: who saves waits until there is
//! space.

mod format;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::archive::SnapshotRecord;
use crate::config::IoMode;
use crate::engine::{self, SnapshotMeta};
use crate::error::StartError;
use crate::fs::{self, Fs, Mapping};

const SUFFIX: &str = ".snapshot";
const UNFINISHED: &str = "snapshot.unfinished";
/// Between two looks for space on a full disk.
const SPACE_DELAY: Duration = Duration::from_secs(1);

pub(crate) use format::{DecodeError, decode, encode};

/// The snapshots in a directory, of which the newest counts. Clones are the same directory.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    io: IoMode,
    /// Held while a file is written: one writer at a time. Never taken on the runtime, where the
    /// heartbeats would stop for as long as the disk takes.
    writing: Mutex<Writing>,
    /// Held for a moment only.
    current: Mutex<Option<Current>>,
    coverage: watch::Sender<Coverage>,
    /// A snapshot waits for space.
    is_full: AtomicBool,
    /// Nobody waits for space any more.
    is_closing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Writing {
    /// Nothing is written any more: the directory may belong to the next start.
    is_closed: bool,
}

/// How far the log is covered by a durable snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) last: Option<u64>,
    pub(crate) has_failed: bool,
}

/// The newest snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) meta: SnapshotMeta,
    pub(crate) path: PathBuf,
    content: Arc<Mapping>,
}

impl Current {
    /// The state machine's bytes.
    pub(crate) fn state(&self) -> &[u8] {
        // Checked when the file was opened or written, and never changed since.
        decode(&self.content).map_or(&[], |view| view.state)
    }
}

impl Snapshots {
    pub(crate) fn open(fs: Arc<dyn Fs>, dir: PathBuf, io: IoMode) -> Result<Self, StartError> {
        let coverage = watch::Sender::default();
        let inner = Inner {
            fs,
            dir,
            io,
            writing: Mutex::default(),
            current: Mutex::default(),
            coverage,
            is_full: AtomicBool::new(false),
            is_closing: watch::Sender::new(false),
        };
        let current = inner.load()?;
        inner.cover(current.as_ref());
        *inner.current() = current;
        Ok(Self(Arc::new(inner)))
    }

    pub(crate) fn current(&self) -> Option<Current> {
        self.0.current().clone()
    }

    /// Changes when a snapshot has become durable, or could not.
    pub(crate) fn coverage(&self) -> watch::Receiver<Coverage> {
        self.0.coverage.subscribe()
    }

    /// Returns once no file is being written, and none will be.
    pub(crate) async fn close(&self) {
        let inner = Arc::clone(&self.0);
        // The lock may be held for as long as a file takes.
        let closed = tokio::task::spawn_blocking(move || inner.writing().is_closed = true);
        drop(closed.await);
    }

    /// Whether a snapshot waits for space.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Relaxed)
    }

    /// From here on a full disk is an error: the node stops.
    pub(crate) fn stop_waiting(&self) {
        self.0.is_closing.send_replace(true);
    }

    /// Makes a snapshot durable. An older one than the current is dropped. On a full disk it tries
    /// again until there is space.
    pub(crate) async fn save(&self, meta: SnapshotMeta, state: Vec<u8>) -> io::Result<()> {
        let state = Arc::new(state);
        let mut is_closing = self.0.is_closing.subscribe();
        loop {
            let saved = self.try_save(meta.clone(), Arc::clone(&state)).await;
            match &saved {
                Err(error) if fs::is_full(error) && !*is_closing.borrow_and_update() => {
                    if !self.0.is_full.swap(true, Ordering::Relaxed) {
                        tracing::warn!("no space for a snapshot: it waits for some");
                    }
                }
                _ => {
                    self.0.is_full.store(false, Ordering::Relaxed);
                    if saved.is_err() {
                        self.0
                            .coverage
                            .send_modify(|coverage| coverage.has_failed = true);
                    }
                    return saved;
                }
            }
            // Either way it is tried once more.
            drop(tokio::time::timeout(SPACE_DELAY, is_closing.changed()).await);
        }
    }

    async fn try_save(&self, meta: SnapshotMeta, state: Arc<Vec<u8>>) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        match self.0.io {
            IoMode::Thread => {
                let saved = tokio::task::spawn_blocking(move || inner.save(meta, &state)).await;
                saved.map_err(io::Error::other).flatten()
            }
            IoMode::Task { delay_max } => {
                let delay_max = u64::try_from(delay_max.as_micros()).unwrap_or(u64::MAX);
                let delay = Duration::from_micros(engine::random_up_to(delay_max));
                tokio::time::sleep(delay).await;
                inner.save(meta, &state)
            }
        }
    }
}

impl Inner {
    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> Result<Option<Current>, StartError> {
        let io_error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Io {
                action,
                path,
                source,
            }
        };
        self.fs
            .create_dir(&self.dir)
            .map_err(io_error("create directory", &self.dir))?;
        // A process that was killed may have left names that are not durable yet.
        self.fs
            .sync_dir(&self.dir)
            .map_err(io_error("sync directory", &self.dir))?;
        let names = self
            .fs
            .list(&self.dir)
            .map_err(io_error("list", &self.dir))?;
        // Names carry the index in twenty digits, so the last one is the newest.
        let mut names: Vec<String> = names
            .into_iter()
            .filter(|name| name.ends_with(SUFFIX))
            .collect();
        let Some(newest) = names.pop() else {
            return Ok(None);
        };
        let path = self.dir.join(newest);
        let content = self.map(&path).map_err(io_error("map snapshot", &path))?;
        let meta = match decode(&content) {
            Ok(view) => view.meta.into(),
            Err(DecodeError::Newer(found)) => {
                return Err(StartError::NewerFormat {
                    path,
                    found,
                    known: format::VERSION,
                });
            }
            Err(DecodeError::Invalid(reason)) => {
                return Err(StartError::Corrupt {
                    path,
                    position: 0,
                    reason,
                });
            }
        };
        for older in names {
            let older = self.dir.join(older);
            self.fs.remove(&older).map_err(io_error("remove", &older))?;
        }
        Ok(Some(Current {
            meta,
            path,
            content: Arc::new(content),
        }))
    }

    fn save(&self, meta: SnapshotMeta, state: &[u8]) -> io::Result<()> {
        let writing = self.writing();
        if writing.is_closed {
            return Err(io::Error::other("the node has stopped"));
        }
        if self
            .current()
            .as_ref()
            .is_some_and(|old| old.meta.last_log_id > meta.last_log_id)
        {
            return Ok(());
        }
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let path = self.dir.join(format!("{index:020}{SUFFIX}"));
        let unfinished = self.dir.join(UNFINISHED);
        let content = encode(&SnapshotRecord::from(&meta), state);
        if let Err(error) = self.write(&unfinished, &content) {
            // A full disk gets its space back; whatever else went wrong, the next writer cleans up.
            let _ = self.fs.remove(&unfinished);
            return Err(error);
        }
        self.fs.rename(&unfinished, &path)?;
        self.fs.sync_dir(&self.dir)?;
        let content = Arc::new(self.map(&path)?);
        let new = Current {
            meta,
            path,
            content,
        };
        self.cover(Some(&new));
        let path = new.path.clone();
        let old = self.current().replace(new);
        if let Some(old) = old.filter(|old| old.path != path) {
            self.fs.remove(&old.path)?;
        }
        drop(writing);
        Ok(())
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        match self.fs.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.fs.create(path)?;
        file.write_at(0, content)?;
        file.sync()
    }

    fn cover(&self, current: Option<&Current>) {
        let last = current
            .and_then(|current| current.meta.last_log_id)
            .map(|id| id.index);
        self.coverage.send_modify(|coverage| coverage.last = last);
    }

    fn map(&self, path: &Path) -> io::Result<Mapping> {
        self.fs.open(path)?.map()
    }
}

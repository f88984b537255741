//! Snapshots on disk: one file, written aside, synced, renamed, read through a map.
//!
//! A file under its final name is complete and never changes. Damage in one is therefore damage to
//! something durable, and the node refuses to start. docs/formats/raft-snapshot.md has the table.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::archive::{self, SnapshotRecord};
use crate::config::IoMode;
use crate::cursor::Cursor;
use crate::engine::{self, SnapshotMeta};
use crate::error::StartError;
use crate::fs::{Fs, Mapping};

const MAGIC: u32 = u32::from_le_bytes(*b"OTRS");
const VERSION: u8 = 1;
/// Magic, version and three zeros, size of the meta data, size of the state, checksum.
const HEADER_SIZE: usize = 24;
const SUFFIX: &str = ".snapshot";
const UNFINISHED: &str = "snapshot.unfinished";

/// A snapshot's bytes, viewed.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) meta: SnapshotRecord,
    pub(crate) state: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    Newer(u8),
    Invalid(&'static str),
}

/// The bytes of a snapshot file.
pub(crate) fn encode(meta: &SnapshotRecord, state: &[u8]) -> Vec<u8> {
    let meta = archive::to_bytes(meta);
    let mut out = Vec::with_capacity(HEADER_SIZE + meta.len() + state.len());
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.extend_from_slice(&u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&u64::try_from(state.len()).unwrap_or(u64::MAX).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&out);
    hasher.update(&meta);
    hasher.update(state);
    out.extend_from_slice(&hasher.finalize().to_le_bytes());
    out.extend_from_slice(&meta);
    out.extend_from_slice(state);
    out
}

/// Views what [`encode`] made. Any other bytes are an error.
pub(crate) fn decode(bytes: &[u8]) -> Result<View<'_>, DecodeError> {
    use DecodeError::Invalid;

    let mut cursor = Cursor::new(bytes);
    let mut fields = || {
        let magic = cursor.u32()?;
        let [version, ..] = cursor.array::<4>()?;
        let (meta_size, state_size) = (cursor.u32()?, cursor.u64()?);
        Some((magic, version, meta_size, state_size, cursor.u32()?))
    };
    let fields = fields().ok_or(Invalid("the header is cut off"))?;
    let (magic, version, meta_size, state_size, checksum) = fields;
    if magic != MAGIC {
        return Err(Invalid("not a snapshot"));
    }
    let body = cursor.rest();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..HEADER_SIZE - 4).unwrap_or_default());
    hasher.update(body);
    if hasher.finalize() != checksum {
        return Err(Invalid("the checksum does not match"));
    }
    if version != VERSION {
        return Err(DecodeError::Newer(version));
    }
    let meta_size = usize::try_from(meta_size).map_err(|_| Invalid("the sizes are wrong"))?;
    let (meta, state) = body
        .split_at_checked(meta_size)
        .ok_or(Invalid("the sizes are wrong"))?;
    if u64::try_from(state.len()) != Ok(state_size) {
        return Err(Invalid("the sizes are wrong"));
    }
    let meta = archive::from_bytes(meta).ok_or(Invalid("the meta data is damaged"))?;
    Ok(View { meta, state })
}

/// The snapshots in a directory, of which the newest counts. Clones are the same directory.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    io: IoMode,
    /// Held while a file is written: one writer at a time.
    current: Mutex<Option<Current>>,
    coverage: watch::Sender<Coverage>,
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
            current: Mutex::default(),
            coverage,
        };
        let current = inner.load()?;
        inner.cover(current.as_ref());
        *inner.lock() = current;
        Ok(Self(Arc::new(inner)))
    }

    pub(crate) fn current(&self) -> Option<Current> {
        self.0.lock().clone()
    }

    /// Changes when a snapshot has become durable, or could not.
    pub(crate) fn coverage(&self) -> watch::Receiver<Coverage> {
        self.0.coverage.subscribe()
    }

    /// Makes a snapshot durable. An older one than the current is dropped.
    pub(crate) async fn save(&self, meta: SnapshotMeta, state: Vec<u8>) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        let saved = match self.0.io {
            IoMode::Thread => {
                let saved = tokio::task::spawn_blocking(move || inner.save(meta, &state)).await;
                saved.map_err(io::Error::other).flatten()
            }
            IoMode::Task { delay_max } => {
                let delay_max = u64::try_from(delay_max.as_micros()).unwrap_or(u64::MAX);
                let delay = std::time::Duration::from_micros(engine::random_up_to(delay_max));
                tokio::time::sleep(delay).await;
                inner.save(meta, &state)
            }
        };
        if saved.is_err() {
            self.0
                .coverage
                .send_modify(|coverage| coverage.has_failed = true);
        }
        saved
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
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
            .create_dir_all(&self.dir)
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
                    known: VERSION,
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
        let mut current = self.lock();
        if current
            .as_ref()
            .is_some_and(|old| old.meta.last_log_id > meta.last_log_id)
        {
            return Ok(());
        }
        let index = meta.last_log_id.map_or(0, |id| id.index);
        let path = self.dir.join(format!("{index:020}{SUFFIX}"));
        let unfinished = self.dir.join(UNFINISHED);
        match self.fs.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.fs.create(&unfinished)?;
        file.write_at(0, &encode(&SnapshotRecord::from(&meta), state))?;
        file.sync()?;
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
        if let Some(old) = current.replace(new)
            && old.path != path
        {
            self.fs.remove(&old.path)?;
        }
        Ok(())
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

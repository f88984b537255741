//! The partition journal: what a directory knows of its logs without opening them.
//!
//! One append-only file of checksummed records, each the whole state of one log, so the last record of a log is its
//! state and replaying is a fold. The bytes are described in docs/formats/partition-journal.md.
//!
//! - A log is marked dirty here before its first unsynced write, and clean only after a sync of all of it.
//! - A reader stops at the first record that does not check: what follows was never promised.
//! - `put` may be called by any thread and never syncs; `sync` and `compact` belong to the I/O thread.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{File, Fs, OpenMode, write_all_at};
use crate::ids::{LeaderEpoch, LogId, Offset};

mod format;
#[cfg(test)]
mod tests;

pub use format::{DecodeError, Entry, Records, decode_header, header};

/// The file's name in the log directory.
pub const FILE_NAME: &str = "partition-journal";
/// Below this size a journal is never rewritten.
const COMPACT_ABOVE_BYTES: u64 = 1 << 20;
/// A journal is rewritten when it is this many times the size of what it says.
const COMPACT_AT_RATIO: u64 = 4;
/// A journal names at most 100 000 logs with names of at most 249 bytes, and four times that in old records.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// One log of a directory: a topic id and a partition number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The topic's id.
    pub log: LogId,
    /// The partition's number in the topic.
    pub partition: u32,
}

impl std::fmt::Display for LogKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.log, self.partition)
    }
}

/// What the journal says of one log.
///
/// S1: `recovery_point <= log_end`, `log_start <= log_end`, and everything below `recovery_point` is on stable storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogState {
    /// The topic's name: with the partition number it names the log's directory.
    pub topic: Arc<str>,
    /// Everything below is on stable storage.
    pub recovery_point: Offset,
    /// The offset after the last record (exclusive end) when this was written; exact if `is_dirty` is false.
    pub log_end: Offset,
    /// The first offset that may be read.
    pub log_start: Offset,
    /// The last high watermark the log's user told.
    pub high_watermark: Offset,
    /// The leader epoch of the last batch.
    pub last_epoch: Option<LeaderEpoch>,
    /// Base offset of the active segment.
    pub active_base: Offset,
    /// Bytes of the active segment, up to `log_end`.
    pub active_size: u64,
    /// Whether there may be bytes that no sync has covered.
    pub is_dirty: bool,
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file starts with something else.
    #[error("{path} is not a partition journal")]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version.
    #[error(
        "{path} has format {found}, and this version reads up to {known}: use the newer ottla that wrote it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The file system failed.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The open journal of a directory.
#[derive(Debug)]
pub struct Journal {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    inner: Mutex<Inner>,
    was_there: bool,
}

#[derive(Debug)]
struct Inner {
    file: Arc<dyn File>,
    len: u64,
    /// The rewritten journal while it takes the old one's place: records go to both.
    successor: Option<Successor>,
    /// Records put while the rewritten journal is being filled.
    tee: Option<Vec<u8>>,
    logs: BTreeMap<LogKey, LogState>,
    appended: u64,
    synced: u64,
}

#[derive(Debug)]
struct Successor {
    file: Arc<dyn File>,
    len: u64,
}

impl Journal {
    /// Opens the journal of `dir`, cutting a torn tail, or starts an empty one.
    ///
    /// # Errors
    /// [`JournalError`]; nothing was changed.
    pub fn open(fs: &Arc<dyn Fs>, dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(FILE_NAME);
        let io = |source| JournalError::Io {
            path: path.clone(),
            source,
        };
        let bytes = match crate::fs::read_all(&**fs, &path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(io(error)),
        };
        let mut logs = BTreeMap::new();
        let mut len = 0;
        // A crash while the journal was created leaves less than a header: nothing was promised by it.
        if bytes.len() >= format::HEADER_BYTES {
            let body = decode_header(&bytes).map_err(|error| match error {
                DecodeError::Newer { found, known } => JournalError::Newer {
                    path: path.clone(),
                    found,
                    known,
                },
                DecodeError::NotAJournal => JournalError::NotAJournal { path: path.clone() },
            })?;
            let mut records = Records::new(body);
            for entry in records.by_ref() {
                match entry {
                    Entry::Put(key, state) => drop(logs.insert(key, state)),
                    Entry::Removed(key) => drop(logs.remove(&key)),
                }
            }
            len = format::HEADER_BYTES as u64 + records.position();
            let torn = bytes.len() as u64 - len;
            if torn > 0 {
                tracing::warn!(path = %path.display(), bytes = torn, "cut the torn tail of the journal");
            }
        }
        let file = fs.open(&path, OpenMode::Create).map_err(io)?;
        if len == 0 {
            crate::fs::replace(&**fs, &path, &header()).map_err(io)?;
            len = format::HEADER_BYTES as u64;
            let file = fs.open(&path, OpenMode::Existing).map_err(io)?;
            return Ok(Self::over(fs, dir, file, len, logs, false));
        }
        if len != bytes.len() as u64 {
            file.set_len(len).map_err(io)?;
            file.sync().map_err(io)?;
        }
        Ok(Self::over(fs, dir, file, len, logs, true))
    }

    fn over(
        fs: &Arc<dyn Fs>,
        dir: &Path,
        file: Arc<dyn File>,
        len: u64,
        logs: BTreeMap<LogKey, LogState>,
        was_there: bool,
    ) -> Self {
        let inner = Inner {
            file,
            len,
            successor: None,
            tee: None,
            logs,
            appended: 0,
            synced: 0,
        };
        Self {
            fs: Arc::clone(fs),
            dir: dir.to_owned(),
            inner: Mutex::new(inner),
            was_there,
        }
    }

    /// Whether there was one before this start: what it does not know then was never promised to anybody.
    pub(crate) fn was_there(&self) -> bool {
        self.was_there
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `key`.
    pub fn state(&self, key: LogKey) -> Option<LogState> {
        self.lock().logs.get(&key).cloned()
    }

    /// All logs, by key.
    pub fn logs(&self) -> Vec<(LogKey, LogState)> {
        let inner = self.lock();
        inner
            .logs
            .iter()
            .map(|(key, state)| (*key, state.clone()))
            .collect()
    }

    /// The number of logs.
    pub fn len(&self) -> usize {
        self.lock().logs.len()
    }

    /// Whether there is no log.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the state of a log; durable once [`Journal::is_synced`] says so of the returned number.
    ///
    /// # Errors
    /// The write's; the journal then still says what it said before.
    pub fn put(&self, key: LogKey, state: LogState) -> io::Result<u64> {
        self.append(Entry::Put(key, state))
    }

    /// Forgets a log.
    ///
    /// # Errors
    /// As [`Journal::put`].
    pub fn remove(&self, key: LogKey) -> io::Result<u64> {
        self.append(Entry::Removed(key))
    }

    fn append(&self, entry: Entry) -> io::Result<u64> {
        let record = entry.encode()?;
        let mut inner = self.lock();
        // A record of which only a part was written lies beyond `len` and is overwritten by the next one.
        write_all_at(&*inner.file, &record, inner.len)?;
        if let Some(successor) = &mut inner.successor {
            write_all_at(&*successor.file, &record, successor.len)?;
            successor.len += record.len() as u64;
        }
        if let Some(tee) = &mut inner.tee {
            tee.extend_from_slice(&record);
        }
        inner.len += record.len() as u64;
        inner.appended += 1;
        match entry {
            Entry::Put(key, state) => drop(inner.logs.insert(key, state)),
            Entry::Removed(key) => drop(inner.logs.remove(&key)),
        }
        Ok(inner.appended)
    }

    /// Whether the record of this number is on stable storage.
    pub fn is_synced(&self, number: u64) -> bool {
        self.lock().synced >= number
    }

    /// Brings all records put so far to stable storage; does nothing if they are there.
    ///
    /// # Errors
    /// The sync's, which is final for the directory (S7).
    pub fn sync(&self) -> io::Result<()> {
        let (file, appended) = {
            let inner = self.lock();
            if inner.synced == inner.appended {
                return Ok(());
            }
            (Arc::clone(&inner.file), inner.appended)
        };
        // Outside the lock: a core that marks a log dirty never waits for a disk.
        file.sync()?;
        let mut inner = self.lock();
        inner.synced = inner.synced.max(appended);
        Ok(())
    }

    /// Whether old records outweigh the state so far that [`Journal::compact`] pays.
    pub fn is_compaction_due(&self) -> bool {
        let inner = self.lock();
        let live = inner.logs.values().map(format::record_size).sum::<u64>();
        inner.len > COMPACT_ABOVE_BYTES.max(COMPACT_AT_RATIO * live)
    }

    /// Rewrites the journal aside and puts it in place of the old one. On the I/O thread only.
    ///
    /// At every moment one complete journal is under the name: records put meanwhile go to both files from the
    /// moment the new one is complete until its name is durable.
    ///
    /// # Errors
    /// Those of the file system; the old journal then goes on.
    pub fn compact(&self) -> io::Result<()> {
        let path = self.dir.join(FILE_NAME);
        let aside = path.with_added_extension("tmp");
        let mut bytes = header().to_vec();
        {
            let mut inner = self.lock();
            for (key, state) in &inner.logs {
                bytes.extend_from_slice(&Entry::Put(*key, state.clone()).encode()?);
            }
            inner.tee = Some(Vec::new());
        }
        let result = self.write_successor(&aside, &bytes).and_then(|appended| {
            self.fs.rename(&aside, &path)?;
            self.fs.sync_dir(&self.dir)?;
            Ok(appended)
        });
        let mut inner = self.lock();
        inner.tee = None;
        let successor = inner.successor.take();
        let appended = result?;
        if let Some(successor) = successor {
            inner.file = successor.file;
            inner.len = successor.len;
            inner.synced = inner.synced.max(appended);
        }
        Ok(())
    }

    /// Returns the number of the last record that the synced successor holds.
    fn write_successor(&self, aside: &Path, bytes: &[u8]) -> io::Result<u64> {
        let file = self.fs.open(aside, OpenMode::Create)?;
        file.set_len(0)?;
        write_all_at(&*file, bytes, 0)?;
        file.sync()?;
        let appended = {
            let mut inner = self.lock();
            let late = inner.tee.take().unwrap_or_default();
            write_all_at(&*file, &late, bytes.len() as u64)?;
            inner.successor = Some(Successor {
                file: Arc::clone(&file),
                len: (bytes.len() + late.len()) as u64,
            });
            inner.appended
        };
        file.sync()?;
        Ok(appended)
    }
}

//! Up to where each log of a directory has been cleaned: `cleaner-offset-checkpoint`, in Kafka's format.
//!
//! Nothing depends on it but work: an offset that is too low is cleaned once more, and one that is too high leaves
//! superseded records until their keys are written again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::checkpoint::{CLEANER_FILE, LogName, decode_offsets, encode_offsets};
use crate::directory::{Directory, Fault, replace_file};
use crate::fs::{Fs, read_all};
use crate::ids::Offset;
use crate::journal::{LogKey, LogState};

/// A line for each of 100 000 logs with the longest names.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The first dirty offset of each log that was ever cleaned.
#[derive(Debug, Default)]
pub(crate) struct CleanedOffsets {
    offsets: Mutex<BTreeMap<LogKey, Offset>>,
    /// One at a time writes the file.
    writing: Mutex<()>,
}

impl CleanedOffsets {
    /// What the file says of the logs that the journal knows. A damaged file says nothing.
    pub(crate) fn read(fs: &dyn Fs, dir: &Path, logs: &[(LogKey, LogState)]) -> io::Result<Self> {
        let path = dir.join(CLEANER_FILE);
        let bytes = match read_all(fs, &path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let found = decode_offsets(&bytes).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "how far logs were cleaned is not known");
            BTreeMap::new()
        });
        let offsets = logs.iter().filter_map(|(key, state)| {
            let name = LogName {
                topic: state.topic.to_string(),
                partition: key.partition,
            };
            Some((*key, *found.get(&name)?))
        });
        Ok(Self {
            offsets: Mutex::new(offsets.collect()),
            writing: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<LogKey, Offset>> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: LogKey) -> Option<Offset> {
        self.lock().get(&key).copied()
    }

    /// Notes where a round ended, if `is_valid` still says so: a truncation first shows the log that it leaves, and
    /// lowers the offset after that.
    pub(super) fn set(&self, key: LogKey, end: Offset, is_valid: impl FnOnce() -> bool) -> bool {
        let mut offsets = self.lock();
        let is_set = is_valid();
        if is_set {
            offsets.insert(key, end);
        }
        is_set
    }

    /// What lies at or above `end` was cut off. True if that was cleaned: the file is then to be written.
    pub(crate) fn lower(&self, key: LogKey, end: Offset) -> bool {
        let mut offsets = self.lock();
        match offsets.get_mut(&key).filter(|offset| **offset > end) {
            Some(offset) => {
                *offset = end;
                true
            }
            None => false,
        }
    }

    /// Writes the file. Waits for the disk.
    pub(crate) fn write(&self, directory: &Directory) -> Result<(), Fault> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.lock().clone();
        let mut named = BTreeMap::new();
        for (key, offset) in known {
            // A log that is gone takes its line with it.
            if let Some(state) = directory.journal.state(key) {
                let name = LogName {
                    topic: state.topic.to_string(),
                    partition: key.partition,
                };
                named.insert(name, offset);
            }
        }
        let text = encode_offsets(&named);
        let path = directory.path.join(CLEANER_FILE);
        replace_file(&*directory.fs, &path, text.as_bytes())?;
        directory.fs.sync_dir(&directory.path).map_err(Fault::Sync)
    }
}

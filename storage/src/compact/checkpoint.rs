//! Up to where each log of a directory has been cleaned: `cleaner-offset-checkpoint`, in Kafka's format.
//!
//! - An offset that is too low costs work. One that is too high is a lie with consequences: the keys above the true one were
//!   never looked up below, and when a tombstone among them goes, what it deleted is there again.
//! - So an offset never outlives what it was said of. A truncation lowers it, and so does opening the log, for the crash that
//!   came before the file was written; a log that is taken away takes its line with it before another can have its name.

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
    known: Mutex<Known>,
    /// One at a time writes the file.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    offsets: BTreeMap<LogKey, Offset>,
    /// Whether the file says something else.
    is_unwritten: bool,
}

impl CleanedOffsets {
    /// Takes up what the file says of `logs`. Other lines are to go from it: a log that is made under such a name would take
    /// one for its own.
    pub(crate) fn load(
        &self,
        directory: &Directory,
        logs: &[(LogKey, LogState)],
    ) -> io::Result<()> {
        let lines = read(&*directory.fs, &directory.path)?;
        let offsets: BTreeMap<LogKey, Offset> = logs
            .iter()
            .filter_map(|(key, state)| Some((*key, *lines.get(&line_name(*key, state))?)))
            .collect();
        *self.lock() = Known {
            is_unwritten: offsets.len() != lines.len(),
            offsets,
        };
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: LogKey) -> Option<Offset> {
        self.lock().offsets.get(&key).copied()
    }

    /// Notes where a round ended, if `is_valid` still says so: a truncation first shows the log that it leaves, and
    /// lowers the offset after that.
    pub(super) fn set(&self, key: LogKey, end: Offset, is_valid: impl FnOnce() -> bool) -> bool {
        let mut known = self.lock();
        let is_set = is_valid();
        if is_set {
            known.is_unwritten |= known.offsets.insert(key, end) != Some(end);
        }
        is_set
    }

    /// What lies at or above `end` was cut off.
    pub(crate) fn lower(&self, key: LogKey, end: Offset) {
        let mut known = self.lock();
        let Known {
            offsets,
            is_unwritten,
        } = &mut *known;
        if let Some(offset) = offsets.get_mut(&key).filter(|offset| **offset > end) {
            *offset = end;
            *is_unwritten = true;
        }
    }

    /// The log is on its way out; one that comes back under its key begins anew.
    pub(crate) fn forget(&self, key: LogKey) {
        let mut known = self.lock();
        known.is_unwritten |= known.offsets.remove(&key).is_some();
    }

    /// Writes the file, unless it says what is known. Waits for the disk.
    pub(crate) fn write(&self, directory: &Directory) -> Result<(), Fault> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(offsets) = self.take_unwritten() else {
            return Ok(());
        };
        replace(directory, offsets).inspect_err(|_| self.lock().is_unwritten = true)
    }

    fn take_unwritten(&self) -> Option<BTreeMap<LogKey, Offset>> {
        let mut known = self.lock();
        let is_unwritten = std::mem::take(&mut known.is_unwritten);
        is_unwritten.then(|| known.offsets.clone())
    }
}

fn line_name(key: LogKey, state: &LogState) -> LogName {
    LogName {
        topic: state.topic.to_string(),
        partition: key.partition,
    }
}

/// The lines of the file. A damaged file has none.
fn read(fs: &dyn Fs, dir: &Path) -> io::Result<BTreeMap<LogName, Offset>> {
    let path = dir.join(CLEANER_FILE);
    let bytes = match read_all(fs, &path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    Ok(decode_offsets(&bytes).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "how far logs were cleaned is not known");
        BTreeMap::new()
    }))
}

fn replace(directory: &Directory, offsets: BTreeMap<LogKey, Offset>) -> Result<(), Fault> {
    let mut lines = BTreeMap::new();
    for (key, offset) in offsets {
        if let Some(state) = directory.journal.state(key) {
            // Two have one name while a removal is not done. Too low costs only work.
            let line: &mut Offset = lines.entry(line_name(key, &state)).or_insert(offset);
            *line = offset.min(*line);
        }
    }
    let text = encode_offsets(&lines);
    let path = directory.path.join(CLEANER_FILE);
    replace_file(&*directory.fs, &path, text.as_bytes())?;
    directory.fs.sync_dir(&directory.path).map_err(Fault::Sync)
}

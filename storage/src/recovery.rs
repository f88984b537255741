//! From files to a log: trusting them after a clean stop, or checking them after anything else.
//!
//! - S6: whatever was lost in a crash, the log opens as a prefix of what was appended that contains all that was
//!   synced. A log that holds less than its recovery point has lost what was promised to be safe: it is not opened.
//! - S4: every batch that is looked at is checked whole; the first that fails ends the log.
//! - S8: indexes, snapshots and epochs are made again from the batches where they are missing.
//! - Nothing is changed before the outcome is known.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::batch::BatchView;
use crate::directory::{Directory, Fault};
use crate::fs::Fs;
use crate::ids::{LeaderEpoch, LogId, Offset};
use crate::journal::{LogKey, LogState};
use crate::log::{Found, LogConfig};
use crate::partition_metadata::{self, PartitionMetadataError};
use crate::planted::is_planted;
use crate::segment::scan::ScanError;
use crate::segment::{FileKind, Home};
use crate::time::WallMillis;
use crate::view::ReadError;

mod epochs;
mod leftovers;
mod load;
mod scan;

pub(crate) use load::load;
pub(crate) use scan::recover;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory knows nothing of such a log.
    #[error("no such log")]
    Unknown,
    /// The log is open already.
    #[error("the log is open")]
    AlreadyOpen,
    /// The log has not been scanned since an unclean stop: wait for `LogEvent::Recovered`.
    #[error("the log waits for its recovery")]
    Unrecovered,
    /// The queue of the I/O thread is full: try again later.
    #[error(transparent)]
    Busy(#[from] crate::directory::queue::QueueFull),
    /// The log is offline since the start, or since its recovery.
    #[error("the log is offline")]
    LogOffline {
        /// Why.
        source: Arc<OpenError>,
    },
    /// The log's directory is gone. It is not taken for empty.
    #[error("directory {name} is in the journal but not on the disk")]
    MissingDirectory {
        /// The directory's name.
        name: String,
    },
    /// Another log has the directory: one of the same topic name that is not deleted yet.
    #[error("directory {name} belongs to {owner}")]
    DirectoryTaken {
        /// The directory's name.
        name: String,
        /// The log it belongs to.
        owner: LogKey,
    },
    /// The directory belongs to another topic than the journal says.
    #[error("partition.metadata names the topic id {found}, not {expected}")]
    WrongTopic {
        /// The topic id asked for.
        expected: LogId,
        /// The one in the directory.
        found: LogId,
    },
    /// `partition.metadata` is not there.
    #[error("partition.metadata is missing")]
    NoMetadata,
    /// `partition.metadata` can not be read.
    #[error(transparent)]
    DamagedMetadata(#[from] PartitionMetadataError),
    /// Less is there than was on stable storage.
    #[error("the log ends at {found}, but everything below {recovery_point} was on stable storage")]
    LostSynced {
        /// What was promised.
        recovery_point: Offset,
        /// Where the batches end.
        found: Offset,
    },
    /// A segment can not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk is full: try again when there is room.
    #[error("no space left on the disk")]
    DiskFull,
    /// The file system failed; the directory is offline.
    #[error("file system")]
    Io {
        /// What it said.
        source: io::Error,
    },
    /// The directory is offline.
    #[error(transparent)]
    Offline(Arc<crate::directory::DirectoryFailure>),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::DiskFull,
            Fault::Sync(source) | Fault::Call(source) => Self::Io { source },
        }
    }
}

/// Everything that is needed to find a log's files.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) key: LogKey,
    pub(crate) home: Arc<Home>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) now: WallMillis,
}

impl Site {
    pub(crate) fn new(
        directory: &Directory,
        key: LogKey,
        name: &str,
        config: Arc<LogConfig>,
    ) -> Self {
        let home = Home {
            fs: Arc::clone(&directory.fs),
            dir: directory.path.join(name),
            indexes: Arc::clone(&directory.indexes),
        };
        Self {
            key,
            home: Arc::new(home),
            config,
            now: directory.clock.wall(),
        }
    }
}

/// The topic id in a log's directory; `None` if there is no such file.
pub(crate) fn read_metadata(fs: &dyn Fs, dir: &Path) -> Result<Option<LogId>, OpenError> {
    let bytes = match crate::fs::read_all(fs, &dir.join(partition_metadata::FILE), 4096) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Fault::of_call(error).into()),
    };
    Ok(Some(partition_metadata::decode(&bytes)?))
}

fn check_metadata(site: &Site) -> Result<(), OpenError> {
    let found = read_metadata(&*site.home.fs, &site.home.dir)?.ok_or(OpenError::NoMetadata)?;
    let expected = site.key.log;
    if found == expected || is_planted("a-log-belongs-to-a-topic-id") {
        Ok(())
    } else {
        Err(OpenError::WrongTopic { expected, found })
    }
}

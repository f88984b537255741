//! What a directory tells the rest of the node, and the clock it reads.
//!
//! - Events are sent from I/O threads; a receiver posts them into its own queue and returns at once.
//! - An event is a hint that state has changed; the state itself is read from the log or the directory.

use std::fmt::Debug;

use crate::ids::{DirectoryId, Offset};
use crate::journal::LogKey;
use crate::time::{MonoMillis, WallMillis};

/// The two clocks, for the I/O threads. Cores are given the time as an argument.
pub trait Clock: Debug + Send + Sync {
    /// Time that never goes back.
    fn mono(&self) -> MonoMillis;

    /// The calendar.
    fn wall(&self) -> WallMillis;
}

/// Receives the events of a directory.
pub trait LogEvents: Debug + Send + Sync {
    /// Something happened to one log.
    fn partition(&self, key: LogKey, event: LogEvent);

    /// Something happened to the whole directory.
    fn directory(&self, directory: DirectoryId, event: DirectoryEvent);
}

/// What can happen to one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// Everything below `up_to` was on stable storage when this was sent. A truncation may have come since:
    /// [`PartitionLog::flushed_end`](crate::log::PartitionLog::flushed_end) knows.
    Flushed {
        /// Exclusive end.
        up_to: Offset,
    },
    /// A flush failed: the directory is offline (S7).
    FlushFailed,
    /// The files of a truncation, or of cleaned segments, are in place: appends and truncations are possible again.
    FilesReady,
    /// The cleaner waits for the log's writer:
    /// [`PartitionLog::serve_cleaner`](crate::log::PartitionLog::serve_cleaner).
    CleanerWaits,
    /// An unclean log was scanned and may be opened.
    Recovered {
        /// Where it ends now.
        log_end: Offset,
    },
    /// An unclean log could not be recovered; its status has the reason.
    RecoveryFailed,
}

/// What can happen to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryEvent {
    /// A call failed that must not be retried: the directory serves no more, for good (S7).
    Offline,
    /// A write met a full disk: appends are refused until there is room.
    DiskFull,
    /// There is room again.
    SpaceBack,
}

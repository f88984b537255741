//! Why a round was not finished.

use std::io;

use super::rules::RuleError;
use crate::directory::Fault;
use crate::ids::Offset;
use crate::segment::scan::ScanError;
use crate::view::ReadError;

/// Why a round was not finished.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The log was truncated or closed, is not compacted any more, or lost segments to retention; its writer or its disk does
    /// not answer; a transaction has to end first; or the cleaner is to end.
    #[error("the round was given up")]
    Aborted,
    /// The disk is full: there is no room for the copy.
    #[error("no space left on the disk")]
    DiskFull,
    /// The file system failed; the directory is offline if that is final.
    #[error("file system")]
    Io {
        /// What it said.
        source: io::Error,
        /// Whether it was a sync that failed (S7).
        is_sync: bool,
    },
    /// A segment can't be read.
    #[error("segment {base}")]
    Segment {
        /// The segment's base offset.
        base: Offset,
        /// What was found.
        source: ScanError,
    },
    /// A batch can't be judged.
    #[error("the batch at offset {base_offset}")]
    Batch {
        /// The batch's base offset.
        base_offset: Offset,
        /// What is wrong with it.
        source: RuleError,
    },
    /// The map of keys has no room for one.
    #[error("log.cleaner.dedupe.buffer.size has no room for a single key")]
    MapTooSmall,
    /// The copy has become larger than a segment can be.
    #[error("the copy of segment {base} is larger than 2 GiB")]
    TooLarge {
        /// The segment's base offset.
        base: Offset,
    },
}

impl CleanError {
    pub(super) fn of_call(error: io::Error) -> Self {
        match Fault::of_call(error) {
            Fault::Full => Self::DiskFull,
            Fault::Call(source) | Fault::Sync(source) => Self::Io {
                source,
                is_sync: false,
            },
        }
    }

    pub(super) fn of_sync(source: io::Error) -> Self {
        Self::Io {
            source,
            is_sync: true,
        }
    }

    /// Whether another try can't help: the log is uncleanable. A read that failed may not fail again.
    pub fn is_about_the_log(&self) -> bool {
        match self {
            Self::Aborted | Self::DiskFull | Self::Io { .. } => false,
            Self::Segment { source, .. } => matches!(source, ScanError::Corrupt { .. }),
            Self::Batch { .. } | Self::MapTooSmall | Self::TooLarge { .. } => true,
        }
    }
}

impl From<ReadError> for CleanError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Segment { base, source } => Self::Segment { base, source },
            // Nothing else is said where only indexes and headers are asked.
            ReadError::OutOfRange { .. } | ReadError::Records { .. } => Self::Aborted,
        }
    }
}

impl From<Fault> for CleanError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Full => Self::DiskFull,
            Fault::Call(source) => Self::of_call(source),
            Fault::Sync(source) => Self::of_sync(source),
        }
    }
}

//! What is asked of a partition, and how the asker is told.

use std::fmt;
use std::sync::Arc;

use bytes::BytesMut;
use ottla_storage::log::{PrepareError, WriteError};
use ottla_storage::time::{MonoMillis, WallMillis};
use ottla_storage::{LeaderEpoch, Offset};

pub use super::core::effect::{Acks, FollowerFetch, Refusal};
use super::driver::Event;

/// Who asked; told once per request. Called by whoever holds the partition's lock: must not block,
/// and must not submit to a partition.
pub trait Asker: fmt::Debug + Send + Sync {
    /// The part of the request that was submitted as `part` is decided.
    fn decided(&self, part: usize, outcome: Result<Done, RequestError>);
}

/// Which part of whose request.
#[derive(Clone, Debug)]
pub struct AskedBy {
    /// Who asked.
    pub asker: Arc<dyn Asker>,
    /// Which of the asker's partitions this is.
    pub part: usize,
}

impl AskedBy {
    pub(crate) fn tell(self, outcome: Result<Done, RequestError>) {
        self.asker.decided(self.part, outcome);
    }
}

/// What a request has taken of the memory that requests may have: given back when the last clone is dropped.
pub type Holding = Arc<dyn fmt::Debug + Send + Sync>;

/// A batch as its producer sent it.
#[derive(Debug)]
pub struct Batch {
    /// Who writes it.
    pub writer: Writer,
    /// Exactly one batch, in the request's own buffer: offsets and epoch are stamped there.
    pub bytes: BytesMut,
    /// Whether the request's version knows zstd.
    pub accepts_zstd: bool,
    /// What the buffer counts for, also when the request has been answered or its connection is gone.
    pub holding: Option<Holding>,
}

/// Who writes a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// A producer, whose batches are checked.
    Client,
    /// A coordinator of this broker, whose decisions hold in this reign and no other. A batch may be as large as a segment:
    /// what a group says of itself is not divided.
    Coordinator(LeaderEpoch),
}

/// A batch for one partition.
#[derive(Debug)]
pub struct Produce {
    /// The batch.
    pub batch: Batch,
    /// What the producer waits for.
    pub acks: Acks,
    /// When it stops waiting.
    pub deadline: MonoMillis,
    /// Who asked.
    pub by: AskedBy,
}

/// A client's wish to drop the records below an offset.
#[derive(Debug)]
pub struct DeleteRecords {
    /// The first offset to keep; `None` is the high watermark.
    pub before: Option<Offset>,
    /// When the client stops waiting.
    pub deadline: MonoMillis,
    /// Who asked.
    pub by: AskedBy,
}

/// What a client asks of a partition.
#[derive(Debug)]
pub enum Request {
    /// Append a batch.
    Produce(Produce),
    /// Drop records at the log's start.
    DeleteRecords(DeleteRecords),
}

impl Request {
    /// What it takes of the queue's bytes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Produce(produce) => produce.batch.bytes.len(),
            Self::DeleteRecords(_) => 0,
        }
    }

    /// When its asker stops waiting.
    pub(crate) fn deadline(&self) -> MonoMillis {
        match self {
            Self::Produce(produce) => produce.deadline,
            Self::DeleteRecords(delete) => delete.deadline,
        }
    }

    /// Drops all but whom to tell.
    pub(crate) fn into_asker(self) -> AskedBy {
        match self {
            Self::Produce(produce) => produce.by,
            Self::DeleteRecords(delete) => delete.by,
        }
    }
}

/// A request on its way into a partition's queue.
#[derive(Debug)]
pub struct Submission(pub(super) Option<Event>);

impl From<Request> for Submission {
    fn from(request: Request) -> Self {
        Self(Some(Event::Request(request)))
    }
}

/// A request that ended as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Where the batch begins; 0 for other requests.
    pub base_offset: Offset,
    /// The append time, if that is what the topic's records are timed by.
    pub log_append_time: Option<WallMillis>,
    /// Where the log starts.
    pub log_start: Offset,
    /// Under which epoch.
    pub leader_epoch: LeaderEpoch,
}

impl Done {
    pub(crate) fn deleted(log_start: Offset) -> Self {
        Self {
            base_offset: Offset::ZERO,
            log_append_time: None,
            log_start,
            leader_epoch: LeaderEpoch::ZERO,
        }
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The partition does not do this now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The batch is not acceptable, or the log takes none now.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The group that the batch was written with failed.
    #[error("the write failed{}", if *.is_disk_full { ": no space left on the disk" } else { "" })]
    Write {
        /// Whether it heals.
        is_disk_full: bool,
    },
}

impl From<&WriteError> for RequestError {
    fn from(error: &WriteError) -> Self {
        Self::Write {
            is_disk_full: matches!(error, WriteError::DiskFull),
        }
    }
}

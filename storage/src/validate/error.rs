//! Why a client's batch is refused. Every variant stands for one error code of the protocol, which
//! its doc names; the mapping itself is not this crate's.

use crate::batch::{BuildError, DecompressError, RecordError, UnknownCompression};
use crate::ids::ProducerId;
use crate::time::WallMillis;

/// See the variants; the protocol's error name stands in brackets.
#[derive(Debug, thiserror::Error)]
pub enum ValidateError {
    /// Not even one whole batch (`INVALID_RECORD`).
    #[error("{size} bytes of records hold no batch")]
    NoBatch {
        /// How many bytes were sent.
        size: usize,
    },
    /// A message set of before Kafka 0.11 (`INVALID_RECORD`).
    #[error("message format {magic} is not accepted, only record batches")]
    OldMagic {
        /// 0 or 1.
        magic: i8,
    },
    /// No batch at all: its length or magic can't be (`CORRUPT_MESSAGE`).
    #[error("the records are corrupt")]
    Corrupt,
    /// More than one batch for a partition (`INVALID_RECORD`).
    #[error("{trailing} bytes follow the only batch that a partition may be sent")]
    SeveralBatches {
        /// How many bytes follow the first batch.
        trailing: usize,
    },
    /// A base offset other than 0 (`INVALID_RECORD`).
    #[error("the batch's base offset is {offset}, not 0")]
    BaseOffset {
        /// The base offset.
        offset: i64,
    },
    /// Above `max.message.bytes` (`MESSAGE_TOO_LARGE`).
    #[error("a batch of {size} bytes is larger than max.message.bytes {size_max}")]
    TooLarge {
        /// The batch's size.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// Above `segment.bytes` (`RECORD_LIST_TOO_LARGE`).
    #[error("a batch of {size} bytes is larger than segment.bytes {size_max}")]
    LargerThanSegment {
        /// The batch's size.
        size: usize,
        /// The limit.
        size_max: usize,
    },
    /// The bytes are not those that the client hashed (`CORRUPT_MESSAGE`).
    #[error("crc {claimed:08x} claimed, {computed:08x} found")]
    Crc {
        /// What the header says.
        claimed: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// Number of records and offsets differ, or there is none (`INVALID_RECORD`).
    #[error("the batch claims {count} records and a last offset delta of {last_offset_delta}")]
    OffsetRange {
        /// The claimed number of records.
        count: i32,
        /// The claimed last offset delta.
        last_offset_delta: i32,
    },
    /// A control batch (`INVALID_RECORD`).
    #[error("clients may not write control records")]
    ControlBatch,
    /// A transactional batch without a producer id (`INVALID_RECORD`).
    #[error("a transactional batch needs a producer id")]
    TransactionWithoutProducer,
    /// A producer id without a sequence (`INVALID_RECORD`).
    #[error("producer {id} sent no base sequence")]
    MissingSequence {
        /// The producer.
        id: ProducerId,
    },
    /// A producer id without an epoch (`INVALID_RECORD`).
    #[error("producer {id} sent no epoch")]
    MissingEpoch {
        /// The producer.
        id: ProducerId,
    },
    /// The bit that only compaction sets (`INVALID_RECORD`).
    #[error("clients may not set a delete horizon")]
    DeleteHorizon,
    /// The bit that only a leader sets (`INVALID_TIMESTAMP`).
    #[error("clients may not set the timestamp type LogAppendTime")]
    LogAppendTime,
    /// A codec number that does not exist (`UNSUPPORTED_COMPRESSION_TYPE`).
    #[error(transparent)]
    UnknownCompression(#[from] UnknownCompression),
    /// zstd in a request older than it (`UNSUPPORTED_COMPRESSION_TYPE`).
    #[error("zstd needs Produce version 7 or later")]
    ZstdTooEarly,
    /// The records section does not decompress (`INVALID_RECORD`).
    #[error("the records do not decompress")]
    Decompress(#[source] DecompressError),
    /// The records section decompresses to too much (`MESSAGE_TOO_LARGE`).
    #[error("the records decompress to more than {size_max} bytes")]
    DecompressedTooLarge {
        /// The limit.
        size_max: usize,
    },
    /// The records section is not made of records (`INVALID_RECORD`).
    #[error("malformed records")]
    Malformed(#[from] RecordError),
    /// Some records break a rule; none of them is about time (`INVALID_RECORD`).
    #[error("{} records are invalid", records.len())]
    InvalidRecords {
        /// The first of them, lowest index first.
        records: Vec<RejectedRecord>,
    },
    /// Some records break a rule, one of them about time (`INVALID_TIMESTAMP`). Without a list, it
    /// was the header's timestamps.
    #[error("timestamps out of range in {} records", records.len())]
    InvalidTimestamps {
        /// The first of them, lowest index first.
        records: Vec<RejectedRecord>,
    },
    /// The batch could not be written under the topic's codec (`UNKNOWN_SERVER_ERROR`).
    #[error("recompress")]
    Recompress(#[from] BuildError),
}

impl From<DecompressError> for ValidateError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge { size_max } => Self::DecompressedTooLarge { size_max },
            error @ DecompressError::Corrupt { .. } => Self::Decompress(error),
        }
    }
}

/// A record that fails its batch: what the response lists as `recordErrors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// Its index in the batch.
    pub index: u32,
    /// What is wrong with it.
    pub reason: RejectReason,
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// A compacted topic can't keep it.
    #[error("compacted topics take no record without a key")]
    NoKey,
    /// It is not where its index says.
    #[error("offset delta {delta} is not the record's index")]
    OffsetDelta {
        /// The record's delta.
        delta: i32,
    },
    /// Further from the leader's clock than the topic allows.
    #[error("timestamp {timestamp} is out of range, the leader's clock says {now}")]
    Timestamp {
        /// The record's time.
        timestamp: WallMillis,
        /// The leader's.
        now: WallMillis,
    },
}

//! What a leader checks before it takes a client's batch, in Kafka's order.
//!
//! - A batch is taken whole or refused whole; refused, its bytes may already have been patched and
//!   are not to be used.
//! - The usual batch is checked and patched in the buffer that it arrived in. Bytes are copied only
//!   to decompress for a check that needs the records, or to change the codec.
//! - Nothing here depends on the log: offsets, epochs and producer state come at append.
//!
//! The order: framing, one batch, base offset, size, CRC (so that a flipped bit is never reported
//! as a client's lie), the header's claims, the records, the codec, the segment's limit.

mod error;
mod records;
#[cfg(test)]
mod tests;

pub use error::{RejectReason, RejectedRecord, ValidateError};

use crate::batch::{
    Attributes, BatchError, BatchHeader, BatchMut, BatchView, Compression, CompressionLevels,
    RecordSet, RecordsError, TimestampType, assemble,
};
use crate::ids::Offset;
use crate::producer_state::ProducerAppend;
use crate::time::WallMillis;

/// How much of a batch is looked at: `validate.records`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordChecks {
    /// Every record of an uncompressed batch, the header of a compressed one.
    #[default]
    ByCodec,
    /// Every record, decompressed if need be.
    Full,
    /// The header, unless a check asks for the records.
    Header,
}

/// Whose time counts, and how far a client's may be off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampPolicy {
    /// `message.timestamp.type`.
    pub kind: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub before_ms_max: i64,
    /// `message.timestamp.after.max.ms`.
    pub after_ms_max: i64,
}

/// The topic's part of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `max.message.bytes`: the whole batch, as it is stored.
    pub message_size_max: usize,
    /// `segment.bytes`.
    pub segment_size_max: usize,
    /// What a batch may decompress to when its records are needed.
    pub decompressed_size_max: usize,
    /// Whether `cleanup.policy` asks for keys.
    pub is_compacted: bool,
    /// The rules for timestamps.
    pub timestamps: TimestampPolicy,
    /// `compression.type`; `None` is `producer`, which keeps what the client chose.
    pub compression: Option<Compression>,
    /// `compression.*.level`.
    pub levels: CompressionLevels,
    /// `validate.records`.
    pub records: RecordChecks,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            message_size_max: 1_048_588,
            segment_size_max: 1 << 30,
            decompressed_size_max: 256 << 20,
            is_compacted: false,
            timestamps: TimestampPolicy {
                kind: TimestampType::CreateTime,
                before_ms_max: i64::MAX,
                after_ms_max: 3_600_000,
            },
            compression: None,
            levels: CompressionLevels::default(),
            records: RecordChecks::default(),
        }
    }
}

/// The request's part of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The leader's clock, read once for the request.
    pub now: WallMillis,
    /// Whether the request's version knows zstd (Produce 7 and later).
    pub accepts_zstd: bool,
}

/// A batch that may be appended, with what the log needs to know of it.
#[derive(Debug)]
pub struct Validated {
    header: BatchHeader,
    rewritten: Option<Vec<u8>>,
    append_time: Option<WallMillis>,
}

impl Validated {
    /// The header of the batch to append; its base offset is 0.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The bytes to append: those of the client's `original`, or the ones written anew.
    pub fn bytes<'a>(&'a mut self, original: &'a mut [u8]) -> &'a mut [u8] {
        match &mut self.rewritten {
            Some(bytes) => bytes,
            None => original,
        }
    }

    /// The batch written anew, if its codec was changed; `None`: append the client's bytes.
    pub fn into_rewritten(self) -> Option<Vec<u8>> {
        self.rewritten
    }

    /// How many offsets the batch takes: as many as it has records.
    pub const fn offset_count(&self) -> u32 {
        self.header.last_offset_delta().unsigned_abs() + 1
    }

    /// The highest timestamp; the time index notes it with the batch's last offset.
    pub const fn max_timestamp(&self) -> WallMillis {
        self.header.max_timestamp()
    }

    /// What the client is told as `logAppendTimeMs`; `None` (-1) unless the topic says so.
    pub const fn append_time(&self) -> Option<WallMillis> {
        self.append_time
    }

    /// The producer's claim, to be checked against the log; `None` for a plain producer.
    pub const fn producer(&self) -> Option<ProducerAppend> {
        ProducerAppend::of(&self.header)
    }
}

/// Checks the records that a client sent for one partition, and patches their header in place.
///
/// # Errors
/// See [`ValidateError`]; the bytes are then not to be used. Only [`ValidateError::Crc`] and
/// [`ValidateError::Corrupt`] may go away when the client sends the batch again.
pub fn validate(
    records: &mut [u8],
    policy: &Policy,
    arrival: Arrival,
) -> Result<Validated, ValidateError> {
    let batch = only_batch(records)?;
    check_frame(&batch, policy)?;
    let source = check_header(batch.header(), arrival)?;
    let target = policy.compression.unwrap_or(source);
    let is_walked = needs_records(batch.header(), policy, source, target);
    let set = if is_walked {
        Some(open(&batch, policy)?)
    } else {
        None
    };
    let client_max = match &set {
        Some(set) => records::check(set, policy, arrival.now)?,
        None => check_claimed_times(batch.header(), policy, arrival.now)?,
    };
    let kind = policy.timestamps.kind;
    let (max, append_time) = match kind {
        TimestampType::CreateTime => (client_max, None),
        TimestampType::LogAppendTime => (arrival.now, Some(arrival.now)),
    };
    let (header, rewritten) = match set {
        Some(set) if source != target => {
            let bytes = recompress(&batch, &set, target, policy, (kind, max))?;
            let header = BatchHeader::decode(&bytes).map_err(|_| ValidateError::Corrupt)?;
            (header, Some(bytes))
        }
        _ => {
            let mut batch = BatchMut::parse(records).map_err(|_| ValidateError::Corrupt)?;
            batch.set_timestamps(kind, max);
            (*batch.header(), None)
        }
    };
    let (size, size_max) = (header.size(), policy.segment_size_max);
    if size > size_max {
        return Err(ValidateError::LargerThanSegment { size, size_max });
    }
    Ok(Validated {
        header,
        rewritten,
        append_time,
    })
}

fn only_batch(records: &[u8]) -> Result<BatchView<'_>, ValidateError> {
    let batch = BatchView::parse(records).map_err(|error| match error {
        BatchError::Truncated { .. } => ValidateError::NoBatch {
            size: records.len(),
        },
        BatchError::OldMagic { magic } => ValidateError::OldMagic { magic },
        BatchError::NegativeBaseOffset { offset } => ValidateError::BaseOffset { offset },
        BatchError::UnknownMagic { .. } | BatchError::Length { .. } => ValidateError::Corrupt,
    })?;
    match records.len() - batch.bytes().len() {
        0 => Ok(batch),
        trailing => Err(ValidateError::SeveralBatches { trailing }),
    }
}

fn check_frame(batch: &BatchView<'_>, policy: &Policy) -> Result<(), ValidateError> {
    let header = batch.header();
    if header.base_offset() != Offset::ZERO {
        return Err(ValidateError::BaseOffset {
            offset: header.base_offset().get(),
        });
    }
    check_size(header.size(), policy)?;
    let (claimed, computed) = (header.crc(), batch.computed_crc());
    if claimed == computed {
        Ok(())
    } else {
        Err(ValidateError::Crc { claimed, computed })
    }
}

const fn check_size(size: usize, policy: &Policy) -> Result<(), ValidateError> {
    let size_max = policy.message_size_max;
    if size > size_max {
        Err(ValidateError::TooLarge { size, size_max })
    } else {
        Ok(())
    }
}

/// What a client may claim in a header, and its codec.
fn check_header(header: &BatchHeader, arrival: Arrival) -> Result<Compression, ValidateError> {
    let (count, last_offset_delta) = (header.record_count(), header.last_offset_delta());
    if last_offset_delta < 0 || i64::from(count) != i64::from(last_offset_delta) + 1 {
        return Err(ValidateError::OffsetRange {
            count,
            last_offset_delta,
        });
    }
    let attributes = header.attributes();
    if attributes.is_control() {
        return Err(ValidateError::ControlBatch);
    }
    check_producer(header, attributes)?;
    if attributes.has_delete_horizon() {
        return Err(ValidateError::DeleteHorizon);
    }
    if attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(ValidateError::LogAppendTime);
    }
    match attributes.compression()? {
        Compression::Zstd if !arrival.accepts_zstd => Err(ValidateError::ZstdTooEarly),
        codec => Ok(codec),
    }
}

fn check_producer(header: &BatchHeader, attributes: Attributes) -> Result<(), ValidateError> {
    match header.producer_id() {
        None if attributes.is_transactional() => Err(ValidateError::TransactionWithoutProducer),
        Some(id) if header.base_sequence().is_none() => Err(ValidateError::MissingSequence { id }),
        Some(id) if header.producer_epoch().is_none() => Err(ValidateError::MissingEpoch { id }),
        _ => Ok(()),
    }
}

/// Some checks can't be answered from the header, whatever `validate.records` says. Some clients
/// leave the maximum timestamp out: a maximum below the first record's time is found out here.
fn needs_records(
    header: &BatchHeader,
    policy: &Policy,
    source: Compression,
    target: Compression,
) -> bool {
    let is_asked = match policy.records {
        RecordChecks::ByCodec => source == Compression::None,
        RecordChecks::Full => true,
        RecordChecks::Header => false,
    };
    let has_false_max = policy.timestamps.kind == TimestampType::CreateTime
        && header.max_timestamp() < header.base_timestamp();
    is_asked || policy.is_compacted || source != target || has_false_max
}

fn open<'a>(batch: &'a BatchView<'_>, policy: &Policy) -> Result<RecordSet<'a>, ValidateError> {
    batch
        .records(policy.decompressed_size_max)
        .map_err(|error| match error {
            RecordsError::Codec(codec) => codec.into(),
            RecordsError::Decompress(source) => source.into(),
        })
}

/// The header's word on timestamps, where nobody looks at the records.
fn check_claimed_times(
    header: &BatchHeader,
    policy: &Policy,
    now: WallMillis,
) -> Result<WallMillis, ValidateError> {
    let (base, max) = (header.base_timestamp(), header.max_timestamp());
    let is_refused = |time| !records::is_time_in_range(time, policy, now);
    if is_refused(base) || is_refused(max) {
        return Err(ValidateError::InvalidTimestamps {
            records: Vec::new(),
        });
    }
    Ok(max)
}

/// The same records under another codec: their bytes do not change, so only the header does.
fn recompress(
    batch: &BatchView<'_>,
    set: &RecordSet<'_>,
    target: Compression,
    policy: &Policy,
    timestamps: (TimestampType, WallMillis),
) -> Result<Vec<u8>, ValidateError> {
    let mut bytes = assemble(*batch.header(), set.body(), target, &policy.levels)?;
    check_size(bytes.len(), policy)?;
    let mut batch = BatchMut::parse(&mut bytes).map_err(|_| ValidateError::Corrupt)?;
    batch.set_timestamps(timestamps.0, timestamps.1);
    Ok(bytes)
}

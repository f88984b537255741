//! Makes a batch out of records: for the CLI's producer, for markers, and for tests.
//!
//! What is built is what the Java client builds: the first record's timestamp is the base, the
//! maximum is that of the records, offsets count up from the base.

use super::compression::{CompressError, Compression, CompressionLevels};
use super::header::{Attributes, BatchHeader, HEADER_SIZE, TimestampType};
use super::patch::BatchMut;
use super::varint::{size_i64, write_i32, write_i64};
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::WallMillis;

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is nothing to build.
    #[error("a batch needs a record")]
    Empty,
    /// A record or the batch is beyond what the length fields hold.
    #[error("a batch or a record is larger than 2 GiB")]
    TooLarge,
    /// An offset delta that is not above the one before it.
    #[error("offset delta {delta} does not follow {last}")]
    OffsetDelta {
        /// The last delta in the batch.
        last: i32,
        /// The one refused.
        delta: i32,
    },
    /// The codec failed.
    #[error(transparent)]
    Compress(#[from] CompressError),
}

/// A record to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Its create time.
    pub timestamp: WallMillis,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order; keys may repeat, values may be null.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// The identity under which an idempotent producer sends a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// The producer.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record; `None` for control batches.
    pub base_sequence: Option<Sequence>,
}

/// The end of a transaction in one partition: the only record of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Committed, or aborted.
    pub is_commit: bool,
    /// The epoch of the transaction coordinator that wrote it.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    const VERSION: i16 = 0;
    const ABORT: i16 = 0;
    const COMMIT: i16 = 1;

    /// The marker's record key: version and type.
    fn key(self) -> [u8; 4] {
        let kind = if self.is_commit {
            Self::COMMIT
        } else {
            Self::ABORT
        };
        let ([v0, v1], [k0, k1]) = (Self::VERSION.to_be_bytes(), kind.to_be_bytes());
        [v0, v1, k0, k1]
    }

    /// The marker's record value: version and coordinator epoch.
    fn value(self) -> [u8; 6] {
        let [v0, v1] = Self::VERSION.to_be_bytes();
        let [e0, e1, e2, e3] = self.coordinator_epoch.to_be_bytes();
        [v0, v1, e0, e1, e2, e3]
    }

    /// Reads a control record; `None` if it is another kind of control record, or none at all.
    /// Later versions may only append fields.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Self> {
        let mut key = crate::cursor::Cursor::new(key?);
        let (version, kind) = (key.i16()?, key.i16()?);
        if version < 0 || !matches!(kind, Self::ABORT | Self::COMMIT) {
            return None;
        }
        let mut value = crate::cursor::Cursor::new(value?);
        let version = value.i16()?;
        let coordinator_epoch = value.i32()?;
        (version >= 0).then_some(Self {
            is_commit: kind == Self::COMMIT,
            coordinator_epoch,
        })
    }
}

/// Collects records and turns them into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Compression,
    levels: CompressionLevels,
    body: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty, uncompressed batch at offset 0, without an epoch or a producer.
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: Offset::ZERO,
            size: HEADER_SIZE,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        let (codec, levels) = (Compression::None, CompressionLevels::default());
        Self {
            header,
            codec,
            levels,
            body: Vec::new(),
        }
    }

    /// The control batch that ends a transaction of `producer`.
    ///
    /// # Errors
    /// None that its fixed size could cause.
    pub fn end_txn(
        producer: ProducerStamp,
        marker: EndTxnMarker,
        timestamp: WallMillis,
    ) -> Result<Self, BuildError> {
        let producer = ProducerStamp {
            base_sequence: None,
            ..producer
        };
        let mut batch = Self::new().producer(producer).transactional(true);
        batch.header.attributes = batch.header.attributes.with_control(true);
        let (key, value) = (marker.key(), marker.value());
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        batch.append(&NewRecord {
            timestamp,
            key,
            value,
            headers: &[],
        })?;
        Ok(batch)
    }

    /// Compresses the records.
    #[must_use]
    pub const fn compression(mut self, codec: Compression, levels: CompressionLevels) -> Self {
        self.codec = codec;
        self.levels = levels;
        self
    }

    /// Places the batch in a log; a producer leaves it at 0.
    #[must_use]
    pub const fn base_offset(mut self, offset: Offset) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Sets the epoch of the leader that appends it; a producer leaves it out.
    #[must_use]
    pub const fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.header.partition_leader_epoch = epoch.get();
        self
    }

    /// Makes the batch idempotent.
    #[must_use]
    pub const fn producer(mut self, producer: ProducerStamp) -> Self {
        self.header.producer_id = producer.id.get();
        self.header.producer_epoch = producer.epoch.get();
        self.header.base_sequence = Sequence::to_wire(producer.base_sequence);
        self
    }

    /// Makes the batch part of its producer's transaction.
    #[must_use]
    pub const fn transactional(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(on);
        self
    }

    /// Adds a record at the next offset.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`]; the record is then not in the batch.
    pub fn append(&mut self, record: &NewRecord<'_>) -> Result<(), BuildError> {
        let delta = self
            .header
            .last_offset_delta
            .checked_add(1)
            .ok_or(BuildError::TooLarge)?;
        self.append_at(delta, record)
    }

    /// Adds a record at `delta` offsets behind the base: with gaps, as compaction leaves them.
    ///
    /// # Errors
    /// [`BuildError::OffsetDelta`] unless `delta` rises, and [`BuildError::TooLarge`].
    pub fn append_at(&mut self, delta: i32, record: &NewRecord<'_>) -> Result<(), BuildError> {
        let last = self.header.last_offset_delta;
        if delta <= last {
            return Err(BuildError::OffsetDelta { last, delta });
        }
        let at = record.timestamp.as_millis();
        let is_first = self.header.record_count == 0;
        let base_timestamp = if is_first {
            at
        } else {
            self.header.base_timestamp
        };
        let start = self.body.len();
        let written = write_record(
            &mut self.body,
            record,
            at.wrapping_sub(base_timestamp),
            delta,
        );
        if written.is_none() || i32::try_from(self.size_uncompressed()).is_err() {
            self.body.truncate(start);
            return Err(BuildError::TooLarge);
        }
        self.header.base_timestamp = base_timestamp;
        self.header.max_timestamp = self.header.max_timestamp.max(at);
        self.header.last_offset_delta = delta;
        self.header.record_count += 1;
        Ok(())
    }

    /// How many records it holds.
    pub fn record_count(&self) -> usize {
        usize::try_from(self.header.record_count).unwrap_or_default()
    }

    /// What the batch would take without compression.
    pub const fn size_uncompressed(&self) -> usize {
        HEADER_SIZE + self.body.len()
    }

    /// The batch's bytes.
    ///
    /// # Errors
    /// [`BuildError::Empty`], [`BuildError::Compress`], and [`BuildError::TooLarge`].
    pub fn build(mut self) -> Result<Vec<u8>, BuildError> {
        if self.header.record_count == 0 {
            return Err(BuildError::Empty);
        }
        // Control batches are never compressed, as in Kafka.
        let codec = if self.header.attributes.is_control() {
            Compression::None
        } else {
            self.codec
        };
        self.header.attributes = self.header.attributes.with_compression(codec);
        assemble(self.header, &self.body, codec, &self.levels)
    }

    /// The batch's bytes as a leader writes them under `LogAppendTime`.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_at(self, append_time: WallMillis) -> Result<Vec<u8>, BuildError> {
        let mut bytes = self.build()?;
        if let Ok(mut batch) = BatchMut::parse(&mut bytes) {
            batch.set_timestamps(TimestampType::LogAppendTime, append_time);
        }
        Ok(bytes)
    }
}

/// A batch of `header` with `body` under `codec`: size, codec and CRC are set here.
pub(crate) fn assemble(
    mut header: BatchHeader,
    body: &[u8],
    codec: Compression,
    levels: &CompressionLevels,
) -> Result<Vec<u8>, BuildError> {
    let mut out = vec![0; HEADER_SIZE];
    codec.compress(body, levels, &mut out)?;
    header.size = out.len();
    header.attributes = header.attributes.with_compression(codec);
    let front = header.encode().ok_or(BuildError::TooLarge)?;
    if let Some(place) = out.first_chunk_mut() {
        *place = front;
    }
    if let Ok(mut batch) = BatchMut::parse(&mut out) {
        batch.set_attributes(header.attributes);
    }
    Ok(out)
}

/// `None` if a length is beyond an `i32`; `out` may then hold a part of the record.
fn write_record(
    out: &mut Vec<u8>,
    record: &NewRecord<'_>,
    timestamp_delta: i64,
    offset_delta: i32,
) -> Option<()> {
    let nullable_size = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => Some(size_i64(i64::try_from(bytes.len()).ok()?) + bytes.len()),
        None => Some(size_i64(-1)),
    };
    let header_count = i32::try_from(record.headers.len()).ok()?;
    let mut size = 1 + size_i64(timestamp_delta) + size_i64(i64::from(offset_delta));
    size += nullable_size(record.key)? + nullable_size(record.value)?;
    size += size_i64(i64::from(header_count));
    for (key, value) in record.headers {
        size += nullable_size(Some(key))? + nullable_size(*value)?;
    }
    write_i32(out, i32::try_from(size).ok()?);
    out.push(0);
    write_i64(out, timestamp_delta);
    write_i32(out, offset_delta);
    write_nullable(out, record.key)?;
    write_nullable(out, record.value)?;
    write_i32(out, header_count);
    for (key, value) in record.headers {
        write_nullable(out, Some(key))?;
        write_nullable(out, *value)?;
    }
    Some(())
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Option<()> {
    match bytes {
        None => write_i32(out, -1),
        Some(bytes) => {
            write_i32(out, i32::try_from(bytes.len()).ok()?);
            out.extend_from_slice(bytes);
        }
    }
    Some(())
}

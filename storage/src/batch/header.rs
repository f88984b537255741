//! The 61 bytes in front of a batch's records.
//!
//! A [`BatchHeader`] is a decoded copy: reading it costs a few loads, and it outlives its buffer.
//! Accessors that return plain integers are the sender's claims; the typed ones are total.

use super::compression::{Compression, UnknownCompression};
use super::view::BatchError;
use crate::cursor::Cursor;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::WallMillis;

/// Base offset and length: the length counts the bytes after these.
pub const LENGTH_PREFIX_SIZE: usize = 12;
/// Everything in front of the records.
pub const HEADER_SIZE: usize = 61;

pub(super) const MAGIC: i8 = 2;
/// The CRC covers the batch from here to its end.
pub(super) const CRC_START: usize = 21;
/// Magic 0 and 1 have their magic at the same place, so 17 bytes tell every version apart.
const MAGIC_END: usize = 17;

/// Who set a batch's timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer; each record has its own.
    CreateTime,
    /// The leader, at append: all records have the batch's maximum.
    LogAppendTime,
}

/// The 16 attribute bits of a batch. Bits without a meaning are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes(i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The bits as they stand in the header.
    pub const fn from_bits(bits: i16) -> Self {
        Self(bits)
    }

    /// The bits as they stand in the header.
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// The codec of the records section.
    ///
    /// # Errors
    /// [`UnknownCompression`] for the ids 5 to 7.
    pub const fn compression(self) -> Result<Compression, UnknownCompression> {
        Compression::from_id(self.0 & Self::CODEC)
    }

    /// Who set the timestamps.
    pub const fn timestamp_type(self) -> TimestampType {
        if self.has(Self::LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(self) -> bool {
        self.has(Self::TRANSACTIONAL)
    }

    /// Whether the records are markers of the broker and not data.
    pub const fn is_control(self) -> bool {
        self.has(Self::CONTROL)
    }

    /// Whether the base timestamp holds the time at which tombstones may go.
    pub const fn has_delete_horizon(self) -> bool {
        self.has(Self::DELETE_HORIZON)
    }

    /// The same bits with another codec.
    #[must_use]
    pub const fn with_compression(self, codec: Compression) -> Self {
        Self((self.0 & !Self::CODEC) | codec.id())
    }

    /// The same bits with another timestamp type.
    #[must_use]
    pub const fn with_timestamp_type(self, kind: TimestampType) -> Self {
        self.set(
            Self::LOG_APPEND_TIME,
            matches!(kind, TimestampType::LogAppendTime),
        )
    }

    /// The same bits, transactional or not.
    #[must_use]
    pub const fn with_transactional(self, on: bool) -> Self {
        self.set(Self::TRANSACTIONAL, on)
    }

    /// The same bits, with or without a delete horizon.
    #[must_use]
    pub(super) const fn with_delete_horizon(self, on: bool) -> Self {
        self.set(Self::DELETE_HORIZON, on)
    }

    /// The same bits, control or not.
    #[must_use]
    pub const fn with_control(self, on: bool) -> Self {
        self.set(Self::CONTROL, on)
    }

    const fn has(self, bit: i16) -> bool {
        self.0 & bit != 0
    }

    const fn set(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// The header of one batch, decoded. The field names are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub(super) base_offset: Offset,
    pub(super) size: usize,
    pub(super) partition_leader_epoch: i32,
    pub(super) crc: u32,
    pub(super) attributes: Attributes,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    pub(super) record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; the records need not be there yet.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] if even the header is incomplete; every other error means that no
    /// further byte would make this a batch.
    pub fn decode(bytes: &[u8]) -> Result<Self, BatchError> {
        let size = Self::check_frame(bytes)?;
        let truncated = BatchError::Truncated {
            have: bytes.len(),
            need: HEADER_SIZE,
        };
        let header = Self::read(Cursor::new(bytes), size).ok_or(truncated)?;
        header.map_err(|offset| BatchError::NegativeBaseOffset { offset })
    }

    /// Checks length and magic as soon as they are there, and returns the batch's whole size.
    fn check_frame(bytes: &[u8]) -> Result<usize, BatchError> {
        let truncated = BatchError::Truncated {
            have: bytes.len(),
            need: MAGIC_END,
        };
        let mut prefix = Cursor::new(bytes);
        let frame = |c: &mut Cursor<'_>| {
            let _base_offset = c.i64()?;
            let length = c.i32()?;
            let _epoch_or_crc = c.i32()?;
            Some((length, c.i8()?))
        };
        let (length, magic) = frame(&mut prefix).ok_or(truncated)?;
        match magic {
            MAGIC => {}
            0 | 1 => return Err(BatchError::OldMagic { magic }),
            _ => return Err(BatchError::UnknownMagic { magic }),
        }
        let size = usize::try_from(length)
            .ok()
            .map(|length| length + LENGTH_PREFIX_SIZE);
        size.filter(|size| *size >= HEADER_SIZE)
            .ok_or(BatchError::Length { length })
    }

    /// `None` if the bytes end early; the negative base offset if there is one.
    fn read(mut c: Cursor<'_>, size: usize) -> Option<Result<Self, i64>> {
        let base_offset = c.i64()?;
        let _length = c.i32()?;
        let partition_leader_epoch = c.i32()?;
        let _magic = c.i8()?;
        let crc = c.u32()?;
        let attributes = Attributes(c.i16()?);
        let last_offset_delta = c.i32()?;
        let base_timestamp = c.i64()?;
        let max_timestamp = c.i64()?;
        let producer_id = c.i64()?;
        let producer_epoch = c.i16()?;
        let base_sequence = c.i32()?;
        let record_count = c.i32()?;
        let Some(base_offset) = Offset::from_wire(base_offset) else {
            return Some(Err(base_offset));
        };
        Some(Ok(Self {
            base_offset,
            size,
            partition_leader_epoch,
            crc,
            attributes,
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            record_count,
        }))
    }

    /// The header's bytes. `None` if the size does not fit the length field.
    pub(super) fn encode(&self) -> Option<[u8; HEADER_SIZE]> {
        let length = i32::try_from(self.size.checked_sub(LENGTH_PREFIX_SIZE)?).ok()?;
        let mut out = [0; HEADER_SIZE];
        let mut rest = out.as_mut_slice();
        let fields: [&[u8]; 13] = [
            &self.base_offset.get().to_be_bytes(),
            &length.to_be_bytes(),
            &self.partition_leader_epoch.to_be_bytes(),
            &MAGIC.to_be_bytes(),
            &self.crc.to_be_bytes(),
            &self.attributes.bits().to_be_bytes(),
            &self.last_offset_delta.to_be_bytes(),
            &self.base_timestamp.to_be_bytes(),
            &self.max_timestamp.to_be_bytes(),
            &self.producer_id.to_be_bytes(),
            &self.producer_epoch.to_be_bytes(),
            &self.base_sequence.to_be_bytes(),
            &self.record_count.to_be_bytes(),
        ];
        for field in fields {
            let (head, tail) = rest.split_at_mut_checked(field.len())?;
            head.copy_from_slice(field);
            rest = tail;
        }
        rest.is_empty().then_some(out)
    }

    /// The offset of the batch's first slot; a producer sends 0.
    pub const fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// The offset of the batch's last slot. Compaction may have removed its record. A negative
    /// delta, which [`LogOrder`](super::LogOrder) and validation refuse, counts as 0.
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.saturating_add(self.offset_span())
    }

    /// The offset after the batch.
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// `last_offset - base_offset`.
    const fn offset_span(&self) -> u64 {
        if self.last_offset_delta < 0 {
            0
        } else {
            self.last_offset_delta.unsigned_abs() as u64
        }
    }

    /// The size of the whole batch in bytes, its header included.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// The epoch of the leader that appended it; `None` as a producer sends it.
    pub const fn leader_epoch(&self) -> Option<LeaderEpoch> {
        LeaderEpoch::from_wire(self.partition_leader_epoch)
    }

    /// The CRC-32C that the header claims.
    pub const fn crc(&self) -> u32 {
        self.crc
    }

    /// The attribute bits.
    pub const fn attributes(&self) -> Attributes {
        self.attributes
    }

    /// The claimed distance from the first to the last offset slot.
    pub const fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta
    }

    /// When the batch's tombstones and markers may go, if a cleaner has met them.
    pub fn delete_horizon(&self) -> Option<WallMillis> {
        let is_horizon = self.attributes.has_delete_horizon();
        is_horizon.then_some(self.base_timestamp())
    }

    /// The timestamp that the records' deltas count from, or the delete horizon's stand-in.
    pub const fn base_timestamp(&self) -> WallMillis {
        WallMillis::from_millis(self.base_timestamp)
    }

    /// The highest timestamp of the records, or the append time.
    pub const fn max_timestamp(&self) -> WallMillis {
        WallMillis::from_millis(self.max_timestamp)
    }

    /// The producer; `None` if it is not idempotent.
    pub const fn producer_id(&self) -> Option<ProducerId> {
        ProducerId::from_wire(self.producer_id)
    }

    /// The producer's epoch.
    pub const fn producer_epoch(&self) -> Option<ProducerEpoch> {
        ProducerEpoch::from_wire(self.producer_epoch)
    }

    /// The sequence of the first offset slot; `None` for control batches and plain producers.
    pub const fn base_sequence(&self) -> Option<Sequence> {
        Sequence::from_wire(self.base_sequence)
    }

    /// The sequence of the last offset slot.
    pub const fn last_sequence(&self) -> Option<Sequence> {
        match self.base_sequence() {
            Some(base) if self.last_offset_delta >= 0 => {
                Some(base.wrapping_add(self.last_offset_delta.unsigned_abs()))
            }
            other => other,
        }
    }

    /// How many records the header claims.
    pub const fn record_count(&self) -> i32 {
        self.record_count
    }
}

//! The walk over a batch's records: keys, values and headers borrowed, duplicates kept.
//!
//! The walk holds the batch to its word: every length is checked against the bytes that remain,
//! each record must fill exactly the length it states, and the last record must end the section.

use std::borrow::Cow;

use super::compression::{DecompressError, UnknownCompression};
use super::header::{BatchHeader, TimestampType};
use super::varint::{read_i32, read_i64};
use super::view::BatchView;
use crate::cursor::Cursor;
use crate::ids::Offset;
use crate::time::WallMillis;

/// Why a records section could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The attributes name a codec that does not exist.
    #[error(transparent)]
    Codec(#[from] UnknownCompression),
    /// The section does not decompress, or to too much.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// Why a record is not one, with its index in the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A number or a length runs over the end, or over what it may hold.
    #[error("record {index} is malformed")]
    Malformed {
        /// Its index in the batch.
        index: u32,
    },
    /// The record's fields end before or after the length that it states.
    #[error("record {index} does not fill the length that it states")]
    Length {
        /// Its index in the batch.
        index: u32,
    },
    /// The offset delta is negative or leads beyond the last offset.
    #[error("record {index} has the offset delta {delta}")]
    OffsetDelta {
        /// Its index in the batch.
        index: u32,
        /// The delta.
        delta: i32,
    },
    /// The batch goes on after the number of records that it states.
    #[error("{bytes} bytes follow the last of {count} records")]
    Trailing {
        /// The number of records stated.
        count: u32,
        /// How many bytes are left.
        bytes: usize,
    },
    /// The batch states a negative number of records.
    #[error("the batch states {count} records")]
    Count {
        /// The number stated.
        count: i32,
    },
}

impl BatchView<'_> {
    /// Opens the records section: borrowed if it is not compressed, else decompressed into at most
    /// `size_max` bytes.
    ///
    /// # Errors
    /// See [`RecordsError`]; none of them goes away on a retry.
    pub fn records(&self, size_max: usize) -> Result<RecordSet<'_>, RecordsError> {
        let codec = self.header().attributes().compression()?;
        let body = codec.decompress(self.body(), size_max)?;
        Ok(RecordSet {
            header: *self.header(),
            body,
        })
    }
}

/// The uncompressed records section of one batch.
#[derive(Clone, Debug)]
pub struct RecordSet<'a> {
    header: BatchHeader,
    body: Cow<'a, [u8]>,
}

impl RecordSet<'_> {
    /// The section's bytes.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Walks the records as they are stored.
    pub(crate) fn iter_raw(&self) -> RawRecords<'_> {
        RawRecords(self.iter())
    }

    /// Walks the records. The first error ends the walk.
    pub fn iter(&self) -> Records<'_> {
        Records {
            header: self.header,
            cursor: Cursor::new(&self.body),
            count: u32::try_from(self.header.record_count()).ok(),
            index: 0,
            is_done: false,
        }
    }
}

impl<'a> IntoIterator for &'a RecordSet<'_> {
    type Item = Result<Record<'a>, RecordError>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// One record, borrowed from its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its offset in the partition: the batch's base offset plus its delta.
    pub offset: Offset,
    /// The distance from the batch's base offset.
    pub offset_delta: i32,
    /// The record's time: the batch's maximum under `LogAppendTime`.
    pub timestamp: WallMillis,
    /// No bit has a meaning yet.
    pub attributes: i8,
    /// The key; `None` is null, which is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers in the order sent, duplicates included.
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention; not checked.
    pub key: &'a [u8],
    /// `None` is null.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record. They have been checked: the iterator yields every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    count: u32,
}

impl Headers<'_> {
    /// How many headers there are.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        HeaderIter {
            cursor: Cursor::new(self.bytes),
            left: self.count,
        }
    }
}

/// The headers of one record, in the order sent.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        read_header(&mut self.cursor)
    }
}

/// The records of a [`RecordSet`], in order.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    header: BatchHeader,
    cursor: Cursor<'a>,
    count: Option<u32>,
    index: u32,
    is_done: bool,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let raw = self.next_raw()?;
        Some(raw.map(|raw| raw.record))
    }
}

/// A record, and the bytes after its length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) record: Record<'a>,
    pub(crate) bytes: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// The attributes, and the bytes behind the timestamp.
    pub(super) fn around_timestamp(&self) -> Option<(i8, &'a [u8])> {
        let mut c = Cursor::new(self.bytes);
        let attributes = c.i8()?;
        read_i64(&mut c)?;
        Some((attributes, c.rest()))
    }
}

/// The records of a [`RecordSet`], in order, as they are stored.
#[derive(Clone, Debug)]
pub(crate) struct RawRecords<'a>(Records<'a>);

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_raw()
    }
}

impl<'a> Records<'a> {
    fn next_raw(&mut self) -> Option<Result<RawRecord<'a>, RecordError>> {
        if self.is_done {
            return None;
        }
        let item = self.step().transpose();
        self.is_done = !matches!(item, Some(Ok(_)));
        item
    }

    fn step(&mut self) -> Result<Option<RawRecord<'a>>, RecordError> {
        let count = self.header.record_count();
        let count = self.count.ok_or(RecordError::Count { count })?;
        if self.index == count {
            let bytes = self.cursor.remaining();
            return if bytes == 0 {
                Ok(None)
            } else {
                Err(RecordError::Trailing { count, bytes })
            };
        }
        let index = self.index;
        let raw = self.frame().ok_or(RecordError::Malformed { index })?;
        let mut c = Cursor::new(raw);
        let fields = Fields::read(&mut c).ok_or(RecordError::Malformed { index })?;
        if c.remaining() != 0 {
            return Err(RecordError::Length { index });
        }
        self.index += 1;
        let record = self.resolve(&fields, index)?;
        Ok(Some(RawRecord { record, bytes: raw }))
    }

    fn frame(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(read_i32(&mut self.cursor)?).ok()?;
        self.cursor.bytes(length)
    }

    fn resolve(&self, fields: &Fields<'a>, index: u32) -> Result<Record<'a>, RecordError> {
        let delta = fields.offset_delta;
        let offset = u64::try_from(delta)
            .ok()
            .and_then(|delta| self.header.base_offset().checked_add(delta))
            .ok_or(RecordError::OffsetDelta { index, delta })?;
        let timestamp = match self.header.attributes().timestamp_type() {
            TimestampType::LogAppendTime => self.header.max_timestamp(),
            // Java adds without a check: both ends must see the same record.
            TimestampType::CreateTime => WallMillis::from_millis(
                self.header
                    .base_timestamp()
                    .as_millis()
                    .wrapping_add(fields.timestamp_delta),
            ),
        };
        Ok(Record {
            offset,
            offset_delta: delta,
            timestamp,
            attributes: fields.attributes,
            key: fields.key,
            value: fields.value,
            headers: fields.headers,
        })
    }
}

/// A record as it is written, before its batch's header gives the deltas a meaning.
struct Fields<'a> {
    attributes: i8,
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Fields<'a> {
    fn read(c: &mut Cursor<'a>) -> Option<Self> {
        Some(Self {
            attributes: c.i8()?,
            timestamp_delta: read_i64(c)?,
            offset_delta: read_i32(c)?,
            key: read_nullable(c)?,
            value: read_nullable(c)?,
            headers: read_headers(c)?,
        })
    }
}

/// The outer `None` is an error, the inner one is null (length -1).
#[expect(
    clippy::option_option,
    reason = "null is a value of the format, the end is not"
)]
fn read_nullable<'a>(c: &mut Cursor<'a>) -> Option<Option<&'a [u8]>> {
    match read_i32(c)? {
        -1 => Some(None),
        length => Some(Some(c.bytes(usize::try_from(length).ok()?)?)),
    }
}

/// Steps over all headers, so that a lying count or length is found here and not by a reader.
fn read_headers<'a>(c: &mut Cursor<'a>) -> Option<Headers<'a>> {
    let count = u32::try_from(read_i32(c)?).ok()?;
    let start = c.rest();
    for _ in 0..count {
        read_header(c)?;
    }
    let bytes = start.get(..start.len() - c.remaining())?;
    Some(Headers { bytes, count })
}

fn read_header<'a>(c: &mut Cursor<'a>) -> Option<Header<'a>> {
    let key = read_nullable(c)??;
    let value = read_nullable(c)?;
    Some(Header { key, value })
}

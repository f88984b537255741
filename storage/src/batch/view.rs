//! One batch in a buffer, and the batches of a buffer in turn.

use super::header::{BatchHeader, CRC_START, HEADER_SIZE};

/// Why bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes are the beginning of what may be a batch.
    #[error("a batch of at least {need} bytes is cut after {have}")]
    Truncated {
        /// How many bytes there are.
        have: usize,
        /// How many there would have to be, as far as is known.
        need: usize,
    },
    /// A message of the formats before record batches.
    #[error("message format {magic} is no longer supported")]
    OldMagic {
        /// 0 or 1.
        magic: i8,
    },
    /// No format that exists.
    #[error("unknown magic {magic}")]
    UnknownMagic {
        /// The byte found.
        magic: i8,
    },
    /// The length field is negative or does not even hold the header.
    #[error("batch length {length} is below the header's")]
    Length {
        /// The length field.
        length: i32,
    },
    /// The base offset is negative.
    #[error("negative base offset {offset}")]
    NegativeBaseOffset {
        /// The base offset.
        offset: i64,
    },
}

impl BatchError {
    /// Whether more bytes could make it a batch: a torn tail, not a corrupt one.
    pub const fn is_truncation(&self) -> bool {
        matches!(self, Self::Truncated { .. })
    }
}

/// A whole batch in somebody's buffer. Nothing but framing has been checked.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Views the batch at the start of `buffer`, which may go on after it.
    ///
    /// # Errors
    /// [`BatchError::Truncated`] if the buffer ends before the batch does.
    pub fn parse(buffer: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::decode(buffer)?;
        let truncated = BatchError::Truncated {
            have: buffer.len(),
            need: header.size(),
        };
        let bytes = buffer.get(..header.size()).ok_or(truncated)?;
        Ok(Self { header, bytes })
    }

    /// The decoded header.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, header included.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records section as it is stored, compressed or not.
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(HEADER_SIZE..).unwrap_or_default()
    }

    /// The CRC-32C of what the batch's CRC covers.
    pub fn computed_crc(&self) -> u32 {
        crc_of(self.bytes)
    }

    /// Whether the batch is what its sender hashed.
    pub fn is_crc_valid(&self) -> bool {
        self.header.crc == self.computed_crc()
    }
}

/// The CRC of a whole batch's bytes, from the attributes on.
pub(super) fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(batch.get(CRC_START..).unwrap_or_default())
}

/// The batches that lie one after another in a buffer. The first error ends the walk.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    buffer: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Walks `buffer` from its start.
    pub const fn new(buffer: &'a [u8]) -> Self {
        Self {
            buffer,
            position: 0,
            failed: false,
        }
    }

    /// Where the next batch begins: after an error, where the valid bytes end.
    pub const fn position(&self) -> usize {
        self.position
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self
            .buffer
            .get(self.position..)
            .filter(|rest| !rest.is_empty())?;
        if self.failed {
            return None;
        }
        let batch = BatchView::parse(rest);
        match &batch {
            Ok(batch) => self.position += batch.header.size(),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}

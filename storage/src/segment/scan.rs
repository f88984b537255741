//! Walking the batch headers of a log file without reading the records.
//!
//! A walk is bounded by the size it is given, never by the file's length: bytes beyond belong to a write under way.

use std::io;

use crate::batch::{BatchHeader, HEADER_SIZE};
use crate::fs::File;
use crate::time::WallMillis;

/// Read at once: a page, which is also the usual distance of two index entries.
const CHUNK_BYTES: usize = 4096;

/// Why a walk ended early.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is no batch at a position where the log says one is.
    #[error("no batch at position {position}")]
    Corrupt {
        /// Byte position in the segment.
        position: u64,
    },
    /// The file could not be read.
    #[error("read at position {position}")]
    Io {
        /// Byte position in the segment.
        position: u64,
        /// What the file said.
        source: io::Error,
    },
}

/// The headers of the batches in `position..end` of a file.
#[derive(Debug)]
pub(crate) struct HeaderScan<'a> {
    file: &'a dyn File,
    position: u64,
    end: u64,
    chunk: [u8; CHUNK_BYTES],
    chunk_at: u64,
    chunk_len: usize,
    bytes_read: u64,
}

impl<'a> HeaderScan<'a> {
    pub(crate) fn new(file: &'a dyn File, position: u64, end: u64) -> Self {
        Self {
            file,
            position,
            end,
            chunk: [0; CHUNK_BYTES],
            chunk_at: 0,
            chunk_len: 0,
            bytes_read: 0,
        }
    }

    /// The bytes read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The position and header of the next batch; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, BatchHeader)>, ScanError> {
        let position = self.position;
        if position >= self.end {
            return Ok(None);
        }
        let header = self.header_at(position)?;
        let next = position + header.size() as u64;
        if next > self.end {
            return Err(ScanError::Corrupt { position });
        }
        self.position = next;
        Ok(Some((position, header)))
    }

    fn header_at(&mut self, position: u64) -> Result<BatchHeader, ScanError> {
        if let Some(header) = self
            .chunk_at(position)
            .and_then(|bytes| BatchHeader::decode(bytes).ok())
        {
            return Ok(header);
        }
        self.chunk_len = self
            .file
            .read_at(&mut self.chunk, position)
            .map_err(|source| ScanError::Io { position, source })?;
        self.chunk_at = position;
        self.bytes_read += self.chunk_len as u64;
        let bytes = self.chunk.get(..self.chunk_len).unwrap_or_default();
        BatchHeader::decode(bytes).map_err(|_| ScanError::Corrupt { position })
    }

    /// What the chunk holds from `position` on, if that is at least a header.
    fn chunk_at(&self, position: u64) -> Option<&[u8]> {
        let skip = usize::try_from(position.checked_sub(self.chunk_at)?).ok()?;
        self.chunk
            .get(skip..self.chunk_len)
            .filter(|bytes| bytes.len() >= HEADER_SIZE)
    }
}

/// The timestamp of the first batch below `size`, if it has one.
pub(crate) fn first_timestamp(file: &dyn File, size: u64) -> Result<Option<WallMillis>, ScanError> {
    let first = HeaderScan::new(file, 0, size).next()?;
    let timestamp = first.map(|(_, header)| header.max_timestamp());
    Ok(timestamp.filter(|timestamp| *timestamp > WallMillis::NONE))
}

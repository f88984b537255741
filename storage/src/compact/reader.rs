//! Reading a segment batch by batch, in order, with a buffer of a fixed size that grows only for a batch that is larger.
//!
//! Every batch is checked (S4): what a round writes again was read whole.

use crate::batch::{BatchError, BatchHeader, BatchView};
use crate::fs::File;
use crate::segment::scan::ScanError;

/// The batches of a file's first `size` bytes.
#[derive(Debug)]
pub(super) struct BatchReader<'a> {
    file: &'a dyn File,
    size: u64,
    /// Where in the file the unread part of the buffer begins.
    position: u64,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    capacity: usize,
    /// Bytes read since somebody asked.
    bytes_read: u64,
}

impl<'a> BatchReader<'a> {
    pub(super) fn new(file: &'a dyn File, size: u64, capacity: usize) -> Self {
        Self {
            file,
            size,
            position: 0,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            capacity: capacity.max(4096),
            bytes_read: 0,
        }
    }

    /// Whether the batch that was read last is the file's last one.
    pub(super) fn is_at_end(&self) -> bool {
        self.position >= self.size
    }

    /// The bytes read since this was asked last.
    pub(super) fn take_bytes_read(&mut self) -> u64 {
        std::mem::take(&mut self.bytes_read)
    }

    /// The next batch; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<BatchView<'_>>, ScanError> {
        if self.is_at_end() {
            return Ok(None);
        }
        let position = self.position;
        let corrupt = ScanError::Corrupt { position };
        let size = match self.whole_size() {
            Some(size) => size,
            None => self.read_more()?.ok_or(ScanError::Corrupt { position })?,
        };
        let begin = self.start;
        self.start += size;
        self.position += size as u64;
        let bytes = self.buffer.get(begin..self.start).unwrap_or_default();
        match BatchView::parse(bytes) {
            Ok(batch) if batch.is_crc_valid() => Ok(Some(batch)),
            _ => Err(corrupt),
        }
    }

    /// The size of the next batch if all of it is in the buffer.
    fn whole_size(&self) -> Option<usize> {
        let unread = self.buffer.get(self.start..self.end)?;
        let header = BatchHeader::decode(unread).ok()?;
        (header.size() <= unread.len()).then_some(header.size())
    }

    /// Fills the buffer from the next batch on; the batch's size, or `None` if there is no whole one.
    fn read_more(&mut self) -> Result<Option<usize>, ScanError> {
        let left = self.size - self.position;
        self.fill(
            self.capacity
                .min(usize::try_from(left).unwrap_or(usize::MAX)),
        )?;
        if let Some(size) = self.whole_size() {
            return Ok(Some(size));
        }
        let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        // A length from damaged bytes must not make us allocate more than the file holds.
        let needed = match BatchHeader::decode(unread) {
            Ok(header) if header.size() as u64 <= left => header.size(),
            Ok(_) | Err(BatchError::Truncated { .. } | _) => return Ok(None),
        };
        self.fill(needed)?;
        Ok(self.whole_size())
    }

    fn fill(&mut self, count: usize) -> Result<(), ScanError> {
        let position = self.position;
        let unread = self.start..self.end;
        let kept = unread.len().min(count);
        self.buffer.copy_within(unread, 0);
        self.buffer.resize(count.max(kept), 0);
        let room = self.buffer.get_mut(kept..).unwrap_or_default();
        let read = self.file.read_at(room, position + kept as u64);
        let read = read.map_err(|source| ScanError::Io { position, source })?;
        self.bytes_read += read as u64;
        (self.start, self.end) = (0, kept + read);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::batch::{BatchBuilder, NewRecord};
    use crate::fs::{Fs, OpenMode, StdFs, write_all_at};
    use crate::ids::Offset;

    fn batch(base: u32, size: usize) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(Offset::from(base));
        let value = vec![7; size];
        let value = Some(value.as_slice());
        builder
            .append(&NewRecord {
                value,
                ..NewRecord::default()
            })
            .unwrap();
        builder.build().unwrap()
    }

    fn bases(path: &Path, bytes: &[u8]) -> Result<Vec<i64>, ScanError> {
        let file = StdFs.open(path, OpenMode::Create).unwrap();
        file.set_len(0).unwrap();
        write_all_at(&*file, bytes, 0).unwrap();
        let mut reader = BatchReader::new(&*file, bytes.len() as u64, 0);
        let mut found = Vec::new();
        while let Some(batch) = reader.next()? {
            found.push(batch.header().base_offset().get());
        }
        assert!(reader.take_bytes_read() >= bytes.len() as u64);
        Ok(found)
    }

    #[test]
    fn batches_of_every_size_come_in_order_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let sizes = [10, 4000, 20_000, 0, 4096 - 70, 3, 100_000, 1];
        let bytes: Vec<u8> = (0..)
            .zip(sizes)
            .flat_map(|(base, size)| batch(base, size))
            .collect();
        assert_eq!(bases(&path, &bytes).unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
        for at in [3, 9, 16, 40, 200, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            // The base offset and the epoch are not under the CRC.
            if at > 7 {
                assert!(bases(&path, &damaged).is_err(), "byte {at}");
            }
        }
        assert!(bases(&path, &bytes[..bytes.len() - 1]).is_err());
    }
}

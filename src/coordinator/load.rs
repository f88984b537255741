//! Reading a shard back from its log, some of it at a time.

use std::sync::Arc;

use ottla_storage::batch::{BatchError, BatchView};
use ottla_storage::{LogView, Offset, ReadError, ReadLimits};

use super::batch::{self, UnreadableError};
use super::group::record::Record;

/// Bytes that are read before anybody else has a turn; one batch is read whatever its size.
const CHUNK_BYTES: u64 = 1 << 20;

/// Why a log can't be read back.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("read at offset {at}")]
    Read { at: Offset, source: ReadError },
    #[error("read at offset {at}")]
    Io { at: Offset, source: std::io::Error },
    #[error("a batch at offset {at}")]
    Batch { at: Offset, source: BatchError },
    #[error("the batch at offset {at}")]
    Contents { at: Offset, source: UnreadableError },
}

/// A log that is being read.
#[derive(Debug)]
pub(super) struct Load {
    log: Arc<LogView>,
    next: Offset,
}

impl Load {
    /// Everything that is in the log now.
    pub(super) fn new(log: Arc<LogView>) -> Self {
        Self {
            next: log.log_start(),
            log,
        }
    }

    /// Where it ends.
    pub(super) fn end(&self) -> Offset {
        self.log.log_end()
    }

    /// Reads on; whether that was all.
    pub(super) fn read(&mut self, mut replay: impl FnMut(Record)) -> Result<bool, LoadError> {
        let at = self.next;
        let limits = ReadLimits {
            upper_bound: self.end(),
            bytes_max: CHUNK_BYTES,
            is_one_batch_due: true,
        };
        let range = self.log.read(at, limits);
        let range = range.map_err(|source| LoadError::Read { at, source })?;
        let bytes = range.read_to_vec();
        let bytes = bytes.map_err(|source| LoadError::Io { at, source })?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let at = self.next;
            let batch = match BatchView::parse(rest) {
                Ok(batch) => batch,
                // The chunk ends here; the batch is the next one's first.
                Err(error) if error.is_truncation() && rest.len() < bytes.len() => break,
                Err(source) => return Err(LoadError::Batch { at, source }),
            };
            let replayed = batch::replay(&batch, &mut replay);
            replayed.map_err(|source| LoadError::Contents { at, source })?;
            self.next = batch.header().last_offset().next();
            rest = rest.get(batch.bytes().len()..).unwrap_or_default();
        }
        // Nothing to read although the end is not reached: the rest was compacted away.
        Ok(bytes.is_empty() || self.next >= self.end())
    }
}

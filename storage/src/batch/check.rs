//! The check of a batch that was already accepted once: on a follower, and at recovery.
//!
//! It never refuses what a leader may have accepted (compaction leaves gaps and empty batches), and
//! it never passes what would break the log: S2 (offsets rise), S3 (epochs never fall), S4 (CRC).

use super::view::BatchView;
use crate::ids::{LeaderEpoch, Offset};

/// Why a batch cannot follow the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The batch is not what its sender hashed.
    #[error("batch at offset {base}: crc {claimed:08x} claimed, {computed:08x} found")]
    Crc {
        /// The batch's base offset.
        base: Offset,
        /// What the header says.
        claimed: u32,
        /// What the bytes say.
        computed: u32,
    },
    /// The header's offsets or counts cannot all be true.
    #[error("batch at offset {base}: {count} records in {last_offset_delta} + 1 offsets")]
    Header {
        /// The batch's base offset.
        base: Offset,
        /// The claimed number of records.
        count: i32,
        /// The claimed distance from first to last offset.
        last_offset_delta: i32,
    },
    /// The batch begins before the one before it ends.
    #[error("batch at offset {found} where {expected} or later must follow")]
    Offset {
        /// The lowest base offset that may follow.
        expected: Offset,
        /// The batch's base offset.
        found: Offset,
    },
    /// The batch's leader epoch is below the one before it.
    #[error("batch at offset {base}: leader epoch {found:?} after {last}")]
    Epoch {
        /// The batch's base offset.
        base: Offset,
        /// The highest epoch so far.
        last: LeaderEpoch,
        /// The batch's epoch.
        found: Option<LeaderEpoch>,
    },
}

/// Where a log stands: what the next batch must not fall behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOrder {
    next_offset: Offset,
    last_epoch: Option<LeaderEpoch>,
}

impl LogOrder {
    /// A log that ends at `next_offset` and whose last batch has `last_epoch`.
    pub const fn new(next_offset: Offset, last_epoch: Option<LeaderEpoch>) -> Self {
        Self {
            next_offset,
            last_epoch,
        }
    }

    /// The end of the log that has been checked so far.
    pub const fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// The epoch of the last batch, if any had one.
    pub const fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.last_epoch
    }

    /// Checks the batch that follows, and moves behind it.
    ///
    /// # Errors
    /// See [`CheckError`]; `self` has then not moved.
    pub fn check(&mut self, batch: &BatchView<'_>) -> Result<(), CheckError> {
        let header = batch.header();
        let base = header.base_offset();
        let computed = batch.computed_crc();
        if header.crc() != computed {
            return Err(CheckError::Crc {
                base,
                claimed: header.crc(),
                computed,
            });
        }
        let (count, last_offset_delta) = (header.record_count(), header.last_offset_delta());
        let is_last_representable = header.last_offset() < Offset::MAX;
        if count < 0 || last_offset_delta < 0 || !is_last_representable {
            return Err(CheckError::Header {
                base,
                count,
                last_offset_delta,
            });
        }
        if i64::from(count) > i64::from(last_offset_delta) + 1 {
            return Err(CheckError::Header {
                base,
                count,
                last_offset_delta,
            });
        }
        if base < self.next_offset {
            return Err(CheckError::Offset {
                expected: self.next_offset,
                found: base,
            });
        }
        let found = header.leader_epoch();
        match self.last_epoch {
            Some(last) if found < Some(last) => {
                return Err(CheckError::Epoch { base, last, found });
            }
            _ => {}
        }
        *self = Self {
            next_offset: header.next_offset(),
            last_epoch: found,
        };
        Ok(())
    }
}

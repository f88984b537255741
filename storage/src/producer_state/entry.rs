//! One producer in one partition.

use std::time::Duration;

use super::ProducerError;
use crate::batch::{BatchHeader, EndTxnMarker};
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::WallMillis;

/// A client may have five batches in flight, so a retry can be of any of the last five.
const BATCHES_MAX: usize = 5;

/// An idempotent batch, as far as its producer is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerAppend {
    /// The producer.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// The first record's sequence.
    pub first_sequence: Sequence,
    /// The last record's sequence.
    pub last_sequence: Sequence,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
}

impl ProducerAppend {
    /// `None` for a batch of a plain producer, and for a marker.
    pub const fn of(header: &BatchHeader) -> Option<Self> {
        let (Some(id), Some(epoch)) = (header.producer_id(), header.producer_epoch()) else {
            return None;
        };
        let (Some(first_sequence), Some(last_sequence)) =
            (header.base_sequence(), header.last_sequence())
        else {
            return None;
        };
        let is_transactional = header.attributes().is_transactional();
        Some(Self {
            id,
            epoch,
            first_sequence,
            last_sequence,
            is_transactional,
        })
    }
}

/// Where a batch stands in the log: what its producer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedBatch {
    /// The first offset.
    pub base_offset: Offset,
    /// The last offset.
    pub last_offset: Offset,
    /// The batch's maximum timestamp: the append time under `LogAppendTime`.
    pub timestamp: WallMillis,
}

impl AppendedBatch {
    /// Where a batch that is in the log stands.
    pub const fn of(header: &BatchHeader) -> Self {
        Self {
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp(),
        }
    }
}

/// One of the last batches of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RememberedBatch {
    pub(super) first_sequence: Sequence,
    pub(super) last_sequence: Sequence,
    pub(super) at: AppendedBatch,
}

/// What the log says about one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    pub(super) epoch: Option<ProducerEpoch>,
    /// The last batches of the current epoch, oldest first, at most five.
    pub(super) batches: Vec<RememberedBatch>,
    pub(super) last_timestamp: WallMillis,
    /// -1 before the first marker.
    pub(super) coordinator_epoch: i32,
    pub(super) txn_first_offset: Option<Offset>,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: None,
            batches: Vec::new(),
            last_timestamp: WallMillis::NONE,
            coordinator_epoch: -1,
            txn_first_offset: None,
        }
    }
}

impl ProducerEntry {
    /// The producer's current epoch; `None` before its first batch.
    pub const fn epoch(&self) -> Option<ProducerEpoch> {
        self.epoch
    }

    /// The sequence of the last record of the current epoch.
    pub fn last_sequence(&self) -> Option<Sequence> {
        self.batches.last().map(|batch| batch.last_sequence)
    }

    /// The last batch of the current epoch.
    pub fn last_batch(&self) -> Option<AppendedBatch> {
        self.batches.last().map(|batch| batch.at)
    }

    /// The time of the last batch or marker; expiry counts from it.
    pub const fn last_timestamp(&self) -> WallMillis {
        self.last_timestamp
    }

    /// The epoch of the coordinator that wrote the last marker, or -1.
    pub const fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// The first offset of the open transaction.
    pub const fn txn_first_offset(&self) -> Option<Offset> {
        self.txn_first_offset
    }

    /// Record time decides, so that every replica and every replay expires alike.
    pub(super) fn is_expired(&self, now: WallMillis, expiration: Duration) -> bool {
        let expired = self.last_timestamp.saturating_add(expiration) <= now;
        self.txn_first_offset.is_none() && expired
    }

    pub(super) fn find_duplicate(&self, append: &ProducerAppend) -> Option<AppendedBatch> {
        if self.epoch != Some(append.epoch) {
            return None;
        }
        let is_same = |batch: &&RememberedBatch| {
            batch.first_sequence == append.first_sequence
                && batch.last_sequence == append.last_sequence
        };
        self.batches.iter().find(is_same).map(|batch| batch.at)
    }

    pub(super) fn check_epoch(&self, append: &ProducerAppend) -> Result<(), ProducerError> {
        match self.epoch {
            Some(current) if append.epoch < current => Err(ProducerError::InvalidEpoch {
                id: append.id,
                found: append.epoch,
                current,
            }),
            _ => Ok(()),
        }
    }

    /// A producer that the log knows nothing of may start anywhere: retention may have removed what
    /// it sent. One that it knows goes on, or starts a new epoch at 0.
    pub(super) fn check_sequence(&self, append: &ProducerAppend) -> Result<(), ProducerError> {
        let Some(epoch) = self.epoch else {
            return Ok(());
        };
        let last = if epoch == append.epoch {
            self.last_sequence()
        } else {
            None
        };
        let expected = last.map_or(Sequence::ZERO, Sequence::next);
        let found = append.first_sequence;
        if found == expected {
            Ok(())
        } else {
            Err(ProducerError::OutOfOrderSequence {
                id: append.id,
                found,
                expected,
            })
        }
    }

    pub(super) fn check_transaction(&self, append: &ProducerAppend) -> Result<(), ProducerError> {
        if self.txn_first_offset.is_some() && !append.is_transactional {
            return Err(ProducerError::InvalidTxnState { id: append.id });
        }
        Ok(())
    }

    /// Takes over a batch of the log.
    pub(super) fn append(&mut self, header: &BatchHeader) {
        let at = AppendedBatch::of(header);
        if let Some(append) = ProducerAppend::of(header) {
            self.append_at(&append, at);
        } else {
            // No leader accepts a batch without a sequence; the rest of the state still counts.
            self.enter_epoch(header.producer_epoch());
            self.touch(at, header.attributes().is_transactional());
        }
    }

    pub(super) fn append_at(&mut self, append: &ProducerAppend, at: AppendedBatch) {
        self.enter_epoch(Some(append.epoch));
        if self.batches.len() >= BATCHES_MAX {
            self.batches.remove(0);
        }
        let ProducerAppend {
            first_sequence,
            last_sequence,
            ..
        } = *append;
        self.batches.push(RememberedBatch {
            first_sequence,
            last_sequence,
            at,
        });
        self.touch(at, append.is_transactional);
    }

    /// Takes over a marker. Returns the first offset of the transaction that it ends.
    pub(super) fn end_txn(
        &mut self,
        epoch: Option<ProducerEpoch>,
        marker: EndTxnMarker,
        timestamp: WallMillis,
    ) -> Option<Offset> {
        self.enter_epoch(epoch);
        self.coordinator_epoch = marker.coordinator_epoch;
        self.last_timestamp = timestamp;
        self.txn_first_offset.take()
    }

    fn enter_epoch(&mut self, epoch: Option<ProducerEpoch>) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn touch(&mut self, at: AppendedBatch, is_transactional: bool) {
        self.last_timestamp = at.timestamp;
        if is_transactional {
            self.txn_first_offset.get_or_insert(at.base_offset);
        }
    }
}

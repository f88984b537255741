//! What one partition remembers of its idempotent producers, so that a retry is not a second copy.
//!
//! - Property 10: each (producer, epoch, sequence) stands at most once in the log, in order.
//! - A check changes nothing. What passes it is *staged*; a group of appends is staged together, so
//!   that a check sees the appends prepared before it; the group is committed after its write, or
//!   dropped, and then nothing has happened.
//! - The state is a function of the log: replaying the log from a snapshot gives the same state.
//!
//! ```text
//! check(staged, append) -> New ---> staged.add(..) ---> write ---> commit(staged)
//!                       -> Duplicate: answer with the offsets of the first copy
//! ```

mod entry;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use entry::{AppendedBatch, ProducerAppend, ProducerEntry};
pub use snapshot::SnapshotError;

use crate::batch::{BatchHeader, BatchView, EndTxnMarker, RecordError, RecordsError};
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::WallMillis;

/// Where an append comes from: it decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's produce request: epoch and sequence are checked.
    Client,
    /// A coordinator's own append: the epoch is checked, the sequence is not.
    Coordinator,
}

/// Why an append is refused. The log is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProducerError {
    /// The producer's epoch is over (`INVALID_PRODUCER_EPOCH`).
    #[error("producer {id} sent epoch {found}, its current one is {current}")]
    InvalidEpoch {
        /// The producer.
        id: ProducerId,
        /// The epoch sent.
        found: ProducerEpoch,
        /// The epoch that the log knows.
        current: ProducerEpoch,
    },
    /// A sequence is missing or came twice (`OUT_OF_ORDER_SEQUENCE_NUMBER`).
    #[error("producer {id} sent sequence {found} where {expected} must follow")]
    OutOfOrderSequence {
        /// The producer.
        id: ProducerId,
        /// The first sequence sent.
        found: Sequence,
        /// The one that must follow.
        expected: Sequence,
    },
    /// A plain batch while the producer's transaction is open (`INVALID_TXN_STATE`).
    #[error("producer {id} sent a batch outside of its open transaction")]
    InvalidTxnState {
        /// The producer.
        id: ProducerId,
    },
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To be appended and staged.
    New,
    /// It is in the log already, or staged before: answer with these offsets and append nothing.
    Duplicate(AppendedBatch),
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTxn {
    /// The producer.
    pub producer_id: ProducerId,
    /// The transaction's first offset in this partition.
    pub first_offset: Offset,
    /// The marker's offset.
    pub last_offset: Offset,
    /// Committed, or aborted.
    pub is_commit: bool,
}

/// Why a batch of the log could not be replayed: its control record is not readable.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The records section could not be opened.
    #[error("control batch at offset {base}")]
    Records {
        /// The batch's base offset.
        base: Offset,
        /// The reason.
        source: RecordsError,
    },
    /// The record could not be read.
    #[error("control batch at offset {base}")]
    Record {
        /// The batch's base offset.
        base: Offset,
        /// The reason.
        source: RecordError,
    },
}

/// A control batch is one small record.
const CONTROL_SIZE_MAX: usize = 1 << 20;

/// The producers of one partition as of the end of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerStates {
    entries: BTreeMap<ProducerId, ProducerEntry>,
    /// The first offsets of the open transactions.
    open: BTreeSet<(Offset, ProducerId)>,
    end: Offset,
}

impl ProducerStates {
    /// No producer is known in a log that ends at `end`.
    pub const fn new(end: Offset) -> Self {
        Self {
            entries: BTreeMap::new(),
            open: BTreeSet::new(),
            end,
        }
    }

    /// The state that a snapshot file holds, without the producers that have expired by `now`.
    ///
    /// # Errors
    /// [`SnapshotError`]: the file is to be deleted and an earlier one to be tried.
    pub fn decode(
        snapshot: &[u8],
        end: Offset,
        now: WallMillis,
        expiration: Duration,
    ) -> Result<Self, SnapshotError> {
        let mut states = Self::new(end);
        for (id, entry) in snapshot::decode(snapshot)? {
            if !entry.is_expired(now, expiration) {
                states.put(id, entry);
            }
        }
        Ok(states)
    }

    /// The snapshot file of this state. Of each producer only the last batch is kept.
    pub fn encode(&self) -> Vec<u8> {
        snapshot::encode(&self.entries)
    }

    /// Whether `append` may be appended, behind what is staged. Nothing is changed.
    ///
    /// # Errors
    /// See [`ProducerError`]; each is final for this batch.
    pub fn check(
        &self,
        staged: &StagedProducers,
        append: &ProducerAppend,
        origin: AppendOrigin,
    ) -> Result<Verdict, ProducerError> {
        let Some(entry) = staged
            .entries
            .get(&append.id)
            .or_else(|| self.entries.get(&append.id))
        else {
            return Ok(Verdict::New);
        };
        let is_client = origin == AppendOrigin::Client;
        if let Some(batch) = entry.find_duplicate(append).filter(|_| is_client) {
            return Ok(Verdict::Duplicate(batch));
        }
        entry.check_epoch(append)?;
        if is_client {
            entry.check_sequence(append)?;
        }
        entry.check_transaction(append)?;
        Ok(Verdict::New)
    }

    /// Takes over what was staged, once it is in the log, which now ends at `end`.
    pub fn commit(&mut self, staged: StagedProducers, end: Offset) {
        for (id, entry) in staged.entries {
            self.put(id, entry);
        }
        self.advance_to(end);
    }

    /// Takes over a batch that is in the log: at recovery, on a follower, and for markers. Nothing
    /// is checked but that a control record can be read.
    ///
    /// # Errors
    /// See [`ReplayError`]; the state is then unchanged.
    pub fn replay(&mut self, batch: &BatchView<'_>) -> Result<Option<CompletedTxn>, ReplayError> {
        let header = batch.header();
        let completed = match header.producer_id() {
            Some(id) if header.attributes().is_control() => self.replay_marker(id, batch)?,
            Some(id) => {
                self.update(id, |entry| entry.append(header));
                None
            }
            None => None,
        };
        self.advance_to(header.next_offset());
        Ok(completed)
    }

    /// As [`Self::replay`], for a batch that is no control batch: its header says everything.
    pub fn replay_data(&mut self, header: &BatchHeader) {
        if let Some(id) = header.producer_id() {
            self.update(id, |entry| entry.append(header));
        }
        self.advance_to(header.next_offset());
    }

    /// Notes that the log now ends at `end`, by batches without a producer.
    pub fn advance_to(&mut self, end: Offset) {
        self.end = self.end.max(end);
    }

    /// Forgets the producers without an open transaction whose last batch is `expiration` old.
    /// Returns how many.
    pub fn expire(&mut self, now: WallMillis, expiration: Duration) -> usize {
        let before = self.entries.len();
        self.entries
            .retain(|_, entry| !entry.is_expired(now, expiration));
        before - self.entries.len()
    }

    /// The end of the log that this is the state of; a snapshot is named after it.
    pub const fn end(&self) -> Offset {
        self.end
    }

    /// The first offset of the oldest open transaction.
    pub fn first_open_transaction(&self) -> Option<Offset> {
        self.open.first().map(|(offset, _)| *offset)
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known of one producer.
    pub fn get(&self, id: ProducerId) -> Option<&ProducerEntry> {
        self.entries.get(&id)
    }

    /// Every producer, lowest id first.
    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    fn replay_marker(
        &mut self,
        producer_id: ProducerId,
        batch: &BatchView<'_>,
    ) -> Result<Option<CompletedTxn>, ReplayError> {
        let header = batch.header();
        let base = header.base_offset();
        let records = batch.records(CONTROL_SIZE_MAX);
        let records = records.map_err(|source| ReplayError::Records { base, source })?;
        // Compaction leaves an empty batch where a marker was.
        let Some(record) = records.iter().next() else {
            return Ok(None);
        };
        let record = record.map_err(|source| ReplayError::Record { base, source })?;
        let Some(marker) = EndTxnMarker::decode(record.key, record.value) else {
            return Ok(None);
        };
        let epoch = header.producer_epoch();
        let timestamp = record.timestamp;
        let first = self.update(producer_id, |entry| entry.end_txn(epoch, marker, timestamp));
        Ok(first.map(|first_offset| CompletedTxn {
            producer_id,
            first_offset,
            last_offset: record.offset,
            is_commit: marker.is_commit,
        }))
    }

    fn update<T>(&mut self, id: ProducerId, change: impl FnOnce(&mut ProducerEntry) -> T) -> T {
        let mut entry = self.take(id).unwrap_or_default();
        let result = change(&mut entry);
        self.put(id, entry);
        result
    }

    fn take(&mut self, id: ProducerId) -> Option<ProducerEntry> {
        let entry = self.entries.remove(&id)?;
        if let Some(first) = entry.txn_first_offset() {
            self.open.remove(&(first, id));
        }
        Some(entry)
    }

    fn put(&mut self, id: ProducerId, entry: ProducerEntry) {
        self.take(id);
        if let Some(first) = entry.txn_first_offset() {
            self.open.insert((first, id));
        }
        self.entries.insert(id, entry);
    }
}

/// The producers as a group of appends will leave them, if it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagedProducers {
    entries: BTreeMap<ProducerId, ProducerEntry>,
}

impl StagedProducers {
    /// Nothing is staged.
    pub const fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// Stages a batch that was found [`Verdict::New`] in `states`, at the offsets it will have.
    pub fn add(&mut self, states: &ProducerStates, append: &ProducerAppend, at: AppendedBatch) {
        let known = || states.get(append.id).cloned().unwrap_or_default();
        self.entries
            .entry(append.id)
            .or_insert_with(known)
            .append_at(append, at);
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

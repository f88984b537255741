//! Which records stay, batch by batch.
//!
//! - Of the records of a key the one with the highest offset stays. A tombstone stays until the delete horizon that the
//!   first round to meet it writes into its batch (KIP-534); so does a marker that nobody needs.
//! - Records without a key go: nothing supersedes them, and a compacted topic accepts none.
//! - What lies at or above the end of the mapped part stays as it is.
//! - A batch of which nothing stays goes, unless it is needed: the last one of an active producer keeps its sequence, the
//!   last one of a segment the offset after it, the first one of a leader epoch the epoch's start.

use std::collections::BTreeMap;
use std::time::Duration;

use super::offset_map::OffsetMap;
use super::transactions::TxnCourse;
use crate::batch::{
    BatchHeader, BatchView, BuildError, EndTxnMarker, RawRecord, RecordError, RecordsError,
    emptied, retained,
};
use crate::ids::{Offset, ProducerEpoch, ProducerId};
use crate::planted::is_planted;
use crate::time::WallMillis;

/// A control batch is one small record; a larger one is not read to find out.
pub(super) const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Why a batch can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Its records can't be opened.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A record can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// What stays makes no batch.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// What the log last holds of an active producer: its data's last offset, or a marker under its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastOfProducer {
    pub(crate) data: Option<Offset>,
    pub(crate) epoch: Option<ProducerEpoch>,
}

/// The last of each active producer.
pub(crate) type LastOfProducers = BTreeMap<ProducerId, LastOfProducer>;

/// What decides about every record of a round.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) map: &'a OffsetMap,
    /// The keys of everything below are in the map.
    pub(crate) end: Offset,
    pub(crate) now: WallMillis,
    pub(crate) delete_retention: Duration,
    pub(crate) producers: &'a LastOfProducers,
    /// A batch that decompresses to more is not judged.
    pub(crate) records_bytes_max: usize,
}

/// What stays of a batch.
#[derive(Debug)]
pub(crate) enum Kept {
    /// All of it, byte for byte.
    Whole,
    /// This, in its place.
    Changed(Vec<u8>),
    Nothing,
}

/// What becomes of a batch.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) kept: Kept,
    pub(crate) records_dropped: u64,
}

/// What a control batch holds; `None` if it is empty, or no end of a transaction.
pub(crate) fn marker_of(batch: &BatchView<'_>) -> Result<Option<EndTxnMarker>, RuleError> {
    let records = batch.records(CONTROL_BYTES_MAX)?;
    let first = records.iter().next().transpose()?;
    Ok(first.and_then(|record| EndTxnMarker::decode(record.key, record.value)))
}

impl Rules<'_> {
    /// Judges the next batch of the log. `is_needed` says that its offsets or its epoch are needed whatever becomes of
    /// its records.
    pub(crate) fn judge(
        &self,
        batch: &BatchView<'_>,
        course: &mut TxnCourse,
        is_needed: bool,
    ) -> Result<Judgement, RuleError> {
        let header = batch.header();
        if header.base_offset() >= self.end {
            return Ok(Judgement {
                kept: Kept::Whole,
                records_dropped: 0,
            });
        }
        let is_needed = is_needed || self.is_last_of_producer(header);
        if header.attributes().is_control() {
            let is_unneeded = course.pass_control(header, marker_of(batch)?);
            self.judge_control(batch, is_unneeded, is_needed)
        } else if course.pass_data(header) {
            without_records(header, is_needed)
        } else {
            self.judge_data(batch, is_needed)
        }
    }

    fn judge_control(
        &self,
        batch: &BatchView<'_>,
        is_unneeded: bool,
        is_needed: bool,
    ) -> Result<Judgement, RuleError> {
        let header = batch.header();
        let horizon = header.delete_horizon();
        if header.record_count() == 0 || (is_unneeded && self.is_past(horizon)) {
            return without_records(header, is_needed);
        }
        let mut kept = Kept::Whole;
        if is_unneeded && horizon.is_none() {
            let records = batch.records(CONTROL_BYTES_MAX)?;
            let records = records.iter_raw().collect::<Result<Vec<_>, _>>()?;
            kept = Kept::Changed(retained(header, &records, Some(self.next_horizon()))?);
        }
        Ok(Judgement {
            kept,
            records_dropped: 0,
        })
    }

    fn judge_data(&self, batch: &BatchView<'_>, is_needed: bool) -> Result<Judgement, RuleError> {
        let header = batch.header();
        let horizon = header.delete_horizon();
        let records = batch.records(self.records_bytes_max)?;
        let mut kept: Vec<RawRecord<'_>> = Vec::new();
        let mut records_dropped = 0;
        let mut has_tombstone = false;
        for raw in records.iter_raw() {
            let raw = raw?;
            let is_tombstone = raw.record.value.is_none();
            // The end may lie inside of the batch: what is behind it is judged by the next round.
            let is_judged = raw.record.offset < self.end;
            let is_over = is_tombstone
                && (self.is_past(horizon) || is_planted("a-tombstone-stays-for-its-time"));
            if !is_judged || (self.is_latest(&raw) && !is_over) {
                has_tombstone |= is_tombstone && is_judged;
                kept.push(raw);
            } else {
                records_dropped += 1;
            }
        }
        let new_horizon = (has_tombstone && horizon.is_none()).then(|| self.next_horizon());
        if kept.is_empty() {
            return without_records(header, is_needed);
        }
        let kept = if records_dropped == 0 && new_horizon.is_none() {
            Kept::Whole
        } else {
            Kept::Changed(retained(header, &kept, new_horizon)?)
        };
        Ok(Judgement {
            kept,
            records_dropped,
        })
    }

    fn is_latest(&self, raw: &RawRecord<'_>) -> bool {
        let latest = raw.record.key.map(|key| self.map.get(key));
        // A key that the map does not know has no record in the dirty part.
        latest.is_some_and(|latest| latest.is_none_or(|latest| raw.record.offset >= latest))
    }

    fn is_past(&self, horizon: Option<WallMillis>) -> bool {
        horizon.is_some_and(|horizon| horizon <= self.now)
    }

    fn next_horizon(&self) -> WallMillis {
        self.now.saturating_add(self.delete_retention)
    }

    /// Gotcha 29: without it the producer's next batch would be out of order.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let last = header.producer_id().and_then(|id| self.producers.get(&id));
        let last = last.filter(|_| !is_planted("a-producer-keeps-its-last-batch"));
        last.is_some_and(|last| match last.data {
            Some(offset) => header.last_offset() == offset,
            None => header.attributes().is_control() && header.producer_epoch() == last.epoch,
        })
    }
}

fn without_records(header: &BatchHeader, is_needed: bool) -> Result<Judgement, RuleError> {
    let kept = match (is_needed, header.record_count()) {
        (false, _) => Kept::Nothing,
        (true, 0) => Kept::Whole,
        (true, _) => Kept::Changed(emptied(header)?),
    };
    Ok(Judgement {
        kept,
        records_dropped: u64::try_from(header.record_count()).unwrap_or_default(),
    })
}

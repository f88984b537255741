//! Which batches belong to aborted transactions, and which markers nobody needs any more.
//!
//! - Data of an aborted transaction goes with the first round that meets it. Its marker stays for as long as a batch of
//!   it was met in the same round, empty or not: without the marker a reader would take the transaction for open.
//! - A marker of a transaction of which nothing was met may go, once its delete horizon has passed.
//! - A log says of a transaction that it is aborted only at its end, so the ends are collected before anything is judged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::batch::{BatchHeader, EndTxnMarker};
use crate::ids::{Offset, ProducerId};

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AbortedTxn {
    pub(crate) first_offset: Offset,
    pub(crate) producer: ProducerId,
    /// Where its marker is.
    pub(crate) marker: Offset,
}

/// Collects the aborted transactions of a log whose batches are shown to it in order.
#[derive(Debug, Default)]
pub(crate) struct TxnScan {
    open: BTreeMap<ProducerId, Offset>,
    aborted: Vec<AbortedTxn>,
}

impl TxnScan {
    /// Takes note of a batch; `marker` is what a control batch holds.
    pub(crate) fn observe(&mut self, header: &BatchHeader, marker: Option<EndTxnMarker>) {
        let Some(producer) = header.producer_id() else {
            return;
        };
        if !header.attributes().is_control() {
            if header.attributes().is_transactional() {
                self.open
                    .entry(producer)
                    .or_insert_with(|| header.base_offset());
            }
            return;
        }
        if let Some(marker) = marker
            && let Some(first_offset) = self.open.remove(&producer)
            && !marker.is_commit
        {
            self.aborted.push(AbortedTxn {
                first_offset,
                producer,
                marker: header.base_offset(),
            });
        }
    }

    /// Where the first transaction begins whose end has not been shown yet.
    pub(crate) fn first_open(&self) -> Option<Offset> {
        self.open.values().min().copied()
    }

    pub(crate) fn into_aborted(mut self) -> Vec<AbortedTxn> {
        self.aborted.sort_unstable();
        self.aborted
    }
}

/// What is known of the transactions around a place in the log.
#[derive(Clone, Debug)]
pub(crate) struct TxnCourse {
    /// Aborted transactions that begin further on.
    coming: VecDeque<AbortedTxn>,
    /// Of the aborted ones that have begun: whether a batch was met.
    aborted: BTreeMap<ProducerId, bool>,
    /// Committed ones, or those that will be, of which a batch was met.
    committed: BTreeSet<ProducerId>,
}

impl TxnCourse {
    /// For a walk that begins at `from`: what has ended below is never met, nor is its marker, which would end it.
    pub(crate) fn new(aborted: &[AbortedTxn], from: Offset) -> Self {
        let coming = aborted.iter().filter(|txn| txn.marker >= from);
        Self {
            coming: coming.copied().collect(),
            aborted: BTreeMap::new(),
            committed: BTreeSet::new(),
        }
    }

    /// Passes a batch of data; whether it is of an aborted transaction.
    pub(crate) fn pass_data(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        let Some(producer) = header
            .producer_id()
            .filter(|_| header.attributes().is_transactional())
        else {
            return false;
        };
        if let Some(was_met) = self.aborted.get_mut(&producer) {
            *was_met = true;
            return true;
        }
        self.committed.insert(producer);
        false
    }

    /// Passes a control batch, which holds `marker` unless it is empty or of another kind; whether nobody needs it.
    pub(crate) fn pass_control(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
    ) -> bool {
        self.reach(header.last_offset());
        let Some(producer) = header.producer_id() else {
            return false;
        };
        match marker {
            // An empty batch has been cleaned before; a control record of a kind that we do not know stays.
            None => header.record_count() == 0,
            Some(marker) if marker.is_commit => !self.committed.remove(&producer),
            Some(_) => !self.aborted.remove(&producer).unwrap_or(false),
        }
    }

    fn reach(&mut self, offset: Offset) {
        while let Some(next) = self.coming.front().filter(|txn| txn.first_offset <= offset) {
            self.aborted.entry(next.producer).or_insert(false);
            self.coming.pop_front();
        }
    }
}

//! A history under the knife: edits of the clean one, and what a checker has to say of each.
//!
//! What is expected is written down by hand or found by a plain walk over the operations; nothing here asks the
//! checker. An operation's position is its index, and stays so after every edit.

use ottla_jepsen::history::{Action, Index, Key, Kind, MicroOp, Offset, Operation, Process};
use ottla_jepsen::history::{Record, Value};
use ottla_jepsen::w1::Anomaly;

use crate::clean;

mod edit;
mod expect;

/// A history and the verdict that it deserves.
pub(crate) struct Story {
    pub(crate) operations: Vec<Operation>,
    /// The processes that read everything at the end.
    pub(crate) finals: [u64; 2],
    anomalies: Vec<Anomaly>,
    keys_without_order: Vec<Key>,
}

/// A record in short: offset, value.
pub(crate) fn record((offset, value): (u64, i64)) -> Record {
    Record {
        offset: Offset(offset),
        value: Value(value),
    }
}

impl Story {
    pub(crate) fn clean() -> Self {
        let (operations, finals) = clean::history();
        Self {
            operations,
            finals,
            anomalies: Vec::new(),
            keys_without_order: Vec::new(),
        }
    }

    /// The end of the operation that sent a value.
    pub(crate) fn sent(&self, key: u64, value: i64) -> usize {
        let sends = |operation: &Operation| {
            micro_ops(operation).iter().any(|micro_op| {
                matches!(micro_op, MicroOp::Send { key: k, value: v, .. }
                    if (k.0, v.0) == (key, value))
            })
        };
        let is_end = |operation: &&Operation| operation.kind != Kind::Invoke;
        let end = self.operations.iter().filter(is_end).find(|o| sends(o));
        position(end.unwrap())
    }

    /// The first end of a process's operation that polled a value.
    pub(crate) fn polled(&self, process: u64, key: u64, value: i64) -> usize {
        let mut ends = self
            .operations
            .iter()
            .filter(|operation| operation.process == Process::Client(process));
        position(ends.find(|o| has_polled(o, key, value)).unwrap())
    }

    /// The first ok end of anybody's operation that polled a value.
    fn first_read(&self, key: u64, value: i64) -> usize {
        let mut oks = self.operations.iter().filter(|o| o.kind == Kind::Ok);
        position(oks.find(|o| has_polled(o, key, value)).unwrap())
    }

    /// The beginning of the operation that ends at `end`.
    pub(crate) fn begin_of(&self, end: usize) -> usize {
        let process = &self.operations[end].process;
        let before = self.operations[..end].iter();
        position(before.rev().find(|o| o.process == *process).unwrap())
    }

    /// Where a value was polled.
    fn place(&self, key: u64, value: i64) -> Option<Record> {
        let polled = self.operations.iter().flat_map(|o| records_of(o, key));
        polled.copied().find(|record| record.value.0 == value)
    }

    /// Where its sender says a value is.
    fn told(&self, key: u64, value: i64) -> Option<Offset> {
        let end = &self.operations[self.sent(key, value)];
        micro_ops(end).iter().find_map(|micro_op| match micro_op {
            MicroOp::Send {
                key: k,
                offset,
                value: v,
            } if (k.0, v.0) == (key, value) => *offset,
            _ => None,
        })
    }
}

fn position(operation: &Operation) -> usize {
    usize::try_from(operation.index.0).unwrap()
}

fn index(position: usize) -> Index {
    Index(position as u64)
}

fn micro_ops(operation: &Operation) -> &[MicroOp] {
    match &operation.action {
        Action::MicroOps(_, micro_ops) => micro_ops,
        _ => &[],
    }
}

/// What an operation polled of a key, in order.
fn records_of(operation: &Operation, key: u64) -> impl Iterator<Item = &Record> {
    let polls = micro_ops(operation).iter().filter_map(|m| match m {
        MicroOp::Poll(polled) => polled.as_ref(),
        MicroOp::Send { .. } => None,
    });
    let of_key = polls.flatten().filter(move |(k, _)| k.0 == key);
    of_key.flat_map(|(_, records)| records)
}

fn has_polled(operation: &Operation, key: u64, value: i64) -> bool {
    records_of(operation, key).any(|record| record.value.0 == value)
}

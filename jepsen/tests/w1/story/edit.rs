//! Changes of the history.

use ottla_jepsen::history::{Action, Key, Kind, MicroOp, Offset, Operation, Record, Value};

use super::{Story, index, record, records_of};

impl Story {
    /// What an operation's poll returned for a key, to be changed.
    pub(crate) fn records(&mut self, end: usize, key: u64) -> &mut Vec<Record> {
        let Action::MicroOps(_, micro_ops) = &mut self.operations[end].action else {
            panic!("operation {end} does not poll");
        };
        let polled = micro_ops.iter_mut().find_map(|micro_op| match micro_op {
            MicroOp::Poll(polled) => polled.as_mut(),
            MicroOp::Send { .. } => None,
        });
        let polled = polled.unwrap();
        let known = polled.iter().position(|(k, _)| k.0 == key);
        let at = known.unwrap_or_else(|| {
            polled.push((Key(key), Vec::new()));
            polled.len() - 1
        });
        &mut polled[at].1
    }

    /// Sets what one process's poll returned, found by a value that it holds now.
    pub(crate) fn set_records(
        &mut self,
        process: u64,
        key: u64,
        value: i64,
        records: &[(u64, i64)],
    ) -> usize {
        let end = self.polled(process, key, value);
        *self.records(end, key) = records.iter().copied().map(record).collect();
        end
    }

    /// Values that no poll returns any more, for the outcomes named.
    pub(crate) fn drop_reads(&mut self, key: u64, values: &[i64], outcomes: &[Kind]) {
        for operation in &mut self.operations {
            let Action::MicroOps(_, micro_ops) = &mut operation.action else {
                continue;
            };
            if !outcomes.contains(&operation.kind) {
                continue;
            }
            for micro_op in micro_ops {
                if let MicroOp::Poll(Some(polled)) = micro_op {
                    for (_, records) in polled.iter_mut().filter(|(k, _)| k.0 == key) {
                        records.retain(|record| !values.contains(&record.value.0));
                    }
                    // As a client does: a key without records is left out.
                    polled.retain(|(_, records)| !records.is_empty());
                }
            }
        }
    }

    /// A record behind the one with value `after`, for every poll that returned that one last.
    pub(crate) fn append_reads(&mut self, key: u64, after: i64, added: (u64, i64)) {
        for end in 0..self.operations.len() {
            let last = records_of(&self.operations[end], key).last();
            if last.is_some_and(|record| record.value.0 == after) {
                self.records(end, key).push(record(added));
            }
        }
    }

    /// Two values of a key whose senders change places; the log stays as it was.
    pub(crate) fn swap_sends(&mut self, key: u64, first: i64, second: i64) {
        let told = [self.told(key, first), self.told(key, second)];
        for operation in &mut self.operations {
            let is_begin = operation.kind == Kind::Invoke;
            let Action::MicroOps(_, micro_ops) = &mut operation.action else {
                continue;
            };
            for micro_op in micro_ops {
                if let MicroOp::Send {
                    key: k,
                    offset,
                    value,
                } = micro_op
                    && k.0 == key
                    && [first, second].contains(&value.0)
                {
                    let (new, at) = if value.0 == first {
                        (second, told[1])
                    } else {
                        (first, told[0])
                    };
                    *value = Value(new);
                    *offset = at.filter(|_| !is_begin);
                }
            }
        }
    }

    /// What the sender was told of a value's place.
    pub(crate) fn set_told(&mut self, key: u64, value: i64, told: u64) {
        let end = self.sent(key, value);
        let Action::MicroOps(_, micro_ops) = &mut self.operations[end].action else {
            panic!("operation {end} does not send");
        };
        for micro_op in micro_ops {
            if let MicroOp::Send {
                key: k,
                offset,
                value: v,
            } = micro_op
                && (k.0, v.0) == (key, value)
            {
                *offset = Some(Offset(told));
            }
        }
    }

    /// The operation that ends at `end` happens behind `later` instead.
    pub(crate) fn move_behind(&mut self, end: usize, later: usize) {
        let begin = self.begin_of(end);
        let moved = [self.operations[begin].clone(), self.operations[end].clone()];
        self.insert_behind(later, moved);
        self.operations.remove(end);
        self.operations.remove(begin);
        self.renumber();
    }

    /// Operations that happen behind another.
    pub(crate) fn insert_behind(
        &mut self,
        position: usize,
        added: impl IntoIterator<Item = Operation>,
    ) {
        let time = self.operations[position].time;
        let added = added.into_iter().map(|mut operation| {
            operation.time = time;
            operation
        });
        let at = position + 1;
        self.operations.splice(at..at, added.collect::<Vec<_>>());
        self.renumber();
    }

    /// The history without one event.
    pub(crate) fn remove(&mut self, position: usize) {
        self.operations.remove(position);
        self.renumber();
    }

    fn renumber(&mut self) {
        for (position, operation) in self.operations.iter_mut().enumerate() {
            operation.index = index(position);
        }
    }
}

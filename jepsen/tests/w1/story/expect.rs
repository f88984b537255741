//! What a checker has to say of the history as it stands now.

use std::collections::BTreeMap;

use ottla_jepsen::history::{Action, Key, Kind, MicroOp, Process, Record, Value};
use ottla_jepsen::w1::{Anomaly, Class, Counts, Dependency, Evidence, Sighting, Step};
use ottla_jepsen::w1::{Verdict, Word};

use super::{Story, index, micro_ops, position, record, records_of};

fn sighting(record: Record) -> Sighting {
    Sighting {
        offset: Some(record.offset),
        value: record.value,
    }
}

impl Story {
    fn expect(&mut self, class: Class, evidence: Evidence) {
        // What a run may show is a property of the class alone, except with groups.
        let allowed = matches!(class.name().as_bytes(), [b'G', b'0' | b'1', ..])
            && class != Class::G1a
            || class == Class::IntSendSkip;
        self.anomalies.push(Anomaly {
            class,
            allowed,
            evidence,
        });
    }

    /// Records of a key, and the operations that show them.
    pub(crate) fn expect_records(
        &mut self,
        class: Class,
        key: u64,
        records: &[(u64, i64)],
        operations: &[usize],
    ) {
        let evidence = Evidence::Records {
            key: Key(key),
            records: records.iter().copied().map(record).map(sighting).collect(),
            operations: operations.iter().copied().map(index).collect(),
        };
        self.expect(class, evidence);
    }

    /// Two records that follow each other in one or two operations, `delta` apart in the log.
    pub(crate) fn expect_pair(
        &mut self,
        class: Class,
        key: u64,
        pair: [(u64, i64); 2],
        operations: &[usize],
        delta: i64,
    ) {
        let evidence = Evidence::Pair {
            key: Key(key),
            records: pair.map(record).map(sighting),
            operations: operations.iter().copied().map(index).collect(),
            delta,
        };
        self.expect(class, evidence);
    }

    /// Operations by their ends, each with the reason why it comes before the next.
    pub(crate) fn expect_cycle(&mut self, class: Class, steps: &[(usize, Dependency)]) {
        let step = |&(position, before_next): &(usize, Dependency)| Step {
            operation: index(position),
            before_next,
        };
        let cycle = steps.iter().map(step).collect();
        self.expect(class, Evidence::Cycle { cycle });
    }

    /// A committed value that nobody read, although `bound`, the last that anybody read, comes later.
    pub(crate) fn expect_lost(&mut self, key: u64, value: i64, bound: i64) {
        let offset = self.told(key, value).unwrap().0;
        let operations = [self.sent(key, value), self.first_read(key, bound)];
        self.expect_records(Class::LostWrite, key, &[(offset, value)], &operations);
    }

    /// Acknowledged values of a key that nobody read.
    pub(crate) fn expect_unseen(&mut self, key: u64, values: &[i64]) {
        let sighting = |value: &i64| Sighting {
            offset: self.told(key, *value),
            value: Value(*value),
        };
        let mut operations: Vec<_> = values.iter().map(|v| index(self.sent(key, *v))).collect();
        operations.dedup();
        let evidence = Evidence::Records {
            key: Key(key),
            records: values.iter().map(sighting).collect(),
            operations,
        };
        self.expect(Class::Unseen, evidence);
    }

    /// A skip, within an operation or between two, wherever a process polled `before` and next `after`.
    pub(crate) fn expect_skips(&mut self, key: u64, before: i64, after: i64, delta: i64) {
        let place = |value| {
            let record = self.place(key, value).unwrap();
            (record.offset.0, record.value.0)
        };
        let pair = [place(before), place(after)];
        let mut last_read: BTreeMap<u64, (i64, usize)> = BTreeMap::new();
        let mut found = Vec::new();
        for operation in &self.operations {
            let Process::Client(process) = operation.process else {
                continue;
            };
            if let (Action::Assign(keys), Kind::Ok) = (&operation.action, operation.kind)
                && !keys.contains(&Key(key))
            {
                last_read.remove(&process);
            }
            let end = position(operation);
            let values: Vec<i64> = records_of(operation, key).map(|r| r.value.0).collect();
            for _ in values.windows(2).filter(|pair| **pair == [before, after]) {
                found.push((Class::IntPollSkip, vec![end]));
            }
            if let Some((last, last_end)) = last_read.get(&process)
                && *last == before
                && values.first() == Some(&after)
            {
                found.push((Class::PollSkip, vec![*last_end, end]));
            }
            if let (Some(last), Kind::Ok) = (values.last(), operation.kind) {
                last_read.insert(process, (*last, end));
            }
        }
        for (class, operations) in found {
            self.expect_pair(class, key, pair, &operations, delta);
        }
    }

    /// A key whose order nobody knows.
    pub(crate) fn expect_no_order(&mut self, key: u64) {
        self.keys_without_order.push(Key(key));
    }

    /// Polls may pass over values after all.
    pub(crate) fn allow(&mut self, class: Class) {
        let found = self.anomalies.iter_mut().filter(|a| a.class == class);
        found.for_each(|anomaly| anomaly.allowed = true);
    }

    /// The verdict that the history deserves.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut anomalies = self.anomalies.clone();
        anomalies.sort();
        let is_valid = anomalies.iter().all(|anomaly| anomaly.allowed);
        Verdict {
            verdict: if is_valid { Word::Valid } else { Word::Invalid },
            doubt: None,
            counts: self.counts(),
            keys_without_order: self.keys_without_order.clone(),
            anomalies,
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let mut acknowledged = Vec::new();
        let mut read = Vec::new();
        let mut keys = Vec::new();
        for operation in &self.operations {
            if !matches!(operation.process, Process::Client(_)) {
                continue;
            }
            counts.operations += usize::from(operation.kind == Kind::Invoke);
            for micro_op in micro_ops(operation) {
                match (micro_op, operation.kind) {
                    (MicroOp::Send { key, value, .. }, kind) => {
                        keys.push(*key);
                        match kind {
                            Kind::Invoke => {}
                            Kind::Ok => acknowledged.push((*key, *value)),
                            Kind::Fail => counts.failed += 1,
                            Kind::Info => counts.ambiguous += 1,
                        }
                    }
                    (MicroOp::Poll(polled), kind) => {
                        for (key, records) in polled.iter().flatten() {
                            keys.push(*key);
                            let values = records.iter().map(|record| (*key, record.value));
                            read.extend(values.filter(|_| kind == Kind::Ok));
                        }
                    }
                }
            }
        }
        keys.sort();
        keys.dedup();
        read.sort();
        read.dedup();
        counts.keys = keys.len();
        counts.acknowledged = acknowledged.len();
        counts.read = read.len();
        counts.unseen = acknowledged
            .iter()
            .filter(|sent| !read.contains(sent))
            .count();
        counts
    }
}

//! What a history says about each value and each key's log.
//!
//! - A value is known by its position in [`Facts::values`]; all references between facts are such positions.
//! - `first_rank <= last_rank`, both set or none: the ranks of the first and last offset that hold the value.

use std::collections::{BTreeMap, HashMap};

use super::verdict::Doubt;
use crate::history::{Attempt, Key, MicroOp, Offset, Outcome, Value};

/// All that the checks need to know.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) attempts: &'a [Attempt],
    pub(super) values: Vec<ValueFacts>,
    pub(super) logs: BTreeMap<Key, Log>,
    ids: HashMap<(Key, Value), usize>,
}

/// What is known of one value; operations are positions in [`Facts::attempts`].
#[derive(Debug)]
pub(super) struct ValueFacts {
    pub(super) key: Key,
    pub(super) value: Value,
    pub(super) writer: Option<usize>,
    /// The first ok operation that polled it.
    pub(super) read_by_ok: Option<usize>,
    /// The operation of any outcome that polled it and ended first.
    pub(super) read_first: Option<usize>,
    pub(super) first_rank: Option<usize>,
    pub(super) last_rank: Option<usize>,
    /// The offset of the last rank; before it is known, where the writer says the value went.
    pub(super) offset: Option<Offset>,
}

impl ValueFacts {
    /// Whether it was acknowledged and no ok operation read it.
    pub(super) fn is_unseen(&self, facts: &Facts<'_>) -> bool {
        let outcome = self.writer.map(|writer| facts.attempts[writer].outcome);
        outcome == Some(Outcome::Ok) && self.read_by_ok.is_none()
    }
}

/// One key's log, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// By offset, then value; each pair once, with the first operation that showed it.
    pub(super) entries: Vec<Entry>,
    /// Two values stand at one offset: there is no order to judge by.
    pub(super) is_conflicted: bool,
}

/// A value seen at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) offset: Offset,
    pub(super) value: usize,
    pub(super) seen_by: usize,
}

impl<'a> Facts<'a> {
    /// Three passes: who sent, who polled, and where what must have committed stands.
    pub(super) fn gather(attempts: &'a [Attempt]) -> Result<Self, Doubt> {
        let mut facts = Self {
            attempts,
            values: Vec::new(),
            logs: BTreeMap::new(),
            ids: HashMap::new(),
        };
        for (position, attempt) in attempts.iter().enumerate() {
            facts.note_sends(position, attempt)?;
        }
        for (position, attempt) in attempts.iter().enumerate() {
            facts.note_polls(position, attempt);
        }
        for (position, attempt) in attempts.iter().enumerate() {
            if facts.is_committed(attempt) {
                facts.note_offsets(position, attempt);
            }
        }
        facts.order_logs();
        Ok(facts)
    }

    /// The facts of a value that the history names.
    pub(super) fn value(&self, key: Key, value: Value) -> Option<&ValueFacts> {
        self.values.get(*self.ids.get(&(key, value))?)
    }

    /// Whether an operation's sends are in the log for good: it said so, or one of them was seen there.
    pub(super) fn is_committed(&self, attempt: &Attempt) -> bool {
        match attempt.outcome {
            Outcome::Ok => true,
            Outcome::Fail => false,
            Outcome::Info => attempt.micro_ops().iter().any(|micro_op| match micro_op {
                MicroOp::Send { key, value, .. } => self
                    .value(*key, *value)
                    .is_some_and(|facts| facts.read_by_ok.is_some()),
                MicroOp::Poll(_) => false,
            }),
        }
    }

    /// Whether a key's log has an order to judge by.
    pub(super) fn has_order(&self, key: Key) -> bool {
        self.logs.get(&key).is_some_and(|log| !log.is_conflicted)
    }

    /// The rank that stands for a value: its last, as in the public checker.
    pub(super) fn rank(&self, key: Key, value: Value) -> Option<usize> {
        self.value(key, value)?.last_rank
    }

    fn id(&mut self, key: Key, value: Value) -> usize {
        let next = self.values.len();
        let id = *self.ids.entry((key, value)).or_insert(next);
        if id == next {
            self.values.push(ValueFacts {
                key,
                value,
                writer: None,
                read_by_ok: None,
                read_first: None,
                first_rank: None,
                last_rank: None,
                offset: None,
            });
        }
        id
    }

    fn note_sends(&mut self, position: usize, attempt: &Attempt) -> Result<(), Doubt> {
        for micro_op in attempt.micro_ops() {
            let MicroOp::Send { key, offset, value } = micro_op else {
                continue;
            };
            let id = self.id(*key, *value);
            let facts = &mut self.values[id];
            facts.offset = *offset;
            if let Some(writer) = facts.writer.replace(position) {
                return Err(Doubt::SentTwice {
                    key: *key,
                    value: *value,
                    operations: [self.attempts[writer].index(), attempt.index()],
                });
            }
        }
        Ok(())
    }

    fn note_polls(&mut self, position: usize, attempt: &Attempt) {
        for (key, records) in attempt.polled() {
            for record in records {
                let id = self.id(key, record.value);
                let attempts = self.attempts;
                let facts = &mut self.values[id];
                if attempt.outcome == Outcome::Ok {
                    facts.read_by_ok.get_or_insert(position);
                }
                let earlier = facts.read_first.unwrap_or(position);
                let ends_first = attempt.index() < attempts[earlier].index();
                facts.read_first = Some(if ends_first { position } else { earlier });
                self.see(key, record.offset, id, position);
            }
        }
    }

    fn note_offsets(&mut self, position: usize, attempt: &Attempt) {
        for micro_op in attempt.micro_ops() {
            if let MicroOp::Send {
                key,
                offset: Some(offset),
                value,
            } = micro_op
            {
                let id = self.id(*key, *value);
                self.see(*key, *offset, id, position);
            }
        }
    }

    fn see(&mut self, key: Key, offset: Offset, value: usize, seen_by: usize) {
        let entries = &mut self.logs.entry(key).or_default().entries;
        entries.push(Entry {
            offset,
            value,
            seen_by,
        });
    }

    /// Sorts the sightings and numbers the offsets that hold a value.
    fn order_logs(&mut self) {
        for log in self.logs.values_mut() {
            log.entries.sort_unstable();
            log.entries
                .dedup_by_key(|entry| (entry.offset, entry.value));
            let mut rank = 0;
            let mut last_offset = None;
            for entry in &log.entries {
                match last_offset {
                    Some(last) if last == entry.offset => log.is_conflicted = true,
                    Some(_) => rank += 1,
                    None => {}
                }
                last_offset = Some(entry.offset);
                let facts = &mut self.values[entry.value];
                facts.first_rank.get_or_insert(rank);
                facts.last_rank = Some(rank);
                facts.offset = Some(entry.offset);
            }
        }
    }
}

//! Beginnings joined with their ends: what a checker looks at.
//!
//! A [`History`] holds the operations of clients in the order in which they began. Everything that makes a history
//! unjudgeable (a gap in the indexes, time that goes back, a process that does two things at once or comes back
//! after its end, an end that does not fit its beginning) is refused while it is built.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::file::{ReadError, Reader};
use super::{Action, Index, Key, Kind, MicroOp, Note, Operation, Process, Record, Value};

/// When something happened: the order is that of the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The event's position in the history.
    pub index: Index,
    /// Nanoseconds since the start of the run.
    pub time: u64,
}

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It took effect.
    Ok,
    /// It had no effect.
    Fail,
    /// Nobody knows; also if it never ended.
    Info,
}

/// A client's operation from beginning to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its beginning.
    pub invoked: Moment,
    /// Its end, if it ended.
    pub completed: Option<Moment>,
    /// What became of it.
    pub outcome: Outcome,
    /// The client.
    pub process: u64,
    /// What it did, as its end told it; as its beginning told it if it never ended.
    pub action: Action,
    /// Keys that the client gained or lost meanwhile.
    pub rebalanced: Vec<Key>,
}

impl Attempt {
    /// The event that tells most of it: its end, or its beginning if it never ended.
    pub fn index(&self) -> Index {
        self.completed.unwrap_or(self.invoked).index
    }

    /// Its parts; none if it neither sends nor polls.
    pub fn micro_ops(&self) -> &[MicroOp] {
        match &self.action {
            Action::MicroOps(_, micro_ops) => micro_ops,
            Action::Assign(_) | Action::Subscribe(_) | Action::Crash | Action::Other(..) => &[],
        }
    }

    /// What it polled, in order.
    pub fn polled(&self) -> impl Iterator<Item = (Key, &[Record])> {
        let polls = self
            .micro_ops()
            .iter()
            .filter_map(|micro_op| match micro_op {
                MicroOp::Poll(polled) => polled.as_ref(),
                MicroOp::Send { .. } => None,
            });
        polls
            .flatten()
            .map(|(key, records)| (*key, records.as_slice()))
    }
}

/// The operations of all clients, in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    attempts: Vec<Attempt>,
}

impl History {
    /// Reads a file, whose name says its format.
    ///
    /// # Errors
    /// The first line that is no operation, or that contradicts an earlier one.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut reader = Reader::open(path)?;
        let mut builder = HistoryBuilder::default();
        while let Some(operation) = reader.next().transpose()? {
            let line = reader.line();
            builder
                .push(operation)
                .map_err(|source| ReadError::Disorder { line, source })?;
        }
        Ok(builder.finish())
    }

    /// Each operation once.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }
}

/// Why an operation cannot stand where it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DisorderError {
    /// A line is missing, or it stands twice.
    #[error("index {found:?} where {expected:?} is due")]
    Index {
        /// The next index.
        expected: Index,
        /// What stands there.
        found: Index,
    },
    /// Events stand in real-time order.
    #[error("time {found} after {before}")]
    Time {
        /// The time of the line before.
        before: u64,
        /// What stands there.
        found: u64,
    },
    /// One thing at a time.
    #[error("process {process} begins something while something is open")]
    AlreadyOpen {
        /// Who.
        process: u64,
    },
    /// An end needs a beginning.
    #[error("process {process} ends something that it did not begin")]
    NotOpen {
        /// Who.
        process: u64,
    },
    /// An unknown outcome, or `:end-process?`, ends a process.
    #[error("process {process} comes back after its end")]
    Ended {
        /// Who.
        process: u64,
    },
    /// The end speaks of something else than the beginning.
    #[error("what process {process} ends is not what it began")]
    Different {
        /// Who.
        process: u64,
    },
}

/// Joins beginnings and ends as they come.
#[derive(Debug, Default)]
pub struct HistoryBuilder {
    attempts: Vec<Attempt>,
    open: HashMap<u64, usize>,
    ended: HashSet<u64>,
    next_index: u64,
    last_time: u64,
}

impl HistoryBuilder {
    /// Adds the next event.
    ///
    /// # Errors
    /// What it contradicts; the builder is of no use then.
    pub fn push(&mut self, operation: Operation) -> Result<(), DisorderError> {
        let moment = self.moment(&operation)?;
        let Process::Client(process) = operation.process else {
            return Ok(());
        };
        if self.ended.contains(&process) {
            return Err(DisorderError::Ended { process });
        }
        match operation.kind {
            Kind::Invoke => self.begin(process, moment, operation),
            Kind::Ok => self.end(process, moment, Outcome::Ok, operation),
            Kind::Fail => self.end(process, moment, Outcome::Fail, operation),
            Kind::Info => self.end(process, moment, Outcome::Info, operation),
        }
    }

    /// What is still open stays of unknown outcome.
    pub fn finish(self) -> History {
        History {
            attempts: self.attempts,
        }
    }

    fn moment(&mut self, operation: &Operation) -> Result<Moment, DisorderError> {
        let expected = Index(self.next_index);
        if operation.index != expected {
            let found = operation.index;
            return Err(DisorderError::Index { expected, found });
        }
        if operation.time < self.last_time {
            return Err(DisorderError::Time {
                before: self.last_time,
                found: operation.time,
            });
        }
        self.next_index += 1;
        self.last_time = operation.time;
        Ok(Moment {
            index: operation.index,
            time: operation.time,
        })
    }

    fn begin(
        &mut self,
        process: u64,
        invoked: Moment,
        operation: Operation,
    ) -> Result<(), DisorderError> {
        if self.open.insert(process, self.attempts.len()).is_some() {
            return Err(DisorderError::AlreadyOpen { process });
        }
        self.attempts.push(Attempt {
            invoked,
            completed: None,
            outcome: Outcome::Info,
            process,
            action: operation.action,
            rebalanced: Vec::new(),
        });
        Ok(())
    }

    fn end(
        &mut self,
        process: u64,
        completed: Moment,
        outcome: Outcome,
        operation: Operation,
    ) -> Result<(), DisorderError> {
        let open = self.open.remove(&process);
        let attempt = open.and_then(|position| self.attempts.get_mut(position));
        let attempt = attempt.ok_or(DisorderError::NotOpen { process })?;
        if !is_same(&attempt.action, &operation.action) {
            return Err(DisorderError::Different { process });
        }
        attempt.completed = Some(completed);
        attempt.outcome = outcome;
        attempt.action = operation.action;
        let mut ends_process = outcome == Outcome::Info;
        for note in operation.notes {
            match note {
                Note::RebalanceLog(rebalances) => {
                    attempt.rebalanced = rebalances.into_iter().flatten().collect();
                }
                Note::EndProcess(ends) => ends_process |= ends,
                Note::Error(_) | Note::SeekToBeginning(_) | Note::Other(..) => {}
            }
        }
        if ends_process {
            self.ended.insert(process);
        }
        Ok(())
    }
}

/// Whether an end speaks of what its beginning asked for; what was learnt meanwhile may differ.
fn is_same(asked: &Action, told: &Action) -> bool {
    match (asked, told) {
        (Action::MicroOps(asked_verb, asked), Action::MicroOps(told_verb, told)) => {
            asked_verb == told_verb
                && asked.len() == told.len()
                && asked.iter().map(sent).eq(told.iter().map(sent))
        }
        (Action::Assign(asked), Action::Assign(told))
        | (Action::Subscribe(asked), Action::Subscribe(told)) => asked == told,
        (Action::Crash, Action::Crash) => true,
        (Action::Other(asked, _), Action::Other(told, _)) => asked == told,
        _ => false,
    }
}

fn sent(micro_op: &MicroOp) -> Option<(Key, Value)> {
    match micro_op {
        MicroOp::Send { key, value, .. } => Some((*key, *value)),
        MicroOp::Poll(_) => None,
    }
}

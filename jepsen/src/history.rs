//! The history of a run: what clients asked, what they were told, and when.
//!
//! A history is a sequence of [`Operation`]s in real-time order. Its file form is Jepsen's, so that others can judge
//! the same run with their own tools: one EDN map a line, or one JSON object a line.
//!
//! - `index` is dense from 0 and `time` never goes back: [`History`] refuses anything else.
//! - A process has one open operation; after `info` (or `:end-process?`) its number never comes back, because a
//!   process stands for one producer and consumer.
//! - Bad input is an error with its line; nothing here panics on what a file holds.
//!
//! The types are apart from those of the log on purpose: the judge shares no code with the judged.

mod attempt;
mod codec;
mod datum;
mod edn;
mod file;
mod json;
#[cfg(test)]
mod tests;

pub use attempt::{Attempt, DisorderError, History, HistoryBuilder, Moment, Outcome};
pub use codec::Problem;
pub use datum::{Datum, Name};
pub use edn::SyntaxError;
pub use file::{Format, ReadError, Reader, Writer};

/// A partition by its number in the history; which topic it is, only the harness knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Key(pub u64);

/// The position of a record in one key's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Offset(pub u64);

/// What a record holds; a key never gets the same value twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Value(pub i64);

/// The position of an operation in its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Index(pub u64);

/// One event: an operation begins, or it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Its position in the history.
    pub index: Index,
    /// Nanoseconds since the start of the run.
    pub time: u64,
    /// Beginning or end.
    pub kind: Kind,
    /// Who did it.
    pub process: Process,
    /// What was done: Jepsen's `:f` and `:value`.
    pub action: Action,
    /// The optional fields, in the order of the file.
    pub notes: Vec<Note>,
}

/// Whether an operation begins, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It begins.
    Invoke,
    /// It took effect.
    Ok,
    /// It had no effect and never will.
    Fail,
    /// Nobody knows: it may take effect at any later time, or never.
    Info,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Process {
    /// One producer and consumer.
    Client(u64),
    /// Anything else, such as `:nemesis`: kept in the file, not judged.
    Other(Name),
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Replaces the consumer's partitions by these.
    Assign(Vec<Key>),
    /// Subscribes to the topics of these; the group decides who gets which.
    Subscribe(Vec<Key>),
    /// Sends and polls.
    MicroOps(Verb, Vec<MicroOp>),
    /// The client was thrown away.
    Crash,
    /// What nobody judges: a fault, or a look at the cluster.
    Other(Name, Datum),
}

/// Which micro-operations an operation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Sends only.
    Send,
    /// Polls only.
    Poll,
    /// Both, in one transaction if the run has transactions.
    Txn,
}

/// A part of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MicroOp {
    /// A record for one key; its offset as far as it is known.
    Send {
        /// Where to.
        key: Key,
        /// Where it went.
        offset: Option<Offset>,
        /// What.
        value: Value,
    },
    /// What a poll returned by key; `None` if it never ran.
    Poll(Option<Vec<(Key, Vec<Record>)>>),
}

/// A record as a consumer saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Where.
    pub offset: Offset,
    /// What.
    pub value: Value,
}

/// An optional field of an operation.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// Why it failed, or why nobody knows.
    Error(Datum),
    /// The keys of each rebalance that happened during the operation.
    RebalanceLog(Vec<Vec<Key>>),
    /// The assignment starts at the beginning of its keys.
    SeekToBeginning(bool),
    /// The process ends although its operation's outcome is known.
    EndProcess(bool),
    /// A field that nothing here reads.
    Other(Name, Datum),
}

//! What can be wrong with a history, and what shows it.

use serde::{Serialize, Serializer};

use crate::history::{Index, Key, Offset, Value};

/// The kinds of anomaly, worst first; the spelling is that of Jepsen's Kafka workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A polled value that nobody sent.
    Phantom,
    /// A committed value that no ok operation read, at or before one that was read.
    LostWrite,
    /// One offset of a key holds two values.
    InconsistentOffsets,
    /// One value stands at two offsets of a key.
    Duplicate,
    /// Aborted read: an ok operation polled a value whose send failed.
    G1a,
    /// A transaction polled what it sent itself.
    PrecommittedRead,
    /// A poll ended before the send of what it returned began.
    FutureRead,
    /// Within one operation, a poll passes over a value.
    IntPollSkip,
    /// Within one operation, a poll does not go forward.
    IntNonmonotonicPoll,
    /// Between two operations of a process, polling passes over a value.
    PollSkip,
    /// Between two operations of a process, polling does not go forward.
    NonmonotonicPoll,
    /// Within one operation, sends do not go forward.
    IntNonmonotonicSend,
    /// Between two operations of a process, sends do not go forward.
    NonmonotonicSend,
    /// Acknowledged values that no ok operation read: lost, or late.
    Unseen,
    /// Within one operation, others' values stand between its sends.
    IntSendSkip,
    /// A cycle of writes in the order of the logs.
    G0,
    /// A cycle of writes and reads.
    G1c,
    /// A cycle of writes, and of what one process did in order.
    G0Process,
    /// A cycle of writes, reads, and of what one process did in order.
    G1cProcess,
    /// A cycle of writes and real time.
    G0Realtime,
    /// A cycle of writes, reads and real time.
    G1cRealtime,
}

impl Class {
    /// Every class, worst first.
    pub const ALL: [Self; 21] = [
        Self::Phantom,
        Self::LostWrite,
        Self::InconsistentOffsets,
        Self::Duplicate,
        Self::G1a,
        Self::PrecommittedRead,
        Self::FutureRead,
        Self::IntPollSkip,
        Self::IntNonmonotonicPoll,
        Self::PollSkip,
        Self::NonmonotonicPoll,
        Self::IntNonmonotonicSend,
        Self::NonmonotonicSend,
        Self::Unseen,
        Self::IntSendSkip,
        Self::G0,
        Self::G1c,
        Self::G0Process,
        Self::G1cProcess,
        Self::G0Realtime,
        Self::G1cRealtime,
    ];

    /// The spelling in reports and in the results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Phantom => "phantom",
            Self::LostWrite => "lost-write",
            Self::InconsistentOffsets => "inconsistent-offsets",
            Self::Duplicate => "duplicate",
            Self::G1a => "G1a",
            Self::PrecommittedRead => "precommitted-read",
            Self::FutureRead => "future-read",
            Self::IntPollSkip => "int-poll-skip",
            Self::IntNonmonotonicPoll => "int-nonmonotonic-poll",
            Self::PollSkip => "poll-skip",
            Self::NonmonotonicPoll => "nonmonotonic-poll",
            Self::IntNonmonotonicSend => "int-nonmonotonic-send",
            Self::NonmonotonicSend => "nonmonotonic-send",
            Self::Unseen => "unseen",
            Self::IntSendSkip => "int-send-skip",
            Self::G0 => "G0",
            Self::G1c => "G1c",
            Self::G0Process => "G0-process",
            Self::G1cProcess => "G1c-process",
            Self::G0Realtime => "G0-realtime",
            Self::G1cRealtime => "G1c-realtime",
        }
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Anomaly {
    /// Its kind.
    pub class: Class,
    /// Whether the rules of the run let it pass.
    pub allowed: bool,
    /// What shows it.
    #[serde(flatten)]
    pub evidence: Evidence,
}

impl Anomaly {
    /// An anomaly that is not allowed, until the rules are asked.
    pub(super) fn new(class: Class, evidence: Evidence) -> Self {
        Self {
            class,
            allowed: false,
            evidence,
        }
    }
}

/// What shows an anomaly; an operation is named by the index of its end (of its beginning if it never ended).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Evidence {
    /// Records of one key, and the operations that sent or saw them.
    Records {
        /// The key.
        key: Key,
        /// Where which value was seen.
        records: Vec<Sighting>,
        /// Who sent or saw them.
        operations: Vec<Index>,
    },
    /// Two values of one key that follow each other in a process and not in the log.
    Pair {
        /// The key.
        key: Key,
        /// The two, as they followed each other.
        records: [Sighting; 2],
        /// The two operations, or one if both stand in it.
        operations: Vec<Index>,
        /// The rank of the second less that of the first; 1 would be right.
        delta: i64,
    },
    /// Each operation must come before the next, and the last before the first.
    Cycle {
        /// The steps.
        cycle: Vec<Step>,
    },
}

/// A value at an offset, if one is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sighting {
    /// Where.
    pub offset: Option<Offset>,
    /// What.
    pub value: Value,
}

/// One operation of a cycle, and why it comes before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// The operation.
    pub operation: Index,
    /// Why the next one comes later.
    pub before_next: Dependency,
}

/// Why one operation comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dependency {
    /// Its value stands before the other's in a log.
    Ww,
    /// The other read its value.
    Wr,
    /// The same process did the other later.
    Process,
    /// It ended before the other began.
    Realtime,
}

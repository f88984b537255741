//! The verdict: what was found, what the rules let pass, and how much the history held.

use std::io::{self, Write};

use serde::Serialize;

use super::anomaly::{Anomaly, Class};
use super::facts::Facts;
use crate::history::{Action, Attempt, Index, Key, MicroOp, Outcome, Value};

/// What a run was promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What the producers waited for.
    pub acks: Acks,
}

/// What a producer waits for before it calls a record sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acks {
    /// All in-sync replicas: nothing acknowledged may be lost.
    #[default]
    All,
    /// The leader, which may be deposed: acknowledged records may be lost, but not once they were read.
    Leader,
    /// Nothing.
    None,
}

impl Rules {
    /// Whether the run may show this.
    fn allow(self, class: Class, uses_groups: bool) -> bool {
        match class {
            // Without isolation of writes, the sends of concurrent clients interleave in any order.
            Class::IntSendSkip
            | Class::G0
            | Class::G1c
            | Class::G0Process
            | Class::G1cProcess
            | Class::G0Realtime
            | Class::G1cRealtime => true,
            // A group moves keys between its members while they poll.
            Class::PollSkip | Class::NonmonotonicPoll => uses_groups,
            Class::LostWrite | Class::Unseen => self.acks != Acks::All,
            Class::Phantom
            | Class::InconsistentOffsets
            | Class::Duplicate
            | Class::G1a
            | Class::PrecommittedRead
            | Class::FutureRead
            | Class::IntPollSkip
            | Class::IntNonmonotonicPoll
            | Class::IntNonmonotonicSend
            | Class::NonmonotonicSend => false,
        }
    }
}

/// The verdict in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Nothing that the rules forbid.
    Valid,
    /// Something that they forbid.
    Invalid,
    /// The history proves nothing.
    Unknown,
}

/// Why a history proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// A value of a key was sent twice, so nobody can tell its copies apart: a bug of the workload.
    #[error("the value {} was sent twice to key {}", value.0, key.0)]
    SentTwice {
        /// The key.
        key: Key,
        /// The value.
        value: Value,
        /// Who sent it.
        operations: [Index; 2],
    },
    /// No ok operation polled anything.
    #[error("nothing was read")]
    NothingRead,
}

/// How much the history held. `acknowledged`, `ambiguous` and `failed` count values that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Operations of clients.
    pub operations: usize,
    /// Keys that were named by a send or a poll.
    pub keys: usize,
    /// Sent, and said to be there.
    pub acknowledged: usize,
    /// Sent, and nobody knows.
    pub ambiguous: usize,
    /// Sent, and said not to be there.
    pub failed: usize,
    /// Different values that an ok operation polled.
    pub read: usize,
    /// Acknowledged and not read.
    pub unseen: usize,
}

/// What a history shows. `Display` prints it for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// In a word.
    pub verdict: Word,
    /// Why it proves nothing, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// How much there was.
    pub counts: Counts,
    /// Keys with two values at one offset: what needs an order was not judged there.
    pub keys_without_order: Vec<Key>,
    /// What was found, by class, then key.
    pub anomalies: Vec<Anomaly>,
}

impl Verdict {
    pub(super) fn new(facts: &Facts<'_>, mut anomalies: Vec<Anomaly>, rules: Rules) -> Self {
        let uses_groups = facts
            .attempts
            .iter()
            .any(|attempt| matches!(attempt.action, Action::Subscribe(_)));
        for anomaly in &mut anomalies {
            anomaly.allowed = rules.allow(anomaly.class, uses_groups);
        }
        anomalies.sort_unstable();
        let counts = count(facts);
        let doubt = (counts.read == 0).then_some(Doubt::NothingRead);
        let verdict = if anomalies.iter().any(|anomaly| !anomaly.allowed) {
            Word::Invalid
        } else if doubt.is_some() {
            Word::Unknown
        } else {
            Word::Valid
        };
        let conflicted = facts.logs.iter().filter(|(_, log)| log.is_conflicted);
        Self {
            verdict,
            doubt,
            counts,
            keys_without_order: conflicted.map(|(key, _)| *key).collect(),
            anomalies,
        }
    }

    /// The verdict on a history that nobody can judge.
    pub(super) fn unknown(attempts: &[Attempt], doubt: Doubt) -> Self {
        Self {
            verdict: Word::Unknown,
            doubt: Some(doubt),
            counts: Counts {
                operations: attempts.len(),
                ..Counts::default()
            },
            keys_without_order: Vec::new(),
            anomalies: Vec::new(),
        }
    }

    /// Writes the verdict as one JSON object on several lines.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write_json<W: Write>(&self, mut sink: W) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut sink, self)?;
        sink.write_all(b"\n")
    }
}

fn count(facts: &Facts<'_>) -> Counts {
    let mut counts = Counts {
        operations: facts.attempts.len(),
        ..Counts::default()
    };
    for attempt in facts.attempts {
        let is_send = |micro_op: &&MicroOp| matches!(micro_op, MicroOp::Send { .. });
        let sends = attempt.micro_ops().iter().filter(is_send).count();
        match attempt.outcome {
            Outcome::Ok => counts.acknowledged += sends,
            Outcome::Info => counts.ambiguous += sends,
            Outcome::Fail => counts.failed += sends,
        }
    }
    let mut keys: Vec<_> = facts.values.iter().map(|value| value.key).collect();
    keys.sort_unstable();
    keys.dedup();
    counts.keys = keys.len();
    let is_read = facts.values.iter().filter(|v| v.read_by_ok.is_some());
    counts.read = is_read.count();
    counts.unseen = facts.values.iter().filter(|v| v.is_unseen(facts)).count();
    counts
}

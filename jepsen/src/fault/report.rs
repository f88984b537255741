//! What a run showed, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::w1::{Verdict, Word};

/// The outcome of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What repeats the run's choices.
    pub seed: u64,
    /// How long clients worked, in milliseconds.
    pub worked_ms: u64,
    /// Faults by name, each with how often it was done.
    pub faults: BTreeMap<String, u64>,
    /// How often another node became the leader of a partition.
    pub leader_changes: u64,
    /// By how much leader epochs rose.
    pub epoch_rises: u64,
    /// How often a follower dropped records that its leader did not have.
    pub truncations: u64,
    /// Positions that a node said to be outside of its log.
    pub out_of_range: u64,
    /// How long the cluster took to become whole after the last fault, in milliseconds; none if it never did.
    pub recovered_ms: Option<u64>,
    /// What broke a promise besides the operations.
    pub problems: Vec<String>,
    /// What should have happened and did not: such a run proves too little.
    pub not_covered: Vec<&'static str>,
    /// What the checker says.
    pub verdict: Verdict,
}

impl Report {
    /// Whether nothing is wrong and enough happened.
    pub fn is_valid(&self) -> bool {
        self.verdict.verdict == Word::Valid
            && self.problems.is_empty()
            && self.not_covered.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        let worked = Duration::from_millis(self.worked_ms);
        let rate = u128::try_from(self.verdict.counts.operations).unwrap_or_default() * 1000
            / worked.as_millis().max(1);
        writeln!(
            f,
            "\nseed {}, {worked:.1?}, {rate} operations a second",
            self.seed
        )?;
        for (fault, count) in &self.faults {
            writeln!(f, "fault: {fault}, {count} times")?;
        }
        writeln!(
            f,
            "leader changes: {}, leader epochs rose by {}, truncations: {}, positions out of range: {}",
            self.leader_changes, self.epoch_rises, self.truncations, self.out_of_range
        )?;
        match self.recovered_ms {
            Some(millis) => writeln!(f, "whole again {millis} ms after the last fault")?,
            None => writeln!(f, "never whole again after the last fault")?,
        }
        for problem in &self.problems {
            writeln!(f, "PROBLEM: {problem}")?;
        }
        for missing in &self.not_covered {
            writeln!(f, "NOT SHOWN: the run had no {missing}")?;
        }
        writeln!(
            f,
            "result: {}",
            if self.is_valid() { "valid" } else { "INVALID" }
        )
    }
}

//! How often each kind of event happened: a history in which nothing happens shows nothing.

use std::collections::BTreeMap;
use std::fmt;

/// The kinds that a run has to have seen, in the order in which they are printed.
pub(super) const KINDS: &[&str] = &[
    "produce acknowledged by all",
    "produce acknowledged by the leader",
    "produce refused or unclear",
    "consumer read",
    "records deleted",
    "election",
    "election from the ELR",
    "election of the preferred",
    "election, unclean",
    "partition without a leader",
    "ISR shrink",
    "ISR expansion",
    "truncation of a batch or more",
    "log begun anew behind its leader",
    "first batch with the log start inside",
    "controller change",
    "proposal with unclear outcome",
    "snapshot installed",
    "process killed",
    "lost page cache",
    "disk replaced",
    "failed sync",
    "clean stop",
    "restart",
    "process paused",
    "link cut",
    "broker fenced",
    "controlled shutdown",
    "duplicated RPC",
    "delayed RPC",
    "lost RPC",
    "index files lost",
];

/// Counts by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    pub(super) fn add(&mut self, kind: &'static str) {
        debug_assert!(KINDS.contains(&kind), "{kind}");
        *self.0.entry(kind).or_default() += 1;
    }

    pub(super) fn of(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Adds another history's counts.
    pub(super) fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.0 {
            *self.0.entry(kind).or_default() += count;
        }
    }

    /// The kinds that never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        let kinds = KINDS.iter().copied();
        kinds.filter(|kind| self.of(kind) == 0).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in KINDS {
            writeln!(f, "  {:>12}  {kind}", self.of(kind))?;
        }
        Ok(())
    }
}

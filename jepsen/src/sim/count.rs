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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    kinds: &'static [&'static str],
    counts: BTreeMap<&'static str, u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self::of_kinds(KINDS)
    }
}

impl Counts {
    /// Nothing has happened yet.
    pub(super) const fn of_kinds(kinds: &'static [&'static str]) -> Self {
        Self {
            kinds,
            counts: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, kind: &'static str) {
        debug_assert!(self.kinds.contains(&kind), "{kind}");
        *self.counts.entry(kind).or_default() += 1;
    }

    pub(super) fn of(&self, kind: &str) -> u64 {
        self.counts.get(kind).copied().unwrap_or(0)
    }

    /// Adds another history's counts.
    pub(super) fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(kind).or_default() += count;
        }
    }

    /// The kinds that never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        let kinds = self.kinds.iter().copied();
        kinds.filter(|kind| self.of(kind) == 0).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in self.kinds {
            writeln!(f, "  {:>12}  {kind}", self.of(kind))?;
        }
        Ok(())
    }
}

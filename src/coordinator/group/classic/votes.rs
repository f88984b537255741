//! Which protocols the members of a group have in common, and which one they take.
//!
//! - A protocol is a candidate if every member names it; a name twice counts once.
//! - Whoever joins names a protocol that all others name, so a group with members always has a candidate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::coordinator::group::request::Protocol;

/// How many members name each protocol.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes {
    speakers: BTreeMap<Arc<str>, usize>,
}

impl Votes {
    /// A member that speaks `protocols` comes.
    pub(super) fn add(&mut self, protocols: &[Protocol]) {
        for name in names(protocols) {
            *self.speakers.entry(name).or_default() += 1;
        }
    }

    /// A member that spoke `protocols` goes.
    pub(super) fn remove(&mut self, protocols: &[Protocol]) {
        for name in names(protocols) {
            if let Some(speakers) = self.speakers.get_mut(&name) {
                *speakers -= 1;
                if *speakers == 0 {
                    self.speakers.remove(&name);
                }
            }
        }
    }

    /// Whether all `members` members name the protocol.
    pub(super) fn are_all_for(&self, name: &str, members: usize) -> bool {
        self.speakers.get(name).copied().unwrap_or_default() == members
    }

    /// The protocol with the most votes, where each of the `members` votes for the first candidate that it names. Of
    /// two with as many votes it is the first by name, so that every reader of the same log decides the same.
    pub(super) fn choose<'a>(
        &self,
        members: usize,
        ballots: impl Iterator<Item = &'a [Protocol]>,
    ) -> Option<Arc<str>> {
        let mut votes: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for protocols in ballots {
            let vote = protocols
                .iter()
                .find(|protocol| self.are_all_for(&protocol.name, members));
            if let Some(protocol) = vote {
                *votes.entry(Arc::clone(&protocol.name)).or_default() += 1;
            }
        }
        // The last of several greatest: in reverse order that is the first by name.
        let winner = votes.into_iter().rev().max_by_key(|(_, votes)| *votes);
        winner.map(|(name, _)| name)
    }
}

fn names(protocols: &[Protocol]) -> BTreeSet<Arc<str>> {
    protocols
        .iter()
        .map(|protocol| Arc::clone(&protocol.name))
        .collect()
}

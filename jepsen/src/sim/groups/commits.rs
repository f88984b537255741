//! C2: what was committed, acknowledged, deleted or too old, and what a fetch may tell.
//!
//! Every operation has a number, and the offset that is committed is the number of its commit: what is greater is later.

use std::collections::{BTreeMap, BTreeSet};

use ottla::coordinator::group::names::GroupId;
use ottla::coordinator::group::record::OffsetValue;
use ottla::coordinator::group::request::TopicPartition;

use crate::sim::check::Violation;

/// An offset's group and partition.
pub(super) type Key = (GroupId, TopicPartition);

/// What the committed log said about an offset, from a step on.
#[derive(Clone, Debug)]
struct Said {
    step: u64,
    commit: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct Offset {
    said: Vec<Said>,
    /// What the log says now.
    value: Option<OffsetValue>,
    /// The last commit that was acknowledged.
    acknowledged: u64,
    /// The last operation that may have deleted it.
    deleted: u64,
    /// The last commit that the log let go, and was allowed to.
    gone: u64,
}

/// All offsets.
#[derive(Debug, Default)]
pub(super) struct Commits {
    offsets: BTreeMap<Key, Offset>,
    /// Refused for certain.
    refused: BTreeSet<u64>,
    /// In the log, and committed.
    written: BTreeSet<u64>,
}

/// What a fetch has to reach: as things were when it was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    step: u64,
    acknowledged: u64,
}

fn broken(key: &Key, text: &str) -> Violation {
    let (group, of) = key;
    Violation::new(
        "C2",
        format!("{group} {}-{}: {text}", of.topic, of.partition),
    )
}

fn number(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}

impl Commits {
    /// A commit is asked for.
    pub(super) fn asked(&mut self, key: Key) {
        self.offsets.entry(key).or_default();
    }

    /// The log says so. What it lets go an operation has deleted, or it was allowed to expire.
    pub(super) fn said(
        &mut self,
        step: u64,
        key: &Key,
        value: Option<&OffsetValue>,
        may_expire: impl FnOnce(&OffsetValue) -> bool,
    ) -> Result<(), Violation> {
        let commit = value.map(|value| number(value.offset));
        if let Some(commit) = commit {
            if self.refused.contains(&commit) {
                return Err(broken(
                    key,
                    &format!("the refused commit {commit} is in the log"),
                ));
            }
            self.written.insert(commit);
        }
        let offset = self.offsets.entry(key.clone()).or_default();
        offset.said.push(Said { step, commit });
        let before = std::mem::replace(&mut offset.value, value.cloned());
        if let Some(before) = before.filter(|_| value.is_none()) {
            let last = number(before.offset);
            if offset.deleted < last && !may_expire(&before) {
                let text =
                    format!("the log lets the commit {last} go, which is of use: {before:?}");
                return Err(broken(key, &text));
            }
            offset.gone = offset.gone.max(last);
        }
        Ok(())
    }

    pub(super) fn acknowledged(&mut self, key: &Key, commit: u64) -> Result<(), Violation> {
        if !self.written.contains(&commit) {
            return Err(broken(
                key,
                &format!("the commit {commit} is acknowledged, and not committed"),
            ));
        }
        let offset = self.offsets.entry(key.clone()).or_default();
        offset.acknowledged = offset.acknowledged.max(commit);
        Ok(())
    }

    pub(super) fn refused(&mut self, key: &Key, commit: u64) -> Result<(), Violation> {
        if self.written.contains(&commit) {
            return Err(broken(
                key,
                &format!("the commit {commit} is refused, and in the log"),
            ));
        }
        self.refused.insert(commit);
        Ok(())
    }

    /// The operation may delete these.
    pub(super) fn may_delete(&mut self, operation: u64, is_concerned: impl Fn(&Key) -> bool) {
        let offsets = self.offsets.iter_mut();
        for (_, offset) in offsets.filter(|(key, _)| is_concerned(key)) {
            offset.deleted = operation;
        }
    }

    /// The offsets of a group that the log ever spoke of, or that were acknowledged.
    pub(super) fn keys(&self, group: &GroupId) -> Vec<Key> {
        let keys = self.offsets.keys();
        keys.filter(|key| key.0 == *group).cloned().collect()
    }

    pub(super) fn floor(&self, step: u64, key: &Key) -> Floor {
        let offset = self.offsets.get(key);
        Floor {
            step,
            acknowledged: offset.map_or(0, |offset| offset.acknowledged),
        }
    }

    /// A fetch that was asked at `floor` is told this.
    pub(super) fn fetched(
        &self,
        key: &Key,
        floor: Floor,
        told: Option<i64>,
    ) -> Result<(), Violation> {
        let told = told.map(number);
        let nothing = Offset::default();
        let offset = self.offsets.get(key).unwrap_or(&nothing);
        let acknowledged = floor.acknowledged;
        if told.is_some_and(|told| told < acknowledged) {
            let text = format!("{told:?} is fetched after {acknowledged} was acknowledged");
            return Err(broken(key, &text));
        }
        if told.is_none() && acknowledged > offset.gone {
            let text = format!("nothing is fetched after {acknowledged} was acknowledged");
            return Err(broken(key, &text));
        }
        // What the log said when the question came, and everything since.
        let before = offset.said.iter().rev().find(|said| said.step < floor.step);
        let before = before.and_then(|said| said.commit);
        let since = offset.said.iter().rev();
        let mut since = since.take_while(|said| said.step >= floor.step);
        if before != told && !since.any(|said| said.commit == told) {
            let text = format!("{told:?} is fetched, which the log did not say meanwhile");
            return Err(broken(key, &text));
        }
        Ok(())
    }
}

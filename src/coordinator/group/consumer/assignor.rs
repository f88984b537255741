//! Who is to read what: the assignors of the broker.
//!
//! - Each partition of each subscribed topic goes to exactly one of the topic's subscribers, and nothing else goes
//!   to anybody (C1).
//! - The answer is a function of the question: maps and sets are ordered, ties are broken by name.

mod mixed;
mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::group::Assignor;
use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::request::Partitions;
use crate::metadata::{PartitionIndex, TopicId};

/// What each member is to read.
pub(super) type Assignment = BTreeMap<MemberId, Partitions>;

/// A member that wants to read.
#[derive(Debug)]
pub(super) struct Subscriber<'a> {
    /// If it is a static one.
    pub(super) instance: Option<&'a InstanceId>,
    /// What it subscribed to, as far as it exists.
    pub(super) topics: Arc<BTreeSet<TopicId>>,
    /// What it was to read so far.
    pub(super) target: Option<&'a Partitions>,
}

/// Members, and how many partitions there are of what they read.
#[derive(Debug, Default)]
pub(super) struct Subscribers<'a> {
    /// By name.
    pub(super) members: BTreeMap<MemberId, Subscriber<'a>>,
    /// Of every topic that a member subscribed to.
    pub(super) partition_counts: BTreeMap<TopicId, usize>,
}

/// Answers with an assignor.
pub(super) fn assign(assignor: Assignor, subscribers: &Subscribers<'_>) -> Assignment {
    match assignor {
        Assignor::Uniform if subscribers.want_the_same() => uniform::assign(subscribers),
        Assignor::Uniform => mixed::assign(subscribers),
        Assignor::Range => range::assign(subscribers),
    }
}

impl Subscribers<'_> {
    /// Whether all members read the same topics.
    fn want_the_same(&self) -> bool {
        let mut members = self.members.values();
        let Some(first) = members.next() else {
            return true;
        };
        members.all(|member| {
            Arc::ptr_eq(&member.topics, &first.topics) || member.topics == first.topics
        })
    }

    /// What of its old target each member may keep, and what is free then, in order.
    fn kept_and_free(&self) -> (Assignment, Vec<(TopicId, PartitionIndex)>) {
        let mut free: BTreeSet<(TopicId, PartitionIndex)> = self
            .partition_counts
            .iter()
            .flat_map(|(topic, count)| indexes(*count).map(|index| (*topic, index)))
            .collect();
        let mut kept = Assignment::new();
        for (id, member) in &self.members {
            let mut partitions = Partitions::new();
            for (topic, index) in each(member.target.into_iter().flatten()) {
                // Two members never have the same target; if the log says so, the first one keeps it.
                if member.topics.contains(&topic) && free.remove(&(topic, index)) {
                    partitions.entry(topic).or_default().insert(index);
                }
            }
            kept.insert(id.clone(), partitions);
        }
        (kept, free.into_iter().collect())
    }
}

/// The indexes of a topic's partitions.
fn indexes(count: usize) -> impl Iterator<Item = PartitionIndex> {
    (0..count).filter_map(PartitionIndex::from_position)
}

/// Partition by partition.
fn each<'a>(
    partitions: impl Iterator<Item = (&'a TopicId, &'a BTreeSet<PartitionIndex>)>,
) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
    partitions.flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
}

/// How many partitions these are.
fn count(partitions: &Partitions) -> usize {
    partitions.values().map(BTreeSet::len).sum()
}

/// Takes the last partition out.
fn pop(partitions: &mut Partitions) -> Option<(TopicId, PartitionIndex)> {
    let mut last = partitions.last_entry()?;
    let topic = *last.key();
    let index = last.get_mut().pop_last();
    if last.get().is_empty() {
        last.remove();
    }
    index.map(|index| (topic, index))
}

#[cfg(test)]
mod tests;

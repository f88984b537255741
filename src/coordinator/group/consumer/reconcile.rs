//! How a member comes from what it has to what it is to have.
//!
//! - C1: a partition is assigned only when nobody has it; a member that is told to give one up has it until it says
//!   that it has not.
//! - A member reaches the epoch of its target when it has given up what the target lacks, not before.
//! - An epoch never goes back, and the previous one is that before the last change of it: with an answer lost, the
//!   member shows up with it once more.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::group::record::ConsumerCurrentValue;
use crate::coordinator::group::request::Partitions;
use crate::metadata::{PartitionIndex, TopicId};

/// Kafka's number of [`MemberState::Stable`].
pub(super) const STABLE: i8 = 0;
const UNREVOKED_PARTITIONS: i8 = 1;
const UNRELEASED_PARTITIONS: i8 = 2;

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberState {
    /// It has its target, or was told so at least.
    Stable,
    /// It must give partitions up before anything else.
    UnrevokedPartitions,
    /// It waits for partitions that others have.
    UnreleasedPartitions,
    /// Written by a newer version.
    Unknown,
}

impl MemberState {
    /// The state that a record tells.
    pub(super) const fn of(current: &ConsumerCurrentValue) -> Self {
        match current.state {
            STABLE => Self::Stable,
            UNREVOKED_PARTITIONS => Self::UnrevokedPartitions,
            UNRELEASED_PARTITIONS => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// Where a member is to come.
pub(super) struct Goal<'a, F> {
    /// The epoch of the target.
    pub(super) epoch: i32,
    /// What it is to have.
    pub(super) target: &'a Partitions,
    /// The topics that it may read.
    pub(super) subscribed: &'a BTreeSet<TopicId>,
    /// What it says that it has, if it says so.
    pub(super) owned: Option<&'a Partitions>,
    /// Whether no other member has the partition.
    pub(super) is_free: F,
}

/// Whether there is nothing to do for a member.
pub(super) fn is_reconciled(current: &ConsumerCurrentValue, target_epoch: i32) -> bool {
    MemberState::of(current) == MemberState::Stable && current.epoch == target_epoch
}

/// One step of a member towards its goal; the same value if none is possible.
pub(super) fn step<F>(current: &ConsumerCurrentValue, goal: &Goal<'_, F>) -> ConsumerCurrentValue
where
    F: Fn(TopicId, PartitionIndex) -> bool,
{
    if is_reconciled(current, goal.epoch) {
        return current.clone();
    }
    let is_revoking = MemberState::of(current) == MemberState::UnrevokedPartitions;
    if is_revoking && owns_any(goal.owned, &current.revoking) {
        return without_unsubscribed(current, goal.subscribed);
    }
    let (kept, revoking) = split(&current.assigned, |topic, index| {
        has(goal.target, topic, index)
    });
    if owns_any(goal.owned, &revoking) {
        return ConsumerCurrentValue {
            state: UNREVOKED_PARTITIONS,
            assigned: kept,
            revoking,
            assigned_since: current.assigned_since.clone(),
            ..*current
        }
        .forgetting_what_is_gone();
    }
    advance(current, &kept, goal)
}

/// To the target's epoch, with all of the target that is free.
fn advance<F>(
    current: &ConsumerCurrentValue,
    kept: &Partitions,
    goal: &Goal<'_, F>,
) -> ConsumerCurrentValue
where
    F: Fn(TopicId, PartitionIndex) -> bool,
{
    let (assigned, unreleased) = split(goal.target, |topic, index| {
        has(kept, topic, index) || (goal.is_free)(topic, index)
    });
    let assigned_since = assigned.iter().map(|(topic, indexes)| {
        let before = current.assigned_since.get(topic);
        let since = indexes.iter().map(|index| {
            let before = before.and_then(|before| before.get(index)).copied();
            let before = before.filter(|_| has(kept, *topic, *index));
            (*index, before.unwrap_or(goal.epoch))
        });
        (*topic, since.collect())
    });
    ConsumerCurrentValue {
        epoch: goal.epoch,
        previous_epoch: if current.epoch == goal.epoch {
            current.previous_epoch
        } else {
            current.epoch
        },
        state: if unreleased.is_empty() {
            STABLE
        } else {
            UNRELEASED_PARTITIONS
        },
        assigned_since: assigned_since.collect(),
        assigned,
        revoking: Partitions::new(),
    }
}

/// What the member may not read any more joins what it gives up, so that it need not be told twice.
fn without_unsubscribed(
    current: &ConsumerCurrentValue,
    subscribed: &BTreeSet<TopicId>,
) -> ConsumerCurrentValue {
    let mut next = current.clone();
    next.assigned.retain(|topic, indexes| {
        let stays = subscribed.contains(topic);
        if !stays {
            let revoking = next.revoking.entry(*topic).or_default();
            revoking.append(indexes);
        }
        stays
    });
    next
}

/// Whether the member has any of `partitions`; who does not say has all of them.
fn owns_any(owned: Option<&Partitions>, partitions: &Partitions) -> bool {
    let Some(owned) = owned else {
        return !partitions.is_empty();
    };
    partitions.iter().any(|(topic, indexes)| {
        let owned = owned.get(topic);
        owned.is_some_and(|owned| !owned.is_disjoint(indexes))
    })
}

/// Whether a member that says it has `owned` has no more than `assigned`; who does not say may have anything.
pub(super) fn owns_only(owned: Option<&Partitions>, assigned: &Partitions) -> bool {
    let owned = owned.map(|owned| owned.iter().filter(|(_, indexes)| !indexes.is_empty()));
    owned.is_some_and(|mut owned| {
        owned.all(|(topic, indexes)| {
            let assigned = assigned.get(topic);
            assigned.is_some_and(|assigned| indexes.is_subset(assigned))
        })
    })
}

/// Whether a partition is among these.
pub(super) fn has(partitions: &Partitions, topic: TopicId, index: PartitionIndex) -> bool {
    let indexes = partitions.get(&topic);
    indexes.is_some_and(|indexes| indexes.contains(&index))
}

/// The partitions for which `is_first` holds, and the others.
fn split(
    partitions: &Partitions,
    is_first: impl Fn(TopicId, PartitionIndex) -> bool,
) -> (Partitions, Partitions) {
    let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
    for (topic, indexes) in partitions {
        let (these, those): (BTreeSet<_>, BTreeSet<_>) =
            indexes.iter().partition(|index| is_first(*topic, **index));
        if !these.is_empty() {
            first.insert(*topic, these);
        }
        if !those.is_empty() {
            second.insert(*topic, those);
        }
    }
    (first, second)
}

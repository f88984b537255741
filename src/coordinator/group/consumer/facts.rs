//! What the log says about a consumer group.
//!
//! - It is a function of the records: the same after each of them, live and after a load.
//! - Any records in any order make a value: compaction leaves the last record of each key, so that a member's
//!   assignment may come before the member.
//! - C1: a partition has one owner, the member whose current assignment has it or gives it up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::reconcile::STABLE;
use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::record::{
    ConsumerCurrentValue, ConsumerEpochValue, ConsumerMemberValue, ConsumerRegexValue,
    ConsumerTargetEpochValue, Fact,
};
use crate::coordinator::group::request::Partitions;
use crate::metadata::{PartitionIndex, TopicId};

/// The durable part of a consumer group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    epoch: Option<ConsumerEpochValue>,
    target_epoch: Option<ConsumerTargetEpochValue>,
    members: BTreeMap<MemberId, ConsumerMemberValue>,
    patterns: BTreeMap<Arc<str>, ConsumerRegexValue>,
    targets: BTreeMap<MemberId, Partitions>,
    currents: BTreeMap<MemberId, ConsumerCurrentValue>,
    /// Who has each instance id: follows from the members.
    instances: BTreeMap<InstanceId, MemberId>,
    /// Who has each partition: follows from the current assignments.
    owners: BTreeMap<TopicId, BTreeMap<PartitionIndex, MemberId>>,
}

impl Facts {
    /// Takes one fact in; those of other kinds of groups change nothing.
    pub(super) fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Offset(..) | Fact::Classic(_) => {}
            Fact::ConsumerEpoch(value) => self.epoch = value,
            Fact::ConsumerTargetEpoch(value) => self.target_epoch = value,
            Fact::ConsumerMember(id, value) => self.apply_member(id, value),
            Fact::ConsumerRegex(pattern, value) => put(&mut self.patterns, pattern, value),
            Fact::ConsumerTarget(id, value) => put(&mut self.targets, id, value),
            Fact::ConsumerCurrent(id, value) => self.apply_current(id, value),
        }
    }

    fn apply_member(&mut self, id: MemberId, value: Option<ConsumerMemberValue>) {
        let before = self.members.get(&id).and_then(|old| old.instance.clone());
        if let Some(instance) = before
            && self.instances.get(&instance) == Some(&id)
        {
            self.instances.remove(&instance);
        }
        if let Some(instance) = value.as_ref().and_then(|value| value.instance.clone()) {
            self.instances.insert(instance, id.clone());
        }
        put(&mut self.members, id, value);
    }

    fn apply_current(&mut self, id: MemberId, value: Option<ConsumerCurrentValue>) {
        if let Some(old) = self.currents.get(&id) {
            for (topic, indexes) in held(old) {
                let Some(owners) = self.owners.get_mut(topic) else {
                    continue;
                };
                for index in indexes {
                    if owners.get(index) == Some(&id) {
                        owners.remove(index);
                    }
                }
                if owners.is_empty() {
                    self.owners.remove(topic);
                }
            }
        }
        for (topic, indexes) in value.iter().flat_map(held) {
            let owners = self.owners.entry(*topic).or_default();
            owners.extend(indexes.iter().map(|index| (*index, id.clone())));
        }
        put(&mut self.currents, id, value);
    }

    /// Whether the log has anything about the group.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The group's epoch; 0 before the first.
    pub(super) fn epoch(&self) -> i32 {
        self.epoch.map_or(0, |value| value.epoch)
    }

    /// The hash of the topics at the group's epoch.
    pub(super) fn metadata_hash(&self) -> i64 {
        self.epoch.map_or(0, |value| value.metadata_hash)
    }

    /// The epoch of the target assignment; 0 before the first.
    pub(super) fn target_epoch(&self) -> i32 {
        self.target_epoch.map_or(0, |value| value.epoch)
    }

    /// Who is in the group.
    pub(super) const fn members(&self) -> &BTreeMap<MemberId, ConsumerMemberValue> {
        &self.members
    }

    /// A member.
    pub(super) fn member(&self, id: &MemberId) -> Option<&ConsumerMemberValue> {
        self.members.get(id)
    }

    /// Which member a static one is.
    pub(super) fn of_instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.instances.get(instance)
    }

    /// What the group's patterns mean.
    pub(super) const fn patterns(&self) -> &BTreeMap<Arc<str>, ConsumerRegexValue> {
        &self.patterns
    }

    /// What a member is to have.
    pub(super) fn target(&self, id: &MemberId) -> Option<&Partitions> {
        self.targets.get(id)
    }

    /// What a member has; nothing, in epoch 0, before its first assignment.
    pub(super) fn current(&self, id: &MemberId) -> &ConsumerCurrentValue {
        static NOTHING: ConsumerCurrentValue = ConsumerCurrentValue {
            epoch: 0,
            previous_epoch: 0,
            state: STABLE,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            assigned_since: BTreeMap::new(),
        };
        self.currents.get(id).unwrap_or(&NOTHING)
    }

    /// Who has a partition or is still to give it up.
    pub(super) fn owner(&self, topic: TopicId, index: PartitionIndex) -> Option<&MemberId> {
        self.owners.get(&topic)?.get(&index)
    }

    /// Whether a member subscribes to `pattern`.
    pub(super) fn is_pattern_used(&self, pattern: &str) -> bool {
        let mut members = self.members.values();
        members.any(|member| member.topics_regex.as_deref() == Some(pattern))
    }

    /// The patterns that members subscribe to, whether it is known what they mean or not.
    pub(super) fn used_patterns(&self) -> BTreeSet<&Arc<str>> {
        let patterns = self.members.values().map(|member| &member.topics_regex);
        patterns.flatten().collect()
    }

    /// The names of all topics that members subscribe to, whether they exist or not.
    pub(super) fn subscribed_topics(&self) -> BTreeSet<&Arc<str>> {
        let by_name = self.members.values().flat_map(|member| &member.topics);
        let patterns = self.used_patterns().into_iter();
        let resolved = patterns.filter_map(|text| self.patterns.get(text));
        by_name
            .chain(resolved.flat_map(|value| &value.topics))
            .collect()
    }

    /// What takes everything back, in the order in which nothing refers to what is gone.
    pub(super) fn tombstones(&self) -> Vec<Fact> {
        let ids = |keys: Vec<&MemberId>, fact: fn(MemberId) -> Fact| -> Vec<Fact> {
            keys.into_iter().cloned().map(fact).collect()
        };
        let mut facts = ids(self.currents.keys().collect(), |id| {
            Fact::ConsumerCurrent(id, None)
        });
        facts.extend(ids(self.targets.keys().collect(), |id| {
            Fact::ConsumerTarget(id, None)
        }));
        facts.extend(self.target_epoch.map(|_| Fact::ConsumerTargetEpoch(None)));
        facts.extend(ids(self.members.keys().collect(), |id| {
            Fact::ConsumerMember(id, None)
        }));
        let patterns = self.patterns.keys().cloned();
        facts.extend(patterns.map(|pattern| Fact::ConsumerRegex(pattern, None)));
        facts.extend(self.epoch.map(|_| Fact::ConsumerEpoch(None)));
        facts
    }
}

/// What a member has and what it is to give up.
fn held(
    value: &ConsumerCurrentValue,
) -> impl Iterator<Item = (&TopicId, &BTreeSet<PartitionIndex>)> {
    value.assigned.iter().chain(&value.revoking)
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => {
            map.insert(key, value);
        }
        None => {
            map.remove(&key);
        }
    }
}

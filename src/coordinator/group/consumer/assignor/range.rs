//! The range assignor: neighbouring partitions to a member, and the same ones of each topic.
//!
//! - Of topics that have the same subscribers and as many partitions, a member has the same partitions.
//! - Static members come first, in the order of their instances: their partitions stay when their member ids change.

use std::collections::BTreeMap;

use super::{Assignment, Subscriber, Subscribers};
use crate::coordinator::group::names::MemberId;
use crate::metadata::{PartitionIndex, TopicId};

/// Cuts each topic into ranges.
pub(super) fn assign(subscribers: &Subscribers<'_>) -> Assignment {
    let mut members: Vec<(&MemberId, &Subscriber<'_>)> = subscribers.members.iter().collect();
    members.sort_by_key(|(id, member)| (member.instance.is_none(), member.instance, *id));
    let mut members_of: BTreeMap<TopicId, Vec<&MemberId>> = BTreeMap::new();
    for (id, member) in &members {
        for topic in member.topics.iter() {
            members_of.entry(*topic).or_default().push(id);
        }
    }

    let ids = subscribers.members.keys().cloned();
    let mut assignment: Assignment = ids.map(|id| (id, BTreeMap::new())).collect();
    for (topic, ids) in members_of {
        let count = subscribers.partition_counts.get(&topic).copied();
        let count = count.unwrap_or(0);
        let (share, larger_shares) = (count / ids.len(), count % ids.len());
        let mut start = 0;
        for (position, id) in ids.into_iter().enumerate() {
            let end = start + share + usize::from(position < larger_shares);
            let range = (start..end).filter_map(PartitionIndex::from_position);
            if start < end
                && let Some(partitions) = assignment.get_mut(id)
            {
                partitions.insert(topic, range.collect());
            }
            start = end;
        }
    }
    assignment
}

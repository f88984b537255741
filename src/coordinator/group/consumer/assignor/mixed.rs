//! The uniform assignor for members that read different topics.
//!
//! - No partition could move to a subscriber that has two fewer than its member, unless the rounds ended before that.
//! - A partition moves only to make loads more even, or because its member may not read it any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{Assignment, Subscribers, count};
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::request::Partitions;
use crate::metadata::{PartitionIndex, TopicId};

/// How often all topics are gone through. Where subscriptions overlap but differ, a topic may become uneven again
/// while another one is made even. Each round makes the whole more even, so that it ends; this bounds what it may take.
const ROUNDS_MAX: usize = 16;

/// Shares as evenly as the subscriptions allow.
pub(super) fn assign(subscribers: &Subscribers<'_>) -> Assignment {
    let (kept, free) = subscribers.kept_and_free();
    let mut loads = Loads::new(subscribers, kept);
    let mut free_of: BTreeMap<TopicId, Vec<PartitionIndex>> = BTreeMap::new();
    for (topic, index) in free {
        free_of.entry(topic).or_default().push(index);
    }
    let order = topics_in_order(subscribers, &loads.subscribers);
    for topic in &order {
        loads.fill(*topic, free_of.remove(topic).unwrap_or_default());
    }
    for _ in 0..ROUNDS_MAX {
        let moved: usize = order.iter().map(|topic| loads.even_out(*topic)).sum();
        if moved == 0 {
            break;
        }
    }
    loads.into_assignment()
}

/// Topics with the most partitions for each subscriber first: what is read by few leaves the least choice.
fn topics_in_order(
    subscribers: &Subscribers<'_>,
    members_of: &BTreeMap<TopicId, Vec<usize>>,
) -> Vec<TopicId> {
    let count = |topic: &TopicId| subscribers.partition_counts.get(topic).copied();
    let count = |topic: &TopicId| count(topic).unwrap_or(0) as u128;
    let readers = |topic: &TopicId| members_of.get(topic).map_or(0, Vec::len) as u128;
    let mut order: Vec<TopicId> = members_of.keys().copied().collect();
    order.sort_by(|a, b| {
        let by_ratio = (count(b) * readers(a)).cmp(&(count(a) * readers(b)));
        by_ratio.then_with(|| readers(a).cmp(&readers(b)))
    });
    order
}

/// Who has how much, by the member's position.
#[derive(Debug)]
struct Loads {
    ids: Vec<MemberId>,
    held: Vec<Partitions>,
    counts: Vec<usize>,
    subscribers: BTreeMap<TopicId, Vec<usize>>,
}

impl Loads {
    fn new(subscribers: &Subscribers<'_>, kept: Assignment) -> Self {
        let mut members_of: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
        for (position, member) in subscribers.members.values().enumerate() {
            for topic in member.topics.iter() {
                members_of.entry(*topic).or_default().push(position);
            }
        }
        // Both maps have the same keys in the same order.
        let (ids, held): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        let counts = held.iter().map(count).collect();
        Self {
            ids,
            held,
            counts,
            subscribers: members_of,
        }
    }

    /// The topic's subscribers, the least loaded first.
    fn subscribers_by_load(&self, topic: TopicId) -> BTreeSet<(usize, usize)> {
        let positions = self.subscribers.get(&topic).into_iter().flatten();
        positions.map(|at| (self.counts[*at], *at)).collect()
    }

    /// Gives each partition to the least loaded subscriber.
    fn fill(&mut self, topic: TopicId, partitions: Vec<PartitionIndex>) {
        if partitions.is_empty() {
            return;
        }
        let mut takers = self.subscribers_by_load(topic);
        for index in partitions {
            let Some((count, at)) = takers.pop_first() else {
                return;
            };
            self.give(at, topic, index);
            takers.insert((count + 1, at));
        }
    }

    /// Moves partitions from the most to the least loaded subscribers; how many.
    fn even_out(&mut self, topic: TopicId) -> usize {
        let mut takers = self.subscribers_by_load(topic);
        let mut givers = takers.clone();
        givers.retain(|(_, at)| self.held[*at].contains_key(&topic));
        let mut moved = 0;
        loop {
            let (Some(most), Some(least)) = (givers.pop_last(), takers.pop_first()) else {
                return moved;
            };
            if most.0 < least.0 + 2 {
                return moved;
            }
            let Some(index) = self.take(most.1, topic) else {
                return moved;
            };
            self.give(least.1, topic, index);
            moved += 1;
            takers.remove(&most);
            takers.insert((most.0 - 1, most.1));
            if self.held[most.1].contains_key(&topic) {
                givers.insert((most.0 - 1, most.1));
            }
            givers.remove(&least);
            takers.insert((least.0 + 1, least.1));
            givers.insert((least.0 + 1, least.1));
        }
    }

    fn give(&mut self, at: usize, topic: TopicId, index: PartitionIndex) {
        self.held[at].entry(topic).or_default().insert(index);
        self.counts[at] += 1;
    }

    fn take(&mut self, at: usize, topic: TopicId) -> Option<PartitionIndex> {
        let indexes = self.held[at].get_mut(&topic)?;
        let index = indexes.pop_last()?;
        if indexes.is_empty() {
            self.held[at].remove(&topic);
        }
        self.counts[at] -= 1;
        Some(index)
    }

    fn into_assignment(self) -> Assignment {
        self.ids.into_iter().zip(self.held).collect()
    }
}

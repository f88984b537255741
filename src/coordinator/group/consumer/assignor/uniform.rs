//! The uniform assignor for members that read the same topics.
//!
//! - Two members differ by one partition at most.
//! - A partition moves only if its member has more than its share, or is gone.

use super::{Assignment, Subscribers, count, pop};
use crate::coordinator::group::names::MemberId;
use crate::metadata::{PartitionIndex, TopicId};

/// Shares evenly.
pub(super) fn assign(subscribers: &Subscribers<'_>) -> Assignment {
    let total: usize = subscribers.partition_counts.values().sum();
    let member_count = subscribers.members.len();
    let Some(share) = total.checked_div(member_count) else {
        return Assignment::new();
    };
    let mut larger_shares = total % member_count;
    let (mut assignment, mut free) = subscribers.kept_and_free();

    // Who has most gets the larger shares, so that the fewest partitions move.
    let mut by_count: Vec<(usize, MemberId)> = assignment
        .iter()
        .map(|(id, partitions)| (count(partitions), id.clone()))
        .collect();
    by_count.sort_by(|(a, a_id), (b, b_id)| b.cmp(a).then_with(|| a_id.cmp(b_id)));

    let mut rooms = Vec::new();
    for (held, id) in by_count {
        let is_larger = larger_shares > 0;
        larger_shares -= usize::from(is_larger);
        let share = share + usize::from(is_larger);
        if let Some(partitions) = assignment.get_mut(&id) {
            free.extend((share..held).filter_map(|_| pop(partitions)));
        }
        if held < share {
            rooms.push((share - held, id));
        }
    }
    deal(free, rooms, &mut assignment);
    assignment
}

/// Deals the free partitions round by round, so that a topic's partitions spread over the members.
fn deal(
    mut free: Vec<(TopicId, PartitionIndex)>,
    mut rooms: Vec<(usize, MemberId)>,
    assignment: &mut Assignment,
) {
    free.sort_unstable();
    let mut free = free.into_iter();
    while !rooms.is_empty() {
        for (room, id) in &mut rooms {
            let Some((topic, index)) = free.next() else {
                return;
            };
            if let Some(partitions) = assignment.get_mut(id) {
                partitions.entry(topic).or_default().insert(index);
            }
            *room -= 1;
        }
        rooms.retain(|(room, _)| *room > 0);
    }
}

//! The target assignment: what each member is to have in the end.
//!
//! - It is computed once for each epoch of the group, with the first heartbeat after it, by the assignor that most
//!   members ask for.
//! - Only what differs from the last one is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ConsumerGroup;
use super::assignor::{Assignment, Subscriber, Subscribers, assign};
use crate::config::group::{Assignor, ConsumerGroupConfig};
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::record::{ConsumerTargetEpochValue, Fact};
use crate::metadata::MetadataImage;

impl ConsumerGroup {
    /// Computes the target of the group's epoch, if that has not been done.
    pub(super) fn retarget(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        if self.facts.epoch() <= self.facts.target_epoch() {
            return;
        }
        let assignor = self.preferred_assignor(&cx.settings.consumer);
        for (id, partitions) in self.assignment(assignor, cx.image) {
            if self.facts.target(&id) != Some(&partitions) {
                self.write(Fact::ConsumerTarget(id, Some(partitions)), fx);
            }
        }
        let value = ConsumerTargetEpochValue {
            epoch: self.facts.epoch(),
            at: Some(cx.wall),
        };
        self.write(Fact::ConsumerTargetEpoch(Some(value)), fx);
    }

    /// The assignor that most members ask for; the first of the broker's if nobody asks, or of those that are level.
    pub(super) fn preferred_assignor(&self, settings: &ConsumerGroupConfig) -> Assignor {
        let votes = |assignor: Assignor| {
            let members = self.facts.members().values();
            let votes =
                members.filter(|member| member.assignor.as_deref() == Some(assignor.name()));
            votes.count()
        };
        // The last of equals is the greatest: from the back, so that the first one wins.
        let assignors = settings.assignors.iter().rev().copied();
        let preferred = assignors.max_by_key(|assignor| votes(*assignor));
        preferred.unwrap_or(Assignor::Uniform)
    }

    fn assignment(&self, assignor: Assignor, image: &MetadataImage) -> Assignment {
        let mut subscribers = Subscribers::default();
        // Most members of most groups subscribe to the same: each subscription is looked up once.
        let mut seen = BTreeMap::new();
        for (id, member) in self.facts.members() {
            let topics = seen.entry((&member.topics, &member.topics_regex));
            let topics: &Arc<BTreeSet<_>> =
                topics.or_insert_with(|| Arc::new(self.topics_of(member, image)));
            for topic in topics.iter() {
                let count = image.topics().by_id(*topic);
                let count = count.map_or(0, |topic| topic.partition_count());
                subscribers.partition_counts.insert(*topic, count);
            }
            subscribers.members.insert(
                id.clone(),
                Subscriber {
                    instance: member.instance.as_ref(),
                    topics: topics.clone(),
                    target: self.facts.target(id),
                },
            );
        }
        assign(assignor, &subscribers)
    }
}

//! A consumer group, as it is told to whoever asks.

use super::ConsumerGroup;
use super::reconcile::is_reconciled;
use crate::config::group::GroupConfig;
use crate::coordinator::group::classic::CONSUMER;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::record::ConsumerMemberValue;
use crate::coordinator::group::request::{ConsumerDescribed, ConsumerDescribedMember, Listed};

impl ConsumerGroup {
    /// The group with its members.
    pub fn describe(&self, settings: &GroupConfig) -> ConsumerDescribed {
        let members = self.facts.members().iter();
        ConsumerDescribed {
            state: self.state(),
            epoch: self.facts.epoch(),
            assignment_epoch: self.facts.target_epoch(),
            assignor: self.preferred_assignor(&settings.consumer).name().into(),
            members: members
                .map(|(id, member)| self.describe_member(id, member))
                .collect(),
        }
    }

    /// The group in a list.
    pub fn listed(&self) -> Listed {
        Listed {
            group: self.id.clone(),
            protocol_type: CONSUMER.into(),
            state: self.state(),
            kind: "consumer",
        }
    }

    fn state(&self) -> &'static str {
        let target_epoch = self.facts.target_epoch();
        let mut members = self.facts.members().keys();
        if self.is_empty() {
            "Empty"
        } else if self.facts.epoch() > target_epoch {
            "Assigning"
        } else if members.any(|id| !is_reconciled(self.facts.current(id), target_epoch)) {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    fn describe_member(
        &self,
        id: &MemberId,
        member: &ConsumerMemberValue,
    ) -> ConsumerDescribedMember {
        let current = self.facts.current(id);
        ConsumerDescribedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            rack: member.rack.clone(),
            epoch: current.epoch,
            client: member.client.clone(),
            topics: member.topics.clone(),
            topics_regex: member.topics_regex.clone(),
            assigned: current.assigned.clone(),
            target: self.facts.target(id).cloned().unwrap_or_default(),
            is_classic: member.classic.is_some(),
        }
    }
}

//! Members that go: they leave, or are fenced because they were silent or too slow.
//!
//! - Who is gone owns nothing, and nothing refers to it.
//! - A static member that leaves for a while keeps what it is to have, until it comes back or its session ends.

use super::{ConsumerGroup, LEAVE_FOR_A_WHILE, Timer};
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::record::{ConsumerCurrentValue, Fact};
use crate::coordinator::group::request::{ConsumerHeard, ConsumerHeartbeat, Partitions};

impl ConsumerGroup {
    /// A heartbeat that says goodbye.
    pub(super) fn leave(
        &mut self,
        cx: &Cx<'_>,
        heartbeat: &ConsumerHeartbeat,
        fx: &mut Effects,
    ) -> Result<ConsumerHeard, GroupError> {
        let member = &heartbeat.member;
        match &heartbeat.instance {
            Some(instance) => self.check_instance(instance, member)?,
            None if self.facts.member(member).is_none() => return Err(GroupError::UnknownMemberId),
            None => {}
        }
        if heartbeat.epoch == LEAVE_FOR_A_WHILE {
            self.leave_for_a_while(member, fx);
        } else {
            fx.note(format_args!("{member} has left"));
            self.fence(cx, std::slice::from_ref(member), fx);
        }
        Ok(ConsumerHeard {
            member: member.clone(),
            epoch: heartbeat.epoch,
            heartbeat_interval: std::time::Duration::ZERO,
            assignment: None,
        })
    }

    /// Whether `member` is the static member `instance`.
    pub(super) fn check_instance(
        &self,
        instance: &InstanceId,
        member: &MemberId,
    ) -> Result<(), GroupError> {
        match self.facts.of_instance(instance) {
            None => Err(GroupError::UnknownMemberId),
            Some(known) if known != member => Err(GroupError::FencedInstanceId),
            Some(_) => Ok(()),
        }
    }

    /// It has stopped reading: what it was to give up is free. The rest waits for it.
    fn leave_for_a_while(&mut self, id: &MemberId, fx: &mut Effects) {
        let current = ConsumerCurrentValue {
            epoch: LEAVE_FOR_A_WHILE,
            revoking: Partitions::new(),
            ..self.facts.current(id).clone()
        };
        let current = current.forgetting_what_is_gone();
        self.write(Fact::ConsumerCurrent(id.clone(), Some(current)), fx);
        self.timers.cancel(&(id.clone(), Timer::Rebalance));
    }

    /// These members are no more; the target follows with the next heartbeat of another one.
    pub(super) fn fence(&mut self, cx: &Cx<'_>, ids: &[MemberId], fx: &mut Effects) {
        let ids = ids.iter().filter(|id| self.facts.member(id).is_some());
        let ids: Vec<MemberId> = ids.cloned().collect();
        if ids.is_empty() {
            return;
        }
        for id in &ids {
            self.remove(id, fx);
            self.forget_timers(id);
        }
        // Were it to become a classic group with a new epoch, its members would be of an old generation and lose what
        // they have, instead of being told to join again.
        if !self.is_to_be_classic(cx.settings) {
            let metadata_hash = self.topics_hash(cx.image);
            self.begin_epoch(metadata_hash, fx);
        }
    }

    /// Takes everything about a member back.
    pub(super) fn remove(&mut self, id: &MemberId, fx: &mut Effects) {
        let pattern = self.facts.member(id);
        let pattern = pattern.and_then(|member| member.topics_regex.clone());
        for fact in [
            Fact::ConsumerCurrent(id.clone(), None),
            Fact::ConsumerTarget(id.clone(), None),
            Fact::ConsumerMember(id.clone(), None),
        ] {
            self.write(fact, fx);
        }
        if let Some(pattern) = pattern {
            self.drop_unused_pattern(&pattern, fx);
        }
    }
}

//! `JoinGroup`: who may be in the next generation, and whether there is to be one.
//!
//! The answer to a member without an id names `Join::new_member`, whatever it says.

use std::sync::Arc;
use std::time::Duration;

use super::member::{ClassicMember, Member};
use super::state::{Preparing, State};
use super::{ClassicGroup, Timer};
use crate::coordinator::group::effects::{Cx, Effects, Said};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::request::{AskId, Join, Joined, JoinedMember, Response};

/// How long a member may wait to join its first generation. It cannot send heartbeats meanwhile, and one without an id
/// that lost its connection comes again as somebody else: this is what ends its former self. Kafka's constant.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_mins(5);

/// Who may be about to join, having been given an id: whoever never comes with it is remembered for a whole session.
const PENDING_MAX: usize = 10_000;

impl ClassicGroup {
    /// A member wants to be in the next generation. It is answered now, or when that begins.
    pub fn join(&mut self, cx: &Cx<'_>, ask: AskId, join: &Join, fx: &mut Effects) {
        let outcome = if !self.has_room_for(cx, join) {
            self.turn_away(cx, join, fx);
            Err(GroupError::GroupMaxSizeReached)
        } else if !self.can_speak_with(join) {
            Err(GroupError::InconsistentGroupProtocol)
        } else if join.member.is_empty() {
            self.join_without_id(cx, ask, join, fx)
        } else {
            self.join_with_id(cx, ask, join, fx)
        };
        if let Err(error) = outcome {
            fx.answer(ask, Response::Join(Err(error)));
        }
    }

    /// Whether the group has room for who joins. Who has a place keeps it; while members join again, places are those
    /// of the first that come, which is how a group that is too large shrinks. Unlike Kafka we let a static member
    /// that comes back without its id have its own place. The group as a whole must fit a batch of the log.
    fn has_room_for(&self, cx: &Cx<'_>, join: &Join) -> bool {
        let own = match &join.instance {
            Some(instance) if join.member.is_empty() => self.members.of_instance(instance),
            _ => Some(&join.member),
        };
        let own = own.and_then(|id| self.members.get(id));
        let size_max = cx.settings.size_max;
        if self.members.bytes() + join.bytes() > cx.settings.event_bytes_max() {
            return false;
        }
        match self.state {
            State::Empty => true,
            State::Preparing(_) => {
                own.is_some_and(|member| member.joining.is_some())
                    || self.members.joining() < size_max
            }
            State::Completing | State::Stable => own.is_some() || self.members.len() < size_max,
        }
    }

    /// Who finds no room is in the group no more: it was too late to join again, or had but an id.
    fn turn_away(&mut self, cx: &Cx<'_>, join: &Join, fx: &mut Effects) {
        let id = &join.member;
        let is_own = self.members.check(id, join.instance.as_ref()).is_ok();
        if is_own || self.members.is_pending(id) {
            self.remove(id, fx);
            self.complete_join_if_all_are_there(cx, fx);
        }
    }

    /// Whether who joins has the group's protocol type, and a protocol in common with everybody in it.
    fn can_speak_with(&self, join: &Join) -> bool {
        if self.is_empty() {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        self.protocol_type == join.protocol_type && self.members.can_agree_with(&join.protocols)
    }

    fn join_without_id(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        join: &Join,
        fx: &mut Effects,
    ) -> Result<(), GroupError> {
        let id = join.new_member.clone();
        if let Some(instance) = &join.instance {
            return match self.members.of_instance(instance).cloned() {
                Some(old) => self.replace(cx, ask, &old, join, fx),
                None => self.add(cx, ask, &id, join, fx),
            };
        }
        if !join.must_know_id {
            return self.add(cx, ask, &id, join, fx);
        }
        if self.members.pending() >= PENDING_MAX {
            return Err(GroupError::GroupMaxSizeReached);
        }
        // Were it a member now, and its request repeated because the answer was lost, it would be there twice (KIP-394).
        let end = cx.now.saturating_add(join.session_timeout);
        self.timers.set(Timer::Session(id.clone()), end);
        self.members.add_pending(id);
        Err(GroupError::MemberIdRequired)
    }

    fn join_with_id(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        join: &Join,
        fx: &mut Effects,
    ) -> Result<(), GroupError> {
        if join.instance.is_none() && self.members.is_pending(&join.member) {
            return self.add(cx, ask, &join.member, join, fx);
        }
        self.members.check(&join.member, join.instance.as_ref())?;
        let member = self.members.get(&join.member);
        let member = member.ok_or(GroupError::UnknownMemberId)?;
        let is_as_before = member.known.protocols == join.protocols;
        let is_leader = self.members.is_leader(&join.member);
        let needs_no_generation = match self.state {
            // It missed the answer.
            State::Completing => is_as_before,
            // A leader that joins has seen something that asks for another assignment.
            State::Stable => is_as_before && !is_leader,
            State::Empty | State::Preparing(_) => false,
        };
        if needs_no_generation {
            let answer = self.joined(&join.member, is_leader);
            fx.answer(ask, Response::Join(Ok(answer)));
            return Ok(());
        }
        let known = ClassicMember::joining(join.member.clone(), join);
        self.members.update(known);
        self.park_join(&join.member, ask, fx);
        let (id, said) = (&join.member, Said(join.reason.as_deref()));
        self.rebalance_or_go_on(cx, format_args!("{id} joins again{said}"), fx);
        Ok(())
    }

    /// A member that was none.
    fn add(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        id: &MemberId,
        join: &Join,
        fx: &mut Effects,
    ) -> Result<(), GroupError> {
        let mut member = Member::new(ClassicMember::joining(id.clone(), join), true);
        member.joining = Some(ask);
        if !self.members.insert(member) {
            return Err(GroupError::UnknownMemberId);
        }
        self.protocol_type = Arc::clone(&join.protocol_type);
        if let State::Preparing(Preparing::Initial(delay)) = &mut self.state {
            delay.is_joined = true;
        }
        let end = cx.now.saturating_add(NEW_MEMBER_JOIN_TIMEOUT);
        self.timers.set(Timer::Session(id.clone()), end);
        let said = Said(join.reason.as_deref());
        self.rebalance_or_go_on(cx, format_args!("{id} joins{said}"), fx);
        Ok(())
    }

    /// A static member that comes back without its id (KIP-345). Its former self is fenced.
    fn replace(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        old: &MemberId,
        join: &Join,
        fx: &mut Effects,
    ) -> Result<(), GroupError> {
        let id = join.new_member.clone();
        if self.members.get(&id).is_some() {
            return Err(GroupError::UnknownMemberId);
        }
        let led_before = self.members.leader_id().cloned();
        let known = ClassicMember::joining(id.clone(), join);
        if let Some(former) = self.members.replace(old, known) {
            answer_parked(&former, &GroupError::FencedInstanceId, fx);
        }
        self.timers.cancel(&Timer::Session(old.clone()));
        self.refresh_session(cx, &id);
        let needs_no_generation =
            self.state == State::Stable && self.protocol == self.members.choose_protocol();
        if !needs_no_generation {
            self.park_join(&id, ask, fx);
            let why = format_args!("{id} takes the place of {old}");
            self.rebalance_or_go_on(cx, why, fx);
            return Ok(());
        }
        self.write(fx);
        let skip_assignment = self.members.is_leader(&id);
        let mut answer = self.joined(&id, skip_assignment);
        answer.skip_assignment = skip_assignment;
        if !join.knows_skipped_assignment {
            // It would assign if it heard that it leads, and nobody would hear of that: the others are not to join.
            answer.skip_assignment = false;
            answer.members.clear();
            answer.leader = led_before.unwrap_or(answer.leader);
        }
        fx.answer(ask, Response::Join(Ok(answer)));
        Ok(())
    }

    /// The member's earlier request that waits, if there is one, has lost its connection.
    fn park_join(&mut self, id: &MemberId, ask: AskId, fx: &mut Effects) {
        if let Some(before) = self.members.park_join(id, ask) {
            fx.answer(before, Response::Join(Err(GroupError::RebalanceInProgress)));
        }
    }

    /// What a member is told of the generation.
    pub(super) fn joined(&self, id: &MemberId, with_members: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = self.members.iter().map(|member| JoinedMember {
            member: member.known.member.clone(),
            instance: member.known.instance.clone(),
            metadata: member.known.metadata(&protocol),
        });
        Joined {
            generation: self.generation,
            protocol_type: Arc::clone(&self.protocol_type),
            leader: self
                .members
                .leader_id()
                .cloned()
                .unwrap_or_else(|| id.clone()),
            skip_assignment: false,
            member: id.clone(),
            members: if with_members {
                members.collect()
            } else {
                vec![]
            },
            protocol,
        }
    }

    /// A member goes: what it waited for does not come.
    pub(super) fn remove(&mut self, id: &MemberId, fx: &mut Effects) {
        self.timers.cancel(&Timer::Session(id.clone()));
        if let Some(member) = self.members.remove(id) {
            answer_parked(&member, &GroupError::UnknownMemberId, fx);
        }
    }
}

/// Refuses what the member waits for.
pub(super) fn answer_parked(member: &Member, error: &GroupError, fx: &mut Effects) {
    if let Some(ask) = member.joining {
        fx.answer(ask, Response::Join(Err(error.clone())));
    }
    if let Some(ask) = member.syncing {
        fx.answer(ask, Response::Sync(Err(error.clone())));
    }
}

//! Members of a consumer group that speak the classic protocol, while an application goes from the one to the other.
//!
//! - Such a member is moved by its join as the others are by their heartbeats: a generation is its epoch, and what it
//!   did not give up before it joined is what it has. Nobody is waited for: each answer is sent at once.
//! - It is told to join again when the group's epoch has risen, when it has given up what it was told to (which it
//!   does after it has got its assignment), or when what it waits for is free; and is fenced if it does not.
//! - It does not assign. Its answer names no leader.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_storage::time::MonoMillis;

use super::embedded::{self, Subscription};
use super::reconcile::MemberState;
use super::{ConsumerGroup, Timer};
use crate::coordinator::group::classic::CONSUMER;
use crate::coordinator::group::effects::{Cx, Effects, Said};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::record::{ConsumerClassicValue, ConsumerMemberValue};
use crate::coordinator::group::request::{
    AskId, Heartbeat, Identity, Join, Joined, Leave, Leaving, Protocol, Response, Sync, Synced,
};

impl ConsumerGroup {
    /// A member joins, or joins again.
    pub fn join(&mut self, cx: &Cx<'_>, ask: AskId, join: &Join, fx: &mut Effects) {
        let joined = self.join_classic(cx, join, fx);
        fx.answer(ask, Response::Join(joined));
    }

    /// A member asks for its assignment.
    pub fn sync(&mut self, cx: &Cx<'_>, ask: AskId, sync: &Sync, fx: &mut Effects) {
        let synced = self.sync_classic(cx, sync);
        fx.answer(ask, Response::Sync(synced));
    }

    /// A member is still there.
    pub fn classic_heartbeat(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        heartbeat: &Heartbeat,
        fx: &mut Effects,
    ) {
        let heard = self.hear_classic(cx, &heartbeat.by);
        fx.answer(ask, Response::Heartbeat(heard));
    }

    /// Members leave, or an operator removes them, whatever protocol they speak; each is answered by itself. Who is named
    /// twice has left both times.
    pub fn classic_leave(&mut self, cx: &Cx<'_>, ask: AskId, leave: &Leave, fx: &mut Effects) {
        let mut gone = BTreeSet::new();
        let answers = leave.members.iter().map(|leaving| {
            let id = self.find_leaving(leaving)?;
            let said = Said(leaving.reason.as_deref());
            fx.note(format_args!("{id} has left{said}"));
            gone.insert(id);
            Ok(())
        });
        let answers = answers.collect();
        let gone: Vec<MemberId> = gone.into_iter().collect();
        self.fence(cx, &gone, fx);
        fx.answer(ask, Response::Leave(Ok(answers)));
    }

    fn join_classic(
        &mut self,
        cx: &Cx<'_>,
        join: &Join,
        fx: &mut Effects,
    ) -> Result<Joined, GroupError> {
        let id = if join.member.is_empty() {
            &join.new_member
        } else {
            &join.member
        };
        let old = self.find_joining(join)?;
        if self.facts.member(old.as_ref().unwrap_or(id)).is_none() {
            self.check_size(cx)?;
        }
        let protocol = self.protocol_of(join)?;
        if join.member.is_empty() && join.instance.is_none() && join.must_know_id {
            return Err(GroupError::MemberIdRequired);
        }
        let said = embedded::subscription(&protocol.metadata, cx.image);
        let said = said.map_err(|_| GroupError::InconsistentGroupProtocol)?;
        let before = self.facts.member(old.as_ref().unwrap_or(id)).cloned();
        // It was fenced and does not know. Kafka takes it in as a new member, and so it reads what others have by now
        // until it asks for its assignment. This error makes it drop everything and join anew. Who joins without an id
        // has had it, and some static members repeat what they had even so: they would join for ever.
        if before.is_none() && said.claims_any && !join.member.is_empty() {
            return Err(GroupError::UnknownMemberId);
        }
        // Nothing is refused from here on.
        let wanted = wanted(before.as_ref(), join, &said);
        if let Some(old) = old.filter(|old| old != id) {
            self.replace(&old, id, fx);
        }
        let must_begin_epoch = self.update(cx, id, before.as_ref(), wanted, None, fx);
        // As when a member is fenced: the group that becomes a classic one stays at its epoch.
        if !self.is_to_be_classic(cx.settings) {
            self.refresh(cx, must_begin_epoch, fx);
            self.retarget(cx, fx);
        }
        self.reconcile(cx, id, Some(&said.owned), fx);
        self.watch_session(cx, id);
        self.timers.cancel(&(id.clone(), Timer::Join));
        let sync_by = cx.now.saturating_add(join.rebalance_timeout);
        self.timers.set((id.clone(), Timer::Sync), sync_by);
        Ok(Joined {
            generation: self.facts.current(id).epoch,
            protocol_type: CONSUMER.into(),
            protocol: protocol.name.clone(),
            leader: MemberId::from(""),
            skip_assignment: false,
            member: id.clone(),
            members: Vec::new(),
        })
    }

    /// Whose place a static member that joins takes, which may be its own; `None` for dynamic and for new ones.
    fn find_joining(&self, join: &Join) -> Result<Option<MemberId>, GroupError> {
        let Some(instance) = &join.instance else {
            return Ok(None);
        };
        if join.member.is_empty() {
            return Ok(self.facts.of_instance(instance).cloned());
        }
        self.check_instance(instance, &join.member)?;
        Ok(Some(join.member.clone()))
    }

    /// The protocol that a member is to use: its first one, if it has any in common with all others that are classic.
    fn protocol_of<'a>(&self, join: &'a Join) -> Result<&'a Protocol, GroupError> {
        let others = self.facts.members().values();
        let others = others.filter_map(|member| member.classic.as_ref());
        let others: Vec<_> = others.collect();
        let mut own = join.protocols.iter();
        let has_common = own.any(|protocol| {
            let mut others = others.iter();
            others.all(|other| other.protocols.iter().any(|it| it.name == protocol.name))
        });
        let first = join.protocols.first();
        first
            .filter(|_| has_common && &*join.protocol_type == CONSUMER)
            .ok_or(GroupError::InconsistentGroupProtocol)
    }

    fn sync_classic(&mut self, cx: &Cx<'_>, sync: &Sync) -> Result<Synced, GroupError> {
        let (member, classic) = self.find_classic(&sync.by)?;
        let current = self.facts.current(&sync.by.member);
        if current.epoch != sync.by.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let protocol = classic.protocols.first();
        let protocol = protocol.ok_or(GroupError::InconsistentGroupProtocol)?;
        let is_other =
            |said: &Option<Arc<str>>, is: &str| said.as_deref().is_some_and(|it| it != is);
        if is_other(&sync.protocol_type, CONSUMER) || is_other(&sync.protocol, &protocol.name) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let is_behind = self.facts.epoch() > current.epoch;
        let join_by = cx.now.saturating_add(member.rebalance_timeout);
        let synced = Synced {
            protocol_type: CONSUMER.into(),
            protocol: protocol.name.clone(),
            assignment: embedded::assignment(&current.assigned, &protocol.metadata, cx.image),
        };
        // Who is to give partitions up has joined already, and must be told which before it can join once more.
        if is_behind && MemberState::of(current) != MemberState::UnrevokedPartitions {
            self.must_join_by(&sync.by.member, join_by);
            return Err(GroupError::RebalanceInProgress);
        }
        self.timers.cancel(&(sync.by.member.clone(), Timer::Sync));
        self.watch_session(cx, &sync.by.member);
        Ok(synced)
    }

    fn hear_classic(&mut self, cx: &Cx<'_>, by: &Identity) -> Result<(), GroupError> {
        let (member, _) = self.find_classic(by)?;
        let join_by = cx.now.saturating_add(member.rebalance_timeout);
        let current = self.facts.current(&by.member);
        if current.epoch != by.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let must_join = current.epoch < self.facts.epoch()
            || match MemberState::of(current) {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => self.is_target_free(&by.member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        self.watch_session(cx, &by.member);
        if must_join {
            self.must_join_by(&by.member, join_by);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether nobody else has anything of what the member is to have.
    fn is_target_free(&self, id: &MemberId) -> bool {
        let mut target = self.facts.target(id).into_iter().flatten();
        target.all(|(topic, indexes)| {
            indexes.iter().all(|index| {
                let owner = self.facts.owner(*topic, *index);
                owner.is_none_or(|owner| owner == id)
            })
        })
    }

    /// Told to join again, the member has its time from the first time on.
    fn must_join_by(&mut self, id: &MemberId, at: MonoMillis) {
        let key = (id.clone(), Timer::Join);
        if self.timers.get(&key).is_none() {
            self.timers.set(key, at);
        }
    }

    fn find_classic(
        &self,
        by: &Identity,
    ) -> Result<(&ConsumerMemberValue, &ConsumerClassicValue), GroupError> {
        if let Some(instance) = &by.instance {
            self.check_instance(instance, &by.member)?;
        }
        let member = self.facts.member(&by.member);
        member
            .and_then(|member| Some((member, member.classic.as_ref()?)))
            .ok_or(GroupError::UnknownMemberId)
    }

    /// An operator may name a static member by its instance alone.
    fn find_leaving(&self, leaving: &Leaving) -> Result<MemberId, GroupError> {
        let id = match &leaving.instance {
            Some(instance) if leaving.member.is_empty() => {
                self.facts.of_instance(instance).cloned()
            }
            Some(instance) => {
                self.check_instance(instance, &leaving.member)?;
                Some(leaving.member.clone())
            }
            None => Some(leaving.member.clone()),
        };
        id.filter(|id| self.facts.member(id).is_some())
            .ok_or(GroupError::UnknownMemberId)
    }
}

/// What the member wants from now on. It keeps the assignor that it asked for when it spoke the new protocol.
fn wanted(
    known: Option<&ConsumerMemberValue>,
    join: &Join,
    said: &Subscription,
) -> ConsumerMemberValue {
    ConsumerMemberValue {
        instance: join.instance.clone(),
        rack: said.rack.clone(),
        client: join.client.clone(),
        topics: said.topics.clone(),
        topics_regex: None,
        rebalance_timeout: join.rebalance_timeout,
        assignor: known.and_then(|known| known.assignor.clone()),
        classic: Some(ConsumerClassicValue {
            session_timeout: join.session_timeout,
            protocols: join.protocols.clone(),
        }),
    }
}

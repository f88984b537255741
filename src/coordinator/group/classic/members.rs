//! Who is in a classic group, who is about to be, and who leads.
//!
//! - An instance id is that of one member, and only that member may use it.
//! - The leader is a member; a group with members has one.
//! - `joining`, `bytes`, `votes` and `statics` follow from the members: only this file changes those.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::planted::is_planted;

use super::member::{ClassicMember, Member};
use super::votes::Votes;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::request::{AskId, Protocol};

/// The members of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<MemberId, Member>,
    statics: BTreeMap<InstanceId, MemberId>,
    /// Ids that were given to who is to join with them (KIP-394).
    pending: BTreeSet<MemberId>,
    /// Who has not yet asked for its assignment in this generation.
    unsynced: BTreeSet<MemberId>,
    leader: Option<MemberId>,
    /// How many wait for the next generation.
    joining: usize,
    /// What is known of all of them takes, about.
    bytes: usize,
    votes: Votes,
}

impl Members {
    /// A member comes, which is no longer pending. The first one leads. `false`, and nothing changes, if its id or its
    /// instance id is taken.
    pub(super) fn insert(&mut self, member: Member) -> bool {
        let id = member.known.member.clone();
        let instance = member.known.instance.clone();
        let is_taken = instance
            .as_ref()
            .is_some_and(|it| self.statics.contains_key(it));
        if is_taken || self.by_id.contains_key(&id) {
            return false;
        }
        self.pending.remove(&id);
        if let Some(instance) = instance {
            self.statics.insert(instance, id.clone());
        }
        self.votes.add(&member.known.protocols);
        self.bytes += member.known.bytes();
        self.joining += usize::from(member.joining.is_some());
        self.leader.get_or_insert_with(|| id.clone());
        self.by_id.insert(id, member);
        true
    }

    /// A member goes, or who was about to be one.
    pub(super) fn remove(&mut self, id: &MemberId) -> Option<Member> {
        self.pending.remove(id);
        self.unsynced.remove(id);
        let member = self.by_id.remove(id)?;
        if let Some(instance) = &member.known.instance {
            self.statics.remove(instance);
        }
        self.votes.remove(&member.known.protocols);
        self.bytes -= member.known.bytes();
        self.joining -= usize::from(member.joining.is_some());
        if self.leader.as_ref() == Some(id) {
            self.leader = self.by_id.keys().next().cloned();
        }
        Some(member)
    }

    /// A static member comes back under a new id, and takes the place of its former self, which is returned.
    pub(super) fn replace(&mut self, old: &MemberId, mut new: ClassicMember) -> Option<Member> {
        let led = self.is_leader(old);
        let was_unsynced = self.unsynced.contains(old);
        let former = self.remove(old)?;
        new.assignment = former.known.assignment.clone();
        let id = new.member.clone();
        self.insert(Member::new(new, false));
        if led {
            self.leader = Some(id.clone());
        }
        if was_unsynced {
            self.unsynced.insert(id);
        }
        Some(former)
    }

    /// A member says of itself something new; what it reads stays.
    pub(super) fn update(&mut self, mut known: ClassicMember) {
        let Some(member) = self.by_id.get_mut(&known.member) else {
            return;
        };
        self.votes.remove(&member.known.protocols);
        self.votes.add(&known.protocols);
        known.assignment = member.known.assignment.clone();
        known.instance.clone_from(&member.known.instance);
        self.bytes = self.bytes - member.known.bytes() + known.bytes();
        member.known = known;
    }

    /// A member waits for the next generation; the earlier request of it that did is returned.
    pub(super) fn park_join(&mut self, id: &MemberId, ask: AskId) -> Option<AskId> {
        let member = self.by_id.get_mut(id)?;
        let before = member.joining.replace(ask);
        self.joining += usize::from(before.is_none());
        before
    }

    /// A member need not wait for the next generation any more.
    pub(super) fn take_join(&mut self, id: &MemberId) -> Option<AskId> {
        let ask = self.by_id.get_mut(id)?.joining.take()?;
        self.joining -= 1;
        Some(ask)
    }

    /// A member waits for its assignment; the earlier request of it that did is returned.
    pub(super) fn park_sync(&mut self, id: &MemberId, ask: AskId) -> Option<AskId> {
        self.by_id.get_mut(id)?.syncing.replace(ask)
    }

    /// Those that wait for their assignment need not any more.
    pub(super) fn take_syncs(&mut self) -> Vec<(MemberId, AskId)> {
        let waiting = self.by_id.iter_mut();
        waiting
            .filter_map(|(id, member)| Some((id.clone(), member.syncing.take()?)))
            .collect()
    }

    /// Everybody is to ask for its assignment, and is new no more.
    pub(super) fn begin_generation(&mut self) {
        for member in self.by_id.values_mut() {
            member.is_new = false;
        }
        self.unsynced = self.by_id.keys().cloned().collect();
    }

    /// A member has asked for its assignment.
    pub(super) fn set_synced(&mut self, id: &MemberId) {
        self.unsynced.remove(id);
    }

    /// Nobody is to ask for an assignment.
    pub(super) fn end_generation(&mut self) {
        self.unsynced.clear();
    }

    /// Gives each member what `assign` has for it.
    pub(super) fn assign(&mut self, mut assign: impl FnMut(&ClassicMember) -> bytes::Bytes) {
        for member in self.by_id.values_mut() {
            self.bytes -= member.known.bytes();
            member.known.assignment = assign(&member.known);
            self.bytes += member.known.bytes();
        }
    }

    /// The leader is one that has joined: the same if it has, else any. `false` if nobody has.
    pub(super) fn elect_joined(&mut self) -> bool {
        let has_joined = |member: &Member| member.joining.is_some();
        if self.leader().is_some_and(has_joined) {
            return true;
        }
        let joined = self.by_id.values().find(|member| has_joined(member));
        let Some(joined) = joined.map(|member| member.known.member.clone()) else {
            return false;
        };
        self.leader = Some(joined);
        true
    }

    /// Makes a member the leader, if it is one.
    pub(super) fn set_leader(&mut self, id: MemberId) {
        if self.by_id.contains_key(&id) {
            self.leader = Some(id);
        }
    }

    /// An id is given to who is to join with it.
    pub(super) fn add_pending(&mut self, id: MemberId) {
        if !self.by_id.contains_key(&id) {
            self.pending.insert(id);
        }
    }

    /// Whether a request with these ids is the member's: KIP-345 has the instance id decide.
    ///
    /// # Errors
    /// `UnknownMemberId`, or `FencedInstanceId` if the instance id is another member's.
    pub(super) fn check(
        &self,
        id: &MemberId,
        instance: Option<&InstanceId>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            let owner = self.of_instance(instance);
            if owner.ok_or(GroupError::UnknownMemberId)? != id {
                if is_planted("a-fenced-instance-stays-out") {
                    return Ok(());
                }
                return Err(GroupError::FencedInstanceId);
            }
        }
        let is_known = self.by_id.contains_key(id);
        is_known.then_some(()).ok_or(GroupError::UnknownMemberId)
    }

    pub(super) fn get(&self, id: &MemberId) -> Option<&Member> {
        self.by_id.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.by_id.values()
    }

    /// The ids of those for which `matches` is true.
    pub(super) fn ids_of(&self, matches: impl Fn(&Member) -> bool) -> Vec<MemberId> {
        let matching = self.iter().filter(|member| matches(member));
        matching.map(|member| member.known.member.clone()).collect()
    }

    /// The member with the instance id.
    pub(super) fn of_instance(&self, instance: &InstanceId) -> Option<&MemberId> {
        self.statics.get(instance)
    }

    pub(super) fn is_pending(&self, id: &MemberId) -> bool {
        self.pending.contains(id)
    }

    /// How many are about to be members.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// What is known of all members takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who has not yet asked for its assignment in this generation.
    pub(super) fn unsynced(&self) -> &BTreeSet<MemberId> {
        &self.unsynced
    }

    pub(super) fn leader(&self) -> Option<&Member> {
        self.by_id.get(self.leader_id()?)
    }

    pub(super) fn leader_id(&self) -> Option<&MemberId> {
        self.leader.as_ref()
    }

    pub(super) fn is_leader(&self, id: &MemberId) -> bool {
        self.leader.as_ref() == Some(id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many wait for the next generation.
    pub(super) fn joining(&self) -> usize {
        self.joining
    }

    /// Whether nobody is missing, of the members and of those about to be.
    pub(super) fn have_all_joined(&self) -> bool {
        self.joining == self.len() && self.pending.is_empty()
    }

    /// How long the group waits for its slowest member.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let timeouts = self.iter().map(|member| member.known.rebalance_timeout);
        timeouts.max().unwrap_or_default()
    }

    /// Whether who speaks `protocols` has one in common with everybody.
    pub(super) fn can_agree_with(&self, protocols: &[Protocol]) -> bool {
        let mut own = protocols.iter();
        own.any(|protocol| self.votes.are_all_for(&protocol.name, self.len()))
    }

    /// The protocol that the members take; `None` without members.
    pub(super) fn choose_protocol(&self) -> Option<Arc<str>> {
        let ballots = self.iter().map(|member| member.known.protocols.as_slice());
        self.votes.choose(self.len(), ballots)
    }
}

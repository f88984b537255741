//! From the classic protocol to KIP-848 and back, while the members go on.

use std::sync::Arc;

use bytes::Bytes;

use super::join::answer_parked;
use super::member::{ClassicMember, Member};
use super::state::State;
use super::{CONSUMER, ClassicGroup};
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::{GroupId, MemberId};

impl ClassicGroup {
    /// The members, for a consumer group that takes them over at the group's [generation](Self::generation). Those that
    /// wait are told to join again, and do that with the new group.
    pub fn into_members(self, fx: &mut Effects) -> Vec<ClassicMember> {
        let members = self.members.iter();
        members
            .map(|member| {
                answer_parked(member, &GroupError::RebalanceInProgress, fx);
                member.known.clone()
            })
            .collect()
    }

    /// The protocol of the generation; `None` without members.
    pub fn protocol(&self) -> Option<&Arc<str>> {
        self.protocol.as_ref()
    }

    /// A stable group of consumers that a consumer group has left, at its epoch, and written as such. `assign` says
    /// what each member, by its id and its subscription in the common protocol, reads. The group is to be
    /// [started](Self::start), and to [rebalance](Self::rebalance) if a member has left with whom it was a consumer
    /// group.
    pub fn of_members(
        cx: &Cx<'_>,
        id: GroupId,
        generation: i32,
        members: Vec<ClassicMember>,
        mut assign: impl FnMut(&MemberId, &Bytes) -> Bytes,
        fx: &mut Effects,
    ) -> Self {
        let mut group = Self::new(id);
        group.generation = generation;
        group.protocol_type = CONSUMER.into();
        for member in members {
            group.members.insert(Member::new(member, false));
        }
        group.protocol = group.members.choose_protocol();
        let protocol = group.protocol.clone().unwrap_or_default();
        group
            .members
            .assign(|member| assign(&member.member, &member.metadata(&protocol)));
        let state = if group.members.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        group.enter(cx, state);
        group.write(fx);
        group
    }
}

//! Which member a heartbeat is of, and whether that may speak.
//!
//! - A member whose answer was lost shows up with its previous epoch, and is heard if it has no more than it was told.
//! - An instance id belongs to one member. Another one gets it when that has left for a while, or speaks the classic
//!   protocol, whose static members are replaced without asking.

use super::reconcile::{MemberState, owns_only};
use super::{ConsumerGroup, JOIN, LEAVE_FOR_A_WHILE};
use crate::coordinator::group::effects::Effects;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::record::{ConsumerCurrentValue, Fact};
use crate::coordinator::group::request::ConsumerHeartbeat;

/// Which member a heartbeat is of.
#[derive(Debug)]
pub(super) enum Place {
    /// One that is not in the group yet.
    New,
    /// One that is.
    Known,
    /// One that takes the place of this one.
    Of(MemberId),
}

impl ConsumerGroup {
    /// Which member that is, if it may be heard.
    pub(super) fn place(&self, heartbeat: &ConsumerHeartbeat) -> Result<Place, GroupError> {
        let id = &heartbeat.member;
        let is_joining = heartbeat.epoch == JOIN;
        if let Some(instance) = &heartbeat.instance {
            match self.facts.of_instance(instance) {
                None if !is_joining => return Err(GroupError::UnknownMemberId),
                None => {}
                Some(known) if known != id && !is_joining => {
                    return Err(GroupError::FencedInstanceId);
                }
                Some(known) if is_joining && self.is_replaceable(known) => {
                    return Ok(Place::Of(known.clone()));
                }
                // The same member once more: the answer to its join was lost, or it was fenced.
                Some(known) if known == id => {}
                Some(_) => return Err(GroupError::UnreleasedInstanceId),
            }
        }
        if self.facts.member(id).is_none() {
            return if is_joining {
                Ok(Place::New)
            } else {
                Err(GroupError::UnknownMemberId)
            };
        }
        check_epoch(self.facts.current(id), heartbeat)?;
        Ok(Place::Known)
    }

    /// Whether a static member's place is free for another one.
    fn is_replaceable(&self, id: &MemberId) -> bool {
        let is_classic = self
            .facts
            .member(id)
            .is_some_and(|known| known.classic.is_some());
        is_classic || self.facts.current(id).epoch == LEAVE_FOR_A_WHILE
    }

    /// The new member of an instance takes over what the old one had and was to have.
    pub(super) fn replace(&mut self, old: &MemberId, new: &MemberId, fx: &mut Effects) {
        let member = self.facts.member(old).cloned();
        let target = self.facts.target(old).cloned();
        let current = ConsumerCurrentValue {
            epoch: JOIN,
            previous_epoch: JOIN,
            ..self.facts.current(old).clone()
        };
        if old != new {
            for fact in [
                Fact::ConsumerCurrent(old.clone(), None),
                Fact::ConsumerTarget(old.clone(), None),
                Fact::ConsumerMember(old.clone(), None),
            ] {
                self.write(fact, fx);
            }
        }
        self.forget_timers(old);
        self.write(Fact::ConsumerMember(new.clone(), member), fx);
        if let Some(target) = target {
            self.write(Fact::ConsumerTarget(new.clone(), Some(target)), fx);
        }
        self.write(Fact::ConsumerCurrent(new.clone(), Some(current)), fx);
    }
}

/// Whether the member's epoch is the one that it was told last, or the one before it.
fn check_epoch(
    current: &ConsumerCurrentValue,
    heartbeat: &ConsumerHeartbeat,
) -> Result<(), GroupError> {
    let owned = heartbeat.owned.as_ref();
    if MemberState::of(current) == MemberState::Unknown
        && owned.is_none_or(|owned| !owned.is_empty())
    {
        return Err(GroupError::FencedMemberEpoch("its state is not known"));
    }
    match heartbeat.epoch {
        JOIN => Ok(()),
        epoch if epoch > current.epoch => Err(GroupError::FencedMemberEpoch("it is ahead")),
        epoch if epoch == current.epoch => Ok(()),
        epoch if epoch == current.previous_epoch && owns_only(owned, &current.assigned) => Ok(()),
        _ => Err(GroupError::FencedMemberEpoch("it is behind")),
    }
}

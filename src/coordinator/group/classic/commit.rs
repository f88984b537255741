//! What a group has to say to offsets: who may commit, when they expire, what may be deleted.

use super::state::State;
use super::{CONSUMER, ClassicGroup};
use crate::coordinator::group::effects::Cx;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::offsets::Expiry;
use crate::coordinator::group::request::Identity;

impl ClassicGroup {
    /// Whether offsets may be committed by whom. A member that may has shown itself, as with a heartbeat.
    ///
    /// # Errors
    /// `UnknownMemberId`, `FencedInstanceId`, `IllegalGeneration`; `RebalanceInProgress` for a member that has joined
    /// and does not know yet what it reads.
    pub fn check_commit(&mut self, cx: &Cx<'_>, by: &Identity) -> Result<(), GroupError> {
        let is_anonymous = by.member.is_empty() && by.instance.is_none() && by.generation < 0;
        if self.is_empty() && by.generation < 0 {
            // Whoever assigns itself its partitions, or an operator; and nobody it could be in the way of.
            return Ok(());
        }
        if is_anonymous {
            return Err(GroupError::UnknownMemberId);
        }
        self.members.check(&by.member, by.instance.as_ref())?;
        if by.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == State::Completing {
            return Err(GroupError::RebalanceInProgress);
        }
        self.refresh_session(cx, &by.member);
        Ok(())
    }

    /// Whether the group may be deleted.
    ///
    /// # Errors
    /// `NonEmptyGroup`.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        let is_empty = self.is_empty();
        is_empty.then_some(()).ok_or(GroupError::NonEmptyGroup)
    }

    /// Whether offsets of the group may be deleted, those of topics that it is subscribed to aside.
    ///
    /// # Errors
    /// `NonEmptyGroup`, if nobody can tell what the members are subscribed to.
    pub fn check_delete_offsets(&self) -> Result<(), GroupError> {
        if self.is_empty() || self.is_of_consumers() {
            return Ok(());
        }
        Err(GroupError::NonEmptyGroup)
    }

    /// When the group's offsets expire.
    pub fn offsets_expire(&self) -> Expiry {
        if self.protocol_type.is_empty() {
            return Expiry::SinceCommit;
        }
        match self.state {
            State::Empty => Expiry::SinceEmpty(self.state_since),
            // Members that joined anew may yet say that they are subscribed.
            State::Stable if self.is_of_consumers() => Expiry::SinceCommit,
            State::Stable | State::Preparing(_) | State::Completing => Expiry::Never,
        }
    }

    /// Whether the members are consumers: what they are subscribed to can be read, and KIP-848 can take them over.
    pub fn is_of_consumers(&self) -> bool {
        &*self.protocol_type == CONSUMER
    }
}

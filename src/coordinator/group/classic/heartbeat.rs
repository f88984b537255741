//! `Heartbeat`: a member shows itself, and hears whether it is to join again.

use super::ClassicGroup;
use super::state::State;
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::{AskId, Heartbeat, Identity, Response};

impl ClassicGroup {
    /// A member is still there.
    pub fn heartbeat(&mut self, cx: &Cx<'_>, ask: AskId, heartbeat: &Heartbeat, fx: &mut Effects) {
        let outcome = self.heard(cx, &heartbeat.by);
        fx.answer(ask, Response::Heartbeat(outcome));
    }

    fn heard(&mut self, cx: &Cx<'_>, by: &Identity) -> Result<(), GroupError> {
        self.members.check(&by.member, by.instance.as_ref())?;
        if by.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.refresh_session(cx, &by.member);
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::Preparing(_) => Err(GroupError::RebalanceInProgress),
            State::Completing | State::Stable => Ok(()),
        }
    }
}

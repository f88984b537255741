//! `SyncGroup`: the leader brings the assignment of its generation, everybody else gets it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::state::State;
use super::{ClassicGroup, Timer};
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::request::{AskId, Response, Sync, Synced};

impl ClassicGroup {
    /// A member asks for its assignment. It is answered now, or when the leader has brought it.
    pub fn sync(&mut self, cx: &Cx<'_>, ask: AskId, sync: &Sync, fx: &mut Effects) {
        if let Err(error) = self.check_sync(cx, sync) {
            return fx.answer(ask, Response::Sync(Err(error)));
        }
        let id = &sync.by.member;
        self.members.set_synced(id);
        if self.members.unsynced().is_empty() {
            self.timers.cancel(&Timer::Sync);
        }
        if self.state == State::Stable {
            let answer = self.synced(id);
            return fx.answer(ask, Response::Sync(answer));
        }
        if let Some(before) = self.members.park_sync(id, ask) {
            fx.answer(before, Response::Sync(Err(GroupError::RebalanceInProgress)));
        }
        if self.members.is_leader(id) {
            self.settle(cx, &sync.assignments, fx);
        }
    }

    fn check_sync(&self, cx: &Cx<'_>, sync: &Sync) -> Result<(), GroupError> {
        let by = &sync.by;
        self.members.check(&by.member, by.instance.as_ref())?;
        if by.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let is_other =
            |said: &Option<Arc<str>>, is: &str| said.as_deref().is_some_and(|it| it != is);
        let protocol = self.protocol.as_deref();
        if is_other(&sync.protocol_type, &self.protocol_type)
            || protocol.is_some_and(|protocol| is_other(&sync.protocol, protocol))
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if self.members.bytes() + sync.bytes() > cx.settings.event_bytes_max() {
            return Err(GroupError::TooLarge);
        }
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::Preparing(_) => Err(GroupError::RebalanceInProgress),
            State::Completing | State::Stable => Ok(()),
        }
    }

    /// The generation has its assignment: written, and told to those that wait for it. A member that the leader has
    /// forgotten reads nothing, and one that the group does not have is not written.
    fn settle(&mut self, cx: &Cx<'_>, assignments: &[(MemberId, Bytes)], fx: &mut Effects) {
        let parts = assignments.iter().map(|(member, part)| (member, part));
        let parts: BTreeMap<_, _> = parts.collect();
        let part = |member: &MemberId| parts.get(member).map(|part| Bytes::clone(part));
        self.members
            .assign(|it| part(&it.member).unwrap_or_default());
        self.enter(cx, State::Stable);
        self.write(fx);
        for (id, ask) in self.members.take_syncs() {
            fx.answer(ask, Response::Sync(self.synced(&id)));
            // Its session may have ended while it waited, which did not count.
            self.refresh_session(cx, &id);
        }
    }

    fn synced(&self, id: &MemberId) -> Result<Synced, GroupError> {
        let member = self.members.get(id).ok_or(GroupError::UnknownMemberId)?;
        Ok(Synced {
            protocol_type: Arc::clone(&self.protocol_type),
            protocol: self.protocol.clone().unwrap_or_default(),
            assignment: member.known.assignment.clone(),
        })
    }
}

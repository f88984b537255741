//! `LeaveGroup`: members go by themselves, or an operator removes static ones.

use super::ClassicGroup;
use crate::coordinator::group::effects::{Cx, Effects, Said};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::request::{AskId, Leave, Leaving, Response};

impl ClassicGroup {
    /// Members leave; each is answered by itself. The others are to join again, once for all that left.
    pub fn leave(&mut self, cx: &Cx<'_>, ask: AskId, leave: &Leave, fx: &mut Effects) {
        let members = leave.members.iter();
        let answers: Vec<_> = members.map(|it| self.leave_one(it, fx)).collect();
        let have_members_left = answers.contains(&Ok(Left::Member));
        let have_pending_left = answers.contains(&Ok(Left::Pending));
        let answers = answers.into_iter().map(|answer| answer.map(|_| ()));
        fx.answer(ask, Response::Leave(Ok(answers.collect())));
        if have_members_left && !self.is_empty() {
            self.rebalance_or_go_on(cx, format_args!("members left"), fx);
        } else if have_pending_left {
            self.complete_join_if_all_are_there(cx, fx);
        }
    }

    fn leave_one(&mut self, leaving: &Leaving, fx: &mut Effects) -> Result<Left, GroupError> {
        let instance = leaving.instance.as_ref();
        let id = if leaving.member.is_empty() {
            // An operator knows the instance id alone.
            let id = instance.and_then(|instance| self.members.of_instance(instance));
            id.cloned().ok_or(GroupError::UnknownMemberId)?
        } else if self.members.is_pending(&leaving.member) {
            self.remove(&leaving.member, fx);
            return Ok(Left::Pending);
        } else {
            self.members.check(&leaving.member, instance)?;
            leaving.member.clone()
        };
        self.remove(&id, fx);
        let said = Said(leaving.reason.as_deref());
        fx.note(format_args!("{id} has left{said}"));
        Ok(Left::Member)
    }
}

/// Who left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// One of the group.
    Member,
    /// One that had but an id.
    Pending,
}

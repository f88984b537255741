//! A group of the new consumer protocol (KIP-848): who is in it, what each member is to read, and how it comes there.
//!
//! - C1: at every moment each partition has one owner at most. Who owns it was told so, and owns it until it says that
//!   it does not, or is fenced. A partition changes hands only over "nobody".
//! - What is durable is in `facts`, and changes only by what is written: `replay` of the records that were written
//!   gives the same group. Timers are not durable; `start` sets them anew.
//! - Three epochs: that of the group rises with every change of its members or topics, that of the target assignment
//!   follows with the next heartbeat, and that of a member follows when it has given up what it must. None goes back.
//!
//! Members move only with their own heartbeats; there is nothing to send to anybody.

mod assignor;
mod classic_members;
mod convert;
mod describe;
mod embedded;
mod facts;
mod fence;
mod heartbeat;
mod offsets;
mod pattern;
mod place;
mod reconcile;
mod subscription;
mod target;

use std::time::Duration;

use ottla_storage::time::MonoMillis;

use super::deadlines::Deadlines;
use super::effects::{Cx, Effects};
use super::error::GroupError;
use super::names::{GroupId, MemberId};
use super::record::{ConsumerMemberValue, Fact, Record};
use crate::config::GroupConfig;

pub use convert::check_upgrade;
pub use heartbeat::check;
pub use offsets::MayCommit;

use facts::Facts;
use reconcile::MemberState;
use subscription::Resolving;

/// The epoch with which a member joins.
const JOIN: i32 = 0;
/// The epoch with which a member leaves.
const LEAVE: i32 = -1;
/// The epoch with which a static member leaves for a while, and which it has while it is away.
const LEAVE_FOR_A_WHILE: i32 = -2;

/// A consumer group.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    id: GroupId,
    facts: Facts,
    timers: Deadlines<(MemberId, Timer)>,
    /// Topics came, went or grew since the group's epoch was decided.
    are_topics_stale: bool,
    resolving: Resolving,
}

/// What a member must do in time, or it is fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Show up.
    Session,
    /// Give up what it was told to.
    Rebalance,
    /// Join again (a member of the classic protocol).
    Join,
    /// Ask for its assignment (a member of the classic protocol).
    Sync,
}

impl ConsumerGroup {
    /// A group that nothing is known of.
    pub fn new(id: GroupId) -> Self {
        Self {
            id,
            facts: Facts::default(),
            timers: Deadlines::default(),
            are_topics_stale: true,
            resolving: Resolving::default(),
        }
    }

    /// Takes in a fact of the log; those of other kinds of groups change nothing.
    pub fn replay(&mut self, fact: Fact) {
        self.facts.apply(fact);
    }

    /// Whether the log has nothing about the group: it was made for a request that was refused, or is deleted.
    pub fn is_nothing(&self) -> bool {
        self.facts.is_nothing()
    }

    /// Begins to watch the members of a group that was loaded: each has its full time again.
    pub fn start(&mut self, cx: &Cx<'_>) {
        let ids: Vec<MemberId> = self.facts.members().keys().cloned().collect();
        for id in ids {
            self.watch_session(cx, &id);
            self.watch_revocation(cx, &id);
        }
    }

    /// Topics came, went or grew: the next heartbeat of any member looks whether that concerns the group.
    pub const fn metadata_changed(&mut self) {
        self.are_topics_stale = true;
        self.resolving.is_due = true;
    }

    /// When [`ConsumerGroup::tick`] has something to do.
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        self.timers.next()
    }

    /// Fences the members whose time is up.
    pub fn tick(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        let mut late = Vec::new();
        while let Some((id, timer)) = self.timers.pop_due(cx.now) {
            let why = match timer {
                Timer::Session => "its session ended",
                Timer::Rebalance => "it did not give up what it was told to in time",
                Timer::Join | Timer::Sync => "it did not join again in time",
            };
            fx.note(format_args!("{id} is out: {why}"));
            late.push(id);
        }
        late.sort_unstable();
        late.dedup();
        self.fence(cx, &late, fx);
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.facts.members().is_empty()
    }

    /// Whether the group may be deleted.
    ///
    /// # Errors
    /// [`GroupError::NonEmptyGroup`] if somebody is in it.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(GroupError::NonEmptyGroup)
        }
    }

    /// What takes everything about the group back, in order.
    pub fn tombstones(&self) -> Vec<Fact> {
        self.facts.tombstones()
    }

    /// The one place where durable state changes.
    fn write(&mut self, fact: Fact, fx: &mut Effects) {
        self.facts.apply(fact.clone());
        fx.write(Record {
            group: self.id.clone(),
            fact,
        });
    }

    /// The member was heard of.
    fn watch_session(&mut self, cx: &Cx<'_>, id: &MemberId) {
        if let Some(member) = self.facts.member(id) {
            let timeout = session_timeout(member, cx.settings);
            let at = cx.now.saturating_add(timeout);
            self.timers.set((id.clone(), Timer::Session), at);
        }
    }

    /// From now on the member has its time to give up what it must, if there is anything. One of the classic protocol
    /// has time to join again instead.
    fn watch_revocation(&mut self, cx: &Cx<'_>, id: &MemberId) {
        let state = MemberState::of(self.facts.current(id));
        let member = self
            .facts
            .member(id)
            .filter(|member| member.classic.is_none() && state == MemberState::UnrevokedPartitions);
        let at = member.map(|member| cx.now.saturating_add(member.rebalance_timeout));
        self.timers.put((id.clone(), Timer::Rebalance), at);
    }

    fn forget_timers(&mut self, id: &MemberId) {
        for timer in [Timer::Session, Timer::Rebalance, Timer::Join, Timer::Sync] {
            self.timers.cancel(&(id.clone(), timer));
        }
    }
}

/// How long the member may be silent.
fn session_timeout(member: &ConsumerMemberValue, settings: &GroupConfig) -> Duration {
    let classic = member.classic.as_ref();
    classic.map_or(settings.consumer.session_timeout, |classic| {
        classic.session_timeout
    })
}

#[cfg(test)]
mod tests;

//! From one generation to the next, and what time alone brings about.

use std::fmt;
use std::time::Duration;

use super::state::{InitialDelay, Preparing, State};
use super::{ClassicGroup, Timer};
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::request::Response;

/// A group of static members of which none has come back looks again after their rebalance timeout, but not more often
/// than this, whatever the members say.
const JOIN_RETRY_MIN: Duration = Duration::from_secs(1);

impl ClassicGroup {
    /// Does all that is due. Afterwards the next deadline, if there is one, is in the future.
    pub fn tick(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        while let Some(timer) = self.timers.pop_due(cx.now) {
            match timer {
                Timer::Join => self.join_time_is_over(cx, fx),
                Timer::Sync => self.sync_time_is_over(cx, fx),
                Timer::Session(id) => self.session_is_over(cx, &id, fx),
            }
        }
    }

    /// The members are to join again.
    pub fn rebalance(&mut self, cx: &Cx<'_>, why: fmt::Arguments<'_>, fx: &mut Effects) {
        let generation = self.generation;
        fx.note(format_args!(
            "rebalance after generation {generation}: {why}"
        ));
        if self.state == State::Completing {
            self.refuse_syncs(cx, fx);
        }
        self.members.end_generation();
        self.timers.cancel(&Timer::Sync);
        let rebalance_timeout = self.members.rebalance_timeout();
        if self.is_empty() {
            let delay = cx.settings.initial_rebalance_delay;
            let delay = InitialDelay::new(delay, rebalance_timeout);
            self.wait_for_first_members(cx, delay);
            return;
        }
        self.enter(cx, State::Preparing(Preparing::Again));
        let end = cx.now.saturating_add(rebalance_timeout);
        self.timers.set(Timer::Join, end);
        self.complete_join_if_all_are_there(cx, fx);
    }

    /// After something has changed that the next generation has to know of.
    pub(super) fn rebalance_or_go_on(
        &mut self,
        cx: &Cx<'_>,
        why: fmt::Arguments<'_>,
        fx: &mut Effects,
    ) {
        match self.state {
            State::Empty | State::Completing | State::Stable => self.rebalance(cx, why, fx),
            State::Preparing(_) => self.complete_join_if_all_are_there(cx, fx),
        }
    }

    /// An initial rebalance lasts as long as it does: those that are there are not all that come.
    pub(super) fn complete_join_if_all_are_there(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        let is_rebalance = self.state == State::Preparing(Preparing::Again);
        if is_rebalance && self.members.have_all_joined() {
            self.complete_join(cx, fx);
        }
    }

    fn wait_for_first_members(&mut self, cx: &Cx<'_>, delay: InitialDelay) {
        let end = cx.now.saturating_add(delay.delay);
        self.timers.set(Timer::Join, end);
        self.enter(cx, State::Preparing(Preparing::Initial(delay)));
    }

    fn join_time_is_over(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        let delay = cx.settings.initial_rebalance_delay;
        match self.state {
            State::Preparing(Preparing::Initial(initial)) => match initial.extended(delay) {
                Some(longer) => self.wait_for_first_members(cx, longer),
                None => self.complete_join(cx, fx),
            },
            State::Preparing(Preparing::Again) => self.complete_join(cx, fx),
            State::Empty | State::Completing | State::Stable => {}
        }
    }

    /// The next generation begins, with those that have joined. Static members that have not stay until their sessions
    /// end: not to move partitions while they restart is what they are for.
    fn complete_join(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        self.timers.cancel(&Timer::Join);
        let is_late =
            |member: &super::Member| member.joining.is_none() && member.known.instance.is_none();
        for id in self.members.ids_of(is_late) {
            self.remove(&id, fx);
            fx.note(format_args!("{id} is out: it did not join again in time"));
        }
        if !self.members.elect_joined() && !self.members.is_empty() {
            let wait = self.members.rebalance_timeout().max(JOIN_RETRY_MIN);
            self.timers.set(Timer::Join, cx.now.saturating_add(wait));
            return;
        }
        self.generation = next_generation(self.generation);
        self.protocol = self.members.choose_protocol();
        let (generation, count) = (self.generation, self.members.len());
        fx.note(format_args!("generation {generation} of {count} members"));
        if self.members.is_empty() {
            self.enter(cx, State::Empty);
            self.write(fx);
        } else {
            self.enter(cx, State::Completing);
            self.write_unsettled(fx);
            self.announce_generation(cx, fx);
        }
    }

    fn announce_generation(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        self.members.begin_generation();
        for id in self.members.ids_of(|_| true) {
            if let Some(ask) = self.members.take_join(&id) {
                let answer = self.joined(&id, self.members.is_leader(&id));
                fx.answer(ask, Response::Join(Ok(answer)));
            }
            self.refresh_session(cx, &id);
        }
        let end = cx.now.saturating_add(self.members.rebalance_timeout());
        self.timers.set(Timer::Sync, end);
    }

    /// Nobody gets what the leader would have assigned. What they have stays theirs: cooperative members read on.
    fn refuse_syncs(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        for (id, ask) in self.members.take_syncs() {
            fx.answer(ask, Response::Sync(Err(GroupError::RebalanceInProgress)));
            self.refresh_session(cx, &id);
        }
    }

    /// Those that have not asked for their assignment have gone, or will read nothing.
    fn sync_time_is_over(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        let late = self.members.unsynced().clone();
        if late.is_empty() {
            return;
        }
        for id in &late {
            self.remove(id, fx);
            let why = "it did not ask for its assignment in time";
            fx.note(format_args!("{id} is out: {why}"));
        }
        self.rebalance(cx, format_args!("members are out"), fx);
    }

    fn session_is_over(&mut self, cx: &Cx<'_>, id: &MemberId, fx: &mut Effects) {
        if self.members.is_pending(id) {
            self.remove(id, fx);
            self.complete_join_if_all_are_there(cx, fx);
        } else if self.members.get(id).is_some_and(super::Member::can_expire) {
            self.remove(id, fx);
            fx.note(format_args!("{id} is out: its session ended"));
            self.rebalance_or_go_on(cx, format_args!("a member is out"), fx);
        }
    }
}

/// Generations are positive, because a member without one says -1; after the last comes the first.
fn next_generation(generation: i32) -> i32 {
    match generation.checked_add(1) {
        Some(next) if next > 0 => next,
        _ => 1,
    }
}

//! The one request of the protocol: a member says what it wants and has, and is told what it is to have.
//!
//! - A refused heartbeat changes nothing: everything is checked before anything is written.
//! - A member has the assignment in its answer if that is new, or if it may not know it.

use std::sync::Arc;

use ottla_storage::planted::is_planted;

use super::pattern::Pattern;
use super::place::Place;
use super::reconcile::{Goal, is_reconciled, step};
use super::{ConsumerGroup, JOIN, LEAVE, LEAVE_FOR_A_WHILE, Timer};
use crate::config::group::GroupConfig;
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::record::{ConsumerMemberValue, Fact};
use crate::coordinator::group::request::{
    AskId, ConsumerHeard, ConsumerHeartbeat, Partitions, Response,
};

/// Whether a heartbeat makes sense, whatever the group. To be asked before a group is made or converted for it.
///
/// # Errors
/// [`GroupError::InvalidRequest`], [`GroupError::UnsupportedAssignor`].
pub fn check(heartbeat: &ConsumerHeartbeat, settings: &GroupConfig) -> Result<(), GroupError> {
    let is_blank = |text: &str| text.trim().is_empty();
    let invalid = |why| Err(GroupError::InvalidRequest(why));
    if is_blank(heartbeat.group.as_str()) {
        return invalid("the group's id is empty");
    }
    if is_blank(heartbeat.member.as_str()) {
        return invalid("the member's id is empty");
    }
    if heartbeat
        .instance
        .as_ref()
        .is_some_and(|id| is_blank(id.as_str()))
    {
        return invalid("the instance id is empty");
    }
    if heartbeat.rack.as_deref().is_some_and(is_blank) {
        return invalid("the rack is empty");
    }
    match heartbeat.epoch {
        JOIN if heartbeat.rebalance_timeout.is_none() => {
            return invalid("a member that joins has a rebalance timeout");
        }
        JOIN if heartbeat
            .owned
            .as_ref()
            .is_none_or(|owned| !owned.is_empty()) =>
        {
            return invalid("a member that joins has no partitions");
        }
        JOIN if heartbeat.topics.is_none() && heartbeat.topics_regex.is_none() => {
            return invalid("a member that joins says what it reads");
        }
        LEAVE_FOR_A_WHILE if heartbeat.instance.is_none() => {
            return invalid("only a static member can leave for a while");
        }
        epoch if epoch < LEAVE_FOR_A_WHILE => return invalid("there is no such member epoch"),
        _ => {}
    }
    let mut assignors = settings.consumer.assignors.iter();
    match &heartbeat.assignor {
        Some(name) if !assignors.any(|assignor| assignor.name() == &**name) => {
            Err(GroupError::UnsupportedAssignor)
        }
        _ => Ok(()),
    }
}

impl ConsumerGroup {
    /// Hears a member and answers it. The heartbeat was [checked](check).
    pub fn heartbeat(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        heartbeat: &ConsumerHeartbeat,
        fx: &mut Effects,
    ) {
        let heard = match heartbeat.epoch {
            LEAVE | LEAVE_FOR_A_WHILE => self.leave(cx, heartbeat, fx),
            _ => self.hear(cx, heartbeat, fx),
        };
        fx.answer(ask, Response::ConsumerHeartbeat(heard));
    }

    fn hear(
        &mut self,
        cx: &Cx<'_>,
        heartbeat: &ConsumerHeartbeat,
        fx: &mut Effects,
    ) -> Result<ConsumerHeard, GroupError> {
        let id = &heartbeat.member;
        let place = self.place(heartbeat)?;
        let known = self.facts.member(id);
        let is_news = !matches!(place, Place::Known)
            || known.is_none_or(|known| says_anything_new(known, heartbeat));
        let must_begin_epoch = is_news && self.note(cx, heartbeat, &place, fx)?;
        self.refresh(cx, must_begin_epoch, fx);
        self.retarget(cx, fx);
        let epoch = self.facts.current(id).epoch;
        let is_new = self.reconcile(cx, id, heartbeat.owned.as_ref(), fx);
        self.watch_session(cx, id);
        let tells_all = heartbeat.rebalance_timeout.is_some()
            && (heartbeat.topics.is_some() || heartbeat.topics_regex.is_some())
            && heartbeat.owned.is_some();
        let may_not_know = tells_all || heartbeat.epoch != epoch || heartbeat.epoch == JOIN;
        let current = self.facts.current(id);
        Ok(ConsumerHeard {
            member: id.clone(),
            epoch: current.epoch,
            heartbeat_interval: cx.settings.consumer.heartbeat_interval,
            assignment: (may_not_know || is_new).then(|| current.assigned.clone()),
        })
    }

    /// Notes what a member says that was not known; whether that makes a new epoch of the group.
    fn note(
        &mut self,
        cx: &Cx<'_>,
        heartbeat: &ConsumerHeartbeat,
        place: &Place,
        fx: &mut Effects,
    ) -> Result<bool, GroupError> {
        let id = &heartbeat.member;
        let known = match place {
            Place::New => {
                self.check_size(cx)?;
                None
            }
            Place::Known => self.facts.member(id),
            Place::Of(old) => self.facts.member(old),
        };
        let (before, wanted) = (known.cloned(), wanted(known, heartbeat));
        let old_pattern = before
            .as_ref()
            .and_then(|before| before.topics_regex.as_ref());
        let pattern = wanted
            .topics_regex
            .as_ref()
            .filter(|text| old_pattern != Some(text) && !self.facts.patterns().contains_key(*text));
        let pattern = pattern.map(|text| Pattern::new(text)).transpose()?;
        // Nothing is refused from here on.
        if let Place::Of(old) = place {
            self.replace(old, id, fx);
        }
        for timer in [Timer::Join, Timer::Sync] {
            self.timers.cancel(&(id.clone(), timer));
        }
        Ok(self.update(cx, id, before.as_ref(), wanted, pattern.as_ref(), fx))
    }

    /// A group that is full takes no new members. Unlike Kafka we let an instance that comes back have its own place.
    pub(super) fn check_size(&self, cx: &Cx<'_>) -> Result<(), GroupError> {
        if self.facts.members().len() >= cx.settings.consumer.size_max {
            return Err(GroupError::GroupMaxSizeReached);
        }
        Ok(())
    }

    /// Notes what the member wants; whether that makes a new epoch of the group. `pattern` is the one that the member
    /// brings, if the group does not know what it means.
    pub(super) fn update(
        &mut self,
        cx: &Cx<'_>,
        id: &MemberId,
        before: Option<&ConsumerMemberValue>,
        wanted: ConsumerMemberValue,
        pattern: Option<&Pattern>,
        fx: &mut Effects,
    ) -> bool {
        let old_pattern = before.and_then(|before| before.topics_regex.as_ref());
        let new_pattern = wanted.topics_regex.clone();
        let has_pattern_changed = old_pattern != new_pattern.as_ref();
        let have_topics_changed = before.map_or(!wanted.topics.is_empty(), |before| {
            before.topics != wanted.topics
        });
        if self.facts.member(id) != Some(&wanted) {
            self.write(Fact::ConsumerMember(id.clone(), Some(wanted)), fx);
        }
        if has_pattern_changed {
            self.change_pattern(cx, old_pattern, new_pattern.as_ref().zip(pattern), fx);
        }
        have_topics_changed || has_pattern_changed || self.facts.epoch() == 0
    }

    /// Moves the member one step towards its target; whether it has something else then.
    pub(super) fn reconcile(
        &mut self,
        cx: &Cx<'_>,
        id: &MemberId,
        owned: Option<&Partitions>,
        fx: &mut Effects,
    ) -> bool {
        let current = self.facts.current(id);
        let Some(member) = self.facts.member(id) else {
            return false;
        };
        // So are most members at most times, and what they subscribe to may be a long list.
        if is_reconciled(current, self.facts.target_epoch()) {
            return false;
        }
        let nothing = Partitions::new();
        let next = step(
            current,
            &Goal {
                epoch: self.facts.target_epoch(),
                target: self.facts.target(id).unwrap_or(&nothing),
                subscribed: &self.topics_of(member, cx.image),
                owned,
                is_free: |topic, index| {
                    let owner = self.facts.owner(topic, index);
                    owner.is_none_or(|owner| owner == id)
                        || is_planted("a-partition-is-given-when-it-is-free")
                },
            },
        );
        if next == *current {
            return false;
        }
        let is_new = next.assigned != current.assigned;
        self.write(Fact::ConsumerCurrent(id.clone(), Some(next)), fx);
        self.watch_revocation(cx, id);
        is_new
    }
}

/// Whether a heartbeat says something of its member that is not known. Most do not.
fn says_anything_new(known: &ConsumerMemberValue, heartbeat: &ConsumerHeartbeat) -> bool {
    fn is_new<T: PartialEq>(said: Option<&T>, known: Option<&T>) -> bool {
        said.is_some() && said != known
    }
    let regex = heartbeat.topics_regex.as_deref();
    known.classic.is_some()
        || known.client != heartbeat.client
        || is_new(heartbeat.instance.as_ref(), known.instance.as_ref())
        || is_new(heartbeat.rack.as_ref(), known.rack.as_ref())
        || is_new(heartbeat.rebalance_timeout.as_ref(), Some(&known.rebalance_timeout))
        || is_new(heartbeat.topics.as_ref(), Some(&known.topics))
        || is_new(heartbeat.assignor.as_ref(), known.assignor.as_ref())
        // An empty one is none.
        || regex.is_some_and(|regex| regex != known.topics_regex.as_deref().unwrap_or_default())
}

/// What the member wants from now on.
fn wanted(
    known: Option<&ConsumerMemberValue>,
    heartbeat: &ConsumerHeartbeat,
) -> ConsumerMemberValue {
    fn or<T: Clone>(new: Option<&T>, old: Option<&T>) -> Option<T> {
        new.or(old).cloned()
    }
    let regex = or(
        heartbeat.topics_regex.as_ref(),
        known.and_then(|known| known.topics_regex.as_ref()),
    );
    ConsumerMemberValue {
        instance: or(
            heartbeat.instance.as_ref(),
            known.and_then(|known| known.instance.as_ref()),
        ),
        rack: or(
            heartbeat.rack.as_ref(),
            known.and_then(|known| known.rack.as_ref()),
        ),
        client: heartbeat.client.clone(),
        topics: or(heartbeat.topics.as_ref(), known.map(|known| &known.topics)).unwrap_or_default(),
        topics_regex: regex.filter(|regex: &Arc<str>| !regex.is_empty()),
        rebalance_timeout: or(
            heartbeat.rebalance_timeout.as_ref(),
            known.map(|known| &known.rebalance_timeout),
        )
        .unwrap_or_default(),
        assignor: or(
            heartbeat.assignor.as_ref(),
            known.and_then(|known| known.assignor.as_ref()),
        ),
        classic: None,
    }
}

//! One replica of one partition: which role it plays, and who may speak to it in that role.
//!
//! - R5: it never acts under an older leader epoch than one it has seen.
//! - Every `Produce` and `DeleteRecords` ends in exactly one `Answer` (after `Append`, once the
//!   driver has reported `Appended` or has itself refused the ticket).
//! - Once offline or stopped it refuses everything; nothing leads back.

use std::cmp::Ordering;

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use super::effect::{
    Effect, Effects, Event, Following, Leadership, LogBounds, Outcome, Refusal, Settings, Ticket,
};
use super::follower::Follower;
use super::leader::Leader;
use crate::metadata::BrokerId;

/// The part of a leader's state that readers see, besides the log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    pub leader_epoch: LeaderEpoch,
    /// Where the log ended when the reign began.
    pub epoch_start: Offset,
    pub high_watermark: Offset,
}

/// What a replica is to its partition now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Leads(Reign),
    Follows {
        following: Following,
        high_watermark: Offset,
    },
    Refuses(Refusal),
}

#[derive(Clone, Debug)]
enum Role {
    /// Nothing was said yet about who leads.
    Unassigned,
    Leader(Leader),
    Follower(Follower),
    /// Over, with the reason that every request gets.
    Ended(Refusal),
}

/// The decisions of one replica.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    me: BrokerId,
    settings: Settings,
    role: Role,
}

impl Partition {
    pub(crate) fn new(me: BrokerId, settings: Settings) -> Self {
        Self {
            me,
            settings,
            role: Role::Unassigned,
        }
    }

    /// What it is now.
    pub(crate) fn standing(&self) -> Standing {
        match &self.role {
            Role::Unassigned => Standing::Refuses(Refusal::NotLeader),
            Role::Ended(refusal) => Standing::Refuses(*refusal),
            Role::Leader(leader) => Standing::Leads(Reign {
                leader_epoch: leader.epoch(),
                epoch_start: leader.epoch_start(),
                high_watermark: leader.high_watermark(),
            }),
            Role::Follower(follower) => Standing::Follows {
                following: follower.following(),
                high_watermark: follower.high_watermark(),
            },
        }
    }

    /// How far it knows the partition to be committed, if it plays a part in it.
    pub(crate) fn high_watermark(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) => Some(leader.high_watermark()),
            Role::Follower(follower) => Some(follower.high_watermark()),
            Role::Unassigned | Role::Ended(_) => None,
        }
    }

    pub(crate) fn handle(&mut self, now: MonoMillis, event: Event, effects: &mut Effects) {
        let settings = self.settings;
        match event {
            Event::Lead {
                leadership,
                bounds,
                high_watermark,
            } => {
                self.lead(now, leadership, bounds, high_watermark, effects);
            }
            Event::Follow {
                following,
                bounds,
                high_watermark,
            } => {
                self.follow(following, bounds, high_watermark, effects);
            }
            Event::FollowerFetch(fetch) => {
                self.with_leader(|leader| leader.fetched(now, &fetch, settings, effects));
            }
            Event::FollowerGone(follower, since) => self.with_leader(|leader| {
                leader.follower_gone(now, (follower, since), settings, effects);
            }),
            Event::CheckIsr => {
                self.with_leader(|leader| {
                    leader.check_isr(now, settings, effects);
                    // Who has not kept up outside the set holds up commits no longer, and who waits for them for too
                    // long is told so although nobody else moves the clock.
                    leader.advance(now, settings, effects);
                    leader.expire(now, effects);
                });
            }
            Event::IsrAnswered {
                partition_epoch,
                answer,
            } => self.with_leader(|leader| {
                leader.isr_answered(now, partition_epoch, answer, settings, effects);
            }),
            Event::Replicated {
                leader_epoch,
                state,
                bounds,
            } => self.with_follower(|follower| {
                follower.replicated(leader_epoch, state, bounds, effects);
                follower.flush(settings, effects);
            }),
            Event::Diverged {
                leader_epoch,
                epoch,
                end,
                own,
            } => self.with_follower(|follower| {
                follower.diverged(leader_epoch, (epoch, end), own, effects);
            }),
            Event::OutOfRange {
                leader_epoch,
                start,
                end,
            } => self.with_follower(|follower| {
                follower.out_of_range(leader_epoch, (start, end), effects);
            }),
            Event::Restarted(bounds) => {
                self.with_follower(|follower| follower.restarted(bounds));
            }
            Event::Configure(settings) => {
                self.settings = settings;
                self.with_leader(|leader| leader.advance(now, settings, effects));
                self.with_follower(|follower| follower.flush(settings, effects));
            }
            Event::Produce {
                ticket,
                acks,
                deadline,
            } => {
                if let Some(leader) = self.leader(ticket, effects) {
                    leader.produce((ticket, acks, deadline), settings, effects);
                }
            }
            Event::Appended {
                ticket,
                acks,
                deadline,
                end,
            } => {
                if let Some(leader) = self.leader(ticket, effects) {
                    leader.appended((ticket, acks, deadline), end, settings, effects);
                }
            }
            Event::DeleteRecords {
                ticket,
                before,
                deadline,
            } => {
                if let Some(leader) = self.leader(ticket, effects) {
                    leader.delete_records((ticket, before, deadline), effects);
                }
            }
            Event::Retain => {
                if let Some(high_watermark) = self.high_watermark() {
                    effects.push(Effect::Retain { high_watermark });
                }
            }
            Event::Moved(bounds) => match &mut self.role {
                Role::Leader(leader) => leader.moved(now, bounds, settings, effects),
                Role::Follower(follower) => {
                    follower.moved(bounds);
                    follower.flush(settings, effects);
                }
                Role::Unassigned | Role::Ended(_) => {}
            },
            Event::Tick => self.with_leader(|leader| leader.expire(now, effects)),
            Event::Offline => self.end(Refusal::Offline, effects),
            Event::Stop => self.end(Refusal::Gone, effects),
            Event::Resign => self.end(Refusal::NotLeader, effects),
        }
    }

    fn lead(
        &mut self,
        now: MonoMillis,
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
        effects: &mut Effects,
    ) {
        let mut leader = match &mut self.role {
            Role::Ended(_) => return,
            Role::Unassigned => Leader::new(now, self.me, leadership, bounds, high_watermark),
            Role::Follower(follower) => {
                let following = follower.following();
                if leadership.leader_epoch <= following.leader_epoch {
                    return;
                }
                let high_watermark = follower.high_watermark();
                Leader::new(now, self.me, leadership, bounds, high_watermark)
            }
            Role::Leader(leader) => match leadership.leader_epoch.cmp(&leader.epoch()) {
                Ordering::Less => return,
                Ordering::Equal => {
                    leader.update(now, leadership);
                    leader.advance(now, self.settings, effects);
                    return;
                }
                Ordering::Greater => {
                    leader.end(Refusal::NotLeader, effects);
                    leader.succeed(now, leadership, bounds)
                }
            },
        };
        let (leader_epoch, start) = (leader.epoch(), leader.epoch_start());
        if !is_planted("a-reign-is-noted-before-it-writes") {
            effects.push(Effect::StartEpoch {
                leader_epoch,
                start,
            });
        }
        leader.advance(now, self.settings, effects);
        self.role = Role::Leader(leader);
    }

    fn follow(
        &mut self,
        following: Following,
        bounds: LogBounds,
        high_watermark: Offset,
        effects: &mut Effects,
    ) {
        let known = match &mut self.role {
            Role::Ended(_) => return,
            Role::Unassigned => high_watermark,
            Role::Follower(follower) => {
                if following.leader_epoch == follower.following().leader_epoch {
                    follower.update(following);
                    return;
                }
                if following.leader_epoch < follower.following().leader_epoch {
                    return;
                }
                follower.high_watermark()
            }
            Role::Leader(leader) => {
                // The same epoch without a leader would be another fact about the same reign: there is none.
                if following.leader_epoch <= leader.epoch()
                    || following.partition_epoch < leader.partition_epoch()
                {
                    return;
                }
                leader.end(Refusal::NotLeader, effects);
                leader.high_watermark()
            }
        };
        let mut follower = Follower::new(following, bounds, known);
        follower.flush(self.settings, effects);
        if is_planted("truncation-follows-epochs") {
            let to = follower.high_watermark();
            let why = super::effect::Cut::Diverged;
            effects.push(Effect::Truncate { to, why });
        }
        self.role = Role::Follower(follower);
    }

    fn end(&mut self, refusal: Refusal, effects: &mut Effects) {
        self.with_leader(|leader| leader.end(refusal, effects));
        // A partition that is gone stays gone, whatever then happens to its directory.
        if !matches!(self.role, Role::Ended(Refusal::Gone)) {
            self.role = Role::Ended(refusal);
        }
    }

    fn with_follower(&mut self, then: impl FnOnce(&mut Follower)) {
        if let Role::Follower(follower) = &mut self.role {
            then(follower);
        }
    }

    fn with_leader(&mut self, then: impl FnOnce(&mut Leader)) {
        if let Role::Leader(leader) = &mut self.role {
            then(leader);
        }
    }

    /// The leader, or the refusal of `ticket`.
    fn leader(&mut self, ticket: Ticket, effects: &mut Effects) -> Option<&mut Leader> {
        let refusal = match &mut self.role {
            Role::Leader(leader) => return Some(leader),
            Role::Unassigned | Role::Follower(_) => Refusal::NotLeader,
            Role::Ended(refusal) => *refusal,
        };
        effects.push(Effect::Answer {
            ticket,
            outcome: Outcome::Refused(refusal),
        });
        None
    }
}

#[cfg(test)]
mod tests;

//! One replica of one partition: which role it plays, and who may speak to it in that role.
//!
//! - R5: it never acts under an older leader epoch than one it has seen.
//! - Every `Produce` and `DeleteRecords` ends in exactly one `Answer` (after `Append`, once the
//!   driver has reported `Appended` or has itself refused the ticket).
//! - Once offline or stopped it refuses everything; nothing leads back.

use std::cmp::Ordering;

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::time::MonoMillis;

use super::effect::{
    Effect, Effects, Event, Leadership, LogBounds, Outcome, Refusal, Settings, Ticket,
};
use super::leader::Leader;
use crate::metadata::BrokerId;

/// The part of a partition's state that readers see, besides the log itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    pub leader_epoch: LeaderEpoch,
    /// Where the log ended when the reign began.
    pub epoch_start: Offset,
    pub high_watermark: Offset,
}

#[derive(Clone, Debug)]
enum Role {
    /// Nothing was said yet about who leads.
    Unassigned,
    Leader(Leader),
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

    /// What it leads, if it does.
    pub(crate) fn reign(&self) -> Result<Reign, Refusal> {
        match &self.role {
            Role::Unassigned => Err(Refusal::NotLeader),
            Role::Ended(refusal) => Err(*refusal),
            Role::Leader(leader) => Ok(Reign {
                leader_epoch: leader.epoch(),
                epoch_start: leader.epoch_start(),
                high_watermark: leader.high_watermark(),
            }),
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
                self.lead(leadership, bounds, high_watermark, effects);
            }
            Event::Configure(settings) => {
                self.settings = settings;
                self.with_leader(|leader| leader.advance(settings, effects));
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
            Event::Retain => self.with_leader(|leader| leader.retain(effects)),
            Event::Moved(bounds) => {
                self.with_leader(|leader| leader.moved(bounds, settings, effects));
            }
            Event::Tick => self.with_leader(|leader| leader.expire(now, effects)),
            Event::Offline => self.end(Refusal::Offline, effects),
            Event::Stop => self.end(Refusal::Gone, effects),
            Event::Resign => self.end(Refusal::NotLeader, effects),
        }
    }

    fn lead(
        &mut self,
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
        effects: &mut Effects,
    ) {
        let mut leader = match &mut self.role {
            Role::Ended(_) => return,
            Role::Unassigned => Leader::new(self.me, leadership, bounds, high_watermark),
            Role::Leader(leader) => match leadership.leader_epoch.cmp(&leader.epoch()) {
                Ordering::Less => return,
                Ordering::Equal => {
                    leader.update(leadership);
                    leader.advance(self.settings, effects);
                    return;
                }
                Ordering::Greater => {
                    leader.end(Refusal::NotLeader, effects);
                    leader.succeed(leadership, bounds)
                }
            },
        };
        let (leader_epoch, start) = (leader.epoch(), leader.epoch_start());
        effects.push(Effect::StartEpoch {
            leader_epoch,
            start,
        });
        leader.advance(self.settings, effects);
        self.role = Role::Leader(leader);
    }

    fn end(&mut self, refusal: Refusal, effects: &mut Effects) {
        self.with_leader(|leader| leader.end(refusal, effects));
        // A partition that is gone stays gone, whatever then happens to its directory.
        if !matches!(self.role, Role::Ended(Refusal::Gone)) {
            self.role = Role::Ended(refusal);
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
            Role::Unassigned => Refusal::NotLeader,
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

//! What a turn shows and says, in that order: whoever hears of an append can read it.

use super::super::core::effect::{Outcome, Refusal};
use super::super::core::partition::Standing;
use super::super::request::Done;
use super::super::view::{Change, Followed, Led, View};
use super::{Driver, Log, Part};

impl Driver {
    pub(super) fn publish(&mut self) {
        let standing = self.core.standing();
        if !self.turn.is_changed && self.shown == Some(standing) {
            return;
        }
        let waits_for_log = self.waits_for_log();
        let view = match (standing, &mut self.log) {
            (Standing::Leads(reign), Log::Open(log)) => {
                log.note_high_watermark(reign.high_watermark);
                View::Led(Led {
                    reign,
                    log: log.view(),
                })
            }
            (
                Standing::Follows {
                    following,
                    high_watermark,
                },
                Log::Open(log),
            ) => {
                log.note_high_watermark(high_watermark);
                let is_flushed =
                    !self.config.settings.flush_on_ack || log.flushed_end() >= log.log_end();
                View::Followed(Followed {
                    leader: following.leader,
                    leader_epoch: following.leader_epoch,
                    high_watermark,
                    is_fetchable: log.is_ready() && is_flushed,
                    log: log.view(),
                })
            }
            (Standing::Refuses(Refusal::NotLeader), _) if waits_for_log => View::Closed,
            (Standing::Refuses(refusal), _) => View::Refused(refusal),
            (Standing::Leads(_) | Standing::Follows { .. }, _) => {
                unreachable!("a partition plays its part only with an open log")
            }
        };
        let change = self.change(&view);
        let before = self.shown.replace(standing);
        self.turn.is_changed = false;
        self.published.publish(view, change);
        let is_offline = standing == Standing::Refuses(Refusal::Offline);
        if is_offline
            && before != Some(standing)
            && let Some(replica) = self.replica.upgrade()
        {
            // The controller would leave the leadership here. It is told what the view shows, so that comes first.
            self.directories.doubt(replica.key());
        }
    }

    /// Whether the partition has something to do once its log is open.
    fn waits_for_log(&self) -> bool {
        match &self.part {
            Some(Part::Lead(_)) => true,
            Some(Part::Follow(following)) => following.leader.is_some(),
            None => false,
        }
    }

    /// What the view shows that the last one did not.
    fn change(&mut self, view: &View) -> Change {
        let appended_bytes = std::mem::take(&mut self.turn.appended_bytes);
        let other = Change {
            visible_bytes: 0,
            appended_bytes,
            is_other: true,
        };
        let View::Led(led) = view else {
            return other;
        };
        let bounds = (led.log.log_start(), led.log.log_end());
        let was = std::mem::replace(&mut self.shown_bounds, bounds);
        let (Some(Standing::Leads(before)), after) = (self.shown, led.reign) else {
            return other;
        };
        // With the high watermark at the log's end, before and after, all that was appended became
        // visible and nothing else did.
        let was_level = before.high_watermark == was.1;
        let is_level = after.high_watermark == bounds.1;
        let is_same_reign = before.leader_epoch == after.leader_epoch && was.0 == bounds.0;
        if before.high_watermark == after.high_watermark {
            Change {
                is_other: !is_same_reign,
                ..other
            }
        } else if was_level && is_level && is_same_reign {
            Change {
                visible_bytes: appended_bytes,
                is_other: false,
                ..other
            }
        } else {
            other
        }
    }

    /// Tells the askers, now that the view shows what they are told.
    pub(super) fn answer(&mut self) {
        let mut answers = std::mem::take(&mut self.turn.answers);
        for (ticket, answer) in answers.drain(..) {
            let Some(asked) = self.asked.remove(&ticket) else {
                continue;
            };
            let outcome = match (answer, asked.done) {
                (Ok(Outcome::Done), Some(done)) => Ok(done),
                (Ok(Outcome::Done), None) => unreachable!("success for what was not appended"),
                (Ok(Outcome::Deleted { log_start }), _) => Ok(Done::deleted(log_start)),
                (Ok(Outcome::Refused(refusal)), _) => Err(refusal.into()),
                (Err(error), _) => Err(error),
            };
            asked.by.tell(outcome);
        }
        self.turn.answers = answers;
    }
}

//! What a turn shows and says, in that order: whoever hears of an append can read it.

use super::super::core::effect::{Outcome, Refusal};
use super::super::request::Done;
use super::super::view::{Change, Led, View};
use super::{Driver, Log};

impl Driver {
    pub(super) fn publish(&mut self) {
        let reign = self.core.reign();
        if !self.turn.is_changed && self.shown == Some(reign) {
            return;
        }
        let view = match (reign, &mut self.log) {
            (Ok(reign), Log::Open(log)) => {
                log.note_high_watermark(reign.high_watermark);
                View::Led(Led {
                    reign,
                    log: log.view(),
                })
            }
            (Err(Refusal::NotLeader), _) if self.leadership.is_some() => View::Closed,
            (Err(refusal), _) => View::Refused(refusal),
            (Ok(_), _) => unreachable!("a partition leads only with an open log"),
        };
        let change = self.change(&view);
        self.shown = Some(reign);
        self.turn.is_changed = false;
        self.published.publish(view, change);
    }

    /// What the view shows that the last one did not.
    fn change(&mut self, view: &View) -> Change {
        let appended = std::mem::take(&mut self.turn.appended_bytes);
        let View::Led(led) = view else {
            return Change {
                visible_bytes: 0,
                is_other: true,
            };
        };
        let bounds = (led.log.log_start(), led.log.log_end());
        let was = std::mem::replace(&mut self.shown_bounds, bounds);
        let (Some(Ok(before)), after) = (self.shown, led.reign) else {
            return Change {
                visible_bytes: 0,
                is_other: true,
            };
        };
        // With the high watermark at the log's end, before and after, all that was appended became
        // visible and nothing else did.
        let was_level = before.high_watermark == was.1;
        let is_level = after.high_watermark == bounds.1;
        let is_same_reign = before.leader_epoch == after.leader_epoch && was.0 == bounds.0;
        if before.high_watermark == after.high_watermark {
            Change {
                visible_bytes: 0,
                is_other: !is_same_reign,
            }
        } else if was_level && is_level && is_same_reign {
            Change {
                visible_bytes: appended,
                is_other: false,
            }
        } else {
            Change {
                visible_bytes: 0,
                is_other: true,
            }
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

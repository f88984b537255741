//! A follower's side of the log: what the leader sent is appended, what the leader does not have is cut off.
//!
//! - An answer is taken only if it answers what this log is now: the same reign, the same end, no truncation under way.
//!   Anything else is an answer to an older question.
//! - What can't be appended stays away from the log; whoever fetches sees that nothing moved, and pauses.

use std::ops::Range;

use ottla_storage::Offset;
use ottla_storage::log::{FollowerAppendError, PrepareError, TruncateError, WriteError};
use ottla_storage::time::MonoMillis;

use super::super::core::effect::{self, Cut};
use super::super::core::partition::Standing;
use super::super::following::{Answer, FromLeader};
use super::log::{Disposal, Log, bounds};
use super::{Driver, LogBounds};
use crate::telemetry::replication::Counter;

impl Driver {
    pub(super) fn hear_leader(&mut self, now: MonoMillis, from: FromLeader) {
        let Standing::Follows { following, .. } = self.core.standing() else {
            return;
        };
        let Log::Open(log) = &mut self.log else {
            return;
        };
        let leader_epoch = from.leader_epoch;
        let is_current = following.leader_epoch == leader_epoch && log.log_end() == from.offset;
        if !is_current || !log.is_ready() {
            return;
        }
        let event = match from.answer {
            Answer::Records { records, state } => {
                let mut result = Ok(());
                if !records.is_empty() {
                    let appended = log.append_as_follower(&records, self.clock.wall());
                    result = appended.map(|_| ());
                }
                let bounds = bounds(log);
                if let Err(error) = result {
                    self.say(&error);
                }
                effect::Event::Replicated {
                    leader_epoch,
                    state,
                    bounds,
                }
            }
            Answer::Diverged { epoch, end } => {
                let own = log.view().end_offset_for(epoch);
                let own = own.map(|own| (own.epoch, own.end));
                effect::Event::Diverged {
                    leader_epoch,
                    epoch,
                    end,
                    own,
                }
            }
            Answer::OutOfRange { start, end } => effect::Event::OutOfRange {
                leader_epoch,
                start,
                end,
            },
        };
        self.turn.is_changed = true;
        self.decide(now, event);
    }

    pub(super) fn truncate(&mut self, now: MonoMillis, to: Offset, why: Cut) {
        let Log::Open(log) = &mut self.log else {
            return;
        };
        let from = log.log_end();
        match log.truncate_to(to, self.clock.wall()) {
            Ok(to) => {
                let counters = &self.counters.truncations;
                let (counter, why) = match why {
                    Cut::Diverged => (&counters.diverged, "the leader's epochs end elsewhere"),
                    Cut::OutOfRange => (&counters.out_of_range, "the leader's log ends there"),
                };
                self.truncated((from, to), to..from, counter, why);
                self.moved(now);
            }
            Err(error) => self.not_truncated(now, &error),
        }
    }

    pub(super) fn restart(&mut self, now: MonoMillis, at: Offset) {
        let Log::Open(log) = &mut self.log else {
            return;
        };
        let gone = log.log_start()..log.log_end();
        match log.restart_at(at, self.clock.wall()) {
            Ok(()) => {
                let bounds: LogBounds = bounds(log);
                let counter = &self.counters.truncations.restarted;
                let why = "the leader's log begins there";
                self.truncated((gone.end, at), gone, counter, why);
                self.turn.is_changed = true;
                self.decide(now, effect::Event::Restarted(bounds));
            }
            Err(error) => self.not_truncated(now, &error),
        }
    }

    /// Counts and says that the log ended at `from` and goes on at `to`, without what is `gone`.
    fn truncated(
        &self,
        (from, to): (Offset, Offset),
        gone: Range<Offset>,
        counter: &Counter,
        why: &str,
    ) {
        let Some(replica) = self.replica.upgrade().filter(|_| from != to) else {
            return;
        };
        counter.add(1);
        let count = gone.end.get().saturating_sub(gone.start.get());
        let count = u64::try_from(count).unwrap_or_default();
        self.counters.truncations.offsets.add(count);
        let partition = replica.key().partition.get();
        tracing::info!(topic = %replica.topic(), partition, %from, %to, why, "truncated the log");
    }

    fn not_truncated(&mut self, now: MonoMillis, error: &TruncateError) {
        if matches!(error, TruncateError::Truncating) {
            return;
        }
        let error = error as &dyn std::error::Error;
        tracing::error!(
            error,
            "could not truncate a log: the partition goes offline"
        );
        self.end(now, effect::Event::Offline, Disposal::Keep);
    }

    fn say(&self, error: &FollowerAppendError) {
        let Some(replica) = self.replica.upgrade() else {
            return;
        };
        let is_passing = matches!(
            error,
            FollowerAppendError::NotWritable(
                PrepareError::Truncating | PrepareError::DiskFull | PrepareError::Backlogged
            ) | FollowerAppendError::Write(WriteError::DiskFull)
        );
        let (topic, partition) = (replica.topic(), replica.key().partition.get());
        let error = error as &dyn std::error::Error;
        if is_passing {
            tracing::warn!(%topic, partition, error, "could not append what the leader sent yet");
        } else {
            tracing::error!(%topic, partition, error, "could not append what the leader sent");
        }
    }
}

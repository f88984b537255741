//! One follower's copy of a partition: what it does with what the leader sends.
//!
//! - R6: it truncates to where the leader's epochs and its own part, never to the high watermark (KIP-101, KIP-279).
//! - An answer that belongs to another reign is ignored. One that says that the logs part says nothing about the high
//!   watermark (KAFKA-14704).
//! - R1: its high watermark is the leader's, within its own log; it may move back.

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::planted::is_planted;

use super::effect::{Cut, Effect, Effects, Following, LeaderState, LogBounds, Settings};
use super::high_watermark::HighWatermark;

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    following: Following,
    bounds: LogBounds,
    high_watermark: Offset,
    flush_in_flight: bool,
}

impl Follower {
    pub(crate) fn new(following: Following, bounds: LogBounds, high_watermark: Offset) -> Self {
        Self {
            following,
            bounds,
            high_watermark: HighWatermark::at_start_of_epoch(high_watermark, &bounds).offset(),
            flush_in_flight: false,
        }
    }

    /// Under `flush.on.ack` what is not flushed can't be acknowledged: sees that it will be.
    pub(crate) fn flush(&mut self, settings: Settings, effects: &mut Effects) {
        let is_behind = self.bounds.flushed_end < self.bounds.end;
        if settings.flush_on_ack && is_behind && !self.flush_in_flight {
            self.flush_in_flight = true;
            effects.push(Effect::Flush);
        }
    }

    pub(crate) fn following(&self) -> Following {
        self.following
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// A newer state of the same reign.
    pub(crate) fn update(&mut self, following: Following) {
        if following.partition_epoch >= self.following.partition_epoch {
            self.following = following;
        }
    }

    pub(crate) fn moved(&mut self, bounds: LogBounds) {
        self.lies(bounds);
        self.clamp(self.high_watermark);
    }

    fn lies(&mut self, bounds: LogBounds) {
        self.flush_in_flight &= bounds.flushed_end == self.bounds.flushed_end;
        self.bounds = bounds;
    }

    fn clamp(&mut self, high_watermark: Offset) {
        self.high_watermark =
            HighWatermark::at_start_of_epoch(high_watermark, &self.bounds).offset();
    }

    /// What the leader sent is in the log.
    pub(crate) fn replicated(
        &mut self,
        leader_epoch: LeaderEpoch,
        state: LeaderState,
        bounds: LogBounds,
        effects: &mut Effects,
    ) {
        self.lies(bounds);
        if leader_epoch != self.following.leader_epoch {
            return;
        }
        self.clamp(state.high_watermark);
        if state.log_start > bounds.start {
            let to = state.log_start.min(self.high_watermark);
            if to > bounds.start {
                effects.push(Effect::AdvanceLogStart { to });
            }
        }
    }

    /// The leader's log parted from this one.
    pub(crate) fn diverged(
        &self,
        leader_epoch: LeaderEpoch,
        (epoch, end): (LeaderEpoch, Offset),
        own: Option<(LeaderEpoch, Offset)>,
        effects: &mut Effects,
    ) {
        if leader_epoch != self.following.leader_epoch {
            return;
        }
        let to = match own.filter(|_| !is_planted("logs-meet-in-a-common-epoch")) {
            Some((own_epoch, own_end)) if own_epoch == epoch => own_end.min(end),
            // The next fetch asks about that earlier epoch.
            Some((_, own_end)) => own_end,
            None => end,
        };
        let to = to.min(self.bounds.end);
        let why = Cut::Diverged;
        effects.push(Effect::Truncate { to, why });
    }

    /// The end of this log is not in the leader's.
    pub(crate) fn out_of_range(
        &self,
        leader_epoch: LeaderEpoch,
        (start, end): (Offset, Offset),
        effects: &mut Effects,
    ) {
        if leader_epoch != self.following.leader_epoch {
            return;
        }
        if end < self.bounds.end {
            let (to, why) = (end, Cut::OutOfRange);
            effects.push(Effect::Truncate { to, why });
        } else if start > self.bounds.end {
            effects.push(Effect::Restart { at: start });
        }
    }

    /// The whole log was thrown away: the high watermark goes with it (KAFKA-9491).
    pub(crate) fn restarted(&mut self, bounds: LogBounds) {
        self.lies(bounds);
        if !is_planted("a-log-begun-anew-takes-the-high-watermark-along") {
            self.high_watermark = bounds.start;
        }
    }
}

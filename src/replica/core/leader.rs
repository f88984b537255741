//! One leader's reign over a partition: what it promises, and when it has kept it.
//!
//! - A request waits here for an offset to be reached and is answered exactly once: when that is so,
//!   at its deadline, or when the reign ends. Its offset means nothing under another leader epoch,
//!   so nothing that waits survives the reign.
//! - R3: the high watermark stands still while the in-sync set is below its minimum.

use std::collections::BTreeMap;

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::time::MonoMillis;

use super::effect::{
    Acks, Effect, Effects, Leadership, LogBounds, Outcome, Refusal, Settings, Ticket,
};
use super::high_watermark::HighWatermark;
use crate::metadata::BrokerId;

/// Requests that wait for an offset to be reached, by that offset.
#[derive(Clone, Debug, Default)]
struct Waiting(BTreeMap<(Offset, Ticket), MonoMillis>);

impl Waiting {
    fn add(&mut self, end: Offset, ticket: Ticket, deadline: MonoMillis) {
        self.0.insert((end, ticket), deadline);
    }

    fn settle(&mut self, reached: Offset, outcome: Outcome, effects: &mut Effects) {
        while let Some(first) = self.0.first_entry()
            && first.key().0 <= reached
        {
            let ((_, ticket), _) = first.remove_entry();
            effects.push(Effect::Answer { ticket, outcome });
        }
    }

    fn expire(&mut self, now: MonoMillis, effects: &mut Effects) {
        self.0.retain(|(_, ticket), deadline| {
            let waits = *deadline > now;
            if !waits {
                let outcome = Outcome::Refused(Refusal::TimedOut);
                effects.push(Effect::Answer {
                    ticket: *ticket,
                    outcome,
                });
            }
            waits
        });
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Leader {
    me: BrokerId,
    leadership: Leadership,
    epoch_start: Offset,
    bounds: LogBounds,
    high_watermark: HighWatermark,
    flush_in_flight: bool,
    for_high_watermark: Waiting,
    for_flush: Waiting,
    for_log_start: Waiting,
}

impl Leader {
    /// Begins a reign. What the log holds is authoritative up to its end; nothing is truncated.
    pub(crate) fn new(
        me: BrokerId,
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
    ) -> Self {
        Self {
            me,
            epoch_start: bounds.end,
            high_watermark: HighWatermark::at_start_of_epoch(high_watermark, &bounds),
            leadership,
            bounds,
            flush_in_flight: false,
            for_high_watermark: Waiting::default(),
            for_flush: Waiting::default(),
            for_log_start: Waiting::default(),
        }
    }

    /// Begins the next reign of the same leader. A flush in flight goes on across reigns.
    pub(crate) fn succeed(&self, leadership: Leadership, bounds: LogBounds) -> Self {
        Self {
            flush_in_flight: self.flush_in_flight,
            ..Self::new(self.me, leadership, bounds, self.high_watermark())
        }
    }

    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.leadership.leader_epoch
    }

    pub(crate) fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        self.high_watermark.offset()
    }

    /// Takes over a newer state of the same reign. Equal epochs are installed as well: the answer to
    /// the leader's own proposal may have come first.
    pub(crate) fn update(&mut self, leadership: Leadership) {
        if leadership.partition_epoch >= self.leadership.partition_epoch {
            self.leadership = leadership;
        }
    }

    /// Decides whether a client's batches may be appended.
    pub(crate) fn produce(
        &self,
        (ticket, acks, deadline): (Ticket, Acks, MonoMillis),
        settings: Settings,
        effects: &mut Effects,
    ) {
        let is_promised_by_all = acks == Acks::All;
        if is_promised_by_all && !self.leadership.isr.suffices(settings.min_insync_replicas) {
            let outcome = Outcome::Refused(Refusal::NotEnoughReplicas);
            effects.push(Effect::Answer { ticket, outcome });
            return;
        }
        let leader_epoch = self.leadership.leader_epoch;
        effects.push(Effect::Append {
            ticket,
            acks,
            deadline,
            leader_epoch,
        });
    }

    /// The ticket's batches are in the log and end at `end` (earlier than the log, for a duplicate).
    pub(crate) fn appended(
        &mut self,
        (ticket, acks, deadline): (Ticket, Acks, MonoMillis),
        end: Offset,
        settings: Settings,
        effects: &mut Effects,
    ) {
        match acks {
            Acks::All => self.for_high_watermark.add(end, ticket, deadline),
            Acks::Leader if settings.flush_on_ack => self.for_flush.add(end, ticket, deadline),
            Acks::None | Acks::Leader => {
                effects.push(Effect::Answer {
                    ticket,
                    outcome: Outcome::Done,
                });
            }
        }
        self.settle(effects);
    }

    pub(crate) fn delete_records(
        &mut self,
        (ticket, before, deadline): (Ticket, Option<Offset>, MonoMillis),
        effects: &mut Effects,
    ) {
        let to = before.unwrap_or_else(|| self.high_watermark());
        if to > self.high_watermark() {
            let outcome = Outcome::Refused(Refusal::OffsetOutOfRange);
            effects.push(Effect::Answer { ticket, outcome });
            return;
        }
        if to > self.bounds.start {
            effects.push(Effect::AdvanceLogStart { to });
        }
        self.for_log_start.add(to, ticket, deadline);
        self.settle(effects);
    }

    /// Drops what retention may drop: never what is not yet committed.
    pub(crate) fn retain(&self, effects: &mut Effects) {
        let high_watermark = self.high_watermark();
        effects.push(Effect::Retain { high_watermark });
    }

    /// The log moved: see how far that brings the high watermark, and who waited for it.
    pub(crate) fn moved(&mut self, bounds: LogBounds, settings: Settings, effects: &mut Effects) {
        self.flush_in_flight &= bounds.flushed_end == self.bounds.flushed_end;
        self.bounds = bounds;
        self.advance(settings, effects);
    }

    /// Advances the high watermark as far as it may go.
    pub(crate) fn advance(&mut self, settings: Settings, effects: &mut Effects) {
        let own_end = if settings.flush_on_ack {
            self.bounds.flushed_end
        } else {
            self.bounds.end
        };
        if self.leadership.isr.suffices(settings.min_insync_replicas) {
            // A follower counts from its first fetch in this reign; until then it holds nothing.
            let followers = self.leadership.isr.followers(self.me).map(|_| Offset::ZERO);
            self.high_watermark.advance(own_end, followers);
        }
        if settings.flush_on_ack && !self.flush_in_flight && own_end < self.bounds.end {
            // What is appended while this flush runs shares the next one: group commit.
            self.flush_in_flight = true;
            effects.push(Effect::Flush);
        }
        self.settle(effects);
    }

    pub(crate) fn expire(&mut self, now: MonoMillis, effects: &mut Effects) {
        for waiting in [
            &mut self.for_high_watermark,
            &mut self.for_flush,
            &mut self.for_log_start,
        ] {
            waiting.expire(now, effects);
        }
    }

    /// The reign is over: whatever waits is refused, because nobody here can keep the promise.
    pub(crate) fn end(&mut self, refusal: Refusal, effects: &mut Effects) {
        for waiting in [
            &mut self.for_high_watermark,
            &mut self.for_flush,
            &mut self.for_log_start,
        ] {
            waiting.settle(Offset::MAX, Outcome::Refused(refusal), effects);
        }
    }

    fn settle(&mut self, effects: &mut Effects) {
        self.for_high_watermark
            .settle(self.high_watermark.offset(), Outcome::Done, effects);
        self.for_flush
            .settle(self.bounds.flushed_end, Outcome::Done, effects);
        let log_start = self.bounds.start;
        self.for_log_start
            .settle(log_start, Outcome::Deleted { log_start }, effects);
    }
}

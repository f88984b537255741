//! One leader's reign over a partition: what it promises, and when it has kept it.
//!
//! - A request waits here for an offset to be reached and is answered exactly once: when that is so,
//!   at its deadline, or when the reign ends. Its offset means nothing under another leader epoch,
//!   so nothing that waits survives the reign.
//! - R3: the high watermark stands still while the in-sync set is below its minimum.
//! - R4: it moves only to where every replica is that is in sync or may be: see [`Isr`].
//! - A follower joins the in-sync set only with everything that is committed, and with everything that was there when the
//!   reign began: else it could be elected without it.

use std::collections::{BTreeMap, BTreeSet};

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use super::effect::{
    Acks, Effect, Effects, FollowerFetch, Leadership, LogBounds, Outcome, Refusal, Settings, Ticket,
};
use super::high_watermark::HighWatermark;
use super::isr::Isr;
use super::progress::Progress;
use crate::metadata::{BrokerId, ImageVersion, PartitionEpoch};
use crate::replica::isr_change::IsrAnswer;

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
                let outcome =
                    Outcome::Refused(if is_planted("what-is-appended-is-not-called-unwritten") {
                        Refusal::NotEnoughReplicas
                    } else {
                        Refusal::TimedOut
                    });
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
    epoch: LeaderEpoch,
    partition_epoch: PartitionEpoch,
    isr: Isr,
    /// Every other replica.
    followers: BTreeMap<BrokerId, Progress>,
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
        now: MonoMillis,
        me: BrokerId,
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
    ) -> Self {
        let others = leadership.replicas.iter().filter(|id| **id != me);
        let followers = others
            .map(|id| (*id, Progress::at_start(now, leadership.isr.contains(id))))
            .collect();
        Self {
            me,
            epoch: leadership.leader_epoch,
            partition_epoch: leadership.partition_epoch,
            isr: Isr::new(leadership.isr, leadership.replicas.len()),
            followers,
            epoch_start: bounds.end,
            high_watermark: HighWatermark::at_start_of_epoch(high_watermark, &bounds),
            bounds,
            flush_in_flight: false,
            for_high_watermark: Waiting::default(),
            for_flush: Waiting::default(),
            for_log_start: Waiting::default(),
        }
    }

    /// Begins the next reign of the same leader. A flush in flight goes on across reigns.
    pub(crate) fn succeed(
        &self,
        now: MonoMillis,
        leadership: Leadership,
        bounds: LogBounds,
    ) -> Self {
        let high_watermark = self.high_watermark();
        let mut next = Self::new(now, self.me, leadership, bounds, high_watermark);
        next.flush_in_flight = self.flush_in_flight;
        // Under a reign in between, of which nobody told, a follower may have truncated.
        let is_next = self.epoch.next() == Some(next.epoch);
        for (id, progress) in &mut next.followers {
            if let Some(known) = self.followers.get(id).filter(|_| is_next) {
                let is_in_sync = next.isr.committed().contains(id);
                *progress = known.carried_over(now, is_in_sync, bounds.end);
            }
        }
        next
    }

    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    pub(crate) fn epoch_start(&self) -> Offset {
        self.epoch_start
    }

    pub(crate) fn high_watermark(&self) -> Offset {
        self.high_watermark.offset()
    }

    pub(crate) fn partition_epoch(&self) -> PartitionEpoch {
        self.partition_epoch
    }

    /// Takes over a newer state of the same reign: it decides what was pending. An equal one is known already, from the
    /// answer to this leader's own proposal.
    pub(crate) fn update(&mut self, now: MonoMillis, leadership: Leadership) {
        let is_news = leadership.partition_epoch > self.partition_epoch;
        if !is_news && !is_planted("older-metadata-change-nothing") {
            return;
        }
        self.partition_epoch = leadership.partition_epoch;
        self.followers
            .retain(|id, _| leadership.replicas.contains(id));
        for id in leadership.replicas.iter().filter(|id| **id != self.me) {
            let is_in_sync = leadership.isr.contains(id);
            let progress = self.followers.entry(*id);
            progress.or_insert_with(|| Progress::at_start(now, is_in_sync));
        }
        self.isr = Isr::new(leadership.isr, leadership.replicas.len());
    }

    /// A follower has shown how far it is.
    pub(crate) fn fetched(
        &mut self,
        now: MonoMillis,
        fetch: &FollowerFetch,
        settings: Settings,
        effects: &mut Effects,
    ) {
        let Some(progress) = self.followers.get_mut(&fetch.follower) else {
            return;
        };
        if fetch.leader_epoch != self.epoch {
            return;
        }
        progress.fetched(now, fetch);
        self.advance(now, settings, effects);
        self.expand(fetch.follower, effects);
    }

    /// A follower was fenced or stops: whoever waits for commits does not wait for it.
    pub(crate) fn follower_gone(
        &mut self,
        now: MonoMillis,
        (follower, since): (BrokerId, ImageVersion),
        settings: Settings,
        effects: &mut Effects,
    ) {
        if let Some(progress) = self.followers.get_mut(&follower) {
            progress.gone(since);
            self.advance(now, settings, effects);
        }
    }

    /// Asks for a follower to be let in, if it has what a member must have.
    fn expand(&mut self, follower: BrokerId, effects: &mut Effects) {
        let Some(progress) = self.followers.get(&follower) else {
            return;
        };
        let has_reached_reign =
            |end| end >= self.epoch_start || is_planted("a-member-has-what-was-before-the-reign");
        let has_all = |end| end >= self.high_watermark() && has_reached_reign(end);
        if !self.isr.is_changing()
            && !self.isr.may_contain(follower)
            && (progress.is_eligible() || is_planted("the-leader-asks-for-eligible-members"))
            && progress.log_end().is_some_and(has_all)
        {
            let mut members = self.isr.committed().clone();
            members.insert(follower);
            self.propose(members, effects);
        }
    }

    /// Asks for followers that have not caught up for too long to be let go.
    pub(crate) fn check_isr(&mut self, now: MonoMillis, settings: Settings, effects: &mut Effects) {
        if self.isr.is_changing() {
            return;
        }
        let keeps_up = |id: &BrokerId| {
            let progress = self.followers.get(id);
            *id == self.me
                || progress.is_some_and(|progress| {
                    progress.is_caught_up(now, self.bounds.end, settings.lag_max)
                })
        };
        let members: BTreeSet<_> = self
            .isr
            .committed()
            .iter()
            .copied()
            .filter(keeps_up)
            .collect();
        if members.len() < self.isr.committed().len() {
            self.propose(members, effects);
        }
    }

    fn propose(&mut self, members: BTreeSet<BrokerId>, effects: &mut Effects) {
        let epoch_of = |id: &BrokerId| self.followers.get(id)?.broker_epoch();
        effects.push(Effect::ProposeIsr {
            leader_epoch: self.epoch,
            partition_epoch: self.partition_epoch,
            isr: members.iter().map(|id| (*id, epoch_of(id))).collect(),
        });
        self.isr.propose(self.partition_epoch, members);
    }

    /// The controller has answered the proposal of `at`.
    pub(crate) fn isr_answered(
        &mut self,
        now: MonoMillis,
        at: PartitionEpoch,
        answer: IsrAnswer,
        settings: Settings,
        effects: &mut Effects,
    ) {
        if !self.isr.is_pending_at(at) {
            return;
        }
        match answer {
            IsrAnswer::Accepted {
                leader_epoch,
                partition_epoch,
                isr,
            } => {
                let is_ours = leader_epoch == self.epoch
                    && partition_epoch >= self.partition_epoch
                    && isr.contains(&self.me);
                if !is_ours {
                    return;
                }
                self.partition_epoch = partition_epoch;
                self.isr.commit(isr.into_iter().collect());
                self.advance(now, settings, effects);
            }
            // It may have been carried out: the metadata decides it.
            IsrAnswer::Ambiguous if !is_planted("an-unclear-answer-leaves-it-open") => {}
            IsrAnswer::NotApplied | IsrAnswer::Ambiguous => {
                for id in self.isr.revert() {
                    if let Some(progress) = self.followers.get_mut(&id) {
                        progress.refused();
                    }
                }
                self.advance(now, settings, effects);
            }
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
        if is_promised_by_all && !self.isr.suffices(settings.min_insync_replicas) {
            let outcome = Outcome::Refused(Refusal::NotEnoughReplicas);
            effects.push(Effect::Answer { ticket, outcome });
            return;
        }
        let leader_epoch = self.epoch;
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

    /// The log moved: see how far that brings the high watermark, and who waited for it.
    pub(crate) fn moved(
        &mut self,
        now: MonoMillis,
        bounds: LogBounds,
        settings: Settings,
        effects: &mut Effects,
    ) {
        self.flush_in_flight &= bounds.flushed_end == self.bounds.flushed_end;
        self.bounds = bounds;
        self.advance(now, settings, effects);
    }

    /// Advances the high watermark as far as it may go.
    pub(crate) fn advance(&mut self, now: MonoMillis, settings: Settings, effects: &mut Effects) {
        let own_end = if settings.flush_on_ack {
            self.bounds.flushed_end
        } else {
            self.bounds.end
        };
        if self.isr.suffices(settings.min_insync_replicas)
            || is_planted("nothing-is-committed-below-the-minimum")
        {
            let (isr, end) = (&self.isr, self.bounds.end);
            // Who is out of sync and keeps up counts, too: it is about to be let in.
            let counts = |id: &BrokerId, progress: &Progress| {
                isr.may_contain(*id)
                    || (progress.is_eligible() && progress.is_caught_up(now, end, settings.lag_max))
            };
            let followers = self.followers.iter().filter(|(id, p)| counts(id, p));
            let ends = followers.map(|(_, progress)| progress.log_end().unwrap_or(Offset::ZERO));
            self.high_watermark.advance(own_end, ends);
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
        // Records are gone once they are gone from every replica that may lead next, or fetches.
        let log_start = self
            .followers
            .iter()
            .filter(|(id, progress)| {
                self.isr.may_contain(**id)
                    || (progress.log_end().is_some() && progress.is_eligible())
            })
            .map(|(_, progress)| progress.log_start())
            .fold(self.bounds.start, Ord::min);
        self.for_log_start
            .settle(log_start, Outcome::Deleted { log_start }, effects);
    }
}

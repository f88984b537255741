//! The committed history of one partition, and who must have it.

use std::collections::{BTreeMap, BTreeSet};

use ottla::replica::ReplicaKey;
use ottla_storage::{LeaderEpoch, LogView};

use super::check::{Violation, broken};
use super::log_content::{Batch, batches, raw};
use super::mark::Mark;

/// The committed history of a partition.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By base offset.
    pub(super) committed: BTreeMap<u64, Batch>,
    pub(super) end: u64,
    /// Acknowledged with `acks=all`.
    pub(super) acked: BTreeMap<u64, Batch>,
    /// The latest reign that has begun.
    pub(super) latest: Option<LeaderEpoch>,
    /// Whatever was ever in any of the logs, by leader epoch and base offset: the batch, and the one before it.
    pub(super) places: BTreeMap<(i32, u64), (Batch, Option<Batch>)>,
    /// Where the reign of an uncleanly elected leader began, by leader epoch: earlier leaders' words count no more.
    pub(super) unclean: BTreeSet<LeaderEpoch>,
    /// The last of them that a leader's log has been compared after.
    pub(super) settled: Option<LeaderEpoch>,
}

impl History {
    /// [3]: of what is new in a log since it ended at `known`: one leader epoch and offset are one batch, and the same log
    /// before it.
    pub(super) fn match_logs(
        &mut self,
        (node, key): (usize, ReplicaKey),
        log: &LogView,
        known: u64,
    ) -> Result<Vec<Batch>, Violation> {
        let found = batches(log, known.saturating_sub(1), u64::MAX)
            .map_err(|error| broken("S5", node, key, &error))?;
        let mut before = None;
        for batch in found.iter().copied() {
            let place = self.places.entry((batch.epoch, batch.base));
            let (there, theirs) = *place.or_insert((batch, before));
            let is_same_before = before.is_none() || theirs.is_none() || before == theirs;
            if there != batch || !is_same_before {
                let text =
                    format!("{batch:?} behind {before:?}, elsewhere {there:?} behind {theirs:?}");
                return Err(broken("3", node, key, &text));
            }
            if theirs.is_none() && before.is_some() {
                self.places
                    .insert((batch.epoch, batch.base), (batch, before));
            }
            before = Some(batch);
        }
        Ok(found)
    }

    pub(super) fn has_seen(&self, batch: &Batch) -> bool {
        let place = self.places.get(&(batch.epoch, batch.base));
        place.is_some_and(|(there, _)| there == batch)
    }

    /// A leader begins: it has all that was committed, unless it was elected uncleanly.
    pub(super) fn begin_reign(
        &mut self,
        (node, key): (usize, ReplicaKey),
        mark: Mark,
        log: &LogView,
    ) -> Result<(), Violation> {
        let unclean = self.unclean.range(..=mark.epoch).next_back().copied();
        if unclean > self.settled {
            self.settled = unclean;
            let start = raw(log.log_start());
            let own = batches(log, 0, u64::MAX).map_err(|error| broken("S4", node, key, &error))?;
            // Its first batch may reach below its start, over what others have committed there.
            let start = own.first().map_or(start, |first| first.base.min(start));
            let own: BTreeMap<u64, Batch> =
                own.into_iter().map(|batch| (batch.base, batch)).collect();
            let parts = |known: &BTreeMap<u64, Batch>| {
                let mut lost = known
                    .values()
                    .filter(|batch| batch.last >= start && own.get(&batch.base) != Some(*batch));
                lost.next().map(|batch| batch.base)
            };
            if let Some(cut) = parts(&self.committed)
                .into_iter()
                .chain(parts(&self.acked))
                .min()
            {
                self.committed.split_off(&cut);
                self.acked.split_off(&cut);
                self.end = self.end.min(cut);
            }
            self.end = self.end.min(mark.log_end.max(start));
            return Ok(());
        }
        if mark.log_end < self.end {
            let text = format!(
                "a clean leader of epoch {} begins with a log up to {}, committed is {}",
                mark.epoch, mark.log_end, self.end
            );
            return Err(broken("1", node, key, &text));
        }
        self.check_prefix((node, key), "1", log, self.end)?;
        self.check_acked((node, key), log)
    }

    pub(super) fn check_prefix(
        &self,
        at: (usize, ReplicaKey),
        rule: &'static str,
        log: &LogView,
        end: u64,
    ) -> Result<(), Violation> {
        self.check_range(at, rule, log, (0, end))
    }

    /// Whether a log has what was committed of these offsets, as far as it reaches back.
    pub(super) fn check_range(
        &self,
        (node, key): (usize, ReplicaKey),
        rule: &'static str,
        log: &LogView,
        (from, to): (u64, u64),
    ) -> Result<(), Violation> {
        let from = from.max(raw(log.log_start()));
        let own = batches(log, from, to).map_err(|error| broken("S4", node, key, &error))?;
        let own: BTreeMap<u64, Batch> = own.into_iter().map(|batch| (batch.base, batch)).collect();
        let committed = self.committed.range(..to).map(|(_, batch)| batch);
        let known = committed.rev().take_while(|batch| batch.last >= from);
        for batch in known.filter(|batch| batch.last < to) {
            if own.get(&batch.base) != Some(batch) {
                let text = format!(
                    "committed is {batch:?}, and it has {:?}",
                    own.get(&batch.base)
                );
                return Err(broken(rule, node, key, &text));
            }
        }
        Ok(())
    }

    pub(super) fn check_acked(
        &self,
        (node, key): (usize, ReplicaKey),
        log: &LogView,
    ) -> Result<(), Violation> {
        let start = raw(log.log_start());
        let own = batches(log, 0, u64::MAX).map_err(|error| broken("S4", node, key, &error))?;
        let own: BTreeMap<u64, Batch> = own.into_iter().map(|batch| (batch.base, batch)).collect();
        for batch in self.acked.values().filter(|batch| batch.last >= start) {
            if own.get(&batch.base) != Some(batch) {
                let text = format!(
                    "{batch:?} was acknowledged, and it has {:?}",
                    own.get(&batch.base)
                );
                return Err(broken("1", node, key, &text));
            }
        }
        Ok(())
    }
}

//! What must hold after every step: the invariants R and S of the replicas, M of the metadata, and Appendix C of the
//! replication semantics (in brackets).
//!
//! - Per partition there is one committed history: what any leader's high watermark has passed. Nobody may ever show another
//!   one [2, 3, 4, 8], every clean leader begins with all of it [1], and whoever is in sync has it (R4).
//! - Only an election that the metadata call unclean may cut it, and only if the leader has lost what it had, or somebody has
//!   allowed anybody to lead: what was acknowledged is excused from there on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ottla::metadata::{BrokerId, MetadataDelta, MetadataImage, PartitionImage, RecoveryState};
use ottla::replica::view::View;
use ottla::replica::{ReplicaKey, Replicas};
use ottla_storage::{LeaderEpoch, LogView};

use super::count::Counts;
use super::history::History;
use super::log_content::{Batch, batches, raw};
use super::mark::{Content, Left, Mark};
use super::node::{Node, position};
use super::rules::{
    check_members, check_minimum, check_order, check_recovered, check_restart, eligible, standing,
    state,
};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) rule: &'static str,
    pub(super) text: String,
}

impl Violation {
    pub(super) fn new(rule: &'static str, text: String) -> Self {
        Self { rule, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.text)
    }
}

/// Everything that is known of the past.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    histories: BTreeMap<ReplicaKey, History>,
    reigns: BTreeMap<(ReplicaKey, LeaderEpoch), (usize, u64)>,
    marks: BTreeMap<(usize, u64, ReplicaKey), Mark>,
    contents: BTreeMap<(usize, u64, ReplicaKey), Content>,
    left: BTreeMap<(usize, ReplicaKey), Left>,
    /// The highest offset below which records were asked to be deleted.
    deleted_below: BTreeMap<ReplicaKey, u64>,
}

/// What a check needs besides the past.
pub(super) struct Scene<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) truth: &'a MetadataImage,
    pub(super) min_insync: usize,
}

impl Scene<'_> {
    pub(super) fn partition(&self, key: ReplicaKey) -> Option<&Arc<PartitionImage>> {
        self.truth
            .topics()
            .by_id(key.topic)?
            .partition(key.partition)
    }

    /// The logs of those that are in sync by the metadata, as far as they run and are the processes that the metadata mean.
    fn in_sync(&self, key: ReplicaKey) -> Vec<(usize, Arc<LogView>)> {
        let Some(partition) = self.partition(key) else {
            return Vec::new();
        };
        let members = partition.isr.iter().filter_map(|id| {
            let process = self.nodes.get(position(*id))?.process.as_ref()?;
            let registered = self.truth.brokers().find(*id)?.epoch;
            if process.epoch != Some(registered) {
                return None;
            }
            let log = log_of(&process.replica(key)?.view())?;
            Some((position(*id), log))
        });
        members.collect()
    }
}

impl Scene<'_> {
    /// The leader leads, and what it has is committed and known to be so everywhere.
    fn check_level(&self, key: ReplicaKey, leader: BrokerId) -> Result<(), Violation> {
        for (node, machine) in self.nodes.iter().enumerate() {
            let process = machine.process.as_ref();
            let Some(replica) = process.and_then(|process| process.replica(key)) else {
                continue;
            };
            let view = replica.view();
            let (is_led, high_watermark, end) = match &**view {
                View::Led(led) => (true, led.high_watermark(), led.log.log_end()),
                View::Followed(one) => (false, one.high_watermark, one.log.log_end()),
                View::Closed | View::Refused(_) => continue,
            };
            if is_led != (machine.id == leader) || high_watermark != end {
                let what = format!("all is healed, and it {}", standing(&view));
                return Err(broken("liveness", node, key, &what));
            }
        }
        Ok(())
    }
}

fn log_of(view: &View) -> Option<Arc<LogView>> {
    match view {
        View::Led(led) => Some(led.log.clone()),
        View::Followed(followed) => Some(followed.log.clone()),
        View::Closed | View::Refused(_) => None,
    }
}

pub(super) fn broken(rule: &'static str, node: usize, key: ReplicaKey, what: &str) -> Violation {
    Violation::new(
        rule,
        format!(
            "node {} partition {}: {what}",
            node + 1,
            key.partition.get()
        ),
    )
}

impl Oracle {
    /// Looks at all replicas of a node.
    pub(super) fn check_node(
        &mut self,
        scene: &Scene<'_>,
        node: usize,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let Some(machine) = scene.nodes.get(node) else {
            return Ok(());
        };
        let Some(process) = &machine.process else {
            return Ok(());
        };
        for (key, replica) in process.all_replicas() {
            let view = replica.view_owned();
            let (mark, log) = match &*view {
                View::Led(led) => (
                    Mark {
                        epoch: led.reign.leader_epoch,
                        is_led: true,
                        high_watermark: raw(led.reign.high_watermark),
                        log_start: raw(led.log.log_start()),
                        log_end: raw(led.log.log_end()),
                    },
                    &led.log,
                ),
                View::Followed(followed) => (
                    Mark {
                        epoch: followed.leader_epoch,
                        is_led: false,
                        high_watermark: raw(followed.high_watermark),
                        log_start: raw(followed.log.log_start()),
                        log_end: raw(followed.log.log_end()),
                    },
                    &followed.log,
                ),
                View::Closed | View::Refused(_) => continue,
            };
            let state = process.directory.log(Replicas::log_key(key));
            if let Some(state) = state.filter(|state| raw(state.recovery_point) > mark.log_end) {
                let text = format!(
                    "recovery point {} of a log up to {}",
                    state.recovery_point, mark.log_end
                );
                return Err(broken("S1", node, key, &text));
            }
            let name = (node, machine.boot, key);
            let before = self.marks.insert(name, mark);
            if let Some(left) = self.left.remove(&(node, key)) {
                check_recovered(&left, self.histories.get(&key), log, (mark, node, key))?;
            }
            if before.is_some_and(|before| {
                before.epoch == mark.epoch
                    && before.is_led == mark.is_led
                    && before.high_watermark == mark.high_watermark
                    && before.log_start == mark.log_start
                    && before.log_end == mark.log_end
            }) {
                continue;
            }
            self.check_replica(scene, (node, key), (before, mark), log, counts)?;
        }
        Ok(())
    }

    fn check_replica(
        &mut self,
        scene: &Scene<'_>,
        (node, key): (usize, ReplicaKey),
        (before, now): (Option<Mark>, Mark),
        log: &LogView,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let bad = |rule, what: &str| Err(broken(rule, node, key, what));
        if !(raw(log.log_start()) <= now.high_watermark && now.high_watermark <= now.log_end) {
            let text = format!(
                "R1: {} <= {} <= {}",
                log.log_start(),
                now.high_watermark,
                now.log_end
            );
            return bad("R1", &text);
        }
        if now.log_start > self.deleted_below.get(&key).copied().unwrap_or(0) {
            let text = format!(
                "its log begins at {}, and nobody deleted that much",
                now.log_start
            );
            return bad("1", &text);
        }
        if before.is_some_and(|before| before.epoch > now.epoch) {
            return bad("R5", "it acts under an older leader epoch than before");
        }
        if let Some(before) = before.filter(|before| before.log_end > now.log_end) {
            counts.add("truncation of a batch or more");
            if now.is_led {
                return bad(
                    "R6",
                    &format!(
                        "a leader's log was cut from {} to {}",
                        before.log_end, now.log_end
                    ),
                );
            }
        }
        let boot = scene.nodes.get(node).map_or(0, |machine| machine.boot);
        let known = before.map_or(0, |before| before.log_end.min(now.log_end));
        let history = self.histories.entry(key).or_default();
        let found = history.match_logs((node, key), log, known)?;
        if before.is_none()
            && found
                .first()
                .is_some_and(|first| first.base < now.log_start)
        {
            counts.add("first batch with the log start inside");
        }
        let content = self.contents.entry((node, boot, key)).or_default();
        content.start = now.log_start;
        let is_longer = before.is_some_and(|before| {
            before.log_end <= now.log_end && before.log_start == now.log_start
        });
        if is_longer {
            let end = content.batches.last().map_or(0, |batch| batch.last + 1);
            let fresh = found.into_iter().filter(|batch| batch.base >= end);
            content.batches.extend(fresh);
        } else {
            content.batches =
                batches(log, 0, u64::MAX).map_err(|error| broken("S5", node, key, &error))?;
        }
        // A replica of before an unclean election knows a past that is over, until its leader has told it.
        if history.unclean.is_empty() {
            let from = before.filter(|_| is_longer);
            let from = from.map_or(0, |before| before.high_watermark);
            let to = now.high_watermark.min(history.end);
            history.check_range((node, key), "2", log, (from, to))?;
        }
        if !now.is_led {
            return Ok(());
        }
        let reign = self.reigns.entry((key, now.epoch)).or_insert((node, boot));
        if *reign != (node, boot) {
            return bad(
                "R5",
                &format!(
                    "a second leader, or a second process, in leader epoch {}",
                    now.epoch
                ),
            );
        }
        let is_new = before.is_none_or(|before| !before.is_led || before.epoch != now.epoch);
        if let Some(before) = before.filter(|_| !is_new) {
            if before.high_watermark > now.high_watermark {
                return bad(
                    "R2",
                    &format!(
                        "its high watermark went from {} to {}",
                        before.high_watermark, now.high_watermark
                    ),
                );
            }
            check_minimum(scene, (node, key), before, now)?;
        }
        let history = self.histories.entry(key).or_default();
        if history
            .unclean
            .range(now.epoch..)
            .any(|unclean| *unclean > now.epoch)
        {
            // Its words are of a past that an unclean election has ended.
            return Ok(());
        }
        // One that hears late of its own election, after others have led, may lack what they committed.
        let is_late = history.latest > Some(now.epoch);
        history.latest = history.latest.max(Some(now.epoch));
        if is_new && !is_late {
            history.begin_reign((node, key), now, log)?;
        }
        if now.high_watermark > history.end {
            let fresh = batches(log, history.end, now.high_watermark)
                .map_err(|error| broken("S5", node, key, &error))?;
            for batch in fresh {
                let others = history.committed.range(..=batch.last).next_back();
                if let Some((_, other)) = others
                    && other.last >= batch.base
                    && *other != batch
                {
                    return bad(
                        "R7",
                        &format!("{batch:?} lies over {other:?}, which was committed"),
                    );
                }
                history.end = batch.last + 1;
                history.committed.insert(batch.base, batch);
            }
            // What lies at the log's end and is gone at its start was deleted.
            history.end = history.end.max(now.high_watermark);
            let (epoch, end) = (now.epoch, history.end);
            self.check_in_sync(scene, (node, key), epoch, end)?;
        }
        Ok(())
    }

    /// R4: whoever the metadata call in sync has what the leader calls committed.
    fn check_in_sync(
        &self,
        scene: &Scene<'_>,
        (node, key): (usize, ReplicaKey),
        epoch: LeaderEpoch,
        end: u64,
    ) -> Result<(), Violation> {
        let Some(history) = self.histories.get(&key) else {
            return Ok(());
        };
        let is_current = scene
            .partition(key)
            .is_some_and(|partition| partition.leader_epoch == epoch);
        if !is_current {
            return Ok(());
        }
        for (member, log) in scene.in_sync(key) {
            if raw(log.log_end()) < end {
                let text = format!(
                    "the leader, node {}, committed up to {end}, and this member of the ISR ends at {}",
                    node + 1,
                    log.log_end()
                );
                return Err(broken("R4", member, key, &text));
            }
            history.check_prefix((member, key), "R4", &log, end)?;
        }
        Ok(())
    }

    /// A producer was told that all have its batch.
    pub(super) fn acknowledged(
        &mut self,
        scene: &Scene<'_>,
        (node, key): (usize, ReplicaKey),
        batch: Batch,
    ) -> Result<(), Violation> {
        let history = self.histories.entry(key).or_default();
        let epoch = LeaderEpoch::from_wire(batch.epoch);
        if epoch.is_some_and(|epoch| history.unclean.iter().any(|unclean| *unclean > epoch)) {
            return Ok(());
        }
        if let Some(other) = history
            .committed
            .get(&batch.base)
            .filter(|other| **other != batch)
        {
            let text = format!("acknowledged {batch:?} where {other:?} was committed");
            return Err(broken("R4", node, key, &text));
        }
        history.acked.insert(batch.base, batch);
        for (member, log) in scene.in_sync(key) {
            let is_current = scene
                .partition(key)
                .is_some_and(|now| now.leader_epoch.get() == batch.epoch);
            let found = batches(&log, batch.base, batch.last + 1);
            let is_there = found.is_ok_and(|found| found.first() == Some(&batch));
            if is_current && !is_there && raw(log.log_start()) <= batch.last {
                let text = format!(
                    "{batch:?} was acknowledged by node {} without this member of the ISR",
                    node + 1
                );
                return Err(broken("R4", member, key, &text));
            }
        }
        Ok(())
    }

    /// R7: what a consumer was given is committed.
    pub(super) fn consumed(
        &self,
        (node, key): (usize, ReplicaKey),
        epoch: LeaderEpoch,
        read: &[Batch],
    ) -> Result<(), Violation> {
        let Some(history) = self.histories.get(&key) else {
            return Ok(());
        };
        if history.unclean.iter().any(|unclean| *unclean > epoch) {
            return Ok(());
        }
        for batch in read {
            if history.committed.get(&batch.base) != Some(batch) {
                let text = format!(
                    "a consumer read {batch:?}, committed is {:?}",
                    history.committed.get(&batch.base)
                );
                return Err(broken("R7", node, key, &text));
            }
        }
        Ok(())
    }

    /// The process of a node is about to end, or to stop: what its logs hold, as far as they were ever open.
    pub(super) fn leave(&mut self, machine: &Node, node: usize, is_whole: bool) {
        let Some(process) = &machine.process else {
            return;
        };
        let own = self.contents.iter();
        let own = own.filter(|((at, boot, _), _)| (*at, *boot) == (node, machine.boot));
        for ((_, _, key), content) in own {
            let state = process.directory.log(Replicas::log_key(*key));
            let left = Left {
                batches: content.batches.clone(),
                start: content.start,
                synced: state.map_or(0, |state| raw(state.recovery_point)),
                is_whole,
            };
            self.left.insert((node, *key), left);
        }
    }

    /// Somebody asks for records below this to be deleted.
    pub(super) fn delete_below(&mut self, key: ReplicaKey, before: u64) {
        let known = self.deleted_below.entry(key).or_default();
        *known = before.max(*known);
    }

    /// What a process left in its page cache is gone after all.
    pub(super) fn lose_page_cache(&mut self, node: usize) {
        for ((at, _), left) in &mut self.left {
            left.is_whole &= *at != node;
        }
    }

    /// The disk of a node was replaced.
    pub(super) fn forget_disk(&mut self, node: usize) {
        self.left.retain(|(at, _), _| *at != node);
        self.contents.retain(|(at, _, _), _| *at != node);
    }

    /// What the metadata became, in one entry.
    pub(super) fn check_entry(
        &mut self,
        before: &MetadataImage,
        after: &MetadataImage,
        fenced: &BTreeSet<BrokerId>,
        may_lack: impl Fn(BrokerId) -> bool,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let delta = MetadataDelta::between(before, after);
        // Who might have led cleanly, before and after.
        let alive = |(old, new): (&PartitionImage, &PartitionImage)| {
            let both = |id: &BrokerId| before.brokers().find(*id).zip(after.brokers().find(*id));
            let lives = |id: &BrokerId| {
                both(id).is_some_and(|(was, is)| {
                    let has_home = new.directory_of(*id).is_some_and(|home| {
                        was.directories.contains(&home) && is.directories.contains(&home)
                    });
                    was.epoch == is.epoch && was.is_active() && is.is_active() && has_home
                })
            };
            // One that was fenced may be let in again in the same entry.
            let eligible = eligible(old).iter().copied();
            eligible.filter(|id| !fenced.contains(id)).find(lives)
        };
        for ((topic, index), change) in &delta.partitions {
            let key = ReplicaKey {
                topic: *topic,
                partition: *index,
            };
            if let Some(old) = &change.old {
                self.check_change(key, (old, &change.new), &may_lack, alive, counts)?;
            }
        }
        for topic in after.topics().iter() {
            for (index, partition) in topic.partitions() {
                check_members(after, index.get(), partition)?;
            }
        }
        for (id, change) in &delta.brokers {
            let (Some(old), Some(new)) = (&change.old, &change.new) else {
                continue;
            };
            if !old.is_fenced && new.is_fenced {
                counts.add("broker fenced");
            }
            if !old.in_controlled_shutdown && new.in_controlled_shutdown {
                counts.add("controlled shutdown");
            }
            if old.epoch != new.epoch {
                check_restart(before, after, *id)?;
                if old.incarnation == new.incarnation {
                    let text = format!("broker {id} registered twice and got another epoch");
                    return Err(Violation::new("16", text));
                }
            }
        }
        Ok(())
    }

    /// M2 [5, 6], and what happened.
    fn check_change(
        &mut self,
        key: ReplicaKey,
        (old, new): (&PartitionImage, &PartitionImage),
        may_lack: impl Fn(BrokerId) -> bool,
        alive: impl Fn((&PartitionImage, &PartitionImage)) -> Option<BrokerId>,
        counts: &mut Counts,
    ) -> Result<(), Violation> {
        let bad = |what: &str| {
            Violation::new(
                "M2",
                format!(
                    "partition {}: {what}: {} -> {}",
                    key.partition.get(),
                    state(old),
                    state(new)
                ),
            )
        };
        if new.partition_epoch <= old.partition_epoch {
            return Err(bad("the partition epoch does not rise"));
        }
        if new.leader_epoch < old.leader_epoch {
            return Err(bad("the leader epoch falls"));
        }
        if new.leader != old.leader && new.leader_epoch == old.leader_epoch {
            return Err(bad("another leader in the same leader epoch"));
        }
        if new.isr.len() < old.isr.len() {
            counts.add("ISR shrink");
        }
        if new.isr.len() > old.isr.len() {
            counts.add("ISR expansion");
        }
        // Whoever is elected out of neither set may lack records. A partition may be called recovering for longer.
        let winner = new.leader.filter(|_| new.leader_epoch > old.leader_epoch);
        let winner = winner.filter(|id| !old.isr.contains(id) && !old.elr.contains(id));
        // Of several changes in one entry only the last is seen: the winner may have come into a set in between.
        let is_one = old.partition_epoch.next() == Some(new.partition_epoch);
        let winner = winner.filter(|_| is_one || new.recovery_state == RecoveryState::Recovering);
        let is_unclean = winner.is_some();
        // One that was elected and fell in the same entry is seen by what it left.
        let fell = new.last_known_elr.first().copied();
        let fell = fell.filter(|_| !is_one && new.leader.is_none());
        if new.recovery_state == RecoveryState::Recovering && fell.is_some_and(&may_lack) {
            let history = self.histories.entry(key).or_default();
            history.unclean.insert(new.leader_epoch);
        }
        if let Some(winner) = winner {
            counts.add("election, unclean");
            if new.recovery_state != RecoveryState::Recovering {
                return Err(bad("an election out of ISR and ELR is not called one"));
            }
            if let Some(better) = alive((old, new)) {
                return Err(bad(&format!(
                    "{winner} was elected although {better} lives"
                )));
            }
            // The last leader that is known leads again where nobody is sure to have everything; whose data were not lost has.
            if may_lack(winner) {
                let history = self.histories.entry(key).or_default();
                history.unclean.insert(new.leader_epoch);
            }
        }
        match new.leader.filter(|_| new.leader != old.leader) {
            Some(leader) => {
                counts.add("election");
                if !is_unclean && !old.isr.contains(&leader) {
                    counts.add("election from the ELR");
                }
                if old
                    .leader
                    .is_some_and(|before| old.isr.contains(&before) && new.isr.contains(&before))
                {
                    counts.add("election of the preferred");
                }
            }
            None if old.leader.is_some() && new.leader.is_none() => {
                counts.add("partition without a leader");
            }
            None => {}
        }
        Ok(())
    }

    /// Everything is healed: all replicas are the same, and have everything.
    pub(super) fn check_end(&mut self, scene: &Scene<'_>) -> Result<(), Violation> {
        for topic in scene.truth.topics().iter() {
            for (partition, image) in topic.partitions() {
                let key = ReplicaKey {
                    topic: topic.id(),
                    partition,
                };
                let Some(leader) = image.leader else {
                    let text = format!(
                        "partition {} has no leader although all is healed: {}",
                        partition.get(),
                        state(image)
                    );
                    return Err(Violation::new("liveness", text));
                };
                if image.isr.len() < image.replicas.len() {
                    let text = format!(
                        "partition {} is not in sync although all is healed: {}",
                        partition.get(),
                        state(image)
                    );
                    return Err(Violation::new("liveness", text));
                }
                let history = self.histories.entry(key).or_default();
                let mut first: Option<Vec<Batch>> = None;
                let logs = scene.in_sync(key);
                if logs.len() < image.replicas.len() {
                    let text = format!(
                        "partition {} is not served by all: {}",
                        partition.get(),
                        state(image)
                    );
                    return Err(Violation::new("liveness", text));
                }
                scene.check_level(key, leader)?;
                let start = logs.iter().map(|(_, log)| raw(log.log_start())).max();
                for (node, log) in logs {
                    history.check_prefix((node, key), "1", &log, history.end)?;
                    history.check_acked((node, key), &log)?;
                    let all = batches(&log, start.unwrap_or(0), u64::MAX)
                        .map_err(|error| broken("S4", node, key, &error))?;
                    check_order((node, key), &all)?;
                    if first.as_ref().is_some_and(|first| *first != all) {
                        let text = format!("its log is not the one of {leader}");
                        return Err(broken("2", node, key, &text));
                    }
                    first = Some(all);
                }
            }
        }
        Ok(())
    }
}

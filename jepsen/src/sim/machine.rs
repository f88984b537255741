//! Processes start and end, and disks keep or lose what they had.

use std::ffi::OsStr;
use std::path::Path;

use ottla::metadata::BrokerEpoch;

use super::check::Violation;
use super::node::Node;
use super::world::{Event, World};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its page cache stays.
    Killed,
    /// What was not synced is gone.
    PowerCut,
    /// It went in order.
    Clean,
}

impl World<'_> {
    pub(super) fn boot(&mut self, node: usize) -> Result<(), Violation> {
        let has = self.nodes.get(node).map_or(0, |node| node.log_index);
        // What a process applies first is what its own log has, and not all of that at once.
        let back = usize::try_from(self.rng.below(4)).unwrap_or(0);
        let machine = self.quorum.restored(has.saturating_sub(back))?;
        let (clock, config) = (self.clock.clone(), self.config.clone());
        let mut rng = self.rng.fork();
        let Some(machine_here) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        if machine_here.boot > 0 {
            self.counts.add("restart");
        }
        machine_here
            .start(&clock, &config, machine, &mut rng)
            .map_err(|error| {
                Violation::new("S6", format!("node {} does not start: {error}", node + 1))
            })?;
        self.schedule_on(node, 1, Event::Tick);
        self.schedule_on(node, 1, Event::Follow);
        self.touch(node);
        Ok(())
    }

    pub(super) fn end(&mut self, node: usize, ending: Ending) {
        let seed = self.rng.next_u64();
        let suspect = self
            .process(node)
            .and_then(|process| Some((process.registration.broker, process.epoch?)));
        let Some(machine) = self.nodes.get_mut(node) else {
            return;
        };
        if machine.process.is_none() {
            return;
        }
        // The power may have gone in the middle of a call, also of those of a stop; nor does anybody know what a disk has
        // that failed to sync.
        let ending = if machine.has_failed() {
            Ending::PowerCut
        } else {
            ending
        };
        self.oracle.leave(machine, node, ending != Ending::PowerCut);
        machine.end();
        self.deferred.remove(&node);
        match ending {
            Ending::PowerCut => {
                machine.disk.crash(seed);
                self.oracle.lose_page_cache(node);
                self.counts.add("lost page cache");
                self.degraded.insert(node);
            }
            Ending::Killed => {
                machine.disk.kill();
                self.counts.add("process killed");
            }
            Ending::Clean => machine.disk.kill(),
        }
        self.armed.remove(&node);
        self.touch(node);
        if let Some((id, epoch)) = suspect.filter(|_| self.plan.shape.probes) {
            let after = 1 + self.rng.below(20);
            self.schedule(self.now + after, None, Event::Suspect(id, epoch));
        }
    }

    /// Whether one more node may lose what only its page cache has, without a record being lost.
    pub(super) fn may_degrade(&self, node: usize, is_disk_lost: bool) -> bool {
        if self.plan.shape.flush_on_ack && !is_disk_lost && self.wiped.is_empty() {
            return true;
        }
        let mut all = self.degraded.clone();
        all.extend(&self.armed);
        all.insert(node);
        all.len() < usize::try_from(self.plan.shape.min_insync).unwrap_or(1)
    }

    /// A node whose only directory has failed ends.
    pub(super) fn note_failure(&mut self, node: usize) {
        if self.nodes.get(node).is_some_and(Node::has_failed) {
            self.end(node, Ending::PowerCut);
            let after = 20 + self.rng.below(400);
            self.schedule_on(node, after, Event::Restart);
        }
    }

    /// The stop that a process waited for.
    pub(super) fn stop_in_order(&mut self, node: usize) {
        if let Some(machine) = self.nodes.get(node) {
            self.oracle.leave(machine, node, true);
        }
        let Some(process) = self.process(node) else {
            return;
        };
        let closed = process.replicas.begin_to_close();
        process.work();
        process.directory.run_pending();
        process.work();
        process.directory.run_pending();
        let is_closed = closed.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected);
        process.replicas.forget();
        let epoch = BrokerEpoch::to_wire(process.epoch);
        let is_clean = process.directory.stop(epoch).is_ok();
        if is_closed && is_clean {
            self.counts.add("clean stop");
        }
        self.end(node, Ending::Clean);
    }

    /// While a node is down its index files vanish: they are caches (S8).
    pub(super) fn lose_indexes(&mut self, node: usize) {
        if self.process(node).is_some() {
            self.end(node, Ending::Killed);
        }
        let Some(machine) = self.nodes.get_mut(node) else {
            return;
        };
        let fs = machine.disk.mount();
        let mut is_any = false;
        let data = super::node::data_path();
        for log in fs.list(data).unwrap_or_default() {
            let log = data.join(log);
            for name in fs.list(&log).unwrap_or_default() {
                let kind = Path::new(&name).extension().and_then(OsStr::to_str);
                let is_index = matches!(kind, Some("index" | "timeindex"));
                if is_index && fs.remove(&log.join(&name)).is_ok() {
                    is_any = true;
                }
            }
        }
        if is_any {
            self.counts.add("index files lost");
        }
    }
}

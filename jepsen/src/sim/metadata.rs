//! The quorum's log on one node: entries are applied, and replicas follow the image.

use super::check::Violation;
use super::quorum;
use super::world::{Event, World};

impl World<'_> {
    /// The node's copy of the quorum's log comes further, if it hears of its leader.
    pub(super) fn follow(&mut self, node: usize) -> Result<(), Violation> {
        let is_reached = self
            .quorum
            .leader
            .is_some_and(|leader| leader == node || self.links.is_open_both_ways(leader, node));
        let most = self.quorum.len();
        let some = 1 + usize::try_from(self.rng.below(4)).unwrap_or(0);
        let delay = 1 + self.rng.below(self.plan.shape.apply_delay);
        let Some(machine) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        if is_reached {
            machine.log_index = most;
        }
        let has = machine.log_index;
        let Some(process) = machine.process.as_mut() else {
            return Ok(());
        };
        let to = (process.applied_index + some).min(has);
        if to > process.applied_index {
            self.quorum
                .apply(&mut process.machine, process.applied_index, to);
            process.applied_index = to;
            let image = process.publisher.image();
            self.quorum.check(&image, to)?;
            if to < has {
                self.schedule_on(node, delay, Event::Follow);
            }
            self.after_applying(node);
        }
        Ok(())
    }

    pub(super) fn after_applying(&mut self, node: usize) {
        self.serve_when_ready(node);
        let delay = 1 + self.rng.below(self.plan.shape.apply_delay);
        let is_due = self.process(node).is_some_and(|process| {
            let is_due = process.is_serving && !process.is_publish_due;
            process.is_publish_due |= is_due;
            is_due
        });
        if is_due {
            self.schedule_on(node, delay, Event::Publish);
        }
    }

    pub(super) fn publish(&mut self, node: usize) {
        let config = self.config.clone();
        if let Some(process) = self.process(node).filter(|process| process.is_serving) {
            process.is_publish_due = false;
            process.follow_image(&config);
        }
    }

    pub(super) fn install_snapshot(&mut self, node: usize) -> Result<(), Violation> {
        let Some((covers, bytes)) = self.quorum.snapshot(usize::MAX) else {
            return Ok(());
        };
        let bytes = bytes.to_vec();
        let Some(machine) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        let Some(process) = machine
            .process
            .as_mut()
            .filter(|p| p.applied_index < covers)
        else {
            return Ok(());
        };
        quorum::restore(&mut process.machine, covers, &bytes)?;
        process.applied_index = covers;
        machine.log_index = machine.log_index.max(covers);
        let image = process.publisher.image();
        self.quorum.check(&image, covers)?;
        self.counts.add("snapshot installed");
        self.after_applying(node);
        self.touch(node);
        Ok(())
    }
}

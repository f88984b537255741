//! The node that leads the quorum decides, proposes and answers.

use std::time::Duration;

use ottla::controller::decide::first_records;
use ottla::controller::driver::group::Decided;
use ottla::controller::machine::Applied;
use ottla::metadata::record::{Entry, Record};
use ottla::metadata::{BrokerEpoch, BrokerId};

use super::check::Violation;
use super::controller::{Controller, InFlight};
use super::node::position;
use super::quorum::Proposal;
use super::world::{Event, World};

const BALANCE_EVERY: Duration = Duration::from_millis(700);

impl World<'_> {
    pub(super) fn leads_quorum(&self, node: usize) -> bool {
        let process = self.nodes.get(node).and_then(|node| node.process.as_ref());
        let controller = process.and_then(|process| process.controller.as_ref());
        self.quorum.leader == Some(node)
            && controller.is_some_and(|controller| controller.term == self.quorum.term)
    }

    /// A node hears that it leads: it applies all there is before it decides anything.
    pub(super) fn lead(&mut self, node: usize, term: u64) -> Result<(), Violation> {
        if self.quorum.term != term || self.quorum.leader != Some(node) {
            return Ok(());
        }
        let (now, all) = (self.mono(), self.quorum.len());
        let session = self.settings.session_timeout;
        let Some(machine) = self.nodes.get_mut(node) else {
            return Ok(());
        };
        machine.log_index = all;
        let Some(process) = machine.process.as_mut() else {
            return Ok(());
        };
        self.quorum
            .apply(&mut process.machine, process.applied_index, all);
        process.applied_index = all;
        let image = process.publisher.image();
        self.quorum.check(&image, all)?;
        let mut controller = Controller::new(term, session);
        let first = first_records(&self.settings, &image);
        controller.is_active = first.is_empty();
        controller.sessions.activate(now, &image);
        controller.balance_at = now.saturating_add(BALANCE_EVERY);
        process.controller = Some(controller);
        if !first.is_empty() {
            let number = self.number();
            if let Some(controller) = self.process(node).and_then(|p| p.controller.as_mut()) {
                controller.in_flight = Some(InFlight {
                    number,
                    asked: Vec::new(),
                    decisions: Vec::new(),
                });
            }
            self.propose(node, number, image.version().0, first);
        }
        // Whoever does not run any more is found out by a knock.
        if self.plan.shape.probes {
            for registered in image.brokers().iter().filter(|broker| !broker.is_fenced) {
                let after = 1 + self.rng.below(20);
                let event = Event::Suspect(registered.id, registered.epoch);
                self.schedule(self.now + after, None, event);
            }
        }
        self.after_applying(node);
        self.touch(node);
        Ok(())
    }

    /// A leader hears that it leads no more, as soon as anybody can tell it.
    pub(super) fn deposed(&mut self, node: usize, term: u64) {
        let is_reached = self
            .quorum
            .leader
            .is_some_and(|leader| leader == node || self.links.is_open_both_ways(leader, node));
        if !is_reached {
            return self.schedule_on(node, 40, Event::Deposed(term));
        }
        if let Some(process) = self.process(node)
            && process
                .controller
                .as_ref()
                .is_some_and(|controller| controller.term == term)
        {
            process.controller = None;
        }
    }

    pub(super) fn suspect(&mut self, (id, epoch): (BrokerId, BrokerEpoch)) {
        let now = self.mono();
        let is_alive = self
            .nodes
            .get(position(id))
            .and_then(|node| node.process.as_ref())
            .is_some_and(|process| process.epoch == Some(epoch));
        let Some(leader) = self.quorum.leader.filter(|_| !is_alive) else {
            return;
        };
        // A port that is refused is heard of over an open link only.
        if !self.links.is_open_both_ways(leader, position(id)) {
            return;
        }
        if let Some(process) = self.process(leader) {
            let image = process.publisher.image();
            if let Some(controller) = process.controller.as_mut().filter(|c| c.is_active) {
                controller.is_gone(now, &image, (id, epoch));
                self.touch(leader);
            }
        }
    }

    /// Decides what waits at the controller of this node, if it is one.
    pub(super) fn decide(&mut self, node: usize) {
        let (now, number) = (self.mono(), self.number());
        let seed = (u128::from(self.rng.next_u64()) << 64) | u128::from(self.rng.next_u64());
        let settings = self.settings.clone();
        let Some(process) = self.process(node) else {
            return;
        };
        let image = process.publisher.image();
        let Some(controller) = process.controller.as_mut().filter(|c| c.is_active) else {
            return;
        };
        let decided = controller.decide(now, &settings, &image, (number, seed));
        match decided {
            Some(records) if records.is_empty() => {
                let delay = 1 + self.rng.below(self.plan.shape.delay);
                self.schedule_on(node, delay, Event::Barrier(number));
            }
            Some(records) => self.propose(node, number, image.version().0, records),
            None => {}
        }
    }

    pub(super) fn propose(
        &mut self,
        node: usize,
        number: u64,
        decided_on: u64,
        records: Vec<Record>,
    ) {
        let entry = Entry {
            decided_on,
            records,
        };
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        let is_heard = self.leads_quorum(node) && self.quorum.pending.is_none();
        let Ok(bytes) = entry.encode() else {
            return;
        };
        if !is_heard {
            self.schedule_on(node, 80, Event::ProposalFailed(number));
            return;
        }
        self.quorum.pending = Some(Proposal {
            number,
            by: node,
            boot,
            bytes,
        });
        let delay = 1 + self.rng.below(2 * self.plan.shape.delay);
        self.schedule(self.now + delay, None, Event::Commit(number));
    }

    pub(super) fn commit_pending(&mut self, number: u64) -> Result<(), Violation> {
        let Some(pending) = self
            .quorum
            .pending
            .take_if(|pending| pending.number == number)
        else {
            return Ok(());
        };
        if self.quorum.leader != Some(pending.by) || !self.has_majority(pending.by) {
            // It waits for a majority, or for the next leader.
            self.quorum.pending = Some(pending);
            self.schedule(self.now + 15, None, Event::Commit(number));
            return Ok(());
        }
        let (by, boot) = (pending.by, pending.boot);
        let applied = self.commit(pending)?;
        // The leader applies its own entry before it answers.
        let all = self.quorum.len();
        let is_same = self.nodes.get(by).is_some_and(|node| node.boot == boot);
        if let Some(machine) = self.nodes.get_mut(by).filter(|_| is_same) {
            machine.log_index = all;
            if let Some(process) = machine.process.as_mut() {
                self.quorum
                    .apply(&mut process.machine, process.applied_index, all);
                process.applied_index = all;
                self.quorum.check(&process.publisher.image(), all)?;
            }
            self.after_applying(by);
        }
        self.schedule(self.now, Some((by, boot)), Event::Decided(number, applied));
        Ok(())
    }

    /// The group's facts are in the image: its commands are answered.
    pub(super) fn decided(&mut self, node: usize, number: u64, applied: Option<Applied>) {
        let Some(controller) = self.process(node).and_then(|p| p.controller.as_mut()) else {
            return;
        };
        let Some(group) = controller.in_flight.take_if(|group| group.number == number) else {
            return;
        };
        if !controller.is_active {
            controller.is_active = true;
            return;
        }
        if applied == Some(Applied::Stale) {
            controller.put_back(group.asked);
            return;
        }
        let mut unfinished = Vec::new();
        let mut answers = Vec::new();
        for (asked, decision) in group.asked.into_iter().zip(group.decisions) {
            match decision {
                Decided::Last(outcome) => answers.push((asked.by, outcome.ok())),
                Decided::Step => unfinished.push(asked),
            }
        }
        controller.put_back(unfinished);
        for (by, outcome) in answers {
            self.answer(node, by, outcome);
        }
    }
}

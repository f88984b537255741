//! What each event does, and what a node's parts want of its glue after each step.

use ottla::broker::lifecycle;
use ottla::controller::machine::Applied;
use ottla::replica::following::FetchOrder;

use super::call::{Asked, Caller, Outcome};
use super::check::Violation;
use super::fetch::Followed;
use super::network::{Body, Message};
use super::world::{Due, Event, World};

impl World<'_> {
    pub(super) fn handle(&mut self, due: Due) -> Result<(), Violation> {
        let node = due.at.map_or(0, |(node, _)| node);
        match due.event {
            Event::Planned(number) => {
                if let Some(planned) = self.plan.events.get(number) {
                    self.act(planned.act)?;
                }
            }
            Event::Arrive(message) => self.arrive(message),
            Event::Produce { key, to_all } => self.produce_on(node, key, to_all),
            Event::Tick => self.tick(node),
            Event::Disk => {
                if let Some(process) = self.process(node) {
                    process.is_disk_due = false;
                    process.directory.run_pending();
                }
            }
            Event::Follow => self.follow(node)?,
            Event::Publish => self.publish(node),
            Event::CallTimedOut(call) => {
                if self
                    .process(node)
                    .is_some_and(|process| process.call == Some(call))
                {
                    self.live(node, lifecycle::Event::Failed);
                }
            }
            Event::IsrTimedOut(call) => {
                let process = self.process(node);
                if let Some(process) =
                    process.filter(|p| p.isr_call.as_ref().is_some_and(|(out, _)| *out == call))
                {
                    process.isr_call = None;
                    self.schedule_on(node, 10, Event::SendIsr);
                }
            }
            Event::SendIsr => self.send_isr(node),
            Event::Fetch(key) => self.fetch(node, key),
            Event::FetchTimedOut(key, number) => {
                let followed = self
                    .process(node)
                    .and_then(|process| process.followed.get_mut(&key));
                if let Some(followed) =
                    followed.filter(|f| f.out.is_some_and(|(out, _)| out == number))
                {
                    followed.out = None;
                    self.schedule_on(node, 5, Event::Fetch(key));
                }
            }
            Event::Reread(message) => self.serve_fetch(node, *message, false),
            Event::Lead(term) => self.lead(node, term)?,
            Event::Deposed(term) => self.deposed(node, term),
            Event::ProposalFailed(number) => {
                if let Some(controller) = self.process(node).and_then(|p| p.controller.as_mut())
                    && controller
                        .in_flight
                        .as_ref()
                        .is_some_and(|group| group.number == number)
                {
                    // Nobody is told: it may be done later, or never. Should it still lead, another barrier shows it.
                    controller.in_flight = None;
                    controller.is_active = false;
                }
            }
            Event::Decided(number, applied) => self.decided(node, number, applied),
            Event::Barrier(number) => {
                let is_leader = self.leads_quorum(node) && self.has_majority(node);
                let applied = is_leader.then_some(Applied::Done(self.quorum.image().version()));
                match applied {
                    Some(applied) => self.decided(node, number, Some(applied)),
                    None => self.handle(Due {
                        at: due.at,
                        event: Event::ProposalFailed(number),
                    })?,
                }
            }
            Event::Suspect(id, epoch) => self.suspect((id, epoch)),
            Event::Quorum => self.look_after_quorum()?,
            Event::Commit(number) => self.commit_pending(number)?,
            Event::Restart => {
                if self
                    .nodes
                    .get(node)
                    .is_some_and(|node| node.process.is_none())
                {
                    self.boot(node)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn process(&mut self, node: usize) -> Option<&mut super::node::Process> {
        self.nodes.get_mut(node)?.process.as_mut()
    }

    pub(super) fn arrive(&mut self, message: Message) {
        self.touch(message.to);
        match message.body {
            Body::Ask(asked) => self.take_call(message.to, asked),
            Body::Answer {
                boot,
                call,
                outcome,
            } => {
                let is_same = self
                    .nodes
                    .get(message.to)
                    .is_some_and(|node| node.boot == boot);
                if is_same {
                    self.answered(message.to, call, outcome.map(|outcome| *outcome));
                }
            }
            Body::Fetch { .. } => self.serve_fetch(message.to, message, true),
            Body::Fetched {
                boot,
                number,
                key,
                answer,
            } => {
                let is_same = self
                    .nodes
                    .get(message.to)
                    .is_some_and(|node| node.boot == boot);
                if is_same {
                    self.fetched(message.to, key, number, *answer);
                }
            }
        }
    }

    /// A command arrives where somebody takes the controller for.
    pub(super) fn take_call(&mut self, node: usize, asked: Asked) {
        let now = self.mono();
        let by = asked.by;
        let controller = self
            .process(node)
            .and_then(|process| process.controller.as_mut());
        if let Some(controller) = controller.filter(|controller| controller.is_active) {
            controller.take(now, asked);
            return;
        }
        self.answer(node, by, None);
    }

    pub(super) fn answer(&mut self, node: usize, to: Caller, outcome: Option<Outcome>) {
        if let Caller::Broker {
            node: caller,
            boot,
            call,
        } = to
        {
            self.send(&Message {
                from: node,
                to: caller,
                body: Body::Answer {
                    boot,
                    call,
                    outcome: outcome.map(Box::new),
                },
            });
        }
    }

    /// What a node's parts want of its glue.
    pub(super) fn tidy(&mut self, node: usize) {
        let delay = self.rng.below(self.plan.shape.disk_delay) + 1;
        let Some(process) = self.process(node) else {
            return;
        };
        process.work();
        let mut fetches = Vec::new();
        while let Ok(order) = process.orders.try_recv() {
            match order {
                FetchOrder::Follow {
                    replica,
                    leader,
                    leader_epoch,
                } => {
                    let key = replica.key();
                    let known = process.followed.get(&key);
                    if known.is_some_and(|known| {
                        known.leader_epoch == leader_epoch && known.leader == leader
                    }) {
                        continue;
                    }
                    process.followed.insert(
                        key,
                        Followed {
                            replica,
                            leader,
                            leader_epoch,
                            out: None,
                        },
                    );
                    fetches.push(key);
                }
                FetchOrder::Stop(key) => {
                    process.followed.remove(&key);
                }
            }
        }
        let mut has_proposals = false;
        while let Ok(proposal) = process.proposals.try_recv() {
            process.isr_waiting.insert(proposal.key, proposal);
            has_proposals = true;
        }
        has_proposals &= process.isr_call.is_none();
        let is_disk_due = !std::mem::replace(&mut process.is_disk_due, true);
        if has_proposals {
            self.schedule_on(node, 1, Event::SendIsr);
        }
        for key in fetches {
            self.schedule_on(node, 1, Event::Fetch(key));
        }
        if is_disk_due {
            self.schedule_on(node, delay, Event::Disk);
        }
        self.decide(node);
    }
}

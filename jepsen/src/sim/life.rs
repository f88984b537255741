//! A broker's life: its calls to the controller, and its clock.

use std::time::Duration;

use ottla::broker::lifecycle::{self, Effect, Standing, State};
use ottla::controller::command::RegisterError;
use ottla::replica::view::View;

use super::call::{Asked, AssignReplicas, Caller, Command, Heartbeat, Outcome};
use super::network::{Body, Message};
use super::world::{Event, World};

const TICK: u64 = 20;
const CALL_TIMEOUT: u64 = 150;
const BALANCE_EVERY: Duration = Duration::from_millis(700);

impl World<'_> {
    pub(super) fn tick(&mut self, node: usize) {
        self.schedule_on(node, TICK, Event::Tick);
        self.live(node, lifecycle::Event::Tick);
        let (now, chance) = (self.mono(), self.rng.below(6));
        let settings = self.settings.clone();
        let balances = self.plan.shape.probes;
        if let Some(process) = self.process(node) {
            for replica in process.all_replicas().values() {
                replica.tick();
                // Every lag_max / 2, about.
                if chance == 0 {
                    replica.check_isr();
                    replica.retain();
                }
                if matches!(**replica.view(), View::Closed) {
                    replica.ask_open();
                }
            }
            let image = process.publisher.image();
            if let Some(controller) = process.controller.as_mut().filter(|c| c.is_active) {
                controller.sessions.observe(now, &image);
                controller.expire(now, &image);
                if balances && settings.rebalances_leaders {
                    controller.balance(now, BALANCE_EVERY);
                }
            }
        }
        self.tell_homes(node);
        self.lead_on(node);
        // A log that the leader of the quorum has, and this node has not heard of.
        if self.rng.chance(30) {
            self.schedule_on(node, 1, Event::Follow);
        }
    }

    /// Tells the controller where replicas lie, time and again until the metadata show it.
    pub(super) fn tell_homes(&mut self, node: usize) {
        let Some(process) = self.process(node) else {
            return;
        };
        let homes = process.homes_to_tell();
        let Some(epoch) = process.epoch.filter(|_| !homes.is_empty()) else {
            return;
        };
        let broker = process.registration.broker;
        let by_directory = homes.into_iter().map(|(key, home)| {
            let partitions = vec![key.partition.get()];
            (home, vec![(key.topic, partitions)])
        });
        let command = Command::AssignReplicas(AssignReplicas {
            broker,
            epoch,
            directories: by_directory.collect(),
        });
        let to = self.quorum.leader.unwrap_or(node);
        let body = Body::Ask(Asked::by_nobody(command));
        self.send(&Message {
            from: node,
            to,
            body,
        });
    }

    /// A leader that was in doubt leads on, once a majority says so and it has applied all there is.
    pub(super) fn lead_on(&mut self, node: usize) {
        let all = self.quorum.len();
        if !self.leads_quorum(node) || !self.has_majority(node) || self.quorum.pending.is_some() {
            return;
        }
        let Some(process) = self.process(node) else {
            return;
        };
        let is_in_doubt = process
            .controller
            .as_ref()
            .is_some_and(|controller| !controller.is_active && controller.in_flight.is_none());
        if is_in_doubt
            && process.applied_index == all
            && let Some(controller) = &mut process.controller
        {
            controller.is_active = true;
        }
    }

    pub(super) fn live(&mut self, node: usize, event: lifecycle::Event) {
        let now = self.mono();
        let mut effects = Vec::new();
        let Some(process) = self.process(node) else {
            return;
        };
        if !matches!(
            event,
            lifecycle::Event::Tick | lifecycle::Event::Ready | lifecycle::Event::Stop { .. }
        ) {
            process.call = None;
        }
        process.life.handle(now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Register => {
                    if let Some(process) = self.process(node) {
                        let command = Command::RegisterBroker(process.registration.clone());
                        self.call(node, command);
                    }
                }
                Effect::Beat {
                    wants_fence,
                    wants_shut_down,
                } => {
                    let Some(process) = self.process(node) else {
                        return;
                    };
                    let Some(epoch) = process.epoch else {
                        continue;
                    };
                    let command = Command::Heartbeat(Heartbeat {
                        broker: process.registration.broker,
                        epoch,
                        applied: process.applied(),
                        wants_fence,
                        wants_shut_down,
                        offline_directories: Vec::new(),
                    });
                    self.call(node, command);
                }
                Effect::Entered(State::ShuttingDown) => {
                    self.stop_in_order(node);
                    return;
                }
                Effect::Entered(_) => {}
            }
        }
    }

    pub(super) fn call(&mut self, node: usize, command: Command) {
        let number = self.number();
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        if let Some(process) = self.process(node) {
            process.call = Some(number);
        }
        self.schedule_on(node, CALL_TIMEOUT, Event::CallTimedOut(number));
        let to = self.quorum.leader.unwrap_or(node);
        let by = Caller::Broker {
            node,
            boot,
            call: number,
        };
        self.send(&Message {
            from: node,
            to,
            body: Body::Ask(Asked { command, by }),
        });
    }

    /// The controller has answered a call.
    pub(super) fn answered(&mut self, node: usize, call: u64, outcome: Option<Outcome>) {
        let Some(process) = self.process(node) else {
            return;
        };
        if process
            .isr_call
            .as_ref()
            .is_some_and(|(out, _)| *out == call)
        {
            return self.isr_answered(node, outcome);
        }
        if process.call != Some(call) {
            return;
        }
        let event = match outcome {
            Some(Outcome::RegisterBroker(Ok(epoch))) => {
                process.epoch = Some(epoch);
                lifecycle::Event::Registered(epoch)
            }
            Some(Outcome::RegisterBroker(Err(RegisterError::Duplicate { .. }))) | None => {
                lifecycle::Event::Failed
            }
            Some(Outcome::Heartbeat(Ok(answer))) => lifecycle::Event::Beaten(Standing {
                is_caught_up: answer.is_caught_up,
                is_fenced: answer.is_fenced,
                should_shut_down: answer.should_shut_down,
            }),
            Some(Outcome::Heartbeat(Err(_))) => lifecycle::Event::Stale,
            Some(_) => lifecycle::Event::Failed,
        };
        self.live(node, event);
        self.serve_when_ready(node);
    }

    pub(super) fn serve_when_ready(&mut self, node: usize) {
        let config = self.config.clone();
        let began = self
            .process(node)
            .is_some_and(|process| process.serve_if_registered(&config));
        if began {
            self.live(node, lifecycle::Event::Ready);
            self.schedule_on(node, 1, Event::Publish);
        }
    }
}

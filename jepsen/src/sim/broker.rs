//! What each event does: to a node's process, to its disk, to the quorum.

use ottla::broker::alter_partition;
use ottla::broker::controller_service::{altering, partition_data};
use ottla::broker::fetch_session::PartitionAsk;
use ottla::broker::handler::fetch::Follower;
use ottla::broker::handler::fetch::read::{Reader, read_led};
use ottla::broker::lifecycle::{self, Effect, Standing, State};
use ottla::controller::command::{Assignment, RegisterError};
use ottla::controller::decide::first_records;
use ottla::controller::driver::group::Decided;
use ottla::controller::machine::Applied;
use ottla::metadata::record::{Entry, Record};
use ottla::metadata::{BrokerEpoch, BrokerId};
use ottla::replica::ReplicaKey;
use ottla::replica::following::FetchOrder;
use ottla::replica::isr_change::{IsrAnswer, IsrProposal};
use ottla::replica::view::View;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::call::{
    AlterPartition, Asked, Caller, Command, CreateTopics, ElectLeaders, ElectionKind, Heartbeat,
    NewTopic, Outcome,
};
use super::check::Violation;
use super::client;
use super::controller::{Controller, InFlight};
use super::fetch::{self, Fetched, Followed};
use super::log_content;
use super::network::{Body, Message};
use super::node::{Node, broker, position};
use super::plan::Act;
use super::quorum::{self, Proposal};
use super::world::{Due, Event, World};

const TICK: u64 = 20;
const CALL_TIMEOUT: u64 = 150;
const FETCH_TIMEOUT: u64 = 150;
const FETCH_WAIT: u64 = 25;
const PRODUCE_TIMEOUT: Duration = Duration::from_millis(500);
const LEAVE_PATIENCE: Duration = Duration::from_millis(1_500);
const BALANCE_EVERY: Duration = Duration::from_millis(700);
const TOPIC: &str = "t";

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Its page cache stays.
    Killed,
    /// What was not synced is gone.
    PowerCut,
    /// It went in order.
    Clean,
}

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

    fn process(&mut self, node: usize) -> Option<&mut super::node::Process> {
        self.nodes.get_mut(node)?.process.as_mut()
    }

    // Processes and disks

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

    fn end(&mut self, node: usize, ending: Ending) {
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
    fn may_degrade(&self, node: usize, is_disk_lost: bool) -> bool {
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
    fn stop_in_order(&mut self, node: usize) {
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

    // The plan

    fn act(&mut self, act: Act) -> Result<(), Violation> {
        match act {
            Act::Produce { partition, to_all } => self.produce(partition, to_all),
            Act::Consume { partition } => self.consume(partition)?,
            Act::DeleteRecords { partition } => self.delete_records(partition),
            Act::Kill(node) => self.end(node, Ending::Killed),
            Act::PowerCut(node) => {
                if self.may_degrade(node, false) && self.process(node).is_some() {
                    self.end(node, Ending::PowerCut);
                }
            }
            Act::PowerCutSoon(node, changes) => {
                let seed = self.rng.next_u64();
                if self.may_degrade(node, false) && self.process(node).is_some() {
                    self.armed.insert(node);
                    if let Some(machine) = self.nodes.get_mut(node) {
                        machine.disk.crash_in(changes, seed);
                    }
                }
            }
            Act::Wipe(node) => {
                if self.may_degrade(node, true) {
                    self.end(node, Ending::PowerCut);
                    let mut rng = self.rng.fork();
                    self.degraded.insert(node);
                    self.wiped.insert(node);
                    if let Some(machine) = self.nodes.get_mut(node) {
                        machine.replace_disk(&mut rng);
                        machine.log_index = 0;
                        machine.boot += 1;
                    }
                    self.oracle.forget_disk(node);
                    self.counts.add("disk replaced");
                }
            }
            Act::FailSync(node) => {
                if self.may_degrade(node, false) && self.process(node).is_some() {
                    self.armed.insert(node);
                    self.counts.add("failed sync");
                    if let Some(machine) = self.nodes.get_mut(node) {
                        machine.disk.fail_next_syncs(1);
                    }
                }
            }
            Act::LoseIndexes(node) => self.lose_indexes(node),
            Act::Stop(node) => {
                if self.process(node).is_some_and(|process| process.is_serving) {
                    self.live(
                        node,
                        lifecycle::Event::Stop {
                            patience: LEAVE_PATIENCE,
                        },
                    );
                }
            }
            Act::Start(node) => {
                if self
                    .nodes
                    .get(node)
                    .is_some_and(|node| node.process.is_none())
                {
                    self.boot(node)?;
                }
            }
            Act::Pause(node) => {
                if let Some(machine) = self
                    .nodes
                    .get_mut(node)
                    .filter(|node| node.process.is_some())
                {
                    machine.is_paused = true;
                    self.counts.add("process paused");
                }
            }
            Act::Resume(node) => self.resume(node),
            Act::Cut { from, to } => {
                self.links.cut(from, to);
                self.counts.add("link cut");
            }
            Act::Isolate(node) => {
                for other in (0..self.nodes.len()).filter(|other| *other != node) {
                    self.links.cut(node, other);
                    self.links.cut(other, node);
                }
                self.counts.add("link cut");
            }
            Act::Heal => self.links.heal(),
            Act::DeposeController => self.elect()?,
            Act::Slow(node) => {
                let slowness = self.rng.below(300);
                if let Some(machine) = self.nodes.get_mut(node) {
                    machine.slowness = slowness;
                }
            }
            Act::InstallSnapshot(node) => self.install_snapshot(node)?,
            Act::PreferLeaders => self.ask_controller(Command::ElectLeaders(ElectLeaders {
                kind: ElectionKind::Preferred,
                partitions: None,
            })),
            Act::ElectUncleanly => self.elect_uncleanly(),
        }
        Ok(())
    }

    pub(super) fn elect_uncleanly(&mut self) {
        self.ask_controller(Command::ElectLeaders(ElectLeaders {
            kind: ElectionKind::Unclean,
            partitions: None,
        }));
    }

    /// A client's command to whoever is the controller.
    fn ask_controller(&mut self, command: Command) {
        let now = self.mono();
        let Some(leader) = self.quorum.leader else {
            return;
        };
        if let Some(controller) = self.process(leader).and_then(|p| p.controller.as_mut()) {
            controller.take(now, Asked::by_nobody(command));
            self.touch(leader);
        }
    }

    pub(super) fn create_topic(&mut self) {
        let image = self.quorum.image();
        if let Some(topic) = image.topics().by_name(TOPIC) {
            self.topic = Some(topic.id());
            return;
        }
        let active = image
            .brokers()
            .iter()
            .filter(|broker| broker.is_active())
            .count();
        let is_asked = self.is_topic_asked_for;
        let has_controller = self.quorum.leader.is_some_and(|leader| {
            let process = self
                .nodes
                .get(leader)
                .and_then(|node| node.process.as_ref());
            process
                .and_then(|p| p.controller.as_ref())
                .is_some_and(|c| c.is_active)
        });
        if active < self.nodes.len() || is_asked || !has_controller {
            return;
        }
        self.is_topic_asked_for = true;
        let shape = &self.plan.shape;
        let assignments = (0..shape.partitions).map(|partition| Assignment {
            partition,
            brokers: (0..shape.replicas)
                .map(|replica| {
                    let first = usize::try_from(partition).unwrap_or(0);
                    broker((first + replica) % shape.nodes).get()
                })
                .collect(),
        });
        let config = |key: &str, value: String| (key.to_owned(), Some(value));
        let topic = NewTopic {
            name: TOPIC.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: assignments.collect(),
            configs: vec![
                config("min.insync.replicas", shape.min_insync.to_string()),
                config("flush.on.ack", shape.flush_on_ack.to_string()),
                config(
                    "unclean.leader.election.enable",
                    shape.is_unclean_allowed.to_string(),
                ),
                // Segments that are full after a while, so that there are several.
                config("segment.ms", "300".to_owned()),
                config("file.delete.delay.ms", "50".to_owned()),
            ],
        };
        self.ask_controller(Command::CreateTopics(CreateTopics {
            topics: vec![topic],
            validate_only: false,
        }));
    }

    // Clients

    /// The node that a client takes for the leader: by some node's metadata, perhaps old ones.
    fn leader_of(&mut self, key: ReplicaKey) -> Option<usize> {
        let guess = self.rng.index(self.nodes.len());
        if self.rng.chance(5) {
            return Some(guess);
        }
        let process = self.nodes.get(guess)?.process.as_ref()?;
        let image = process.publisher.image();
        let partition = image.topics().by_id(key.topic)?.partition(key.partition)?;
        partition.leader.map(position)
    }

    fn produce(&mut self, partition: i32, to_all: bool) {
        let Some(key) = self.key(partition) else {
            return;
        };
        let Some(node) = self.leader_of(key) else {
            return;
        };
        if self.nodes.get(node).is_some_and(|node| node.is_paused) {
            // It waits in a socket: the stopped process finds it when it goes on.
            return self.schedule_on(node, 0, Event::Produce { key, to_all });
        }
        self.produce_on(node, key, to_all);
    }

    fn produce_on(&mut self, node: usize, key: ReplicaKey, to_all: bool) {
        let number = self.number();
        let mut rng = self.rng.fork();
        let batch = client::batch(&self.clock, number, &mut rng);
        let deadline = self.mono().saturating_add(PRODUCE_TIMEOUT);
        let ears = self.ears.clone();
        if let Some(replica) = self.process(node).and_then(|process| process.replica(key)) {
            client::produce(&replica, (node, &ears), batch, to_all, deadline);
            self.touch(node);
        }
    }

    fn delete_records(&mut self, partition: i32) {
        let Some(key) = self.key(partition) else {
            return;
        };
        let Some(node) = self.leader_of(key) else {
            return;
        };
        let deadline = self.mono().saturating_add(PRODUCE_TIMEOUT);
        let ears = self.ears.clone();
        if self.nodes.get(node).is_some_and(|node| node.is_paused) {
            return;
        }
        if let Some(replica) = self.process(node).and_then(|process| process.replica(key)) {
            let View::Led(led) = &**replica.view() else {
                return;
            };
            // Some of what is committed: a history that is always cut at its end is soon empty.
            let back = self.rng.below(40);
            let before = log_content::raw(led.high_watermark()).saturating_sub(back);
            let before = log_content::offset(before);
            client::delete(&replica, (node, &ears), Some(before), deadline);
            self.touch(node);
        }
    }

    fn consume(&mut self, partition: i32) -> Result<(), Violation> {
        let Some(key) = self.key(partition) else {
            return Ok(());
        };
        let Some(node) = self.leader_of(key) else {
            return Ok(());
        };
        if self.nodes.get(node).is_some_and(|node| node.is_paused) {
            return Ok(());
        }
        let back = self.rng.below(30);
        let Some(replica) = self.process(node).and_then(|process| process.replica(key)) else {
            return Ok(());
        };
        let View::Led(led) = &**replica.view() else {
            replica.ask_open();
            return Ok(());
        };
        let from = log_content::raw(led.high_watermark()).saturating_sub(back);
        let from = from.max(log_content::raw(led.log.log_start()));
        let ask = PartitionAsk {
            fetch_offset: log_content::offset(from).get(),
            max_bytes: 1 << 20,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start_offset: -1,
        };
        let reader = Reader {
            is_follower: false,
            is_read_committed: false,
            bytes_left: 1 << 20,
            is_one_batch_due: true,
        };
        let Ok(read) = read_led(led, &ask, reader) else {
            return Ok(());
        };
        let bytes = read
            .range
            .as_ref()
            .map(ottla_storage::FileRange::read_to_vec);
        let Some(Ok(bytes)) = bytes else {
            return Ok(());
        };
        let batches = log_content::parse(&bytes).map_err(|error| Violation::new("S4", error))?;
        self.counts.add("consumer read");
        self.oracle
            .consumed((node, key), led.reign.leader_epoch, &batches)
    }

    // Messages

    fn arrive(&mut self, message: Message) {
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
    fn take_call(&mut self, node: usize, asked: Asked) {
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

    fn answer(&mut self, node: usize, to: Caller, outcome: Option<Outcome>) {
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

    // A broker's life

    fn tick(&mut self, node: usize) {
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
        self.lead_on(node);
        // A log that the leader of the quorum has, and this node has not heard of.
        if self.rng.chance(30) {
            self.schedule_on(node, 1, Event::Follow);
        }
    }

    /// A leader that was in doubt leads on, once a majority says so and it has applied all there is.
    fn lead_on(&mut self, node: usize) {
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

    fn live(&mut self, node: usize, event: lifecycle::Event) {
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

    fn call(&mut self, node: usize, command: Command) {
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
    fn answered(&mut self, node: usize, call: u64, outcome: Option<Outcome>) {
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

    fn serve_when_ready(&mut self, node: usize) {
        let config = self.config.clone();
        let began = self
            .process(node)
            .is_some_and(|process| process.serve_if_registered(&config));
        if began {
            self.live(node, lifecycle::Event::Ready);
            self.schedule_on(node, 1, Event::Publish);
        }
    }

    // Metadata

    /// The node's copy of the quorum's log comes further, if it hears of its leader.
    fn follow(&mut self, node: usize) -> Result<(), Violation> {
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
            self.quorum.check(&image)?;
            if to < has {
                self.schedule_on(node, delay, Event::Follow);
            }
            self.after_applying(node);
        }
        Ok(())
    }

    fn after_applying(&mut self, node: usize) {
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

    fn publish(&mut self, node: usize) {
        let config = self.config.clone();
        if let Some(process) = self.process(node).filter(|process| process.is_serving) {
            process.is_publish_due = false;
            process.follow_image(&config);
        }
    }

    fn install_snapshot(&mut self, node: usize) -> Result<(), Violation> {
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
        self.quorum.check(&image)?;
        self.counts.add("snapshot installed");
        self.after_applying(node);
        self.touch(node);
        Ok(())
    }

    // The controller

    fn leads_quorum(&self, node: usize) -> bool {
        let process = self.nodes.get(node).and_then(|node| node.process.as_ref());
        let controller = process.and_then(|process| process.controller.as_ref());
        self.quorum.leader == Some(node)
            && controller.is_some_and(|controller| controller.term == self.quorum.term)
    }

    /// A node hears that it leads: it applies all there is before it decides anything.
    fn lead(&mut self, node: usize, term: u64) -> Result<(), Violation> {
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
        self.quorum.check(&image)?;
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
    fn deposed(&mut self, node: usize, term: u64) {
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

    fn suspect(&mut self, (id, epoch): (BrokerId, BrokerEpoch)) {
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
    fn decide(&mut self, node: usize) {
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

    fn propose(&mut self, node: usize, number: u64, decided_on: u64, records: Vec<Record>) {
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

    fn commit_pending(&mut self, number: u64) -> Result<(), Violation> {
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
            }
            self.after_applying(by);
        }
        self.schedule(self.now, Some((by, boot)), Event::Decided(number, applied));
        Ok(())
    }

    /// The group's facts are in the image: its commands are answered.
    fn decided(&mut self, node: usize, number: u64, applied: Option<Applied>) {
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

    // In-sync sets

    fn send_isr(&mut self, node: usize) {
        let number = self.number();
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        let me = broker(node);
        let Some(process) = self.process(node) else {
            return;
        };
        let Some(epoch) = process.epoch else {
            return;
        };
        if process.isr_call.is_some() {
            return;
        }
        // What the metadata have decided the replicas hear of from there.
        let image = process.publisher.image();
        let (standing, over): (Vec<_>, Vec<_>) = std::mem::take(&mut process.isr_waiting)
            .into_iter()
            .partition(|(_, proposal)| alter_partition::stands(&image, me, proposal));
        for (_, proposal) in over {
            process
                .replicas
                .isr_answered(&proposal, IsrAnswer::Ambiguous);
        }
        process.isr_waiting = standing.into_iter().collect();
        let asked: Vec<IsrProposal> = process.isr_waiting.values().cloned().collect();
        if asked.is_empty() {
            return;
        }
        let request = alter_partition::request(me, epoch, &asked);
        let command: AlterPartition = altering((me, epoch), &request);
        process.isr_call = Some((number, asked));
        self.schedule_on(node, CALL_TIMEOUT, Event::IsrTimedOut(number));
        let to = self.quorum.leader.unwrap_or(node);
        let by = Caller::Broker {
            node,
            boot,
            call: number,
        };
        let command = Command::AlterPartition(command);
        self.send(&Message {
            from: node,
            to,
            body: Body::Ask(Asked { command, by }),
        });
    }

    fn isr_answered(&mut self, node: usize, outcome: Option<Outcome>) {
        let Some(process) = self.process(node) else {
            return;
        };
        let Some((_, asked)) = process.isr_call.take() else {
            return;
        };
        if let Some(Outcome::AlterPartition(Ok(topics))) = outcome {
            for proposal in asked {
                let key = proposal.key;
                let results = topics.iter().find(|(topic, _)| *topic == key.topic);
                let result = results.and_then(|(_, partitions)| {
                    partitions
                        .iter()
                        .find(|(index, _)| *index == key.partition.get())
                });
                let Some((index, result)) = result else {
                    continue;
                };
                let data = partition_data(*index, result.clone());
                let Some(answer) = alter_partition::answer(&data) else {
                    continue;
                };
                if process.isr_waiting.get(&key) == Some(&proposal) {
                    process.isr_waiting.remove(&key);
                }
                process.replicas.isr_answered(&proposal, answer);
            }
        }
        self.schedule_on(node, 5, Event::SendIsr);
    }

    // Fetching

    fn fetch(&mut self, node: usize, key: ReplicaKey) {
        let number = self.number();
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        let me = broker(node);
        let Some(process) = self.process(node) else {
            return;
        };
        let epoch = process.epoch;
        let Some(followed) = process.followed.get_mut(&key) else {
            return;
        };
        if followed.out.is_some() {
            return;
        }
        let Some((position_now, ask)) = fetch::ask(followed) else {
            // Its log is not ready, or the replica has not heard yet what the order is about.
            self.schedule_on(node, 12, Event::Fetch(key));
            return;
        };
        followed.out = Some((number, position_now));
        let to = position(followed.leader);
        self.schedule_on(
            node,
            FETCH_TIMEOUT + FETCH_WAIT,
            Event::FetchTimedOut(key, number),
        );
        let follower = Follower { id: me, epoch };
        let body = Body::Fetch {
            boot,
            number,
            key,
            ask,
            follower,
        };
        self.send(&Message {
            from: node,
            to,
            body,
        });
    }

    fn serve_fetch(&mut self, node: usize, message: Message, is_first: bool) {
        let Body::Fetch {
            boot,
            number,
            key,
            ask,
            follower,
        } = message.body.clone()
        else {
            return;
        };
        let Some(process) = self.process(node).filter(|process| process.is_serving) else {
            return;
        };
        let answer = fetch::serve(process, key, &ask, follower, is_first);
        self.touch(node);
        if is_first && !answer.is_worth_sending() {
            let wait = 1 + self.rng.below(FETCH_WAIT);
            self.schedule_on(node, wait, Event::Reread(Box::new(message)));
            return;
        }
        let body = Body::Fetched {
            boot,
            number,
            key,
            answer: Box::new(answer),
        };
        self.send(&Message {
            from: node,
            to: message.from,
            body,
        });
    }

    fn fetched(&mut self, node: usize, key: ReplicaKey, number: u64, answer: Fetched) {
        let pause = 5 + self.rng.below(20);
        let Some(process) = self.process(node) else {
            return;
        };
        let Some(followed) = process.followed.get_mut(&key) else {
            return;
        };
        let Some((_, asked)) = followed.out.take_if(|(out, _)| *out == number) else {
            return;
        };
        let is_refused = matches!(answer, Fetched::Refused);
        if matches!(answer, Fetched::OutOfRange { start, .. } if start > asked.offset) {
            self.counts.add("log begun anew behind its leader");
        }
        if let Some(followed) = self.process(node).and_then(|p| p.followed.get(&key)) {
            fetch::hear(&followed.replica, asked, answer);
        }
        self.schedule_on(node, if is_refused { pause } else { 1 }, Event::Fetch(key));
    }

    // After each step

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

    /// While a node is down its index files vanish: they are caches (S8).
    fn lose_indexes(&mut self, node: usize) {
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

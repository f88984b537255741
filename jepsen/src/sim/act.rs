//! What the plan does to the cluster, and what its clients do.

use std::time::Duration;

use ottla::broker::fetch_session::PartitionAsk;
use ottla::broker::handler::fetch::read::{Reader, read_led};
use ottla::broker::lifecycle;
use ottla::controller::command::Assignment;
use ottla::replica::ReplicaKey;
use ottla::replica::view::View;

use super::call::{Asked, Command, CreateTopics, ElectLeaders, ElectionKind, NewTopic};
use super::check::Violation;
use super::machine::Ending;
use super::node::{broker, position};
use super::plan::Act;
use super::world::{Event, World};
use super::{client, log_content};

const PRODUCE_TIMEOUT: Duration = Duration::from_millis(500);
const LEAVE_PATIENCE: Duration = Duration::from_millis(1_500);
const TOPIC: &str = "t";

impl World<'_> {
    pub(super) fn act(&mut self, act: Act) -> Result<(), Violation> {
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
    pub(super) fn ask_controller(&mut self, command: Command) {
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

    /// The node that a client takes for the leader: by some node's metadata, perhaps old ones.
    pub(super) fn leader_of(&mut self, key: ReplicaKey) -> Option<usize> {
        let guess = self.rng.index(self.nodes.len());
        if self.rng.chance(5) {
            return Some(guess);
        }
        let process = self.nodes.get(guess)?.process.as_ref()?;
        let image = process.publisher.image();
        let partition = image.topics().by_id(key.topic)?.partition(key.partition)?;
        partition.leader.map(position)
    }

    pub(super) fn produce(&mut self, partition: i32, to_all: bool) {
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

    pub(super) fn produce_on(&mut self, node: usize, key: ReplicaKey, to_all: bool) {
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

    pub(super) fn delete_records(&mut self, partition: i32) {
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
            self.oracle.delete_below(key, before);
            let before = log_content::offset(before);
            client::delete(&replica, (node, &ears), Some(before), deadline);
            self.touch(node);
        }
    }

    pub(super) fn consume(&mut self, partition: i32) -> Result<(), Violation> {
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
}

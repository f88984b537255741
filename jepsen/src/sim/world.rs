//! The cluster and its time: takes one event after the other, and looks at every invariant after each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla::config::{NodeConfig, Sources};
use ottla::controller::Settings;
use ottla::controller::machine::Applied;
use ottla::metadata::record::{Entry, Record};
use ottla::metadata::{BrokerEpoch, BrokerId, PartitionIndex, TopicId};
use ottla::replica::ReplicaKey;
use ottla_storage::Clock as _;
use ottla_storage::time::MonoMillis;

use super::check::{Oracle, Scene, Violation};
use super::client::Ears;
use super::count::Counts;
use super::network::{Links, Message};
use super::node::{Node, Process, SimClock, position};
use super::plan::{Plan, Shape};
use super::quorum::{Proposal, Quorum};
use super::simulated::Outcome;
use super::trace::Trace;
use crate::rng::Rng;

/// How long a quorum without a majority waits before it elects.
const ELECTION_TIMEOUT: u64 = 120;
/// How long everything has to come together once all is healed.
const PATIENCE: u64 = 8_000;
/// The longest that the cluster may take to begin.
const BEGIN: u64 = 3_000;

/// What happens next somewhere.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Planned(usize),
    Arrive(Message),
    /// A batch that waited in a socket.
    Produce {
        key: ReplicaKey,
        to_all: bool,
    },
    /// The life's clock, and housekeeping.
    Tick,
    /// The I/O thread has time.
    Disk,
    /// The quorum's log came further on this node.
    Follow,
    /// The replicas apply the latest image.
    Publish,
    CallTimedOut(u64),
    IsrTimedOut(u64),
    SendIsr,
    Fetch(ReplicaKey),
    FetchTimedOut(ReplicaKey, u64),
    /// A parked fetch looks again.
    Reread(Box<Message>),
    /// This node is told that it leads the quorum.
    Lead(u64),
    Deposed(u64),
    /// Its proposal came to nothing, or to something it will not hear of.
    ProposalFailed(u64),
    /// The entry of this number is in the log, and this node's own.
    Decided(u64, Option<Applied>),
    /// The barrier of a group without facts was passed.
    Barrier(u64),
    /// A closed connection tells that a process may be gone.
    Suspect(BrokerId, BrokerEpoch),
    /// The quorum looks after its leader, and commits.
    Quorum,
    Commit(u64),
    /// A node whose process ended by itself is started again.
    Restart,
}

/// An event and where it happens: on a process, on a machine, or nowhere in particular.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) at: Option<(usize, u64)>,
    pub(super) event: Event,
}

pub(super) struct World<'p> {
    pub(super) plan: &'p Plan,
    pub(super) rng: Rng,
    pub(super) now: u64,
    queue: BTreeMap<(u64, u64), Due>,
    numbers: u64,
    pub(super) clock: Arc<SimClock>,
    pub(super) config: NodeConfig,
    pub(super) settings: Settings,
    pub(super) nodes: Vec<Node>,
    /// What a paused node would have done.
    pub(super) deferred: BTreeMap<usize, Vec<Due>>,
    pub(super) quorum: Quorum,
    pub(super) links: Links,
    pub(super) ears: Arc<Ears>,
    pub(super) oracle: Oracle,
    pub(super) counts: Counts,
    pub(super) trace: Trace,
    pub(super) steps: u64,
    pub(super) topic: Option<TopicId>,
    /// Nodes that lost what only their page cache had, and are not back in every in-sync set.
    pub(super) degraded: BTreeSet<usize>,
    /// Nodes whose power or disk is about to fail.
    pub(super) armed: BTreeSet<usize>,
    /// Nodes whose disk was replaced and that are not back.
    pub(super) wiped: BTreeSet<usize>,
    pub(super) is_topic_asked_for: bool,
    /// Somebody lets anybody lead, to end what does not end by itself.
    is_operator_here: bool,
    /// Nothing is lost or delayed any more.
    pub(super) is_healed: bool,
    touched: BTreeSet<usize>,
    /// What happened, in words, if somebody wants to read it.
    story: Option<Vec<String>>,
    standings: BTreeMap<(usize, ReplicaKey), String>,
}

impl<'p> World<'p> {
    pub(super) fn new(plan: &'p Plan) -> Result<Self, Violation> {
        let flag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let sources = Sources {
            flags: vec![
                flag("broker.heartbeat.interval.ms", "60"),
                flag("broker.session.timeout.ms", "300"),
                flag("replica.lag.time.max.ms", "150"),
                flag("log.flush.dirty.ms", "400"),
            ],
            ..Sources::default()
        };
        let config = NodeConfig::load(&sources)
            .map_err(|error| Violation::new("setup", error.to_string()))?;
        let mut rng = Rng::new(plan.seed).fork();
        let nodes = (0..plan.shape.nodes)
            .map(|position| Node::new(position, &mut rng))
            .collect();
        Ok(Self {
            plan,
            now: 0,
            queue: BTreeMap::new(),
            numbers: 0,
            clock: Arc::default(),
            settings: Settings::new(&config),
            config,
            nodes,
            deferred: BTreeMap::new(),
            quorum: Quorum::new(),
            links: Links::default(),
            ears: Arc::default(),
            oracle: Oracle::default(),
            counts: Counts::default(),
            trace: Trace::default(),
            steps: 0,
            topic: None,
            degraded: BTreeSet::new(),
            armed: BTreeSet::new(),
            wiped: BTreeSet::new(),
            is_topic_asked_for: false,
            is_operator_here: false,
            is_healed: false,
            touched: BTreeSet::new(),
            story: None,
            standings: BTreeMap::new(),
            rng,
        })
    }

    /// Has the history told.
    pub(super) fn told(mut self) -> Self {
        self.story = Some(Vec::new());
        self
    }

    /// Adds a line to the story.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>6} ms  {}", self.now, line()));
        }
    }

    /// Runs the whole history.
    pub(super) fn run(mut self) -> Outcome {
        let violation = self.history().err();
        Outcome {
            violation,
            counts: self.counts,
            acts: self.plan.events.len(),
            steps: self.steps,
            hash: self.trace.hash(),
            story: self.story.unwrap_or_default(),
        }
    }

    fn history(&mut self) -> Result<(), Violation> {
        for node in 0..self.nodes.len() {
            self.boot(node)?;
        }
        self.schedule(1, None, Event::Quorum);
        self.begin()?;
        let start = self.now;
        for (number, planned) in self.plan.events.iter().enumerate() {
            self.schedule(start + planned.at, None, Event::Planned(number));
        }
        let end = start + self.plan.events.last().map_or(0, |last| last.at) + 1;
        while self.now < end {
            self.step()?;
        }
        self.heal()?;
        let deadline = self.now + PATIENCE;
        let mut whole_since = None;
        let mut settled_at = self.quorum.image().version();
        while self.now < deadline {
            self.step()?;
            for node in 0..self.nodes.len() {
                // It was about to stop when all was healed.
                if self
                    .nodes
                    .get(node)
                    .is_some_and(|node| node.process.is_none())
                {
                    self.boot(node)?;
                }
            }
            if self.now > deadline - PATIENCE / 2 && !self.is_operator_here {
                // Whom nobody can know to have everything only an operator lets lead.
                self.is_operator_here = true;
                self.check_operator_is_needed()?;
                self.elect_uncleanly();
            }
            // An election, of a preferred leader for example, takes a while to get around.
            let version = self.quorum.image().version();
            if !self.is_whole() || version != settled_at {
                settled_at = version;
                whole_since = None;
                continue;
            }
            // Long enough for the last high watermarks to get around.
            if self.now > *whole_since.get_or_insert(self.now) + 400 {
                break;
            }
        }
        let truth = self.quorum.image();
        let scene = Scene {
            nodes: &self.nodes,
            truth: &truth,
            min_insync: minimum(&self.plan.shape),
        };
        self.oracle.check_end(&scene)?;
        self.quorum.check_replays()
    }

    /// Nobody who is sure to have everything is there to lead.
    fn check_operator_is_needed(&self) -> Result<(), Violation> {
        let image = self.quorum.image();
        for topic in image.topics().iter() {
            for (index, partition) in topic.partitions().filter(|(_, one)| one.leader.is_none()) {
                let lives = |id: &BrokerId| {
                    image.brokers().find(*id).is_some_and(|found| {
                        let home = partition.directory_of(*id);
                        let has_home = home.is_some_and(|home| found.directories.contains(&home));
                        found.is_active() && has_home
                    })
                };
                if let Some(id) = super::rules::eligible(partition)
                    .iter()
                    .find(|id| lives(id))
                {
                    let state = super::rules::state(partition);
                    let text = format!(
                        "partition {} has no leader although {id} lives: {state}",
                        index.get()
                    );
                    return Err(Violation::new("liveness", text));
                }
            }
        }
        Ok(())
    }

    /// Until the cluster is whole and its topic is there.
    fn begin(&mut self) -> Result<(), Violation> {
        while self.topic.is_none() || !self.is_whole() {
            self.step()?;
            if self.topic.is_none() {
                self.create_topic();
            }
            if self.now > BEGIN {
                let text = "the cluster did not begin".to_owned();
                return Err(Violation::new("liveness", text));
            }
        }
        Ok(())
    }

    /// Whether every partition has all its replicas in sync, and every node serves.
    fn is_whole(&self) -> bool {
        let image = self.quorum.image();
        let serves = |node: &Node| {
            let process = node.process.as_ref();
            let registered = image.brokers().find(node.id);
            process
                .zip(registered)
                .is_some_and(|(process, registered)| {
                    process.is_serving
                        && process.epoch == Some(registered.epoch)
                        && registered.is_active()
                })
        };
        if !self.nodes.iter().all(serves) {
            return false;
        }
        let mut partitions = image
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions().map(|(_, partition)| partition.clone()));
        partitions.all(|partition| {
            partition.leader.is_some() && partition.isr.len() == partition.replicas.len()
        })
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn mono(&self) -> MonoMillis {
        self.clock.mono()
    }

    pub(super) fn schedule(&mut self, at: u64, on: Option<(usize, u64)>, event: Event) {
        let number = self.number();
        let due = Due { at: on, event };
        self.queue.insert((at.max(self.now), number), due);
    }

    /// Something that a process will do, unless it has ended by then.
    pub(super) fn schedule_on(&mut self, node: usize, after: u64, event: Event) {
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        self.schedule(self.now + after, Some((node, boot)), event);
    }

    pub(super) fn key(&self, partition: i32) -> Option<ReplicaKey> {
        Some(ReplicaKey {
            topic: self.topic?,
            partition: PartitionIndex::from_wire(partition)?,
        })
    }

    fn step(&mut self) -> Result<(), Violation> {
        let Some(((at, _), due)) = self.queue.pop_first() else {
            return Err(Violation::new(
                "liveness",
                "nothing happens any more".to_owned(),
            ));
        };
        self.now = at;
        self.clock.set(at);
        if let Some((node, boot)) = due.at {
            let Some(machine) = self.nodes.get(node) else {
                return Ok(());
            };
            if machine.boot != boot {
                return Ok(());
            }
            if machine.is_paused {
                self.deferred.entry(node).or_default().push(due);
                return Ok(());
            }
        }
        self.steps += 1;
        self.trace.add(at);
        self.trace.add(kind(&due.event));
        self.touched.clear();
        if let Some((node, _)) = due.at {
            self.trace.add(node as u64);
            self.touched.insert(node);
        }
        self.tell_of(&due);
        self.handle(due)?;
        self.settle()
    }

    fn tell_of(&mut self, due: &Due) {
        let at = due.at.map(|(node, _)| node + 1);
        match (&due.event, at) {
            (Event::Planned(number), _) => {
                let act = self.plan.events.get(*number).map(|planned| planned.act);
                self.tell(|| format!("PLANNED {act:?}"));
            }
            (Event::Tick | Event::Disk | Event::Quorum | Event::Follow | Event::Commit(_), _) => {}
            (Event::Arrive(message), _) => {
                let (from, to, body) = (message.from + 1, message.to + 1, &message.body);
                self.tell(|| format!("{from} -> {to}: {body:?}"));
            }
            (event, Some(node)) => self.tell(|| format!("{node}: {event:?}")),
            (event, None) => self.tell(|| format!("{event:?}")),
        }
    }

    /// What the step has left to do, and whether everything still holds.
    fn settle(&mut self) -> Result<(), Violation> {
        let touched = std::mem::take(&mut self.touched);
        for node in touched {
            self.after(node)?;
        }
        Ok(())
    }

    /// A node was worked on in this step.
    pub(super) fn touch(&mut self, node: usize) {
        self.touched.insert(node);
    }

    fn after(&mut self, node: usize) -> Result<(), Violation> {
        self.tidy(node);
        self.tell_of_replicas(node);
        {
            let truth = self.quorum.image();
            let scene = Scene {
                nodes: &self.nodes,
                truth: &truth,
                min_insync: minimum(&self.plan.shape),
            };
            self.oracle.check_node(&scene, node, &mut self.counts)?;
        }
        self.hear_clients()?;
        self.note_failure(node);
        Ok(())
    }

    /// Tells how a node's replicas stand, where that is new.
    fn tell_of_replicas(&mut self, node: usize) {
        if self.story.is_none() {
            return;
        }
        let process = self.nodes.get(node).and_then(|node| node.process.as_ref());
        let replicas = process.map(Process::all_replicas).unwrap_or_default();
        for (key, replica) in replicas {
            let now = super::rules::standing(&replica.view());
            if self.standings.get(&(node, key)) != Some(&now) {
                self.tell(|| format!("{} partition {}: {now}", node + 1, key.partition.get()));
                self.standings.insert((node, key), now);
            }
        }
    }

    fn hear_clients(&mut self) -> Result<(), Violation> {
        for told in self.ears.take() {
            let Some(done) = told.done else {
                if told.records > 0 {
                    self.counts.add("produce refused or unclear");
                }
                continue;
            };
            self.trace.add(u64::from(told.crc));
            if told.records == 0 {
                self.counts.add("records deleted");
                continue;
            }
            if !told.to_all {
                self.counts.add("produce acknowledged by the leader");
                continue;
            }
            self.counts.add("produce acknowledged by all");
            let base = super::log_content::raw(done.base_offset);
            let batch = super::log_content::Batch {
                base,
                last: base + told.records - 1,
                epoch: done.leader_epoch.get(),
                crc: told.crc,
            };
            let truth = self.quorum.image();
            let scene = Scene {
                nodes: &self.nodes,
                truth: &truth,
                min_insync: minimum(&self.plan.shape),
            };
            self.oracle
                .acknowledged(&scene, (told.node, told.key), batch)?;
        }
        Ok(())
    }

    /// An entry is committed: it is in the log, and every node will have it.
    pub(super) fn commit(&mut self, proposal: Proposal) -> Result<Option<Applied>, Violation> {
        let fenced = fenced_in(&proposal.bytes);
        let (before, after, applied) = self.quorum.commit(proposal.bytes);
        self.trace.add(after.digest());
        self.tell(|| {
            let topics = after.topics().iter();
            let partitions = topics.flat_map(|topic| topic.partitions());
            let partitions =
                partitions.map(|(index, p)| format!("{}: {}", index.get(), super::rules::state(p)));
            let fenced = after.brokers().iter().filter(|broker| broker.is_fenced);
            let fenced: Vec<_> = fenced.map(|broker| broker.id.get()).collect();
            let partitions: Vec<_> = partitions.collect();
            format!(
                "METADATA {} {applied:?} fenced {fenced:?}; {}",
                after.version(),
                partitions.join("; ")
            )
        });
        // Whoever decides has passed a barrier in its own term, so it decided over everything before.
        if matches!(applied, Some(Applied::Invalid | Applied::Stale)) {
            let text = format!("a decision does not apply: {applied:?}");
            return Err(Violation::new("M1", text));
        }
        let is_anybody_allowed = self.plan.shape.is_unclean_allowed || self.is_operator_here;
        let (degraded, wiped) = (&self.degraded, &self.wiped);
        let is_flushed = self.plan.shape.flush_on_ack;
        let may_lack = |id: BrokerId| {
            let node = position(id);
            let has_lost = wiped.contains(&node) || (degraded.contains(&node) && !is_flushed);
            is_anybody_allowed || has_lost
        };
        self.oracle
            .check_entry(&before, &after, &fenced, may_lack, &mut self.counts)?;
        self.forget_degraded();
        for node in 0..self.nodes.len() {
            let slowness = self.nodes.get(node).map_or(0, |node| node.slowness);
            let delay = 1 + self.rng.below(self.plan.shape.apply_delay) + slowness;
            self.schedule_on(node, delay, Event::Follow);
        }
        Ok(applied)
    }

    /// Who is in every in-sync set again has everything again.
    fn forget_degraded(&mut self) {
        let image = self.quorum.image();
        let nodes = &self.nodes;
        self.degraded.retain(|node| {
            let Some(id) = nodes.get(*node).map(|node| node.id) else {
                return false;
            };
            let process = nodes.get(*node).and_then(|node| node.process.as_ref());
            let is_registered = process.is_some_and(|process| {
                process.epoch.is_some()
                    && process.epoch == image.brokers().find(id).map(|found| found.epoch)
            });
            let lacks = image.topics().iter().any(|topic| {
                topic
                    .partitions()
                    .any(|(_, partition)| partition.has_replica(id) && !partition.isr.contains(&id))
            });
            !is_registered || lacks
        });
        let degraded = &self.degraded;
        self.wiped.retain(|node| degraded.contains(node));
    }

    /// Whether this node reaches a majority of the nodes that run, itself among them.
    pub(super) fn has_majority(&self, node: usize) -> bool {
        let is_up = |at: &usize| {
            self.nodes
                .get(*at)
                .is_some_and(|node| node.process.is_some() && !node.is_paused)
        };
        if !is_up(&node) {
            return false;
        }
        let all = 0..self.nodes.len();
        let reached = all
            .filter(|at| is_up(at) && self.links.is_open_both_ways(node, *at))
            .count();
        reached * 2 > self.nodes.len()
    }

    /// Looks after the quorum's leader.
    pub(super) fn look_after_quorum(&mut self) -> Result<(), Violation> {
        self.schedule(self.now + 25, None, Event::Quorum);
        let is_led = self.quorum.leader.is_some_and(|leader| {
            let boot = self.nodes.get(leader).map_or(0, |node| node.boot);
            boot == self.quorum.leader_boot && self.has_majority(leader)
        });
        if is_led {
            self.quorum.alone_since = None;
            return Ok(());
        }
        let since = *self.quorum.alone_since.get_or_insert(self.now);
        if self.now >= since + ELECTION_TIMEOUT || self.quorum.term == 0 {
            self.elect()?;
        }
        Ok(())
    }

    /// Another leader of the quorum, if anybody reaches a majority.
    pub(super) fn elect(&mut self) -> Result<(), Violation> {
        let all = 0..self.nodes.len();
        let able: Vec<usize> = all.filter(|node| self.has_majority(*node)).collect();
        let others: Vec<usize> = able
            .iter()
            .copied()
            .filter(|node| Some(*node) != self.quorum.leader)
            .collect();
        let from = if others.is_empty() { &able } else { &others };
        let Some(leader) = from.get(self.rng.index(from.len())).copied() else {
            return Ok(());
        };
        // What the leader before has asked for is in the log now, or never will be; it can't know.
        if let Some(pending) = self.quorum.pending.take() {
            self.counts.add("proposal with unclear outcome");
            let failed = Event::ProposalFailed(pending.number);
            let late = self.rng.below(150);
            self.schedule(self.now + late, Some((pending.by, pending.boot)), failed);
            if self.rng.chance(50) {
                self.commit(pending)?;
            }
        }
        if let Some(before) = self.quorum.leader {
            let (term, late) = (self.quorum.term, self.rng.below(250));
            self.schedule_on(before, late, Event::Deposed(term));
            self.counts.add("controller change");
        }
        self.quorum.term += 1;
        self.quorum.leader = Some(leader);
        self.quorum.leader_boot = self.nodes.get(leader).map_or(0, |node| node.boot);
        self.quorum.alone_since = None;
        let (term, late) = (self.quorum.term, 1 + self.rng.below(30));
        self.schedule_on(leader, late, Event::Lead(term));
        Ok(())
    }

    /// Sends a message over its link.
    pub(super) fn send(&mut self, message: &Message) {
        let mut shape = self.plan.shape.clone();
        if self.is_healed {
            (shape.lost, shape.duplicated, shape.delayed) = (0, 0, 0);
        }
        let fate = self.links.fate(self.now, message, &shape, &mut self.rng);
        match fate.arrivals.len() {
            0 => self.counts.add("lost RPC"),
            1 => {}
            _ => self.counts.add("duplicated RPC"),
        }
        if fate.is_delayed {
            self.counts.add("delayed RPC");
        }
        for at in fate.arrivals {
            // Whoever listens there by then.
            let to = message.to;
            let boot = self.nodes.get(to).map_or(0, |node| node.boot);
            self.schedule(at, Some((to, boot)), Event::Arrive(message.clone()));
        }
    }

    /// Ends every fault, and starts everything that is down.
    fn heal(&mut self) -> Result<(), Violation> {
        self.is_healed = true;
        self.links.heal();
        for node in 0..self.nodes.len() {
            if let Some(machine) = self.nodes.get_mut(node) {
                machine.slowness = 0;
                machine.disk.call_off_crash();
            }
            self.resume(node);
            if self
                .nodes
                .get(node)
                .is_some_and(|node| node.process.is_none())
            {
                self.boot(node)?;
            }
        }
        Ok(())
    }

    /// The process of a paused node goes on: with what is overdue.
    pub(super) fn resume(&mut self, node: usize) {
        if let Some(machine) = self.nodes.get_mut(node) {
            machine.is_paused = false;
        }
        for due in self.deferred.remove(&node).unwrap_or_default() {
            self.schedule(self.now, due.at, due.event);
        }
    }
}

/// The brokers that an entry fences.
fn fenced_in(entry: &[u8]) -> BTreeSet<BrokerId> {
    let records = Entry::decode(entry).map(|entry| entry.records);
    let records = records.unwrap_or_default();
    let fenced = records.iter().filter_map(|record| match record {
        Record::BrokerChange(change) if change.fenced == Some(true) => {
            BrokerId::from_wire(change.broker)
        }
        _ => None,
    });
    fenced.collect()
}

fn minimum(shape: &Shape) -> usize {
    usize::try_from(shape.min_insync).unwrap_or(1)
}

/// A number for each kind of event, for the trace.
fn kind(event: &Event) -> u64 {
    match event {
        Event::Planned(number) => 1_000 + *number as u64,
        Event::Arrive(_) => 1,
        Event::Tick => 2,
        Event::Disk => 3,
        Event::Follow => 4,
        Event::Publish => 5,
        Event::CallTimedOut(_) => 6,
        Event::IsrTimedOut(_) => 7,
        Event::SendIsr => 8,
        Event::Fetch(_) => 9,
        Event::FetchTimedOut(..) => 10,
        Event::Reread(_) => 11,
        Event::Lead(_) => 12,
        Event::Deposed(_) => 13,
        Event::ProposalFailed(_) => 14,
        Event::Decided(..) => 15,
        Event::Barrier(_) => 16,
        Event::Suspect(..) => 17,
        Event::Quorum => 18,
        Event::Commit(_) => 19,
        Event::Restart => 20,
        Event::Produce { .. } => 21,
    }
}

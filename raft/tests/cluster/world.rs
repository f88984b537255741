//! Three nodes, their disks, their clients, and what befalls them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_jepsen::rng::Rng;
use ottla_raft::{
    ClusterId, DirectoryId, IoMode, LogIndex, Member, NodeId, ProposeError, Raft, RaftConfig,
};
use tokio::time::{sleep, timeout};

use crate::history::{Digest, DigestView, History};
use crate::network::{Endpoint, Network};

pub(crate) const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn directory(node: NodeId) -> DirectoryId {
    DirectoryId([u8::try_from(node.0).unwrap(); 16])
}

fn members() -> BTreeMap<NodeId, Member> {
    let member = |node: NodeId| Member {
        directory: directory(node),
        address: node.to_string(),
    };
    NODES.into_iter().map(|node| (node, member(node))).collect()
}

/// Everything of one seed. It lives on one thread, as the nodes do.
pub(crate) struct World {
    pub(crate) history: History,
    pub(crate) network: Network,
    disks: BTreeMap<NodeId, SimDisk>,
    running: RefCell<BTreeMap<NodeId, Running>>,
    incarnations: Cell<u64>,
    rng: RefCell<Rng>,
    /// Nodes that are being stopped and brought back.
    bouncing: RefCell<BTreeSet<NodeId>>,
    is_over: Cell<bool>,
}

#[derive(Clone)]
struct Running {
    incarnation: u64,
    raft: Raft,
    state: DigestView,
    /// Power cuts that the disk had seen when this process began.
    crashes: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Rc<Self> {
        let mut rng = Rng::new(seed);
        let history = History::default();
        Rc::new(Self {
            network: Network::new(rng.fork(), history.clone()),
            history,
            disks: NODES
                .into_iter()
                .map(|node| (node, SimDisk::new()))
                .collect(),
            running: RefCell::default(),
            incarnations: Cell::new(0),
            rng: RefCell::new(rng),
            bouncing: RefCell::default(),
            is_over: Cell::new(false),
        })
    }

    pub(crate) fn rng<R>(&self, f: impl FnOnce(&mut Rng) -> R) -> R {
        f(&mut self.rng.borrow_mut())
    }

    pub(crate) async fn start(self: &Rc<Self>, node: NodeId) {
        let incarnation = self.incarnations.get() + 1;
        self.incarnations.set(incarnation);
        let mut config = RaftConfig::new(ClusterId([9; 16]), node, directory(node));
        config.command_size_max = 1 << 10;
        config.segment_size = 68 << 10;
        config.snapshot_every = 50;
        config.entries_kept = 5;
        let delay_us = self.rng(|rng| rng.below(4000));
        config.io = IoMode::Task {
            delay_max: Duration::from_micros(delay_us),
        };
        config.seed = Some(self.rng(Rng::next_u64));
        if self.rng(|rng| rng.chance(20)) {
            // The power goes again while the node repairs what the last time left.
            self.rng(|rng| self.disks[&node].crash_in(rng.below(40), rng.next_u64()));
        }
        let disk = &self.disks[&node];
        let (raft, state, crashes) = loop {
            let (machine, state) = Digest::new(node, self.history.clone());
            let transport = Endpoint {
                node,
                incarnation,
                network: self.network.clone(),
            };
            let (fs, dir) = (Arc::new(disk.mount()), PathBuf::from("/q"));
            let crashes = disk.counts().crashes;
            let started = Raft::start(config.clone(), fs, dir, Arc::new(transport), machine).await;
            match started {
                Ok(raft) if crashes == disk.counts().crashes => break (raft, state, crashes),
                Err(error) if crashes == disk.counts().crashes => {
                    panic!("node {node} did not start: {error:?}")
                }
                _ => self.history.count(|counts| counts.power_cuts += 1),
            }
        };
        disk.call_off_crash();
        state.mark_started();
        self.network.attach(node, incarnation, raft.clone());
        let running = Running {
            incarnation,
            raft: raft.clone(),
            state,
            crashes,
        };
        self.running.borrow_mut().insert(node, running);
        tokio::task::spawn_local(Rc::clone(self).watch(node, incarnation, raft));
    }

    pub(crate) async fn initialize(&self) {
        let first = self.node(NODES[0]).expect("it was started");
        first.raft.initialize(members()).await.expect("it is empty");
    }

    /// Notes every leadership of a node, and that it never fails while its disk is well.
    async fn watch(self: Rc<Self>, node: NodeId, incarnation: u64, raft: Raft) {
        let mut leadership = raft.leadership();
        loop {
            let now = *leadership.borrow_and_update();
            if now.leader == Some(node) {
                self.history.note_leader(now.term, node);
            }
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                fatal = raft.fatal() => {
                    let running = self.running.borrow().get(&node).map(|now| now.incarnation);
                    let is_expected = running != Some(incarnation) || self.has_lost_power(node);
                    assert!(is_expected, "node {node} failed: {fatal}");
                    return;
                }
            }
        }
    }

    /// Whether the node's process is dead though nobody has noticed: its disk lost power under it.
    fn has_lost_power(&self, node: NodeId) -> bool {
        let running = self.running.borrow();
        running
            .get(&node)
            .is_some_and(|now| now.crashes != self.disks[&node].counts().crashes)
    }

    pub(crate) fn is_running(&self, node: NodeId) -> bool {
        self.running.borrow().contains_key(&node)
    }

    /// The process ends; with it goes what its disk had not synced, if the power is cut.
    pub(crate) fn stop(&self, node: NodeId, is_power_cut: bool) {
        let Some(running) = self.running.borrow_mut().remove(&node) else {
            return;
        };
        self.network.detach(node);
        let disk = &self.disks[&node];
        if running.crashes != disk.counts().crashes {
            self.history.count(|counts| counts.power_cuts += 1);
        } else if is_power_cut {
            disk.crash(self.rng(Rng::next_u64));
            self.history.count(|counts| counts.power_cuts += 1);
        } else {
            disk.kill();
            self.history.count(|counts| counts.kills += 1);
        }
        // The memory of the process is freed in the background; it can't touch anything any more.
        tokio::task::spawn_local(async move { running.raft.shutdown().await });
    }

    fn node(&self, node: NodeId) -> Option<Running> {
        self.running.borrow().get(&node).cloned()
    }

    fn random_node(&self) -> Option<Running> {
        let index = self.rng(|rng| rng.index(NODES.len()));
        self.node(NODES[index])
    }

    /// Proposes until told to stop, at whoever should lead, sometimes at who should not.
    pub(crate) async fn propose_forever(self: Rc<Self>, client: usize) {
        let mut count = 0_u64;
        let mut target = NODES[client % NODES.len()];
        while !self.is_over.get() {
            sleep(Duration::from_micros(self.rng(|rng| rng.below(15_000)))).await;
            let Some(running) = self.node(target) else {
                target = NODES[self.rng(|rng| rng.index(NODES.len()))];
                continue;
            };
            count += 1;
            let size = self.rng(|rng| rng.index(700));
            let mut command = format!("{client}:{count}:").into_bytes();
            command.resize(command.len() + size, b'.');
            match running.raft.propose(command.clone()).await {
                Ok(applied) => self.history.note_acknowledged(applied.index, command),
                Err(ProposeError::NotLeader { leader }) => {
                    self.history.note_refused(command);
                    let random = NODES[self.rng(|rng| rng.index(NODES.len()))];
                    if leader.is_none() {
                        sleep(Duration::from_millis(20)).await;
                    }
                    target = leader.unwrap_or(random);
                }
                Err(ProposeError::OutcomeUnknown | ProposeError::Stopped(_)) => {
                    self.history.count(|counts| counts.unknown += 1);
                }
                Err(error) => panic!("unexpected refusal: {error}"),
            }
        }
    }

    /// Q3: after a barrier a node has applied whatever was acknowledged before it.
    pub(crate) async fn read_forever(self: Rc<Self>) {
        while !self.is_over.get() {
            sleep(Duration::from_micros(self.rng(|rng| rng.below(40_000)))).await;
            let Some(running) = self.random_node() else {
                continue;
            };
            let before = self.history.last_acknowledged();
            if let Ok(LogIndex(read)) = running.raft.barrier().await {
                self.history.count(|counts| counts.barriers += 1);
                let state = running.state.now();
                let applied = *running.raft.applied().borrow();
                assert!(
                    applied.is_some_and(|applied| applied.0 >= read),
                    "Q3: not yet applied"
                );
                assert!(
                    before <= Some(state.last),
                    "Q3: {before:?} was acknowledged, {state:?}"
                );
            }
        }
    }

    /// One thing that goes wrong, or right again.
    pub(crate) async fn disturb(self: &Rc<Self>) {
        match self.rng(|rng| rng.below(12)) {
            0..=2 => {
                let node = NODES[self.rng(|rng| rng.index(NODES.len()))];
                self.bounce(vec![node]);
            }
            3 => {
                let spared = self.rng(|rng| rng.index(NODES.len()));
                self.bounce(
                    NODES
                        .iter()
                        .copied()
                        .filter(|node| *node != NODES[spared])
                        .collect(),
                );
            }
            4 => self.bounce(NODES.to_vec()),
            5 | 6 => self.isolate(),
            7 => {
                let from = NODES[self.rng(|rng| rng.index(NODES.len()))];
                let to = NODES[self.rng(|rng| rng.index(NODES.len()))];
                self.network.cut(from, to);
            }
            8 => {
                let (percent, delay) = self.rng(|rng| (rng.below(25), 100 + rng.below(12_000)));
                self.network.set_quality(percent, delay);
            }
            9 => {
                if let Some(running) = self.random_node() {
                    // It may be stopping.
                    let _ = running.raft.trigger_snapshot().await;
                }
            }
            _ => {
                self.network.heal();
                self.network.set_quality(0, 1000);
            }
        }
    }

    fn isolate(&self) {
        let lonely = NODES[self.rng(|rng| rng.index(NODES.len()))];
        for other in NODES.into_iter().filter(|node| *node != lonely) {
            self.network.cut(lonely, other);
            self.network.cut(other, lonely);
        }
        self.history.count(|counts| counts.partitions += 1);
    }

    /// Stops nodes at once and brings each back after a while.
    fn bounce(self: &Rc<Self>, nodes: Vec<NodeId>) {
        let is_power_cut = self.rng(|rng| rng.chance(70));
        for node in nodes {
            if !self.bouncing.borrow_mut().insert(node) {
                continue;
            }
            let is_midway = is_power_cut && self.rng(|rng| rng.chance(60));
            if is_midway {
                let disk = &self.disks[&node];
                self.rng(|rng| disk.crash_in(rng.below(12), rng.next_u64()));
            } else {
                self.stop(node, is_power_cut);
            }
            let pause = Duration::from_millis(self.rng(|rng| rng.below(800)));
            let world = Rc::clone(self);
            tokio::task::spawn_local(async move {
                if is_midway {
                    world.wait_for_power_cut(node).await;
                    world.stop(node, true);
                }
                sleep(pause).await;
                world.start(node).await;
                world.bouncing.borrow_mut().remove(&node);
            });
        }
    }

    /// At most 200 ms: an idle node changes little.
    async fn wait_for_power_cut(&self, node: NodeId) {
        for _ in 0..200 {
            if self.has_lost_power(node) || !self.is_running(node) {
                return;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Ends the disturbances and checks what is left.
    pub(crate) async fn settle(self: &Rc<Self>) {
        self.is_over.set(true);
        self.network.heal();
        self.network.set_quality(0, 1000);
        // All that were stopped come back by themselves.
        sleep(Duration::from_secs(2)).await;
        let mut read = None;
        for _ in 0..200 {
            for node in NODES {
                let Some(running) = self.node(node) else {
                    continue;
                };
                let barrier = timeout(Duration::from_secs(1), running.raft.barrier()).await;
                read = read.or_else(|| barrier.ok().and_then(Result::ok));
            }
            if read.is_some() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        let read = read.expect("liveness: no leader in ten seconds without faults");
        let mut states = Vec::new();
        for node in NODES {
            let running = self.node(node).expect("all nodes are back");
            let mut applied = running.raft.applied();
            let reached = applied.wait_for(|applied| *applied >= Some(read));
            let waited = timeout(Duration::from_secs(10), reached).await;
            assert!(waited.is_ok(), "liveness: node {node} does not catch up");
            states.push(running.state.now());
        }
        assert!(
            states.iter().all(|state| *state == states[0]),
            "M1: {states:?}"
        );
        self.history.check_acknowledged(states[0].last);
        for disk in self.disks.values() {
            let counts = disk.counts();
            self.history.count(|sum| {
                sum.torn_writes += counts.torn;
                sum.lost_writes += counts.lost;
            });
        }
    }
}

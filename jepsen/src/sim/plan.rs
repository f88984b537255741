//! What a history is made of: the cluster's shape, and the faults and client operations with their times. Drawn from a
//! seed; every seed draws its own probabilities (swarm testing), so that some histories are rich in what others lack.

use crate::rng::Rng;

/// A history before it happens.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) shape: Shape,
    pub(super) events: Vec<Planned>,
}

/// The cluster, and how its links and disks behave when nothing else happens.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) nodes: usize,
    pub(super) partitions: i32,
    pub(super) replicas: usize,
    pub(super) min_insync: u32,
    /// What is acknowledged is on stable storage.
    pub(super) flush_on_ack: bool,
    /// The topic lets replicas lead that may lack records.
    pub(super) is_unclean_allowed: bool,
    /// In percent.
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) delayed: u64,
    /// Milliseconds, at most.
    pub(super) delay: u64,
    pub(super) disk_delay: u64,
    pub(super) apply_delay: u64,
    /// Whether a dead process is found out by its closed connection.
    pub(super) probes: bool,
}

/// One thing that happens from outside.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Milliseconds since the cluster was whole.
    pub(super) at: u64,
    pub(super) act: Act,
}

/// What can happen from outside. Nodes are positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Produce {
        partition: i32,
        to_all: bool,
    },
    Consume {
        partition: i32,
    },
    DeleteRecords {
        partition: i32,
    },
    Kill(usize),
    PowerCut(usize),
    /// A power cut in the middle of a disk's work, so many changes from now.
    PowerCutSoon(usize, u64),
    Wipe(usize),
    FailSync(usize),
    LoseIndexes(usize),
    Stop(usize),
    Start(usize),
    Pause(usize),
    Resume(usize),
    Cut {
        from: usize,
        to: usize,
    },
    Isolate(usize),
    Heal,
    DeposeController,
    Slow(usize),
    InstallSnapshot(usize),
    PreferLeaders,
    ElectUncleanly,
}

impl Plan {
    pub(super) fn draw(seed: u64, events: usize) -> Self {
        let mut rng = Rng::new(seed);
        let shape = Shape::draw(&mut rng);
        let mut weights = Weights::draw(&mut rng);
        if !shape.is_unclean_allowed {
            weights.unclean = 0;
        }
        let count = events + rng.index(events / 3 + 1);
        let mut at = 0;
        let mut planned = Vec::with_capacity(count);
        for _ in 0..count {
            at += rng.below(weights.gap);
            let act = weights.act(&mut rng, &shape);
            planned.push(Planned { at, act });
            // A fault that ends is another fault than one that stays.
            if let Some(undo) = undo(act).filter(|_| rng.chance(70)) {
                planned.push(Planned {
                    at: at + 5 + rng.below(600),
                    act: undo,
                });
            }
        }
        planned.sort_by_key(|planned| planned.at);
        Self {
            seed,
            shape,
            events: planned,
        }
    }
}

fn undo(act: Act) -> Option<Act> {
    match act {
        Act::Kill(node)
        | Act::PowerCut(node)
        | Act::PowerCutSoon(node, _)
        | Act::Wipe(node)
        | Act::Stop(node)
        | Act::LoseIndexes(node)
        | Act::FailSync(node) => Some(Act::Start(node)),
        Act::Pause(node) => Some(Act::Resume(node)),
        Act::Cut { .. } | Act::Isolate(_) => Some(Act::Heal),
        _ => None,
    }
}

impl Shape {
    fn draw(rng: &mut Rng) -> Self {
        let nodes = 3 + rng.index(3) / 2 * 2;
        let flush_on_ack = rng.chance(20);
        let is_unclean_allowed = rng.chance(12);
        Self {
            nodes,
            partitions: 1 + i32::try_from(rng.below(3)).unwrap_or(0),
            replicas: if rng.chance(15) { 2 } else { 3 },
            min_insync: if rng.chance(85) { 2 } else { 1 },
            flush_on_ack,
            is_unclean_allowed,
            lost: rng.below(4),
            duplicated: rng.below(8),
            delayed: rng.below(10),
            delay: 2 + rng.below(6),
            disk_delay: 1 + rng.below(25),
            apply_delay: 1 + rng.below(30),
            probes: rng.chance(70),
        }
    }
}

/// How likely each act is in this history.
struct Weights {
    gap: u64,
    produce: u64,
    consume: u64,
    delete: u64,
    kill: u64,
    power: u64,
    wipe: u64,
    fail_sync: u64,
    indexes: u64,
    stop: u64,
    start: u64,
    pause: u64,
    cut: u64,
    heal: u64,
    depose: u64,
    slow: u64,
    snapshot: u64,
    prefer: u64,
    unclean: u64,
}

impl Weights {
    fn draw(rng: &mut Rng) -> Self {
        // Each kind is absent in some histories and frequent in others.
        let mut some = |most: u64| {
            if rng.chance(35) {
                0
            } else {
                1 + rng.below(most)
            }
        };
        Self {
            kill: some(8),
            power: some(8),
            wipe: some(3),
            fail_sync: some(3),
            indexes: some(3),
            stop: some(6),
            start: 4 + some(6),
            pause: some(6),
            cut: some(10),
            heal: 2 + some(6),
            depose: some(6),
            slow: some(4),
            snapshot: some(3),
            prefer: some(3),
            unclean: some(3),
            delete: some(4),
            produce: 80 + some(80),
            consume: 20 + some(20),
            gap: 4 + some(16),
        }
    }

    fn act(&self, rng: &mut Rng, shape: &Shape) -> Act {
        let partition =
            i32::try_from(rng.below(shape.partitions.unsigned_abs().into())).unwrap_or(0);
        let node = rng.index(shape.nodes);
        let other = (node + 1 + rng.index(shape.nodes - 1)) % shape.nodes;
        let to_all = rng.chance(80);
        let changes = rng.below(12);
        let is_alone = rng.chance(40);
        let is_soon = rng.chance(40);
        let choices = [
            (self.produce, Act::Produce { partition, to_all }),
            (self.consume, Act::Consume { partition }),
            (self.delete, Act::DeleteRecords { partition }),
            (self.kill, Act::Kill(node)),
            (
                self.power,
                if is_soon {
                    Act::PowerCutSoon(node, changes)
                } else {
                    Act::PowerCut(node)
                },
            ),
            (self.wipe, Act::Wipe(node)),
            (self.fail_sync, Act::FailSync(node)),
            (self.indexes, Act::LoseIndexes(node)),
            (self.stop, Act::Stop(node)),
            (self.start, Act::Start(node)),
            (self.pause, Act::Pause(node)),
            (
                self.cut,
                if is_alone {
                    Act::Isolate(node)
                } else {
                    Act::Cut {
                        from: node,
                        to: other,
                    }
                },
            ),
            (self.heal, Act::Heal),
            (self.depose, Act::DeposeController),
            (self.slow, Act::Slow(node)),
            (self.snapshot, Act::InstallSnapshot(node)),
            (self.prefer, Act::PreferLeaders),
            (self.unclean, Act::ElectUncleanly),
        ];
        let total: u64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = rng.below(total);
        for (weight, act) in choices {
            if drawn < weight {
                return act;
            }
            drawn -= weight;
        }
        Act::Heal
    }
}

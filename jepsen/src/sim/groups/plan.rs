//! What a history of groups is made of: who is there, and what happens with how long a wait before it.
//!
//! Every seed draws its own probabilities, and every event carries the randomness of what follows from it.

use super::count::KINDS;
use super::world::World;
use crate::rng::Rng;
use crate::sim::simulated::{Outcome, Simulated, all_but};

/// A history before it happens.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) events: Vec<Planned>,
}

/// Who is there, and how the log does when nothing else happens.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) groups: Vec<GroupShape>,
    pub(super) clients: Vec<ClientShape>,
    /// In percent: how likely a batch is appended, or the high watermark moves, at a time.
    pub(super) append: u64,
    pub(super) commit: u64,
    /// In percent: answers that are lost, batches that are decided together, questions that go to a zombie.
    pub(super) lose: u64,
    pub(super) together: u64,
    pub(super) to_zombie: u64,
    /// Milliseconds.
    pub(super) initial_delay: u64,
}

/// Which protocols the members of a group speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavour {
    Classic,
    Consumer,
    /// Both: members change over when they start.
    Mixed,
    /// Nobody is in it: offsets are committed from outside.
    Simple,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct GroupShape {
    pub(super) flavour: Flavour,
    pub(super) is_cooperative: bool,
}

/// Two clients may have the same instance id.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientShape {
    pub(super) group: usize,
    pub(super) instance: Option<usize>,
}

/// One thing that happens from outside.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Milliseconds since the last one.
    pub(super) wait: u64,
    pub(super) act: Act,
    pub(super) salt: u64,
}

/// What can happen. Clients, groups and topics are positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Every client does what it does next.
    Everybody,
    Step(usize),
    /// A client waits no longer for its answer.
    GiveUp(usize),
    /// A client asks the same again.
    Repeat(usize),
    /// A client asks under its former name.
    Late(usize),
    Silence(usize, u64),
    Crash(usize),
    Start(usize),
    Leave(usize),
    /// An operator removes a static member.
    Remove(usize),
    Commit(usize),
    Fetch(usize),
    DeleteOffsets(usize),
    DeleteGroup(usize),
    CreateTopic(usize),
    GrowTopic(usize),
    DeleteTopic(usize),
    Move,
    EndZombies,
    RefuseAppends,
    StallLog(u64),
}

impl Shape {
    fn draw(rng: &mut Rng) -> Self {
        let group = |rng: &mut Rng| GroupShape {
            flavour: match rng.below(10) {
                0..=3 => Flavour::Classic,
                4..=6 => Flavour::Consumer,
                7..=8 => Flavour::Mixed,
                _ => Flavour::Simple,
            },
            is_cooperative: rng.chance(50),
        };
        let groups: Vec<_> = (0..=rng.index(3)).map(|_| group(rng)).collect();
        let client = |rng: &mut Rng| ClientShape {
            group: rng.index(groups.len()),
            instance: rng.chance(45).then(|| rng.index(3)),
        };
        Self {
            clients: (0..2 + rng.index(7)).map(|_| client(rng)).collect(),
            groups,
            append: 30 + rng.below(71),
            commit: 30 + rng.below(71),
            lose: rng.below(12),
            together: rng.below(60),
            to_zombie: 10 + rng.below(40),
            initial_delay: rng.below(3) * 1500,
        }
    }
}

fn act(rng: &mut Rng, shape: &Shape, calm: u64) -> Act {
    let client = rng.index(shape.clients.len());
    let group = rng.index(shape.groups.len());
    let topic = rng.index(super::topics::NAMES.len());
    if rng.chance(calm) {
        return if rng.chance(40) {
            Act::Everybody
        } else {
            Act::Step(client)
        };
    }
    match rng.below(100) {
        0..=5 => Act::GiveUp(client),
        6..=10 => Act::Repeat(client),
        11..=17 => Act::Late(client),
        18..=23 => Act::Silence(client, rng.below(15_000)),
        24..=30 => Act::Crash(client),
        31..=44 => Act::Start(client),
        45..=48 => Act::Leave(client),
        49 => Act::Remove(client),
        50..=58 => Act::Commit(group),
        59..=67 => Act::Fetch(group),
        68..=70 => Act::DeleteOffsets(group),
        71..=73 => Act::DeleteGroup(group),
        74..=77 => Act::CreateTopic(topic),
        78..=80 => Act::GrowTopic(topic),
        81 => Act::DeleteTopic(topic),
        82..=89 => Act::Move,
        90..=92 => Act::EndZombies,
        93..=95 => Act::RefuseAppends,
        _ => Act::StallLog(rng.below(8_000)),
    }
}

fn wait(rng: &mut Rng, jumps: u64) -> u64 {
    if rng.below(1000) >= jumps {
        return rng.below(400);
    }
    match rng.below(10) {
        0..=6 => 1_000 + rng.below(12_000),
        7..=8 => rng.below(60_000),
        // Beyond the retention of offsets.
        _ => 200_000 + rng.below(400_000),
    }
}

impl Simulated for Plan {
    const KINDS: &'static [&'static str] = KINDS;

    fn draw(seed: u64, events: usize) -> Self {
        let mut rng = Rng::new(seed);
        let shape = Shape::draw(&mut rng);
        let (calm, jumps) = (50 + rng.below(40), rng.below(40));
        // Almost half of them find nothing to do.
        let count = 2 * (events + rng.index(events / 2 + 1));
        let planned = (0..count).map(|_| Planned {
            wait: wait(&mut rng, jumps),
            act: act(&mut rng, &shape, calm),
            salt: rng.next_u64(),
        });
        let events = planned.collect();
        Self { shape, events }
    }

    fn event_count(&self) -> usize {
        self.events.len()
    }

    fn without(&self, at: usize, count: usize) -> Self {
        Self {
            events: all_but(&self.events, at, count),
            shape: self.shape.clone(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let event = |planned: &Planned| format!("{:>6} ms later  {:?}", planned.wait, planned.act);
        let shape = std::iter::once(format!("{:?}", self.shape));
        shape.chain(self.events.iter().map(event)).collect()
    }

    fn play(&self, is_told: bool) -> Outcome {
        World::new(self, is_told).run()
    }
}

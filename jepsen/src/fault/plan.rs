//! The timetable of faults: what is done to whom, when and for how long.
//!
//! - Pure: a seed and the options give the same timetable. Targets are roles, filled when their time comes.
//! - The first faults are those that change leaders and leave a deposed one with records that nobody else has.
//! - Between two faults the cluster is whole, for a while that is sometimes too short to recover.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::rng::Rng;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// `kill -9`, then a restart.
    Kill,
    /// `SIGSTOP`, then `SIGCONT`.
    Pause,
    /// The network between a node and the other nodes drops packets; clients still reach all.
    Cut,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "kill" => Ok(Self::Kill),
            "pause" => Ok(Self::Pause),
            "cut" => Ok(Self::Cut),
            _ => Err(format!("{name:?} is no fault: kill, pause or cut")),
        }
    }
}

/// Who is hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Whoever leads this key.
    Leader(u64),
    /// Whoever leads the metadata quorum.
    Controller,
    /// The node at this position.
    Node(usize),
    /// Every node at once.
    All,
}

/// Which packets a cut drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Between the target and the others.
    Both,
    /// From the target to the others.
    Out,
    /// From the others to the target.
    In,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// How long the cluster is left alone before.
    pub(super) quiet: Duration,
    pub(super) fault: Fault,
    pub(super) target: Target,
    /// For cuts.
    pub(super) direction: Direction,
    pub(super) lasts: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match (self.fault, self.direction) {
            (Fault::Kill, _) => "kill",
            (Fault::Pause, _) => "pause",
            (Fault::Cut, Direction::Both) => "cut",
            (Fault::Cut, Direction::Out) => "cut what leaves",
            (Fault::Cut, Direction::In) => "cut what reaches",
        };
        match self.target {
            Target::Leader(key) => write!(f, "{fault} the leader of {key}"),
            Target::Controller => write!(f, "{fault} the controller"),
            Target::Node(_) => write!(f, "{fault} a node"),
            Target::All => write!(f, "{fault} all nodes"),
        }
    }
}

/// What a timetable is drawn for.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) total: Duration,
    pub(super) faults: Vec<Fault>,
    pub(super) nodes: usize,
    pub(super) keys: u64,
    /// After so long a silent node is replaced.
    pub(super) session: Duration,
}

/// Draws faults until the time is over; the last one may be cut short.
pub(super) fn draw(terms: &Terms, rng: &mut Rng) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut spent = Duration::ZERO;
    let mut bag = Vec::new();
    // The ones that every run has to show.
    let mut due = certain(terms, rng);
    due.reverse();
    while spent < terms.total {
        let step = due.pop().or_else(|| {
            if bag.is_empty() {
                bag = combinations(terms);
            }
            (!bag.is_empty()).then(|| {
                let (fault, target) = bag.swap_remove(rng.index(bag.len()));
                step(terms, rng, fault, target)
            })
        });
        let Some(step) = step else { break };
        spent += step.quiet + step.lasts;
        steps.push(step);
    }
    steps
}

/// A leader alone for longer than its session, while clients still reach it.
fn certain(terms: &Terms, rng: &mut Rng) -> Vec<Step> {
    if terms.nodes < 2 {
        return Vec::new();
    }
    let long = |fault, rng: &mut Rng| {
        let target = Target::Leader(rng.below(terms.keys));
        let lasts = terms.session * 2 + between(rng, 0, 1000);
        Step {
            direction: Direction::Both,
            lasts,
            ..step(terms, rng, fault, target)
        }
    };
    let isolating = [Fault::Cut, Fault::Pause].into_iter();
    let isolating = isolating.filter(|fault| terms.faults.contains(fault));
    isolating.map(|fault| long(fault, rng)).collect()
}

fn combinations(terms: &Terms) -> Vec<(Fault, Target)> {
    let mut all = Vec::new();
    for &fault in &terms.faults {
        if fault == Fault::Cut && terms.nodes < 2 {
            continue;
        }
        all.extend([
            (fault, Target::Leader(0)),
            (fault, Target::Controller),
            (fault, Target::Node(0)),
        ]);
        // With everybody cut off from everybody, nothing happens until the end of it.
        if fault != Fault::Cut {
            all.push((fault, Target::All));
        }
    }
    all
}

fn step(terms: &Terms, rng: &mut Rng, fault: Fault, target: Target) -> Step {
    let target = match target {
        Target::Leader(_) => Target::Leader(rng.below(terms.keys)),
        Target::Node(_) => Target::Node(rng.index(terms.nodes)),
        Target::Controller | Target::All => target,
    };
    let direction = match rng.below(4) {
        0 => Direction::Out,
        1 => Direction::In,
        _ => Direction::Both,
    };
    let session = u64::try_from(terms.session.as_millis()).unwrap_or(u64::MAX);
    // Shorter than the session, about as long, longer.
    let lasts = match (fault, target) {
        (Fault::Kill, _) => between(rng, 100, 3000),
        (Fault::Pause, Target::All) => between(rng, 500, session),
        (Fault::Pause | Fault::Cut, _) => between(rng, session / 4, session * 5 / 2),
    };
    Step {
        quiet: between(rng, 500, 3000),
        fault,
        target,
        direction,
        lasts,
    }
}

fn between(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + rng.below(to.saturating_sub(from).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(nodes: usize) -> Terms {
        Terms {
            total: Duration::from_mins(1),
            faults: vec![Fault::Kill, Fault::Pause, Fault::Cut],
            nodes,
            keys: 8,
            session: Duration::from_secs(3),
        }
    }

    #[test]
    fn a_seed_repeats_its_timetable() {
        let draw = |seed| draw(&terms(3), &mut Rng::new(seed));
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_minute_of_three_nodes_isolates_a_leader_past_its_session() {
        for seed in 0..200 {
            let steps = draw(&terms(3), &mut Rng::new(seed));
            let isolates = |step: &&Step| {
                step.fault == Fault::Cut
                    && step.direction == Direction::Both
                    && matches!(step.target, Target::Leader(_))
                    && step.lasts > Duration::from_secs(6)
            };
            assert!(steps.iter().any(|step| isolates(&step)), "seed {seed}");
            assert!((5..=60).contains(&steps.len()), "seed {seed}: {steps:?}");
        }
    }

    #[test]
    fn a_node_alone_is_never_cut_off() {
        let steps = draw(&terms(1), &mut Rng::new(1));
        assert!(!steps.is_empty());
        assert!(steps.iter().all(|step| step.fault != Fault::Cut));
    }

    #[test]
    fn without_faults_nothing_happens() {
        let mut terms = terms(3);
        terms.faults.clear();
        assert_eq!(draw(&terms, &mut Rng::new(1)), []);
    }
}

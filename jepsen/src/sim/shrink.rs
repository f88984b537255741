//! The shortest list of events that was found to fail: parts of it are left out for as long as what is left still breaks
//! the same rule.

use super::check::Violation;
use super::plan::{Plan, Planned};
use super::world::{Outcome, World};

/// Histories that may be tried.
const TRIES: usize = 400;

pub(super) fn play(plan: &Plan) -> Outcome {
    run(World::new(plan))
}

/// The same, with everything that happened.
pub(super) fn tell(plan: &Plan) -> Outcome {
    run(World::new(plan).map(World::told))
}

fn run(world: Result<World<'_>, Violation>) -> Outcome {
    match world {
        Ok(world) => world.run(),
        Err(violation) => Outcome {
            violation: Some(violation),
            counts: super::Counts::default(),
            steps: 0,
            hash: 0,
            story: Vec::new(),
        },
    }
}

/// Leaves out what is not needed for `violation`, in pieces that get smaller.
pub(super) fn shrink(plan: &Plan, violation: &Violation) -> Plan {
    let mut best = plan.clone();
    let mut piece = best.events.len().div_ceil(2).max(1);
    let mut tries = 0;
    while tries < TRIES {
        let mut at = 0;
        let mut is_shorter = false;
        while at < best.events.len() && tries < TRIES {
            let without = without(&best, at, piece);
            tries += 1;
            let found = play(&without).violation;
            if found.is_some_and(|found| found.rule == violation.rule) {
                best = without;
                is_shorter = true;
            } else {
                at += piece;
            }
        }
        if piece == 1 && !is_shorter {
            break;
        }
        piece = (piece / 2).max(1);
    }
    best
}

fn without(plan: &Plan, at: usize, count: usize) -> Plan {
    let kept = |(position, planned): (usize, &Planned)| {
        (position < at || position >= at + count).then(|| planned.clone())
    };
    Plan {
        events: plan.events.iter().enumerate().filter_map(kept).collect(),
        ..plan.clone()
    }
}

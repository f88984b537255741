//! The shortest list of events that was found to fail: parts of it are left out for as long as what is left still breaks
//! the same rule.

use super::check::Violation;
use super::simulated::Simulated;

/// Histories that may be tried.
const TRIES: usize = 400;

/// Leaves out what is not needed for `violation`, in pieces that get smaller.
pub(super) fn shrink<P: Simulated>(plan: &P, violation: &Violation) -> P {
    let mut best = plan.clone();
    let mut piece = best.event_count().div_ceil(2).max(1);
    let mut tries = 0;
    while tries < TRIES {
        let mut at = 0;
        let mut is_shorter = false;
        while at < best.event_count() && tries < TRIES {
            let without = best.without(at, piece);
            tries += 1;
            let found = without.play(false).violation;
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

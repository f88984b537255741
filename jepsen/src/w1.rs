//! The checker of the log workload (w1): from a history to a verdict.
//!
//! Pure: the same history gives the same [`Verdict`]. The names of the anomalies and what counts as evidence are those
//! of Jepsen's Kafka workload, so that two checkers can be compared on one file; `phantom` and `future-read` are our
//! own, since that one throws on the first and allows the second.
//!
//! - The order of a key's values comes from what was seen: polls of any outcome, and sends that must have committed.
//!   Holes (markers, aborted records) are squeezed out: a value's *rank* counts the offsets that hold a value.
//! - A key with two values at one offset has no order. What needs one (lost-write, skips, cycles) is not judged there,
//!   and the verdict names the key.
//! - Time is O(n log n) in the micro-operations; nothing depends on how large an offset is.

mod anomaly;
mod cycle;
mod facts;
mod graph;
mod order;
mod report;
mod scc;
#[cfg(test)]
mod tests;
mod value;
mod verdict;

use std::path::Path;

pub use anomaly::{Anomaly, Class, Dependency, Evidence, Sighting, Step};
pub use verdict::{Acks, Counts, Doubt, Rules, Verdict, Word};

use crate::history::{History, ReadError};
use facts::Facts;

/// Judges a history.
pub fn check(history: &History, rules: Rules) -> Verdict {
    let attempts = history.attempts();
    let facts = match Facts::gather(attempts) {
        Ok(facts) => facts,
        Err(doubt) => return Verdict::unknown(attempts, doubt),
    };
    let mut anomalies = value::find(&facts);
    anomalies.extend(order::find(&facts));
    anomalies.extend(cycle::find(&facts));
    Verdict::new(&facts, anomalies, rules)
}

/// Reads and judges a file; the verdict prints itself for people, and as JSON with [`Verdict::write_json`].
///
/// # Errors
/// The first line that is no operation or contradicts an earlier one: then there is no history to judge.
pub fn check_file(path: &Path, rules: Rules) -> Result<Verdict, ReadError> {
    History::read(path).map(|history| check(&history, rules))
}

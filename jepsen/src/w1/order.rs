//! Anomalies of order: what one process polled or sent, against the order of the logs.
//!
//! - Within an operation ("int"), neighbours are compared, whatever its outcome; keys that moved meanwhile are left out.
//! - Between operations, the first value of an operation is compared with the last of the process's operation before.
//!   Polls of any outcome are judged against the last *ok* position; sends of failed operations count for nothing.
//! - An assignment forgets the keys that it drops; a key that it keeps keeps its position, even with a rewind.
//! - Two values are compared only if both have a rank.

use std::collections::{BTreeMap, HashMap};

use super::anomaly::{Anomaly, Class, Evidence, Sighting};
use super::facts::Facts;
use crate::history::{Action, Attempt, Index, Key, MicroOp, Outcome};

/// All of them.
pub(super) fn find(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut processes: HashMap<u64, Positions> = HashMap::new();
    let mut found = Vec::new();
    for attempt in facts.attempts {
        let positions = processes.entry(attempt.process).or_default();
        judge(facts, attempt, positions, &mut found);
    }
    found
}

/// How far a process is in each key.
#[derive(Debug, Default)]
struct Positions {
    polled: BTreeMap<Key, Place>,
    sent: BTreeMap<Key, Place>,
}

/// A value that a process polled or sent, with its rank.
#[derive(Clone, Copy, Debug)]
struct Place {
    sighting: Sighting,
    rank: Option<usize>,
    operation: Index,
}

/// The classes of one kind of comparison: `None` where passing over is nobody's concern.
#[derive(Clone, Copy, Debug)]
struct Names {
    skip: Option<Class>,
    nonmonotonic: Class,
}

const INT_POLL: Names = Names {
    skip: Some(Class::IntPollSkip),
    nonmonotonic: Class::IntNonmonotonicPoll,
};
const POLL: Names = Names {
    skip: Some(Class::PollSkip),
    nonmonotonic: Class::NonmonotonicPoll,
};
const INT_SEND: Names = Names {
    skip: Some(Class::IntSendSkip),
    nonmonotonic: Class::IntNonmonotonicSend,
};
const SEND: Names = Names {
    skip: None,
    nonmonotonic: Class::NonmonotonicSend,
};

fn judge(
    facts: &Facts<'_>,
    attempt: &Attempt,
    positions: &mut Positions,
    found: &mut Vec<Anomaly>,
) {
    if let Action::Assign(keys) | Action::Subscribe(keys) = &attempt.action {
        if attempt.outcome == Outcome::Ok {
            positions.polled.retain(|key, _| keys.contains(key));
            positions.sent.retain(|key, _| keys.contains(key));
        }
        return;
    }
    for (key, places) in polled(facts, attempt) {
        if !attempt.rebalanced.contains(&key) {
            neighbours(key, &places, INT_POLL, found);
        }
        let moves = attempt.outcome == Outcome::Ok;
        follow(&mut positions.polled, key, &places, POLL, moves, found);
    }
    for (key, places) in sent(facts, attempt) {
        neighbours(key, &places, INT_SEND, found);
        if attempt.outcome != Outcome::Fail {
            follow(&mut positions.sent, key, &places, SEND, true, found);
        }
    }
}

/// What an operation polled of each key that has an order.
fn polled(facts: &Facts<'_>, attempt: &Attempt) -> BTreeMap<Key, Vec<Place>> {
    let mut by_key: BTreeMap<Key, Vec<Place>> = BTreeMap::new();
    for (key, records) in attempt.polled().filter(|(key, _)| facts.has_order(*key)) {
        let places = records.iter().map(|record| Place {
            sighting: Sighting {
                offset: Some(record.offset),
                value: record.value,
            },
            rank: facts.rank(key, record.value),
            operation: attempt.index(),
        });
        by_key.entry(key).or_default().extend(places);
    }
    by_key
}

/// What an operation sent to each key that has an order.
fn sent(facts: &Facts<'_>, attempt: &Attempt) -> BTreeMap<Key, Vec<Place>> {
    let mut by_key: BTreeMap<Key, Vec<Place>> = BTreeMap::new();
    for micro_op in attempt.micro_ops() {
        let MicroOp::Send { key, offset, value } = *micro_op else {
            continue;
        };
        if facts.has_order(key) {
            by_key.entry(key).or_default().push(Place {
                sighting: Sighting { offset, value },
                rank: facts.rank(key, value),
                operation: attempt.index(),
            });
        }
    }
    by_key
}

fn neighbours(key: Key, places: &[Place], names: Names, found: &mut Vec<Anomaly>) {
    for pair in places.windows(2) {
        if let [first, second] = pair {
            found.extend(compare(key, first, second, names));
        }
    }
}

/// Compares with the position of the process, and moves it on; values without a rank are passed over.
fn follow(
    positions: &mut BTreeMap<Key, Place>,
    key: Key,
    places: &[Place],
    names: Names,
    moves: bool,
    found: &mut Vec<Anomaly>,
) {
    let mut ranked = places.iter().filter(|place| place.rank.is_some());
    let Some(first) = ranked.next() else {
        return;
    };
    if let Some(before) = positions.get(&key) {
        found.extend(compare(key, before, first, names));
    }
    if moves {
        positions.insert(key, *ranked.next_back().unwrap_or(first));
    }
}

fn compare(key: Key, first: &Place, second: &Place, names: Names) -> Option<Anomaly> {
    let (from, to) = first.rank.zip(second.rank)?;
    let delta = i64::try_from(to).ok()? - i64::try_from(from).ok()?;
    let class = match delta {
        1 => None,
        2.. => names.skip,
        _ => Some(names.nonmonotonic),
    }?;
    let mut operations = vec![first.operation, second.operation];
    operations.dedup();
    let evidence = Evidence::Pair {
        key,
        records: [first.sighting, second.sighting],
        operations,
        delta,
    };
    Some(Anomaly::new(class, evidence))
}

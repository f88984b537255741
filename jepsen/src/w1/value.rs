//! Anomalies of single values: lost, doubled, out of nowhere, read too early.

use std::collections::BTreeMap;

use super::anomaly::{Anomaly, Class, Evidence, Sighting};
use super::facts::{Entry, Facts, Log, ValueFacts};
use crate::history::{Index, Key, Outcome};

/// All of them.
pub(super) fn find(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for (&key, log) in &facts.logs {
        found.extend(inconsistent(facts, key, log));
        found.extend(duplicates(facts, key, log));
        found.extend(lost(facts, key, log));
    }
    for value in &facts.values {
        found.extend(phantom(facts, value));
        found.extend(aborted_read(facts, value));
        found.extend(future_read(facts, value));
    }
    found.extend(unseen(facts));
    found.extend(precommitted(facts));
    found
}

fn records(facts: &Facts<'_>, class: Class, value: &ValueFacts, operations: &[usize]) -> Anomaly {
    Anomaly::new(
        class,
        Evidence::Records {
            key: value.key,
            records: vec![sighting(value)],
            operations: indexes(facts, operations),
        },
    )
}

fn sighting(value: &ValueFacts) -> Sighting {
    Sighting {
        offset: value.offset,
        value: value.value,
    }
}

fn indexes(facts: &Facts<'_>, attempts: &[usize]) -> Vec<Index> {
    attempts
        .iter()
        .map(|attempt| facts.attempts[*attempt].index())
        .collect()
}

/// Several sightings of one key as evidence, by offset, then value.
fn seen(facts: &Facts<'_>, class: Class, key: Key, entries: &[Entry]) -> Anomaly {
    let show = |entry: &Entry| {
        let sighting = Sighting {
            offset: Some(entry.offset),
            value: facts.values[entry.value].value,
        };
        (sighting, facts.attempts[entry.seen_by].index())
    };
    let mut shown: Vec<_> = entries.iter().map(show).collect();
    shown.sort_unstable();
    let (records, operations) = shown.into_iter().unzip();
    let evidence = Evidence::Records {
        key,
        records,
        operations,
    };
    Anomaly::new(class, evidence)
}

fn inconsistent(facts: &Facts<'_>, key: Key, log: &Log) -> Vec<Anomaly> {
    log.entries
        .chunk_by(|a, b| a.offset == b.offset)
        .filter(|entries| entries.len() > 1)
        .map(|entries| seen(facts, Class::InconsistentOffsets, key, entries))
        .collect()
}

fn duplicates(facts: &Facts<'_>, key: Key, log: &Log) -> Vec<Anomaly> {
    let mut entries = log.entries.clone();
    entries.sort_unstable_by_key(|entry| (entry.value, entry.offset));
    entries
        .chunk_by(|a, b| a.value == b.value)
        .filter(|entries| entries.len() > 1)
        .map(|entries| seen(facts, Class::Duplicate, key, entries))
        .collect()
}

/// The bound is the greatest *first* rank that an ok operation read, compared with *last* ranks: a duplicate is
/// judged in the way that accuses least.
fn lost(facts: &Facts<'_>, key: Key, log: &Log) -> Vec<Anomaly> {
    if !facts.has_order(key) {
        return Vec::new();
    }
    let values = || log.entries.iter().map(|entry| &facts.values[entry.value]);
    let bound = values()
        .filter_map(|value| value.first_rank.zip(value.read_by_ok))
        .max_by_key(|(rank, _)| *rank);
    let Some((bound, reader)) = bound else {
        return Vec::new();
    };
    let mut found: Vec<_> = values()
        .filter(|value| value.read_by_ok.is_none() && value.last_rank <= Some(bound))
        .filter_map(|value| Some((value, value.writer?)))
        .filter(|(_, writer)| facts.is_committed(&facts.attempts[*writer]))
        .map(|(value, writer)| records(facts, Class::LostWrite, value, &[writer, reader]))
        .collect();
    // A value at two offsets has two entries and is lost once; its entries need not be neighbours.
    found.sort_unstable();
    found.dedup();
    found
}

fn phantom(facts: &Facts<'_>, value: &ValueFacts) -> Option<Anomaly> {
    let reader = value.read_first.filter(|_| value.writer.is_none())?;
    Some(records(facts, Class::Phantom, value, &[reader]))
}

fn aborted_read(facts: &Facts<'_>, value: &ValueFacts) -> Option<Anomaly> {
    let (writer, reader) = value.writer.zip(value.read_by_ok)?;
    let is_aborted = facts.attempts[writer].outcome == Outcome::Fail;
    is_aborted.then(|| records(facts, Class::G1a, value, &[writer, reader]))
}

fn future_read(facts: &Facts<'_>, value: &ValueFacts) -> Option<Anomaly> {
    let (writer, reader) = value.writer.zip(value.read_first)?;
    let read = facts.attempts[reader].completed?;
    let is_early = read < facts.attempts[writer].invoked;
    is_early.then(|| records(facts, Class::FutureRead, value, &[writer, reader]))
}

/// One anomaly a key, with everything that was acknowledged and never read.
fn unseen(facts: &Facts<'_>) -> Vec<Anomaly> {
    let mut by_key: BTreeMap<Key, Vec<(Sighting, Index)>> = BTreeMap::new();
    for value in facts.values.iter().filter(|value| value.is_unseen(facts)) {
        let writer = value.writer.map(|writer| facts.attempts[writer].index());
        let list = by_key.entry(value.key).or_default();
        list.extend(writer.map(|writer| (sighting(value), writer)));
    }
    let anomaly = |(key, mut list): (Key, Vec<(Sighting, Index)>)| {
        list.sort_unstable();
        let (records, mut operations): (Vec<_>, Vec<_>) = list.into_iter().unzip();
        operations.sort_unstable();
        operations.dedup();
        let evidence = Evidence::Records {
            key,
            records,
            operations,
        };
        Anomaly::new(Class::Unseen, evidence)
    };
    by_key.into_iter().map(anomaly).collect()
}

/// The first of its own values that an operation polled, whatever became of it.
fn precommitted(facts: &Facts<'_>) -> Vec<Anomaly> {
    let own = |position: usize| {
        let attempt = &facts.attempts[position];
        let mut polled = attempt.polled().flat_map(|(key, records)| {
            records
                .iter()
                .filter_map(move |record| facts.value(key, record.value))
        });
        polled.find(|value| value.writer == Some(position))
    };
    (0..facts.attempts.len())
        .filter_map(|position| Some((position, own(position)?)))
        .map(|(position, value)| records(facts, Class::PrecommittedRead, value, &[position]))
        .collect()
}

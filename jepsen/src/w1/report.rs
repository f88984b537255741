//! The verdict for people: a summary, then the first cases of each class.

use std::fmt;

use super::anomaly::{Anomaly, Dependency, Evidence, Sighting, Step};
use super::verdict::{Verdict, Word};
use crate::history::Index;

/// How many cases of a class, and how many records of a case, are printed; the JSON form has all.
const SHOWN_MAX: usize = 8;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Word::Valid => "valid",
            Word::Invalid => "INVALID",
            Word::Unknown => "unknown",
        };
        let counts = &self.counts;
        write!(f, "{word}: {} operations", counts.operations)?;
        writeln!(f, " on {} keys", counts.keys)?;
        write!(f, "values sent: {} acknowledged, ", counts.acknowledged)?;
        write!(f, "{} ambiguous, ", counts.ambiguous)?;
        writeln!(f, "{} failed", counts.failed)?;
        writeln!(
            f,
            "values read: {}; acknowledged and unseen: {}",
            counts.read, counts.unseen
        )?;
        if let Some(doubt) = &self.doubt {
            writeln!(f, "it proves nothing: {doubt}")?;
        }
        for key in &self.keys_without_order {
            writeln!(f, "key {} has no order to judge by", key.0)?;
        }
        for cases in self.anomalies.chunk_by(|a, b| a.class == b.class) {
            write_class(f, cases)?;
        }
        Ok(())
    }
}

fn write_class(f: &mut fmt::Formatter<'_>, cases: &[Anomaly]) -> fmt::Result {
    let Some(first) = cases.first() else {
        return Ok(());
    };
    let allowed = if first.allowed { ", allowed" } else { "" };
    writeln!(f, "\n{} ({}{allowed})", first.class.name(), cases.len())?;
    for case in cases.iter().take(SHOWN_MAX) {
        f.write_str("  ")?;
        write_evidence(f, &case.evidence)?;
        writeln!(f)?;
    }
    if cases.len() > SHOWN_MAX {
        writeln!(f, "  and {} more", cases.len() - SHOWN_MAX)?;
    }
    Ok(())
}

fn write_evidence(f: &mut fmt::Formatter<'_>, evidence: &Evidence) -> fmt::Result {
    match evidence {
        Evidence::Records {
            key,
            records,
            operations,
        } => {
            write!(f, "key {}: ", key.0)?;
            write_list(f, records, |f, record| write_sighting(f, *record))?;
            write_operations(f, operations)
        }
        Evidence::Pair {
            key,
            records: [first, second],
            operations,
            delta,
        } => {
            write!(f, "key {}: ", key.0)?;
            write_sighting(f, *first)?;
            f.write_str(", then ")?;
            write_sighting(f, *second)?;
            write!(f, ", {delta:+} in the log")?;
            write_operations(f, operations)
        }
        Evidence::Cycle { cycle } => write_cycle(f, cycle),
    }
}

fn write_cycle(f: &mut fmt::Formatter<'_>, cycle: &[Step]) -> fmt::Result {
    for step in cycle.iter().take(SHOWN_MAX) {
        let reason = match step.before_next {
            Dependency::Ww => "ww",
            Dependency::Wr => "wr",
            Dependency::Process => "process",
            Dependency::Realtime => "realtime",
        };
        write!(f, "{} -{reason}-> ", step.operation.0)?;
    }
    if cycle.len() > SHOWN_MAX {
        write!(f, "({} more) -> ", cycle.len() - SHOWN_MAX)?;
    }
    match cycle.first() {
        Some(step) => write!(f, "{}", step.operation.0),
        None => Ok(()),
    }
}

fn write_sighting(f: &mut fmt::Formatter<'_>, sighting: Sighting) -> fmt::Result {
    write!(f, "value {} ", sighting.value.0)?;
    match sighting.offset {
        Some(offset) => write!(f, "at offset {}", offset.0),
        None => f.write_str("at an unknown offset"),
    }
}

fn write_operations(f: &mut fmt::Formatter<'_>, operations: &[Index]) -> fmt::Result {
    f.write_str(" (operations ")?;
    write_list(f, operations, |f, index| write!(f, "{}", index.0))?;
    f.write_str(")")
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    write_item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (position, item) in items.iter().take(SHOWN_MAX).enumerate() {
        if position > 0 {
            f.write_str(", ")?;
        }
        write_item(f, item)?;
    }
    match items.len().checked_sub(SHOWN_MAX) {
        Some(more) if more > 0 => write!(f, " and {more} more"),
        _ => Ok(()),
    }
}

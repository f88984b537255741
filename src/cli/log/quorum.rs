//! The files of the metadata quorum: segments of its log, and snapshots.

use anyhow::{Result, bail};
use ottla_raft::inspect::{self, Item, Membership, Payload};
use ottla_raft::{LogIndex, Term};
use serde::Serialize;

use super::sink::{Line, Sink};
use crate::cli::output::optional;
use crate::metadata::record::Entry;
use crate::metadata::snapshot as image;

#[derive(Serialize)]
struct FrameLine {
    position: u64,
    sequence: u64,
    record: &'static str,
    term: Option<u64>,
    index: Option<u64>,
    detail: String,
    /// The facts of a command, with `--records`.
    facts: Vec<String>,
}

impl Line for FrameLine {
    const KIND: &'static str = "quorum log";
    const COLUMNS: &'static [(&'static str, usize)] = &[
        ("POSITION", 10),
        ("SEQUENCE", 8),
        ("RECORD", 10),
        ("TERM", 6),
        ("INDEX", 8),
        ("DETAIL", 0),
    ];

    fn cells(&self) -> Vec<String> {
        let mut detail = self.detail.clone();
        for fact in &self.facts {
            detail.push_str("; ");
            detail.push_str(fact);
        }
        vec![
            self.position.to_string(),
            self.sequence.to_string(),
            self.record.to_owned(),
            optional(self.term),
            optional(self.index),
            detail,
        ]
    }
}

pub(super) fn segment(bytes: &[u8], records: bool, sink: &mut Sink) -> Result<()> {
    for frame in inspect::segment(bytes) {
        let frame = frame?;
        let facts = match &frame.item {
            Item::Entry {
                payload: Payload::Command(bytes),
                ..
            } if records => facts(bytes)?,
            _ => Vec::new(),
        };
        let Shown {
            record,
            term,
            index,
            detail,
        } = describe(frame.item);
        sink.line(&FrameLine {
            position: frame.position,
            sequence: frame.sequence,
            record,
            term: term.map(|term| term.0),
            index: index.map(|index| index.0),
            detail,
            facts,
        })?;
    }
    Ok(())
}

#[derive(Default)]
struct Shown {
    record: &'static str,
    term: Option<Term>,
    index: Option<LogIndex>,
    detail: String,
}

fn describe(item: Item) -> Shown {
    let at = |record, index| Shown {
        record,
        index: Some(index),
        ..Shown::default()
    };
    match item {
        Item::Segment { number, .. } => Shown {
            record: "segment",
            detail: format!("number {number}"),
            ..Shown::default()
        },
        Item::Entry {
            term,
            index,
            payload,
        } => {
            let (record, detail) = match payload {
                Payload::Blank => ("blank", String::new()),
                Payload::Command(bytes) => ("command", format!("{} bytes", bytes.len())),
                Payload::Membership(members) => ("membership", members_text(&members)),
            };
            Shown {
                record,
                term: Some(term),
                index: Some(index),
                detail,
            }
        }
        Item::Vote {
            term,
            voted_for,
            is_committed,
        } => {
            let node =
                voted_for.map_or_else(|| "nobody".to_owned(), |node| format!("node {}", node.0));
            let state = if is_committed { ", committed" } else { "" };
            Shown {
                record: "vote",
                term: Some(term),
                detail: format!("for {node}{state}"),
                ..Shown::default()
            }
        }
        Item::Committed(index) => at("committed", index),
        Item::Truncate(index) => at("truncate", index),
        Item::Purge(index) => at("purge", index),
    }
}

fn members_text(membership: &Membership) -> String {
    let sets = membership.voters.iter().map(|set| {
        let nodes: Vec<_> = set.iter().map(|node| node.0.to_string()).collect();
        nodes.join(",")
    });
    let members = membership.members.iter();
    let members = members.map(|(node, member)| format!("{}@{}", node.0, member.address));
    format!(
        "voters {} of {}",
        sets.collect::<Vec<_>>().join(" and "),
        members.collect::<Vec<_>>().join(",")
    )
}

fn facts(command: &[u8]) -> Result<Vec<String>> {
    let entry = Entry::decode(command)?;
    Ok(entry
        .records
        .iter()
        .map(|record| format!("{record:?}"))
        .collect())
}

#[derive(Serialize)]
struct SnapshotLine {
    id: String,
    last_term: Option<u64>,
    last_index: Option<u64>,
    members: String,
    size: usize,
}

impl Line for SnapshotLine {
    const KIND: &'static str = "quorum snapshot";
    const COLUMNS: &'static [(&'static str, usize)] = &[
        ("ID", 24),
        ("TERM", 6),
        ("INDEX", 8),
        ("SIZE", 10),
        ("MEMBERS", 0),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            optional(self.last_term),
            optional(self.last_index),
            self.size.to_string(),
            self.members.clone(),
        ]
    }
}

#[derive(Serialize)]
struct FactLine {
    fact: String,
}

impl Line for FactLine {
    const KIND: &'static str = "metadata";
    const PREFIX: &'static str = "| ";
    const COLUMNS: &'static [(&'static str, usize)] = &[("FACT", 0)];

    fn cells(&self) -> Vec<String> {
        vec![self.fact.clone()]
    }
}

pub(super) fn snapshot(bytes: &[u8], records: bool, sink: &mut Sink) -> Result<()> {
    let snapshot = inspect::snapshot(bytes)?;
    sink.line(&SnapshotLine {
        id: snapshot.id.clone(),
        last_term: snapshot.last.map(|(term, _)| term.0),
        last_index: snapshot.last.map(|(_, index)| index.0),
        members: members_text(&snapshot.membership),
        size: snapshot.state.len(),
    })?;
    if records {
        let Ok(image) = image::decode(snapshot.state) else {
            bail!("the state is not a metadata image of this version");
        };
        for record in image.to_records() {
            let fact = format!("{record:?}");
            sink.line(&FactLine { fact })?;
        }
    }
    Ok(())
}

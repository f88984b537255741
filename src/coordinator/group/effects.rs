//! What a decision leads to, and what it may look at.

use std::fmt::{self, Write as _};

use ottla_storage::time::{MonoMillis, WallMillis};

use super::record::Record;
use super::request::{AskId, Response};
use crate::config::GroupConfig;
use crate::metadata::MetadataImage;

/// What a decision may look at besides the group.
#[derive(Clone, Copy, Debug)]
pub struct Cx<'a> {
    /// For sessions and deadlines.
    pub now: MonoMillis,
    /// For what is written.
    pub wall: WallMillis,
    /// What the cluster has agreed on.
    pub image: &'a MetadataImage,
    /// What the broker was told.
    pub settings: &'a GroupConfig,
}

/// What one event leads to. The records are in the memory of the group already; the answers leave when the records are
/// committed, and no answer overtakes an earlier record of its group.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be appended, in this order, together.
    pub records: Vec<Record>,
    /// To be answered, each once.
    pub answers: Vec<(AskId, Response)>,
    /// For the operator's log: why a group rebalances, and who is gone.
    pub notes: Vec<String>,
}

/// What a client says of its reasons, cut to what the operator's log can take.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a>(pub Option<&'a str>);

/// Kafka's clients say no more.
const SAID_CHARS_MAX: usize = 255;

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(said) = self.0.filter(|said| !said.is_empty()) else {
            return Ok(());
        };
        f.write_str(": ")?;
        let mut said = said.chars().take(SAID_CHARS_MAX);
        said.try_for_each(|c| f.write_char(c))
    }
}

impl Effects {
    /// Appends a record.
    pub fn write(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Tells the operator.
    pub fn note(&mut self, note: fmt::Arguments<'_>) {
        self.notes.push(note.to_string());
    }

    /// Answers a request.
    pub fn answer(&mut self, ask: AskId, response: Response) {
        self.answers.push((ask, response));
    }
}

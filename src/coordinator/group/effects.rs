//! What a decision leads to, and what it may look at.

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
}

impl Effects {
    /// Appends a record.
    pub fn write(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Answers a request.
    pub fn answer(&mut self, ask: AskId, response: Response) {
        self.answers.push((ask, response));
    }
}

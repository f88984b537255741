//! The log of the coordinator's partition: batches as the node writes them.

use std::sync::Arc;

use ottla::coordinator::batch;
use ottla::coordinator::group::record::{Fact, Record};
use ottla_storage::Offset;
use ottla_storage::batch::{BatchView, Record as RawRecord, RecordError};
use ottla_storage::time::WallMillis;

use crate::sim::check::Violation;

/// More than a batch of a history has.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A batch, and what was put into it.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Record>,
    /// Those of the records, as the log's cleaner sees them.
    pub(super) keys: Vec<Vec<u8>>,
    /// When it was decided.
    pub(super) at: WallMillis,
}

impl Batch {
    /// What is written is what is read.
    pub(super) fn new(records: Vec<Record>, at: WallMillis) -> Result<Self, Violation> {
        let broken = |error: String| Violation::new("log", error);
        let bytes = batch::encode(&records, at).map_err(|error| broken(format!("{error:?}")))?;
        let read = read(&bytes).map_err(broken)?;
        let written: Vec<Record> = records.into_iter().map(as_the_format_has_it).collect();
        if read != written {
            return Err(broken(format!("{written:?} is read as {read:?}")));
        }
        let records = read;
        let keys = keys(&bytes).map_err(broken)?;
        if keys.len() != records.len() {
            return Err(broken(format!("{records:?} have {} keys", keys.len())));
        }
        Ok(Self {
            bytes,
            records,
            keys,
            at,
        })
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let view = BatchView::parse(bytes).map_err(|error| format!("{error:?}"))?;
    let mut read = Vec::new();
    batch::replay(&view, &mut |record| read.push(record)).map_err(|error| format!("{error:?}"))?;
    Ok(read)
}

fn keys(bytes: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let view = BatchView::parse(bytes).map_err(|error| format!("{error:?}"))?;
    let records = view.records(BATCH_BYTES_MAX);
    let records = records.map_err(|error| format!("{error:?}"))?;
    let key = |record: Result<RawRecord<'_>, RecordError>| match record {
        Ok(record) => Ok(record.key.unwrap_or_default().to_vec()),
        Err(error) => Err(format!("{error:?}")),
    };
    records.iter().map(key).collect()
}

/// The version of Kafka's format that has the time when an offset expires has no topic id.
fn as_the_format_has_it(mut record: Record) -> Record {
    if let Fact::Offset(_, Some(value)) = &mut record.fact
        && value.expires_at.is_some()
    {
        value.topic = None;
    }
    record
}

/// Batches in their order, each with the offset after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Vec<(Arc<Batch>, Offset)>);

impl Log {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where the first `count` batches end.
    pub(super) fn end(&self, count: usize) -> Offset {
        let last = count.checked_sub(1).and_then(|last| self.0.get(last));
        last.map_or(Offset::ZERO, |(_, end)| *end)
    }

    pub(super) fn push(&mut self, batch: Arc<Batch>) -> Offset {
        let end = self.end(self.len());
        let end = end.saturating_add(batch.records.len() as u64);
        self.0.push((batch, end));
        end
    }

    pub(super) fn get(&self, position: usize) -> Option<&Arc<Batch>> {
        self.0.get(position).map(|(batch, _)| batch)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Batch>> {
        self.0.iter().map(|(batch, _)| batch)
    }

    /// The first `count` batches.
    pub(super) fn prefix(&self, count: usize) -> Self {
        Self(self.0.iter().take(count).cloned().collect())
    }
}

//! The small files of a data directory: producers, the journal, checkpoints, identities.

use anyhow::{Context, Result, bail};
use ottla_storage::journal::{DecodeError, Entry, Records, decode_header};
use ottla_storage::producer_state::ProducerStates;
use ottla_storage::time::WallMillis;
use ottla_storage::{
    LeaderEpoch, Offset, ProducerEpoch, Sequence, checkpoint, clean_shutdown as marker,
    meta_properties as identity, partition_metadata as topic_identity,
};
use serde::Serialize;

use super::sink::{Line, Sink};
use crate::cli::output::optional;
use crate::cli::value::rfc3339;

#[derive(Serialize)]
struct ProducerLine {
    producer_id: i64,
    epoch: Option<i16>,
    last_sequence: Option<i32>,
    last_offset: Option<i64>,
    last_timestamp: i64,
    coordinator_epoch: i32,
    txn_first_offset: Option<i64>,
}

impl Line for ProducerLine {
    const KIND: &'static str = "producers";
    const COLUMNS: &'static [(&'static str, usize)] = &[
        ("PRODUCER", 10),
        ("EPOCH", 5),
        ("SEQUENCE", 10),
        ("OFFSET", 12),
        ("TIMESTAMP", 24),
        ("COORDINATOR-EPOCH", 17),
        ("TXN-FIRST-OFFSET", 16),
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.producer_id.to_string(),
            optional(self.epoch),
            optional(self.last_sequence),
            optional(self.last_offset),
            rfc3339(self.last_timestamp),
            self.coordinator_epoch.to_string(),
            optional(self.txn_first_offset),
        ]
    }
}

pub(super) fn producers(end: Offset, bytes: &[u8], sink: &mut Sink) -> Result<()> {
    // At the beginning of time nobody has expired.
    let never = std::time::Duration::MAX;
    let states = ProducerStates::decode(bytes, end, WallMillis::ZERO, never)?;
    for (id, entry) in states.iter() {
        sink.line(&ProducerLine {
            producer_id: id.get(),
            epoch: entry.epoch().map(ProducerEpoch::get),
            last_sequence: entry.last_sequence().map(Sequence::get),
            last_offset: entry.last_batch().map(|batch| batch.last_offset.get()),
            last_timestamp: entry.last_timestamp().as_millis(),
            coordinator_epoch: entry.coordinator_epoch(),
            txn_first_offset: entry.txn_first_offset().map(Offset::get),
        })?;
    }
    Ok(())
}

#[derive(Serialize)]
struct JournalLine {
    topic: Option<String>,
    topic_id: String,
    partition: u32,
    removed: bool,
    log_start: Option<i64>,
    recovery_point: Option<i64>,
    high_watermark: Option<i64>,
    log_end: Option<i64>,
    last_epoch: Option<i32>,
    active_base: Option<i64>,
    active_size: Option<u64>,
    dirty: Option<bool>,
}

impl Line for JournalLine {
    const KIND: &'static str = "partition journal";
    const COLUMNS: &'static [(&'static str, usize)] = &[
        ("TOPIC", 16),
        ("PARTITION", 9),
        ("STATE", 7),
        ("START", 10),
        ("RECOVERY", 10),
        ("HIGH", 10),
        ("END", 10),
        ("EPOCH", 5),
        ("ACTIVE", 10),
        ("SIZE", 10),
        ("TOPIC-ID", 22),
    ];

    fn cells(&self) -> Vec<String> {
        let state = match (self.removed, self.dirty) {
            (true, _) => "removed",
            (false, Some(true)) => "dirty",
            _ => "clean",
        };
        vec![
            optional(self.topic.as_ref()),
            self.partition.to_string(),
            state.to_owned(),
            optional(self.log_start),
            optional(self.recovery_point),
            optional(self.high_watermark),
            optional(self.log_end),
            optional(self.last_epoch),
            optional(self.active_base),
            optional(self.active_size),
            self.topic_id.clone(),
        ]
    }
}

impl From<Entry> for JournalLine {
    fn from(entry: Entry) -> Self {
        let (Entry::Put(key, _) | Entry::Removed(key)) = &entry;
        let (topic_id, partition) = (key.log.to_string(), key.partition);
        let state = match entry {
            Entry::Put(_, state) => Some(state),
            Entry::Removed(_) => None,
        };
        let state = state.as_ref();
        Self {
            topic: state.map(|state| state.topic.to_string()),
            topic_id,
            partition,
            removed: state.is_none(),
            log_start: state.map(|state| state.log_start.get()),
            recovery_point: state.map(|state| state.recovery_point.get()),
            high_watermark: state.map(|state| state.high_watermark.get()),
            log_end: state.map(|state| state.log_end.get()),
            last_epoch: state
                .and_then(|state| state.last_epoch)
                .map(LeaderEpoch::get),
            active_base: state.map(|state| state.active_base.get()),
            active_size: state.map(|state| state.active_size),
            dirty: state.map(|state| state.is_dirty),
        }
    }
}

/// Every record in the order written: the last one of a log counts.
pub(super) fn journal(bytes: &[u8], sink: &mut Sink) -> Result<()> {
    let body = match decode_header(bytes) {
        Ok(body) => body,
        Err(DecodeError::NotAJournal) => bail!("this is not a partition journal"),
        Err(DecodeError::Newer { found, known }) => {
            bail!("format {found} is newer than this program, which reads up to {known}")
        }
    };
    let mut records = Records::new(body);
    for entry in records.by_ref() {
        sink.line(&JournalLine::from(entry))?;
    }
    let end = usize::try_from(records.position())?;
    match body.get(end..) {
        None | Some([]) => Ok(()),
        Some(rest) => bail!(
            "{} bytes after the last whole record are a torn tail",
            rest.len()
        ),
    }
}

#[derive(Serialize)]
struct EpochLine {
    epoch: i32,
    start_offset: i64,
}

impl Line for EpochLine {
    const KIND: &'static str = "leader epochs";
    const COLUMNS: &'static [(&'static str, usize)] = &[("EPOCH", 6), ("START-OFFSET", 12)];

    fn cells(&self) -> Vec<String> {
        vec![self.epoch.to_string(), self.start_offset.to_string()]
    }
}

pub(super) fn epochs(bytes: &[u8], sink: &mut Sink) -> Result<()> {
    for entry in checkpoint::decode_epochs(bytes)?.entries() {
        sink.line(&EpochLine {
            epoch: entry.epoch.get(),
            start_offset: entry.start.get(),
        })?;
    }
    Ok(())
}

#[derive(Serialize)]
struct CheckpointLine {
    topic: String,
    partition: u32,
    offset: i64,
}

impl Line for CheckpointLine {
    const KIND: &'static str = "offsets";
    const COLUMNS: &'static [(&'static str, usize)] =
        &[("TOPIC", 24), ("PARTITION", 9), ("OFFSET", 12)];

    fn cells(&self) -> Vec<String> {
        vec![
            self.topic.clone(),
            self.partition.to_string(),
            self.offset.to_string(),
        ]
    }
}

pub(super) fn offsets(bytes: &[u8], sink: &mut Sink) -> Result<()> {
    for (name, offset) in checkpoint::decode_offsets(bytes)? {
        sink.line(&CheckpointLine {
            topic: name.topic,
            partition: name.partition,
            offset: offset.get(),
        })?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PropertyLine {
    key: String,
    value: String,
}

impl Line for PropertyLine {
    const KIND: &'static str = "properties";
    const COLUMNS: &'static [(&'static str, usize)] = &[("KEY", 16), ("VALUE", 0)];

    fn cells(&self) -> Vec<String> {
        vec![self.key.clone(), self.value.clone()]
    }
}

fn property(sink: &mut Sink, key: &str, value: Option<String>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    sink.line(&PropertyLine {
        key: key.to_owned(),
        value,
    })
}

pub(super) fn meta_properties(bytes: &[u8], sink: &mut Sink) -> Result<()> {
    let meta = identity::MetaProperties::decode(bytes)?;
    property(sink, "cluster.id", meta.cluster_id)?;
    property(sink, "node.id", meta.node_id.map(|id| id.to_string()))?;
    property(
        sink,
        "directory.id",
        meta.directory_id.map(|id| id.to_string()),
    )?;
    for (key, value) in meta.other {
        property(sink, &key, Some(value))?;
    }
    Ok(())
}

pub(super) fn partition_metadata(bytes: &[u8], sink: &mut Sink) -> Result<()> {
    let id = topic_identity::decode(bytes)?;
    property(sink, "topic_id", Some(id.to_string()))
}

pub(super) fn clean_shutdown(bytes: &[u8], sink: &mut Sink) -> Result<()> {
    let epoch = marker::decode(bytes).context("this is not a marker of a clean stop")?;
    property(sink, "brokerEpoch", Some(epoch.to_string()))
}

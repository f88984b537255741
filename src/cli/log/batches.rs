//! A partition's segment: its batches, and with `--records` what is in them.

use std::io::Read;

use anyhow::{Context, Result, bail};
use ottla_storage::batch::{BatchHeader, BatchView, HEADER_SIZE, TimestampType};
use ottla_storage::{LeaderEpoch, ProducerEpoch, ProducerId, Sequence};
use serde::Serialize;

use super::sink::{Line, Sink};
use crate::cli::output::optional;
use crate::cli::value::rfc3339;

/// What one batch may decompress to.
const RECORDS_SIZE_MAX: usize = 256 * 1024 * 1024;

#[derive(Serialize)]
struct BatchLine {
    position: u64,
    base_offset: i64,
    last_offset: i64,
    records: i32,
    size: usize,
    codec: String,
    max_timestamp: i64,
    timestamp_type: &'static str,
    leader_epoch: i32,
    producer_id: Option<i64>,
    producer_epoch: Option<i16>,
    base_sequence: Option<i32>,
    transactional: bool,
    control: bool,
    crc: u32,
    crc_valid: bool,
}

impl BatchLine {
    fn of(position: u64, batch: &BatchView<'_>) -> Self {
        let header = batch.header();
        let attributes = header.attributes();
        let codec = attributes.compression();
        Self {
            position,
            base_offset: header.base_offset().get(),
            last_offset: header.last_offset().get(),
            records: header.record_count(),
            size: header.size(),
            codec: codec.map_or_else(
                |unknown| unknown.id.to_string(),
                |codec| format!("{codec:?}").to_ascii_lowercase(),
            ),
            max_timestamp: header.max_timestamp().as_millis(),
            timestamp_type: match attributes.timestamp_type() {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            },
            leader_epoch: LeaderEpoch::to_wire(header.leader_epoch()),
            producer_id: header.producer_id().map(ProducerId::get),
            producer_epoch: header.producer_epoch().map(ProducerEpoch::get),
            base_sequence: header.base_sequence().map(Sequence::get),
            transactional: attributes.is_transactional(),
            control: attributes.is_control(),
            crc: header.crc(),
            crc_valid: batch.is_crc_valid(),
        }
    }
}

impl Line for BatchLine {
    const KIND: &'static str = "batches";
    const COLUMNS: &'static [(&'static str, usize)] = &[
        ("POSITION", 10),
        ("BASE", 10),
        ("LAST", 10),
        ("RECORDS", 7),
        ("SIZE", 8),
        ("CODEC", 6),
        ("MAX-TIMESTAMP", 24),
        ("EPOCH", 5),
        ("PRODUCER", 8),
        ("SEQUENCE", 8),
        ("FLAGS", 5),
        ("CRC", 8),
    ];

    fn cells(&self) -> Vec<String> {
        let mut flags = Vec::new();
        if self.transactional {
            flags.push("txn");
        }
        if self.control {
            flags.push("control");
        }
        if self.timestamp_type == "LogAppendTime" {
            flags.push("append-time");
        }
        let producer = self.producer_id.zip(self.producer_epoch);
        vec![
            self.position.to_string(),
            self.base_offset.to_string(),
            self.last_offset.to_string(),
            self.records.to_string(),
            self.size.to_string(),
            self.codec.clone(),
            rfc3339(self.max_timestamp),
            self.leader_epoch.to_string(),
            optional(producer.map(|(id, epoch)| format!("{id}/{epoch}"))),
            optional(self.base_sequence),
            flags.join(","),
            if self.crc_valid {
                format!("{:08x}", self.crc)
            } else {
                "BAD".to_owned()
            },
        ]
    }
}

#[derive(Serialize)]
struct RecordLine {
    offset: i64,
    timestamp: i64,
    /// Bytes beyond printable ASCII are escaped.
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, Option<String>)>,
}

impl Line for RecordLine {
    const KIND: &'static str = "records";
    const PREFIX: &'static str = "| ";
    const COLUMNS: &'static [(&'static str, usize)] = &[
        ("OFFSET", 10),
        ("TIMESTAMP", 24),
        ("KEY", 12),
        ("HEADERS", 7),
        ("VALUE", 0),
    ];

    fn cells(&self) -> Vec<String> {
        let shown = |value: &Option<String>| match value {
            Some(text) => format!("\"{text}\""),
            None => "null".to_owned(),
        };
        let headers = self.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| format!("{name}={}", shown(value)))
            .collect();
        vec![
            self.offset.to_string(),
            rfc3339(self.timestamp),
            shown(&self.key),
            headers.join(","),
            shown(&self.value),
        ]
    }
}

/// Reads batch after batch; `start` was read from the file already.
pub(super) fn dump(
    start: &[u8],
    file: impl Read,
    size: u64,
    records: bool,
    sink: &mut Sink,
) -> Result<()> {
    let mut input = std::io::BufReader::new(start.chain(file));
    let mut position = 0;
    let mut batch = Vec::new();
    while position < size {
        batch.clear();
        let left = size - position;
        read_up_to(&mut input, &mut batch, HEADER_SIZE)?;
        let at = || format!("no batch at position {position}");
        let header = BatchHeader::decode(&batch).with_context(at)?;
        let batch_size = u64::try_from(header.size())?;
        if batch_size > left {
            bail!("the batch at position {position} is cut: {left} of {batch_size} bytes");
        }
        read_up_to(&mut input, &mut batch, header.size() - HEADER_SIZE)?;
        let view = BatchView::parse(&batch).with_context(at)?;
        sink.line(&BatchLine::of(position, &view))?;
        if records {
            dump_records(&view, sink)?;
        }
        position += batch_size;
    }
    Ok(())
}

fn read_up_to(input: &mut impl Read, batch: &mut Vec<u8>, count: usize) -> Result<()> {
    input.take(u64::try_from(count)?).read_to_end(batch)?;
    Ok(())
}

fn dump_records(batch: &BatchView<'_>, sink: &mut Sink) -> Result<()> {
    let base = batch.header().base_offset();
    let set = batch.records(RECORDS_SIZE_MAX);
    let set = set.with_context(|| format!("batch at offset {base}"))?;
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    for record in &set {
        let record = record.with_context(|| format!("batch at offset {base}"))?;
        let headers = record.headers.into_iter();
        sink.line(&RecordLine {
            offset: record.offset.get(),
            timestamp: record.timestamp.as_millis(),
            key: record.key.map(text),
            value: record.value.map(text),
            headers: headers
                .map(|one| (text(one.key), one.value.map(text)))
                .collect(),
        })?;
    }
    Ok(())
}

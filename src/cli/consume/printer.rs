//! Prints records, up to a limit.

use std::io::Write;

use anyhow::Result;

use super::fetch::Wanted;
use super::format::{RecordFormat, Shown};
use super::json::write_json;
use super::records::{for_each_record, next_position};
use crate::cli::output::{Stdout, classify};
use crate::wire::messages::fetch::PartitionData;
use crate::wire::records::Records;

pub(super) struct Printer {
    out: Stdout,
    style: Style,
    left: Option<u64>,
}

pub(super) enum Style {
    Format(RecordFormat),
    Json,
}

impl Printer {
    pub(super) fn new(style: Style, limit: Option<u64>) -> Self {
        Self {
            out: Stdout::lock(),
            style,
            left: limit,
        }
    }

    /// As many records as were asked for have been printed.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Moves `next` to the first offset that is not printed, also where this ends in an error.
    pub(super) fn print(
        &mut self,
        wanted: &Wanted,
        data: &PartitionData<'_>,
        next: &mut i64,
    ) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let aborted = data.aborted_transactions.iter().flatten();
        let aborted = aborted
            .map(|one| (one.first_offset, one.producer_id))
            .collect();
        let from = (bytes_of(data), wanted.position);
        let mut is_cut = false;
        for_each_record(&wanted.topic, wanted.partition, from, aborted, |record| {
            is_cut = wanted.until.is_some_and(|until| record.offset >= until);
            if !is_cut {
                self.record(record)?;
                *next = record.offset + 1;
                is_cut = self.is_full();
            }
            Ok(!is_cut)
        })?;
        if !is_cut {
            // Behind the last record there may be offsets without one.
            *next = next_position(bytes_of(data), wanted.position);
        }
        Ok(())
    }

    fn record(&mut self, record: &Shown<'_>) -> Result<()> {
        match &self.style {
            Style::Format(format) => format.write(record, &mut self.out),
            Style::Json => write_json(record, &mut self.out),
        }
        .map_err(classify)?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(classify)
    }
}

pub(super) fn bytes_of<'r>(data: &'r PartitionData<'_>) -> &'r [u8] {
    let records = data.records.as_ref();
    records.and_then(Records::as_slice).unwrap_or_default()
}

//! What became of the records: the report of `ottla produce`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::cli::output::{Report, Table, optional};

#[derive(Debug, Serialize)]
pub(super) struct Summary {
    topic: String,
    /// Records read from the input.
    records: usize,
    /// With `acks=0`: handed to the network.
    acknowledged: usize,
    partitions: Vec<PartitionSummary>,
    #[serde(skip)]
    by_partition: BTreeMap<i32, PartitionSummary>,
    /// Why records were refused, the first reason.
    refusal: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct PartitionSummary {
    partition: i32,
    records: usize,
    /// None where the broker names no offsets: with `acks=0`, and for what it had already.
    first_offset: Option<i64>,
    last_offset: Option<i64>,
}

/// One acknowledged batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) partition: i32,
    pub(super) records: usize,
    pub(super) base_offset: Option<i64>,
}

impl Summary {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            records: 0,
            acknowledged: 0,
            partitions: Vec::new(),
            by_partition: BTreeMap::new(),
            refusal: None,
        }
    }

    pub(super) fn read(&mut self) {
        self.records += 1;
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) {
        self.acknowledged += delivery.records;
        let partition = self.by_partition.entry(delivery.partition);
        let partition = partition.or_insert_with(|| PartitionSummary {
            partition: delivery.partition,
            records: 0,
            first_offset: None,
            last_offset: None,
        });
        partition.records += delivery.records;
        if let Some(base) = delivery.base_offset {
            let count = i64::try_from(delivery.records).unwrap_or(i64::MAX);
            let last = base.saturating_add(count).saturating_sub(1);
            partition.first_offset = Some(partition.first_offset.map_or(base, |o| o.min(base)));
            partition.last_offset = Some(partition.last_offset.map_or(last, |o| o.max(last)));
        }
    }

    pub(super) fn refused(&mut self, records: usize, reason: &str) {
        self.refusal
            .get_or_insert_with(|| format!("{records} in one batch: {reason}"));
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.records.saturating_sub(self.acknowledged)
    }

    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn read_count(&self) -> usize {
        self.records
    }

    /// The report as it is printed.
    pub(super) fn finish(mut self) -> Self {
        self.partitions = self.by_partition.values().cloned().collect();
        self
    }
}

impl Report for Summary {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "TOPIC",
            "PARTITION",
            "RECORDS",
            "FIRST-OFFSET",
            "LAST-OFFSET",
        ]);
        for one in &self.partitions {
            table.row([
                &self.topic,
                &one.partition,
                &one.records,
                &optional(one.first_offset),
                &optional(one.last_offset),
            ]);
        }
        table.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_span_all_batches_of_a_partition() {
        let mut summary = Summary::new("t");
        for _ in 0..6 {
            summary.read();
        }
        for (records, base_offset) in [(2, Some(10)), (1, None), (2, Some(20))] {
            summary.delivered(Delivery {
                partition: 0,
                records,
                base_offset,
            });
        }
        assert_eq!(summary.unacknowledged(), 1);
        let mut out = Vec::new();
        summary.finish().write_table(&mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "TOPIC  PARTITION  RECORDS  FIRST-OFFSET  LAST-OFFSET\n\
             t      0          5        10            21\n"
        );
    }
}

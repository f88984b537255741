//! The records of one partition in a fetch answer.
//!
//! - Every batch's checksum is verified before its records are looked at.
//! - Markers are never shown; with `read_committed`, neither are records of aborted transactions.
//! - The next position follows the batches, not the records: compaction leaves gaps.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use ottla_storage::batch::{BatchView, Batches, EndTxnMarker, Record, TimestampType};

use super::format::Shown;

/// What one batch may decompress to.
const BATCH_SIZE_MAX: usize = 256 * 1024 * 1024;

/// Whose transactions were aborted, and from which offset on: sorted by offset.
pub(super) type Aborted = Vec<(i64, i64)>;

/// Where to go on after `records`; `position` if they hold no whole batch.
pub(super) fn next_position(records: &[u8], position: i64) -> i64 {
    let whole = Batches::new(records).map_while(Result::ok);
    let ends = whole.map(|batch| batch.header().next_offset().get());
    ends.fold(position, i64::max)
}

/// Hands over the records from `position` on; stops early when `each` says so.
pub(super) fn for_each_record(
    topic: &str,
    partition: i32,
    (records, position): (&[u8], i64),
    mut aborted: Aborted,
    mut each: impl FnMut(&Shown<'_>) -> Result<bool>,
) -> Result<()> {
    aborted.sort_unstable_by_key(|(first_offset, _)| std::cmp::Reverse(*first_offset));
    let mut aborting = BTreeSet::new();
    for batch in Batches::new(records) {
        let batch = match batch {
            Ok(batch) => batch,
            // A broker may cut the last batch: the next fetch brings it.
            Err(error) if error.is_truncation() => return Ok(()),
            Err(error) => return Err(error).context(format!("batch of {topic}-{partition}")),
        };
        let header = batch.header();
        let (base, next) = (header.base_offset().get(), header.next_offset().get());
        while let Some((_, producer)) = aborted.pop_if(|(first_offset, _)| *first_offset < next) {
            aborting.insert(producer);
        }
        let producer = header.producer_id().map(ottla_storage::ProducerId::get);
        if header.attributes().is_control() {
            if is_abort(&batch)?
                && let Some(producer) = producer
            {
                aborting.remove(&producer);
            }
            continue;
        }
        let is_aborted = header.attributes().is_transactional()
            && producer.is_some_and(|producer| aborting.contains(&producer));
        if is_aborted || next <= position {
            continue;
        }
        if !batch.is_crc_valid() {
            bail!("the batch at offset {base} of {topic}-{partition} is damaged: wrong checksum");
        }
        let set = batch.records(BATCH_SIZE_MAX);
        let set = set.with_context(|| format!("batch at offset {base} of {topic}-{partition}"))?;
        for record in &set {
            let record =
                record.with_context(|| format!("batch at offset {base} of {topic}-{partition}"))?;
            if record.offset.get() >= position && !each(&shown(topic, partition, &batch, &record))?
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn is_abort(batch: &BatchView<'_>) -> Result<bool> {
    let set = batch.records(BATCH_SIZE_MAX)?;
    let Some(record) = set.iter().next() else {
        return Ok(false);
    };
    let record = record?;
    let marker = EndTxnMarker::decode(record.key, record.value);
    Ok(marker.is_some_and(|marker| !marker.is_commit))
}

fn shown<'a>(
    topic: &'a str,
    partition: i32,
    batch: &BatchView<'_>,
    record: &Record<'a>,
) -> Shown<'a> {
    let header = batch.header();
    let headers = record.headers.into_iter();
    Shown {
        topic,
        partition,
        offset: record.offset.get(),
        leader_epoch: ottla_storage::LeaderEpoch::to_wire(header.leader_epoch()),
        timestamp_ms: record.timestamp.as_millis(),
        is_log_append_time: header.attributes().timestamp_type() == TimestampType::LogAppendTime,
        key: record.key,
        value: record.value,
        headers: headers.map(|header| (header.key, header.value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use ottla_storage::batch::{BatchBuilder, NewRecord, ProducerStamp};
    use ottla_storage::time::WallMillis;
    use ottla_storage::{Offset, ProducerEpoch, ProducerId};

    use super::*;

    fn batch(base: i64, producer: Option<i64>, values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(Offset::from_wire(base).unwrap());
        if let Some(id) = producer {
            builder = builder.producer(stamp(id)).transactional(true);
        }
        for value in values {
            let record = NewRecord {
                value: Some(value.as_bytes()),
                ..NewRecord::default()
            };
            builder.append(&record).unwrap();
        }
        builder.build().unwrap()
    }

    fn stamp(id: i64) -> ProducerStamp {
        ProducerStamp {
            id: ProducerId::from_wire(id).unwrap(),
            epoch: ProducerEpoch::ZERO,
            base_sequence: None,
        }
    }

    fn marker(base: i64, producer: i64, is_commit: bool) -> Vec<u8> {
        let marker = EndTxnMarker {
            is_commit,
            coordinator_epoch: 0,
        };
        let builder = BatchBuilder::end_txn(stamp(producer), marker, WallMillis::ZERO).unwrap();
        builder
            .base_offset(Offset::from_wire(base).unwrap())
            .build()
            .unwrap()
    }

    fn values(records: &[u8], position: i64, aborted: Aborted) -> Vec<String> {
        let mut values = Vec::new();
        for_each_record("t", 0, (records, position), aborted, |record| {
            values.push(String::from_utf8_lossy(record.value.unwrap()).into_owned());
            Ok(true)
        })
        .unwrap();
        values
    }

    #[test]
    fn records_before_the_position_are_left_out() {
        let records = [batch(10, None, &["a", "b"]), batch(12, None, &["c"])].concat();
        assert_eq!(values(&records, 11, Vec::new()), ["b", "c"]);
        assert_eq!(next_position(&records, 11), 13);
    }

    #[test]
    fn a_cut_batch_waits_for_the_next_fetch() {
        let mut records = [batch(0, None, &["a"]), batch(1, None, &["b"])].concat();
        records.pop();
        assert_eq!(values(&records, 0, Vec::new()), ["a"]);
        assert_eq!(next_position(&records, 0), 1);
        assert_eq!(next_position(&[], 7), 7);
    }

    #[test]
    fn aborted_transactions_are_left_out_until_their_marker() {
        let records = [
            batch(0, Some(1), &["aborted"]),
            batch(1, Some(2), &["committed"]),
            marker(2, 1, false),
            batch(3, Some(1), &["later"]),
            marker(4, 1, true),
            batch(5, None, &["plain"]),
        ]
        .concat();
        assert_eq!(
            values(&records, 0, vec![(0, 1)]),
            ["committed", "later", "plain"]
        );
        assert_eq!(
            values(&records, 0, Vec::new()),
            ["aborted", "committed", "later", "plain"]
        );
        assert_eq!(next_position(&records, 0), 6);
    }

    #[test]
    fn a_damaged_batch_is_an_error_not_a_record() {
        let mut records = batch(0, None, &["a"]);
        *records.last_mut().unwrap() ^= 1;
        let read = for_each_record("t", 0, (&records, 0), Vec::new(), |_| Ok(true));
        assert!(read.unwrap_err().to_string().contains("wrong checksum"));
    }
}

//! What becomes of transactions: aborted data goes, committed data is data, and what is undecided stays.

use std::time::Duration;

use ottla_storage::batch::{BatchBuilder, BatchHeader, EndTxnMarker, ProducerStamp};
use ottla_storage::compact::CleanError;
use ottla_storage::log::PartitionLog;
use ottla_storage::time::WallMillis;
use ottla_storage::{ProducerEpoch, ProducerId, Sequence};

use crate::support::*;

use super::support::*;

fn txn_batch(id: i64, sequence: i32, records: &[Keyed<'_>]) -> Vec<u8> {
    let stamp = ProducerStamp {
        id: ProducerId::from_wire(id).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: Sequence::from_wire(sequence),
    };
    keyed(
        BatchBuilder::new().producer(stamp).transactional(true),
        records,
        1_000_000,
    )
}

fn end_txn(log: &mut PartitionLog, id: i64, is_commit: bool) {
    let stamp = ProducerStamp {
        id: ProducerId::from_wire(id).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: None,
    };
    let marker = EndTxnMarker {
        is_commit,
        coordinator_epoch: 0,
    };
    let at = log.log_end();
    let bytes = BatchBuilder::end_txn(stamp, marker, WallMillis::from_millis(1_000_000)).unwrap();
    let bytes = bytes
        .base_offset(at)
        .leader_epoch(epoch(1))
        .build()
        .unwrap();
    log.append_as_follower(&bytes, arrival().now).unwrap();
}

fn markers(log: &PartitionLog) -> Vec<(i64, i64, bool)> {
    let control = batches(log)
        .into_iter()
        .filter(|(h, _)| h.attributes().is_control());
    let of = |(h, _): (BatchHeader, Vec<u8>)| {
        (
            h.producer_id().unwrap().get(),
            h.base_offset().get(),
            h.delete_horizon().is_some(),
        )
    };
    control.map(of).collect()
}

/// Gotcha 30, and the order in which a transaction goes: its aborted data, then its marker, then nothing is left.
#[test]
fn aborted_data_goes_at_once_and_markers_when_nothing_is_left() {
    let (_disk, bench, mut log) = open(&config());
    put(
        &mut log,
        &[("a", Some("committed before")), ("b", Some("b"))],
    );
    append(
        &mut log,
        epoch(1),
        txn_batch(1, 0, &[("a", Some("aborted"))]),
    )
    .unwrap();
    append(
        &mut log,
        epoch(1),
        txn_batch(2, 0, &[("t", Some("in a transaction"))]),
    )
    .unwrap();
    append(
        &mut log,
        epoch(1),
        txn_batch(1, 1, &[("b", Some("aborted too"))]),
    )
    .unwrap();
    end_txn(&mut log, 1, false);
    end_txn(&mut log, 2, true);
    // One whose end lies behind the cleaned part.
    append(
        &mut log,
        epoch(1),
        txn_batch(3, 0, &[("a", Some("aborted later"))]),
    )
    .unwrap();
    fill(&mut log);
    end_txn(&mut log, 3, false);
    // And an open one.
    append(&mut log, epoch(1), txn_batch(4, 0, &[("a", Some("open"))])).unwrap();
    fill(&mut log);
    settle(&mut log, &bench);
    let opened = log.producers().first_open_transaction().unwrap();
    let report = clean(&mut log, &bench);
    assert!(
        report.first_dirty <= opened,
        "never past the last stable offset"
    );
    let found = records(&log);
    let values = |found: &[Found], key: &str| -> Vec<String> {
        let of = |found: &&Found| found.key.as_deref() == Some(key) && found.offset < opened.get();
        found
            .iter()
            .filter(of)
            .map(|found| found.value.clone().unwrap())
            .collect()
    };
    assert_eq!(values(&found, "a"), ["committed before"]);
    assert_eq!(values(&found, "b"), ["b"]);
    assert_eq!(values(&found, "t"), ["in a transaction"]);
    // Data was met in this round, so that markers stay. Each producer's last batch is its marker or its data.
    assert_eq!(
        markers(&log)
            .iter()
            .filter(|(_, at, _)| *at < opened.get())
            .count(),
        3
    );
    assert!(markers(&log).iter().all(|(_, _, has_horizon)| !has_horizon));

    // The next round meets no data of 1, but an empty batch: that one is its producer's last. Nobody remembers it now.
    end_txn(&mut log, 4, true);
    bench.clock.advance(Duration::from_hours(48));
    log.expire_producers(WallMillis::from_millis(1_000_000 + 48 * 3_600_000));
    assert!(log.producers().is_empty());
    let mut seen = Vec::new();
    for _ in 0..4 {
        fill(&mut log);
        settle(&mut log, &bench);
        clean(&mut log, &bench);
        bench.clock.advance(DELETE_RETENTION);
        let of_1: Vec<_> = markers(&log)
            .into_iter()
            .filter(|(id, ..)| *id == 1)
            .collect();
        seen.push(of_1.first().map(|(_, _, has_horizon)| *has_horizon));
    }
    assert_eq!(
        seen.last(),
        Some(&None),
        "the aborted marker goes: {seen:?}"
    );
    assert!(seen.contains(&Some(true)), "after a horizon: {seen:?}");
    assert!(
        markers(&log).iter().any(|(id, ..)| *id == 2),
        "that of data which stays stays"
    );
    assert_eq!(values(&records(&log), "t"), ["in a transaction"]);
}

/// The walk that maps keys went past an aborted transaction's marker without noticing: whatever its producer wrote after it
/// counted as aborted there, and superseded nothing.
#[test]
fn a_producer_that_aborted_goes_on_with_its_next_transaction() {
    let (_disk, bench, mut log) = open(&config());
    // The first batch of an epoch stays, so the second round meets this transaction, too: below where it begins to map.
    append(
        &mut log,
        epoch(1),
        txn_batch(1, 0, &[("x", Some("aborted"))]),
    )
    .unwrap();
    end_txn(&mut log, 1, false);
    put(&mut log, &[("a", Some("first"))]);
    for round in 1..3 {
        append(
            &mut log,
            epoch(1),
            txn_batch(1, round, &[("a", Some("committed"))]),
        )
        .unwrap();
        let at = log.log_end().get() - 1;
        end_txn(&mut log, 1, true);
        fill(&mut log);
        settle(&mut log, &bench);
        clean(&mut log, &bench);
        assert_eq!(offsets_of(&records(&log), "a"), [at], "round {round}");
    }
}

/// A marker above the high watermark may be cut off, or not be the end that a new leader writes. A transaction whose marker
/// the round must not look at counted as committed, and what it overwrote was gone although it was aborted.
#[test]
fn a_transaction_that_is_not_decided_ends_the_round() {
    let (_disk, bench, mut log) = open(&config());
    put(&mut log, &[("b", Some("old"))]);
    put(&mut log, &[("b", Some("new")), ("a", Some("committed"))]);
    let began = log.log_end();
    append(
        &mut log,
        epoch(1),
        txn_batch(1, 0, &[("a", Some("aborted"))]),
    )
    .unwrap();
    fill(&mut log);
    fill(&mut log);
    let marker = log.log_end();
    end_txn(&mut log, 1, false);
    log.request_flush();
    bench.dir.run_pending();
    bench.settle();
    log.note_high_watermark(marker);
    let report = clean(&mut log, &bench);
    assert_eq!(report.first_dirty, began);
    assert_eq!(offsets_of(&records(&log), "a"), [2, 3]);
    assert_eq!(offsets_of(&records(&log), "b"), [1]);
    // There is nothing that another round could do before the end is known.
    let refused = clean_with(&mut log, &bench, &tools(), |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, CleanError::Aborted), "{refused}");
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    assert_eq!(offsets_of(&records(&log), "a"), [2]);
}

//! The cleaner: which records stay, who may read meanwhile, and what a crash leaves at any step.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::batch::{
    BatchBuilder, BatchView, Compression, CompressionLevels, ProducerStamp,
};
use ottla_storage::compact::{CleanError, CleanTools};
use ottla_storage::fs::{Fs, OpenMode, StdFs};
use ottla_storage::log::{
    CompactionConfig, FlushConfig, LogConfig, PartitionLog, RetentionConfig, SegmentConfig,
    TruncateError,
};
use ottla_storage::time::WallMillis;
use ottla_storage::{Clock, FileRange, LogReader, Offset, ProducerEpoch, ProducerId, Sequence};

mod checkpoint;
mod cleaner;
mod crash;
mod support;
mod transactions;

use support::*;

use crate::support::*;

#[test]
fn the_latest_record_of_each_key_stays_at_its_offset() {
    let (_disk, bench, mut log) = open(&config());
    for round in 0..20 {
        let value = format!("value {round}");
        put(
            &mut log,
            &[
                ("a", Some(&value)),
                ("b", Some(&value)),
                ("c", Some(&value)),
            ],
        );
    }
    put(&mut log, &[("once", Some("only"))]);
    fill(&mut log);
    settle(&mut log, &bench);
    let (before, end) = (records(&log), log.log_end());
    let segments = segment_bases(&bench).len();
    let report = clean(&mut log, &bench);
    let after = records(&log);
    assert_eq!(latest(&after), latest(&before));
    for key in ["a", "b", "c", "once"] {
        assert_eq!(offsets_of(&after, key).len(), 1, "{key}");
    }
    assert_eq!(log.log_end(), end);
    assert_eq!(report.first_dirty, log.view().active_base());
    assert!(report.bytes_after < report.bytes_before / 2, "{report:?}");
    let dropped = u64::try_from(before.len() - after.len()).unwrap();
    assert_eq!(report.records_dropped, dropped);
    let odd = |name: &String| {
        [".swap", ".cleaned", ".tmp"]
            .iter()
            .any(|s| name.ends_with(s))
    };
    assert!(!bench.files().iter().any(odd));
    // Every offset is answered with the next batch, whatever is left of its own.
    let view = log.view();
    for at in 0..end.get() {
        let range = view
            .read(Offset::from_wire(at).unwrap(), limits(1))
            .unwrap();
        let bytes = range.read_to_vec().unwrap();
        assert!(
            BatchView::parse(&bytes)
                .unwrap()
                .header()
                .last_offset()
                .get()
                >= at
        );
    }
    // A second round has nothing to do until there is something new, and then makes one of the small segments.
    assert!(!compacted(&bench, key(0)).is_due(&compacted(&bench, key(0)).dirtiness().unwrap()));
    fill(&mut log);
    settle(&mut log, &bench);
    let report = clean(&mut log, &bench);
    assert!(report.segments_after < report.segments_before, "{report:?}");
    assert!(segment_bases(&bench).len() < segments);
    assert_eq!(latest(&records(&log)).len(), 5);
    bench.clock.advance(Duration::from_secs(61));
    bench.dir.run_pending();
    assert!(!bench.files().iter().any(|name| name.ends_with(".deleted")));
}

#[test]
fn a_record_without_a_key_goes() {
    let (_disk, bench, mut log) = open(&config());
    append_values(&mut log, epoch(1), &["nobody", "looks", "for", "these"]);
    put(&mut log, &[("a", Some("1"))]);
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    assert!(records(&log).iter().all(|found| found.key.is_some()));
    assert_eq!(offsets_of(&records(&log), "a"), [4]);
}

/// KIP-534: the first round to meet a tombstone writes into its batch until when it stays, and a later one takes it.
#[test]
fn gotcha_28_a_tombstone_stays_for_its_time_and_no_longer() {
    let (_disk, bench, mut log) = open(&config());
    put(
        &mut log,
        &[("gone", Some("value")), ("kept", Some("value"))],
    );
    put(&mut log, &[("gone", None), ("other", Some("x"))]);
    fill(&mut log);
    settle(&mut log, &bench);
    let timestamps = |log: &PartitionLog| {
        let found = log
            .view()
            .offset_for_timestamp(WallMillis::from_millis(1_000_001))
            .unwrap();
        found.map(|hit| (hit.offset, hit.timestamp))
    };
    let before = timestamps(&log);
    clean(&mut log, &bench);
    let found = records(&log);
    assert_eq!(
        offsets_of(&found, "gone"),
        [2],
        "the tombstone without its value"
    );
    let (header, _) = batches(&log)
        .into_iter()
        .find(|(h, _)| h.base_offset() == offset(2))
        .unwrap();
    let horizon = bench.clock.millis() + u64::try_from(DELETE_RETENTION.as_millis()).unwrap();
    let horizon = 1_000_000 + i64::try_from(horizon).unwrap();
    assert_eq!(
        header.delete_horizon(),
        Some(WallMillis::from_millis(horizon))
    );
    assert_eq!(timestamps(&log), before, "records keep their timestamps");

    // Not yet: the horizon is not moved either.
    bench
        .clock
        .advance(DELETE_RETENTION.saturating_sub(Duration::from_secs(70)));
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    assert_eq!(offsets_of(&records(&log), "gone"), [2]);
    bench.clock.advance(Duration::from_secs(10));
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    let found = records(&log);
    assert!(offsets_of(&found, "gone").is_empty());
    assert_eq!(
        (offsets_of(&found, "kept"), offsets_of(&found, "other")),
        (vec![1], vec![3])
    );
}

#[test]
fn batches_keep_all_but_the_records_that_go() {
    for codec in Compression::ALL {
        let (_disk, bench, mut log) = open(&config());
        let stamp = |sequence| ProducerStamp {
            id: ProducerId::from_wire(4).unwrap(),
            epoch: ProducerEpoch::from_wire(3).unwrap(),
            base_sequence: Sequence::from_wire(sequence),
        };
        let builder = |sequence| {
            BatchBuilder::new()
                .producer(stamp(sequence))
                .compression(codec, CompressionLevels::default())
        };
        let whole = keyed(builder(0), &[("x", Some("1")), ("y", Some("2"))], 1_000_000);
        append(&mut log, epoch(1), whole).unwrap();
        let part = [
            ("a", Some("old")),
            ("b", Some("stays")),
            ("a", Some("new")),
            ("c", Some("old")),
        ];
        append(&mut log, epoch(1), keyed(builder(2), &part, 1_000_100)).unwrap();
        append(
            &mut log,
            epoch(2),
            keyed(builder(6), &[("c", Some("new"))], 1_000_050),
        )
        .unwrap();
        put_epoch(&mut log, 2);
        settle(&mut log, &bench);
        let before = batches(&log);
        clean(&mut log, &bench);
        let after = batches(&log);
        assert_eq!(after[0], before[0], "byte for byte");
        let ((was, _), (is, bytes)) = (&before[1], &after[1]);
        assert_eq!(
            (is.base_offset(), is.last_offset()),
            (was.base_offset(), was.last_offset())
        );
        assert_eq!(is.base_sequence(), was.base_sequence());
        assert_eq!(is.last_sequence(), was.last_sequence());
        assert_eq!(
            (is.producer_id(), is.producer_epoch()),
            (was.producer_id(), was.producer_epoch())
        );
        assert_eq!(is.leader_epoch(), was.leader_epoch());
        assert_eq!(is.attributes(), was.attributes(), "{codec:?}");
        assert_eq!(is.record_count(), 2);
        let batch = BatchView::parse(bytes).unwrap();
        let set = batch.records(1 << 20).unwrap();
        let kept: Vec<_> = set.iter().map(Result::unwrap).collect();
        assert_eq!((kept[0].offset, kept[1].offset), (offset(3), offset(4)));
        assert_eq!(kept[0].timestamp, WallMillis::from_millis(1_000_101));
        assert_eq!(kept[1].timestamp, WallMillis::from_millis(1_000_102));
        assert_eq!(is.max_timestamp(), WallMillis::from_millis(1_000_102));
        assert_eq!(
            kept[1].headers.into_iter().next().unwrap().value,
            Some(&b"x"[..])
        );
    }
}

/// As `fill`, under a later leader.
fn put_epoch(log: &mut PartitionLog, leader: u16) {
    let base = log.view().active_base();
    while log.view().active_base() == base {
        let records = [("filler", Some("0123456789012345678901234567890123456789"))];
        append(
            log,
            epoch(leader),
            keyed(BatchBuilder::new(), &records, 1_000_000),
        )
        .unwrap();
    }
}

#[test]
fn gotcha_29_a_producer_goes_on_although_all_its_records_are_gone() {
    let (disk, bench, mut log) = open(&config());
    for sequence in 0..3 {
        let id = ProducerId::from_wire(9).unwrap();
        let base_sequence = Sequence::from_wire(sequence);
        let stamp = ProducerStamp {
            id,
            epoch: ProducerEpoch::ZERO,
            base_sequence,
        };
        let bytes = keyed(
            BatchBuilder::new().producer(stamp),
            &[("k", Some("v"))],
            1_000_000,
        );
        append(&mut log, epoch(1), bytes).unwrap();
    }
    put(&mut log, &[("k", Some("by another"))]);
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    let of_9 = |log: &PartitionLog| -> Vec<_> {
        let own = batches(log)
            .into_iter()
            .filter(|(h, _)| h.producer_id().is_some());
        own.map(|(h, _)| (h.base_offset().get(), h.record_count()))
            .collect()
    };
    // The first batch of the log stays as the first of its epoch.
    assert_eq!(of_9(&log), [(0, 0), (2, 0)]);
    bench.close(log);
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    for name in bench
        .files()
        .iter()
        .filter(|name| name.ends_with(".snapshot"))
    {
        fs.remove(&file(name)).unwrap();
    }
    let mut log = bench.create(key(0), &config()).unwrap();
    let known = log
        .producers()
        .get(ProducerId::from_wire(9).unwrap())
        .unwrap();
    assert_eq!(known.last_sequence(), Sequence::from_wire(2));
    append(
        &mut log,
        epoch(1),
        producer_batch(9, 3, &["next"], 1_000_000),
    )
    .unwrap();
}

/// R6: where an epoch begins can be found in the batches, whatever was cleaned.
#[test]
fn every_leader_epoch_keeps_its_first_batch() {
    let (disk, bench, mut log) = open(&config());
    for leader in 1..6 {
        for _ in 0..3 {
            let bytes = keyed(BatchBuilder::new(), &[("k", Some("v"))], 1_000_000);
            append(&mut log, epoch(leader), bytes).unwrap();
        }
    }
    put_epoch(&mut log, 5);
    settle(&mut log, &bench);
    let ends = |log: &PartitionLog| -> Vec<_> {
        (0..7)
            .map(|leader| log.view().end_offset_for(epoch(leader)).map(|end| end.end))
            .collect()
    };
    let before = ends(&log);
    clean(&mut log, &bench);
    assert_eq!(ends(&log), before);
    bench.close(log);
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    fs.remove(&file("leader-epoch-checkpoint")).unwrap();
    let log = bench.create(key(0), &config()).unwrap();
    assert_eq!(ends(&log), before);
}

#[test]
fn a_map_that_is_full_ends_the_round_early_and_the_next_goes_on() {
    let (_disk, bench, mut log) = open(&config());
    let names: Vec<String> = (0..60).map(|at| format!("key {}", at % 30)).collect();
    for pair in names.chunks(2) {
        put(&mut log, &[(&pair[0], Some("v")), (&pair[1], Some("v"))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    let before = latest(&records(&log));
    let small = CleanTools {
        map_bytes: 24 * 13,
        ..tools()
    };
    let mut ends = Vec::new();
    for _ in 0..20 {
        let dirtiness = compacted(&bench, key(0)).dirtiness().unwrap();
        if dirtiness.dirty_bytes == 0 {
            break;
        }
        let report = clean_with(&mut log, &bench, &small, |_, _, _| {}).unwrap();
        assert_eq!(latest(&records(&log)), before);
        ends.push(report.first_dirty);
    }
    assert!(ends.len() > 3 && ends.is_sorted(), "{ends:?}");
    assert_eq!(ends.last(), Some(&log.view().active_base()));
    let found = records(&log);
    let superseded = (0..30).filter(|at| offsets_of(&found, &format!("key {at}")).len() > 1);
    assert_eq!(superseded.count(), 0);

    // A batch of more records than the map has room for takes more rounds, and no more than that.
    let large: Vec<Keyed<'_>> = names[..40]
        .iter()
        .map(|name| (name.as_str(), Some("w")))
        .collect();
    put(&mut log, &large);
    put(&mut log, &[("key 0", None)]);
    fill(&mut log);
    settle(&mut log, &bench);
    let before = latest(&records(&log));
    let mut rounds = 0;
    while compacted(&bench, key(0)).dirtiness().unwrap().dirty_bytes > 0 {
        clean_with(&mut log, &bench, &small, |_, _, _| {}).unwrap();
        assert_eq!(latest(&records(&log)), before);
        rounds += 1;
    }
    assert!(rounds > 3, "{rounds} rounds");
    let found = records(&log);
    assert!((0..30).all(|at| offsets_of(&found, &format!("key {at}")).len() == 1));

    // A buffer that holds no key is said to be too small, and the log is left alone.
    fill(&mut log);
    settle(&mut log, &bench);
    let none = CleanTools {
        map_bytes: 24,
        ..tools()
    };
    let refused = clean_with(&mut log, &bench, &none, |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, CleanError::MapTooSmall), "{refused}");
    assert!(compacted(&bench, key(0)).is_uncleanable());
}

#[test]
fn a_damaged_log_is_uncleanable_and_loses_nothing() {
    let (disk, bench, mut log) = open(&config());
    for round in 0..12 {
        put(
            &mut log,
            &[("a", Some(&format!("value {round}"))), ("b", Some("x"))],
        );
    }
    fill(&mut log);
    settle(&mut log, &bench);
    let segments: Vec<_> = segment_bases(&bench);
    let name = file(&segments[1]);
    let mut bytes = disk.read(&name).unwrap();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    let damaged = fs.open(&name, OpenMode::Existing).unwrap();
    damaged
        .write_at(&[std::io::IoSlice::new(&bytes)], 0)
        .unwrap();
    let failed = clean_with(&mut log, &bench, &tools(), |_, _, _| {}).unwrap_err();
    assert!(matches!(failed, CleanError::Segment { .. }), "{failed}");
    assert!(failed.is_about_the_log() && compacted(&bench, key(0)).is_uncleanable());
    assert_eq!(segment_bases(&bench), segments);
    assert!(!bench.files().iter().any(|name| name.ends_with(".cleaned")));
    assert!(
        bench.dir.failure().is_none(),
        "the directory's other logs go on"
    );
    let mut other = bench.create(key(1), &config()).unwrap();
    for _ in 0..10 {
        put(&mut other, &[("a", Some("1"))]);
    }
    fill(&mut other);
    settle(&mut other, &bench);
    clean(&mut other, &bench);
    assert_eq!(offsets_of(&records(&other), "a"), [9]);
}

#[test]
fn a_full_disk_costs_a_round_and_nothing_else() {
    let (disk, bench, mut log) = open(&config());
    for round in 0..40 {
        put(&mut log, &[("a", Some(&format!("value {round}")))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    let before = records(&log);
    disk.limit_space(Some(100));
    let failed = clean_with(&mut log, &bench, &tools(), |_, _, _| {}).unwrap_err();
    assert!(matches!(failed, CleanError::DiskFull), "{failed}");
    assert_eq!(records(&log), before);
    assert!(!compacted(&bench, key(0)).is_uncleanable());
    assert!(!bench.files().iter().any(|name| name.ends_with(".cleaned")));
    disk.limit_space(None);
    clean(&mut log, &bench);
    assert_eq!(latest(&records(&log)), latest(&before));
}

/// A sync of a whole copy at its end could take longer than the watchdog lets a directory be silent: a large segment took
/// its directory offline.
#[test]
fn a_copy_is_synced_while_it_is_written() {
    let syncs = |dirty_bytes| {
        let config = Arc::new(LogConfig {
            segment: SegmentConfig {
                bytes: 8000,
                ..config().segment.clone()
            },
            flush: FlushConfig {
                dirty_bytes,
                ..FlushConfig::default()
            },
            ..LogConfig::clone(&config())
        });
        let (disk, bench, mut log) = open(&config);
        for at in 0..100 {
            put(
                &mut log,
                &[("a", Some("old")), (&format!("key {at}"), Some("stays"))],
            );
        }
        fill(&mut log);
        settle(&mut log, &bench);
        let before = disk.counts().file_syncs;
        let tools = tools();
        clean_with(&mut log, &bench, &tools, |_, _, _| {}).unwrap();
        (
            disk.counts().file_syncs - before,
            tools.counters.bytes_written(),
        )
    };
    let (at_the_end, _) = syncs(u64::MAX);
    let (often, written) = syncs(1000);
    // What is read and written at once, 512 bytes and a batch, comes on top.
    assert!(
        often >= at_the_end + written / 2000,
        "{often} syncs, not {at_the_end}"
    );
    assert!(written > 8000, "{written}");
}

/// Segments of which nothing goes were written out in full, and thrown away.
#[test]
fn a_segment_that_stays_as_it_is_is_not_written() {
    let (_disk, bench, mut log) = open(&config());
    for round in 0..60 {
        put(&mut log, &[(&format!("key {round}"), Some("stays"))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    let before = batches(&log);
    // In the middle of a segment, and nowhere else.
    let new = log.log_end().get();
    put(&mut log, &[("key 21", Some("new"))]);
    fill(&mut log);
    settle(&mut log, &bench);
    let tools = tools();
    let is_written = |name: &String| name.ends_with(".cleaned");
    let mut copies = 0;
    clean_with(&mut log, &bench, &tools, |_, bench, _| {
        copies += bench.files().iter().filter(|name| is_written(name)).count();
    })
    .unwrap();
    let after = batches(&log);
    assert_eq!(offsets_of(&records(&log), "key 21"), [new]);
    // All but that batch are what they were, and those of the filler.
    let mut kept = before.iter().take(60);
    assert!(kept.all(|batch| after.contains(batch) != (batch.0.base_offset() == offset(21))));
    // The walk over the headers, the copy's source and the keys of the dirty part: all of it is counted, and slowed down.
    let size: usize = before.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(tools.counters.bytes_read() > 2 * u64::try_from(size).unwrap());
    // The segment of that batch, and those of the dirty part in which fillers go.
    assert!((1..=3).contains(&copies), "{copies} copies");
    let written = tools.counters.bytes_written();
    assert!(written < 3000, "{written} bytes written");
}

/// S5: what a reader was given stays what it is, and an old view still answers.
#[test]
fn readers_keep_what_they_hold_through_a_round() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SimDisk::new();
    let places: [(Arc<dyn Fs>, &Path); 2] = [
        (Arc::new(StdFs), dir.path()),
        (Arc::new(disk.mount()), Path::new(DATA)),
    ];
    for (fs, path) in places {
        let bench = start(fs, path).unwrap();
        let mut log = bench.create(key(0), &config()).unwrap();
        for round in 0..60 {
            put(
                &mut log,
                &[("a", Some(&format!("value {round}"))), ("b", Some("x"))],
            );
        }
        fill(&mut log);
        settle(&mut log, &bench);
        let reader: LogReader = log.reader();
        let old = reader.view();
        let end = log.log_end().get();
        let hold = |at: i64| -> (FileRange, Vec<u8>) {
            let range = old
                .read(Offset::from_wire(at).unwrap(), limits(300))
                .unwrap();
            let bytes = range.read_to_vec().unwrap();
            (range, bytes)
        };
        let held: Vec<_> = (0..end).map(hold).collect();
        clean(&mut log, &bench);
        bench.clock.advance(Duration::from_secs(61));
        bench.dir.run_pending();
        assert!(!Arc::ptr_eq(&reader.view(), &old));
        for (at, (range, bytes)) in (0..).zip(&held) {
            assert_eq!(&range.read_to_vec().unwrap(), bytes, "the range at {at}");
            assert_eq!(&hold(at).1, bytes, "the old view at {at}");
        }
    }
}

/// A round held the segments that it replaced until its end: of a large log the disk had to have room for a second one.
#[cfg(target_os = "linux")]
#[test]
fn what_a_round_has_replaced_goes_while_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let bench = start(Arc::new(StdFs), dir.path()).unwrap();
    let mut log = bench.create(key(0), &config()).unwrap();
    for round in 0..100 {
        let own = format!("key {round}");
        put(&mut log, &[("a", Some("x")), (&own, Some("stays"))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    let removed = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let names = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        names
            .filter(|name| name.starts_with(dir.path()))
            .filter(|name| name.to_string_lossy().ends_with(" (deleted)"))
            .count()
    };
    let (mut most, mut swaps) = (0, 0);
    clean_with(&mut log, &bench, &tools(), |log, _, _| {
        most = most.max(removed());
        swaps += u32::from(log.serve_cleaner());
    })
    .unwrap();
    assert!(swaps > 5, "{swaps} swaps");
    assert!(most <= 1, "{most} files that are gone held open");
}

#[test]
fn a_truncation_ends_a_round_and_lowers_what_counts_as_clean() {
    let (disk, bench, mut log) = open(&config());
    for round in 0..40 {
        put(
            &mut log,
            &[("a", Some(&format!("value {round}"))), ("b", Some("x"))],
        );
    }
    fill(&mut log);
    settle(&mut log, &bench);
    let cut = offset(20);
    for at in 1..4 {
        let before = records(&log);
        let mut is_cut = false;
        let result = clean_with(&mut log, &bench, &tools(), |log, bench, count| {
            if count == at {
                is_cut = log.truncate_to(cut, arrival().now).is_ok();
                bench.dir.run_pending();
            }
        });
        // Before the first wish is served the round has not begun; after that it ends with the first look at the log.
        assert!(is_cut || at > 2);
        let is_given_up = matches!(result, Err(CleanError::Aborted));
        assert!(is_given_up || !is_cut || at == 1, "{result:?}");
        if at <= 2 {
            let below = |found: &&Found| found.offset < cut.get();
            let kept: Vec<_> = before.iter().filter(below).cloned().collect();
            assert_eq!(latest(&records(&log)), latest(&kept));
        }
        assert!(log.is_ready());
        for round in 0..40 {
            put(
                &mut log,
                &[("a", Some(&format!("more {round}"))), ("b", Some("x"))],
            );
        }
        fill(&mut log);
        settle(&mut log, &bench);
    }
    clean(&mut log, &bench);
    let all = records(&log);
    log.truncate_to(cut, arrival().now).unwrap();
    bench.dir.run_pending();
    assert!(log.is_ready() && log.log_end() <= cut);
    let end = log.log_end().get();
    let kept: Vec<_> = all
        .iter()
        .filter(|found| found.offset < end)
        .cloned()
        .collect();
    assert_eq!(records(&log), kept);
    let text = disk
        .read(&Path::new(DATA).join("cleaner-offset-checkpoint"))
        .unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        format!("0\n1\n{TOPIC} 0 {end}\n")
    );
}

/// While the files of a copy are put in place nobody else may touch them.
#[test]
fn a_truncation_waits_for_files_that_are_put_in_place() {
    let (_disk, bench, mut log) = open(&config());
    for round in 0..40 {
        put(&mut log, &[("a", Some(&format!("value {round}")))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    let mut refused = 0;
    clean_with(&mut log, &bench, &tools(), |log, _, _| {
        if log.serve_cleaner() {
            let result = log.truncate_to(offset(3), arrival().now);
            assert!(
                matches!(result, Err(TruncateError::Truncating)),
                "{result:?}"
            );
            assert_eq!(
                log.apply_retention(arrival().now, log.log_end()).segments,
                0
            );
            refused += 1;
        }
    })
    .unwrap();
    assert!(refused > 0);
    log.truncate_to(offset(3), arrival().now).unwrap();
}

/// A log that keeps so little that retention takes some of it away.
fn cut_at_its_front() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        retention: RetentionConfig {
            bytes: Some(2500),
            ..RetentionConfig::default()
        },
        ..LogConfig::clone(&config())
    })
}

/// `compact,delete`: what is kept of each key still goes when it is too old or too much, and a round in whose middle that
/// happens loses nothing else.
#[test]
fn a_log_may_be_compacted_and_cut_at_its_front() {
    let config = cut_at_its_front();
    let (_disk, bench, mut log) = open(&config);
    let write = |log: &mut PartitionLog, bench: &Bench| {
        for round in 0..60 {
            let own = format!("key {round}");
            put(log, &[("a", Some("x")), (&own, Some("y"))]);
        }
        fill(log);
        settle(log, bench);
    };
    write(&mut log, &bench);
    let result = clean_with(&mut log, &bench, &tools(), |log, _, count| {
        if count == 2 {
            assert!(log.apply_retention(arrival().now, log.log_end()).segments > 1);
        }
    });
    assert!(matches!(result, Err(CleanError::Aborted)), "{result:?}");
    let (start, before) = (log.log_start(), records(&log));
    assert!(start > offset(0));
    clean(&mut log, &bench);
    assert_eq!(latest(&records(&log)), latest(&before));
    assert_eq!(log.log_start(), start, "compaction does not move it");
    write(&mut log, &bench);
    assert!(log.apply_retention(arrival().now, log.log_end()).segments > 0);
    assert!(log.log_start() > start);
    settle(&mut log, &bench);
    let before = records(&log);
    clean(&mut log, &bench);
    assert_eq!(latest(&records(&log)), latest(&before));
    assert_eq!(offsets_of(&records(&log), "a").len(), 1);
}

/// Retention may take a file away between two looks of a round. That was taken for damage, and the log was not cleaned any
/// more until the next start.
#[test]
fn segments_that_retention_takes_away_beside_a_round_are_not_missed() {
    let config = cut_at_its_front();
    let (disk, bench, mut log) = open(&config);
    for round in 0..60 {
        put(&mut log, &[(&format!("key {round}"), Some("y"))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    // Opened anew, so that no file is open yet.
    bench.close(log);
    let mut log = bench.create(key(0), &config).unwrap();
    settle(&mut log, &bench);
    let result = clean_with(&mut log, &bench, &tools(), |log, bench, count| {
        if count == 1 {
            log.serve_cleaner();
            assert!(log.apply_retention(arrival().now, log.log_end()).segments > 1);
            bench.dir.run_pending();
        }
    });
    assert!(matches!(result, Err(CleanError::Aborted)), "{result:?}");
    assert!(!compacted(&bench, key(0)).is_uncleanable());
    // A read that fails is not about the log either: here a file that is gone for a while.
    let name = file(&segment_bases(&bench)[1]);
    let bytes = disk.read(&name).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    bench.close(log);
    let mut log = bench.create(key(0), &config).unwrap();
    settle(&mut log, &bench);
    fs.remove(&name).unwrap();
    let failed = clean_with(&mut log, &bench, &tools(), |_, _, _| {}).unwrap_err();
    assert!(matches!(failed, CleanError::Segment { .. }), "{failed}");
    assert!(!compacted(&bench, key(0)).is_uncleanable() && bench.dir.failure().is_none());
    disk.plant(&name, bytes);
    clean(&mut log, &bench);
}

/// R7: what is not committed, or not safe, is not cleaned.
#[test]
fn nothing_above_the_high_watermark_or_the_recovery_point_is_cleaned() {
    let (_disk, bench, mut log) = open(&config());
    for _ in 0..40 {
        put(&mut log, &[("a", Some("value"))]);
    }
    log.note_high_watermark(log.log_end());
    let dirty = |bench: &Bench| compacted(bench, key(0)).dirtiness().unwrap().dirty_bytes;
    assert_eq!(dirty(&bench), 0, "nothing is flushed");
    settle(&mut log, &bench);
    assert!(dirty(&bench) > 0);
    log.note_high_watermark(offset(1));
    assert_eq!(dirty(&bench), 0, "nothing is committed");
    let middle = log.log_end().get() / 2;
    log.note_high_watermark(Offset::from_wire(middle).unwrap());
    let report = clean(&mut log, &bench);
    assert!(report.first_dirty.get() <= middle);
}

/// A compacted log of a leader, batch by batch as it is, makes the same log at a follower; and where the follower has to
/// cut it inside of a gap, nothing is lost in a crash.
#[test]
fn a_follower_takes_gaps_and_cuts_in_them() {
    let (_disk, bench, mut leader) = open(&config());
    for round in 0..60 {
        let own = format!("key {round}");
        put(&mut leader, &[("a", Some("x")), ("b", Some("y"))]);
        if round % 7 == 0 {
            put(&mut leader, &[(&own, Some("z"))]);
        }
    }
    fill(&mut leader);
    settle(&mut leader, &bench);
    clean(&mut leader, &bench);
    let sent: Vec<u8> = batches(&leader)
        .into_iter()
        .flat_map(|(_, bytes)| bytes)
        .collect();
    let end = leader.log_end().get();
    for cut in 0..end {
        let (disk, bench, mut log) = open(&config());
        log.append_as_follower(&sent, arrival().now).unwrap();
        assert_eq!(log.log_end(), leader.log_end());
        assert_eq!(records(&log), records(&leader));
        let new_end = log
            .truncate_to(Offset::from_wire(cut).unwrap(), arrival().now)
            .unwrap();
        assert!(new_end.get() <= cut);
        bench.dir.run_pending();
        // Before the segment behind the cut has a file, too: one that began behind a gap made a scan miss records.
        let early = disk.fork();
        early.crash(cut.unsigned_abs());
        let bench_of_early = start(Arc::new(early.mount()), Path::new(DATA)).unwrap();
        bench_of_early.recover(&config());
        let reopened = bench_of_early.create(key(0), &config()).unwrap();
        assert_eq!(reopened.log_end(), new_end, "cut {cut}");
        assert_eq!(records(&reopened), records(&log), "cut {cut}");
        put_epoch(&mut log, 2);
        log.request_flush();
        bench.dir.run_pending();
        let before = records(&log);
        let below = |found: &&Found| found.offset < new_end.get();
        let kept = records(&leader);
        let kept: Vec<_> = kept.iter().filter(below).collect();
        assert!(
            before.iter().zip(&kept).all(|(found, kept)| found == *kept),
            "cut {cut}"
        );
        disk.crash(cut.unsigned_abs());
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        bench.recover(&config());
        let mut log = bench.create(key(0), &config()).unwrap();
        assert_eq!(records(&log), before, "cut {cut}");
        settle(&mut log, &bench);
        clean(&mut log, &bench);
        assert_eq!(latest(&records(&log)), latest(&before), "cut {cut}");
    }
}

/// S8: the indexes of a cleaned segment may be lost; every answer is the same. An empty batch is no record of its time.
#[test]
fn a_cleaned_log_answers_alike_without_its_indexes() {
    let (disk, bench, mut log) = open(&config());
    for round in 0..80 {
        let records = [("a", Some("x")), ("b", Some("y"))];
        let bytes = keyed(BatchBuilder::new(), &records, 1_000_000 + round * 10);
        append(&mut log, epoch(1), bytes).unwrap();
    }
    let late = keyed(BatchBuilder::new(), &[("a", Some("last"))], 2_000_000);
    append(&mut log, epoch(1), late).unwrap();
    fill(&mut log);
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    let answers = |log: &PartitionLog| {
        let view = log.view();
        let times = (999_990..1_000_900)
            .step_by(5)
            .chain([2_000_000, 2_000_001]);
        let hit = |at| {
            view.offset_for_timestamp(WallMillis::from_millis(at))
                .unwrap()
        };
        let times: Vec<_> = times.map(hit).collect();
        (times, view.max_timestamp().unwrap(), records(log))
    };
    let before = answers(&log);
    let at = before.1.unwrap();
    assert_eq!(
        offsets_of(&before.2, "a"),
        [at.offset.get()],
        "the latest is a record"
    );
    bench.close(log);
    for kinds in [&["index"][..], &["timeindex"], &["index", "timeindex"]] {
        let copy = disk.fork();
        let fs: Arc<dyn Fs> = Arc::new(copy.mount());
        for entry in fs.list(&file("")).unwrap() {
            if entry
                .name
                .rsplit_once('.')
                .is_some_and(|(_, kind)| kinds.contains(&kind))
            {
                fs.remove(&file(&entry.name)).unwrap();
            }
        }
        let bench = start(fs, Path::new(DATA)).unwrap();
        let log = bench.create(key(0), &config()).unwrap();
        assert_eq!(answers(&log), before, "{kinds:?}");
    }
}

/// A log that nobody appends to is cleaned all the same, once its records are old enough.
#[test]
fn an_idle_log_rolls_when_its_records_are_overdue() {
    let compaction = CompactionConfig {
        lag_max: Some(Duration::from_secs(100)),
        dirty_ppm_min: 1_000_000,
        ..config().compaction.clone()
    };
    let config = Arc::new(LogConfig {
        compaction,
        ..LogConfig::clone(&config())
    });
    let (_disk, bench, mut log) = open(&config);
    put(&mut log, &[("a", Some("1")), ("a", Some("2"))]);
    settle(&mut log, &bench);
    log.apply_retention(WallMillis::from_millis(1_100_001), log.log_end());
    assert_eq!(log.view().active_base(), offset(0), "not yet");
    bench.clock.advance(Duration::from_secs(101));
    log.apply_retention(WallMillis::from_millis(1_100_002), log.log_end());
    assert_eq!(log.view().active_base(), offset(2));
    settle(&mut log, &bench);
    // Or the log would have to be scanned after a crash, because the cleaner changes the segment that the journal names.
    let state = bench.dir.log(key(0)).unwrap();
    assert_eq!((state.active_base, state.is_dirty), (offset(2), false));
    let due = compacted(&bench, key(0));
    assert!(due.is_due(&due.dirtiness().unwrap()));
    clean(&mut log, &bench);
    assert_eq!(offsets_of(&records(&log), "a"), [1]);

    // Records that claim to be old have not waited: each pass ended a segment for them, and had the log cleaned.
    let mut bases = BTreeSet::new();
    for _ in 0..10 {
        let old = keyed(BatchBuilder::new(), &[("b", Some("old"))], 1000);
        append(&mut log, epoch(1), old).unwrap();
        bench.clock.advance(Duration::from_secs(3));
        log.apply_retention(bench.clock.wall(), log.log_end());
        bases.insert(log.view().active_base());
    }
    assert_eq!(bases.len(), 1, "{bases:?}");
    bench.clock.advance(Duration::from_secs(101));
    log.apply_retention(bench.clock.wall(), log.log_end());
    assert_eq!(log.view().active_base(), log.log_end(), "they have now");
    // After a restart nobody knows when they came: they are believed.
    let old = keyed(BatchBuilder::new(), &[("b", Some("old"))], 1000);
    append(&mut log, epoch(1), old).unwrap();
    bench.close(log);
    let mut log = bench.create(key(0), &config).unwrap();
    log.apply_retention(bench.clock.wall(), log.log_end());
    assert_eq!(log.view().active_base(), log.log_end());
}

//! One log: what is appended can be read, and only that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::batch::Batches;
use ottla_storage::log::{
    FollowerAppendError, LeaderAppend, LogConfig, PrepareError, Prepared, RetentionConfig,
    SegmentConfig,
};
use ottla_storage::producer_state::AppendOrigin;
use ottla_storage::time::WallMillis;
use ottla_storage::validate::Policy;
use ottla_storage::{Offset, ReadError, ReadLimits};

use crate::support::*;

fn bench() -> Bench {
    start(Arc::new(SimDisk::new().mount()), Path::new("/data")).unwrap()
}

#[test]
fn what_is_appended_is_read_across_segments() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    let expected = append_many(&mut log, 100);
    bench.dir.run_pending();
    assert_eq!(contents(&log), expected);
    assert_eq!(log.log_end(), offset(100));
    let end = log.view().end_offset_for(epoch(1)).unwrap();
    assert_eq!(end.end, offset(100));
    bench.settle();
    assert_eq!(log.flushed_end(), offset(100));
    assert!(!bench.dir.log(key(0)).unwrap().is_dirty);
    bench.close(log);
    let log = bench.create(key(0), &small_config()).unwrap();
    assert_eq!(contents(&log), expected);
    assert_eq!(log.log_start(), Offset::ZERO);
}

/// S5: a view stays what it was, whatever happens to the log after it.
#[test]
fn an_old_view_still_reads_what_it_saw_after_truncation_and_retention() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_many(&mut log, 60);
    bench.dir.run_pending();
    let view = log.view();
    let ranges: Vec<_> = (0..60)
        .map(|at| view.read(offset(at), limits(1 << 20)).unwrap())
        .collect();
    let before: Vec<_> = ranges
        .iter()
        .map(|range| range.read_to_vec().unwrap())
        .collect();
    log.truncate_to(offset(31), arrival().now).unwrap();
    bench.dir.run_pending();
    for i in 0..40 {
        append_values(&mut log, epoch(2), &[&format!("other {i}")]);
    }
    log.advance_log_start(offset(20));
    log.apply_retention(arrival().now, offset(70));
    bench.settle();
    let after: Vec<_> = ranges
        .iter()
        .map(|range| range.read_to_vec().unwrap())
        .collect();
    assert_eq!(before, after);
    drop((ranges, view));
    bench.settle();
    assert_eq!(contents(&log).len(), 51);
}

#[test]
fn a_group_is_one_unit_and_sees_what_was_prepared_before() {
    let bench = bench();
    let config = Arc::new(LogConfig::default());
    let mut log = bench.create(key(0), &config).unwrap();
    let policy = Policy::default();
    let mut batches = [
        producer_batch(9, 0, &["a", "b"], 1_000_000),
        producer_batch(9, 2, &["c"], 1_000_000),
        producer_batch(9, 2, &["c"], 1_000_000),
        producer_batch(9, 5, &["gap"], 1_000_000),
    ];
    let mut group = log.begin();
    let mut outcomes = Vec::new();
    for bytes in &mut batches {
        let append = LeaderAppend {
            batch: bytes,
            policy: &policy,
            arrival: arrival(),
            leader_epoch: epoch(1),
            origin: AppendOrigin::Client,
        };
        outcomes.push(log.prepare(&mut group, append));
    }
    assert!(matches!(outcomes[0], Ok(Prepared::Append { at, .. }) if at.last_offset == offset(1)));
    assert!(matches!(outcomes[1], Ok(Prepared::Append { at, .. }) if at.base_offset == offset(2)));
    assert!(matches!(outcomes[2], Ok(Prepared::Duplicate { at }) if at.base_offset == offset(2)));
    assert!(matches!(outcomes[3], Err(PrepareError::Producer(_))));
    assert_eq!(log.log_end(), Offset::ZERO, "preparing changes nothing");
    log.write(&group).unwrap();
    assert_eq!(
        log.view().log_end(),
        Offset::ZERO,
        "written is not committed"
    );
    let committed = log.commit(group);
    assert_eq!(
        (committed.first_offset, committed.log_end),
        (offset(0), offset(3))
    );
    assert_eq!(contents(&log).len(), 3);
}

#[test]
fn a_producers_retry_is_recognised_after_reopening() {
    let bench = bench();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append(
        &mut log,
        epoch(1),
        producer_batch(9, 0, &["a", "b"], 1_000_000),
    )
    .unwrap();
    append_many(&mut log, 30);
    bench.close(log);
    let mut log = bench.create(key(0), &config).unwrap();
    let again = append(
        &mut log,
        epoch(1),
        producer_batch(9, 0, &["a", "b"], 1_000_000),
    )
    .unwrap();
    assert!(matches!(again.0, Prepared::Duplicate { at } if at.last_offset == offset(1)));
    let next = append(&mut log, epoch(1), producer_batch(9, 2, &["c"], 1_000_000)).unwrap();
    assert!(matches!(next.0, Prepared::Append { .. }));
}

/// S3.
#[test]
fn a_leader_of_an_earlier_epoch_can_not_append() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_values(&mut log, epoch(5), &["a"]);
    let refused = append(&mut log, epoch(4), batch(&["b"], 1_000_000));
    assert!(matches!(refused, Err(PrepareError::StaleEpoch { .. })));
    assert!(!log.assign_epoch(epoch(4)));
    assert!(log.assign_epoch(epoch(6)));
    assert_eq!(log.view().last_epoch(), Some(epoch(6)));
}

#[test]
fn a_read_keeps_to_whole_batches_below_its_bounds() {
    let bench = bench();
    let segment = SegmentConfig {
        index_interval_bytes: 150,
        ..SegmentConfig::default()
    };
    let config = Arc::new(LogConfig {
        segment,
        ..LogConfig::default()
    });
    let mut log = bench.create(key(0), &config).unwrap();
    for i in 0..20 {
        append_values(&mut log, epoch(1), &[&format!("{i}"), "x", "y"]);
    }
    let view = log.view();
    let size = u64::try_from(batch(&["10", "x", "y"], 1_000_000).len()).unwrap();
    let read = |at: u32, bytes_max: u64, bound: u32, is_one_batch_due: bool| {
        let upper_bound = offset(bound);
        let limits = ReadLimits {
            bytes_max,
            upper_bound,
            is_one_batch_due,
        };
        let bytes = view
            .read(offset(at), limits)
            .unwrap()
            .read_to_vec()
            .unwrap();
        let bounds = |batch: &ottla_storage::batch::BatchView<'_>| {
            (
                batch.header().base_offset().get(),
                batch.header().last_offset().get(),
            )
        };
        let batches: Vec<_> = Batches::new(&bytes)
            .map(|batch| bounds(&batch.unwrap()))
            .collect();
        batches
    };
    assert_eq!(
        read(31, 1, 60, true),
        [(30, 32)],
        "the first batch whatever its size"
    );
    assert_eq!(read(31, 1, 60, false), []);
    assert_eq!(read(30, size, 60, false), [(30, 32)]);
    assert_eq!(read(30, 2 * size - 1, 60, false), [(30, 32)]);
    assert_eq!(read(30, 2 * size, 60, false), [(30, 32), (33, 35)]);
    assert_eq!(
        read(30, 1 << 20, 35, false),
        [(30, 32)],
        "a bound within a batch excludes it"
    );
    assert_eq!(read(30, 1 << 20, 36, false), [(30, 32), (33, 35)]);
    assert_eq!(read(30, 1 << 20, 30, true), []);
    assert_eq!(
        read(60, 1 << 20, 60, true),
        [],
        "the end is empty, not an error"
    );
    let beyond = view.read(offset(61), limits(1));
    assert!(matches!(beyond, Err(ReadError::OutOfRange { .. })));
    log.advance_log_start(offset(4));
    let below = log.view().read(offset(3), limits(1));
    assert!(matches!(below, Err(ReadError::OutOfRange { .. })));
}

#[test]
fn a_segment_ends_by_size_and_age() {
    let bench = bench();
    let segment = SegmentConfig {
        bytes: 300,
        age: Duration::from_mins(1),
        ..SegmentConfig::default()
    };
    let config = Arc::new(LogConfig {
        segment,
        ..LogConfig::default()
    });
    let mut log = bench.create(key(0), &config).unwrap();
    let append_at = |log: &mut _, timestamp| {
        append(log, epoch(1), batch(&["0123456789"], timestamp)).unwrap();
    };
    append_at(&mut log, 1_000_000);
    append_at(&mut log, 1_060_000);
    assert_eq!(log.view().active_base(), offset(0));
    append_at(&mut log, 1_060_001);
    assert_eq!(log.view().active_base(), offset(2), "older than segment.ms");
    for _ in 0..10 {
        append_at(&mut log, 1_060_001);
    }
    assert_eq!(
        log.view().active_base(),
        offset(11),
        "three batches fill a segment"
    );
}

/// KAFKA-6264: an index holds offsets in 31 bits from its segment's base, and a compacted log has gaps as large as it
/// likes.
#[test]
fn gotcha_27_a_batch_beyond_31_bits_begins_a_segment() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_many(&mut log, 2);
    let far = Offset::from_wire(1 << 31).unwrap();
    log.append_as_follower(&placed_batch(far, epoch(1), &["far"]), arrival().now)
        .unwrap();
    assert_eq!(log.view().active_base(), offset(2));
    assert_eq!(log.log_end(), far.next());
    assert_eq!(contents(&log).len(), 3);
}

/// An index without room for an entry made each empty segment seem full: a follower rolled for ever under its lock, and
/// with it everything that its broker followed stood still.
#[test]
fn a_follower_takes_batches_where_no_index_has_room() {
    let bench = bench();
    let segment = SegmentConfig {
        index_bytes: 16,
        index_interval_bytes: 1,
        ..SegmentConfig::default()
    };
    let config = Arc::new(LogConfig {
        segment,
        ..LogConfig::default()
    });
    let mut log = bench.create(key(0), &config).unwrap();
    for at in 0..5 {
        let batch = placed_batch(offset(at), epoch(1), &["value"]);
        log.append_as_follower(&batch, arrival().now).unwrap();
        bench.dir.run_pending();
    }
    assert_eq!(contents(&log).len(), 5);
}

/// Bytes that are not in the answer are there all the same: whoever wants more than a segment or its own limit holds
/// would wait for them in vain.
#[test]
fn a_range_says_whether_more_lies_behind_it() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_many(&mut log, 60);
    let view = log.view();
    let read = |from, limits| view.read(offset(from), limits).unwrap().has_more();
    assert!(read(0, limits(1 << 20)), "another segment");
    let last = u32::try_from(view.active_base().get()).unwrap();
    assert!(!read(last, limits(1 << 20)));
    assert!(read(last, limits(1)), "the limit came first");
    let bounded = ReadLimits {
        upper_bound: view.active_base(),
        ..limits(1 << 20)
    };
    let before = log.view().log_start();
    assert!(
        !read(last - 1, bounded),
        "{before}: the rest is not for this reader"
    );
}

#[test]
fn a_batch_larger_than_a_segment_is_refused_and_a_follower_takes_it() {
    let bench = bench();
    let segment = SegmentConfig {
        bytes: 100,
        ..SegmentConfig::default()
    };
    let config = Arc::new(LogConfig {
        segment,
        ..LogConfig::default()
    });
    let mut log = bench.create(key(0), &config).unwrap();
    let long = "x".repeat(200);
    let refused = append(&mut log, epoch(1), batch(&[&long], 1_000_000));
    assert!(matches!(
        refused,
        Err(PrepareError::LargerThanSegment { .. })
    ));
    let placed = placed_batch(offset(0), epoch(1), &[&long]);
    log.append_as_follower(&placed, arrival().now).unwrap();
    assert_eq!(log.log_end(), offset(1));
}

#[test]
fn a_timestamp_leads_to_the_first_record_that_late() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    for i in 0..50_i64 {
        // Not in order: 1 000 000, 1 000 002, 1 000 001, 1 000 004, ...
        let timestamp = 1_000_000 + i + i % 3;
        append(&mut log, epoch(3), batch(&[&format!("{i}")], timestamp)).unwrap();
    }
    bench.dir.run_pending();
    let timestamps: Vec<_> = (0..50_i64).map(|i| 1_000_000 + i + i % 3).collect();
    let check = |log: &ottla_storage::log::PartitionLog| {
        for target in 999_990..1_000_060 {
            let wanted = timestamps.iter().position(|timestamp| *timestamp >= target);
            let found = log
                .view()
                .offset_for_timestamp(WallMillis::from_millis(target))
                .unwrap();
            assert_eq!(
                found.map(|hit| hit.offset.get()),
                wanted.map(|at| at as i64),
                "{target}"
            );
        }
        let max = log.view().max_timestamp().unwrap().unwrap();
        assert_eq!((max.offset, max.leader_epoch), (offset(49), Some(epoch(3))));
    };
    check(&log);
    bench.close(log);
    check(&bench.create(key(0), &small_config()).unwrap());
}

#[test]
fn a_follower_takes_what_the_leader_has_byte_for_byte() {
    let bench = bench();
    let mut leader = bench.create(key(0), &small_config()).unwrap();
    let mut follower = bench.create(key(1), &small_config()).unwrap();
    for i in 0..60_u16 {
        append_values(&mut leader, epoch(i / 20), &[&format!("v{i}"), "w"]);
    }
    while follower.log_end() < leader.log_end() {
        let range = leader.view().read(follower.log_end(), limits(700)).unwrap();
        let mut bytes = range.read_to_vec().unwrap();
        // The end of a fetched set may be a batch that was cut off.
        let next = leader
            .view()
            .read(offset(0), limits(1))
            .unwrap()
            .read_to_vec()
            .unwrap();
        bytes.extend_from_slice(&next[..next.len() - 1]);
        let before = follower.log_end();
        let done = follower.append_as_follower(&bytes, arrival().now);
        assert!(done.unwrap().log_end > before);
    }
    assert_eq!(contents(&follower), contents(&leader));
    for raw in 0..3 {
        let (one, other) = (follower.view(), leader.view());
        assert_eq!(
            one.end_offset_for(epoch(raw)),
            other.end_offset_for(epoch(raw))
        );
    }
}

/// S2, S3 and S4 on a follower: what would break the log is refused, what came before it stays.
#[test]
fn a_follower_refuses_what_would_break_its_log() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    let good = placed_batch(offset(0), epoch(2), &["a", "b"]);
    let overlap = placed_batch(offset(1), epoch(2), &["c"]);
    let stale = placed_batch(offset(2), epoch(1), &["c"]);
    let mut flipped = placed_batch(offset(2), epoch(2), &["c"]);
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [overlap, stale, flipped] {
        let set = [good.clone(), bad].concat();
        let set = if log.log_end() == offset(0) {
            set
        } else {
            set[good.len()..].to_vec()
        };
        let refused = log.append_as_follower(&set, arrival().now);
        assert!(
            matches!(refused, Err(FollowerAppendError::Check { .. })),
            "{refused:?}"
        );
        assert_eq!(log.log_end(), offset(2));
    }
    assert_eq!(contents(&log).len(), 2);
}

#[test]
fn an_empty_follower_begins_at_a_batch_that_holds_its_end() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    log.restart_at(offset(12), arrival().now).unwrap();
    bench.dir.run_pending();
    let straddling = placed_batch(offset(10), epoch(1), &["a", "b", "c", "d"]);
    let outcome = log.append_as_follower(&straddling, arrival().now);
    if matches!(
        outcome,
        Err(FollowerAppendError::NotWritable(PrepareError::Truncating))
    ) {
        assert_eq!(log.log_end(), offset(12), "the next fetch asks the same");
        bench.dir.run_pending();
        log.append_as_follower(&straddling, arrival().now).unwrap();
    }
    assert_eq!(
        (log.log_start(), log.log_end()),
        (offset(12), offset(14)),
        "it begins where its leader's log does, or every fetch of it would be out of range"
    );
    assert_eq!(contents(&log).len(), 2);
}

#[test]
fn retention_takes_whole_segments_from_the_front_and_never_the_active_one() {
    let bench = bench();
    let retention = RetentionConfig {
        bytes: Some(2500),
        age: Some(Duration::from_secs(100)),
        file_delete_delay: Duration::from_secs(10),
        ..RetentionConfig::default()
    };
    let config = Arc::new(LogConfig {
        retention,
        ..(*small_config()).clone()
    });
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 100);
    bench.dir.run_pending();
    let size = log.view().size_bytes();
    let removed = log.apply_retention(WallMillis::from_millis(1_000_000), offset(3));
    assert_eq!(removed.segments, 0, "nothing beyond the high watermark");
    let removed = log.apply_retention(WallMillis::from_millis(1_000_000), offset(100));
    assert!(removed.segments > 0 && log.view().size_bytes() == size - removed.bytes);
    let kept = log.view().size_bytes();
    assert!((2500..3500).contains(&kept), "{kept}");
    assert_eq!(contents(&log).first().unwrap().0, log.log_start().get());
    log.apply_retention(WallMillis::from_millis(1_100_001), offset(100));
    assert_eq!(
        log.log_start(),
        log.view().active_base(),
        "all but the active segment is too old"
    );
    assert!(log.log_start() < log.log_end());
    bench.settle();
    bench.settle();
    let files = bench.files();
    assert_eq!(
        files.iter().filter(|name| name.ends_with(".log")).count(),
        1
    );
    assert!(
        !files.iter().any(|name| name.ends_with(".deleted")),
        "{files:?}"
    );
}

#[test]
fn a_log_start_within_a_segment_hides_records_and_survives_reopening() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_many(&mut log, 30);
    assert!(log.advance_log_start(offset(7)));
    assert!(!log.advance_log_start(offset(7)));
    bench.close(log);
    let log = bench.create(key(0), &small_config()).unwrap();
    assert_eq!(log.log_start(), offset(7));
    assert_eq!(contents(&log).first().unwrap().0, 7);
}

/// KAFKA-10706: two elections without a record left epochs at the log's end. A truncation to that very end cut nothing
/// and left them there, so that the follower asked with the same epoch for ever.
#[test]
fn gotcha_02_a_truncation_to_the_log_end_takes_the_epochs_that_begin_there() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_values(&mut log, epoch(1), &["a"]);
    assert!(log.assign_epoch(epoch(3)));
    assert_eq!(log.view().last_epoch(), Some(epoch(3)));
    assert_eq!(
        log.truncate_to(offset(1), arrival().now).unwrap(),
        offset(1)
    );
    assert_eq!(log.view().last_epoch(), Some(epoch(1)));
    assert_eq!(contents(&log).len(), 1);
}

/// KAFKA-7415: a reign is remembered although nothing was ever written in it.
#[test]
fn a_reign_without_a_record_is_remembered_by_a_stop_in_order() {
    let bench = bench();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_values(&mut log, epoch(1), &["a"]);
    bench.settle();
    assert!(log.assign_epoch(epoch(3)));
    bench.close(log);
    let log = bench.create(key(0), &small_config()).unwrap();
    assert_eq!(log.view().last_epoch(), Some(epoch(3)));
}

//! The indexes against a full scan, and hostile bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, BatchView, NewRecord};
use crate::time::WallMillis;

const BASE: u32 = 1000;

fn offset(raw: u32) -> Offset {
    Offset::from(raw)
}

/// Batches as (offsets, value size, timestamp), laid out as a segment: (header, position) each.
fn segment(batches: &[(i32, usize, i64)]) -> Vec<(crate::batch::BatchHeader, u32)> {
    let (mut next, mut position) = (offset(BASE), 0);
    let mut out = Vec::new();
    for (delta, size, timestamp) in batches {
        let value = vec![0; *size];
        let timestamp = WallMillis::from_millis(*timestamp);
        let record = NewRecord {
            timestamp,
            value: Some(&value),
            ..NewRecord::default()
        };
        let mut builder = BatchBuilder::new().base_offset(next);
        builder.append_at(*delta, &record).unwrap();
        let bytes = builder.build().unwrap();
        let header = *BatchView::parse(&bytes).unwrap().header();
        out.push((header, position));
        next = header.next_offset();
        position += u32::try_from(bytes.len()).unwrap();
    }
    out
}

fn index_of(batches: &[(crate::batch::BatchHeader, u32)], limits: IndexLimits) -> SegmentIndex {
    let mut index = SegmentIndex::new(offset(BASE), limits);
    for (header, position) in batches {
        index.observe(header, *position).unwrap();
    }
    index
}

#[test]
fn entries_are_kafkas_bytes() {
    let mut offsets = ActiveOffsetIndex::new(offset(BASE), 16);
    offsets
        .append(OffsetEntry {
            offset: offset(1258),
            position: 4200,
        })
        .unwrap();
    assert_eq!(offsets.encode_from(0), [0, 0, 1, 2, 0, 0, 0x10, 0x68]);
    let mut times = ActiveTimeIndex::new(offset(BASE), 36);
    let timestamp = WallMillis::from_millis(0x0102_0304_0506_0708);
    times
        .append(TimeEntry {
            timestamp,
            offset: offset(1258),
        })
        .unwrap();
    assert_eq!(times.encode_from(0), [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 1, 2]);
}

#[test]
fn only_rising_entries_are_taken() {
    let mut offsets = ActiveOffsetIndex::new(offset(BASE), 24);
    let entry = |at, position| OffsetEntry {
        offset: offset(at),
        position,
    };
    offsets.append(entry(1010, 5)).unwrap();
    for refused in [entry(1010, 6), entry(1011, 5), entry(1009, 9)] {
        assert!(matches!(
            offsets.append(refused),
            Err(IndexError::NotRising { .. })
        ));
    }
    let far = OffsetEntry {
        offset: offset(BASE).saturating_add(1 << 31),
        position: 9,
    };
    assert!(matches!(
        offsets.append(far),
        Err(IndexError::OutOfRange { .. })
    ));
    assert!(matches!(
        offsets.append(entry(999, 9)),
        Err(IndexError::OutOfRange { .. })
    ));
    offsets.append(entry(1011, 6)).unwrap();
    offsets.append(entry(1012, 7)).unwrap();
    assert!(matches!(
        offsets.append(entry(1013, 8)),
        Err(IndexError::Full { .. })
    ));
}

#[test]
fn the_last_time_slot_is_for_closing() {
    let mut times = ActiveTimeIndex::new(offset(BASE), 24);
    let entry = |at, millis| TimeEntry {
        timestamp: WallMillis::from_millis(millis),
        offset: offset(at),
    };
    times.append(entry(1001, 50)).unwrap();
    assert!(times.is_full());
    assert!(matches!(
        times.append(entry(1002, 60)),
        Err(IndexError::Full { .. })
    ));
    times.append_last(entry(1002, 50)).unwrap();
    assert_eq!(times.len(), 1);
    times.append_last(entry(1002, 60)).unwrap();
    assert_eq!(times.last(), Some(entry(1002, 60)));
}

proptest! {
    /// S8: whatever the index says, a scan from there finds what a scan from the start finds.
    #[test]
    fn lookups_are_never_too_late(
        batches in vec((0..5_i32, 0..300_usize, -1..60_i64), 1..60),
        interval in 0..700_u64,
        target in 0..400_u32,
        time in -2..70_i64,
    ) {
        let batches = segment(&batches);
        let index = index_of(&batches, IndexLimits { size_max: 4096, interval });
        let target = offset(BASE + target);
        let snapshot = index.offsets().snapshot();
        let start = snapshot.floor(target).map_or(0, |entry| entry.position);
        let holds = |(header, _): &&(crate::batch::BatchHeader, u32)| header.last_offset() >= target;
        let scanned = batches.iter().find(holds).map(|b| b.1);
        let found = batches.iter().filter(|b| b.1 >= start).find(holds).map(|b| b.1);
        prop_assert_eq!(found, scanned);

        let time = WallMillis::from_millis(time);
        let start = index.times().snapshot().last_before(time);
        let start = start.map_or_else(|| offset(BASE), |entry| entry.offset);
        let is_late = |(header, _): &&(crate::batch::BatchHeader, u32)| header.max_timestamp() >= time;
        let scanned = batches.iter().find(is_late).map(|b| b.1);
        let found = batches.iter().filter(|b| b.0.last_offset() >= start).find(is_late);
        prop_assert_eq!(found.map(|b| b.1), scanned);
    }

    #[test]
    fn a_file_is_read_as_it_was_written(
        batches in vec((0..5_i32, 0..300_usize, -1..60_i64), 1..60),
        interval in 0..700_u64,
        cut in 0..300_u32,
    ) {
        let limits = IndexLimits { size_max: 4096, interval };
        let batches = segment(&batches);
        let mut index = index_of(&batches, limits);
        index.close().unwrap();
        let (offsets, times) = (index.offsets().encode_from(0), index.times().encode_from(0));
        let (offset_file, time_file) = (
            OffsetIndexBytes::new(offset(BASE), &offsets),
            TimeIndexBytes::new(offset(BASE), &times),
        );
        prop_assert_eq!(offset_file.verify(), Ok(()));
        prop_assert_eq!(time_file.verify(), Ok(()));
        let live = index.offsets().snapshot();
        prop_assert_eq!(offset_file.len(), live.len());
        prop_assert!((0..live.len()).all(|i| offset_file.get(i) == live.get(i)));
        let live = index.times().snapshot();
        prop_assert_eq!(time_file.len(), live.len());
        prop_assert!((0..live.len()).all(|i| time_file.get(i) == live.get(i)));

        let cut = offset(BASE + cut);
        let mut taken = ActiveOffsetIndex::from_bytes(offset(BASE), &offsets, 4096).unwrap();
        taken.truncate_to(cut);
        prop_assert_eq!(taken.encode_from(0), &offsets[..offset_file.size_below(cut)]);
        let mut taken = ActiveTimeIndex::from_bytes(offset(BASE), &times, 4096).unwrap();
        taken.truncate_to(cut);
        prop_assert_eq!(taken.encode_from(0), &times[..time_file.size_below(cut)]);
    }

    /// After a clean close and reopening, the index goes on as if nothing had happened.
    #[test]
    fn a_reopened_index_goes_on(
        batches in vec((0..5_i32, 0..300_usize, -1..60_i64), 2..60),
        at in any::<prop::sample::Index>(),
    ) {
        let limits = IndexLimits { size_max: 4096, interval: 300 };
        let batches = segment(&batches);
        let (first, second) = batches.split_at(at.index(batches.len()));
        let mut closed = index_of(first, limits);
        // Cutting the log and reopening it restore the same state.
        let mut cut = index_of(&batches, limits);
        cut.truncate_to(second.first().unwrap().0.base_offset());
        let last = cut.offsets().last();
        for (header, _) in first.iter().filter(|b| last.is_none_or(|l| b.1 >= l.position)) {
            cut.observe_tail(header);
        }
        prop_assert_eq!(cut.max_timestamp(), closed.max_timestamp());
        for (header, position) in second {
            cut.observe(header, *position).unwrap();
        }
        let last = closed.offsets().last();
        closed.close().unwrap();
        let (offsets, times) = (closed.offsets().encode_from(0), closed.times().encode_from(0));
        let mut reopened =
            SegmentIndex::from_bytes(offset(BASE), limits, &offsets, &times).unwrap();
        for (header, _) in first.iter().filter(|b| last.is_none_or(|l| b.1 >= l.position)) {
            reopened.observe_tail(header);
        }
        for (header, position) in second {
            reopened.observe(header, *position).unwrap();
        }
        let whole = index_of(&batches, limits);
        prop_assert_eq!(cut.offsets().encode_from(0), whole.offsets().encode_from(0));
        prop_assert_eq!(cut.times().encode_from(0), whole.times().encode_from(0));
        prop_assert_eq!(reopened.offsets().encode_from(0), whole.offsets().encode_from(0));
        prop_assert_eq!(
            reopened.max_timestamp().map(|max| max.timestamp),
            whole.max_timestamp().map(|max| max.timestamp)
        );
    }

    #[test]
    fn noise_never_panics(bytes in vec(any::<u8>(), 0..200), target in any::<i64>()) {
        let base = offset(BASE);
        let offsets = OffsetIndexBytes::new(base, &bytes);
        let at = Offset::from_wire(target).unwrap_or(base);
        let entry = offsets.floor(at);
        let _ = entry.map(|entry| offsets.upper_bound(entry, 77));
        let _ = (offsets.verify(), offsets.size_below(at));
        prop_assert_eq!(
            ActiveOffsetIndex::from_bytes(base, &bytes, 8192).is_ok(),
            offsets.verify().is_ok()
        );
        let times = TimeIndexBytes::new(Offset::MAX, &bytes);
        let _ = times.last_before(WallMillis::from_millis(target));
        let _ = (times.verify(), times.last(), times.size_below(at));
    }
}

//! Promises of the batch module as a whole.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::WallMillis;

const LIMIT: usize = 1 << 24;

/// A record that owns its bytes.
#[derive(Clone, Debug)]
struct OwnRecord {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn own_record() -> impl Strategy<Value = OwnRecord> {
    let nullable = || proptest::option::of(bytes());
    (
        any::<i64>(),
        nullable(),
        nullable(),
        vec((bytes(), nullable()), 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| OwnRecord {
            timestamp,
            key,
            value,
            headers,
        })
}

fn codec() -> impl Strategy<Value = Compression> {
    proptest::sample::select(Compression::ALL.to_vec())
}

fn append(builder: &mut BatchBuilder, delta: i32, record: &OwnRecord) {
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .collect();
    let record = NewRecord {
        timestamp: WallMillis::from_millis(record.timestamp),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    };
    builder.append_at(delta, &record).unwrap();
}

fn batch_of(count: u32) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for i in 0..count {
        let value = i.to_be_bytes();
        let timestamp = WallMillis::from_millis(i64::from(i));
        let value = Some(value.as_slice());
        builder
            .append(&NewRecord {
                timestamp,
                value,
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn crc_is_castagnoli() {
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
}

#[test]
fn a_stamp_leaves_the_crc_valid() {
    let mut bytes = batch_of(3);
    let before = *BatchView::parse(&bytes).unwrap().header();
    let mut batch = BatchMut::parse(&mut bytes).unwrap();
    batch.stamp(Offset::from(70_u32), LeaderEpoch::from(9_u16));
    let stamped = *batch.header();
    let view = BatchView::parse(&bytes).unwrap();
    assert_eq!(*view.header(), stamped);
    assert!(view.is_crc_valid());
    assert_eq!(view.header().crc(), before.crc());
    assert_eq!(view.header().last_offset(), Offset::from(72_u32));
    assert_eq!(view.header().leader_epoch(), Some(LeaderEpoch::from(9_u16)));
}

#[test]
fn log_append_time_is_every_records_time() {
    let mut bytes = batch_of(3);
    let now = WallMillis::from_millis(1_700_000_000_000);
    BatchMut::parse(&mut bytes)
        .unwrap()
        .set_timestamps(TimestampType::LogAppendTime, now);
    let view = BatchView::parse(&bytes).unwrap();
    assert!(view.is_crc_valid());
    assert_eq!(view.header().max_timestamp(), now);
    let records = view.records(LIMIT).unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.unwrap().timestamp == now)
    );
}

#[test]
fn a_torn_tail_is_told_from_a_corrupt_one() {
    let mut buffer = batch_of(2);
    let first = buffer.len();
    buffer.extend(batch_of(5));
    for cut in first + 1..buffer.len() {
        let mut batches = Batches::new(&buffer[..cut]);
        assert!(batches.next().unwrap().is_ok());
        assert!(
            batches.next().unwrap().unwrap_err().is_truncation(),
            "cut at {cut}"
        );
        assert_eq!(batches.position(), first);
        assert!(batches.next().is_none());
    }
    buffer[first + 16] = 3;
    let mut batches = Batches::new(&buffer).skip(1);
    assert_eq!(
        batches.next().unwrap().unwrap_err(),
        BatchError::UnknownMagic { magic: 3 }
    );
    assert!(batches.next().is_none());
}

#[test]
fn old_formats_are_named() {
    let mut old = vec![0; 40];
    old[11] = 28;
    assert_eq!(
        BatchView::parse(&old).unwrap_err(),
        BatchError::OldMagic { magic: 0 }
    );
    old[16] = 1;
    assert_eq!(
        BatchView::parse(&old).unwrap_err(),
        BatchError::OldMagic { magic: 1 }
    );
    old[16] = 2;
    assert_eq!(
        BatchView::parse(&old).unwrap_err(),
        BatchError::Length { length: 28 }
    );
}

#[test]
fn markers_survive() {
    let producer = ProducerStamp {
        id: ProducerId::from_wire(7).unwrap(),
        epoch: ProducerEpoch::from_wire(2).unwrap(),
        base_sequence: Some(Sequence::ZERO),
    };
    let marker = EndTxnMarker {
        is_commit: true,
        coordinator_epoch: 11,
    };
    let built = BatchBuilder::end_txn(producer, marker, WallMillis::from_millis(5)).unwrap();
    let bytes = built.build().unwrap();
    let view = BatchView::parse(&bytes).unwrap();
    assert!(view.header().attributes().is_control());
    assert!(view.header().attributes().is_transactional());
    assert_eq!(view.header().base_sequence(), None);
    let records = view.records(LIMIT).unwrap();
    let record = records.iter().next().unwrap().unwrap();
    assert_eq!(EndTxnMarker::decode(record.key, record.value), Some(marker));
    assert_eq!(
        EndTxnMarker::decode(Some(&[0, 0, 0, 2]), record.value),
        None
    );
}

/// Each lie about a record is found where it stands.
#[test]
fn a_lying_record_is_refused() {
    let walk = |bytes: &[u8]| {
        let view = BatchView::parse(bytes).unwrap();
        view.records(LIMIT).unwrap().iter().find_map(Result::err)
    };
    let good = batch_of(2);
    assert_eq!(walk(&good), None);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        walk(&bytes)
    };
    // A record of this batch: length 10, attributes, two deltas, no key, 4 bytes, no headers.
    assert_eq!(
        with(HEADER_SIZE, 2),
        Some(RecordError::Malformed { index: 0 })
    );
    assert_eq!(
        with(HEADER_SIZE, 127),
        Some(RecordError::Malformed { index: 0 })
    );
    assert_eq!(
        with(HEADER_SIZE + 5, 6),
        Some(RecordError::Length { index: 0 })
    );
    let delta = Some(RecordError::OffsetDelta {
        index: 0,
        delta: -1,
    });
    assert_eq!(with(HEADER_SIZE + 3, 1), delta);
    assert_eq!(with(60, 3), Some(RecordError::Malformed { index: 2 }));
    assert_eq!(
        with(60, 1),
        Some(RecordError::Trailing {
            count: 1,
            bytes: 11
        })
    );
    assert_eq!(
        with(57, 0x80),
        Some(RecordError::Count {
            count: i32::MIN + 2
        })
    );
}

/// S2: offsets rise. S3: epochs never fall. S4: the CRC is checked.
#[test]
fn order_is_held_and_gaps_are_not() {
    let batch = |base: u32, epoch: u16| {
        let mut builder = BatchBuilder::new()
            .base_offset(Offset::from(base))
            .leader_epoch(LeaderEpoch::from(epoch));
        builder.append_at(4, &NewRecord::default()).unwrap();
        builder.build().unwrap()
    };
    let mut order = LogOrder::new(Offset::from(10_u32), Some(LeaderEpoch::from(3_u16)));
    let mut check = |bytes: &[u8]| order.check(&BatchView::parse(bytes).unwrap());
    assert!(matches!(
        check(&batch(9, 3)),
        Err(CheckError::Offset { .. })
    ));
    assert!(matches!(
        check(&batch(10, 2)),
        Err(CheckError::Epoch { .. })
    ));
    assert_eq!(check(&batch(12, 3)), Ok(()));
    assert!(matches!(
        check(&batch(16, 3)),
        Err(CheckError::Offset { .. })
    ));
    assert_eq!(check(&batch(17, 4)), Ok(()));
    let mut bytes = batch(100, 4);
    bytes[HEADER_SIZE] ^= 1;
    assert!(matches!(check(&bytes), Err(CheckError::Crc { .. })));
}

proptest! {
    #[test]
    fn a_batch_holds_what_was_put_in(
        records in vec((1..5_i32, own_record()), 1..20),
        codec in codec(),
        base in 0..i64::MAX / 2,
    ) {
        let base = Offset::from_wire(base).unwrap();
        let mut builder = BatchBuilder::new()
            .base_offset(base)
            .compression(codec, CompressionLevels::default());
        let mut deltas = Vec::new();
        let mut delta = -1;
        for (gap, record) in &records {
            delta += gap;
            append(&mut builder, delta, record);
            deltas.push(delta);
        }
        let built = builder.build().unwrap();
        let view = BatchView::parse(&built).unwrap();
        prop_assert!(view.is_crc_valid());
        prop_assert_eq!(view.header().attributes().compression(), Ok(codec));
        prop_assert_eq!(view.header().last_offset_delta(), delta);
        prop_assert_eq!(LogOrder::new(base, None).check(&view), Ok(()));
        let max = records.iter().map(|(_, r)| r.timestamp).max().unwrap().max(-1);
        prop_assert_eq!(view.header().max_timestamp().as_millis(), max);

        let set = view.records(LIMIT).unwrap();
        let read: Vec<_> = set.iter().collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), records.len());
        for ((read, (_, put)), delta) in read.iter().zip(&records).zip(deltas) {
            prop_assert_eq!(read.offset_delta, delta);
            prop_assert_eq!(read.offset.since(base), u64::try_from(delta).ok());
            prop_assert_eq!(read.timestamp.as_millis(), put.timestamp);
            prop_assert_eq!(read.key, put.key.as_deref());
            prop_assert_eq!(read.value, put.value.as_deref());
            let headers: Vec<_> =
                read.headers.into_iter().map(|h| (h.key, h.value)).collect();
            let put: Vec<_> =
                put.headers.iter().map(|(k, v)| (k.as_slice(), v.as_deref())).collect();
            prop_assert_eq!(headers, put);
        }
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..200)) {
        walk_all(&noise);
    }

    /// Headers that frame well and lie about the rest.
    #[test]
    fn a_hostile_header_never_panics(
        count in 1..4_u32,
        damage in vec((17..160_usize, any::<u8>()), 1..12),
    ) {
        let mut bytes = batch_of(count);
        for (at, byte) in damage {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        walk_all(&bytes);
    }
}

/// Touches everything that a hostile batch could make go wrong.
fn walk_all(buffer: &[u8]) {
    for batch in Batches::new(buffer).flatten() {
        let header = batch.header();
        let _ = (
            header.last_offset(),
            header.next_offset(),
            header.last_sequence(),
        );
        let _ = LogOrder::new(Offset::ZERO, None).check(&batch);
        if let Ok(records) = batch.records(LIMIT) {
            for record in records.iter().flatten() {
                let listed = u32::try_from(record.headers.into_iter().count()).unwrap();
                assert_eq!(listed, record.headers.count());
            }
        }
    }
}

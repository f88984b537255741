//! Bytes that Kafka 4.4.0's own classes wrote, read and where it is possible written again.
//!
//! The batches are those of `MemoryRecordsBuilder`, the snapshot is `ProducerStateManager`'s, the
//! indexes are `OffsetIndex`'s and `TimeIndex`'s.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::time::Duration;

use ottla_storage::batch::{
    BatchBuilder, BatchView, Compression, CompressionLevels, EndTxnMarker, Header, NewRecord,
    ProducerStamp, TimestampType,
};
use ottla_storage::index::{IndexLimits, OffsetIndexBytes, SegmentIndex, TimeIndexBytes};
use ottla_storage::producer_state::ProducerStates;
use ottla_storage::time::WallMillis;
use ottla_storage::{Offset, ProducerEpoch, ProducerId, Sequence};

const NONE: &str = "00000000000000000000009bffffffff021b50c6340000000000020000018bcfe568000000018bcfe568\
     faffffffffffffffffffffffffffff00000003360000000a6b65792d310e76616c75652d310602680261\
     02680100008a0100f40302017c7468652073616d6520776f7264732c207468652073616d6520776f7264\
     732c207468652073616d6520776f7264732c207468652073616d6520776f726473000c000104000100";

const IDEM: &str = "00000000000000000000009bffffffff0236e23e1b0010000000020000018bcfe568000000018bcfe568\
     fa000000000000109200077ffffffe00000003360000000a6b65792d310e76616c75652d310602680261\
     02680100008a0100f40302017c7468652073616d6520776f7264732c207468652073616d6520776f7264\
     732c207468652073616d6520776f7264732c207468652073616d6520776f726473000c000104000100";

const LAT: &str = "00000000000000000000009bffffffff02c3a556720008000000020000018bcfe568000000018bcfe569\
     f4ffffffffffffffffffffffffffff00000003360000000a6b65792d310e76616c75652d310602680261\
     02680100008a0100f40302017c7468652073616d6520776f7264732c207468652073616d6520776f7264\
     732c207468652073616d6520776f7264732c207468652073616d6520776f726473000c000104000100";

const GZIP: &str = "000000000000000000000083ffffffff02518697f40001000000020000018bcfe568000000018bcfe568\
     faffffffffffffffffffffffffffff000000031f8b08000000000000ff33636060e0ca4eadd435e42b4b\
     cc294dd5356463ca604a64ca606460e86264f8c2ccc458539291aa509c989baa509e5f9452aca3401a9f\
     818781918581910100ad2a857d6a000000";

const SNAPPY: &str = "000000000000000000000088ffffffff02e6cced290002000000020000018bcfe568000000018bcfe568\
     faffffffffffffffffffffffffffff0000000382534e41505059000000000100000001000000436ad036\
     0000000a6b65792d310e76616c75652d31060268026102680100008a0100f40302017c7468652073616d\
     6520776f7264732c2074b210001c000c000104000100";

const LZ4: &str = "000000000000000000000082ffffffff025bdf21b10003000000020000018bcfe568000000018bcfe568\
     faffffffffffffffffffffffffffff0000000304224d1860408242000000ff25360000000a6b65792d31\
     0e76616c75652d31060268026102680100008a0100f40302017c7468652073616d6520776f7264732c20\
     10001b80000c00010400010000000000";

const ZSTD: &str = "000000000000000000000081ffffffff02f34bcab00004000000020000018bcfe568000000018bcfe568\
     faffffffffffffffffffffffffffff0000000328b52ffd0058240200c403360000000a6b65792d310e76\
     616c75652d31060268026102680100008a0100f40302017c7468652073616d6520776f7264732c20000c\
     0001040001000100f498130a010000";

const MARKER: &str = "000000000000004d000000420000000502e314eb360030000000000000018bcfe568000000018bcfe568\
     0000000000000010920007ffffffff000000012000000008000000010c00000000000900";

const SNAPSHOT: &str = "0001a69174af000000030000000000000007000300000006000000000000002900000001000000000000\
     0410ffffffffffffffffffffffff00000000000000080000000000000000000000000032000000000000\
     00000000041affffffff000000000000003200000000000000090002ffffffffffffffffffffffff0000\
     0000000000000000042500000003ffffffffffffffff";

const OFFSET_INDEX: &str = "00000004000010680000010200011170";

const TIME_INDEX: &str = "0000018bcfe56800000000040000018bcfe569f4000000c8";

fn unhex(text: &str) -> Vec<u8> {
    let digit = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn at(millis: i64) -> WallMillis {
    WallMillis::from_millis(millis)
}

fn stamp() -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::from_wire(4242).unwrap(),
        epoch: ProducerEpoch::from_wire(7).unwrap(),
        base_sequence: Sequence::from_wire(i32::MAX - 1),
    }
}

const WORDS: &[u8] = b"the same words, the same words, the same words, the same words";
const HEADERS: &[(&[u8], Option<&[u8]>)] = &[(b"h", Some(b"a")), (b"h", None), (b"", Some(b""))];

/// The records that went into every one of the data batches.
fn records() -> [NewRecord<'static>; 3] {
    let key = Some(b"key-1".as_slice());
    let value = Some(b"value-1".as_slice());
    [
        NewRecord {
            timestamp: at(1_700_000_000_000),
            key,
            value,
            headers: HEADERS,
        },
        NewRecord {
            timestamp: at(1_700_000_000_250),
            value: Some(WORDS),
            ..NewRecord::default()
        },
        NewRecord {
            timestamp: at(1_699_999_999_999),
            key: Some(b""),
            ..NewRecord::default()
        },
    ]
}

fn builder() -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for record in records() {
        builder.append(&record).unwrap();
    }
    builder
}

#[test]
fn batches_of_the_java_client_are_read() {
    let codecs = [NONE, GZIP, SNAPPY, LZ4, ZSTD];
    for (text, codec) in codecs.into_iter().zip(Compression::ALL) {
        let bytes = unhex(text);
        let batch = BatchView::parse(&bytes).unwrap();
        assert_eq!(batch.bytes().len(), bytes.len());
        assert!(batch.is_crc_valid());
        assert_eq!(batch.header().attributes().compression(), Ok(codec));
        assert_eq!(batch.header().max_timestamp(), at(1_700_000_000_250));
        assert_eq!(batch.header().last_offset(), Offset::from(2_u32));
        let set = batch.records(4096).unwrap();
        let read: Vec<_> = set.iter().map(Result::unwrap).collect();
        for (read, put) in read.iter().zip(records()) {
            assert_eq!((read.key, read.value), (put.key, put.value), "{codec:?}");
            assert_eq!(read.timestamp, put.timestamp);
            let headers = put
                .headers
                .iter()
                .map(|(key, value)| Header { key, value: *value });
            assert!(read.headers.into_iter().eq(headers));
        }
        assert_eq!(read.len(), 3);
    }
}

#[test]
fn batches_are_written_as_the_java_client_writes_them() {
    assert_eq!(builder().build().unwrap(), unhex(NONE));
    let idempotent = builder()
        .producer(stamp())
        .transactional(true)
        .build()
        .unwrap();
    assert_eq!(idempotent, unhex(IDEM));
    let last = BatchView::parse(&idempotent)
        .unwrap()
        .header()
        .last_sequence();
    assert_eq!(last, Some(Sequence::ZERO));
    let appended = builder().build_at(at(1_700_000_000_500)).unwrap();
    assert_eq!(appended, unhex(LAT));
    let view = BatchView::parse(&appended).unwrap();
    assert_eq!(
        view.header().attributes().timestamp_type(),
        TimestampType::LogAppendTime
    );
    // Compressors differ in their output, but not in what it means.
    for (text, codec) in [GZIP, SNAPPY, LZ4, ZSTD]
        .into_iter()
        .zip(&Compression::ALL[1..])
    {
        let java = unhex(text);
        let ours = builder()
            .compression(*codec, CompressionLevels::default())
            .build()
            .unwrap();
        let (java, ours) = (
            BatchView::parse(&java).unwrap(),
            BatchView::parse(&ours).unwrap(),
        );
        let (java, ours) = (java.records(4096).unwrap(), ours.records(4096).unwrap());
        assert_eq!(ours.body(), java.body(), "{codec:?}");
    }
}

#[test]
fn markers_are_kafkas() {
    let marker = EndTxnMarker {
        is_commit: true,
        coordinator_epoch: 9,
    };
    let built = BatchBuilder::end_txn(stamp(), marker, at(1_700_000_000_000)).unwrap();
    let built = built.base_offset(Offset::from(77_u32));
    let bytes = built
        .leader_epoch(ottla_storage::LeaderEpoch::from(5_u16))
        .build()
        .unwrap();
    assert_eq!(bytes, unhex(MARKER));
}

/// A plain producer, one with an open transaction, and one after its marker.
#[test]
fn a_producer_snapshot_is_kafkas() {
    let bytes = unhex(SNAPSHOT);
    let end = Offset::from(62_u32);
    let states = ProducerStates::decode(&bytes, end, at(2000), Duration::from_hours(1)).unwrap();
    let entry = |id| states.get(ProducerId::from_wire(id).unwrap()).unwrap();
    assert_eq!(entry(7).last_sequence(), Sequence::from_wire(6));
    assert_eq!(
        entry(7).last_batch().unwrap().base_offset,
        Offset::from(40_u32)
    );
    assert_eq!(entry(8).txn_first_offset(), Some(Offset::from(50_u32)));
    assert_eq!(
        (entry(9).last_batch(), entry(9).coordinator_epoch()),
        (None, 3)
    );
    assert_eq!(states.first_open_transaction(), Some(Offset::from(50_u32)));
    assert_eq!(states.encode(), bytes);
}

#[test]
fn indexes_are_kafkas() {
    let (offsets, times) = (unhex(OFFSET_INDEX), unhex(TIME_INDEX));
    let base = Offset::from(1000_u32);
    let index = OffsetIndexBytes::new(base, &offsets);
    let entry = index.get(1).unwrap();
    assert_eq!(
        (entry.offset, entry.position),
        (Offset::from(1258_u32), 70_000)
    );
    let last = TimeIndexBytes::new(base, &times).last().unwrap();
    assert_eq!(
        (last.timestamp, last.offset),
        (at(1_700_000_000_500), Offset::from(1200_u32))
    );
    let taken = SegmentIndex::from_bytes(base, IndexLimits::default(), &offsets, &times).unwrap();
    assert_eq!(taken.offsets().encode_from(0), offsets);
    assert_eq!(taken.times().encode_from(0), times);
}

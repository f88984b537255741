//! Each rule refuses with its own error, and what passes is what the log may hold.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, HEADER_SIZE, NewRecord, ProducerStamp, RecordError};
use crate::ids::{ProducerEpoch, ProducerId, Sequence};

const NOW: WallMillis = WallMillis::from_millis(1_700_000_000_000);
const ARRIVAL: Arrival = Arrival {
    now: NOW,
    accepts_zstd: true,
};

fn builder(codec: Compression) -> BatchBuilder {
    let mut builder = BatchBuilder::new().compression(codec, CompressionLevels::default());
    for age in [30, 10, 20] {
        let timestamp = WallMillis::from_millis(NOW.as_millis() - age);
        let (key, value) = (Some(b"key".as_slice()), Some(b"the same value".as_slice()));
        builder
            .append(&NewRecord {
                timestamp,
                key,
                value,
                headers: &[],
            })
            .unwrap();
    }
    builder
}

fn good() -> Vec<u8> {
    builder(Compression::None).build().unwrap()
}

/// The good batch with bytes replaced and the CRC made right again.
fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    rehashed(good(), at, bytes)
}

fn rehashed(mut batch: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c::crc32c(&batch[21..]).to_be_bytes();
    batch[17..21].copy_from_slice(&crc);
    batch
}

fn run(records: &mut [u8], policy: &Policy) -> Result<Validated, ValidateError> {
    validate(records, policy, ARRIVAL)
}

fn refusal(mut records: Vec<u8>) -> ValidateError {
    run(&mut records, &Policy::default()).unwrap_err()
}

fn full() -> Policy {
    Policy {
        records: RecordChecks::Full,
        ..Policy::default()
    }
}

fn append_time(policy: Policy) -> Policy {
    let timestamps = TimestampPolicy {
        kind: TimestampType::LogAppendTime,
        ..policy.timestamps
    };
    Policy {
        timestamps,
        ..policy
    }
}

macro_rules! refuses {
    ($records:expr, $error:pat) => {
        let error = refusal($records);
        assert!(matches!(error, $error), "{error:?}");
    };
}

#[test]
fn a_good_batch_is_not_touched() {
    let before = good();
    let mut records = before.clone();
    let mut validated = run(&mut records, &Policy::default()).unwrap();
    assert_eq!(validated.bytes(&mut records), before);
    assert_eq!(validated.offset_count(), 3);
    assert_eq!(validated.max_timestamp().as_millis(), NOW.as_millis() - 10);
    assert_eq!(
        (validated.append_time(), validated.producer()),
        (None, None)
    );
    assert!(validated.into_rewritten().is_none());
}

#[test]
fn framing_is_refused_first() {
    refuses!(Vec::new(), ValidateError::NoBatch { size: 0 });
    refuses!(good()[..70].to_vec(), ValidateError::NoBatch { size: 70 });
    refuses!(patched(16, &[1]), ValidateError::OldMagic { magic: 1 });
    refuses!(patched(16, &[3]), ValidateError::Corrupt);
    refuses!(patched(8, &[0xff; 4]), ValidateError::Corrupt);
    refuses!(patched(8, &48_i32.to_be_bytes()), ValidateError::Corrupt);
    refuses!(
        [good(), good()].concat(),
        ValidateError::SeveralBatches { .. }
    );
    refuses!(patched(7, &[1]), ValidateError::BaseOffset { offset: 1 });
    refuses!(patched(0, &[0xff]), ValidateError::BaseOffset { .. });
}

/// A flipped bit is a transmission error, which the client may retry; reported as a lie of the
/// header it would be final.
#[test]
fn a_flipped_bit_is_corruption_and_nothing_else() {
    let (good, crc_end) = (good(), 21);
    for at in crc_end..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        refuses!(bad, ValidateError::Crc { .. });
    }
}

#[test]
fn a_lying_header_is_refused() {
    refuses!(
        patched(57, &2_i32.to_be_bytes()),
        ValidateError::OffsetRange { count: 2, .. }
    );
    refuses!(
        patched(23, &(-1_i32).to_be_bytes()),
        ValidateError::OffsetRange { .. }
    );
    refuses!(
        patched(57, &i32::MIN.to_be_bytes()),
        ValidateError::OffsetRange {
            count: i32::MIN,
            ..
        }
    );
    refuses!(patched(22, &[0x20]), ValidateError::ControlBatch);
    refuses!(
        patched(22, &[0x10]),
        ValidateError::TransactionWithoutProducer
    );
    refuses!(patched(22, &[0x40]), ValidateError::DeleteHorizon);
    refuses!(patched(22, &[0x08]), ValidateError::LogAppendTime);
    refuses!(patched(22, &[0x05]), ValidateError::UnknownCompression(_));
    refuses!(
        patched(43, &7_i64.to_be_bytes()),
        ValidateError::MissingSequence { .. }
    );
    let stamp = ProducerStamp {
        id: ProducerId::ZERO,
        epoch: ProducerEpoch::ZERO,
        base_sequence: Some(Sequence::ZERO),
    };
    let idempotent = builder(Compression::None).producer(stamp).build().unwrap();
    refuses!(
        rehashed(idempotent, 51, &[0xff, 0xff]),
        ValidateError::MissingEpoch { .. }
    );
}

#[test]
fn lying_records_are_refused() {
    refuses!(
        patched(HEADER_SIZE, &[2]),
        ValidateError::Malformed(RecordError::Malformed { index: 0 })
    );
    let header = Policy {
        records: RecordChecks::Header,
        ..Policy::default()
    };
    run(&mut patched(HEADER_SIZE, &[2]), &header).unwrap();
    // The second record claims the third's offset: its delta is the fourth byte of a record.
    let record_size = good()[HEADER_SIZE..].len() / 3;
    let lie = patched(HEADER_SIZE + record_size + 3, &[4]);
    let ValidateError::InvalidRecords { records } = refusal(lie) else {
        panic!("not refused for its records")
    };
    let reason = RejectReason::OffsetDelta { delta: 2 };
    assert_eq!(records, [RejectedRecord { index: 1, reason }]);
}

#[test]
fn sizes_have_three_limits() {
    let size = good().len();
    let mut policy = Policy {
        message_size_max: size - 1,
        ..Policy::default()
    };
    let error = run(&mut good(), &policy).unwrap_err();
    assert!(matches!(error, ValidateError::TooLarge { .. }));
    policy = Policy {
        segment_size_max: size - 1,
        ..Policy::default()
    };
    let error = run(&mut good(), &policy).unwrap_err();
    assert!(matches!(error, ValidateError::LargerThanSegment { .. }));
    policy = Policy {
        decompressed_size_max: 40,
        ..full()
    };
    let mut packed = builder(Compression::Lz4).build().unwrap();
    let error = run(&mut packed, &policy).unwrap_err();
    assert!(matches!(
        error,
        ValidateError::DecompressedTooLarge { size_max: 40 }
    ));
}

#[test]
fn a_compacted_topic_needs_every_key() {
    let policy = Policy {
        is_compacted: true,
        ..Policy::default()
    };
    for codec in Compression::ALL {
        let mut keyless = builder(codec);
        let timestamp = NOW;
        keyless
            .append(&NewRecord {
                timestamp,
                ..NewRecord::default()
            })
            .unwrap();
        let error = run(&mut keyless.build().unwrap(), &policy).unwrap_err();
        let ValidateError::InvalidRecords { records } = error else {
            panic!("{error:?}")
        };
        assert_eq!(
            records,
            [RejectedRecord {
                index: 3,
                reason: RejectReason::NoKey
            }]
        );
        run(&mut builder(codec).build().unwrap(), &policy).unwrap();
    }
}

#[test]
fn a_time_out_of_range_fails_the_batch() {
    let policy = |before, after| Policy {
        timestamps: TimestampPolicy {
            kind: TimestampType::CreateTime,
            before_ms_max: before,
            after_ms_max: after,
        },
        ..Policy::default()
    };
    run(&mut good(), &policy(30, 0)).unwrap();
    let error = run(&mut good(), &policy(19, 0)).unwrap_err();
    let ValidateError::InvalidTimestamps { records } = error else {
        panic!("{error:?}")
    };
    assert_eq!(records.iter().map(|r| r.index).collect::<Vec<_>>(), [0, 2]);
    run(&mut good(), &append_time(policy(19, 0))).unwrap();

    let mut late = BatchBuilder::new();
    let timestamp = WallMillis::from_millis(NOW.as_millis() + 60);
    late.append(&NewRecord {
        timestamp,
        ..NewRecord::default()
    })
    .unwrap();
    run(&mut late.clone().build().unwrap(), &policy(0, 60)).unwrap();
    for codec in Compression::ALL {
        let late = late
            .clone()
            .compression(codec, CompressionLevels::default());
        let error = run(&mut late.build().unwrap(), &policy(0, 59)).unwrap_err();
        assert!(matches!(error, ValidateError::InvalidTimestamps { .. }));
    }
    let mut timeless = BatchBuilder::new();
    timeless
        .append(&NewRecord {
            timestamp: WallMillis::NONE,
            ..NewRecord::default()
        })
        .unwrap();
    run(&mut timeless.build().unwrap(), &policy(0, 0)).unwrap();
}

#[test]
fn log_append_time_is_stamped_without_a_copy() {
    let mut records = good();
    let mut validated = run(&mut records, &append_time(Policy::default())).unwrap();
    assert_eq!(validated.append_time(), Some(NOW));
    assert_eq!(validated.max_timestamp(), NOW);
    let stored = BatchView::parse(validated.bytes(&mut records)).unwrap();
    assert!(stored.is_crc_valid());
    assert_eq!(
        stored.header().attributes().timestamp_type(),
        TimestampType::LogAppendTime
    );
    assert_eq!(stored.body(), BatchView::parse(&good()).unwrap().body());
}

/// Some clients send compressed batches with -1 as the maximum timestamp: time lookups would skip
/// them, and retention would take them for ageless.
#[test]
fn a_missing_maximum_is_found_even_in_a_compressed_batch() {
    for codec in Compression::ALL {
        let packed = builder(codec).build().unwrap();
        let mut records = rehashed(packed, 35, &(-1_i64).to_be_bytes());
        let validated = run(&mut records, &Policy::default()).unwrap();
        assert_eq!(
            validated.max_timestamp().as_millis(),
            NOW.as_millis() - 10,
            "{codec:?}"
        );
        assert!(BatchView::parse(&records).unwrap().is_crc_valid());
    }
}

#[test]
fn a_claimed_maximum_is_recomputed_where_records_are_read() {
    let lie = (NOW.as_millis() + 5).to_be_bytes();
    let mut records = patched(35, &lie);
    let validated = run(&mut records, &Policy::default()).unwrap();
    assert_eq!(validated.max_timestamp().as_millis(), NOW.as_millis() - 10);
    assert!(BatchView::parse(&records).unwrap().is_crc_valid());
}

#[test]
fn zstd_needs_a_request_that_knows_it() {
    let mut records = builder(Compression::Zstd).build().unwrap();
    let early = Arrival {
        accepts_zstd: false,
        ..ARRIVAL
    };
    let error = validate(&mut records, &Policy::default(), early).unwrap_err();
    assert!(matches!(error, ValidateError::ZstdTooEarly));
    run(&mut records, &Policy::default()).unwrap();
}

#[test]
fn garbage_under_a_codec_is_found_where_records_are_read() {
    for codec in Compression::ALL.into_iter().skip(1) {
        let id = u8::try_from(codec.id()).unwrap();
        let error = run(&mut patched(22, &[id]), &full()).unwrap_err();
        let is_expected = matches!(
            error,
            ValidateError::Decompress(_) | ValidateError::Malformed(_)
        );
        assert!(is_expected, "{codec:?}: {error:?}");
        run(&mut patched(22, &[id]), &Policy::default()).unwrap();
    }
}

#[test]
fn a_topics_codec_replaces_the_clients() {
    for source in Compression::ALL {
        for target in Compression::ALL {
            let policy = Policy {
                compression: Some(target),
                ..Policy::default()
            };
            let stamp = ProducerStamp {
                id: ProducerId::ZERO,
                epoch: ProducerEpoch::MAX,
                base_sequence: Some(Sequence::MAX),
            };
            let mut records = builder(source).producer(stamp).build().unwrap();
            let before = records.clone();
            let mut validated = run(&mut records, &append_time(policy)).unwrap();
            assert_eq!(validated.rewritten.is_some(), source != target);
            let header = *validated.header();
            let stored = BatchView::parse(validated.bytes(&mut records)).unwrap();
            assert!(stored.is_crc_valid());
            assert_eq!(*stored.header(), header);
            assert_eq!(header.attributes().compression(), Ok(target));
            assert_eq!(header.max_timestamp(), NOW);
            let sent = BatchView::parse(&before).unwrap();
            assert_eq!(
                stored.records(1 << 20).unwrap().body(),
                sent.records(1 << 20).unwrap().body()
            );
            assert_eq!(
                ProducerAppend::of(&header),
                ProducerAppend::of(sent.header())
            );
        }
    }
}

#[test]
fn a_batch_that_grows_over_the_limit_is_refused() {
    let packed = builder(Compression::Gzip).build().unwrap();
    let policy = Policy {
        message_size_max: good().len() - 1,
        compression: Some(Compression::None),
        ..Policy::default()
    };
    assert!(packed.len() < good().len());
    let error = run(&mut packed.clone(), &policy).unwrap_err();
    assert!(matches!(error, ValidateError::TooLarge { .. }));
}

proptest! {
    /// A batch that hashes right and lies about anything else never panics, and what passes in full
    /// is what a follower and recovery accept.
    #[test]
    fn what_passes_is_a_batch(
        damage in vec((21..200_usize, any::<u8>()), 0..6),
        codec in proptest::sample::select(Compression::ALL.to_vec()),
        target in proptest::option::of(proptest::sample::select(Compression::ALL.to_vec())),
        is_append_time in any::<bool>(),
        is_compacted in any::<bool>(),
    ) {
        let mut records = builder(codec).build().unwrap();
        for (at, byte) in damage {
            if at < records.len() {
                records = rehashed(records, at, &[byte]);
            }
        }
        let policy = Policy {
            compression: target,
            is_compacted,
            decompressed_size_max: 1 << 20,
            ..full()
        };
        let policy = if is_append_time { append_time(policy) } else { policy };
        if let Ok(mut validated) = run(&mut records, &policy) {
            let count = validated.offset_count();
            let stored = BatchView::parse(validated.bytes(&mut records)).unwrap();
            let mut order = crate::batch::LogOrder::new(Offset::ZERO, None);
            prop_assert_eq!(order.check(&stored), Ok(()));
            let set = stored.records(1 << 20).unwrap();
            let read: Vec<_> = set.iter().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(u32::try_from(read.len()), Ok(count));
            let max = read.iter().map(|r| r.timestamp).max().unwrap().max(WallMillis::NONE);
            prop_assert_eq!(max, stored.header().max_timestamp());
        }
    }
}

/// A record of next year would keep its segment until then, and all that is older behind it in the time index: more than
/// an hour ahead is refused unless the topic says otherwise, whether or not somebody looks at the records.
#[test]
fn gotcha_49_records_of_the_future_are_refused() {
    let hour = 3_600_000;
    for (ahead, is_taken) in [(hour, true), (hour + 1, false), (hour * 24 * 365, false)] {
        for codec in Compression::ALL {
            let mut batch = BatchBuilder::new().compression(codec, CompressionLevels::default());
            for timestamp in [NOW.as_millis(), NOW.as_millis() + ahead] {
                let record = NewRecord {
                    timestamp: WallMillis::from_millis(timestamp),
                    ..NewRecord::default()
                };
                batch.append(&record).unwrap();
            }
            let result = run(&mut batch.build().unwrap(), &Policy::default());
            let is_refused = matches!(result, Err(ValidateError::InvalidTimestamps { .. }));
            assert_eq!(
                (result.is_ok(), is_refused),
                (is_taken, !is_taken),
                "{codec:?}"
            );
        }
    }
}

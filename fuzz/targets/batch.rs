//! Record batches: walked as they come, and once more with framing and CRC made right, so that what
//! lies behind those two checks is reached: the leader's validation, the codecs, the records walk.
//!
//! The first byte chooses the topic's rules, the rest is a buffer of batches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_storage::Offset;
use ottla_storage::batch::{
    BatchView, Batches, Compression, CompressionLevels, HEADER_SIZE, LENGTH_PREFIX_SIZE, LogOrder,
    TimestampType,
};
use ottla_storage::producer_state::ProducerStates;
use ottla_storage::time::WallMillis;
use ottla_storage::validate::{Arrival, Policy, RecordChecks, TimestampPolicy, validate};

const SIZE_MAX: usize = 1 << 20;
const NOW: WallMillis = WallMillis::from_millis(1_700_000_000_000);

fuzz_target!(|input: &[u8]| {
    let Some((rules, buffer)) = input.split_first() else {
        return;
    };
    read(buffer);
    let Some(mut batch) = made_right(buffer) else {
        return;
    };
    read(&batch);
    append(&mut batch, *rules);
});

/// What recovery, a follower and a consumer do with bytes.
fn read(buffer: &[u8]) {
    let mut order = LogOrder::new(Offset::ZERO, None);
    let mut producers = ProducerStates::new(Offset::ZERO);
    for batch in Batches::new(buffer).flatten() {
        let header = batch.header();
        assert!(header.base_offset() <= header.last_offset());
        if order.check(&batch).is_ok() {
            assert_eq!(order.next_offset(), header.next_offset());
            let _ = producers.replay(&batch);
        }
        let Ok(records) = batch.records(SIZE_MAX) else {
            continue;
        };
        assert!(records.body().len() <= SIZE_MAX);
        for record in records.iter().flatten() {
            assert!(record.offset >= header.base_offset());
            let listed = record.headers.into_iter().count();
            assert_eq!(u32::try_from(listed), Ok(record.headers.count()));
        }
    }
    let end = producers.end();
    let snapshot = producers.encode();
    let again = ProducerStates::decode(&snapshot, end, WallMillis::ZERO, std::time::Duration::MAX);
    assert_eq!(again.map(|again| again.encode()), Ok(snapshot));
}

/// The buffer as one batch of a client: offset, length, magic and CRC are what they have to be.
fn made_right(buffer: &[u8]) -> Option<Vec<u8>> {
    let length = i32::try_from(buffer.len().checked_sub(LENGTH_PREFIX_SIZE)?).ok()?;
    if buffer.len() < HEADER_SIZE {
        return None;
    }
    let mut batch = buffer.to_vec();
    batch[..8].fill(0);
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = BatchView::parse(&batch).ok()?.computed_crc();
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    Some(batch)
}

/// What a leader takes in full must be what everybody else accepts.
fn append(batch: &mut [u8], rules: u8) {
    let codec = Compression::ALL.get(usize::from(rules & 7)).copied();
    let kind = match rules & 8 {
        0 => TimestampType::CreateTime,
        _ => TimestampType::LogAppendTime,
    };
    let policy = Policy {
        decompressed_size_max: SIZE_MAX,
        is_compacted: rules & 16 != 0,
        timestamps: TimestampPolicy {
            kind,
            before_ms_max: i64::MAX,
            after_ms_max: i64::MAX,
        },
        compression: codec,
        levels: CompressionLevels {
            zstd: 1,
            gzip: 1,
            ..CompressionLevels::default()
        },
        records: if rules & 32 == 0 {
            RecordChecks::Full
        } else {
            RecordChecks::Header
        },
        ..Policy::default()
    };
    let arrival = Arrival {
        now: NOW,
        accepts_zstd: rules & 64 == 0,
    };
    let Ok(mut validated) = validate(batch, &policy, arrival) else {
        return;
    };
    let count = validated.offset_count();
    let stored = BatchView::parse(validated.bytes(batch)).expect("a batch that was taken");
    assert_eq!(LogOrder::new(Offset::ZERO, None).check(&stored), Ok(()));
    assert_eq!(stored.header().attributes().timestamp_type(), kind);
    if policy.records == RecordChecks::Full {
        let records = stored.records(SIZE_MAX).expect("records that were read");
        let read = records
            .iter()
            .map(|record| record.expect("a record that was read"))
            .count();
        assert_eq!(u32::try_from(read), Ok(count));
    }
}

//! A compacted topic on a node: small segments are cleaned while clients write and read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use ottla::clock::wall;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla::wire::records::Records;
use ottla_storage::batch::{BatchBuilder, Batches, NewRecord};
use rustix::process::{Pid, Signal, kill_process};

use crate::Lab;
use crate::client::Client;
use crate::records::{create_topic, produce};

const SOON: Duration = Duration::from_secs(30);
const KEYS: usize = 7;

fn keyed(number: usize) -> Vec<u8> {
    let (key, value) = (format!("key {}", number % KEYS), number.to_string());
    let mut builder = BatchBuilder::new();
    let padding = vec![b'x'; 40_000];
    let record = NewRecord {
        timestamp: wall(),
        key: Some(key.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[(b"padding", Some(&padding))],
    };
    builder.append(&record).unwrap();
    builder.build().unwrap()
}

/// The records of partition 0 from its start to its high watermark, whatever offsets are missing.
fn read_all(client: &mut Client, topic: &str) -> Vec<(i64, String, String)> {
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let partition = FetchPartition {
            fetch_offset: next,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: Cow::Borrowed(topic),
            partitions: vec![partition],
            ..FetchTopic::default()
        };
        let request = FetchRequest {
            max_bytes: 1 << 24,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let high_watermark = client.call(12, &request, |answer| {
            let partition = &answer.responses[0].partitions[0];
            assert_eq!(partition.error_code, ErrorCode::None);
            let records = partition.records.as_ref().and_then(Records::as_slice);
            for batch in Batches::new(records.unwrap_or_default()).map_while(Result::ok) {
                assert!(batch.is_crc_valid());
                next = batch.header().next_offset().get();
                for record in &batch.records(1 << 26).unwrap() {
                    let record = record.unwrap();
                    let text =
                        |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                    let (key, value) = (text(record.key), text(record.value));
                    found.push((record.offset.get(), key, value));
                }
            }
            partition.high_watermark
        });
        if next == high_watermark {
            return found;
        }
    }
}

fn latest(found: &[(i64, String, String)]) -> BTreeMap<String, String> {
    let pairs = found
        .iter()
        .map(|(_, key, value)| (key.clone(), value.clone()));
    pairs.collect()
}

#[test]
fn the_latest_value_of_each_key_is_served_throughout() {
    let mut lab = Lab::start_with([
        "log.cleanup.policy=compact",
        "log.segment.bytes=1048576",
        "log.cleaner.backoff.ms=20",
        "log.cleaner.min.cleanable.ratio=0.01",
        "log.segment.delete.delay.ms=100",
        "log.retention.check.interval.ms=200",
    ]);
    assert_eq!(create_topic(&mut lab.connect(), "t"), ErrorCode::None);
    let mut count = 0;
    for round in 0..3 {
        let mut client = lab.connect();
        let mut wanted = BTreeMap::new();
        for _ in 0..120 {
            assert_eq!(
                produce(&mut client, "t", -1, &keyed(count)).0,
                ErrorCode::None
            );
            count += 1;
            if count % 20 == 0 {
                let from = count.saturating_sub(KEYS);
                wanted = (from..count)
                    .map(|number| (format!("key {}", number % KEYS), number.to_string()))
                    .collect();
                assert_eq!(latest(&read_all(&mut client, "t")), wanted);
            }
        }
        assert!(lab.node().says(&["cleaned a log", "records_dropped"], SOON));
        // A read of it takes a few milliseconds: the cleaner has some tens of seconds.
        let is_small = (0..5000).any(|_| read_all(&mut client, "t").len() < 60);
        assert!(is_small, "round {round} drops too little");
        let found = read_all(&mut client, "t");
        assert_eq!(latest(&found), wanted);
        assert!(found.is_sorted_by(|a, b| a.0 < b.0), "S2");
        let pid = Pid::from_raw(lab.node().id().cast_signed()).unwrap();
        kill_process(pid, Signal::USR1).unwrap();
        let counted = ["log cleaner since the start", "uncleanable_partitions=0"];
        assert!(lab.node().says(&counted, SOON));
        if round == 0 {
            lab.crash_and_restart();
        } else {
            lab.stop_and_restart();
        }
        assert_eq!(latest(&read_all(&mut lab.connect(), "t")), wanted);
    }
}

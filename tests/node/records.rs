//! Topics and records over the raw client, in a few words.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ottla::clock::wall;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla::wire::messages::metadata::MetadataRequest;
use ottla::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla::wire::records::Records;
use ottla_storage::batch::{BatchBuilder, Batches, NewRecord};

use crate::client::Client;

/// The version that names topics by name and has all record errors.
pub(crate) const PRODUCE_VERSION: i16 = 12;

/// Creates a topic of one partition.
pub(crate) fn create_topic(client: &mut Client, name: &str) -> ErrorCode {
    create(client, name, 1, 1)
}

pub(crate) fn create(client: &mut Client, name: &str, partitions: i32, replicas: i16) -> ErrorCode {
    let topic = CreatableTopic {
        name: Cow::Borrowed(name),
        num_partitions: partitions,
        replication_factor: replicas,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
        ..Default::default()
    };
    client.call(7, &request, |response| response.topics[0].error_code)
}

/// One batch that holds `values`.
pub(crate) fn batch(values: &[&str]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder
            .append(&NewRecord {
                value: Some(value.as_bytes()),
                timestamp: wall(),
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

/// Produces to partition 0; the error code and the base offset.
pub(crate) fn produce(
    client: &mut Client,
    topic: &str,
    acks: i16,
    records: &[u8],
) -> (ErrorCode, i64) {
    client.call(
        PRODUCE_VERSION,
        &produce_request(topic, acks, records),
        |response| {
            let partition = &response.responses[0].partition_responses[0];
            (partition.error_code, partition.base_offset)
        },
    )
}

pub(crate) fn produce_request<'a>(
    topic: &'a str,
    acks: i16,
    records: &'a [u8],
) -> ProduceRequest<'a> {
    let partition = PartitionProduceData {
        index: 0,
        records: Some(Records::Slice(records)),
    };
    let topic = TopicProduceData {
        name: Cow::Borrowed(topic),
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    }
}

/// The values of partition 0 from its start to its high watermark; offsets must be dense.
pub(crate) fn consume(client: &mut Client, topic: &str) -> Vec<String> {
    let mut values = Vec::new();
    loop {
        let next = i64::try_from(values.len()).unwrap();
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
            append_values(records.unwrap_or_default(), next, &mut values);
            partition.high_watermark
        });
        if i64::try_from(values.len()).unwrap() == high_watermark {
            return values;
        }
    }
}

fn append_values(records: &[u8], from: i64, values: &mut Vec<String>) {
    // The answer may begin with records before the offset asked for and end in half a batch.
    for batch in Batches::new(records).map_while(Result::ok) {
        assert!(batch.is_crc_valid());
        let set = batch.records(1 << 26).unwrap();
        for record in set
            .iter()
            .map(Result::unwrap)
            .filter(|record| record.offset.get() >= from)
        {
            assert_eq!(
                record.offset.get(),
                i64::try_from(values.len()).unwrap(),
                "S2"
            );
            values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
    }
}

/// How many partitions each topic has.
pub(crate) fn partition_counts(client: &mut Client) -> BTreeMap<String, usize> {
    let request = MetadataRequest {
        topics: None,
        ..MetadataRequest::default()
    };
    client.call(12, &request, |answer| {
        let topics = answer.topics.iter();
        topics
            .map(|topic| {
                (
                    topic.name.clone().unwrap().into_owned(),
                    topic.partitions.len(),
                )
            })
            .collect()
    })
}

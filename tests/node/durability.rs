//! What an acknowledgement promises over the death of the process, and what a stop and a start keep.

use std::borrow::Cow;

use ottla::clock::wall;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla::wire::messages::delete_topics::DeleteTopicsRequest;
use ottla::wire::messages::init_producer_id::InitProducerIdRequest;
use ottla_storage::batch::{BatchBuilder, NewRecord, ProducerStamp};
use ottla_storage::{ProducerEpoch, ProducerId, Sequence};

use crate::Lab;
use crate::client::Client;
use crate::records::{batch, consume, create_topic, produce};

fn values(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|number| format!("value {number}")).collect()
}

fn produce_each(client: &mut Client, topic: &str, values: &[String]) {
    for value in values {
        let (code, _) = produce(client, topic, -1, &batch(&[value]));
        assert_eq!(code, ErrorCode::None);
    }
}

#[test]
fn acknowledged_records_survive_the_death_of_the_process() {
    let mut lab = Lab::start();
    create_topic(&mut lab.connect(), "t");
    for round in 0..3 {
        produce_each(
            &mut lab.connect(),
            "t",
            &values(round * 20, round * 20 + 20),
        );
        lab.crash_and_restart();
        assert_eq!(consume(&mut lab.connect(), "t"), values(0, round * 20 + 20));
    }
}

#[test]
fn a_stop_and_a_start_keep_everything() {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    produce_each(&mut client, "t", &values(0, 10));
    lab.stop_and_restart();
    let mut client = lab.connect();
    assert_eq!(consume(&mut client, "t"), values(0, 10));
    assert_eq!(
        produce(&mut client, "t", 1, &batch(&["value 10"])),
        (ErrorCode::None, 10)
    );
    assert_eq!(consume(&mut client, "t"), values(0, 11));
}

#[test]
fn segments_that_rolled_are_recovered_with_the_rest() {
    let mut lab = Lab::start_with(["log.segment.bytes=1048576"]);
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    let large: Vec<String> = (0..60)
        .map(|number| format!("{number}{}", "x".repeat(100_000)))
        .collect();
    produce_each(&mut client, "t", &large);
    lab.crash_and_restart();
    assert_eq!(consume(&mut lab.connect(), "t"), large);
    lab.stop_and_restart();
    assert_eq!(consume(&mut lab.connect(), "t"), large);
}

#[test]
fn a_retry_over_a_crash_is_still_a_duplicate() {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    let request = InitProducerIdRequest {
        transactional_id: None,
        ..Default::default()
    };
    let id = client.call(4, &request, |answer| {
        assert_eq!(answer.error_code, ErrorCode::None);
        answer.producer_id
    });
    let stamped = |sequence: i32, value: &str| {
        let mut builder = BatchBuilder::new().producer(ProducerStamp {
            id: ProducerId::from_wire(id).unwrap(),
            epoch: ProducerEpoch::from_wire(0).unwrap(),
            base_sequence: Sequence::from_wire(sequence),
        });
        builder
            .append(&NewRecord {
                value: Some(value.as_bytes()),
                // Kafka forgets a producer whose last record is a day old.
                timestamp: wall(),
                ..NewRecord::default()
            })
            .unwrap();
        builder.build().unwrap()
    };
    assert_eq!(
        produce(&mut client, "t", -1, &stamped(0, "a")),
        (ErrorCode::None, 0)
    );
    assert_eq!(
        produce(&mut client, "t", -1, &stamped(1, "b")),
        (ErrorCode::None, 1)
    );
    assert_eq!(
        produce(&mut client, "t", -1, &stamped(0, "a")),
        (ErrorCode::None, 0)
    );
    lab.crash_and_restart();
    let mut client = lab.connect();
    assert_eq!(
        produce(&mut client, "t", -1, &stamped(1, "b")),
        (ErrorCode::None, 1)
    );
    let (code, _) = produce(&mut client, "t", -1, &stamped(3, "d"));
    assert_eq!(code, ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(
        produce(&mut client, "t", -1, &stamped(2, "c")),
        (ErrorCode::None, 2)
    );
    assert_eq!(consume(&mut client, "t"), ["a", "b", "c"]);
}

#[test]
fn a_topic_of_the_same_name_starts_empty() {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    produce_each(&mut client, "t", &values(0, 5));
    let request = DeleteTopicsRequest {
        topic_names: vec![Cow::Borrowed("t")],
        timeout_ms: 10_000,
        ..Default::default()
    };
    let code = client.call(5, &request, |answer| answer.responses[0].error_code);
    assert_eq!(code, ErrorCode::None);
    assert_eq!(create_topic(&mut client, "t"), ErrorCode::None);
    assert_eq!(consume(&mut client, "t"), [""; 0]);
    assert_eq!(
        produce(&mut client, "t", -1, &batch(&["new"])),
        (ErrorCode::None, 0)
    );
    lab.crash_and_restart();
    assert_eq!(consume(&mut lab.connect(), "t"), ["new"]);
}

#[test]
fn metadata_survives_the_death_of_the_process() {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    for number in 0..20 {
        assert_eq!(
            create_topic(&mut client, &format!("topic-{number}")),
            ErrorCode::None
        );
    }
    let topic = CreatePartitionsTopic {
        name: Cow::Borrowed("topic-3"),
        count: 7,
        assignments: None,
    };
    let request = CreatePartitionsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
        validate_only: false,
    };
    let code = client.call(3, &request, |answer| answer.results[0].error_code);
    assert_eq!(code, ErrorCode::None);
    lab.crash_and_restart();
    let mut client = lab.connect();
    let partitions = crate::records::partition_counts(&mut client);
    assert_eq!(partitions.len(), 20);
    assert_eq!(partitions["topic-3"], 7);
}

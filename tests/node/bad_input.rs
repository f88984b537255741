//! W1 and W2 from outside: whatever a client sends, the node answers with the right error code or closes the
//! connection, and goes on serving others.

use std::borrow::Cow;

use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::api_versions::ApiVersionsRequest;
use ottla::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla::wire::messages::metadata::MetadataRequest;
use ottla::wire::messages::produce::ProduceRequest;

use crate::Lab;
use crate::client::Client;
use crate::records::{PRODUCE_VERSION, batch, create, create_topic, produce, produce_request};

/// Proves that the node still serves: the last line of every test here.
fn assert_alive(lab: &Lab) {
    let code = lab
        .connect()
        .call(2, &ApiVersionsRequest::default(), |answer| {
            answer.error_code
        });
    assert_eq!(code, ErrorCode::None);
}

#[test]
fn a_frame_that_is_no_frame_closes_the_connection() {
    let lab = Lab::start();
    for bytes in [
        &(-1_i32).to_be_bytes()[..],
        &i32::MAX.to_be_bytes(),
        // A header that ends in its middle, and a client id that is longer than the frame.
        &[0, 0, 0, 3, 0, 18, 0],
        &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0x7f, 0xff],
        &[0, 0, 0, 0],
    ] {
        let mut client = lab.connect();
        client.send(bytes);
        assert!(client.is_closed_by_the_node(), "{bytes:?}");
    }
    assert_alive(&lab);
}

#[test]
fn a_frame_cut_off_by_its_client_harms_nobody() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.send(&[0, 0, 1, 0, 0, 18]);
    drop(client);
    assert_alive(&lab);
}

#[test]
fn the_request_that_aborts_another_codec_closes_the_connection() {
    let lab = Lab::start();
    let mut client = lab.connect();
    // Produce version 9, then an array of 2^28 topics in a body of twelve bytes.
    let header = [0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0];
    let body = [
        0x00, 0xff, 0xff, 0x00, 0x00, 0x03, 0xe8, 0xff, 0xff, 0xff, 0xff, 0x07,
    ];
    client.send_frame(&[&header[..], &body].concat());
    assert!(client.is_closed_by_the_node());
    assert_alive(&lab);
}

#[test]
fn unknown_apis_and_versions_close_the_connection() {
    let lab = Lab::start();
    for (key, version) in [(11_i16, 0_i16), (999, 0), (-1, 0), (3, 99), (1, 3), (3, -1)] {
        let mut client = lab.connect();
        let header = [
            &key.to_be_bytes()[..],
            &version.to_be_bytes(),
            &[0, 0, 0, 1, 0xff, 0xff],
        ];
        client.send_frame(&header.concat());
        assert!(
            client.is_closed_by_the_node(),
            "API {key}, version {version}"
        );
    }
    assert_alive(&lab);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.send_frame(&[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0]);
    let answer = client.receive().unwrap();
    assert_eq!(
        answer[..6],
        [0, 0, 0, 7, 0, 35],
        "correlation id, UNSUPPORTED_VERSION"
    );
    let code = client.call(2, &ApiVersionsRequest::default(), |answer| {
        answer.error_code
    });
    assert_eq!(code, ErrorCode::None, "the connection goes on");
}

#[test]
fn a_produce_of_before_the_baseline_is_refused() {
    let lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    let answer = client.try_call(2, &produce_request("t", 1, &batch(&["x"])), |answer| {
        answer.responses[0].partition_responses[0].error_code
    });
    assert!(
        matches!(answer, None | Some(ErrorCode::UnsupportedVersion)),
        "{answer:?}"
    );
    assert_alive(&lab);
}

#[test]
fn a_batch_that_lies_is_refused_with_its_own_code() {
    let lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    let good = batch(&["first", "second"]);
    let broken = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let cases = [
        (
            "a wrong CRC",
            broken(|bytes| bytes[17] ^= 1),
            ErrorCode::CorruptMessage,
        ),
        (
            "a flipped body",
            broken(|bytes| *bytes.last_mut().unwrap() ^= 1),
            ErrorCode::CorruptMessage,
        ),
        (
            "magic 1",
            broken(|bytes| bytes[16] = 1),
            ErrorCode::InvalidRecord,
        ),
        (
            "magic 0",
            broken(|bytes| bytes[16] = 0),
            ErrorCode::InvalidRecord,
        ),
        (
            "two batches",
            [good.clone(), good.clone()].concat(),
            ErrorCode::InvalidRecord,
        ),
        ("no batch", Vec::new(), ErrorCode::InvalidRecord),
        (
            "half a batch",
            good[..40].to_vec(),
            ErrorCode::InvalidRecord,
        ),
    ];
    for (what, records, expected) in cases {
        let (code, _) = produce(&mut client, "t", -1, &records);
        assert_eq!(code, expected, "{what}");
    }
    assert_eq!(produce(&mut client, "t", -1, &good), (ErrorCode::None, 0));
}

#[test]
fn acks_other_than_0_1_and_all_are_refused() {
    let lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    let (code, _) = produce(&mut client, "t", 2, &batch(&["x"]));
    assert_eq!(code, ErrorCode::InvalidRequiredAcks);
}

#[test]
fn a_failed_produce_without_answer_closes_the_connection() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.send_request(
        PRODUCE_VERSION,
        &produce_request("nowhere", 0, &batch(&["x"])),
    );
    assert!(client.is_closed_by_the_node());
    assert_alive(&lab);
}

#[test]
fn an_unknown_topic_is_named_as_such() {
    let lab = Lab::start();
    let mut client = lab.connect();
    let (code, _) = produce(&mut client, "nowhere", -1, &batch(&["x"]));
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition);

    let records = batch(&["x"]);
    let mut request: ProduceRequest<'_> = produce_request("", -1, &records);
    request.topic_data[0].topic_id = uuid::Uuid::from_u128(4711);
    let code = client.call(13, &request, |answer| {
        answer.responses[0].partition_responses[0].error_code
    });
    assert_eq!(code, ErrorCode::UnknownTopicId);

    let topic = FetchTopic {
        topic_id: uuid::Uuid::from_u128(4711),
        partitions: vec![FetchPartition {
            partition_max_bytes: 1000,
            ..Default::default()
        }],
        ..Default::default()
    };
    let request = FetchRequest {
        max_bytes: 1000,
        topics: vec![topic],
        ..Default::default()
    };
    let code = client.call(17, &request, |answer| {
        answer.responses[0].partitions[0].error_code
    });
    assert_eq!(code, ErrorCode::UnknownTopicId);
}

#[test]
fn a_topic_that_cannot_be_is_refused() {
    let lab = Lab::start();
    let mut client = lab.connect();
    for name in ["", ".", "..", "a/b", "a b", &"x".repeat(250)] {
        assert_eq!(
            create(&mut client, name, 1, 1),
            ErrorCode::InvalidTopicException,
            "{name:?}"
        );
    }
    assert_eq!(
        create(&mut client, "t", 1, 2),
        ErrorCode::InvalidReplicationFactor
    );
    assert_eq!(
        create(&mut client, "t", 1, 0),
        ErrorCode::InvalidReplicationFactor
    );
    assert_eq!(create(&mut client, "t", 0, 1), ErrorCode::InvalidPartitions);
    assert_eq!(create(&mut client, "a.b", 1, 1), ErrorCode::None);
    assert_eq!(
        create(&mut client, "a_b", 1, 1),
        ErrorCode::InvalidTopicException
    );
    assert_eq!(
        create(&mut client, "a.b", 1, 1),
        ErrorCode::TopicAlreadyExists
    );
}

#[test]
fn answers_leave_in_the_order_of_the_requests() {
    let lab = Lab::start();
    let mut client = lab.connect();
    create_topic(&mut client, "t");
    // A fetch that waits half a second, then requests that could be answered at once.
    let topic = FetchTopic {
        topic: Cow::Borrowed("t"),
        partitions: vec![FetchPartition {
            partition_max_bytes: 1000,
            ..Default::default()
        }],
        ..Default::default()
    };
    let fetch = FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1000,
        topics: vec![topic],
        ..Default::default()
    };
    let mut expected = vec![client.send_request(12, &fetch)];
    for _ in 0..10 {
        expected.push(client.send_request(12, &MetadataRequest::default()));
    }
    let answered: Vec<i32> = expected
        .iter()
        .map(|_| i32::from_be_bytes(client.receive().unwrap()[..4].try_into().unwrap()))
        .collect();
    assert_eq!(answered, expected, "W2");
}

#[test]
fn frames_of_noise_never_stop_the_node() {
    let lab = Lab::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut client = Client::connect(lab.node().address());
    for round in 0..3000 {
        let mut message: Vec<u8> = (0..noise() % 200)
            .flat_map(|_| noise().to_be_bytes())
            .collect();
        if let Some(key) = message.get_mut(..4) {
            // Mostly an API and a version that exist, so that bodies are reached.
            let (api, version) = (noise() % 76, noise() % 14);
            key.copy_from_slice(&[
                0,
                u8::try_from(api).unwrap(),
                0,
                u8::try_from(version).unwrap(),
            ]);
        }
        client.send_frame(&message);
        if round % 3 == 0 {
            client = lab.connect();
        }
    }
    assert_alive(&lab);
}

//! Produce in every version: what is accepted, and what each kind of bad batch is answered.

use std::task::Poll;

use ottla_storage::batch::ProducerStamp;
use ottla_storage::{ProducerEpoch, ProducerId, Sequence};

use super::*;
use crate::broker::partitions;
use crate::wire::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use crate::wire::records::Records;

/// A request with one batch for partition 0 of a topic.
pub(super) fn request<'a>(
    name: &'a str,
    topic_id: Uuid,
    acks: i16,
    records: &'a [u8],
) -> ProduceRequest<'a> {
    ProduceRequest {
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: name.into(),
            topic_id,
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(Records::Slice(records)),
            }],
        }],
        ..ProduceRequest::default()
    }
}

/// Produces one batch to partition 0 of topic `t` and returns the partition's answer.
pub(super) async fn produce(
    world: &World,
    client: &Client,
    version: i16,
    records: &[u8],
) -> PartitionProduceResponse<'static> {
    let request = request("t", world.topic_id("t"), -1, records);
    let bytes = client.call(&request, version).await;
    let response = decoded::<ProduceRequest<'_>>(&bytes, version);
    let found = &response.responses[0].partition_responses[0];
    PartitionProduceResponse {
        index: found.index,
        error_code: found.error_code,
        base_offset: found.base_offset,
        log_append_time_ms: found.log_append_time_ms,
        log_start_offset: found.log_start_offset,
        ..PartitionProduceResponse::default()
    }
}

#[test]
fn every_served_version_appends() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        for version in 3..=13 {
            let answer = produce(&world, &client, version, &batch_of(2, 10)).await;
            assert_eq!(answer.error_code, ErrorCode::None, "version {version}");
            assert_eq!(answer.base_offset, i64::from(version - 3) * 2);
            assert_eq!(answer.log_append_time_ms, -1);
        }
    });
}

/// W3's only exception: advertised for old clients' sake, and refused.
#[test]
fn produce_before_version_three_is_refused_per_partition() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        for version in 0..3 {
            let answer = produce(&world, &client, version, &batch_of(1, 10)).await;
            assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion);
            let records = batch_of(1, 10);
            let unanswered = client.start(&request("t", Uuid::nil(), 0, &records), version);
            assert!(ended(unanswered).await.is_err());
        }
    });
}

#[test]
fn each_kind_of_bad_batch_has_its_error() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let good = batch_of(1, 10);
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut old_magic = good.clone();
        old_magic[16] = 1;
        let mut shifted = good.clone();
        shifted[7] = 1;
        let truncated = &good[..good.len() - 1];
        let cases: [(&[u8], ErrorCode); 8] = [
            (&flipped, ErrorCode::CorruptMessage),
            (&old_magic, ErrorCode::InvalidRecord),
            (&shifted, ErrorCode::InvalidRecord),
            (truncated, ErrorCode::InvalidRecord),
            (b"", ErrorCode::InvalidRecord),
            (
                &[good.clone(), good.clone()].concat(),
                ErrorCode::InvalidRecord,
            ),
            (&batch_of(1, 2 << 20), ErrorCode::MessageTooLarge),
            (
                &build(
                    BatchBuilder::new().producer(stamp(0)).transactional(true),
                    1,
                    1,
                ),
                ErrorCode::InvalidTxnState,
            ),
        ];
        for (records, code) in cases {
            let answer = produce(&world, &client, 9, records).await;
            assert_eq!((answer.error_code, answer.base_offset), (code, -1));
        }
        let zstd = compressed(Compression::Zstd);
        let early = produce(&world, &client, 6, &zstd).await;
        assert_eq!(early.error_code, ErrorCode::UnsupportedCompressionType);
        assert_eq!(
            produce(&world, &client, 7, &zstd).await.error_code,
            ErrorCode::None
        );
        assert_eq!(world.broker.metrics.unknown_server_errors(), 0);
    });
}

fn stamp(sequence: i32) -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::from_wire(7).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: Sequence::from_wire(sequence),
    }
}

/// A batch that its producer sends again is not appended again, and is answered as the first time.
#[test]
fn a_batch_sent_twice_is_appended_once() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let batch = |sequence| build(BatchBuilder::new().producer(stamp(sequence)), 2, 10);
        for (sequence, code, offset) in [
            (0, ErrorCode::None, 0),
            (2, ErrorCode::None, 2),
            (0, ErrorCode::None, 0),
            (9, ErrorCode::OutOfOrderSequenceNumber, -1),
            (4, ErrorCode::None, 4),
        ] {
            let answer = produce(&world, &client, 9, &batch(sequence)).await;
            assert_eq!(
                (answer.error_code, answer.base_offset),
                (code, offset),
                "{sequence}"
            );
        }
    });
}

#[test]
fn unknown_names_ids_and_partitions_are_refused() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let records = batch_of(1, 1);
        let ask = async |version, request: ProduceRequest<'_>| {
            let bytes = client.call(&request, version).await;
            let response = decoded::<ProduceRequest<'_>>(&bytes, version);
            response.responses[0].partition_responses[0].error_code
        };
        let id = world.topic_id("t");
        let unknown = request("nobody", Uuid::nil(), 1, &records);
        assert_eq!(ask(9, unknown).await, ErrorCode::UnknownTopicOrPartition);
        let unknown = request("", Uuid::from_u128(5), 1, &records);
        assert_eq!(ask(13, unknown).await, ErrorCode::UnknownTopicId);
        let mut beyond = request("t", id, 1, &records);
        beyond.topic_data[0].partition_data[0].index = 1;
        assert_eq!(ask(9, beyond).await, ErrorCode::UnknownTopicOrPartition);
        let acks = request("t", id, 2, &records);
        assert_eq!(ask(9, acks).await, ErrorCode::InvalidRequiredAcks);
        let internal = request("__consumer_offsets", id, 1, &records);
        assert_eq!(ask(9, internal).await, ErrorCode::InvalidTopicException);
    });
}

/// The timeout is about acknowledgements: a log that nobody has needed yet is waited for.
#[test]
fn without_any_time_a_batch_still_opens_its_log() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let records = batch_of(1, 10);
        let mut ask = request("t", world.topic_id("t"), 0, &records);
        ask.timeout_ms = 0;
        assert_eq!(ended(client.start(&ask, 9)).await, Ok(None));
        let next = produce(&world, &client, 9, &records).await;
        assert_eq!(next.base_offset, 1);
    });
}

/// W2: `acks=0` has no answer. If its failure did not close the connection, the client would never look for the leader
/// again.
#[test]
fn gotcha_41_without_acks_a_failure_closes_the_connection() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let records = batch_of(1, 10);
        let id = world.topic_id("t");
        let silent = client.start(&request("t", id, 0, &records), 9);
        assert_eq!(ended(silent).await, Ok(None));
        let failed = client.start(&request("nobody", id, 0, &records), 9);
        assert_eq!(
            ended(failed).await,
            Err(CloseReason::UnacknowledgedProduceFailed)
        );
        let next = produce(&world, &client, 9, &records).await;
        assert_eq!(next.base_offset, 1);
    });
}

#[test]
fn several_partitions_are_decided_each_for_itself() {
    with_world(&[], |world| async move {
        world.create("t", 3).await;
        let client = world.client();
        let (good, bad) = (batch_of(1, 100), b"nonsense".as_slice());
        let mut ask = request("t", world.topic_id("t"), -1, &good);
        ask.topic_data[0].partition_data = [(0, &good[..]), (1, bad), (2, &good[..]), (7, bad)]
            .map(|(index, records)| PartitionProduceData {
                index,
                records: Some(Records::Slice(records)),
            })
            .into();
        let bytes = client.call(&ask, 12).await;
        let response = decoded::<ProduceRequest<'_>>(&bytes, 12);
        let codes: Vec<_> = response.responses[0]
            .partition_responses
            .iter()
            .map(|partition| (partition.index, partition.error_code))
            .collect();
        assert_eq!(
            codes,
            [
                (0, ErrorCode::None),
                (1, ErrorCode::InvalidRecord),
                (2, ErrorCode::None),
                (7, ErrorCode::UnknownTopicOrPartition)
            ]
        );
    });
}

#[test]
fn the_brokers_time_is_told_where_it_counts() {
    with_world(
        &[("log.message.timestamp.type", "LogAppendTime")],
        |world| async move {
            world.create("t", 1).await;
            let before = clock::wall().as_millis();
            let answer = produce(&world, &world.client(), 9, &batch_of(1, 10)).await;
            assert!(answer.log_append_time_ms >= before);
        },
    );
}

/// Decision 9 and S7: nobody hears of success after a failed flush.
#[test]
fn a_failed_flush_is_answered_as_a_storage_error() {
    with_world(&[("flush.on.ack", "true")], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let answer = produce(&world, &client, 9, &batch_of(1, 10)).await;
        assert_eq!(answer.error_code, ErrorCode::None);
        world.disk.fail_next_syncs(1);
        let answer = produce(&world, &client, 9, &batch_of(1, 10)).await;
        assert_eq!(answer.error_code, ErrorCode::KafkaStorageError);
    });
}

/// A disk that hangs costs the deadline, and the batch may still be appended: the answer says so.
#[test]
fn a_deadline_is_kept_while_a_disk_hangs() {
    with_world(&[("flush.on.ack", "true")], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(1, 10)).await;
        let records = batch_of(1, 10);
        let mut ask = request("t", world.topic_id("t"), -1, &records);
        ask.timeout_ms = 0;
        let bytes = client.call(&ask, 9).await;
        let response = decoded::<ProduceRequest<'_>>(&bytes, 9);
        let code = response.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::RequestTimedOut);
    });
}

#[test]
fn bytes_behind_a_request_are_ignored() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let records = batch_of(1, 10);
        let header = RequestHeader {
            api: ApiKey::Produce,
            version: 8,
            correlation_id: 9,
            client_id: None,
        };
        let request = request("t", Uuid::nil(), 1, &records);
        let encoded = frame::encode_request(&header, |w| request.encode(w, 8)).unwrap();
        let mut bytes = encoded.into_bytes().unwrap().to_vec();
        bytes.push(0);
        let reply = client.dispatcher.start(BytesMut::from(&bytes[4..]));
        assert!(ended(reply).await.is_ok());
    });
}

/// What waited in the sockets of a leader that was stopped is not acknowledged before it knows that it still leads.
#[test]
fn after_a_pause_nothing_is_appended_until_the_controller_was_heard_of() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let pauses = &world.broker.pauses;
        let now = clock::mono();
        pauses.look(now);
        pauses.look(now.saturating_add(Duration::from_hours(1)));
        let records = batch_of(1, 10);
        for acks in [1, -1] {
            let asked = ProduceRequest {
                timeout_ms: 50,
                ..request("t", Uuid::nil(), acks, &records)
            };
            let bytes = world.client().call(&asked, 9).await;
            let response = decoded::<ProduceRequest<'_>>(&bytes, 9);
            let part = &response.responses[0].partition_responses[0];
            assert_eq!(part.error_code, ErrorCode::NotLeaderOrFollower);
        }
        let unanswered = world
            .client()
            .start(&request("t", Uuid::nil(), 1, &records), 9);
        pauses.settle(pauses.unsettled().unwrap());
        let bytes = ended(unanswered).await.unwrap().expect("an answer");
        let response = decoded::<ProduceRequest<'_>>(&bytes, 9);
        let part = &response.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (ErrorCode::None, 0));
    });
}

/// A client's time is about acknowledgements. One with little of it, which has heard of a new partition before its leader
/// has, lost its batch to a log that was just being opened.
#[test]
fn a_partition_that_was_made_a_moment_ago_has_time_to_open_its_log() {
    with_world(&[], |world| async move {
        let world = Rc::new(world);
        let early = world.clone();
        let producing = tokio::task::spawn_local(async move {
            let is_known = || {
                early
                    .broker
                    .metadata
                    .image()
                    .topics()
                    .by_name("t")
                    .is_some()
            };
            // Its turn comes again before that of whoever hears of the topic later.
            std::future::poll_fn(|task| {
                if is_known() {
                    return Poll::Ready(());
                }
                task.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            let image = early.broker.metadata.image();
            assert!(!partitions::is_caught_up(&early.broker, &image));
            let records = batch_of(1, 10);
            let asked = ProduceRequest {
                timeout_ms: 0,
                ..request("t", Uuid::nil(), 1, &records)
            };
            early.client().call(&asked, 9).await
        });
        world.create("t", 1).await;
        let bytes = producing.await.unwrap();
        let response = decoded::<ProduceRequest<'_>>(&bytes, 9);
        let part = &response.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (ErrorCode::None, 0));
    });
}

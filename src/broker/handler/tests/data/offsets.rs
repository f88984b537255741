//! `ListOffsets`, `OffsetForLeaderEpoch`, `DeleteRecords` and `DescribeLogDirs` in every version.

use super::produce::produce;
use super::*;
use crate::broker::partitions::{self, Named, open_view};
use crate::controller::command::{Assignment, CreateTopics};
use crate::controller::decide::tests::registration;
use crate::metadata::PartitionIndex;
use crate::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use crate::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use crate::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use crate::wire::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

async fn list(client: &Client, version: i16, timestamp: i64) -> (ErrorCode, i64, i32) {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![ListOffsetsPartition {
                timestamp,
                ..Default::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let bytes = client.call(&request, version).await;
    let response = decoded::<ListOffsetsRequest<'_>>(&bytes, version);
    let found = &response.topics[0].partitions[0];
    (found.error_code, found.offset, found.leader_epoch)
}

#[test]
fn special_timestamps_give_the_ends_of_the_log() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        assert_eq!(list(&client, 1, -1).await, (ErrorCode::None, 0, -1));
        produce(&world, &client, 9, &batch_of(3, 10)).await;
        for version in 1..=11 {
            let epoch = if version >= 4 { 0 } else { -1 };
            assert_eq!(
                list(&client, version, -1).await,
                (ErrorCode::None, 3, epoch)
            );
            assert_eq!(
                list(&client, version, -2).await,
                (ErrorCode::None, 0, epoch)
            );
            assert_eq!(list(&client, version, 0).await, (ErrorCode::None, 0, epoch));
            let future = clock::wall().as_millis() + 1_000_000;
            assert_eq!(
                list(&client, version, future).await,
                (ErrorCode::None, -1, -1)
            );
            for (timestamp, since, offset) in [(-3, 7, 0), (-4, 8, 0), (-5, 9, -1), (-6, 11, -1)] {
                let (code, found, _) = list(&client, version, timestamp).await;
                let expected = if version >= since {
                    (ErrorCode::None, offset)
                } else {
                    (ErrorCode::UnsupportedVersion, -1)
                };
                assert_eq!(
                    (code, found),
                    expected,
                    "version {version}, timestamp {timestamp}"
                );
            }
        }
    });
}

/// Nobody tells of a log that could not be opened: who waits asks again.
#[test]
fn a_log_is_served_when_its_disk_has_room_again() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        world.disk.limit_space(Some(0));
        let client = world.client();
        let mut listed = std::pin::pin!(list(&client, 5, -1));
        let some_time = Duration::from_millis(30);
        let early = tokio::time::timeout(some_time, &mut listed).await;
        assert!(early.is_err(), "{early:?}");
        world.disk.limit_space(None);
        assert_eq!(listed.await, (ErrorCode::None, 0, 0));
    });
}

#[test]
fn a_partition_asked_twice_is_refused() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let partition = ListOffsetsPartition {
            timestamp: -1,
            ..Default::default()
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: "t".into(),
                partitions: vec![partition.clone(), partition],
            }],
            ..ListOffsetsRequest::default()
        };
        let bytes = world.client().call(&request, 5).await;
        let response = decoded::<ListOffsetsRequest<'_>>(&bytes, 5);
        let codes: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| p.error_code)
            .collect();
        assert_eq!(codes, [ErrorCode::InvalidRequest; 2]);
    });
}

#[test]
fn the_end_of_an_epoch_is_told_and_never_guessed() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(3, 10)).await;
        for version in 2..=4 {
            for (current, asked, expected) in [
                (-1, 0, (ErrorCode::None, 0, 3)),
                (0, 0, (ErrorCode::None, 0, 3)),
                (-1, -1, (ErrorCode::None, -1, -1)),
                (-1, 7, (ErrorCode::None, -1, -1)),
                (7, 0, (ErrorCode::UnknownLeaderEpoch, -1, -1)),
            ] {
                let request = OffsetForLeaderEpochRequest {
                    topics: vec![OffsetForLeaderTopic {
                        topic: "t".into(),
                        partitions: vec![OffsetForLeaderPartition {
                            partition: 0,
                            current_leader_epoch: current,
                            leader_epoch: asked,
                        }],
                    }],
                    ..OffsetForLeaderEpochRequest::default()
                };
                let bytes = client.call(&request, version).await;
                let response = decoded::<OffsetForLeaderEpochRequest<'_>>(&bytes, version);
                let found = &response.topics[0].partitions[0];
                let found = (found.error_code, found.leader_epoch, found.end_offset);
                assert_eq!(found, expected, "version {version}, epoch {asked}");
            }
        }
    });
}

async fn delete(client: &Client, version: i16, offset: i64) -> (ErrorCode, i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".into(),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset,
            }],
        }],
        timeout_ms: 10_000,
    };
    let bytes = client.call(&request, version).await;
    let response = decoded::<DeleteRecordsRequest<'_>>(&bytes, version);
    let found = &response.topics[0].partitions[0];
    (found.error_code, found.low_watermark)
}

#[test]
fn records_are_deleted_up_to_the_high_watermark() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(10, 10)).await;
        for (version, offset, expected) in [
            (0, 3, (ErrorCode::None, 3)),
            (1, 2, (ErrorCode::None, 3)),
            (2, 11, (ErrorCode::OffsetOutOfRange, -1)),
            (2, -2, (ErrorCode::OffsetOutOfRange, -1)),
            (2, -1, (ErrorCode::None, 10)),
        ] {
            assert_eq!(
                delete(&client, version, offset).await,
                expected,
                "offset {offset}"
            );
        }
        assert_eq!(list(&client, 5, -2).await.1, 10);
    });
}

#[test]
fn a_topic_that_only_compacts_loses_no_records_by_offset() {
    with_world(&[("log.cleanup.policy", "compact")], |world| async move {
        world.create("t", 1).await;
        assert_eq!(
            delete(&world.client(), 2, 0).await,
            (ErrorCode::PolicyViolation, -1)
        );
    });
}

#[test]
fn log_directories_tell_their_bytes() {
    with_world(&[], |world| async move {
        world.create("t", 2).await;
        let client = world.client();
        let batch = batch_of(10, 10);
        produce(&world, &client, 9, &batch).await;
        for version in 1..=5 {
            let request = DescribeLogDirsRequest { topics: None };
            let bytes = client.call(&request, version).await;
            let response = decoded::<DescribeLogDirsRequest<'_>>(&bytes, version);
            let [dir] = response.results.as_slice() else {
                panic!("{response:?}")
            };
            assert_eq!((dir.error_code, &*dir.log_dir), (ErrorCode::None, "/data0"));
            let sizes: Vec<_> = dir.topics[0]
                .partitions
                .iter()
                .map(|partition| (partition.partition_index, partition.partition_size))
                .collect();
            let written = i64::try_from(batch.len()).unwrap();
            assert_eq!(sizes, [(0, written), (1, 0)], "version {version}");
        }
    });
}

/// KIP-207: the high watermark that a new leader knows may lie below what the one before has told of. A consumer that
/// reset to it would go back.
#[test]
fn gotcha_39_a_new_leader_tells_no_end_before_its_reign_is_committed() {
    with_world(&[("min.insync.replicas", "2")], |world| async move {
        let controller = &world.broker.admin.controller;
        fake::join(controller, registration(2)).await;
        let mut command = CreateTopics::with_defaults("t");
        command.topics[0].assignments = vec![Assignment {
            partition: 0,
            brokers: vec![1, 2],
        }];
        let created = controller.create_topics(command).await;
        created.unwrap()[0].as_ref().unwrap();
        let client = world.client();
        let records = batch_of(3, 10);
        let ask = produce::request("t", world.topic_id("t"), 1, &records);
        client.call(&ask, 9).await;
        assert_eq!(list(&client, 5, -1).await, (ErrorCode::None, 0, 0));
        // Alone, and below the minimum, the leader commits nothing; then its next reign begins at 3.
        world.change_of(2, BrokerState::Fenced).await;
        world.change(BrokerState::Fenced).await;
        world.change(BrokerState::Unfenced).await;
        for (version, code) in [
            (4, ErrorCode::LeaderNotAvailable),
            (5, ErrorCode::OffsetNotAvailable),
            (11, ErrorCode::OffsetNotAvailable),
        ] {
            assert_eq!(list(&client, version, -1).await, (code, -1, -1));
            assert_eq!(list(&client, version, -2).await.0, ErrorCode::None);
        }
    });
}

/// The metadata knew of the next reign and the partition did not yet: what was asked of the new leader was answered by the
/// old one, and told less than another leader in between may have.
#[test]
fn gotcha_39_an_earlier_reign_of_the_same_broker_is_not_asked() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(3, 10)).await;
        let image = world.broker.metadata.image();
        let topic = image.topics().by_name("t").unwrap();
        let replicas = &world.broker.replicas;
        let replica = replicas.find(topic.id(), PartitionIndex::ZERO).unwrap();
        let cx = world.context(ApiKey::ListOffsets, 5);
        let next = ottla_storage::LeaderEpoch::from(2_u16);
        let mut led = std::pin::pin!(open_view(&cx, &replica, next));
        let some_time = Duration::from_millis(30);
        let early = tokio::time::timeout(some_time, &mut led).await;
        assert!(early.is_err(), "{early:?}");
        world.change(BrokerState::Fenced).await;
        world.change(BrokerState::Unfenced).await;
        // Between the two nobody leads, and who looks just then is told so.
        let led = match led.await {
            Ok(led) => led,
            Err(code) => {
                assert_eq!(code, ErrorCode::NotLeaderOrFollower);
                partitions::find_led(&cx, Named::Name("t"), 0, -1)
                    .await
                    .unwrap()
            }
        };
        assert_eq!(led.reign.leader_epoch, next);
    });
}

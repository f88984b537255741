//! Fetch in every version: what a consumer sees, how it waits, and how its session goes on.

use std::pin::pin;

use super::produce::produce;
use super::*;
use crate::controller::command::{DeleteTopics, TopicRef};
use crate::wire::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic, PartitionData,
};
use crate::wire::messages::produce::ProduceRequest;
use crate::wire::records::Records;

fn partition(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    }
}

/// A request that does not wait and wants no session.
fn request(world: &World, partitions: Vec<FetchPartition>) -> FetchRequest<'static> {
    FetchRequest {
        max_bytes: 1 << 20,
        min_bytes: 1,
        topics: vec![FetchTopic {
            topic: "t".into(),
            topic_id: world.topic_id("t"),
            partitions,
        }],
        ..FetchRequest::default()
    }
}

async fn fetch_one(client: &Client, request: &FetchRequest<'_>, version: i16) -> Seen {
    let bytes = client.call(request, version).await;
    let response = decoded::<FetchRequest<'_>>(&bytes, version);
    assert_eq!(response.error_code, ErrorCode::None);
    Seen::of(&response.responses[0].partitions[0])
}

/// What a partition's answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    code: ErrorCode,
    high_watermark: i64,
    bytes: usize,
    diverging: (i32, i64),
}

impl Seen {
    fn of(data: &PartitionData<'_>) -> Self {
        let records = data.records.as_ref().and_then(Records::as_slice);
        Self {
            code: data.error_code,
            high_watermark: data.high_watermark,
            bytes: records.map_or(0, <[u8]>::len),
            diverging: (data.diverging_epoch.epoch, data.diverging_epoch.end_offset),
        }
    }
}

#[test]
fn every_version_returns_what_was_produced() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let mut sent = batch_of(3, 50);
        assert_eq!(
            produce(&world, &client, 9, &sent).await.error_code,
            ErrorCode::None
        );
        // Stamped by the leader: the epoch in bytes 12 to 16.
        sent[12..16].copy_from_slice(&0_i32.to_be_bytes());
        for version in 4..=18 {
            let ask = request(&world, vec![partition(0, 0)]);
            let bytes = client.call(&ask, version).await;
            let response = decoded::<FetchRequest<'_>>(&bytes, version);
            let data = &response.responses[0].partitions[0];
            assert_eq!(
                data.records.as_ref().unwrap().as_slice(),
                Some(&sent[..]),
                "{version}"
            );
            assert_eq!((data.high_watermark, data.last_stable_offset), (3, 3));
            assert_eq!(data.aborted_transactions, None);
        }
    });
}

#[test]
fn offsets_outside_of_the_log_are_refused_and_its_end_is_empty() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(2, 10)).await;
        for (offset, code) in [
            (2, ErrorCode::None),
            (3, ErrorCode::OffsetOutOfRange),
            (-1, ErrorCode::OffsetOutOfRange),
        ] {
            let seen = fetch_one(&client, &request(&world, vec![partition(0, offset)]), 12).await;
            assert_eq!((seen.code, seen.bytes), (code, 0), "offset {offset}");
        }
    });
}

#[test]
fn leader_epochs_are_checked() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(2, 10)).await;
        let with_epoch = |epoch, last| FetchPartition {
            current_leader_epoch: epoch,
            last_fetched_epoch: last,
            ..partition(0, 2)
        };
        let seen = fetch_one(&client, &request(&world, vec![with_epoch(0, 0)]), 12).await;
        assert_eq!((seen.code, seen.diverging), (ErrorCode::None, (-1, -1)));
        let seen = fetch_one(&client, &request(&world, vec![with_epoch(1, -1)]), 12).await;
        assert_eq!(seen.code, ErrorCode::UnknownLeaderEpoch);
        // An epoch that this log has never heard of can't be placed.
        let seen = fetch_one(&client, &request(&world, vec![with_epoch(0, 5)]), 12).await;
        assert_eq!(seen.code, ErrorCode::OffsetOutOfRange);
    });
}

/// The first batch of a response comes whole however long it is; after it the limits count.
#[test]
fn limits_count_from_the_second_batch_on() {
    with_world(&[], |world| async move {
        world.create("t", 2).await;
        let client = world.client();
        let batch = batch_of(1, 1000);
        for _ in 0..3 {
            produce(&world, &client, 9, &batch).await;
        }
        let mut ask = request(&world, vec![partition(0, 0), partition(0, 1)]);
        ask.max_bytes = 10;
        let bytes = client.call(&ask, 11).await;
        let response = decoded::<FetchRequest<'_>>(&bytes, 11);
        let sizes: Vec<_> = response.responses[0]
            .partitions
            .iter()
            .map(|data| Seen::of(data).bytes)
            .collect();
        assert_eq!(sizes, [batch.len(), 0]);
        let two = FetchPartition {
            partition_max_bytes: i32::try_from(2 * batch.len() + 5).unwrap(),
            ..partition(0, 0)
        };
        assert_eq!(
            fetch_one(&client, &request(&world, vec![two]), 11)
                .await
                .bytes,
            2 * batch.len()
        );
    });
}

#[test]
fn unknown_topics_and_partitions_are_answered_at_once() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let mut ask = request(&world, vec![partition(4, 0)]);
        ask.max_wait_ms = 60_000;
        let seen = fetch_one(&client, &ask, 12).await;
        assert_eq!(seen.code, ErrorCode::UnknownTopicOrPartition);
        ask.topics[0].topic_id = Uuid::from_u128(99);
        assert_eq!(
            fetch_one(&client, &ask, 13).await.code,
            ErrorCode::UnknownTopicId
        );
        ask.topics[0].topic = "nobody".into();
        assert_eq!(
            fetch_one(&client, &ask, 12).await.code,
            ErrorCode::UnknownTopicOrPartition
        );
    });
}

/// A fetch waits until enough has come, and one byte too few is not enough.
#[test]
fn a_fetch_waits_for_its_bytes() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let batch = batch_of(1, 100);
        produce(&world, &client, 9, &batch).await;
        let mut ask = request(&world, vec![partition(0, 1)]);
        ask.max_wait_ms = 60_000;
        ask.min_bytes = i32::try_from(2 * batch.len()).unwrap();
        let mut waiting = pin!(ended(client.start(&ask, 11)));
        is_waiting(&mut waiting).await;
        assert_eq!(world.broker.purgatory.parked(), 1);
        produce(&world, &client, 9, &batch).await;
        is_waiting(&mut waiting).await;
        produce(&world, &client, 9, &batch).await;
        let bytes = waiting.await.unwrap().unwrap();
        let response = decoded::<FetchRequest<'_>>(&bytes, 11);
        let seen = Seen::of(&response.responses[0].partitions[0]);
        assert_eq!((seen.bytes, seen.high_watermark), (2 * batch.len(), 3));
        assert_eq!(world.broker.purgatory.parked(), 0);
    });
}

/// Polls a waiting request for a while; it must not end.
async fn is_waiting(waiting: &mut (impl Future<Output = Ended> + Unpin)) {
    let some_time = Duration::from_millis(30);
    assert!(
        tokio::time::timeout(some_time, waiting).await.is_err(),
        "it did not wait"
    );
}

#[test]
fn a_fetch_that_waited_long_enough_returns_what_there_is() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let batch = batch_of(1, 100);
        produce(&world, &client, 9, &batch).await;
        let mut ask = request(&world, vec![partition(0, 0)]);
        ask.max_wait_ms = 20;
        ask.min_bytes = 10_000;
        assert_eq!(fetch_one(&client, &ask, 11).await.bytes, batch.len());
    });
}

/// A fetch that had its bytes was held back for 2 s, each time, by one partition whose log could not be opened; a
/// follower's next fetch, and with it the acknowledgement of its other partitions, as long.
#[test]
fn a_log_that_is_not_open_holds_nothing_back() {
    with_world(&[], |world| async move {
        world.create("t", 2).await;
        let client = world.client();
        let batch = batch_of(1, 100);
        produce(&world, &client, 9, &batch).await;
        // Nothing is awaited before the answer, so that the second log stays closed.
        let mut ask = request(&world, vec![partition(0, 0), partition(1, 0)]);
        ask.max_wait_ms = 60_000;
        let reply = client.start(&ask, 11);
        assert!(matches!(reply, Reply::Ready(_)), "{reply:?}");
        let bytes = ended(reply).await.unwrap().unwrap();
        let response = decoded::<FetchRequest<'_>>(&bytes, 11);
        let [full, closed] = &response.responses[0].partitions[..] else {
            panic!("{response:?}");
        };
        assert_eq!(Seen::of(full).bytes, batch.len());
        assert_eq!(closed.error_code, ErrorCode::OffsetNotAvailable);
    });
}

/// What a log that is being opened holds is worth a moment to a consumer that would get nothing, and none to a follower.
#[test]
fn only_a_consumer_waits_for_a_log_to_be_opened() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let mut ask = request(&world, vec![partition(0, 0)]);
        let consumer = client.start(&ask, 11);
        assert!(matches!(consumer, Reply::Waiting(_)), "{consumer:?}");
        ask.replica_id = 1;
        let follower = client.start(&ask, 11);
        assert!(matches!(follower, Reply::Ready(_)), "{follower:?}");
        let bytes = ended(consumer).await.unwrap().unwrap();
        let response = decoded::<FetchRequest<'_>>(&bytes, 11);
        let code = response.responses[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::None, "it was opened meanwhile");
    });
}

#[test]
fn who_waits_when_the_node_stops_is_answered() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(1, 100)).await;
        let mut ask = request(&world, vec![partition(0, 1)]);
        ask.max_wait_ms = 60_000;
        let mut waiting = pin!(ended(client.start(&ask, 11)));
        is_waiting(&mut waiting).await;
        world.broker.purgatory.close();
        assert!(waiting.await.unwrap().is_some());
    });
}

/// A topic that is deleted while somebody waits for it is told of at once.
#[test]
fn a_deleted_topic_ends_the_wait() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(1, 100)).await;
        let mut ask = request(&world, vec![partition(0, 1)]);
        ask.max_wait_ms = 60_000;
        let mut waiting = pin!(ended(client.start(&ask, 11)));
        is_waiting(&mut waiting).await;
        let image = world.broker.metadata.image();
        let topic = image.topics().by_name("t").unwrap().id();
        let partition = crate::metadata::PartitionIndex::ZERO;
        world
            .broker
            .replicas
            .delete(&[crate::replica::ReplicaKey { topic, partition }]);
        let bytes = waiting.await.unwrap().unwrap();
        let response = decoded::<FetchRequest<'_>>(&bytes, 11);
        let code = response.responses[0].partitions[0].error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition);
    });
}

/// The partitions that an answer names, as (partition, bytes).
fn named(response: &FetchResponse<'_>) -> Vec<(i32, usize)> {
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    partitions
        .map(|data| (data.partition_index, Seen::of(data).bytes))
        .collect()
}

#[test]
fn a_session_names_only_what_changed() {
    for version in [12, 17] {
        with_world(&[], |world| async move {
            world.create("t", 2).await;
            let client = world.client();
            let mut ask = request(&world, vec![partition(0, 0), partition(1, 0)]);
            (ask.session_id, ask.session_epoch) = (0, 0);
            let bytes = client.call(&ask, version).await;
            let first = decoded::<FetchRequest<'_>>(&bytes, version);
            assert_eq!(named(&first), [(0, 0), (1, 0)]);
            assert!(first.session_id > 0);

            let mut next = request(&world, Vec::new());
            next.topics.clear();
            (next.session_id, next.session_epoch) = (first.session_id, 1);
            let bytes = client.call(&next, version).await;
            assert_eq!(named(&decoded::<FetchRequest<'_>>(&bytes, version)), []);

            let batch = batch_of(1, 10);
            produce(&world, &client, 9, &batch).await;
            next.session_epoch = 2;
            let bytes = client.call(&next, version).await;
            let third = decoded::<FetchRequest<'_>>(&bytes, version);
            assert_eq!(
                (named(&third), third.session_id),
                (vec![(0, batch.len())], next.session_id)
            );

            let wrong = client.call(&next, version).await;
            let wrong = decoded::<FetchRequest<'_>>(&wrong, version);
            assert_eq!(wrong.error_code, ErrorCode::InvalidFetchSessionEpoch);

            // What is forgotten is not read any more; what is left closes with an empty session.
            next.session_epoch = 3;
            next.forgotten_topics_data = vec![ForgottenTopic {
                topic: "t".into(),
                topic_id: world.topic_id("t"),
                partitions: vec![0, 1],
            }];
            let bytes = client.call(&next, version).await;
            assert_eq!(decoded::<FetchRequest<'_>>(&bytes, version).session_id, 0);
            next.session_epoch = 4;
            let gone = client.call(&next, version).await;
            let gone = decoded::<FetchRequest<'_>>(&gone, version);
            assert_eq!(gone.error_code, ErrorCode::FetchSessionIdNotFound);
        });
    }
}

/// It could only be refused at the end of its wait.
#[test]
fn a_fetch_whose_session_has_moved_on_waits_no_more() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(1, 100)).await;
        let mut ask = request(&world, vec![partition(0, 1)]);
        (ask.session_id, ask.session_epoch) = (0, 0);
        let bytes = client.call(&ask, 17).await;
        let session_id = decoded::<FetchRequest<'_>>(&bytes, 17).session_id;
        let mut next = request(&world, Vec::new());
        next.topics.clear();
        next.max_wait_ms = 60_000;
        (next.session_id, next.session_epoch) = (session_id, 1);
        let mut first = pin!(ended(client.start(&next, 17)));
        is_waiting(&mut first).await;
        next.session_epoch = 2;
        let mut second = pin!(ended(client.start(&next, 17)));
        is_waiting(&mut second).await;
        let bytes = first.await.unwrap().unwrap();
        let refused = decoded::<FetchRequest<'_>>(&bytes, 17);
        assert_eq!(refused.error_code, ErrorCode::InvalidFetchSessionEpoch);
        is_waiting(&mut second).await;
    });
}

#[test]
fn no_other_broker_is_a_replica_here() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        let mut ask = request(&world, vec![partition(0, 0)]);
        ask.replica_id = 5;
        assert_eq!(
            fetch_one(&client, &ask, 11).await.code,
            ErrorCode::NotLeaderOrFollower
        );
        ask.topics[0].partitions[0].current_leader_epoch = 0;
        assert_eq!(
            fetch_one(&client, &ask, 11).await.code,
            ErrorCode::UnknownLeaderEpoch
        );
    });
}

/// KIP-903: the process that sent it is gone, and its log may be another one by now.
#[test]
fn gotcha_09_a_fetch_of_an_older_process_of_a_broker_is_refused() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 9, &batch_of(1, 10)).await;
        let dirs = world.broker.replicas.directories().iter();
        let again = crate::controller::command::RegisterBroker {
            incarnation: crate::metadata::Incarnation(Uuid::from_u128(9)),
            directories: dirs.map(|dir| dir.id()).collect(),
            ..crate::controller::decide::tests::registration(1)
        };
        let old = world
            .broker
            .metadata
            .image()
            .brokers()
            .find(id(1))
            .unwrap()
            .epoch;
        let now = fake::join(&world.broker.admin.controller, again).await;
        assert!(now > old);
        for (epoch, code) in [
            (old, ErrorCode::NotLeaderOrFollower),
            (now, ErrorCode::None),
        ] {
            let mut ask = request(&world, vec![partition(0, 1)]);
            ask.replica_state.replica_id = 1;
            ask.replica_state.replica_epoch = epoch.get();
            assert_eq!(fetch_one(&client, &ask, 17).await.code, code);
        }
    });
}

/// KIP-516: who reads or writes a topic by its id never meets another one of its name.
#[test]
fn gotcha_40_a_topic_made_anew_is_not_the_one_that_was_asked_for() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let client = world.client();
        produce(&world, &client, 13, &batch_of(1, 100)).await;
        let mut ask = request(&world, vec![partition(0, 0)]);
        (ask.session_id, ask.session_epoch) = (0, 0);
        let bytes = client.call(&ask, 17).await;
        let session_id = decoded::<FetchRequest<'_>>(&bytes, 17).session_id;
        let old = world.topic_id("t");
        let delete = DeleteTopics {
            topics: vec![TopicRef::Name("t".to_owned())],
        };
        let controller = &world.broker.admin.controller;
        controller.delete_topics(delete).await.unwrap()[0]
            .as_ref()
            .unwrap();
        world.create("t", 1).await;
        produce(&world, &client, 13, &batch_of(2, 100)).await;
        let anew = request(&world, vec![partition(0, 0)]);
        assert_ne!(anew.topics[0].topic_id, old);
        assert_eq!(fetch_one(&client, &anew, 17).await.code, ErrorCode::None);
        // Without a session, and in the one that knows the old topic.
        (ask.session_id, ask.session_epoch) = (0, -1);
        let found = fetch_one(&client, &ask, 17).await;
        assert_eq!((found.code, found.bytes), (ErrorCode::UnknownTopicId, 0));
        (ask.session_id, ask.session_epoch) = (session_id, 1);
        ask.topics.clear();
        let found = fetch_one(&client, &ask, 17).await;
        assert_eq!((found.code, found.bytes), (ErrorCode::UnknownTopicId, 0));
        // Nor does the session go over to names.
        ask.session_epoch = 2;
        let bytes = client.call(&ask, 12).await;
        let refused = decoded::<FetchRequest<'_>>(&bytes, 12);
        assert_eq!(refused.error_code, ErrorCode::FetchSessionTopicIdError);
        let records = batch_of(1, 1);
        let late = produce::request("t", old, 1, &records);
        let bytes = client.call(&late, 13).await;
        let answer = decoded::<ProduceRequest<'_>>(&bytes, 13);
        let code = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(code, ErrorCode::UnknownTopicId);
    });
}

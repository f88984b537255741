//! What clients learn at the beginning.

use super::super::metadata::handle;
use super::*;
use crate::broker::partitions::endpoint;
use crate::controller::decide::tests::registration;
use crate::wire::Uuid;
use crate::wire::messages::describe_cluster::DescribeClusterRequest;
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};

fn named(name: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic {
        topic_id: Uuid::nil(),
        name: Some(name.into()),
    }
}

fn request(topics: Option<Vec<MetadataRequestTopic<'_>>>, create: bool) -> MetadataRequest<'_> {
    MetadataRequest {
        topics,
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    }
}

#[test]
fn a_cluster_of_one_shows_itself() {
    with_world(&[], |world| async move {
        world.create("b", 2).await;
        world.create("a", 1).await;
        for version in 0..=13 {
            let all = if version == 0 { Some(vec![]) } else { None };
            let response = answered!(world, Metadata, version, handle, request(all, true));
            let [own] = response.brokers.as_slice() else {
                panic!()
            };
            assert_eq!((own.node_id, &*own.host, own.port), (1, "localhost", 9092));
            assert_eq!(response.controller_id, 1);
            assert_eq!(response.cluster_id.as_deref(), Some(CLUSTER_ID));
            let names: Vec<_> = response
                .topics
                .iter()
                .map(|t| t.name.as_deref().unwrap())
                .collect();
            assert_eq!(names, ["a", "b"]);
            let partition = &response.topics[1].partitions[1];
            assert_eq!(
                (partition.error_code, partition.leader_id),
                (ErrorCode::None, 1)
            );
            assert_eq!(partition.replica_nodes, [1]);
            assert_eq!(partition.isr_nodes, [1]);
            assert!(partition.offline_replicas.is_empty());
        }
        for version in 1..=13 {
            let none = request(Some(vec![]), true);
            assert!(
                answered!(world, Metadata, version, handle, none)
                    .topics
                    .is_empty()
            );
        }
    });
}

#[test]
fn a_missing_topic_is_created_where_client_and_cluster_allow_it() {
    with_world(&[], |world| async move {
        let topics = || Some(vec![named("new"), named("bad name"), named("new")]);
        let response = answered!(world, Metadata, 12, handle, request(topics(), false));
        let codes: Vec<_> = response
            .topics
            .iter()
            .map(|topic| topic.error_code)
            .collect();
        assert_eq!(
            codes,
            [
                ErrorCode::UnknownTopicOrPartition,
                ErrorCode::InvalidTopicException
            ]
        );
        let response = answered!(world, Metadata, 12, handle, request(topics(), true));
        let codes: Vec<_> = response
            .topics
            .iter()
            .map(|topic| topic.error_code)
            .collect();
        assert_eq!(codes, [ErrorCode::None, ErrorCode::InvalidTopicException]);
        assert_eq!(response.topics[0].partitions[0].leader_id, 1);
        // The cluster's own topics are not made by asking for them.
        let internal = request(Some(vec![named("__consumer_offsets")]), true);
        let response = answered!(world, Metadata, 12, handle, internal);
        assert_eq!(
            response.topics[0].error_code,
            ErrorCode::UnknownTopicOrPartition
        );
        assert!(response.topics[0].is_internal);
    });
    with_world(
        &[("auto.create.topics.enable", "false")],
        |world| async move {
            let response = answered!(
                world,
                Metadata,
                4,
                handle,
                request(Some(vec![named("t")]), true)
            );
            assert_eq!(
                response.topics[0].error_code,
                ErrorCode::UnknownTopicOrPartition
            );
        },
    );
}

#[test]
fn a_topic_that_cannot_be_created_says_why() {
    with_world(&[("default.replication.factor", "3")], |world| async move {
        let response = answered!(
            world,
            Metadata,
            4,
            handle,
            request(Some(vec![named("t")]), true)
        );
        assert_eq!(
            response.topics[0].error_code,
            ErrorCode::InvalidReplicationFactor
        );
    });
}

#[test]
fn topics_are_asked_for_by_id_from_version_12() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let image = world.broker.metadata.image();
        let id = image.topics().by_name("t").unwrap().id().uuid();
        let by_id = |topic_id| MetadataRequestTopic {
            topic_id,
            name: None,
        };
        for version in 12..=13 {
            let topics = Some(vec![by_id(id), by_id(Uuid::from_u128(7))]);
            let response = answered!(world, Metadata, version, handle, request(topics, true));
            assert_eq!(response.topics[0].name.as_deref(), Some("t"));
            let unknown = &response.topics[1];
            assert_eq!(
                (unknown.error_code, &unknown.name),
                (ErrorCode::UnknownTopicId, &None)
            );
            assert_eq!(unknown.topic_id, Uuid::from_u128(7));
        }
        for version in 10..=11 {
            for topic in [
                by_id(id),
                MetadataRequestTopic {
                    topic_id: id,
                    name: Some("t".into()),
                },
            ] {
                let topics = request(Some(vec![topic]), true);
                let response = answered!(world, Metadata, version, handle, topics);
                assert_eq!(response.topics[0].error_code, ErrorCode::InvalidRequest);
            }
        }
    });
}

#[test]
fn operations_are_shown_on_request() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let request = MetadataRequest {
            include_cluster_authorized_operations: true,
            include_topic_authorized_operations: true,
            ..request(None, false)
        };
        let response = answered!(world, Metadata, 8, handle, request);
        // The bits of Kafka's operation numbers, all that apply to the resource.
        assert_eq!(response.cluster_authorized_operations, 0b1_1111_1010_0000);
        assert_eq!(
            response.topics[0].topic_authorized_operations,
            0b1101_1111_1000
        );
    });
}

/// librdkafka forgets all brokers when it hears of none, and asks nobody for five minutes.
#[test]
fn a_broker_that_is_fenced_like_all_others_names_itself() {
    with_world(&[], |world| async move {
        world.change(BrokerState::Fenced).await;
        for version in 0..=13 {
            let response = answered!(world, Metadata, version, handle, request(None, false));
            let shown: Vec<_> = response
                .brokers
                .iter()
                .map(|broker| broker.node_id)
                .collect();
            assert_eq!(shown, [1]);
        }
    });
}

/// KAFKA-15220 and KAFKA-15390: not as a broker, a leader or a controller, and not as a hint of where to go instead.
#[test]
fn gotcha_35_fenced_brokers_are_not_handed_to_clients() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        fake::join(&world.broker.admin.controller, registration(2)).await;
        world.change(BrokerState::Fenced).await;
        for version in 0..=13 {
            let topics = Some(vec![named("t")]);
            let response = answered!(world, Metadata, version, handle, request(topics, false));
            let shown: Vec<_> = response
                .brokers
                .iter()
                .map(|broker| broker.node_id)
                .collect();
            assert_eq!(shown, [2]);
            let partition = &response.topics[0].partitions[0];
            assert_eq!(partition.error_code, ErrorCode::LeaderNotAvailable);
            assert_eq!((partition.leader_id, partition.leader_epoch), (-1, 1));
            assert_eq!(partition.offline_replicas, [1]);
            assert_eq!(partition.replica_nodes.is_empty(), version == 0);
        }
        let request = DescribeClusterRequest {
            endpoint_type: 1,
            ..DescribeClusterRequest::default()
        };
        let response = answered!(world, DescribeCluster, 2, describe_cluster::handle, request);
        let shown: Vec<_> = response.brokers.iter().map(|b| b.broker_id).collect();
        assert_eq!(shown, [2]);
        let (cx, image) = (
            world.context(ApiKey::Fetch, 16),
            world.broker.metadata.image(),
        );
        assert_eq!(endpoint(&cx, &image, id(1)), None);
        assert!(endpoint(&cx, &image, id(2)).is_some());
    });
}

#[test]
fn a_leader_without_the_clients_listener_is_told_apart() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        for (version, code) in [
            (5, ErrorCode::LeaderNotAvailable),
            (6, ErrorCode::ListenerNotFound),
        ] {
            let cx = world.context_on("INSIDE", ApiKey::Metadata, version);
            let response = handle(&cx, request(None, false)).await;
            assert!(response.brokers.is_empty());
            assert_eq!(response.topics[0].partitions[0].error_code, code);
        }
    });
}

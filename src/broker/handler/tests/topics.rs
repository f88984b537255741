//! Creating, deleting and growing topics.

use super::*;
use crate::wire::Uuid;
use crate::wire::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsRequest, CreatePartitionsTopic,
};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use crate::wire::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::messages::elect_leaders::{ElectLeadersRequest, TopicPartitions};

fn creatable(name: &str, partitions: i32) -> CreatableTopic<'_> {
    CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    }
}

fn create(topics: Vec<CreatableTopic<'_>>) -> CreateTopicsRequest<'_> {
    CreateTopicsRequest {
        topics,
        ..CreateTopicsRequest::default()
    }
}

#[test]
fn a_created_topic_is_described_by_its_answer() {
    with_world(&[], |world| async move {
        for version in 2..=7 {
            let name = format!("t{version}");
            let mut topic = creatable(&name, 3);
            topic.configs = vec![CreatableTopicConfig {
                name: "retention.ms".into(),
                value: Some("1h".into()),
            }];
            let request = create(vec![topic, creatable("bad name", 1)]);
            let response = answered!(world, CreateTopics, version, create_topics::handle, request);
            let [good, bad] = response.topics.as_slice() else {
                panic!("{response:?}")
            };
            assert_eq!((good.error_code, good.num_partitions), (ErrorCode::None, 3));
            assert_eq!(good.replication_factor, 1);
            let configs = good.configs.as_ref().unwrap();
            let retention = configs
                .iter()
                .find(|config| config.name == "retention.ms")
                .unwrap();
            assert_eq!(retention.value.as_deref(), Some("3600000"));
            assert_eq!(retention.config_source, 1);
            assert_eq!(bad.error_code, ErrorCode::InvalidTopicException);
            assert!(bad.error_message.as_ref().unwrap().contains("bad name"));
            let image = world.broker.metadata.image();
            assert_eq!(
                image.topics().by_name(&name).unwrap().id().uuid(),
                good.topic_id
            );
            assert!(
                *world.broker.applied.borrow() >= image.version(),
                "answered too early"
            );
        }
    });
}

#[test]
fn a_name_given_twice_is_answered_once() {
    with_world(&[], |world| async move {
        let request = create(vec![
            creatable("a", 1),
            creatable("b", 1),
            creatable("a", 2),
        ]);
        let response = answered!(world, CreateTopics, 7, create_topics::handle, request);
        let codes: Vec<_> = response
            .topics
            .iter()
            .map(|t| (&*t.name, t.error_code))
            .collect();
        assert_eq!(
            codes,
            [("a", ErrorCode::InvalidRequest), ("b", ErrorCode::None)]
        );
    });
}

#[test]
fn topics_are_deleted_by_name_and_from_version_6_by_id() {
    with_world(&[], |world| async move {
        for name in ["a", "b", "c"] {
            world.create(name, 1).await;
        }
        let request = DeleteTopicsRequest {
            topic_names: vec!["a".into(), "x".into()],
            ..DeleteTopicsRequest::default()
        };
        let response = answered!(world, DeleteTopics, 1, delete_topics::handle, request);
        let codes: Vec<_> = response.responses.iter().map(|r| r.error_code).collect();
        assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
        let image = world.broker.metadata.image();
        let id = image.topics().by_name("b").unwrap().id().uuid();
        let state = |name: Option<&'static str>, topic_id| DeleteTopicState {
            name: name.map(Into::into),
            topic_id,
        };
        let request = DeleteTopicsRequest {
            topics: vec![
                state(None, id),
                state(Some("c"), Uuid::nil()),
                state(Some("c"), id),
                state(None, Uuid::nil()),
                state(None, Uuid::from_u128(5)),
            ],
            ..DeleteTopicsRequest::default()
        };
        let response = answered!(world, DeleteTopics, 6, delete_topics::handle, request);
        let answers: Vec<_> = response
            .responses
            .iter()
            .map(|r| (r.name.as_deref(), r.error_code))
            .collect();
        assert_eq!(
            answers,
            [
                (Some("c"), ErrorCode::InvalidRequest),
                (None, ErrorCode::InvalidRequest),
                (Some("b"), ErrorCode::None),
                (Some("c"), ErrorCode::None),
                (None, ErrorCode::UnknownTopicId),
            ]
        );
        assert_eq!(world.broker.metadata.image().topics().count(), 0);
    });
}

#[test]
fn deletion_can_be_switched_off() {
    with_world(&[("delete.topic.enable", "false")], |world| async move {
        world.create("a", 1).await;
        for (version, code) in [
            (1, ErrorCode::InvalidRequest),
            (3, ErrorCode::TopicDeletionDisabled),
        ] {
            let request = DeleteTopicsRequest {
                topic_names: vec!["a".into()],
                ..DeleteTopicsRequest::default()
            };
            let response = answered!(world, DeleteTopics, version, delete_topics::handle, request);
            assert_eq!(response.responses[0].error_code, code);
        }
    });
}

#[test]
fn partitions_are_added() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        for (version, count) in (0..=3).zip(2..) {
            let topic = |name: &'static str, count| CreatePartitionsTopic {
                name: name.into(),
                count,
                assignments: None,
            };
            let request = CreatePartitionsRequest {
                topics: vec![topic("t", count), topic("x", 2)],
                ..CreatePartitionsRequest::default()
            };
            let response = answered!(
                world,
                CreatePartitions,
                version,
                create_partitions::handle,
                request
            );
            let codes: Vec<_> = response.results.iter().map(|r| r.error_code).collect();
            assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
        }
        assert_eq!(
            world
                .broker
                .metadata
                .image()
                .topics()
                .by_name("t")
                .unwrap()
                .partition_count(),
            5
        );
        let wrong = CreatePartitionsTopic {
            name: "t".into(),
            count: 6,
            assignments: Some(vec![CreatePartitionsAssignment {
                broker_ids: vec![9],
            }]),
        };
        let request = CreatePartitionsRequest {
            topics: vec![wrong],
            ..CreatePartitionsRequest::default()
        };
        let response = answered!(
            world,
            CreatePartitions,
            3,
            create_partitions::handle,
            request
        );
        assert_eq!(
            response.results[0].error_code,
            ErrorCode::InvalidReplicaAssignment
        );
    });
}

#[test]
fn leaders_are_elected_in_every_version() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        for version in 0..=2 {
            let named = TopicPartitions {
                topic: "t".into(),
                partitions: vec![0, 7],
            };
            let request = |election_type, topic_partitions| ElectLeadersRequest {
                election_type,
                topic_partitions,
                ..ElectLeadersRequest::default()
            };
            let asked = request(0, Some(vec![named.clone()]));
            let response = answered!(world, ElectLeaders, version, elect_leaders::handle, asked);
            assert_eq!(response.error_code, ErrorCode::None);
            let results = &response.replica_election_results[0].partition_result;
            let codes: Vec<_> = results.iter().map(|result| result.error_code).collect();
            let unknown = ErrorCode::UnknownTopicOrPartition;
            assert_eq!(codes, [ErrorCode::ElectionNotNeeded, unknown]);
            let all = request(0, None);
            let response = answered!(world, ElectLeaders, version, elect_leaders::handle, all);
            assert!(response.replica_election_results.is_empty());
            if version > 0 {
                let wrong = request(2, Some(vec![named]));
                let response =
                    answered!(world, ElectLeaders, version, elect_leaders::handle, wrong);
                assert_eq!(response.error_code, ErrorCode::InvalidRequest);
                let result = &response.replica_election_results[0].partition_result[0];
                assert_eq!(result.error_code, ErrorCode::InvalidRequest);
            }
        }
    });
}

#[test]
fn without_a_controller_the_answer_is_retriable() {
    with_world(&[], |world| async move {
        world
            .fake
            .leader
            .send_replace(crate::controller::driver::Leader {
                term: 2,
                node: None,
            });
        let request = create(vec![creatable("a", 1)]);
        let response = answered!(world, CreateTopics, 7, create_topics::handle, request);
        assert_eq!(response.topics[0].error_code, ErrorCode::NotController);
        assert!(response.topics[0].error_code.is_retriable());
    });
}

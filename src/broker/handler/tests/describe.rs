//! Describing topics page by page, the cluster and the quorum.

use super::*;
use crate::wire::messages::describe_cluster::DescribeClusterRequest;
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, RequestedPartitionData, RequestedTopicData,
};
use crate::wire::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, RequestedCursor, TopicRequest,
};

fn topics(names: &[&'static str]) -> Vec<TopicRequest<'static>> {
    names
        .iter()
        .map(|name| TopicRequest {
            name: (*name).into(),
        })
        .collect()
}

#[test]
fn pages_of_any_size_show_every_partition_once() {
    with_world(&[], |world| async move {
        for (name, partitions) in [("c", 3), ("a", 1), ("b", 4)] {
            world.create(name, partitions).await;
        }
        for asked in [topics(&[]), topics(&["c", "a", "b", "x"])] {
            for limit in 1..=9 {
                let mut cursor: Option<RequestedCursor<'static>> = None;
                let mut seen = Vec::new();
                loop {
                    let request = DescribeTopicPartitionsRequest {
                        topics: asked.clone(),
                        response_partition_limit: limit,
                        cursor: cursor.take(),
                    };
                    let response = answered!(
                        world,
                        DescribeTopicPartitions,
                        0,
                        describe_topic_partitions::handle,
                        request
                    );
                    let known = response
                        .topics
                        .iter()
                        .filter(|t| t.error_code == ErrorCode::None);
                    let page: Vec<_> = known
                        .flat_map(|t| {
                            let name = t.name.as_ref().unwrap().to_string();
                            t.partitions
                                .iter()
                                .map(move |p| (name.clone(), p.partition_index))
                        })
                        .collect();
                    assert!(page.len() <= usize::try_from(limit).unwrap());
                    seen.extend(page);
                    let Some(next) = response.next_cursor else {
                        break;
                    };
                    cursor = Some(RequestedCursor {
                        topic_name: next.topic_name.into_owned().into(),
                        partition_index: next.partition_index,
                    });
                }
                let expected = [("a", 1), ("b", 4), ("c", 3)]
                    .iter()
                    .flat_map(|(name, count)| (0..*count).map(|index| ((*name).to_owned(), index)));
                assert_eq!(seen, expected.collect::<Vec<_>>(), "limit {limit}");
            }
        }
    });
}

#[test]
fn a_cursor_must_name_something_that_was_asked_for() {
    with_world(&[], |world| async move {
        world.create("a", 1).await;
        for (name, partition_index) in [("b", 0), ("a", -1)] {
            let cursor = Some(RequestedCursor {
                topic_name: name.into(),
                partition_index,
            });
            let request = DescribeTopicPartitionsRequest {
                topics: topics(&["a"]),
                cursor,
                ..DescribeTopicPartitionsRequest::default()
            };
            let response = answered!(
                world,
                DescribeTopicPartitions,
                0,
                describe_topic_partitions::handle,
                request
            );
            assert_eq!(response.topics[0].error_code, ErrorCode::InvalidRequest);
        }
    });
}

#[test]
fn eligible_leaders_are_shown() {
    with_world(&[], |world| async move {
        world.create("a", 1).await;
        world.change(BrokerState::Fenced).await;
        let request = DescribeTopicPartitionsRequest::default();
        let response = answered!(
            world,
            DescribeTopicPartitions,
            0,
            describe_topic_partitions::handle,
            request
        );
        let partition = &response.topics[0].partitions[0];
        assert_eq!(partition.error_code, ErrorCode::LeaderNotAvailable);
        assert_eq!(
            partition.eligible_leader_replicas.as_deref(),
            Some([1].as_slice())
        );
        assert_eq!(partition.last_known_elr.as_deref(), Some([1].as_slice()));
    });
}

#[test]
fn the_cluster_is_described_by_its_brokers() {
    with_world(&[], |world| async move {
        for version in 0..=2 {
            let request = DescribeClusterRequest::default();
            let response = answered!(
                world,
                DescribeCluster,
                version,
                describe_cluster::handle,
                request
            );
            assert_eq!(
                (&*response.cluster_id, response.controller_id),
                (CLUSTER_ID, 1)
            );
            assert_eq!(response.brokers.len(), 1);
        }
        for (endpoint_type, code) in [
            (2, ErrorCode::MismatchedEndpointType),
            (3, ErrorCode::UnsupportedEndpointType),
        ] {
            let request = DescribeClusterRequest {
                endpoint_type,
                ..DescribeClusterRequest::default()
            };
            let response = answered!(world, DescribeCluster, 1, describe_cluster::handle, request);
            assert_eq!(response.error_code, code);
        }
        world.change(BrokerState::Fenced).await;
        for (include_fenced_brokers, count) in [(false, 0), (true, 1)] {
            let request = DescribeClusterRequest {
                include_fenced_brokers,
                ..DescribeClusterRequest::default()
            };
            let response = answered!(world, DescribeCluster, 2, describe_cluster::handle, request);
            assert_eq!(response.brokers.len(), count);
        }
    });
}

#[test]
fn the_quorum_is_one_partition() {
    with_world(&[], |world| async move {
        let request = |name: &'static str, partition_index| DescribeQuorumRequest {
            topics: vec![RequestedTopicData {
                topic_name: name.into(),
                partitions: vec![RequestedPartitionData { partition_index }],
            }],
        };
        for version in 0..=2 {
            let asked = request("__cluster_metadata", 0);
            let response = answered!(
                world,
                DescribeQuorum,
                version,
                describe_quorum::handle,
                asked
            );
            let partition = &response.topics[0].partitions[0];
            assert_eq!((partition.leader_id, partition.leader_epoch), (1, 4));
            assert_eq!(partition.high_watermark, 9);
            assert_eq!(partition.current_voters[0].log_end_offset, 10);
            let listener = &response.nodes[0].listeners[0];
            assert_eq!((&*listener.host, listener.port), ("::1", 9093));
        }
        for asked in [request("t", 0), request("__cluster_metadata", 1)] {
            let response = answered!(world, DescribeQuorum, 2, describe_quorum::handle, asked);
            let code = response.topics[0].partitions[0].error_code;
            assert_eq!(code, ErrorCode::UnknownTopicOrPartition);
        }
    });
}

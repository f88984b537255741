//! Groups over a real log: the way to the coordinator, and offsets in every version.

use super::*;
use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use crate::wire::messages::list_groups::ListGroupsRequest;
use crate::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};

/// Asks until there is a coordinator that serves: its log has to be opened and read.
async fn serving(client: &Client) {
    let request = FindCoordinatorRequest {
        key: "g".into(),
        ..FindCoordinatorRequest::default()
    };
    let answer = client.call(&request, 3).await;
    let found: FindCoordinatorResponse<'_> = decoded::<FindCoordinatorRequest<'_>>(&answer, 3);
    assert_eq!((found.error_code, found.node_id), (ErrorCode::None, 1));
    loop {
        let answer = client.call(&ListGroupsRequest::default(), 5).await;
        let listed = decoded::<ListGroupsRequest<'_>>(&answer, 5);
        match listed.error_code {
            ErrorCode::None => return,
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            code => panic!("{code}"),
        }
    }
}

async fn commit(world: &World, client: &Client, version: i16, offset: i64) -> ErrorCode {
    let request = OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![OffsetCommitRequestTopic {
            name: "t".into(),
            topic_id: world.topic_id("t"),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: offset,
                committed_metadata: Some("m".into()),
                ..OffsetCommitRequestPartition::default()
            }],
        }],
        ..OffsetCommitRequest::default()
    };
    let answer = client.call(&request, version).await;
    let response = decoded::<OffsetCommitRequest<'_>>(&answer, version);
    response.topics[0].partitions[0].error_code
}

/// The code of the group or of its partition, and the offset.
async fn fetch(world: &World, client: &Client, version: i16) -> (ErrorCode, i64) {
    let request = OffsetFetchRequest {
        group_id: "g".into(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0],
        }]),
        groups: vec![OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "t".into(),
                topic_id: world.topic_id("t"),
                partition_indexes: vec![0],
            }]),
            ..OffsetFetchRequestGroup::default()
        }],
        require_stable: true,
    };
    let answer = client.call(&request, version).await;
    let response = decoded::<OffsetFetchRequest<'_>>(&answer, version);
    if version >= 8 {
        let group = &response.groups[0];
        let partition = group.topics.first().map(|topic| &topic.partitions[0]);
        let offset = partition.map_or(-1, |p| p.committed_offset);
        return (group.error_code, offset);
    }
    let partition = response.topics.first().map(|topic| &topic.partitions[0]);
    let code = partition.map_or(response.error_code, |p| p.error_code);
    (code, partition.map_or(-1, |p| p.committed_offset))
}

#[test]
fn what_is_committed_in_any_version_is_fetched_in_every_version() {
    with_world(&[], async |world| {
        world.create("t", 1).await;
        let client = world.client();
        serving(&client).await;
        let commits = ApiKey::OffsetCommit.served();
        let fetches = ApiKey::OffsetFetch.served();
        for version in commits.min..=commits.max {
            let offset = i64::from(version) * 100;
            let code = commit(&world, &client, version, offset).await;
            assert_eq!(code, ErrorCode::None, "{version}");
            for version in fetches.min..=fetches.max {
                let fetched = fetch(&world, &client, version).await;
                assert_eq!(fetched, (ErrorCode::None, offset), "{version}");
            }
        }
    });
}

/// C2: a coordinator that the controller has not answered for a session may have a successor, which has acknowledged more.
#[test]
fn a_coordinator_without_contact_tells_no_offsets() {
    with_world(&[("broker.session.timeout.ms", "200")], async |world| {
        world.create("t", 1).await;
        let client = world.client();
        serving(&client).await;
        assert_eq!(commit(&world, &client, 9, 7).await, ErrorCode::None);
        world.broker.contact.heard(clock::mono());
        assert_eq!(fetch(&world, &client, 9).await, (ErrorCode::None, 7));
        tokio::time::sleep(Duration::from_millis(250)).await;
        for version in [1, 7, 9] {
            let (code, offset) = fetch(&world, &client, version).await;
            assert_eq!((code, offset), (ErrorCode::NotCoordinator, -1), "{version}");
        }
    });
}

#[test]
fn offsets_of_partitions_that_do_not_exist_are_refused() {
    with_world(&[], async |world| {
        world.create("t", 1).await;
        let client = world.client();
        serving(&client).await;
        let partition = |index| OffsetCommitRequestPartition {
            partition_index: index,
            ..OffsetCommitRequestPartition::default()
        };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            topics: vec![
                OffsetCommitRequestTopic {
                    name: "t".into(),
                    partitions: vec![partition(1), partition(0)],
                    ..OffsetCommitRequestTopic::default()
                },
                OffsetCommitRequestTopic {
                    name: "nothing".into(),
                    partitions: vec![partition(0)],
                    ..OffsetCommitRequestTopic::default()
                },
            ],
            ..OffsetCommitRequest::default()
        };
        let answer = client.call(&request, 9).await;
        let response = decoded::<OffsetCommitRequest<'_>>(&answer, 9);
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<_> = partitions.map(|partition| partition.error_code).collect();
        let unknown = ErrorCode::UnknownTopicOrPartition;
        assert_eq!(codes, [unknown, ErrorCode::None, unknown]);
    });
}

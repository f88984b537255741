//! Groups while a broker is away, for a moment or for good: what the others say is kept, and what
//! nobody knows is not made up.

use std::sync::atomic::{AtomicU32, Ordering};

use ottla::wire::api::ApiKey;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::consumer_group_describe::{
    ConsumerGroupDescribeResponse, DescribedGroup,
};
use ottla::wire::messages::delete_groups::{DeletableGroupResult, DeleteGroupsResponse};
use ottla::wire::messages::find_coordinator::FindCoordinatorRequest;
use ottla::wire::messages::list_groups::{ListGroupsResponse, ListedGroup};
use ottla::wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ottla::wire::messages::offset_fetch::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
};
use serde_json::{Value, json};

use crate::fake::{self, Fake, Reply, gone};
use crate::run::{Done, ottla};

const APIS: &[ApiKey] = &[
    ApiKey::Metadata,
    ApiKey::FindCoordinator,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::OffsetFetch,
    ApiKey::ListOffsets,
    ApiKey::ListGroups,
    ApiKey::DeleteGroups,
];

/// Runs a command of `ottla group` against a broker.
fn group(broker: &str, line: &str) -> Done {
    let words = ["group"].into_iter().chain(line.split(' '));
    let words = words.chain(["--json", "--timeout", "5s", "-b", broker]);
    ottla(&words.collect::<Vec<_>>())
}

fn printed(done: &Done) -> Value {
    serde_json::from_str(&done.stdout()).unwrap_or_else(|_| panic!("{}", done.stderr()))
}

fn empty_group() -> ConsumerGroupDescribeResponse<'static> {
    ConsumerGroupDescribeResponse {
        groups: vec![DescribedGroup {
            group_id: "g".into(),
            group_state: "Empty".into(),
            ..DescribedGroup::default()
        }],
        ..ConsumerGroupDescribeResponse::default()
    }
}

/// The group is at 5 in each of so many partitions.
fn committed(count: i32) -> OffsetFetchResponse<'static> {
    let partitions = (0..count).map(|index| OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: 5,
        ..OffsetFetchResponsePartitions::default()
    });
    OffsetFetchResponse {
        groups: vec![OffsetFetchResponseGroup {
            group_id: "g".into(),
            topics: vec![OffsetFetchResponseTopics {
                name: "t".into(),
                partitions: partitions.collect(),
                ..OffsetFetchResponseTopics::default()
            }],
            ..OffsetFetchResponseGroup::default()
        }],
        ..OffsetFetchResponse::default()
    }
}

/// Partition 0 ends at 8.
fn end() -> ListOffsetsResponse<'static> {
    ListOffsetsResponse {
        topics: vec![ListOffsetsTopicResponse {
            name: "t".into(),
            partitions: vec![ListOffsetsPartitionResponse {
                offset: 8,
                ..ListOffsetsPartitionResponse::default()
            }],
        }],
        ..ListOffsetsResponse::default()
    }
}

fn deletion(error_code: ErrorCode) -> DeleteGroupsResponse<'static> {
    DeleteGroupsResponse {
        results: vec![DeletableGroupResult {
            error_code,
            ..DeletableGroupResult::default()
        }],
        ..DeleteGroupsResponse::default()
    }
}

/// The answer of the leader that is there was thrown away with that of the other, and the group
/// shown with a lag of 0: as if it had read everything.
#[test]
fn a_lag_that_nobody_knows_is_not_zero_and_hides_no_other() {
    let broker = Fake::bind();
    let (address, gone) = (broker.address(), gone());
    broker.serve(APIS, move |header, _, writer| {
        let version = header.version;
        match header.api {
            ApiKey::Metadata => {
                fake::metadata(&[(1, address), (2, gone)], &[1, 2]).encode(writer, version);
            }
            ApiKey::FindCoordinator => fake::coordinator(1, address).encode(writer, version),
            ApiKey::ConsumerGroupDescribe => empty_group().encode(writer, version),
            ApiKey::OffsetFetch => committed(2).encode(writer, version),
            ApiKey::ListOffsets => end().encode(writer, version),
            api => panic!("{api} is not asked"),
        }
        Reply::Answered
    });
    let done = group(&address.to_string(), "describe g");
    assert_eq!(done.code(), 0, "{}", done.stderr());
    assert!(
        done.stderr().contains(&gone.to_string()),
        "{}",
        done.stderr()
    );
    let described = &printed(&done)["groups"][0];
    assert_eq!(described["lag"], Value::Null);
    let lags = |row: usize| described["partitions"][row]["lag"].clone();
    assert_eq!((lags(0), lags(1)), (json!(3), Value::Null));
    let table = ottla(&[
        "group",
        "describe",
        "g",
        "--state",
        "-b",
        &address.to_string(),
    ]);
    let table = table.stdout();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["g", "consumer", "Empty", "-", "0", "-", "1"]);
}

/// Only a write must not be sent twice.
#[test]
fn a_read_whose_answer_got_lost_is_asked_again() {
    let broker = Fake::bind();
    let address = broker.address();
    let lost = AtomicU32::new(0);
    broker.serve(APIS, move |header, _, writer| {
        let version = header.version;
        match header.api {
            ApiKey::Metadata => fake::metadata(&[(1, address)], &[1]).encode(writer, version),
            ApiKey::FindCoordinator => fake::coordinator(1, address).encode(writer, version),
            // Each closes the connection once.
            ApiKey::ConsumerGroupDescribe if lost.fetch_max(1, Ordering::Relaxed) < 1 => {
                return Reply::Closed;
            }
            ApiKey::OffsetFetch if lost.fetch_max(2, Ordering::Relaxed) < 2 => {
                return Reply::Closed;
            }
            ApiKey::ConsumerGroupDescribe => empty_group().encode(writer, version),
            ApiKey::OffsetFetch => committed(1).encode(writer, version),
            ApiKey::ListOffsets => end().encode(writer, version),
            api => panic!("{api} is not asked"),
        }
        Reply::Answered
    });
    let done = group(&address.to_string(), "describe g");
    assert_eq!(done.code(), 0, "{}", done.stderr());
    assert_eq!(printed(&done)["groups"][0]["lag"], 3);
}

/// The outcome of the first was not said, and the last not tried.
#[test]
fn a_coordinator_that_is_away_keeps_no_other_group_from_being_deleted() {
    let broker = Fake::bind();
    let (address, gone) = (broker.address(), gone());
    broker.serve(APIS, move |header, body, writer| {
        let version = header.version;
        match header.api {
            ApiKey::FindCoordinator => {
                let asked = FindCoordinatorRequest::decode(body, version).unwrap();
                let (id, at) = match &*asked.coordinator_keys[0] {
                    "b" => (2, gone),
                    _ => (1, address),
                };
                fake::coordinator(id, at).encode(writer, version);
            }
            ApiKey::DeleteGroups => deletion(ErrorCode::None).encode(writer, version),
            api => panic!("{api} is not asked"),
        }
        Reply::Answered
    });
    let address = address.to_string();
    let words = ["group", "delete", "a", "b", "c", "--yes", "--json"];
    let words = words
        .into_iter()
        .chain(["--timeout", "500ms", "-b", &address]);
    let done = ottla(&words.collect::<Vec<_>>());
    assert_eq!(done.code(), 1);
    assert!(done.stderr().contains("1 of 3"), "{}", done.stderr());
    let outcomes = &printed(&done)["groups"];
    let status = |at: usize| outcomes[at]["status"].as_str().unwrap();
    assert_eq!(
        [status(0), status(1), status(2)],
        ["deleted", "failed", "deleted"]
    );
    let message = outcomes[1]["message"].as_str().unwrap();
    assert!(message.contains(&gone.to_string()), "{message}");
}

/// A coordinator that loses its partition refuses a deletion that it has written.
#[test]
fn a_group_that_the_first_try_deleted_is_deleted() {
    let broker = Fake::bind();
    let address = broker.address();
    let tries = AtomicU32::new(0);
    broker.serve(APIS, move |header, _, writer| {
        let version = header.version;
        match header.api {
            ApiKey::FindCoordinator => fake::coordinator(1, address).encode(writer, version),
            ApiKey::DeleteGroups => {
                let code = match tries.fetch_add(1, Ordering::Relaxed) {
                    0 => ErrorCode::NotCoordinator,
                    _ => ErrorCode::GroupIdNotFound,
                };
                deletion(code).encode(writer, version);
            }
            api => panic!("{api} is not asked"),
        }
        Reply::Answered
    });
    let address = address.to_string();
    let done = group(&address, "delete g --yes");
    assert_eq!(done.code(), 0, "{}", done.stderr());
    assert_eq!(printed(&done)["groups"][0]["status"], "deleted");
    // The next command has tried nothing before.
    let done = group(&address, "delete g --yes");
    assert_eq!(printed(&done)["groups"][0]["error"], "GROUP_ID_NOT_FOUND");
}

/// The controller takes some seconds to notice that a broker has died.
#[test]
fn a_broker_that_has_just_died_is_asked_until_it_is_not_listed_any_more() {
    let broker = Fake::bind();
    let (address, gone) = (broker.address(), gone());
    let asked = AtomicU32::new(0);
    broker.serve(APIS, move |header, _, writer| {
        let version = header.version;
        match header.api {
            ApiKey::Metadata => {
                let listed = [(1, address), (2, gone)];
                let count = if asked.fetch_add(1, Ordering::Relaxed) < 2 {
                    2
                } else {
                    1
                };
                fake::metadata(&listed[..count], &[]).encode(writer, version);
            }
            ApiKey::ListGroups => {
                let response = ListGroupsResponse {
                    groups: vec![ListedGroup {
                        group_id: "g".into(),
                        ..ListedGroup::default()
                    }],
                    ..ListGroupsResponse::default()
                };
                response.encode(writer, version);
            }
            api => panic!("{api} is not asked"),
        }
        Reply::Answered
    });
    let done = group(&address.to_string(), "list");
    assert_eq!(done.code(), 0, "{}", done.stderr());
    let groups = printed(&done)["groups"].clone();
    assert_eq!(groups.as_array().unwrap().len(), 1);
    assert_eq!(groups[0]["group"], "g");
}

#[test]
fn a_group_without_a_coordinator_is_named_with_the_way_out() {
    let broker = Fake::bind();
    let address = broker.address().to_string();
    broker.serve(APIS, |header, _, writer| {
        let response = fake::no_coordinator(ErrorCode::CoordinatorNotAvailable);
        response.encode(writer, header.version);
        Reply::Answered
    });
    let done = ottla(&[
        "group",
        "describe",
        "g",
        "--timeout",
        "300ms",
        "-b",
        &address,
    ]);
    done.assert_failed(&[
        "group g:",
        "COORDINATOR_NOT_AVAILABLE",
        "__consumer_offsets",
    ]);
}

//! What the coordinators say at the end against what the members know.
//!
//! - A committed offset is at least the last one that was acknowledged, and at most the last one that was sent.
//! - A group has exactly its members, each in the generation that it knows of.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ottla::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use ottla::wire::messages::describe_groups::DescribeGroupsRequest;
use ottla::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Protocol;
use super::member::{Shared, Trouble, WITHIN, accepted, name};
use crate::fault::client::Connection;

/// Groups of one request.
const GROUPS_MAX: usize = 100;
/// Between two looks, or two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Stops the commits, if nobody has yet, and compares everything.
pub(super) async fn all(shared: &Rc<Shared>, deadline: Instant) -> Value {
    shared.is_committing.set(false);
    while shared.board.borrow().in_flight_count > 0 && Instant::now() < deadline {
        sleep(PAUSE).await;
    }
    let mut came = false;
    while !came && Instant::now() < deadline {
        match compare(shared).await {
            Ok(()) => came = true,
            Err(Trouble::Wrong(what)) => {
                shared.board.borrow_mut().problem(what);
                break;
            }
            Err(Trouble::Away | Trouble::Again | Trouble::Unknown) => sleep(PAUSE).await,
        }
    }
    let board = shared.board.borrow();
    let (count, problems) = board.problems();
    json!({
        "came": came && board.is_stable(),
        "acknowledged": board.acknowledged_count,
        "problem_count": count,
        "problems": problems,
    })
}

/// Asks each coordinator for its groups.
async fn compare(shared: &Rc<Shared>) -> Result<(), Trouble> {
    let mut homes: BTreeMap<SocketAddr, Vec<usize>> = BTreeMap::new();
    let mut asked = Vec::new();
    for group in 0..shared.options.groups {
        asked.push((group, shared.ask(&name(group)).await?));
    }
    for (group, answered) in asked {
        let home = answered.await.map_err(|_| Trouble::Away)?;
        homes.entry(home.address).or_default().push(group);
    }
    let mut found = Vec::new();
    for (address, groups) in homes {
        let mut connection = Connection::open(address, WITHIN).await?;
        for groups in groups.chunks(GROUPS_MAX) {
            found.extend(offsets(shared, &mut connection, groups).await?);
            found.extend(match shared.options.protocol {
                Protocol::Classic => classic_members(shared, &mut connection, groups).await?,
                Protocol::Consumer => consumer_members(shared, &mut connection, groups).await?,
            });
        }
    }
    let mut board = shared.board.borrow_mut();
    for what in found {
        board.problem(what);
    }
    Ok(())
}

/// Offsets that are not what was acknowledged.
async fn offsets(
    shared: &Shared,
    connection: &mut Connection,
    groups: &[usize],
) -> Result<Vec<String>, Trouble> {
    let group = |group: &usize| OffsetFetchRequestGroup {
        group_id: Cow::Owned(name(*group)),
        member_epoch: -1,
        topics: Some(vec![OffsetFetchRequestTopics {
            topic_id: shared.topic_id,
            partition_indexes: (0..).take(shared.partition_count).collect(),
            ..OffsetFetchRequestTopics::default()
        }]),
        ..OffsetFetchRequestGroup::default()
    };
    let request = OffsetFetchRequest {
        groups: groups.iter().map(group).collect(),
        require_stable: true,
        ..OffsetFetchRequest::default()
    };
    let answer = connection.call(&request, WITHIN).await?;
    let response = answer.decode()?;
    let mut told = BTreeMap::new();
    for group in &response.groups {
        accepted("fetch of offsets", group.error_code)?;
        for partition in group.topics.iter().flat_map(|topic| &topic.partitions) {
            accepted("fetch of an offset", partition.error_code)?;
            let key = (group.group_id.to_string(), partition.partition_index);
            told.insert(key, partition.committed_offset);
        }
    }
    let board = shared.board.borrow();
    let mut wrong = Vec::new();
    for group in groups {
        for (partition, progress) in board.offsets(*group) {
            let told = told.get(&(name(*group), partition)).copied();
            let told = told.unwrap_or(-1);
            let (least, most) = (progress.acknowledged.unwrap_or(-1), progress.sent);
            if told < least || told > most {
                wrong.push(format!(
                    "{}, partition {partition}: {told} is committed, {least} was acknowledged, {most} sent",
                    name(*group)
                ));
            }
        }
    }
    Ok(wrong)
}

/// Groups that have other members than they should.
async fn classic_members(
    shared: &Shared,
    connection: &mut Connection,
    groups: &[usize],
) -> Result<Vec<String>, Trouble> {
    let request = DescribeGroupsRequest {
        groups: groups.iter().map(|group| name(*group).into()).collect(),
        ..DescribeGroupsRequest::default()
    };
    let answer = connection.call(&request, WITHIN).await?;
    let response = answer.decode()?;
    let mut told = BTreeMap::new();
    for group in &response.groups {
        accepted("description", group.error_code)?;
        let members = group.members.iter();
        // This description tells no generation: the members' own one is tested by their heartbeats.
        let mut members: Vec<_> = members.map(|one| one.member_id.to_string()).collect();
        members.sort_unstable();
        told.insert(
            group.group_id.to_string(),
            (group.group_state.to_string(), members),
        );
    }
    let board = shared.board.borrow();
    let known = |group| board.members(group).into_keys().collect();
    Ok(unlike(groups, &told, known))
}

/// The same, and members in another epoch than they know of.
async fn consumer_members(
    shared: &Shared,
    connection: &mut Connection,
    groups: &[usize],
) -> Result<Vec<String>, Trouble> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: groups.iter().map(|group| name(*group).into()).collect(),
        ..ConsumerGroupDescribeRequest::default()
    };
    let answer = connection.call(&request, WITHIN).await?;
    let response = answer.decode()?;
    let mut told = BTreeMap::new();
    for group in &response.groups {
        accepted("description", group.error_code)?;
        let members = group.members.iter();
        let members = members.map(|one| (one.member_id.to_string(), one.member_epoch));
        let members: BTreeMap<_, _> = members.collect();
        told.insert(
            group.group_id.to_string(),
            (group.group_state.to_string(), members),
        );
    }
    let board = shared.board.borrow();
    Ok(unlike(groups, &told, |group| board.members(group)))
}

/// Groups that were not told to be stable with the members that are known.
fn unlike<M: PartialEq + std::fmt::Debug>(
    groups: &[usize],
    told: &BTreeMap<String, (String, M)>,
    known: impl Fn(usize) -> M,
) -> Vec<String> {
    let wrong = groups.iter().filter_map(|group| {
        let (name, known) = (name(*group), known(*group));
        let Some((state, members)) = told.get(&name) else {
            return Some(format!("{name} is not described"));
        };
        (state != "Stable" || *members != known)
            .then(|| format!("{name} is {state} with {members:?}, its members are {known:?}"))
    });
    wrong.collect()
}

//! What a group's coordinator knows of it, of both kinds of group in one shape.
//!
//! What the members of a classic group told each other through the coordinator is theirs: an
//! assignment that cannot be read is shown as unknown, and is no error.

use anyhow::{Result, bail};
use serde::Serialize;

use crate::cli::client::{Client, ClientError};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_describe::{
    self as consumer, ConsumerGroupDescribeRequest,
};
use crate::wire::messages::data::consumer_protocol_assignment::ConsumerProtocolAssignment;
use crate::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::messages::describe_groups::{self as classic, DescribeGroupsRequest};
use crate::wire::versioned::decode_known_part;

/// The protocol type of groups whose members are consumers.
const CONSUMERS: &str = "consumer";

#[derive(Debug, Serialize)]
pub(super) struct Group {
    #[serde(rename = "group")]
    pub(super) name: String,
    /// `consumer` (KIP-848) or `classic`
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) state: String,
    /// Empty for a classic group that never had members.
    pub(super) protocol_type: String,
    pub(super) assignor: String,
    #[serde(rename = "group_epoch")]
    pub(super) epoch: Option<i32>,
    pub(super) assignment_epoch: Option<i32>,
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Serialize)]
pub(super) struct Member {
    #[serde(rename = "member_id")]
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) host: String,
    pub(super) rack: Option<String>,
    pub(super) epoch: Option<i32>,
    pub(super) subscribed_topics: Vec<String>,
    pub(super) subscribed_regex: Option<String>,
    /// Null if it cannot be read.
    pub(super) assignment: Option<Vec<Assigned>>,
    /// What the member is about to get; null in a classic group.
    pub(super) target_assignment: Option<Vec<Assigned>>,
}

/// Partitions of one topic.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Assigned {
    pub(super) topic: String,
    pub(super) partitions: Vec<i32>,
}

/// Asks for a group; `None` if there is none of that name. An error does not name the group.
pub(super) async fn inspect(client: &mut Client, group: &str) -> Result<Option<Group>> {
    if let Some(found) = consumer_group(client, group).await? {
        return Ok(Some(found));
    }
    classic_group(client, group).await
}

async fn consumer_group(client: &mut Client, group: &str) -> Result<Option<Group>> {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![group.into()],
        ..ConsumerGroupDescribeRequest::default()
    };
    let answer = match client.call_coordinator(group, &request).await {
        // It has classic groups only.
        Err(ClientError::NoCommonVersion { .. }) => return Ok(None),
        answer => answer?,
    };
    let response = answer.decode()?;
    let Some(found) = response.groups.into_iter().next() else {
        bail!("the coordinator's answer leaves it out");
    };
    match found.error_code {
        ErrorCode::None => Ok(Some(Group::of_consumers(found))),
        ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion => Ok(None),
        code => Err(refused(code, found.error_message.as_deref())),
    }
}

async fn classic_group(client: &mut Client, group: &str) -> Result<Option<Group>> {
    let request = DescribeGroupsRequest {
        groups: vec![group.into()],
        ..DescribeGroupsRequest::default()
    };
    let answer = client.call_coordinator(group, &request).await?;
    let response = answer.decode()?;
    let Some(found) = response.groups.into_iter().next() else {
        bail!("the coordinator's answer leaves it out");
    };
    match found.error_code {
        // How brokers before version 6 say that there is none.
        ErrorCode::None if found.group_state == "Dead" => Ok(None),
        ErrorCode::None => Ok(Some(Group::of_classic(found))),
        ErrorCode::GroupIdNotFound => Ok(None),
        code => Err(refused(code, found.error_message.as_deref())),
    }
}

fn refused(code: ErrorCode, message: Option<&str>) -> anyhow::Error {
    let message = message.filter(|text| !text.is_empty());
    let message = message.unwrap_or_else(|| code.message());
    anyhow::anyhow!("{message} ({})", code.name())
}

/// The error for a group that does not exist.
pub(super) fn no_such_group(group: &str) -> anyhow::Error {
    anyhow::anyhow!("there is no group {group}; `ottla group list` shows the groups")
}

impl Group {
    fn of_consumers(found: consumer::DescribedGroup<'_>) -> Self {
        Self {
            name: found.group_id.into_owned(),
            kind: "consumer",
            state: found.group_state.into_owned(),
            protocol_type: CONSUMERS.to_owned(),
            assignor: found.assignor_name.into_owned(),
            epoch: Some(found.group_epoch),
            assignment_epoch: Some(found.assignment_epoch),
            members: found
                .members
                .into_iter()
                .map(Member::of_consumers)
                .collect(),
        }
    }

    fn of_classic(found: classic::DescribedGroup<'_>) -> Self {
        let are_consumers = found.protocol_type == CONSUMERS;
        let members = found.members.into_iter();
        Self {
            name: found.group_id.into_owned(),
            kind: "classic",
            state: found.group_state.into_owned(),
            assignor: found.protocol_data.into_owned(),
            epoch: None,
            assignment_epoch: None,
            members: members
                .map(|member| Member::of_classic(member, are_consumers))
                .collect(),
            protocol_type: found.protocol_type.into_owned(),
        }
    }

    /// Nobody reads for the group.
    pub(super) fn is_idle(&self) -> bool {
        self.members.is_empty() && matches!(self.state.as_str(), "Empty" | "Dead")
    }

    /// Who reads a partition: in a rebalance it may be two for a moment, then the first.
    pub(super) fn reader(&self, topic: &str, partition: i32) -> Option<&Member> {
        self.members.iter().find(|member| {
            let mut assigned = member.assignment.iter().flatten();
            assigned.any(|one| one.topic == topic && one.partitions.contains(&partition))
        })
    }
}

impl Member {
    fn of_consumers(member: consumer::Member<'_>) -> Self {
        let names = member.subscribed_topic_names.into_iter();
        let regex = member
            .subscribed_topic_regex
            .map(std::borrow::Cow::into_owned);
        Self {
            id: member.member_id.into_owned(),
            instance_id: member.instance_id.map(std::borrow::Cow::into_owned),
            client_id: member.client_id.into_owned(),
            host: member.client_host.into_owned(),
            rack: member.rack_id.map(std::borrow::Cow::into_owned),
            epoch: Some(member.member_epoch),
            subscribed_topics: names.map(std::borrow::Cow::into_owned).collect(),
            subscribed_regex: regex.filter(|regex| !regex.is_empty()),
            assignment: Some(assigned(member.assignment)),
            target_assignment: Some(assigned(member.target_assignment)),
        }
    }

    fn of_classic(member: classic::DescribedGroupMember<'_>, is_consumer: bool) -> Self {
        let subscription = read_subscription(&member.member_metadata).filter(|_| is_consumer);
        Self {
            id: member.member_id.into_owned(),
            instance_id: member.group_instance_id.map(std::borrow::Cow::into_owned),
            client_id: member.client_id.into_owned(),
            host: member.client_host.into_owned(),
            rack: None,
            epoch: None,
            subscribed_topics: subscription.unwrap_or_default(),
            subscribed_regex: None,
            assignment: read_assignment(&member.member_assignment).filter(|_| is_consumer),
            target_assignment: None,
        }
    }
}

fn assigned(assignment: consumer::Assignment<'_>) -> Vec<Assigned> {
    let topics = assignment
        .topic_partitions
        .into_iter()
        .map(|topic| Assigned {
            topic: topic.topic_name.into_owned(),
            partitions: topic.partitions,
        });
    topics.collect()
}

fn read_subscription(bytes: &[u8]) -> Option<Vec<String>> {
    let read: ConsumerProtocolSubscription<'_> = decode_known_part(bytes).ok()?;
    Some(
        read.topics
            .into_iter()
            .map(std::borrow::Cow::into_owned)
            .collect(),
    )
}

/// Members get no bytes before the group is stable: no partitions.
fn read_assignment(bytes: &[u8]) -> Option<Vec<Assigned>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let read: ConsumerProtocolAssignment<'_> = decode_known_part(bytes).ok()?;
    let topics = read.assigned_partitions.into_iter().map(|topic| Assigned {
        topic: topic.topic.into_owned(),
        partitions: topic.partitions,
    });
    Some(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::data::consumer_protocol_assignment::TopicPartition;
    use crate::wire::versioned::encode;

    fn member(assignment: &[u8]) -> classic::DescribedGroupMember<'_> {
        classic::DescribedGroupMember {
            member_id: "m".into(),
            member_assignment: assignment.into(),
            ..classic::DescribedGroupMember::default()
        }
    }

    fn group(protocol_type: &'static str, assignment: &[u8]) -> Group {
        Group::of_classic(classic::DescribedGroup {
            protocol_type: protocol_type.into(),
            members: vec![member(assignment)],
            ..classic::DescribedGroup::default()
        })
    }

    #[test]
    fn the_reader_of_a_partition_is_found_in_the_members_own_bytes() {
        let assignment = ConsumerProtocolAssignment {
            assigned_partitions: vec![TopicPartition {
                topic: "t".into(),
                partitions: vec![1, 2],
            }],
            ..ConsumerProtocolAssignment::default()
        };
        let bytes = encode(&assignment, 3).unwrap();
        let group = group("consumer", &bytes);
        assert_eq!(group.reader("t", 2).unwrap().id, "m");
        assert!(group.reader("t", 0).is_none());
        assert!(group.reader("u", 1).is_none());
    }

    #[test]
    fn bytes_that_are_no_assignment_are_unknown_and_none_are_no_partitions() {
        assert_eq!(group("consumer", &[0, 0, 0, 9]).members[0].assignment, None);
        assert_eq!(group("connect", &[0, 1]).members[0].assignment, None);
        let waiting = group("consumer", &[]);
        assert_eq!(waiting.members[0].assignment, Some(Vec::new()));
    }
}

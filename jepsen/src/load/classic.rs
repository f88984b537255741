//! The classic protocol: the member that leads assigns partitions round robin.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::data::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use ottla::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use ottla::wire::messages::heartbeat::HeartbeatRequest;
use ottla::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla::wire::versioned;

use super::member::{Member, Trouble, WITHIN, accepted};

/// What Kafka's consumer asks for by itself.
const SESSION_MS: i32 = 45_000;
const REBALANCE_MS: i32 = 300_000;
/// How long a join or a sync may be parked.
const PARKED: Duration = Duration::from_mins(2);
const PROTOCOL_TYPE: &str = "consumer";
const PROTOCOL: &str = "roundrobin";
/// The version of what members tell each other.
const VERSION: i16 = 0;

/// A generation as its members hear of it.
struct Joined {
    generation: i32,
    /// Everybody, if this member leads.
    members: Vec<String>,
}

fn garbled(error: impl std::fmt::Display) -> Trouble {
    Trouble::Wrong(error.to_string())
}

impl Member {
    /// Joins, and learns what it has.
    pub(super) async fn join_classic(&mut self) -> Result<(), Trouble> {
        let joined = match self.ask_to_join().await? {
            Some(joined) => joined,
            // With the id it got, as is required.
            None => self.ask_to_join().await?.ok_or(Trouble::Unknown)?,
        };
        let assignments = self.assign(&joined.members)?;
        let request = SyncGroupRequest {
            group_id: Cow::Owned(self.group.clone()),
            generation_id: joined.generation,
            member_id: Cow::Owned(self.id.clone()),
            protocol_type: Some(Cow::Borrowed(PROTOCOL_TYPE)),
            protocol_name: Some(Cow::Borrowed(PROTOCOL)),
            assignments,
            ..SyncGroupRequest::default()
        };
        let answer = self.link()?.call(&request, PARKED).await?;
        let response = answer.decode()?;
        accepted("sync", response.error_code)?;
        let assignment: ConsumerProtocolAssignment<'_> =
            versioned::decode(&response.assignment).map_err(garbled)?;
        let topics = assignment.assigned_partitions.iter();
        let owned = topics
            .flat_map(|topic| topic.partitions.iter().copied())
            .collect();
        self.has(joined.generation, owned);
        Ok(())
    }

    /// None: it has an id now, and has to ask with it.
    async fn ask_to_join(&mut self) -> Result<Option<Joined>, Trouble> {
        let subscription = ConsumerProtocolSubscription {
            topics: vec![Cow::Borrowed(&self.shared.options.topic)],
            ..ConsumerProtocolSubscription::default()
        };
        let metadata = versioned::encode(&subscription, VERSION).map_err(garbled)?;
        let request = JoinGroupRequest {
            group_id: Cow::Owned(self.group.clone()),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: REBALANCE_MS,
            member_id: Cow::Owned(self.id.clone()),
            protocol_type: Cow::Borrowed(PROTOCOL_TYPE),
            protocols: vec![JoinGroupRequestProtocol {
                name: Cow::Borrowed(PROTOCOL),
                metadata: Cow::Borrowed(&metadata),
            }],
            ..JoinGroupRequest::default()
        };
        let answer = self.link()?.call(&request, PARKED).await?;
        let response = answer.decode()?;
        if response.error_code == ErrorCode::MemberIdRequired {
            self.id = response.member_id.into_owned();
            return Ok(None);
        }
        accepted("join", response.error_code)?;
        self.id = response.member_id.into_owned();
        let members = response.members.into_iter();
        Ok(Some(Joined {
            generation: response.generation_id,
            members: members
                .map(|member| member.member_id.into_owned())
                .collect(),
        }))
    }

    /// Who gets what; nothing to say for who does not lead.
    fn assign(
        &self,
        members: &[String],
    ) -> Result<Vec<SyncGroupRequestAssignment<'static>>, Trouble> {
        let members: BTreeSet<_> = members.iter().collect();
        let count = members.len();
        let one = |(place, member): (usize, &String)| {
            let partitions = (0..).take(self.shared.partition_count);
            let message = ConsumerProtocolAssignment {
                assigned_partitions: vec![TopicPartition {
                    topic: Cow::Borrowed(&self.shared.options.topic),
                    partitions: partitions.skip(place).step_by(count).collect(),
                }],
                user_data: None,
            };
            let assignment = versioned::encode(&message, VERSION).map_err(garbled)?;
            Ok(SyncGroupRequestAssignment {
                member_id: Cow::Owned(member.clone()),
                assignment: Cow::Owned(assignment.to_vec()),
            })
        };
        members.into_iter().enumerate().map(one).collect()
    }

    pub(super) async fn heartbeat_classic(&mut self) -> Result<(), Trouble> {
        let request = HeartbeatRequest {
            group_id: Cow::Owned(self.group.clone()),
            generation_id: self.generation.unwrap_or(-1),
            member_id: Cow::Owned(self.id.clone()),
            group_instance_id: None,
        };
        let answer = self.link()?.call(&request, WITHIN).await?;
        accepted("heartbeat", answer.decode()?.error_code)
    }
}

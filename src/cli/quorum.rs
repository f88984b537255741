//! `ottla quorum status`: who leads the metadata quorum and how far its members are.

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, PartitionData, ReplicaState,
    RequestedPartitionData, RequestedTopicData,
};

use super::Reporting;
use super::client::Client;
use super::output::{Report, Table, optional, print};
use super::topic::topic_id;
use super::value::rfc3339;

/// What Kafka calls the quorum's log in its protocol.
const METADATA_TOPIC: &str = "__cluster_metadata";

const LEADER: &str = "leader";
const VOTER: &str = "voter";
const OBSERVER: &str = "observer";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the leader, the voters and the observers
    Status(Options),
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    reporting: Reporting,
}

/// The members of the metadata quorum, as its leader knows them.
#[derive(Debug, Serialize)]
pub(super) struct Quorum {
    leader: Option<i32>,
    term: i32,
    high_watermark: i64,
    members: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    id: i32,
    directory_id: Option<String>,
    /// `leader`, `voter` or `observer`
    role: &'static str,
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    last_fetch_ms: Option<i64>,
    last_caught_up_ms: Option<i64>,
    address: Option<String>,
}

pub(super) async fn run(command: Command) -> Result<()> {
    let Command::Status(Options { reporting }) = command;
    let quorum = ask(&mut reporting.connect.client()).await?;
    print(&quorum, reporting.format())
}

/// Asks for the quorum; whichever broker is asked, its leader answers.
pub(super) async fn ask(client: &mut Client) -> Result<Quorum> {
    let request = DescribeQuorumRequest {
        topics: vec![RequestedTopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![RequestedPartitionData::default()],
        }],
    };
    let answer = client.call_any(&request).await?;
    let quorum = answer.decode()?;
    if quorum.error_code == ErrorCode::NotLeaderOrFollower {
        bail!(
            "the metadata quorum has no leader now: more than half of its voters must run and reach each other; \
             `ottla cluster status` shows who does"
        );
    }
    answer.check(quorum.error_code)?;
    let partitions = quorum.topics.first().map(|topic| &topic.partitions);
    let Some(partition) = partitions.and_then(|partitions| partitions.first()) else {
        bail!("the broker says nothing of the metadata quorum");
    };
    answer.check(partition.error_code)?;
    Ok(Quorum::of(&quorum, partition))
}

impl Quorum {
    pub(super) fn leader(&self) -> Option<i32> {
        self.leader
    }

    pub(super) fn term(&self) -> i32 {
        self.term
    }

    pub(super) fn voters(&self) -> Vec<i32> {
        let voters = self.members.iter().filter(|one| one.role != OBSERVER);
        voters.map(|one| one.id).collect()
    }

    /// How far the slowest voter is behind, as far as the leader has heard of them.
    pub(super) fn lag_max(&self) -> Option<i64> {
        let voters = self.members.iter().filter(|one| one.role != OBSERVER);
        voters.filter_map(|one| one.lag).max()
    }

    fn of(quorum: &DescribeQuorumResponse<'_>, partition: &PartitionData<'_>) -> Self {
        let leader = Some(partition.leader_id).filter(|id| *id >= 0);
        let voters = partition.current_voters.iter().map(|one| (one, VOTER));
        let observers = partition.observers.iter().map(|one| (one, OBSERVER));
        let end = partition
            .current_voters
            .iter()
            .find(|one| Some(one.replica_id) == leader)
            .map(|one| one.log_end_offset);
        let members = voters.chain(observers).map(|(one, role)| {
            let role = if Some(one.replica_id) == leader {
                LEADER
            } else {
                role
            };
            Member::of(one, role, end, address_of(quorum, one.replica_id))
        });
        Self {
            leader,
            term: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            members: members.collect(),
        }
    }
}

impl Member {
    fn of(
        state: &ReplicaState,
        role: &'static str,
        leader_end: Option<i64>,
        address: Option<String>,
    ) -> Self {
        let known = |value: i64| Some(value).filter(|value| *value >= 0);
        let end = known(state.log_end_offset);
        let directory = Some(state.replica_directory_id).filter(|id| !id.is_nil());
        Self {
            id: state.replica_id,
            directory_id: directory.map(topic_id),
            role,
            log_end_offset: end,
            lag: leader_end
                .zip(end)
                .map(|(leader, end)| leader.saturating_sub(end).max(0)),
            last_fetch_ms: known(state.last_fetch_timestamp),
            last_caught_up_ms: known(state.last_caught_up_timestamp),
            address,
        }
    }
}

fn address_of(quorum: &DescribeQuorumResponse<'_>, id: i32) -> Option<String> {
    let node = quorum.nodes.iter().find(|node| node.node_id == id)?;
    let listener = node.listeners.first()?;
    Some(format!("{}:{}", listener.host, listener.port))
}

impl Report for Quorum {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut quorum = Table::new(&["LEADER", "TERM", "HIGH-WATERMARK"]);
        quorum.row([&optional(self.leader), &self.term, &self.high_watermark]);
        quorum.write(out)?;
        writeln!(out)?;
        let mut members = Table::new(&[
            "NODE",
            "ROLE",
            "LOG-END",
            "LAG",
            "LAST-FETCH",
            "LAST-CAUGHT-UP",
            "DIRECTORY",
            "ADDRESS",
        ]);
        for member in &self.members {
            members.row([
                &member.id,
                &member.role,
                &optional(member.log_end_offset),
                &optional(member.lag),
                &optional(member.last_fetch_ms.map(rfc3339)),
                &optional(member.last_caught_up_ms.map(rfc3339)),
                &optional(member.directory_id.as_ref()),
                &optional(member.address.as_ref()),
            ]);
        }
        members.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Quorum {
        pub(in crate::cli) fn led_by(leader: Option<i32>) -> Self {
            Self {
                leader,
                term: 1,
                high_watermark: 0,
                members: Vec::new(),
            }
        }
    }

    fn state(id: i32, end: i64) -> ReplicaState {
        ReplicaState {
            replica_id: id,
            log_end_offset: end,
            ..ReplicaState::default()
        }
    }

    #[test]
    fn lags_are_counted_from_the_leaders_end_and_observers_hold_nobody_up() {
        let partition = PartitionData {
            leader_id: 2,
            current_voters: vec![state(1, 7), state(2, 9), state(3, -1)],
            observers: vec![state(4, 0)],
            ..PartitionData::default()
        };
        let quorum = Quorum::of(&DescribeQuorumResponse::default(), &partition);
        let members = quorum.members.iter().map(|one| (one.role, one.lag));
        let expected = [
            (VOTER, Some(2)),
            (LEADER, Some(0)),
            (VOTER, None),
            (OBSERVER, Some(9)),
        ];
        assert_eq!(members.collect::<Vec<_>>(), expected);
        assert_eq!(
            (quorum.voters(), quorum.lag_max()),
            (vec![1, 2, 3], Some(2))
        );
    }
}

//! `ottla quorum status`: who leads the metadata quorum and how far its members are.

use std::io::{self, Write};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::wire::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, PartitionData, ReplicaState,
    RequestedPartitionData, RequestedTopicData,
};

use super::Reporting;
use super::output::{Report, Table, optional, print};
use super::topic::topic_id;
use super::value::rfc3339;

/// What Kafka calls the quorum's log in its protocol.
const METADATA_TOPIC: &str = "__cluster_metadata";

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

#[derive(Debug, Serialize)]
struct Status {
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
    let request = DescribeQuorumRequest {
        topics: vec![RequestedTopicData {
            topic_name: METADATA_TOPIC.into(),
            partitions: vec![RequestedPartitionData::default()],
        }],
    };
    let answer = reporting.connect.client().call_any(&request).await?;
    let quorum = answer.decode()?;
    answer.check(quorum.error_code)?;
    let partitions = quorum.topics.first().map(|topic| &topic.partitions);
    let Some(partition) = partitions.and_then(|partitions| partitions.first()) else {
        bail!("the broker says nothing of the metadata quorum");
    };
    answer.check(partition.error_code)?;
    print(&Status::of(&quorum, partition), reporting.output)
}

impl Status {
    fn of(quorum: &DescribeQuorumResponse<'_>, partition: &PartitionData<'_>) -> Self {
        let leader = Some(partition.leader_id).filter(|id| *id >= 0);
        let voters = partition.current_voters.iter().map(|one| (one, "voter"));
        let observers = partition.observers.iter().map(|one| (one, "observer"));
        let end = partition
            .current_voters
            .iter()
            .find(|one| Some(one.replica_id) == leader)
            .map(|one| one.log_end_offset);
        let members = voters.chain(observers).map(|(one, role)| {
            let role = if Some(one.replica_id) == leader {
                "leader"
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

impl Report for Status {
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

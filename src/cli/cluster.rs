//! `ottla cluster status`: brokers, and how many partitions lack something.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::wire::messages::describe_cluster::DescribeClusterRequest;

use super::Reporting;
use super::client::{Metadata, Topics};
use super::output::{Report, Table, optional, print};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the brokers and what is wrong with partitions
    Status(Options),
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Serialize)]
struct Status {
    cluster_id: String,
    controller: Option<i32>,
    brokers: Vec<BrokerStatus>,
    topics: usize,
    partitions: usize,
    under_replicated_partitions: usize,
    leaderless_partitions: usize,
}

#[derive(Debug, Serialize)]
struct BrokerStatus {
    id: i32,
    host: String,
    port: i32,
    rack: Option<String>,
    fenced: bool,
    controller: bool,
}

pub(super) async fn run(command: Command) -> Result<()> {
    let Command::Status(Options { reporting }) = command;
    let mut client = reporting.connect.client();
    let request = DescribeClusterRequest {
        include_fenced_brokers: true,
        ..DescribeClusterRequest::default()
    };
    let answer = client.call_any(&request).await?;
    let cluster = answer.decode()?;
    answer.check(cluster.error_code)?;
    let controller = Some(cluster.controller_id).filter(|id| *id >= 0);
    let brokers = cluster.brokers.iter().map(|broker| BrokerStatus {
        id: broker.broker_id,
        host: broker.host.to_string(),
        port: broker.port,
        rack: broker.rack.as_ref().map(ToString::to_string),
        fenced: broker.is_fenced,
        controller: controller == Some(broker.broker_id),
    });
    let mut brokers: Vec<_> = brokers.collect();
    brokers.sort_by_key(|broker| broker.id);
    let metadata = client.metadata(Topics::All).await?;
    let status = Status::of(
        cluster.cluster_id.to_string(),
        controller,
        brokers,
        &metadata,
    );
    print(&status, reporting.output)
}

impl Status {
    fn of(
        cluster_id: String,
        controller: Option<i32>,
        brokers: Vec<BrokerStatus>,
        metadata: &Metadata,
    ) -> Self {
        let partitions = || {
            metadata
                .topics
                .values()
                .flat_map(|topic| topic.partitions.values())
        };
        Self {
            cluster_id,
            controller,
            brokers,
            topics: metadata.topics.len(),
            partitions: partitions().count(),
            under_replicated_partitions: partitions()
                .filter(|partition| partition.is_under_replicated())
                .count(),
            leaderless_partitions: partitions()
                .filter(|partition| partition.leader.is_none())
                .count(),
        }
    }
}

impl Report for Status {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut cluster = Table::new(&[
            "CLUSTER",
            "CONTROLLER",
            "BROKERS",
            "TOPICS",
            "PARTITIONS",
            "UNDER-REPLICATED",
            "LEADERLESS",
        ]);
        cluster.row([
            &self.cluster_id,
            &optional(self.controller),
            &self.brokers.len(),
            &self.topics,
            &self.partitions,
            &self.under_replicated_partitions,
            &self.leaderless_partitions,
        ]);
        cluster.write(out)?;
        writeln!(out)?;
        let mut brokers = Table::new(&["BROKER", "HOST", "PORT", "RACK", "STATE", "CONTROLLER"]);
        for broker in &self.brokers {
            brokers.row([
                &broker.id,
                &broker.host,
                &broker.port,
                &optional(broker.rack.as_ref()),
                &if broker.fenced { "fenced" } else { "active" },
                &if broker.controller { "yes" } else { "no" },
            ]);
        }
        brokers.write(out)
    }
}

//! `ottla broker list`: the registered brokers and what each carries.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use super::Reporting;
use super::client::{Cluster, Metadata, Partition, Topics};
use super::output::{Report, Table, optional, print};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the registered brokers, fenced ones among them
    #[command(visible_alias = "ls")]
    List(Options),
}

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Serialize)]
struct List {
    brokers: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: i32,
    rack: Option<String>,
    host: String,
    port: i32,
    /// `live` or `fenced`
    state: &'static str,
    controller: bool,
    leaders: usize,
    replicas: usize,
}

pub(super) async fn run(command: Command) -> Result<()> {
    let Command::List(Options { reporting }) = command;
    let mut client = reporting.connect.client();
    let cluster = client.cluster().await?;
    let metadata = client.metadata(Topics::All).await?;
    print(&List::of(&cluster, &metadata), reporting.format())
}

impl List {
    fn of(cluster: &Cluster, metadata: &Metadata) -> Self {
        let count = |is_counted: &dyn Fn(&Partition) -> bool| {
            let partitions = metadata.partitions();
            partitions.filter(|one| is_counted(one)).count()
        };
        let brokers = cluster.brokers.iter().map(|broker| Listed {
            id: broker.id,
            rack: broker.rack.clone(),
            host: broker.host.clone(),
            port: broker.port,
            state: broker.state(),
            controller: cluster.controller == Some(broker.id),
            leaders: count(&|one| one.leader == Some(broker.id)),
            replicas: count(&|one| one.replicas.contains(&broker.id)),
        });
        Self {
            brokers: brokers.collect(),
        }
    }
}

impl Report for List {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "BROKER",
            "RACK",
            "ADDRESS",
            "STATE",
            "CONTROLLER",
            "LEADERS",
            "REPLICAS",
        ]);
        for broker in &self.brokers {
            table.row([
                &broker.id,
                &optional(broker.rack.as_ref()),
                &format!("{}:{}", broker.host, broker.port),
                &broker.state,
                &if broker.controller { "yes" } else { "no" },
                &broker.leaders,
                &broker.replicas,
            ]);
        }
        table.write(out)
    }
}

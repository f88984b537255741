//! `ottla topic list`.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::cli::Reporting;
use crate::cli::client::{Topic, Topics};
use crate::cli::output::{Report, Table, print};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Only topics whose name contains this text
    #[arg(value_name = "TEXT")]
    matching: Option<String>,
    /// Internal topics too
    #[arg(short, long)]
    internal: bool,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Serialize)]
struct List {
    topics: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    id: String,
    partitions: usize,
    replication_factor: usize,
    internal: bool,
}

impl Listed {
    fn of(name: String, topic: &Topic) -> Self {
        let factors = topic
            .partitions
            .values()
            .map(|partition| partition.replicas.len());
        Self {
            name,
            id: super::describe::topic_id(topic.id),
            partitions: topic.partitions.len(),
            replication_factor: factors.max().unwrap_or_default(),
            internal: topic.is_internal,
        }
    }
}

impl Report for List {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["NAME", "PARTITIONS", "REPLICAS"]);
        for topic in &self.topics {
            table.row([&topic.name, &topic.partitions, &topic.replication_factor]);
        }
        table.write(out)
    }
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let metadata = client.metadata(Topics::All).await?;
    let matching = options.matching.unwrap_or_default();
    let wanted = metadata.topics.into_iter().filter(|(name, topic)| {
        (options.internal || !topic.is_internal) && name.contains(&matching)
    });
    let topics = wanted
        .map(|(name, topic)| Listed::of(name, &topic))
        .collect();
    print(&List { topics }, options.reporting.format())
}

//! `ottla topic offsets`.

use std::io::{self, Write};
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::cli::Reporting;
use crate::cli::client::{At, Client, Isolation, Topics};
use crate::cli::output::{Report, Table, optional, print};
use crate::cli::value::moment_ms;
use crate::wire::error_code::ErrorCode;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The topics to ask for
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// earliest, latest, max-timestamp, milliseconds since 1970, or a time such as
    /// 2026-01-31T08:00:00Z (UTC where it names no zone)
    #[arg(
        short,
        long,
        value_name = "TIME",
        default_value = "latest",
        allow_hyphen_values = true
    )]
    time: Time,
    /// Only these partitions
    #[arg(short, long, value_name = "N,...", value_delimiter = ',')]
    partition: Vec<i32>,
    /// Which end `latest` means
    #[arg(long, value_name = "LEVEL", default_value = "read_uncommitted")]
    isolation: Isolation,
    #[command(flatten)]
    reporting: Reporting,
}

/// `--time`; also -1, -2 and -3 as `kafka-get-offsets` spells them.
#[derive(Clone, Copy, Debug)]
struct Time(At);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(match text {
            "latest" | "end" | "-1" => At::Latest,
            "earliest" | "start" | "-2" => At::Earliest,
            "max-timestamp" | "-3" => At::MaxTimestamp,
            text => match moment_ms(text)? {
                ms if ms >= 0 => At::TimestampMs(ms),
                _ => return Err("a time before 1970 is no record's time".to_owned()),
            },
        }))
    }
}

#[derive(Debug, Default, Serialize)]
struct Offsets {
    partitions: Vec<PartitionOffset>,
}

#[derive(Debug, Serialize)]
struct PartitionOffset {
    topic: String,
    partition: i32,
    offset: Option<i64>,
    timestamp: Option<i64>,
    leader_epoch: Option<i32>,
    error: Option<&'static str>,
}

impl Report for Offsets {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["TOPIC", "PARTITION", "OFFSET", "TIMESTAMP", "EPOCH"]);
        for one in &self.partitions {
            let offset = one
                .error
                .map_or_else(|| optional(one.offset), str::to_owned);
            let timestamp = optional(one.timestamp);
            let epoch = optional(one.leader_epoch);
            table.row([&one.topic, &one.partition, &offset, &timestamp, &epoch]);
        }
        table.write(out)
    }
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let partitions = partitions(&mut client, &options).await?;
    let found = client
        .offsets(&partitions, options.time.0, options.isolation)
        .await?;
    let mut report = Offsets::default();
    for ((topic, partition), outcome) in found {
        let found = outcome.ok();
        report.partitions.push(PartitionOffset {
            topic,
            partition,
            offset: found.and_then(|found| found.offset),
            timestamp: found.and_then(|found| found.timestamp_ms),
            leader_epoch: found.and_then(|found| found.leader_epoch),
            error: outcome.err().map(ErrorCode::name),
        });
    }
    print(&report, options.reporting.format())?;
    let all = report.partitions.len();
    let failed = report.partitions.iter().filter(|one| one.error.is_some());
    match failed.count() {
        0 => Ok(()),
        failed => bail!("{failed} of {all} partitions gave no answer"),
    }
}

async fn partitions(client: &mut Client, options: &Options) -> Result<Vec<(String, i32)>> {
    let topics = Topics::Named {
        names: &options.topics,
        may_create: false,
    };
    let metadata = client.metadata(topics).await?;
    let mut partitions = Vec::new();
    for name in &options.topics {
        for index in metadata.existing(name)?.partitions.keys() {
            if options.partition.is_empty() || options.partition.contains(index) {
                partitions.push((name.clone(), *index));
            }
        }
    }
    if partitions.is_empty() {
        bail!("no such partition; `ottla topic describe` lists them");
    }
    Ok(partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_words_numbers_and_dates() {
        for (text, expected) in [
            ("latest", At::Latest),
            ("-1", At::Latest),
            ("earliest", At::Earliest),
            ("-2", At::Earliest),
            ("max-timestamp", At::MaxTimestamp),
            ("1700000000000", At::TimestampMs(1_700_000_000_000)),
            ("2026-01-31T08:00:00Z", At::TimestampMs(1_769_846_400_000)),
        ] {
            assert_eq!(text.parse::<Time>().unwrap().0, expected, "{text}");
        }
        assert!("-7".parse::<Time>().is_err());
        assert!("soon".parse::<Time>().is_err());
    }
}

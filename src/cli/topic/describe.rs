//! `ottla topic describe`: summary, settings, partitions.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use super::eligible::{Eligible, EligibleLeaders, eligible_leaders};
use super::settings::{Setting, min_insync_replicas, settings};
use crate::cli::Reporting;
use crate::cli::client::{At, Client, Isolation, Metadata, Partition, Topics};
use crate::cli::output::{Report, Table, joined, optional, print};
use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The topics to describe; without a name, all of them
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    sections: Sections,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Debug, Serialize)]
struct Description {
    topics: Vec<TopicDescription>,
    #[serde(skip)]
    sections: Sections,
}

/// Which parts of the table are wanted; the JSON always has all of them.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Sections {
    /// Show the summary (default: all sections)
    #[arg(short, long)]
    summary: bool,
    /// Show the settings
    #[arg(short, long)]
    configs: bool,
    /// Show the partitions
    #[arg(short, long)]
    partitions: bool,
}

/// Which partitions are wanted, all if none is set.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Filters {
    /// Only partitions with replicas missing from the ISR
    #[arg(long, alias = "under-replicated-partitions")]
    under_replicated: bool,
    /// Only partitions without a leader, or whose ISR is smaller than min.insync.replicas
    #[arg(long, alias = "under-min-isr-partitions")]
    under_min_isr: bool,
    /// Only partitions whose leader is missing or not alive
    #[arg(long, alias = "unavailable-partitions")]
    unavailable: bool,
}

#[derive(Debug, Serialize)]
struct TopicDescription {
    name: String,
    id: String,
    internal: bool,
    partition_count: usize,
    replication_factor: usize,
    configs: Vec<Setting>,
    partitions: Vec<PartitionDescription>,
}

#[derive(Debug, Serialize)]
struct PartitionDescription {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    /// Replicas out of the ISR that hold everything committed; null where the broker can't say.
    elr: Option<Vec<i32>>,
    last_known_elr: Option<Vec<i32>>,
    offline: Vec<i32>,
    log_start_offset: Option<i64>,
    high_watermark: Option<i64>,
    error: Option<&'static str>,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.reporting.connect.client();
    let topics = match options.topics.as_slice() {
        [] => Topics::All,
        names => Topics::Named {
            names,
            may_create: false,
        },
    };
    let metadata = client.metadata(topics).await?;
    let names: Vec<String> = match options.topics.as_slice() {
        [] => metadata.topics.keys().cloned().collect(),
        names => names.to_vec(),
    };
    for name in &names {
        metadata.existing(name)?;
    }
    let mut settings = settings(&mut client, &names, None).await?;
    let known = Known {
        eligible: eligible_leaders(&mut client, &names).await?,
        ends: ends(&mut client, &names, &metadata).await,
        metadata,
    };
    let topics = names.into_iter().filter_map(|name| {
        let configs = settings.remove(&name).unwrap_or_default();
        known.describe(&options, name, configs)
    });
    let description = Description {
        topics: topics.collect(),
        sections: options.sections(),
    };
    print(&description, options.reporting.format())
}

impl Options {
    fn sections(&self) -> Sections {
        let Sections {
            summary,
            configs,
            mut partitions,
        } = self.sections;
        // A filter on partitions is a question about partitions.
        partitions |= !self.filters.are_off();
        let all = !(summary || configs || partitions);
        Sections {
            summary: summary || all,
            configs: configs || all,
            partitions: partitions || all,
        }
    }
}

impl Filters {
    fn are_off(self) -> bool {
        !(self.under_replicated || self.under_min_isr || self.unavailable)
    }

    fn want(self, partition: &Partition, min_isr: Option<usize>, metadata: &Metadata) -> bool {
        self.are_off()
            || (self.under_replicated && partition.is_under_replicated())
            || (self.under_min_isr && partition.is_under_min_isr(min_isr))
            || (self.unavailable && !metadata.is_available(partition))
    }
}

/// Log start and high watermark of a partition.
type Ends = BTreeMap<(String, i32), (Option<i64>, Option<i64>)>;

/// What the brokers say of partitions, from three of their APIs.
struct Known {
    metadata: Metadata,
    eligible: EligibleLeaders,
    ends: Ends,
}

impl Known {
    /// `None` for a topic of which the filters want nothing.
    fn describe(
        &self,
        options: &Options,
        name: String,
        configs: Vec<Setting>,
    ) -> Option<TopicDescription> {
        let topic = self.metadata.topics.get(&name)?;
        let factors = topic.partitions.values().map(|one| one.replicas.len());
        let min_isr = min_insync_replicas(&configs);
        let wanted = topic
            .partitions
            .iter()
            .filter(|(_, one)| options.filters.want(one, min_isr, &self.metadata));
        let partitions: Vec<_> = wanted
            .map(|(&index, one)| self.partition(&name, index, one))
            .collect();
        if partitions.is_empty() && !options.filters.are_off() {
            return None;
        }
        Some(TopicDescription {
            id: topic_id(topic.id),
            internal: topic.is_internal,
            partition_count: topic.partitions.len(),
            replication_factor: factors.max().unwrap_or_default(),
            configs,
            partitions,
            name,
        })
    }

    fn partition(&self, topic: &str, index: i32, one: &Partition) -> PartitionDescription {
        let key = (topic.to_owned(), index);
        let (log_start_offset, high_watermark) = self.ends.get(&key).copied().unwrap_or_default();
        let Eligible {
            elr,
            last_known_elr,
        } = self.eligible.get(&key).cloned().unwrap_or_default();
        PartitionDescription {
            partition: index,
            leader: one.leader,
            leader_epoch: one.leader_epoch,
            replicas: one.replicas.clone(),
            isr: one.isr.clone(),
            elr,
            last_known_elr,
            offline: one.offline.clone(),
            log_start_offset,
            high_watermark,
            error: Some(one.error)
                .filter(|code| code.is_error())
                .map(ErrorCode::name),
        }
    }
}

/// Best effort: a partition without a leader has no offsets to show, which is no reason to fail.
async fn ends(client: &mut Client, names: &[String], metadata: &Metadata) -> Ends {
    let mut partitions = Vec::new();
    for name in names {
        let topic = metadata.topics.get(name);
        for (index, partition) in topic.into_iter().flat_map(|topic| &topic.partitions) {
            if partition.leader.is_some() {
                partitions.push((name.clone(), *index));
            }
        }
    }
    let mut ends = Ends::new();
    let level = Isolation::ReadUncommitted;
    for at in [At::Earliest, At::Latest] {
        let asked = client.offsets_now(&partitions, at, level).await;
        for (key, found) in asked.answers {
            let offset = found.ok().and_then(|found| found.offset);
            let slot = ends.entry(key).or_default();
            *(if at == At::Earliest {
                &mut slot.0
            } else {
                &mut slot.1
            }) = offset;
        }
    }
    ends
}

/// Kafka prints ids as base64 without padding, in the alphabet for URLs.
pub(in crate::cli) fn topic_id(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    let mut text = String::with_capacity(22);
    for position in 0_u32..22 {
        // 128 bits are 21 groups of six and two bits more, which stand at the top of the last.
        let group = if position < 21 {
            bits >> (122 - 6 * position)
        } else {
            bits << 4
        };
        let letter = usize::try_from(group & 0x3f)
            .ok()
            .and_then(|index| ALPHABET.get(index));
        text.extend(letter.map(|letter| char::from(*letter)));
    }
    text
}

impl Report for Description {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        for (position, topic) in self.topics.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            topic.write_sections(self.sections, out)?;
        }
        Ok(())
    }
}

impl TopicDescription {
    fn write_sections(&self, sections: Sections, out: &mut dyn Write) -> io::Result<()> {
        if sections.summary {
            writeln!(out, "SUMMARY")?;
            self.write_summary(out)?;
        }
        if sections.configs {
            if sections.summary {
                writeln!(out)?;
            }
            writeln!(out, "CONFIGS")?;
            self.write_configs(out)?;
        }
        if sections.partitions {
            if sections.summary || sections.configs {
                writeln!(out)?;
            }
            writeln!(out, "PARTITIONS")?;
            self.write_partitions(out)?;
        }
        Ok(())
    }

    fn write_summary(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["NAME", "ID", "PARTITIONS", "REPLICAS", "INTERNAL"]);
        let Self { name, id, .. } = self;
        let (count, factor) = (self.partition_count, self.replication_factor);
        table.row([name, id, &count, &factor, &self.internal]);
        table.write(out)
    }

    fn write_configs(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
        for setting in &self.configs {
            let value = optional(setting.value());
            table.row([&setting.key(), &value, &setting.source()]);
        }
        table.write(out)
    }

    fn write_partitions(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut table = Table::new(&[
            "TOPIC",
            "PARTITION",
            "LEADER",
            "EPOCH",
            "REPLICAS",
            "ISR",
            "ELR",
            "LAST-KNOWN-ELR",
            "OFFLINE",
            "LOG-START",
            "HIGH-WATERMARK",
        ]);
        for one in &self.partitions {
            table.row([
                &self.name,
                &one.partition,
                &optional(one.leader),
                &one.leader_epoch,
                &joined(&one.replicas),
                &joined(&one.isr),
                &joined(one.elr.as_deref().unwrap_or_default()),
                &joined(one.last_known_elr.as_deref().unwrap_or_default()),
                &joined(&one.offline),
                &optional(one.log_start_offset),
                &optional(one.high_watermark),
            ]);
        }
        table.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::{Broker, HostPort};

    /// By the names of the filters that show a partition of replicas 1 to 3 with a minimum of two.
    fn shown(leader: Option<i32>, isr: &[i32], live: &[i32]) -> Vec<&'static str> {
        let address = || HostPort {
            host: "h".to_owned(),
            port: 1,
        };
        let broker = || Broker {
            address: address(),
            rack: None,
        };
        let metadata = Metadata {
            brokers: live.iter().map(|id| (*id, broker())).collect(),
            ..Metadata::default()
        };
        let partition = Partition {
            error: ErrorCode::None,
            leader,
            leader_epoch: 3,
            replicas: vec![1, 2, 3],
            isr: isr.to_vec(),
            offline: Vec::new(),
        };
        let off = Filters {
            under_replicated: false,
            under_min_isr: false,
            unavailable: false,
        };
        assert!(off.want(&partition, Some(2), &metadata));
        let filters = [
            (
                "under-replicated",
                Filters {
                    under_replicated: true,
                    ..off
                },
            ),
            (
                "under-min-isr",
                Filters {
                    under_min_isr: true,
                    ..off
                },
            ),
            (
                "unavailable",
                Filters {
                    unavailable: true,
                    ..off
                },
            ),
        ];
        let wanting = filters
            .into_iter()
            .filter(|(_, filter)| filter.want(&partition, Some(2), &metadata));
        wanting.map(|(name, _)| name).collect()
    }

    #[test]
    fn each_filter_shows_what_lacks_something_else() {
        let all = [1, 2, 3];
        assert!(shown(Some(1), &all, &all).is_empty());
        assert_eq!(shown(Some(1), &[1, 2], &[1, 2]), ["under-replicated"]);
        assert_eq!(
            shown(Some(1), &[1], &all),
            ["under-replicated", "under-min-isr"]
        );
        let everything = ["under-replicated", "under-min-isr", "unavailable"];
        assert_eq!(shown(None, &[], &all), everything);
        assert_eq!(shown(Some(1), &all, &[2, 3]), ["unavailable"]);
    }

    /// `org.apache.kafka.common.Uuid` prints these.
    #[test]
    fn topic_ids_print_as_kafka_prints_them() {
        let id = Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        assert_eq!(topic_id(id), "AQIDBAUGBwgJCgsMDQ4PEA");
        assert_eq!(topic_id(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(
            topic_id(Uuid::from_u128(u128::MAX)),
            "_____________________w"
        );
    }
}

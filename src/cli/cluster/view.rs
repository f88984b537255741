//! What the brokers say of the whole cluster, put together.
//!
//! - A quorum that can't be asked is one without a leader: the rest is shown all the same.
//! - The rules of what is missing are here and nowhere else.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

use crate::cli::client::{Client, Cluster, Metadata, Topics};
use crate::cli::output::{Report, Table, joined, optional};
use crate::cli::quorum::{self, Quorum};
use crate::cli::topic::{MIN_INSYNC_REPLICAS, min_insync_replicas, settings};

#[derive(Debug, Serialize)]
pub(super) struct View {
    cluster_id: String,
    controller: Option<i32>,
    live_brokers: usize,
    fenced_brokers: usize,
    #[serde(flatten)]
    counts: Counts,
    quorum: Option<Quorum>,
    brokers: Vec<BrokerView>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    topics: usize,
    partitions: usize,
    under_replicated_partitions: usize,
    under_min_isr_partitions: usize,
    leaderless_partitions: usize,
    offline_replicas: usize,
}

#[derive(Debug, Serialize)]
struct BrokerView {
    id: i32,
    host: String,
    port: i32,
    rack: Option<String>,
    fenced: bool,
    controller: bool,
}

impl View {
    pub(super) async fn ask(client: &mut Client) -> Result<Self> {
        let cluster = client.cluster().await?;
        let metadata = client.metadata(Topics::All).await?;
        let quorum = quorum::ask(client).await.ok();
        let mut counts = Counts::of(&metadata);
        counts.under_min_isr_partitions = under_min_isr(client, &metadata).await?;
        Ok(Self::of(cluster, quorum, counts))
    }

    fn of(cluster: Cluster, quorum: Option<Quorum>, counts: Counts) -> Self {
        let fenced_brokers = cluster.brokers.iter().filter(|one| one.is_fenced).count();
        let controller = cluster.controller;
        let brokers = cluster.brokers.into_iter().map(|broker| BrokerView {
            id: broker.id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
            fenced: broker.is_fenced,
            controller: controller == Some(broker.id),
        });
        let brokers: Vec<_> = brokers.collect();
        Self {
            cluster_id: cluster.id,
            controller,
            live_brokers: brokers.len() - fenced_brokers,
            fenced_brokers,
            counts,
            quorum,
            brokers,
        }
    }

    /// What a healthy cluster has and this one lacks. `brokers` is how many must be live; without it,
    /// all that are registered.
    pub(super) fn missing(&self, brokers: Option<usize>) -> Vec<String> {
        let mut missing = Vec::new();
        let fenced = self.ids(|broker| broker.fenced);
        match brokers {
            Some(wanted) if self.live_brokers < wanted => {
                missing.push(format!(
                    "{} of {wanted} brokers are live",
                    self.live_brokers
                ));
            }
            None if !fenced.is_empty() => {
                missing.push(format!("fenced: broker {}", joined(&fenced)));
            }
            _ => {}
        }
        if self.quorum.as_ref().and_then(Quorum::leader).is_none() {
            missing.push("the metadata quorum has no leader".to_owned());
        }
        let Counts {
            leaderless_partitions: leaderless,
            under_replicated_partitions: under_replicated,
            ..
        } = self.counts;
        if leaderless > 0 {
            missing.push(format!("partitions without a leader: {leaderless}"));
        }
        if under_replicated > 0 {
            missing.push(format!("under-replicated partitions: {under_replicated}"));
        }
        missing
    }

    /// One line of what a watcher wants to hear of; lags and offsets, which always change, are not in it.
    pub(super) fn line(&self) -> String {
        let Counts {
            topics,
            partitions,
            under_replicated_partitions,
            under_min_isr_partitions,
            leaderless_partitions,
            offline_replicas,
        } = self.counts;
        let or_none = |text: String| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text
            }
        };
        let ids = |is_fenced: bool| or_none(joined(&self.ids(|broker| broker.fenced == is_fenced)));
        let leader = self.quorum.as_ref().and_then(Quorum::leader);
        let voters = self.quorum.as_ref().map(|quorum| joined(&quorum.voters()));
        format!(
            "live={} fenced={} controller={} quorum-leader={} voters={} topics={topics} partitions={partitions} \
             under-replicated={under_replicated_partitions} under-min-isr={under_min_isr_partitions} \
             leaderless={leaderless_partitions} offline={offline_replicas}",
            ids(false),
            ids(true),
            or_none(optional(self.controller)),
            or_none(optional(leader)),
            or_none(optional(voters)),
        )
    }

    fn ids(&self, is_wanted: impl Fn(&BrokerView) -> bool) -> Vec<i32> {
        let wanted = self.brokers.iter().filter(|broker| is_wanted(broker));
        wanted.map(|broker| broker.id).collect()
    }
}

impl Counts {
    fn of(metadata: &Metadata) -> Self {
        let partitions = || metadata.partitions();
        Self {
            topics: metadata.topics.len(),
            partitions: partitions().count(),
            under_replicated_partitions: partitions()
                .filter(|one| one.is_under_replicated())
                .count(),
            under_min_isr_partitions: 0,
            leaderless_partitions: partitions().filter(|one| one.leader.is_none()).count(),
            offline_replicas: partitions().map(|one| one.offline.len()).sum(),
        }
    }
}

/// A topic that was deleted meanwhile has no settings, and counts as gone.
async fn under_min_isr(client: &mut Client, metadata: &Metadata) -> Result<usize> {
    let names: Vec<_> = metadata.topics.keys().cloned().collect();
    let settings = settings(client, &names, Some(MIN_INSYNC_REPLICAS)).await?;
    let under = settings.iter().map(|(name, settings)| {
        let min_isr = min_insync_replicas(settings);
        let partitions = metadata.topics.get(name).map(|topic| &topic.partitions);
        let partitions = partitions.into_iter().flat_map(|all| all.values());
        partitions
            .filter(|one| one.is_under_min_isr(min_isr))
            .count()
    });
    Ok(under.sum())
}

impl Report for View {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut cluster = Table::new(&["CLUSTER", "CONTROLLER", "LIVE", "FENCED", "TOPICS"]);
        cluster.row([
            &self.cluster_id,
            &optional(self.controller),
            &self.live_brokers,
            &self.fenced_brokers,
            &self.counts.topics,
        ]);
        cluster.write(out)?;
        writeln!(out)?;
        let mut partitions = Table::new(&[
            "PARTITIONS",
            "UNDER-REPLICATED",
            "UNDER-MIN-ISR",
            "LEADERLESS",
            "OFFLINE-REPLICAS",
        ]);
        partitions.row([
            &self.counts.partitions,
            &self.counts.under_replicated_partitions,
            &self.counts.under_min_isr_partitions,
            &self.counts.leaderless_partitions,
            &self.counts.offline_replicas,
        ]);
        partitions.write(out)?;
        writeln!(out)?;
        let quorum = self.quorum.as_ref();
        let mut members = Table::new(&["QUORUM-LEADER", "TERM", "VOTERS", "LAG-MAX"]);
        members.row([
            &optional(quorum.and_then(Quorum::leader)),
            &optional(quorum.map(Quorum::term)),
            &optional(quorum.map(|quorum| joined(&quorum.voters()))),
            &optional(quorum.and_then(Quorum::lag_max)),
        ]);
        members.write(out)?;
        writeln!(out)?;
        let mut brokers = Table::new(&["BROKER", "HOST", "PORT", "RACK", "STATE", "CONTROLLER"]);
        for broker in &self.brokers {
            brokers.row([
                &broker.id,
                &broker.host,
                &broker.port,
                &optional(broker.rack.as_ref()),
                &if broker.fenced { "fenced" } else { "live" },
                &if broker.controller { "yes" } else { "no" },
            ]);
        }
        brokers.write(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Member;

    fn broker(id: i32, is_fenced: bool) -> Member {
        Member {
            id,
            host: "h".to_owned(),
            port: 1,
            rack: None,
            is_fenced,
        }
    }

    fn view(fenced: bool, leader: Option<i32>, counts: Counts) -> View {
        let cluster = Cluster {
            id: "c".to_owned(),
            controller: leader,
            brokers: vec![broker(1, false), broker(2, fenced)],
        };
        View::of(cluster, Some(Quorum::led_by(leader)), counts)
    }

    #[test]
    fn a_healthy_cluster_lacks_nothing() {
        assert!(
            view(false, Some(1), Counts::default())
                .missing(None)
                .is_empty()
        );
        assert!(
            view(false, Some(1), Counts::default())
                .missing(Some(2))
                .is_empty()
        );
    }

    #[test]
    fn everything_that_is_missing_is_named() {
        let counts = Counts {
            leaderless_partitions: 3,
            under_replicated_partitions: 4,
            ..Counts::default()
        };
        let missing = view(true, None, counts).missing(None).join("; ");
        assert_eq!(
            missing,
            "fenced: broker 2; the metadata quorum has no leader; partitions without a leader: 3; \
             under-replicated partitions: 4"
        );
    }

    #[test]
    fn a_number_of_brokers_stands_in_for_all_of_them() {
        let view = view(true, Some(1), Counts::default());
        assert!(view.missing(Some(1)).is_empty());
        assert_eq!(view.missing(Some(3)), ["1 of 3 brokers are live"]);
    }
}

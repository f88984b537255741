//! What decisions did to leaders, in-sync sets and brokers: counted, and said in one line each.
//!
//! - It is told after it was applied, never of a decision that came to nothing.
//! - A line names the first partitions and counts the rest, however many there are.

use std::fmt;

use super::Driver;
use crate::controller::Command;
use crate::controller::command::{BrokerState, ChangeBroker, Heartbeat};
use crate::metadata::record::{BrokerChange, Record};
use crate::metadata::{
    BrokerEpoch, BrokerId, MetadataImage, PartitionImage, PartitionIndex, TopicId,
};
use crate::telemetry::replication::Replication;

/// Partitions that a line names.
const NAMED_MAX: u64 = 5;

/// Partitions that something happened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    count: u64,
    /// The first ones, and what they are like now.
    first: String,
}

/// What became of one decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Consequences {
    shrunk: Named,
    grown: Named,
    clean: Named,
    from_elr: Named,
    unclean: Named,
    leaderless: Named,
    fenced: Option<(BrokerId, BrokerEpoch)>,
}

/// Why a decision was made, in a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Session,
    Probe,
    Asked,
    Stop,
    Restart,
    Leader,
    LetIn,
    Directory,
    Preferred,
    Operator,
}

impl Named {
    fn add(&mut self, name: impl fmt::Display) {
        use std::fmt::Write as _;
        if self.count < NAMED_MAX {
            let comma = if self.count == 0 { "" } else { ", " };
            // A string takes everything.
            let _ = write!(self.first, "{comma}{name}");
        }
        self.count += 1;
    }

    /// A field of a log line; `None` leaves it out.
    fn field(&self) -> Option<tracing::field::DisplayValue<&Self>> {
        (self.count > 0).then(|| tracing::field::display(self))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first)?;
        match self.count.saturating_sub(NAMED_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Consequences {
    /// What `records` made of one image in the next.
    pub(super) fn of(before: &MetadataImage, after: &MetadataImage, records: &[Record]) -> Self {
        let mut found = Self::default();
        for record in records {
            match record {
                Record::PartitionChange(change) => {
                    let topic = TopicId::from_wire(change.topic);
                    let index = PartitionIndex::from_wire(change.partition);
                    if let Some((topic, index)) = topic.zip(index)
                        && let Some(before) = before.topics().by_id(topic)
                        && let Some(after) = after.topics().by_id(topic)
                        && let Some(old) = before.partition(index)
                        && let Some(new) = after.partition(index)
                    {
                        found.partition(format_args!("{}-{index}", after.name()), old, new);
                    }
                }
                Record::BrokerChange(BrokerChange { broker, .. }) => {
                    found.broker(before, after, *broker);
                }
                Record::BrokerRegistration(registration) => {
                    found.broker(before, after, registration.broker);
                }
                _ => {}
            }
        }
        found
    }

    fn partition(&mut self, name: fmt::Arguments<'_>, old: &PartitionImage, new: &PartitionImage) {
        let left = old.isr.iter().any(|member| !new.isr.contains(member));
        let joined = new.isr.iter().any(|member| !old.isr.contains(member));
        let isr = Ids(&new.isr);
        if left {
            self.shrunk.add(format_args!("{name} {isr}"));
        }
        if joined && new.leader == old.leader {
            self.grown.add(format_args!("{name} {isr}"));
        }
        let Some(leader) = new.leader else {
            if old.leader.is_some() {
                self.leaderless.add(name);
            }
            return;
        };
        if old.leader == new.leader {
            return;
        }
        let elections = if old.isr.contains(&leader) {
            &mut self.clean
        } else if old.elr.contains(&leader) {
            &mut self.from_elr
        } else {
            &mut self.unclean
        };
        elections.add(format_args!(
            "{name} by {leader} (epoch {})",
            new.leader_epoch
        ));
    }

    fn broker(&mut self, before: &MetadataImage, after: &MetadataImage, broker: i32) {
        let broker = BrokerId::from_wire(broker);
        let old = broker.and_then(|broker| before.brokers().find(broker));
        let new = broker.and_then(|broker| after.brokers().find(broker));
        if let (Some(old), Some(new)) = (old, new)
            && !old.is_fenced
            && new.is_fenced
        {
            self.fenced = Some((old.id, old.epoch));
        }
    }

    fn count(&self, why: Why, counters: &Replication) {
        let (isr, elections) = (&counters.isr, &counters.elections);
        isr.shrinks.add(self.shrunk.count);
        isr.expansions.add(self.grown.count);
        elections.clean.add(self.clean.count);
        elections.from_elr.add(self.from_elr.count);
        elections.unclean.add(self.unclean.count);
        elections.leaderless.add(self.leaderless.count);
        if self.fenced.is_some() {
            let fences = &counters.fences;
            let counter = match why {
                Why::Session => &fences.session,
                Why::Probe => &fences.probe,
                Why::Stop => &fences.stop,
                Why::Restart => &fences.restart,
                Why::Asked
                | Why::Leader
                | Why::LetIn
                | Why::Directory
                | Why::Preferred
                | Why::Operator => &fences.asked,
            };
            counter.add(1);
        }
    }

    fn say(&self, why: Why) {
        if *self == Self::default() {
            return;
        }
        let broker = self
            .fenced
            .map(|(broker, _)| tracing::field::display(broker));
        let epoch = self.fenced.map(|(_, epoch)| tracing::field::display(epoch));
        let message = if self.fenced.is_some() {
            "a broker is fenced"
        } else {
            "leaders or in-sync sets changed"
        };
        tracing::info!(
            why = self.text(why),
            broker,
            epoch,
            isr_shrunk = self.shrunk.field(),
            isr_grown = self.grown.field(),
            elected = self.clean.field(),
            elected_from_elr = self.from_elr.field(),
            elected_unclean = self.unclean.field(),
            leaderless = self.leaderless.field(),
            "{message}"
        );
        if let Some(partitions) = self.unclean.field() {
            tracing::warn!(
                partitions,
                "led by replicas that may lack acknowledged records"
            );
        }
    }

    const fn text(&self, why: Why) -> &'static str {
        match why {
            Why::Session => "silent for a session",
            Why::Probe => "its process is gone",
            Why::Asked => "the broker can't vouch for itself",
            Why::Stop => "the broker stops",
            Why::Restart => "another process of the broker",
            Why::Leader if self.grown.count == 0 => "a follower does not keep up",
            Why::Leader if self.shrunk.count == 0 => "a follower has caught up",
            Why::Leader => "one follower does not keep up, another one has caught up",
            Why::LetIn => "a broker is let in",
            Why::Directory => "a directory failed, hangs, or is back",
            Why::Preferred => "preferred replicas lead",
            Why::Operator => "somebody asked",
        }
    }
}

impl<Q, P> Driver<Q, P> {
    /// Counts and says what a command has changed.
    pub(super) fn account(&self, command: &Command, consequences: &Consequences) {
        let why = self.why(command);
        consequences.count(why, &self.counters);
        consequences.say(why);
    }

    fn why(&self, command: &Command) -> Why {
        match command {
            Command::ChangeBroker(ChangeBroker { broker, epoch, to }) => match to {
                BrokerState::Fenced if self.watch.sessions.is_gone(*broker, *epoch) => Why::Probe,
                BrokerState::Fenced => Why::Session,
                BrokerState::Unfenced => Why::LetIn,
                BrokerState::ShuttingDown => Why::Stop,
                BrokerState::Unregistered => Why::Operator,
            },
            Command::Heartbeat(Heartbeat {
                wants_fence,
                wants_shut_down,
                offline_directories,
                ..
            }) => {
                if *wants_shut_down {
                    Why::Stop
                } else if *wants_fence {
                    Why::Asked
                } else if !offline_directories.is_empty() {
                    Why::Directory
                } else {
                    Why::LetIn
                }
            }
            Command::RegisterBroker(_) => Why::Restart,
            Command::AlterPartition(_) => Why::Leader,
            Command::AssignReplicas(_) => Why::Directory,
            Command::BalanceLeaders => Why::Preferred,
            Command::ElectLeaders(_)
            | Command::CreateTopics(_)
            | Command::DeleteTopics(_)
            | Command::CreatePartitions(_)
            | Command::AlterConfigs(_)
            | Command::AllocateProducerIds { .. } => Why::Operator,
        }
    }
}

/// A list of brokers as people write it.
struct Ids<'a>(&'a [BrokerId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (at, id) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{id}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::record::{PartitionChange, PartitionState};

    const TOPIC: [u8; 16] = [7; 16];

    /// Topic "t" with so many partitions on brokers 1 to 3, led by 1.
    fn image(partitions: i32, isr: &[i32], elr: &[i32]) -> MetadataImage {
        let leader = isr.first().copied().unwrap_or(-1);
        let mut image = MetadataImage::default();
        let mut records = vec![Record::Topic {
            id: TOPIC,
            name: "t".to_owned(),
        }];
        records.extend((0..partitions).map(|partition| Record::Partition {
            topic: TOPIC,
            partition,
            state: PartitionState {
                replicas: vec![1, 2, 3],
                directories: Vec::new(),
                isr: isr.to_vec(),
                elr: elr.to_vec(),
                last_known_elr: Vec::new(),
                adding: Vec::new(),
                removing: Vec::new(),
                leader,
                leader_epoch: 4,
                partition_epoch: 9,
                recovering: false,
            },
        }));
        image.apply_records(&records).unwrap();
        image
    }

    fn change(partition: i32, isr: &[i32], elr: &[i32], leader: Option<i32>) -> Record {
        Record::PartitionChange(PartitionChange {
            topic: TOPIC,
            partition,
            replicas: None,
            directories: None,
            isr: Some(isr.to_vec()),
            elr: Some(elr.to_vec()),
            last_known_elr: None,
            adding: None,
            removing: None,
            leader,
            leader_epoch: if leader.is_some() { 5 } else { 4 },
            partition_epoch: 10,
            recovering: None,
        })
    }

    fn counted(before: &MetadataImage, records: &[Record]) -> (Consequences, [u64; 6]) {
        let mut after = before.clone();
        after.apply_records(records).unwrap();
        let found = Consequences::of(before, &after, records);
        let counters = Replication::default();
        found.count(Why::Leader, &counters);
        let (isr, elections) = (&counters.isr, &counters.elections);
        let counts = [
            &isr.shrinks,
            &isr.expansions,
            &elections.clean,
            &elections.from_elr,
            &elections.unclean,
            &elections.leaderless,
        ];
        (
            found,
            counts.map(crate::telemetry::replication::Counter::get),
        )
    }

    #[test]
    fn a_member_that_leaves_or_joins_is_no_election() {
        let (found, counts) = counted(&image(1, &[1, 2, 3], &[]), &[change(0, &[1, 3], &[], None)]);
        assert_eq!(counts, [1, 0, 0, 0, 0, 0]);
        assert_eq!(found.shrunk.to_string(), "t-0 [1, 3]");
        let (found, counts) = counted(&image(1, &[1], &[]), &[change(0, &[1, 2], &[], None)]);
        assert_eq!(counts, [0, 1, 0, 0, 0, 0]);
        assert_eq!(found.grown.to_string(), "t-0 [1, 2]");
    }

    #[test]
    fn an_election_is_of_the_kind_that_the_winner_was() {
        let clean = [change(0, &[2, 3], &[], Some(2))];
        assert_eq!(
            counted(&image(1, &[1, 2, 3], &[]), &clean).1,
            [1, 0, 1, 0, 0, 0]
        );
        let nobody = [change(0, &[], &[1, 2], Some(-1))];
        assert_eq!(
            counted(&image(1, &[1], &[2]), &nobody).1,
            [1, 0, 0, 0, 0, 1]
        );
        let eligible = [change(0, &[2], &[1], Some(2))];
        assert_eq!(
            counted(&image(1, &[], &[1, 2]), &eligible).1,
            [0, 0, 0, 1, 0, 0]
        );
        let (found, counts) = counted(&image(1, &[], &[1]), &[change(0, &[3], &[], Some(3))]);
        assert_eq!(counts, [0, 0, 0, 0, 1, 0]);
        assert_eq!(found.unclean.to_string(), "t-0 by 3 (epoch 5)");
    }

    #[test]
    fn a_line_names_some_and_counts_all() {
        let records: Vec<_> = (0..8).map(|p| change(p, &[2, 3], &[], Some(2))).collect();
        let (found, counts) = counted(&image(8, &[1, 2, 3], &[]), &records);
        assert_eq!(counts, [8, 0, 8, 0, 0, 0]);
        let said = found.clean.to_string();
        assert!(said.starts_with("t-0 by 2 (epoch 5), t-1 by 2 (epoch 5), "));
        assert!(said.ends_with("t-4 by 2 (epoch 5) and 3 more"), "{said}");
    }
}

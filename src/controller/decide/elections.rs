//! Elections that somebody asks for, and those that bring leaderships back to where they belong.
//!
//! - The preferred replica of a partition is the first one: placement spreads these evenly, and every failure takes
//!   leaderships away from them.
//! - An unclean election that is asked for is held even where the topic allows none: an operator has decided.

use std::collections::BTreeSet;

use crate::controller::command::{
    ElectLeaders, ElectionError, ElectionKind, OperationTooLarge, TopicElections,
};
use crate::controller::decide::brokers::update_partitions;
use crate::controller::decide::partitions::{Candidates, PartitionUpdate};
use crate::controller::decide::{Decision, Settings};
use crate::metadata::record::Record;
use crate::metadata::{MetadataImage, PartitionImage, PartitionIndex, TopicImage};

/// Holds the elections of a command.
pub(super) fn elect(
    settings: &Settings,
    image: &MetadataImage,
    command: &ElectLeaders,
) -> Decision<Vec<TopicElections>> {
    let mut elections = Elections {
        settings,
        image,
        kind: command.kind,
        records: Vec::new(),
    };
    let outcome = match &command.partitions {
        None => image
            .topics()
            .iter()
            .filter_map(|topic| elections.of_all(topic))
            .collect(),
        Some(topics) => topics
            .iter()
            .map(|(topic, partitions)| elections.of_some(topic, partitions))
            .collect(),
    };
    Decision::last(elections.records, outcome)
}

/// Brings leaderships back to preferred replicas that are in sync, if that is wanted, and looks once more for leaders of
/// partitions that have none.
pub(super) fn balance(settings: &Settings, image: &MetadataImage) -> Decision<()> {
    let is_wanted = settings.rebalances_leaders;
    let is_concerned = |partition: &PartitionImage| {
        partition.leader.is_none() || (is_wanted && !is_led_by_preferred(partition))
    };
    let mut records = Vec::new();
    let is_last = update_partitions(
        settings,
        image,
        &mut records,
        Candidates::new(image),
        is_concerned,
        |update| {
            if is_wanted {
                update.prefer_first();
            }
        },
    );
    Decision {
        records,
        outcome: (),
        is_last,
    }
}

fn is_led_by_preferred(partition: &PartitionImage) -> bool {
    partition.leader.is_some() && partition.leader.as_ref() == partition.replicas.first()
}

struct Elections<'a> {
    settings: &'a Settings,
    image: &'a MetadataImage,
    kind: ElectionKind,
    records: Vec<Record>,
}

impl Elections<'_> {
    /// Those that need an election, if any does.
    fn of_all(&mut self, topic: &TopicImage) -> Option<TopicElections> {
        let partitions = topic.partitions().filter_map(|(index, partition)| {
            let result = self.elect(topic, index, partition);
            (result != Err(ElectionError::NotNeeded)).then_some((index.get(), result))
        });
        let partitions: Vec<_> = partitions.collect();
        let topic = topic.name().to_string();
        (!partitions.is_empty()).then_some(TopicElections { topic, partitions })
    }

    fn of_some(&mut self, name: &str, partitions: &[i32]) -> TopicElections {
        let topic = self.image.topics().by_name(name);
        // Named twice is meant once.
        let partitions: BTreeSet<i32> = partitions.iter().copied().collect();
        let partitions = partitions.into_iter().map(|index| {
            let found = topic
                .zip(PartitionIndex::from_wire(index))
                .and_then(|(topic, index)| Some((topic, index, topic.partition(index)?)));
            let result = match found {
                Some((topic, index, partition)) => self.elect(topic, index, partition),
                None => Err(ElectionError::UnknownPartition),
            };
            (index, result)
        });
        TopicElections {
            partitions: partitions.collect(),
            topic: name.to_owned(),
        }
    }

    fn elect(
        &mut self,
        topic: &TopicImage,
        index: PartitionIndex,
        partition: &PartitionImage,
    ) -> Result<(), ElectionError> {
        let (is_needed, impossible) = match self.kind {
            ElectionKind::Preferred => (
                !is_led_by_preferred(partition),
                ElectionError::PreferredNotAvailable,
            ),
            ElectionKind::Unclean => (partition.leader.is_none(), ElectionError::NobodyAvailable),
        };
        if !is_needed {
            return Err(ElectionError::NotNeeded);
        }
        let config = self.settings.topic_config(self.image, topic);
        let is_unclean_allowed =
            self.kind == ElectionKind::Unclean || config.unclean_leader_election;
        let mut update = PartitionUpdate::new(
            partition,
            Candidates::new(self.image),
            config.min_insync_replicas,
            is_unclean_allowed,
        );
        if self.kind == ElectionKind::Preferred {
            update.prefer_first();
        }
        let change = update.build(topic.id(), index).ok_or(impossible)?;
        let max = self.settings.operation_records_max;
        if self.records.len() >= max {
            return Err(OperationTooLarge { max }.into());
        }
        self.records.push(Record::PartitionChange(change));
        Ok(())
    }
}

//! A broker says in which of its directories its replicas lie.
//!
//! - Each partition is judged by itself; what the metadata say already is no fact, so a broker may ask again.
//! - A replica in a directory that is not online is out of the ISR by the same fact, and leads no more.
//! - A replica that was known to lie in another directory, and is not in sync, is another replica: what the old one was
//!   eligible for the new one is not.

use std::collections::BTreeSet;

use ottla_storage::ids::DirectoryId;

use crate::controller::command::{
    AssignReplicaError, AssignReplicas, AssignedReplicas, ChangeBrokerError,
};
use crate::controller::decide::brokers::registration;
use crate::controller::decide::partitions::{Candidates, PartitionUpdate};
use crate::controller::decide::{Decision, STEP_RECORDS_MAX, Settings};
use crate::metadata::ids::{DIRECTORY_LOST, is_reserved_directory};
use crate::metadata::image::BrokerImage;
use crate::metadata::record::Record;
use crate::metadata::{MetadataImage, PartitionImage, PartitionIndex, TopicId};

/// Notes the directories that a broker names.
pub(super) fn assign(
    settings: &Settings,
    image: &MetadataImage,
    command: &AssignReplicas,
) -> Decision<Result<AssignedReplicas, ChangeBrokerError>> {
    let broker = match registration(image, command.broker, command.epoch) {
        Ok(broker) => broker,
        Err(error) => return Decision::last(Vec::new(), Err(error)),
    };
    let mut assignment = Assignment {
        settings,
        image,
        broker,
        records: Vec::new(),
        seen: BTreeSet::new(),
    };
    let mut outcome = AssignedReplicas::new();
    for (directory, topics) in &command.directories {
        let topics = topics.iter().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(|partition| {
                let result = assignment.partition(*directory, *topic, *partition);
                (*partition, result)
            });
            (*topic, partitions.collect())
        });
        outcome.push((*directory, topics.collect()));
    }
    Decision::last(assignment.records, Ok(outcome))
}

/// One request under decision.
struct Assignment<'a> {
    settings: &'a Settings,
    image: &'a MetadataImage,
    broker: &'a BrokerImage,
    records: Vec<Record>,
    seen: BTreeSet<(TopicId, i32)>,
}

impl Assignment<'_> {
    fn partition(
        &mut self,
        directory: DirectoryId,
        id: TopicId,
        partition: i32,
    ) -> Result<(), AssignReplicaError> {
        // Decided over one image, two changes of a partition would both be its next one.
        if !self.seen.insert((id, partition)) {
            return Err(AssignReplicaError::Duplicate);
        }
        if is_reserved_directory(directory) && directory != DIRECTORY_LOST {
            return Err(AssignReplicaError::NotADirectory);
        }
        let topic = self.image.topics().by_id(id);
        let topic = topic.ok_or(AssignReplicaError::UnknownTopic)?;
        let index = PartitionIndex::from_wire(partition);
        let found = index.and_then(|index| Some((index, topic.partition(index)?)));
        let (index, partition) = found.ok_or(AssignReplicaError::UnknownPartition)?;
        let known = partition.directory_of(self.broker.id);
        let known = known.ok_or(AssignReplicaError::NotReplica)?;
        if self.records.len() >= STEP_RECORDS_MAX {
            return Err(AssignReplicaError::NotAttempted);
        }
        let config = self.settings.topic_config(self.image, topic);
        let mut update = PartitionUpdate::new(
            partition,
            Candidates::new(self.image),
            config.min_insync_replicas,
            config.unclean_leader_election,
        );
        self.set(&mut update, partition, (known, directory));
        let change = update.build(topic.id(), index);
        self.records.extend(change.map(Record::PartitionChange));
        Ok(())
    }

    fn set(
        &self,
        update: &mut PartitionUpdate<'_>,
        partition: &PartitionImage,
        (known, directory): (DirectoryId, DirectoryId),
    ) {
        let id = self.broker.id;
        let was_elsewhere = !is_reserved_directory(known) && known != directory;
        // A lost replica may be found again where it was.
        if was_elsewhere && directory != DIRECTORY_LOST && !partition.isr.contains(&id) {
            update.replace(id);
        }
        update.set_directory(id, directory);
        if !self.broker.is_online(directory) {
            update.leave_isr(id);
        }
    }
}

//! A leader changes who is in sync with it: the checks in Kafka's order, the first failure wins.
//!
//! - Each partition is judged by itself; what one is refused costs the others nothing.
//! - The partition epoch is the token: whoever names the current one has seen everything before, and of
//!   two that name it one gets through.
//! - What a partition is already is no fact: a leader that has lost the answer may ask again.

use std::collections::BTreeSet;

use ottla_storage::ids::LeaderEpoch;
use ottla_storage::planted::is_planted;

use crate::controller::command::{
    AlterPartition, AlterPartitionError, AlterPartitionOne, AlteredPartition, AlteredPartitions,
    ChangeBrokerError,
};
use crate::controller::decide::brokers::registration;
use crate::controller::decide::partitions::{Candidates, PartitionUpdate};
use crate::controller::decide::{Decision, STEP_RECORDS_MAX, Settings};
use crate::metadata::record::{PartitionChange, Record};
use crate::metadata::{
    BrokerId, MetadataImage, PartitionEpoch, PartitionImage, PartitionIndex, RecoveryState,
    TopicId, TopicImage,
};

/// Changes the ISRs that a leader names.
pub(super) fn alter(
    settings: &Settings,
    image: &MetadataImage,
    command: &AlterPartition,
) -> Decision<Result<AlteredPartitions, ChangeBrokerError>> {
    if let Err(error) = registration(image, command.broker, command.epoch) {
        return Decision::last(Vec::new(), Err(error));
    }
    let mut alteration = Alteration {
        settings,
        image,
        sender: command.broker,
        records: Vec::new(),
        seen: BTreeSet::new(),
    };
    let by_topic = command.topics.iter().map(|(topic, wanted)| {
        let altered = wanted.iter().map(|one| {
            let result = alteration.partition(*topic, one);
            (one.partition, result)
        });
        (*topic, altered.collect())
    });
    let outcome = by_topic.collect();
    Decision::last(alteration.records, Ok(outcome))
}

/// One request under decision.
struct Alteration<'a> {
    settings: &'a Settings,
    image: &'a MetadataImage,
    sender: BrokerId,
    records: Vec<Record>,
    seen: BTreeSet<(TopicId, i32)>,
}

impl Alteration<'_> {
    fn partition(
        &mut self,
        id: TopicId,
        wanted: &AlterPartitionOne,
    ) -> Result<AlteredPartition, AlterPartitionError> {
        // Decided over one image, two changes of a partition would both be its next one.
        if !self.seen.insert((id, wanted.partition)) {
            return Err(AlterPartitionError::Duplicate);
        }
        let topic = self.image.topics().by_id(id);
        let topic = topic.ok_or(AlterPartitionError::UnknownTopic)?;
        let index = PartitionIndex::from_wire(wanted.partition);
        let found = index.and_then(|index| Some((index, topic.partition(index)?)));
        let (index, partition) = found.ok_or(AlterPartitionError::UnknownPartition)?;
        self.check_epochs(partition, wanted)?;
        let isr = check_members(partition, self.sender, wanted)?;
        let recovery_state = check_recovery_state(partition, wanted)?;
        self.check_eligible(partition, wanted)?;
        if self.records.len() >= STEP_RECORDS_MAX {
            return Err(AlterPartitionError::NotAttempted);
        }
        let Some(change) = self.change(topic, index, partition, &isr, recovery_state) else {
            return Ok(unchanged(partition));
        };
        let altered = changed(partition, &change);
        self.records.push(Record::PartitionChange(change));
        // The change may complete a reassignment that removes the sender.
        if altered.leader == Some(self.sender) {
            Ok(altered)
        } else {
            Err(AlterPartitionError::NewLeaderElected)
        }
    }

    fn check_epochs(
        &self,
        partition: &PartitionImage,
        wanted: &AlterPartitionOne,
    ) -> Result<(), AlterPartitionError> {
        let (leader_epoch, partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
        let is_ahead = wanted.leader_epoch > leader_epoch.get()
            || wanted.partition_epoch > partition_epoch.get();
        if is_ahead && !is_planted("whoever-is-ahead-is-not-fenced") {
            return Err(AlterPartitionError::NotController);
        }
        if wanted.leader_epoch != leader_epoch.get() {
            return Err(AlterPartitionError::FencedLeaderEpoch {
                current: leader_epoch,
            });
        }
        if partition.leader != Some(self.sender) {
            return Err(AlterPartitionError::NotLeader);
        }
        if wanted.partition_epoch < partition_epoch.get()
            && !is_planted("the-partition-epoch-is-the-token")
        {
            return Err(AlterPartitionError::InvalidUpdateVersion {
                current: partition_epoch,
            });
        }
        Ok(())
    }

    /// KIP-903: a member is the process that the leader has seen, or it is none. Who joins lies in a directory that is
    /// online, or it would not count as a leader later.
    fn check_eligible(
        &self,
        partition: &PartitionImage,
        wanted: &AlterPartitionOne,
    ) -> Result<(), AlterPartitionError> {
        let members = wanted.isr.iter();
        let members = members.filter_map(|(id, epoch)| Some((BrokerId::from_wire(*id)?, *epoch)));
        for (broker, epoch) in members {
            let registration = self.image.brokers().find(broker);
            let is_eligible = registration.is_some_and(|found| {
                let directory = partition.directory_of(broker);
                let is_online = directory.is_some_and(|directory| found.is_online(directory))
                    || partition.isr.contains(&broker);
                let is_active = found.is_active() || is_planted("members-are-active");
                let is_seen = epoch == -1
                    || epoch == found.epoch.get()
                    || is_planted("members-are-the-processes-that-were-seen");
                is_active && is_seen && is_online
            });
            if !is_eligible {
                return Err(AlterPartitionError::IneligibleReplica { broker });
            }
        }
        Ok(())
    }

    fn change(
        &self,
        topic: &TopicImage,
        index: PartitionIndex,
        partition: &PartitionImage,
        isr: &[BrokerId],
        recovery_state: RecoveryState,
    ) -> Option<PartitionChange> {
        let config = self.settings.topic_config(self.image, topic);
        let mut update = PartitionUpdate::new(
            partition,
            Candidates::new(self.image),
            config.min_insync_replicas,
            config.unclean_leader_election,
        );
        update.set_isr(isr);
        update.set_recovery_state(recovery_state);
        update.build(topic.id(), index)
    }
}

/// The members, if they are a set of replicas that has the leader.
fn check_members(
    partition: &PartitionImage,
    leader: BrokerId,
    wanted: &AlterPartitionOne,
) -> Result<Vec<BrokerId>, AlterPartitionError> {
    let mut isr = Vec::new();
    for (id, _) in &wanted.isr {
        let member = BrokerId::from_wire(*id).filter(|member| partition.has_replica(*member));
        // A set of replicas has no more members than there are replicas, so this ends soon.
        let member = member.filter(|member| !isr.contains(member));
        isr.push(member.ok_or(AlterPartitionError::NotReplicas)?);
    }
    if isr.contains(&leader) {
        Ok(isr)
    } else {
        Err(AlterPartitionError::WithoutLeader)
    }
}

fn check_recovery_state(
    partition: &PartitionImage,
    wanted: &AlterPartitionOne,
) -> Result<RecoveryState, AlterPartitionError> {
    match wanted.recovery_state {
        0 => Ok(RecoveryState::Recovered),
        1 if wanted.isr.len() <= 1 && partition.recovery_state == RecoveryState::Recovering => {
            Ok(RecoveryState::Recovering)
        }
        _ => Err(AlterPartitionError::RecoveryState),
    }
}

fn unchanged(partition: &PartitionImage) -> AlteredPartition {
    AlteredPartition {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        isr: partition.isr.clone(),
        recovery_state: partition.recovery_state,
        partition_epoch: partition.partition_epoch,
    }
}

fn changed(partition: &PartitionImage, change: &PartitionChange) -> AlteredPartition {
    let old = unchanged(partition);
    let brokers = |ids: &Vec<i32>| {
        ids.iter()
            .copied()
            .filter_map(BrokerId::from_wire)
            .collect()
    };
    let recovery_state = |is_recovering| {
        if is_recovering {
            RecoveryState::Recovering
        } else {
            RecoveryState::Recovered
        }
    };
    AlteredPartition {
        leader: change.leader.map_or(old.leader, BrokerId::from_wire),
        leader_epoch: LeaderEpoch::from_wire(change.leader_epoch).unwrap_or(old.leader_epoch),
        isr: change.isr.as_ref().map_or(old.isr, brokers),
        recovery_state: change.recovering.map_or(old.recovery_state, recovery_state),
        partition_epoch: PartitionEpoch::from_wire(change.partition_epoch)
            .unwrap_or(old.partition_epoch),
    }
}

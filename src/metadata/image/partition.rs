//! One partition: who holds it, who leads it, who may lead it.

use ottla_storage::ids::{DirectoryId, LeaderEpoch};
use uuid::Uuid;

use crate::metadata::ids::DIRECTORY_UNASSIGNED;
use crate::metadata::image::RecordError;
use crate::metadata::image::digest::Digest;
use crate::metadata::record::{PartitionChange, PartitionState};
use crate::metadata::{BrokerId, PartitionEpoch, PartitionIndex, TopicId};

/// Whether a leader may lack records that were acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryState {
    /// It has everything.
    Recovered,
    /// It was elected uncleanly and has not said yet that it carries on.
    Recovering,
}

/// Everything about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionImage {
    /// In order of preference: the first one leads when it can.
    pub replicas: Vec<BrokerId>,
    /// The directory of each replica, in the order of `replicas`.
    pub directories: Vec<DirectoryId>,
    /// In sync with the leader.
    pub isr: Vec<BrokerId>,
    /// Out of sync and still sure to have every acknowledged record (KIP-966).
    pub elr: Vec<BrokerId>,
    /// The last leader, kept when ISR and ELR ran empty.
    pub last_known_elr: Vec<BrokerId>,
    /// Joining by a reassignment.
    pub adding_replicas: Vec<BrokerId>,
    /// Leaving by a reassignment.
    pub removing_replicas: Vec<BrokerId>,
    /// Who leads.
    pub leader: Option<BrokerId>,
    /// The reign of the leader, or of the last one.
    pub leader_epoch: LeaderEpoch,
    /// The number of changes (M2).
    pub partition_epoch: PartitionEpoch,
    /// Whether the leader may lack records.
    pub recovery_state: RecoveryState,
}

impl PartitionImage {
    /// The directory of a replica.
    pub fn directory_of(&self, broker: BrokerId) -> Option<DirectoryId> {
        let at = self
            .replicas
            .iter()
            .position(|replica| *replica == broker)?;
        self.directories.get(at).copied()
    }

    /// Whether a reassignment is going on.
    pub const fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// Whether the controller knows this broker as a replica.
    pub fn has_replica(&self, broker: BrokerId) -> bool {
        self.replicas.contains(&broker)
    }

    pub(super) fn from_record(state: &PartitionState) -> Result<Self, RecordError> {
        let partition = Self {
            replicas: ids(&state.replicas)?,
            directories: directories(&state.directories, state.replicas.len())?,
            isr: ids(&state.isr)?,
            elr: ids(&state.elr)?,
            last_known_elr: ids(&state.last_known_elr)?,
            adding_replicas: ids(&state.adding)?,
            removing_replicas: ids(&state.removing)?,
            leader: leader(state.leader)?,
            leader_epoch: LeaderEpoch::from_wire(state.leader_epoch)
                .ok_or(RecordError::Field("leader epoch"))?,
            partition_epoch: PartitionEpoch::from_wire(state.partition_epoch)
                .ok_or(RecordError::Field("partition epoch"))?,
            recovery_state: recovery_state(state.recovering),
        };
        partition.check()?;
        Ok(partition)
    }

    pub(super) fn changed(&self, change: &PartitionChange) -> Result<Self, RecordError> {
        let mut next = self.clone();
        if let Some(replicas) = &change.replicas {
            next.replicas = ids(replicas)?;
            // A replica keeps its directory when the change doesn't name directories.
            let kept = next
                .replicas
                .iter()
                .map(|replica| self.directory_of(*replica));
            next.directories = kept
                .map(|dir| dir.unwrap_or(DIRECTORY_UNASSIGNED))
                .collect();
        }
        if let Some(named) = &change.directories {
            next.directories = directories(named, next.replicas.len())?;
        }
        set_ids(&mut next.isr, change.isr.as_ref())?;
        set_ids(&mut next.elr, change.elr.as_ref())?;
        set_ids(&mut next.last_known_elr, change.last_known_elr.as_ref())?;
        set_ids(&mut next.adding_replicas, change.adding.as_ref())?;
        set_ids(&mut next.removing_replicas, change.removing.as_ref())?;
        if let Some(named) = change.leader {
            next.leader = leader(named)?;
        }
        if let Some(recovering) = change.recovering {
            next.recovery_state = recovery_state(recovering);
        }
        next.leader_epoch = LeaderEpoch::from_wire(change.leader_epoch)
            .filter(|epoch| *epoch >= self.leader_epoch)
            .ok_or(RecordError::Field("leader epoch"))?;
        let is_new_reign = next.leader_epoch > self.leader_epoch;
        if next.leader != self.leader && !is_new_reign {
            return Err(RecordError::Field("leader epoch"));
        }
        // M2.
        next.partition_epoch = PartitionEpoch::from_wire(change.partition_epoch)
            .filter(|epoch| self.partition_epoch.next() == Some(*epoch))
            .ok_or(RecordError::Field("partition epoch"))?;
        next.check()?;
        Ok(next)
    }

    /// M3, and that lists of replicas have no repetitions.
    fn check(&self) -> Result<(), RecordError> {
        let is_set = |list: &[BrokerId]| {
            list.iter()
                .enumerate()
                .all(|(at, id)| !list.iter().take(at).any(|other| other == id))
        };
        let is_subset = |list: &[BrokerId]| list.iter().all(|id| self.replicas.contains(id));
        if self.replicas.is_empty() || !is_set(&self.replicas) {
            return Err(RecordError::Field("replicas"));
        }
        if !is_set(&self.isr) || !is_subset(&self.isr) {
            return Err(RecordError::Field("isr"));
        }
        let is_disjoint = self.elr.iter().all(|id| !self.isr.contains(id));
        if !is_set(&self.elr) || !is_subset(&self.elr) || !is_disjoint {
            return Err(RecordError::Field("elr"));
        }
        if self
            .leader
            .is_some_and(|leader| !self.isr.contains(&leader))
        {
            return Err(RecordError::Field("leader"));
        }
        Ok(())
    }

    pub(super) fn digest(&self, topic: TopicId, index: PartitionIndex) -> u64 {
        let mut digest = Digest::new(2);
        digest.uuid(topic.to_bytes());
        digest.signed(index.get());
        let lists = [
            &self.replicas,
            &self.isr,
            &self.elr,
            &self.last_known_elr,
            &self.adding_replicas,
            &self.removing_replicas,
        ];
        for list in lists {
            digest.number(list.len() as u64);
            for id in list {
                digest.signed(id.get());
            }
        }
        digest.number(self.directories.len() as u64);
        self.directories
            .iter()
            .for_each(|dir| digest.uuid(dir.uuid().into_bytes()));
        digest.signed(BrokerId::to_wire(self.leader));
        digest.signed(self.leader_epoch.get());
        digest.signed(self.partition_epoch.get());
        digest.flag(self.recovery_state == RecoveryState::Recovering);
        digest.finish()
    }

    /// The fact that makes this partition.
    pub(crate) fn to_record(&self) -> PartitionState {
        let is_unassigned = self
            .directories
            .iter()
            .all(|dir| *dir == DIRECTORY_UNASSIGNED);
        let directories = self.directories.iter().map(|dir| dir.uuid().into_bytes());
        PartitionState {
            replicas: raw(&self.replicas),
            directories: if is_unassigned {
                Vec::new()
            } else {
                directories.collect()
            },
            isr: raw(&self.isr),
            elr: raw(&self.elr),
            last_known_elr: raw(&self.last_known_elr),
            adding: raw(&self.adding_replicas),
            removing: raw(&self.removing_replicas),
            leader: BrokerId::to_wire(self.leader),
            leader_epoch: self.leader_epoch.get(),
            partition_epoch: self.partition_epoch.get(),
            recovering: self.recovery_state == RecoveryState::Recovering,
        }
    }
}

/// Ids as the facts have them.
pub(crate) fn raw(ids: &[BrokerId]) -> Vec<i32> {
    ids.iter().map(|id| id.get()).collect()
}

fn ids(raw: &[i32]) -> Result<Vec<BrokerId>, RecordError> {
    let ids = raw.iter().map(|id| BrokerId::from_wire(*id));
    ids.collect::<Option<Vec<_>>>()
        .ok_or(RecordError::Field("broker id"))
}

fn set_ids(list: &mut Vec<BrokerId>, named: Option<&Vec<i32>>) -> Result<(), RecordError> {
    if let Some(named) = named {
        *list = ids(named)?;
    }
    Ok(())
}

fn directories(named: &[[u8; 16]], replicas: usize) -> Result<Vec<DirectoryId>, RecordError> {
    if named.is_empty() {
        return Ok(vec![DIRECTORY_UNASSIGNED; replicas]);
    }
    if named.len() != replicas {
        return Err(RecordError::Field("directories"));
    }
    Ok(named
        .iter()
        .map(|id| DirectoryId::new(Uuid::from_bytes(*id)))
        .collect())
}

fn leader(raw: i32) -> Result<Option<BrokerId>, RecordError> {
    match raw {
        -1 => Ok(None),
        id => BrokerId::from_wire(id)
            .map(Some)
            .ok_or(RecordError::Field("leader")),
    }
}

const fn recovery_state(is_recovering: bool) -> RecoveryState {
    if is_recovering {
        RecoveryState::Recovering
    } else {
        RecoveryState::Recovered
    }
}

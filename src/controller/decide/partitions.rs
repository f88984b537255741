//! One partition's change: who is in sync, who may lead, who leads, and which epochs that bumps.
//!
//! - A change that changes nothing is no record; every other one bumps the partition epoch (M2).
//! - The leader epoch rises if the leader changes, to nobody included, or if a replica was removed.
//! - The ELR holds who left the ISR below the minimum with everything acknowledged (KIP-966): as the
//!   high watermark stands still there, it can lead without loss. ottla always works so.

use ottla_storage::ids::DirectoryId;
use ottla_storage::planted::is_planted;

use crate::metadata::ids::DIRECTORY_UNASSIGNED;
use crate::metadata::image::RecoveryState;
use crate::metadata::record::PartitionChange;
use crate::metadata::{BrokerId, MetadataImage, PartitionImage, PartitionIndex, TopicId};

/// Who may lead at all: active brokers whose directory of the replica is online.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidates<'a> {
    image: &'a MetadataImage,
    /// Counts as active although the image says otherwise.
    entering: Option<BrokerId>,
    /// Counts as inactive although the image says otherwise.
    leaving: Option<BrokerId>,
}

impl<'a> Candidates<'a> {
    /// As the image says.
    pub(super) const fn new(image: &'a MetadataImage) -> Self {
        Self {
            image,
            entering: None,
            leaving: None,
        }
    }

    /// With a broker that is being let in.
    pub(super) const fn with_entering(mut self, broker: BrokerId) -> Self {
        self.entering = Some(broker);
        self
    }

    /// Without a broker that is going.
    pub(super) const fn with_leaving(mut self, broker: BrokerId) -> Self {
        self.leaving = Some(broker);
        self
    }

    fn is_acceptable(self, broker: BrokerId, directory: Option<DirectoryId>) -> bool {
        let Some(registration) = self.image.brokers().find(broker) else {
            return false;
        };
        let is_active = (registration.is_active() || self.entering == Some(broker))
            && self.leaving != Some(broker);
        is_active && directory.is_some_and(|directory| registration.is_online(directory))
    }
}

/// A change under way: what the partition shall be like, before ELR and election.
#[derive(Clone, Debug)]
pub(super) struct PartitionUpdate<'a> {
    old: &'a PartitionImage,
    candidates: Candidates<'a>,
    isr: Vec<BrokerId>,
    elr: Vec<BrokerId>,
    last_known_elr: Vec<BrokerId>,
    replicas: Vec<BrokerId>,
    adding: Vec<BrokerId>,
    removing: Vec<BrokerId>,
    leader: Option<BrokerId>,
    recovery_state: RecoveryState,
    unclean: Option<BrokerId>,
    /// A replica that lies elsewhere than the old state says.
    moved: Option<(BrokerId, DirectoryId)>,
    min_isr: usize,
    is_unclean_election_allowed: bool,
    is_first_preferred: bool,
}

impl<'a> PartitionUpdate<'a> {
    /// Begins with the partition as it is. `min_isr` is the topic's; it is clamped to the replicas.
    pub(super) fn new(
        old: &'a PartitionImage,
        candidates: Candidates<'a>,
        min_isr: u32,
        is_unclean_election_allowed: bool,
    ) -> Self {
        let min_isr = usize::try_from(min_isr)
            .unwrap_or(usize::MAX)
            .min(old.replicas.len());
        Self {
            old,
            candidates,
            isr: old.isr.clone(),
            elr: old.elr.clone(),
            last_known_elr: old.last_known_elr.clone(),
            replicas: old.replicas.clone(),
            adding: old.adding_replicas.clone(),
            removing: old.removing_replicas.clone(),
            leader: old.leader,
            recovery_state: old.recovery_state,
            unclean: None,
            moved: None,
            min_isr,
            is_unclean_election_allowed,
            is_first_preferred: false,
        }
    }

    /// Lets the first replica lead if it may, whoever leads now.
    pub(super) const fn prefer_first(&mut self) {
        self.is_first_preferred = true;
    }

    /// Takes a broker out of the ISR: it has everything acknowledged so far.
    pub(super) fn leave_isr(&mut self, broker: BrokerId) {
        self.isr.retain(|member| *member != broker);
    }

    /// Takes a broker out of ISR and ELR: it may have lost acknowledged records.
    pub(super) fn lose(&mut self, broker: BrokerId) {
        self.unclean = Some(broker);
        self.leave_isr(broker);
    }

    /// Takes away all that a replica had a claim to: another one has taken its place.
    pub(super) fn replace(&mut self, broker: BrokerId) {
        self.lose(broker);
        self.last_known_elr.retain(|member| *member != broker);
    }

    /// Says in which directory a broker's replica lies.
    pub(super) const fn set_directory(&mut self, broker: BrokerId, directory: DirectoryId) {
        self.moved = Some((broker, directory));
    }

    /// The partition as it was.
    pub(super) const fn old(&self) -> &PartitionImage {
        self.old
    }

    /// Who is in sync now. The same members in another order are no change.
    pub(super) fn set_isr(&mut self, members: &[BrokerId]) {
        let is_same = members.len() == self.isr.len()
            && members.iter().all(|member| self.isr.contains(member));
        if !is_same {
            self.isr = members.to_vec();
        }
    }

    /// Whether the leader may lack records.
    pub(super) const fn set_recovery_state(&mut self, state: RecoveryState) {
        self.recovery_state = state;
    }

    /// The fact, if anything is different.
    pub(super) fn build(
        mut self,
        topic: TopicId,
        index: PartitionIndex,
    ) -> Option<PartitionChange> {
        self.complete_reassignment();
        self.settle_elr();
        self.elect();
        let old = self.old;
        let changed = |new: &[BrokerId], old: &[BrokerId]| {
            (new != old).then(|| new.iter().map(|id| id.get()).collect::<Vec<_>>())
        };
        let is_new_leader = self.leader != old.leader;
        let lost_a_replica = old.replicas.iter().any(|id| !self.replicas.contains(id));
        let is_shrunk = self.isr.len() < old.isr.len();
        let begins_a_reign = is_new_leader
            || lost_a_replica
            || (is_shrunk && is_planted("a-shrink-begins-no-reign"));
        let bumped = if begins_a_reign {
            // A partition that used up its epochs keeps its leader: it changes no more.
            old.leader_epoch.next()?
        } else {
            old.leader_epoch
        };
        let change = PartitionChange {
            topic: topic.to_bytes(),
            partition: index.get(),
            replicas: changed(&self.replicas, &old.replicas),
            directories: self.moved_directories(),
            isr: changed(&self.isr, &old.isr),
            elr: changed(&self.elr, &old.elr),
            last_known_elr: changed(&self.last_known_elr, &old.last_known_elr),
            adding: changed(&self.adding, &old.adding_replicas),
            removing: changed(&self.removing, &old.removing_replicas),
            leader: is_new_leader.then(|| BrokerId::to_wire(self.leader)),
            leader_epoch: bumped.get(),
            partition_epoch: old.partition_epoch.next()?.get(),
            recovering: (self.recovery_state != old.recovery_state)
                .then_some(self.recovery_state == RecoveryState::Recovering),
        };
        let is_different = change.replicas.is_some()
            || change.directories.is_some()
            || change.isr.is_some()
            || change.elr.is_some()
            || change.last_known_elr.is_some()
            || change.adding.is_some()
            || change.removing.is_some()
            || change.leader.is_some()
            || change.recovering.is_some();
        is_different.then_some(change)
    }

    /// The directories, if a replica lies elsewhere now.
    fn moved_directories(&self) -> Option<Vec<[u8; 16]>> {
        let (broker, directory) = self.moved?;
        if !self.replicas.contains(&broker) || self.old.directory_of(broker) == Some(directory) {
            return None;
        }
        let directories = self.replicas.iter().map(|replica| {
            let directory = self.directory_of(*replica);
            directory
                .unwrap_or(DIRECTORY_UNASSIGNED)
                .uuid()
                .into_bytes()
        });
        Some(directories.collect())
    }

    fn directory_of(&self, broker: BrokerId) -> Option<DirectoryId> {
        match self.moved {
            Some((moved, directory)) if moved == broker => Some(directory),
            _ => self.old.directory_of(broker),
        }
    }

    /// All target replicas must be in sync, not only the joining ones (KAFKA-15665).
    fn complete_reassignment(&mut self) {
        if self.adding.is_empty() && self.removing.is_empty() {
            return;
        }
        let removing = std::mem::take(&mut self.removing);
        let keep = |list: &[BrokerId]| -> Vec<BrokerId> {
            list.iter()
                .copied()
                .filter(|id| !removing.contains(id))
                .collect()
        };
        let (target, target_isr) = (keep(&self.replicas), keep(&self.isr));
        let is_awaited =
            |id: &BrokerId| self.adding.contains(id) || !is_planted("all-targets-must-be-in-sync");
        let mut awaited = target.iter().filter(|id| is_awaited(id));
        let is_complete = !target_isr.is_empty() && awaited.all(|id| target_isr.contains(id));
        if is_complete {
            self.elr = keep(&self.elr);
            self.replicas = target;
            self.isr = target_isr;
            self.adding.clear();
            self.min_isr = self.min_isr.min(self.replicas.len());
        } else {
            self.removing = removing;
        }
    }

    /// Who left the ISR below the minimum stays eligible; at the minimum nobody needs to.
    fn settle_elr(&mut self) {
        if self.isr.len() >= self.min_isr || is_planted("who-leaves-below-the-minimum-may-lead") {
            self.elr.clear();
            self.last_known_elr.clear();
            return;
        }
        for member in &self.old.isr {
            if !self.elr.contains(member) {
                self.elr.push(*member);
            }
        }
        let (isr, unclean, replicas) = (&self.isr, self.unclean, &self.replicas);
        self.elr.retain(|member| {
            !isr.contains(member) && unclean != Some(*member) && replicas.contains(member)
        });
        if self.isr.is_empty() && !self.old.isr.is_empty() {
            // Whoever led last has the longest log of those that are left.
            let last = self.old.leader.or_else(|| self.old.isr.first().copied());
            self.last_known_elr = last.into_iter().collect();
        }
    }

    fn elect(&mut self) {
        let first = self.replicas.first().copied();
        let preferred = first.filter(|first| self.is_first_preferred && self.is_valid(*first));
        let stays = || self.leader.filter(|leader| self.is_valid(*leader));
        if let Some(leader) = preferred.or_else(stays) {
            self.take_lead(leader);
        } else if let Some(clean) = self.first(Self::is_valid) {
            self.take_lead(clean);
        } else if let Some(unclean) = self.unclean_winner() {
            self.leader = Some(unclean);
            self.isr = vec![unclean];
            self.elr.clear();
            self.last_known_elr.clear();
            self.recovery_state = RecoveryState::Recovering;
        } else {
            self.leader = None;
        }
    }

    fn take_lead(&mut self, leader: BrokerId) {
        self.leader = Some(leader);
        if self.isr.contains(&leader) {
            return;
        }
        // Out of the ELR: nobody else is in sync with it yet.
        self.isr = vec![leader];
        self.elr.retain(|member| *member != leader);
        self.last_known_elr.clear();
        if self.isr.len() >= self.min_isr {
            // The high watermark moves again, so the others' claims end here.
            self.elr.clear();
        }
    }

    /// The last leader alone, if nobody else can be better; else, where allowed, anybody.
    fn unclean_winner(&self) -> Option<BrokerId> {
        let last_known = match self.last_known_elr.as_slice() {
            [only] if self.isr.is_empty() && self.elr.is_empty() => Some(*only),
            _ => None,
        };
        last_known
            .filter(|broker| self.is_acceptable(*broker))
            .or_else(|| {
                let allowed = self.is_unclean_election_allowed;
                self.first(|update, replica| allowed && update.is_acceptable(replica))
            })
    }

    fn first(&self, is_right: impl Fn(&Self, BrokerId) -> bool) -> Option<BrokerId> {
        self.replicas
            .iter()
            .copied()
            .find(|replica| is_right(self, *replica))
    }

    fn is_valid(&self, broker: BrokerId) -> bool {
        let is_eligible =
            self.isr.contains(&broker) || (self.isr.is_empty() && self.elr.contains(&broker));
        is_eligible && self.is_acceptable(broker)
    }

    fn is_acceptable(&self, broker: BrokerId) -> bool {
        self.replicas.contains(&broker)
            && self
                .candidates
                .is_acceptable(broker, self.directory_of(broker))
    }
}

#[cfg(test)]
mod tests;

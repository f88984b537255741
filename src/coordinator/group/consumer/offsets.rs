//! Who may commit and fetch offsets of a consumer group.
//!
//! - C4: who is fenced commits nothing.
//! - A member that was told a newer epoch may still commit with the old one for the partitions that it has had since
//!   then and has not given up (KIP-1251): nobody else has them.

use std::collections::BTreeMap;

use super::ConsumerGroup;
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::MemberId;
use crate::coordinator::group::record::ConsumerCurrentValue;
use crate::coordinator::group::request::Identity;
use crate::metadata::{PartitionIndex, TopicId};

/// For which partitions a client may commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MayCommit {
    /// For all.
    All,
    /// For those that it has had since its epoch.
    HeldSince {
        /// The epoch that it shows.
        epoch: i32,
        /// Since which epoch it has what.
        since: BTreeMap<TopicId, BTreeMap<PartitionIndex, i32>>,
    },
}

impl MayCommit {
    /// Whether it may commit for a partition of a topic, if there is such a topic.
    ///
    /// # Errors
    /// [`GroupError::StaleMemberEpoch`].
    pub fn check(&self, topic: Option<TopicId>, partition: i32) -> Result<(), GroupError> {
        let Self::HeldSince { epoch, since } = self else {
            return Ok(());
        };
        let since = topic
            .and_then(|topic| since.get(&topic))
            .zip(PartitionIndex::from_wire(partition))
            .and_then(|(since, index)| since.get(&index));
        match since {
            Some(since) if since <= epoch => Ok(()),
            _ => Err(GroupError::StaleMemberEpoch),
        }
    }
}

impl ConsumerGroup {
    /// Whether a client may commit. `knows_epochs`: its request is of a version (9) that can be told of a stale epoch.
    ///
    /// # Errors
    /// [`GroupError::UnknownMemberId`], [`GroupError::UnsupportedVersion`], [`GroupError::IllegalGeneration`],
    /// [`GroupError::StaleMemberEpoch`].
    pub fn check_commit(&self, by: &Identity, knows_epochs: bool) -> Result<MayCommit, GroupError> {
        // A simple consumer or an admin, between the lives of the group.
        if by.generation < 0 && self.is_empty() {
            return Ok(MayCommit::All);
        }
        let (is_classic, current) = self.find(&by.member)?;
        if !is_classic && !knows_epochs {
            return Err(GroupError::UnsupportedVersion(
                "members of a consumer group commit with version 9 or above",
            ));
        }
        if by.generation == current.epoch {
            Ok(MayCommit::All)
        } else if is_classic {
            Err(GroupError::IllegalGeneration)
        } else if by.generation > current.epoch {
            Err(GroupError::StaleMemberEpoch)
        } else {
            Ok(MayCommit::HeldSince {
                epoch: by.generation,
                since: current.assigned_since.clone(),
            })
        }
    }

    /// Whether a client that says who it is may fetch.
    ///
    /// # Errors
    /// [`GroupError::UnknownMemberId`], [`GroupError::IllegalGeneration`], [`GroupError::StaleMemberEpoch`].
    pub fn check_fetch(&self, by: &Identity) -> Result<(), GroupError> {
        if by.generation < 0 && by.member.is_empty() {
            return Ok(());
        }
        let (is_classic, current) = self.find(&by.member)?;
        if by.generation == current.epoch {
            Ok(())
        } else if is_classic {
            Err(GroupError::IllegalGeneration)
        } else {
            Err(GroupError::StaleMemberEpoch)
        }
    }

    fn find(&self, id: &MemberId) -> Result<(bool, &ConsumerCurrentValue), GroupError> {
        let member = self.facts.member(id).ok_or(GroupError::UnknownMemberId)?;
        Ok((member.classic.is_some(), self.facts.current(id)))
    }
}

//! Between openraft's types and what this crate writes of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload, LeaderId};
use rkyv::rancor::Error;

use crate::archive::{
    self, ArchivedPayloadRecord, EntryRecord, LogIdRecord, MemberRecord, MembershipRecord,
    PayloadRecord, SnapshotRecord, VoteRecord,
};
use crate::engine::{Command, Entry, LogId, Membership, SnapshotMeta, StoredMembership, Vote};
use crate::types::{DirectoryId, Member, NodeId};

impl From<LogId> for LogIdRecord {
    fn from(id: LogId) -> Self {
        Self {
            term: id.leader_id.term,
            index: id.index,
        }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(id: LogIdRecord) -> Self {
        Self::new(CommittedLeaderId::new(id.term, NodeId::default()), id.index)
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            voted_for: vote.leader_id.voted_for.map(|node| node.0),
            is_committed: vote.committed,
        }
    }
}

impl From<VoteRecord> for Vote {
    fn from(vote: VoteRecord) -> Self {
        let leader_id = LeaderId {
            term: vote.term,
            voted_for: vote.voted_for.map(NodeId),
        };
        Self {
            leader_id,
            committed: vote.is_committed,
        }
    }
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        let voters = membership.get_joint_config().iter();
        let members = membership.nodes().map(|(node, member)| MemberRecord {
            node: node.0,
            directory: member.directory.0,
            address: member.address.clone(),
        });
        Self {
            voters: voters
                .map(|set| set.iter().map(|node| node.0).collect())
                .collect(),
            members: members.collect(),
        }
    }
}

impl From<MembershipRecord> for Membership {
    fn from(membership: MembershipRecord) -> Self {
        let voters = membership.voters.into_iter();
        let voters = voters
            .map(|set| set.into_iter().map(NodeId).collect())
            .collect();
        let members: BTreeMap<NodeId, Member> = membership
            .members
            .into_iter()
            .map(|member| {
                let directory = DirectoryId(member.directory);
                (
                    NodeId(member.node),
                    Member {
                        directory,
                        address: member.address,
                    },
                )
            })
            .collect();
        Self::new(voters, members)
    }
}

impl From<&Entry> for EntryRecord {
    fn from(entry: &Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadRecord::Blank,
            EntryPayload::Normal(command) => PayloadRecord::Command(command.bytes.to_vec()),
            EntryPayload::Membership(membership) => PayloadRecord::Membership(membership.into()),
        };
        Self {
            id: entry.log_id.into(),
            payload,
        }
    }
}

impl From<EntryRecord> for Entry {
    fn from(entry: EntryRecord) -> Self {
        let payload = match entry.payload {
            PayloadRecord::Blank => EntryPayload::Blank,
            PayloadRecord::Command(bytes) => {
                EntryPayload::Normal(Command::from_log(Bytes::from(bytes)))
            }
            PayloadRecord::Membership(membership) => EntryPayload::Membership(membership.into()),
        };
        Self {
            log_id: entry.id.into(),
            payload,
        }
    }
}

/// The entry in an archive; its command stays where it is in `bytes`.
pub(crate) fn entry_in_place(bytes: &Bytes) -> Option<Entry> {
    let entry = archive::access::<EntryRecord>(bytes)?;
    let id = LogIdRecord {
        term: entry.id.term.into(),
        index: entry.id.index.into(),
    };
    let payload = match &entry.payload {
        ArchivedPayloadRecord::Blank => EntryPayload::Blank,
        ArchivedPayloadRecord::Command(command) => {
            EntryPayload::Normal(Command::from_log(bytes.slice_ref(command)))
        }
        ArchivedPayloadRecord::Membership(membership) => {
            let record = rkyv::deserialize::<MembershipRecord, Error>(membership).ok()?;
            EntryPayload::Membership(record.into())
        }
    };
    Some(Entry {
        log_id: id.into(),
        payload,
    })
}

impl From<&SnapshotMeta> for SnapshotRecord {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id.map(Into::into),
            membership_at: meta.last_membership.log_id().map(Into::into),
            membership: meta.last_membership.membership().into(),
            id: meta.snapshot_id.clone(),
        }
    }
}

impl From<SnapshotRecord> for SnapshotMeta {
    fn from(meta: SnapshotRecord) -> Self {
        Self {
            last_log_id: meta.last.map(Into::into),
            last_membership: StoredMembership::new(
                meta.membership_at.map(Into::into),
                meta.membership.into(),
            ),
            snapshot_id: meta.id,
        }
    }
}

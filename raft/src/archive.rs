//! The shapes of what this crate writes, as rkyv archives. docs/formats/ shows their bytes.
//!
//! These types are formats: a field is never changed or reordered, an enum variant only appended,
//! and either comes with a new version of every frame that holds it and a golden file.

use bytes::Bytes;
use openraft::{CommittedLeaderId, EntryPayload, LeaderId};
use rkyv::api::high::HighValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::{Archive, Deserialize, Portable, Serialize};

use crate::engine::{Command, Entry, LogId, Membership, SnapshotMeta, StoredMembership, Vote};
use crate::types::{DirectoryId, Member, NodeId};

/// A position and the term it was written in.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogIdRecord {
    pub(crate) term: u64,
    pub(crate) index: u64,
}

/// Whom this node voted for, and whether a majority did.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VoteRecord {
    pub(crate) term: u64,
    pub(crate) voted_for: Option<u64>,
    pub(crate) is_committed: bool,
}

/// A member of the quorum.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    pub(crate) node: u64,
    pub(crate) directory: [u8; 16],
    pub(crate) address: String,
}

/// One set of voters, or two during a change. Members that are in none are learners.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct MembershipRecord {
    pub(crate) voters: Vec<Vec<u64>>,
    pub(crate) members: Vec<MemberRecord>,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) enum PayloadRecord {
    Blank,
    Command(Vec<u8>),
    Membership(MembershipRecord),
}

/// An entry of the log.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRecord {
    pub(crate) id: LogIdRecord,
    pub(crate) payload: PayloadRecord,
}

/// What a snapshot covers.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotRecord {
    pub(crate) last: Option<LogIdRecord>,
    pub(crate) membership_at: Option<LogIdRecord>,
    pub(crate) membership: MembershipRecord,
    pub(crate) id: String,
}

/// An archive's bytes. Archiving into memory has no way to fail.
pub(crate) fn to_bytes<T>(value: &T) -> Vec<u8>
where
    T: for<'a> Serialize<
        rkyv::api::high::HighSerializer<
            rkyv::util::AlignedVec,
            rkyv::ser::allocator::ArenaHandle<'a>,
            Error,
        >,
    >,
{
    #[expect(clippy::expect_used, reason = "serialising into memory cannot fail")]
    let bytes = rkyv::to_bytes::<Error>(value).expect("serialise into memory");
    bytes.into_vec()
}

/// A view of an archive, if the bytes are one. Nothing in it is trusted beyond being well-formed.
pub(crate) fn access<T>(bytes: &[u8]) -> Option<&T::Archived>
where
    T: Archive,
    T::Archived: Portable + for<'a> CheckBytes<HighValidator<'a, Error>>,
{
    rkyv::access::<T::Archived, Error>(bytes).ok()
}

/// An owned value out of an archive, if the bytes are one.
pub(crate) fn from_bytes<T>(bytes: &[u8]) -> Option<T>
where
    T: Archive,
    T::Archived: Portable
        + for<'a> CheckBytes<HighValidator<'a, Error>>
        + Deserialize<T, rkyv::api::high::HighDeserializer<Error>>,
{
    rkyv::from_bytes::<T, Error>(bytes).ok()
}

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
        let members: std::collections::BTreeMap<NodeId, Member> = membership
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

/// The entry in an archive; its command stays where it is in `archive`.
pub(crate) fn entry_in_place(archive: &Bytes) -> Option<Entry> {
    let entry = access::<EntryRecord>(archive)?;
    let id = LogIdRecord {
        term: entry.id.term.into(),
        index: entry.id.index.into(),
    };
    let payload = match &entry.payload {
        ArchivedPayloadRecord::Blank => EntryPayload::Blank,
        ArchivedPayloadRecord::Command(bytes) => {
            EntryPayload::Normal(Command::from_log(archive.slice_ref(bytes)))
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

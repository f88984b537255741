//! The shapes of what this crate writes, as rkyv archives. docs/formats/ shows their bytes.
//!
//! These types are formats: a field is never changed or reordered, an enum variant only appended,
//! and either comes with a new version of every frame that holds it and a golden file.

use rkyv::api::high::HighValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::{Archive, Deserialize, Portable, Serialize};

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

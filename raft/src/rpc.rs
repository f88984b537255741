//! The calls between nodes as bytes: a checksummed frame around an archive.
//!
//! Every call and every answer names the cluster, its sender and its addressee with their
//! directories. docs/formats/raft-rpc.md has the table.

use rkyv::{Archive, Deserialize, Serialize};

use crate::archive::{self, EntryRecord, LogIdRecord, SnapshotRecord, VoteRecord};
use crate::cursor::Cursor;

const MAGIC: u32 = u32::from_le_bytes(*b"OTRP");
const VERSION: u8 = 1;
const HEADER_SIZE: usize = 16;

/// Who speaks to whom.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) cluster: [u8; 16],
    pub(crate) from: Identity,
    pub(crate) to: Identity,
}

/// A node and the directory that makes it that node.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) node: u64,
    pub(crate) directory: [u8; 16],
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) address: Address,
    pub(crate) call: Call,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Append {
        vote: VoteRecord,
        previous: Option<LogIdRecord>,
        entries: Vec<EntryRecord>,
        committed: Option<LogIdRecord>,
    },
    Vote {
        vote: VoteRecord,
        last: Option<LogIdRecord>,
    },
    /// A piece of a snapshot.
    Snapshot {
        vote: VoteRecord,
        meta: SnapshotRecord,
        offset: u64,
        data: Vec<u8>,
        is_last: bool,
    },
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) address: Address,
    pub(crate) answer: Answer,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The call never reached the consensus engine.
    Refused(Refusal),
    Append(AppendAnswer),
    Vote {
        vote: VoteRecord,
        is_granted: bool,
        last: Option<LogIdRecord>,
    },
    Snapshot {
        vote: VoteRecord,
    },
    /// The piece does not continue what was received.
    SnapshotMismatch {
        expected: (String, u64),
        found: (String, u64),
    },
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppendAnswer {
    Success,
    PartialSuccess(Option<LogIdRecord>),
    Conflict,
    HigherVote(VoteRecord),
}

/// Why a call was refused.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the call cannot be read")]
    Malformed,
    #[error("the call is of a newer version")]
    NewerVersion,
    #[error("the call is for another cluster")]
    OtherCluster,
    #[error("the call is for another node or directory")]
    NotAddressed,
    #[error("the sender's directory is not the member's")]
    UnknownSender,
    #[error("the disk of the log is full")]
    DiskFull,
    #[error("the node has stopped")]
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request = 1,
    Response = 2,
}

pub(crate) fn encode_request(request: &Request) -> Vec<u8> {
    seal(Kind::Request, &archive::to_bytes(request))
}

pub(crate) fn encode_response(response: &Response) -> Vec<u8> {
    seal(Kind::Response, &archive::to_bytes(response))
}

/// Reads a request; the refusal is what to answer if it is none.
pub(crate) fn decode_request(bytes: &[u8]) -> Result<Request, Refusal> {
    archive::from_bytes(open(Kind::Request, bytes)?).ok_or(Refusal::Malformed)
}

/// Reads a response.
pub(crate) fn decode_response(bytes: &[u8]) -> Result<Response, Refusal> {
    archive::from_bytes(open(Kind::Response, bytes)?).ok_or(Refusal::Malformed)
}

fn seal(kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_SIZE + body.len());
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&[VERSION, kind as u8, 0, 0]);
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&out);
    hasher.update(body);
    out.extend_from_slice(&hasher.finalize().to_le_bytes());
    out.extend_from_slice(body);
    out
}

fn open(kind: Kind, bytes: &[u8]) -> Result<&[u8], Refusal> {
    let mut cursor = Cursor::new(bytes);
    let mut fields = || {
        let magic = cursor.u32()?;
        let [version, kind, _, _] = cursor.array::<4>()?;
        Some((magic, version, kind, cursor.u32()?, cursor.u32()?))
    };
    let (magic, version, found_kind, size, checksum) = fields().ok_or(Refusal::Malformed)?;
    let body = cursor.rest();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..HEADER_SIZE - 4).unwrap_or_default());
    hasher.update(body);
    let is_whole = magic == MAGIC && u32::try_from(body.len()) == Ok(size);
    if !is_whole || hasher.finalize() != checksum {
        return Err(Refusal::Malformed);
    }
    if version != VERSION {
        return Err(Refusal::NewerVersion);
    }
    if found_kind == kind as u8 {
        Ok(body)
    } else {
        Err(Refusal::Malformed)
    }
}

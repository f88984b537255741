//! Reads files of a quorum for people and tools: every frame of a segment, what a snapshot covers.
//!
//! It takes any bytes, trusts none, and changes nothing. Recovery decides what counts; this only
//! shows what is there.

use crate::archive::{self, ArchivedPayloadRecord, EntryRecord, LogIdRecord, MembershipRecord};
use crate::log::frame::{self, Content, FrameError, Link};
use crate::snapshot::{self, DecodeError};
use crate::types::{DirectoryId, LogIndex, Member, NodeId, Term};

/// A frame of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The byte of the segment where it begins.
    pub position: u64,
    /// Its size in bytes, up to the next frame.
    pub size: u64,
    /// Its number in the log's history.
    pub sequence: u64,
    /// Bytes of the segment that were durable when it was written.
    pub durable: u64,
    /// What it says.
    pub item: Item,
}

/// What a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A segment begins, and this is what the log knew.
    Segment {
        /// The segment's number.
        number: u64,
        /// The last entry before it.
        last: Option<(Term, LogIndex)>,
        /// The last entry purged by then.
        purged: Option<(Term, LogIndex)>,
    },
    /// An entry.
    Entry {
        /// Its term.
        term: Term,
        /// Its index.
        index: LogIndex,
        /// What is in it.
        payload: Payload,
    },
    /// A vote.
    Vote {
        /// In which term.
        term: Term,
        /// For whom.
        voted_for: Option<NodeId>,
        /// Whether a majority voted alike.
        is_committed: bool,
    },
    /// Entries up to this one are committed.
    Committed(LogIndex),
    /// Entries from this index on are gone.
    Truncate(LogIndex),
    /// Entries up to this one are gone.
    Purge(LogIndex),
}

/// What is in an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a leadership began.
    Blank,
    /// A command.
    Command(Vec<u8>),
    /// The members from here on.
    Membership(Membership),
}

/// Who belongs to the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The voters; two sets while a change is in progress.
    pub voters: Vec<Vec<NodeId>>,
    /// All members.
    pub members: Vec<(NodeId, Member)>,
}

/// Where a segment stops making sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {reason}")]
pub struct Damage {
    /// The byte where a frame should begin.
    pub position: u64,
    /// Why there is none.
    pub reason: &'static str,
}

/// What a snapshot covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// The last entry in it.
    pub last: Option<(Term, LogIndex)>,
    /// The members as of then.
    pub membership: Membership,
    /// Its name among snapshots.
    pub id: String,
    /// The state machine's bytes.
    pub state: &'a [u8],
}

/// The frames of a segment, in order. Only the last item can be damage: a torn tail, or worse.
pub fn segment(bytes: &[u8]) -> impl Iterator<Item = Result<Frame, Damage>> {
    let mut position = 0;
    let mut link: Option<Link> = None;
    let mut is_done = false;
    std::iter::from_fn(move || {
        if is_done {
            return None;
        }
        let found = match &mut link {
            Some(link) => frame::decode_next(bytes, position, link),
            None => frame::decode(bytes, position),
        };
        let damage = |reason| {
            Some(Err(Damage {
                position: wide(position),
                reason,
            }))
        };
        match found {
            Ok(frame) => {
                link = Some(Link {
                    sequence: frame.sequence + 1,
                    chain: frame.checksum,
                });
                let shown = show(bytes, position, &frame);
                position = frame.end;
                Some(Ok(shown))
            }
            Err(error) => {
                is_done = true;
                let rest = bytes.get(position..).unwrap_or_default();
                match error {
                    FrameError::Empty if rest.iter().all(|byte| *byte == 0) => None,
                    FrameError::Empty => damage("a frame is missing"),
                    FrameError::Newer(_) => damage("a newer version wrote this"),
                    FrameError::Invalid(reason) => damage(reason),
                }
            }
        }
    })
}

/// What a snapshot file says.
///
/// # Errors
///
/// The bytes are no whole snapshot of a known version.
pub fn snapshot(bytes: &[u8]) -> Result<Snapshot<'_>, Damage> {
    let view = snapshot::decode(bytes).map_err(|error| {
        let reason = match error {
            DecodeError::Newer(_) => "a newer version wrote this",
            DecodeError::Invalid(reason) => reason,
        };
        Damage {
            position: 0,
            reason,
        }
    })?;
    Ok(Snapshot {
        last: view.meta.last.map(show_id),
        membership: show_membership(view.meta.membership),
        id: view.meta.id,
        state: view.state,
    })
}

fn show(bytes: &[u8], position: usize, frame: &frame::Frame) -> Frame {
    let item = match &frame.content {
        Content::Segment(header) => Item::Segment {
            number: header.number,
            last: header.last.map(show_id),
            purged: header.purged.map(show_id),
        },
        Content::Entry(id) => {
            let (term, index) = show_id(*id);
            let payload = show_payload(bytes.get(frame.body.clone()).unwrap_or_default());
            Item::Entry {
                term,
                index,
                payload,
            }
        }
        Content::Vote(vote) => Item::Vote {
            term: Term(vote.term),
            voted_for: vote.voted_for.map(NodeId),
            is_committed: vote.is_committed,
        },
        Content::Committed(id) => Item::Committed(LogIndex(id.index)),
        Content::Truncate(since) => Item::Truncate(LogIndex(*since)),
        Content::Purge(upto) => Item::Purge(LogIndex(upto.index)),
    };
    Frame {
        position: wide(position),
        size: wide(frame.end - position),
        sequence: frame.sequence,
        durable: u64::from(frame.durable),
        item,
    }
}

fn show_payload(archive: &[u8]) -> Payload {
    let entry = archive::access::<EntryRecord>(archive);
    match entry.map(|entry| &entry.payload) {
        Some(ArchivedPayloadRecord::Command(bytes)) => Payload::Command(bytes.to_vec()),
        Some(ArchivedPayloadRecord::Membership(membership)) => {
            let membership = rkyv::deserialize::<MembershipRecord, rkyv::rancor::Error>(membership);
            membership.map_or(Payload::Blank, |membership| {
                Payload::Membership(show_membership(membership))
            })
        }
        Some(ArchivedPayloadRecord::Blank) | None => Payload::Blank,
    }
}

fn show_membership(membership: MembershipRecord) -> Membership {
    let voters = membership.voters.into_iter();
    let members = membership.members.into_iter().map(|member| {
        let directory = DirectoryId(member.directory);
        (
            NodeId(member.node),
            Member {
                directory,
                address: member.address,
            },
        )
    });
    Membership {
        voters: voters
            .map(|set| set.into_iter().map(NodeId).collect())
            .collect(),
        members: members.collect(),
    }
}

fn show_id(id: LogIdRecord) -> (Term, LogIndex) {
    (Term(id.term), LogIndex(id.index))
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

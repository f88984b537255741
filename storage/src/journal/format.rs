//! The bytes of the partition journal: a header, then records of `length, checksum, rkyv archive`.
//!
//! - Any bytes decode to a prefix of valid records; nothing panics and nothing allocates beyond the input.
//! - An archive is validated before it is read.

use std::io;
use std::sync::Arc;

use rkyv::rancor;
use uuid::Uuid;

use super::{LogKey, LogState};
use crate::ids::{LeaderEpoch, LogId, Offset};

const MAGIC: [u8; 8] = *b"ottlaPJ\n";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 16;
const PREFIX_BYTES: usize = 8;
/// A record holds one topic name of at most 249 bytes; anything longer is not a record.
const PAYLOAD_BYTES_MAX: usize = 4096;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The state of a log from here on.
    Put(LogKey, LogState),
    /// The log is gone.
    Removed(LogKey),
}

/// Why the start of a file is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Wrong magic or checksum.
    NotAJournal,
    /// A later format.
    Newer {
        /// The version found.
        found: u32,
        /// The newest version known.
        known: u32,
    },
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Stored {
    Put(StoredLog),
    Removed { log: [u8; 16], partition: u32 },
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct StoredLog {
    log: [u8; 16],
    partition: u32,
    topic: String,
    recovery_point: i64,
    log_end: i64,
    log_start: i64,
    high_watermark: i64,
    last_epoch: i32,
    active_base: i64,
    active_size: u64,
    is_dirty: bool,
}

/// The first bytes of a journal.
pub fn header() -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let (magic, rest) = bytes.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    let (version, crc) = rest.split_at_mut(4);
    version.copy_from_slice(&VERSION.to_le_bytes());
    crc.copy_from_slice(&header_crc(VERSION).to_le_bytes());
    bytes
}

fn header_crc(version: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&MAGIC);
    hasher.update(&version.to_le_bytes());
    hasher.finalize()
}

/// Checks the header and returns the bytes of the records.
///
/// # Errors
/// [`DecodeError`] if the bytes are not a journal that can be read here.
pub fn decode_header(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let (head, body) = bytes
        .split_at_checked(HEADER_BYTES)
        .ok_or(DecodeError::NotAJournal)?;
    let version = u32_at(head, 8).ok_or(DecodeError::NotAJournal)?;
    if !head.starts_with(&MAGIC) || u32_at(head, 12) != Some(header_crc(version)) {
        return Err(DecodeError::NotAJournal);
    }
    if version == VERSION {
        Ok(body)
    } else {
        Err(DecodeError::Newer {
            found: version,
            known: VERSION,
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*raw))
}

/// About how many bytes the record of a log takes.
pub(super) fn record_size(state: &LogState) -> u64 {
    (PREFIX_BYTES + size_of::<ArchivedStored>() + state.topic.len()) as u64
}

impl Entry {
    /// The record: length, checksum, archive.
    ///
    /// # Errors
    /// `InvalidInput` if the topic name is too long for a record.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let stored = match self {
            Self::Put(key, state) => Stored::Put(StoredLog {
                log: *key.log.uuid().as_bytes(),
                partition: key.partition,
                topic: state.topic.to_string(),
                recovery_point: state.recovery_point.get(),
                log_end: state.log_end.get(),
                log_start: state.log_start.get(),
                high_watermark: state.high_watermark.get(),
                last_epoch: LeaderEpoch::to_wire(state.last_epoch),
                active_base: state.active_base.get(),
                active_size: state.active_size,
                is_dirty: state.is_dirty,
            }),
            Self::Removed(key) => Stored::Removed {
                log: *key.log.uuid().as_bytes(),
                partition: key.partition,
            },
        };
        let payload = rkyv::to_bytes::<rancor::Error>(&stored).map_err(io::Error::other)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut record = Vec::with_capacity(PREFIX_BYTES + payload.len());
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&record_crc(length, &payload).to_le_bytes());
        record.extend_from_slice(&payload);
        Ok(record)
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let stored = rkyv::access::<ArchivedStored, rancor::Error>(payload).ok()?;
        let key = |log: &[u8; 16], partition: u32| LogKey {
            log: LogId::new(Uuid::from_bytes(*log)),
            partition,
        };
        match stored {
            ArchivedStored::Removed { log, partition } => {
                Some(Self::Removed(key(log, partition.to_native())))
            }
            ArchivedStored::Put(put) => {
                let state = LogState {
                    topic: Arc::from(put.topic.as_str()),
                    recovery_point: Offset::from_wire(put.recovery_point.to_native())?,
                    log_end: Offset::from_wire(put.log_end.to_native())?,
                    log_start: Offset::from_wire(put.log_start.to_native())?,
                    high_watermark: Offset::from_wire(put.high_watermark.to_native())?,
                    last_epoch: LeaderEpoch::from_wire(put.last_epoch.to_native()),
                    active_base: Offset::from_wire(put.active_base.to_native())?,
                    active_size: put.active_size.to_native(),
                    is_dirty: put.is_dirty,
                };
                Some(Self::Put(key(&put.log, put.partition.to_native()), state))
            }
        }
    }
}

/// The length is under the checksum: a torn length can not reach into other records.
fn record_crc(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The records of a journal, up to the first that does not check.
#[derive(Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    position: u64,
}

impl<'a> Records<'a> {
    /// Reads what follows the header.
    pub fn new(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            position: 0,
        }
    }

    /// Bytes of the records read so far.
    pub fn position(&self) -> u64 {
        self.position
    }
}

impl Iterator for Records<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let (prefix, rest) = self.rest.split_at_checked(PREFIX_BYTES)?;
        let (length, crc) = (u32_at(prefix, 0)?, u32_at(prefix, 4)?);
        let size = usize::try_from(length)
            .ok()
            .filter(|size| *size <= PAYLOAD_BYTES_MAX)?;
        let (payload, rest) = rest.split_at_checked(size)?;
        if record_crc(length, payload) != crc {
            return None;
        }
        let entry = Entry::decode(payload)?;
        self.rest = rest;
        self.position += (PREFIX_BYTES + size) as u64;
        Some(entry)
    }
}

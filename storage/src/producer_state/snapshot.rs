//! The snapshot file of a partition's producers, in Kafka's format.
//!
//! Nothing of a file is used before its CRC is right. See docs/formats/producer-snapshot.md.

use std::collections::BTreeMap;

use super::entry::{AppendedBatch, ProducerEntry, RememberedBatch};
use crate::cursor::Cursor;
use crate::ids::{Offset, ProducerEpoch, ProducerId, Sequence};
use crate::time::WallMillis;

const VERSION: i16 = 1;
/// Version and CRC; the CRC covers what follows.
const CRC_END: usize = 6;
const ENTRY_SIZE: usize = 46;

/// Why a snapshot file can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A version that this code does not read.
    #[error("producer snapshot version {version}")]
    Version {
        /// The version found.
        version: i16,
    },
    /// The bytes are not those that were written.
    #[error("producer snapshot crc {claimed:08x} claimed, {computed:08x} found")]
    Crc {
        /// What the file says.
        claimed: u32,
        /// What its bytes say.
        computed: u32,
    },
    /// The file is shorter or longer than its entries.
    #[error("producer snapshot of {size} bytes does not hold what it states")]
    Size {
        /// The file's size.
        size: usize,
    },
    /// An entry that cannot be.
    #[error("producer snapshot entry {index} is invalid")]
    Entry {
        /// Its place in the file.
        index: usize,
    },
}

pub(super) fn encode(entries: &BTreeMap<ProducerId, ProducerEntry>) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + entries.len() * ENTRY_SIZE);
    // A partition of more than 2^31 producers would not fit in memory by far.
    let count = i32::try_from(entries.len()).unwrap_or(i32::MAX);
    body.extend(count.to_be_bytes());
    for (id, entry) in entries {
        let last = entry.batches.last();
        let span = last.and_then(|batch| batch.at.last_offset.since(batch.at.base_offset));
        let offset_delta = span
            .and_then(|span| i32::try_from(span).ok())
            .unwrap_or_default();
        body.extend(id.get().to_be_bytes());
        body.extend(ProducerEpoch::to_wire(entry.epoch).to_be_bytes());
        body.extend(Sequence::to_wire(last.map(|batch| batch.last_sequence)).to_be_bytes());
        body.extend(Offset::to_wire(last.map(|batch| batch.at.last_offset)).to_be_bytes());
        body.extend(offset_delta.to_be_bytes());
        body.extend(entry.last_timestamp.as_millis().to_be_bytes());
        body.extend(entry.coordinator_epoch.to_be_bytes());
        body.extend(Offset::to_wire(entry.txn_first_offset).to_be_bytes());
    }
    let mut out = Vec::with_capacity(CRC_END + body.len());
    out.extend(VERSION.to_be_bytes());
    out.extend(crc32c::crc32c(&body).to_be_bytes());
    out.extend(body);
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<BTreeMap<ProducerId, ProducerEntry>, SnapshotError> {
    let short = SnapshotError::Size { size: bytes.len() };
    let mut c = Cursor::new(bytes);
    let version = c.i16().ok_or(short)?;
    if version != VERSION {
        return Err(SnapshotError::Version { version });
    }
    let claimed = c.u32().ok_or(short)?;
    let computed = crc32c::crc32c(c.rest());
    if claimed != computed {
        return Err(SnapshotError::Crc { claimed, computed });
    }
    let count = c
        .i32()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(short)?;
    if count.checked_mul(ENTRY_SIZE) != Some(c.remaining()) {
        return Err(short);
    }
    let mut entries = BTreeMap::new();
    for index in 0..count {
        let (id, entry) = read_entry(&mut c).ok_or(SnapshotError::Entry { index })?;
        entries.insert(id, entry);
    }
    Ok(entries)
}

fn read_entry(c: &mut Cursor<'_>) -> Option<(ProducerId, ProducerEntry)> {
    let id = ProducerId::from_wire(c.i64()?)?;
    let epoch = ProducerEpoch::from_wire(c.i16()?);
    let last_sequence = Sequence::from_wire(c.i32()?);
    let last_offset = Offset::from_wire(c.i64()?);
    let offset_delta = c.i32()?;
    let timestamp = WallMillis::from_millis(c.i64()?);
    let coordinator_epoch = c.i32()?;
    let txn_first_offset = Offset::from_wire(c.i64()?);
    let mut batches = Vec::new();
    // After a marker, or when all batches are gone, there is no last batch.
    if let (Some(last_sequence), Some(last_offset)) = (last_sequence, last_offset) {
        let delta = u32::try_from(offset_delta).ok()?;
        let base_offset = Offset::from_wire(last_offset.get().checked_sub(i64::from(delta))?)?;
        batches.push(RememberedBatch {
            first_sequence: last_sequence.wrapping_sub(delta),
            last_sequence,
            at: AppendedBatch {
                base_offset,
                last_offset,
                timestamp,
            },
        });
    }
    let last_timestamp = timestamp;
    Some((
        id,
        ProducerEntry {
            epoch,
            batches,
            last_timestamp,
            coordinator_epoch,
            txn_first_offset,
        },
    ))
}

//! What a log holds, batch by batch.

use ottla_storage::batch::BatchHeader;
use ottla_storage::{LeaderEpoch, LogView, Offset, ReadLimits};

/// One batch of a log. Two batches are the same if all of this is: the CRC covers the records, not the offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Batch {
    pub(super) base: u64,
    pub(super) last: u64,
    pub(super) epoch: i32,
    pub(super) crc: u32,
}

pub(super) fn raw(offset: Offset) -> u64 {
    offset.get().unsigned_abs()
}

pub(super) fn offset(raw: u64) -> Offset {
    i64::try_from(raw)
        .ok()
        .and_then(Offset::from_wire)
        .unwrap_or(Offset::MAX)
}

/// The batches from `from` (or the log's start) up to `upper_bound`.
pub(super) fn batches(log: &LogView, from: u64, upper_bound: u64) -> Result<Vec<Batch>, String> {
    let mut found = Vec::new();
    let mut at = from.max(raw(log.log_start()));
    let end = upper_bound.min(raw(log.log_end()));
    while at < end {
        let limits = ReadLimits {
            bytes_max: u64::from(u32::MAX),
            upper_bound: offset(end),
            is_one_batch_due: true,
        };
        let range = log
            .read(offset(at), limits)
            .map_err(|error| error.to_string())?;
        let bytes = range.read_to_vec().map_err(|error| error.to_string())?;
        let read = parse(&bytes)?;
        let Some(last) = read.last() else {
            // The bound lies within a batch: that one is not wholly visible.
            break;
        };
        at = last.last + 1;
        found.extend(read);
    }
    Ok(found)
}

/// The batches in these bytes; the last one may be cut off.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Vec<Batch>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header = match BatchHeader::decode(bytes) {
            Ok(header) => header,
            Err(error) if found.is_empty() => return Err(error.to_string()),
            Err(_) => break,
        };
        if header.size() > bytes.len() {
            break;
        }
        found.push(Batch {
            base: raw(header.base_offset()),
            last: raw(header.last_offset()),
            epoch: LeaderEpoch::to_wire(header.leader_epoch()),
            crc: header.crc(),
        });
        bytes = bytes.get(header.size()..).unwrap_or_default();
    }
    Ok(found)
}

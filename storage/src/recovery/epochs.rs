//! The leader epochs of a log: from their checkpoint, or from the batches where that says nothing.
//!
//! - R6: a log that holds records knows their epochs. A follower without any would not be told where its log parts from
//!   the leader's.

use std::io;

use super::{Fault, FileKind, Home, Offset, OpenError, ReadError, Site};
use crate::checkpoint::{LEADER_EPOCH_FILE, decode_epochs};
use crate::epoch_cache::EpochCache;
use crate::fs::OpenMode;
use crate::segment::scan::HeaderScan;

/// One line an election; a log of a century has fewer.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The epochs of a log.
#[derive(Debug)]
pub(super) struct Epochs {
    pub(super) all: EpochCache,
    /// What the checkpoint holds of them.
    pub(super) written: EpochCache,
}

/// The epochs of a log that starts at `log_start`: what the checkpoint says, and before its first entry what the batches
/// in `segments` (base offset and size) say. That is nothing, unless the checkpoint was lost or damaged, or a crash took
/// the log start back to where it was before the checkpoint was shortened.
pub(super) fn find(
    site: &Site,
    log_start: Offset,
    segments: impl Iterator<Item = (Offset, u64)>,
) -> Result<Epochs, OpenError> {
    let written = read(&site.home)?;
    let first = written.entries().first().map(|entry| entry.start);
    if first.is_some_and(|first| first <= log_start) {
        let all = written.clone();
        return Ok(Epochs { all, written });
    }
    let before = scan(site, segments, first.unwrap_or(Offset::MAX))?;
    let all = before.entries().iter().chain(written.entries());
    let all = EpochCache::from_entries(all.copied());
    Ok(Epochs { all, written })
}

/// What the checkpoint says; a damaged one says nothing.
fn read(home: &Home) -> Result<EpochCache, OpenError> {
    let path = home.dir.join(LEADER_EPOCH_FILE);
    match crate::fs::read_all(&*home.fs, &path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(decode_epochs(&bytes).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "leader epochs");
            EpochCache::new()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(EpochCache::new()),
        Err(error) => Err(Fault::of_call(error).into()),
    }
}

/// The epochs of the batches that begin below `end`.
fn scan(
    site: &Site,
    segments: impl Iterator<Item = (Offset, u64)>,
    end: Offset,
) -> Result<EpochCache, OpenError> {
    let mut epochs = EpochCache::new();
    for (base, size) in segments.take_while(|(base, _)| *base < end) {
        if size == 0 {
            continue;
        }
        let path = site.home.path(base, FileKind::Log);
        let file = site.home.fs.open(&path, OpenMode::Read);
        let file = file.map_err(Fault::of_call)?;
        let fault = |source| ReadError::Segment { base, source };
        let mut headers = HeaderScan::new(&*file, 0, size);
        while let Some((_, header)) = headers.next().map_err(fault)? {
            if header.base_offset() >= end {
                break;
            }
            if let Some(epoch) = header.leader_epoch() {
                epochs.assign(epoch, header.base_offset());
            }
        }
    }
    Ok(epochs)
}

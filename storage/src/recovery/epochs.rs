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

/// The epochs of the checkpoint; if it is lost or damaged, those of the batches in `segments` (base offset and size).
pub(super) fn read_or_scan(
    site: &Site,
    segments: impl Iterator<Item = (Offset, u64)>,
) -> Result<EpochCache, OpenError> {
    match read(&site.home)? {
        Some(epochs) => Ok(epochs),
        None => scan(site, segments),
    }
}

fn read(home: &Home) -> Result<Option<EpochCache>, OpenError> {
    let path = home.dir.join(LEADER_EPOCH_FILE);
    match crate::fs::read_all(&*home.fs, &path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(decode_epochs(&bytes)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "leader epochs"))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Fault::of_call(error).into()),
    }
}

fn scan(
    site: &Site,
    segments: impl Iterator<Item = (Offset, u64)>,
) -> Result<EpochCache, OpenError> {
    let mut epochs = EpochCache::new();
    for (base, size) in segments.filter(|(_, size)| *size > 0) {
        let path = site.home.path(base, FileKind::Log);
        let file = site.home.fs.open(&path, OpenMode::Read);
        let file = file.map_err(Fault::of_call)?;
        let fault = |source| ReadError::Segment { base, source };
        let mut headers = HeaderScan::new(&*file, 0, size);
        while let Some((_, header)) = headers.next().map_err(fault)? {
            if let Some(epoch) = header.leader_epoch() {
                epochs.assign(epoch, header.base_offset());
            }
        }
    }
    Ok(epochs)
}

//! The leader epochs of a log, from their checkpoint.

use std::io;

use super::{EPOCH_FILE, Fault, Home, LeaderEpoch, Offset, OpenError};
use crate::epoch_cache::{EpochCache, EpochEntry};

/// One line an election; a log of a century has fewer.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the checkpoint says. A damaged one says nothing: the batches tell the rest.
pub(super) fn read(home: &Home) -> Result<EpochCache, OpenError> {
    let path = home.dir.join(EPOCH_FILE);
    match crate::fs::read_all(&*home.fs, &path, FILE_BYTES_MAX) {
        Ok(bytes) => Ok(parse(&bytes).unwrap_or_else(|| {
            tracing::warn!(path = %path.display(), "damaged leader epochs");
            EpochCache::new()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(EpochCache::new()),
        Err(error) => Err(Fault::of_call(error).into()),
    }
}

fn parse(bytes: &[u8]) -> Option<EpochCache> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    if lines.next()? != "0" {
        return None;
    }
    let count: usize = lines.next()?.parse().ok()?;
    let entries: Option<Vec<_>> = lines
        .map(|line| {
            let (epoch, start) = line.split_once(' ')?;
            let epoch = LeaderEpoch::from_wire(epoch.parse().ok()?)?;
            Some(EpochEntry {
                epoch,
                start: Offset::from_wire(start.parse().ok()?)?,
            })
        })
        .collect();
    let entries = entries.filter(|entries| entries.len() == count)?;
    Some(EpochCache::from_entries(entries))
}

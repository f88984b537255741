//! The leader epochs of a log, from their checkpoint.

use std::io;

use super::{Fault, Home, OpenError};
use crate::checkpoint::{LEADER_EPOCH_FILE, decode_epochs};
use crate::epoch_cache::EpochCache;

/// One line an election; a log of a century has fewer.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What the checkpoint says. A damaged one says nothing: the batches tell the rest.
pub(super) fn read(home: &Home) -> Result<EpochCache, OpenError> {
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

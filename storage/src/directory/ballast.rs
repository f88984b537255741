//! Room kept back for the time when the disk is full.
//!
//! When a write meets a full disk, the ballast is given up, so that the journal, deletions and coordinators can go on
//! while produce is refused. When there is room for it again, and for as much again, it is taken back and the
//! directory heals.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::Directory;
use super::queue::Later;
use crate::fs::{Fs, OpenMode, write_all_at};

const FILE_NAME: &str = ".ballast";
/// A disk that was full has room again when at least this much is free.
const ROOM_BYTES_MIN: u64 = 1 << 20;
/// How often a full disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const CHUNK_BYTES: usize = 1 << 20;

/// Makes the ballast if it is not whole. Written, not only reserved: some file systems reserve nothing.
pub(crate) fn take(fs: &dyn Fs, dir: &std::path::Path, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let file = fs.open(&dir.join(FILE_NAME), OpenMode::Create)?;
    let len = file.stat()?.len;
    if len >= bytes {
        return Ok(());
    }
    if file.allocate(bytes).is_ok() {
        file.set_len(bytes)?;
        return file.sync();
    }
    let chunk = vec![0; CHUNK_BYTES];
    let mut at = len;
    while at < bytes {
        let take = usize::try_from(bytes - at)
            .unwrap_or(CHUNK_BYTES)
            .min(CHUNK_BYTES);
        write_all_at(&*file, chunk.get(..take).unwrap_or(&chunk), at)?;
        at += take as u64;
    }
    file.sync()
}

/// Gives the ballast up, and looks again and again whether there is room for it.
pub(super) fn heal(directory: &Arc<Directory>) {
    if directory.is_offline() || !directory.is_full() {
        return;
    }
    give_up(directory);
    let bytes = directory.ballast_bytes;
    let room = bytes.saturating_mul(2).max(ROOM_BYTES_MIN);
    let has_room = directory
        .fs
        .space(&directory.path)
        .is_ok_and(|space| space.available >= room);
    if has_room && take(&*directory.fs, &directory.path, bytes).is_ok() {
        directory.has_space_again();
        return;
    }
    let due = directory.now().saturating_add(LOOK_EVERY);
    directory.queue.at(due, Later::Job(Box::new(heal)));
}

fn give_up(directory: &Directory) {
    match directory.fs.remove(&directory.path.join(FILE_NAME)) {
        Ok(()) => tracing::warn!(path = %directory.path.display(), "gave the ballast up"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %directory.path.display(), %error, "give the ballast up");
        }
    }
}

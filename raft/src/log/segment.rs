//! The files of the log: how they are named and how one comes to be.
//!
//! A segment is filled with zeros and synced under another name before it gets its own, so a
//! segment's blocks exist before the first frame is written: a write to it needs no space, and its
//! sync needs no journal of the file system.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::fs::{File, Fs};

/// The segment written in advance, waiting for its number.
pub(super) const SPARE: &str = "spare.log";
const UNFINISHED: &str = "unfinished.log";
const CHUNK: usize = 256 << 10;

pub(super) fn name(number: u64) -> String {
    format!("{number:020}.log")
}

pub(super) fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Makes a file of `size` zeros under `name`, durably. What exists under `name` is complete.
pub(super) fn create_blank(
    fs: &dyn Fs,
    dir: &Path,
    name: &str,
    size: u32,
) -> io::Result<Arc<dyn File>> {
    let unfinished = dir.join(UNFINISHED);
    remove_if_there(fs, &unfinished)?;
    let file = fs.create(&unfinished)?;
    if let Err(error) = fill(&*file, size) {
        // A full disk gets its space back; whatever else went wrong, the next start cleans up.
        let _ = fs.remove(&unfinished);
        return Err(error);
    }
    fs.rename(&unfinished, &dir.join(name))?;
    fs.sync_dir(dir)?;
    Ok(file)
}

fn fill(file: &dyn File, size: u32) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    let mut position = 0;
    while position < u64::from(size) {
        let left = usize::try_from(u64::from(size) - position).unwrap_or(CHUNK);
        let chunk = zeros.get(..left.min(CHUNK)).unwrap_or(&zeros);
        file.write_at(position, chunk)?;
        position += u64::try_from(chunk.len()).unwrap_or(0);
    }
    file.sync()
}

pub(super) fn remove_if_there(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn remove_unfinished(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    remove_if_there(fs, &dir.join(UNFINISHED))
}

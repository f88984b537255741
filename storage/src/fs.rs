//! The port to the file system: everything that `storage/` asks of a disk, and nothing else.
//!
//! - A write is in the live image at once and on stable storage only after [`File::sync`]; a name (create, rename,
//!   remove) is on stable storage only after [`Fs::sync_dir`] of the directory that holds it. A new directory is the
//!   exception: [`Fs::create_dir`] returns when its name is safe, because whatever is synced below it relies on that.
//! - An implementation never retries a failed sync: the caller decides, and it decides "offline" (S7).
//!
//! Besides [`StdFs`] there are an in-memory disk and a wrapper over real files that forgets what was not synced.

#![expect(
    clippy::missing_errors_doc,
    reason = "every call passes on the operating system's error; kinds that mean something are named"
)]

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use crate::time::WallMillis;

pub(crate) mod map;
mod std_fs;

pub use std_fs::StdFs;

/// How [`Fs::open`] opens a file. Every mode but `Read` allows reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file.
    Existing,
    /// The file, made empty if there was none.
    Create,
    /// A new empty file; `AlreadyExists` if the name is taken.
    New,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// What is known of an open file without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Length in bytes.
    pub len: u64,
    /// Time of the last change.
    pub modified: WallMillis,
}

/// Room on the volume that holds a directory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of the volume.
    pub total: u64,
    /// What an unprivileged process may still write.
    pub available: u64,
}

/// An open file. Positions are bytes from its start; there is no cursor, so readers and the one writer share it.
pub trait File: Debug + Send + Sync {
    /// Reads from `position` until `buf` is full or the file ends; returns the bytes read.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes the buffers one after the other at `position` with one system call; may write less than asked.
    ///
    /// Writing at the end extends the file. `StorageFull` is reported as such.
    fn write_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize>;

    /// Brings data and length to stable storage (`fdatasync`). An error is final for the directory (S7).
    fn sync(&self) -> io::Result<()>;

    /// Cuts or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Reserves room for the first `len` bytes; the length does not change.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Length and time of the last change.
    fn stat(&self) -> io::Result<FileStat>;

    /// Sets the time of the last change.
    fn set_modified(&self, modified: WallMillis) -> io::Result<()>;

    /// The descriptor, for `sendfile` and maps; `None` if the file lives in memory.
    fn fd(&self) -> Option<BorrowedFd<'_>>;

    /// A hint to start writing back `len` bytes at `position`; promises nothing.
    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()>;
}

/// A file system. Paths are used as given; callers keep to one directory tree.
pub trait Fs: Debug + Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;

    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes the directory and its missing parents, each name on stable storage before the next is made. Fine if it
    /// is there: then its name is synced, because a process that was killed may have left it unsynced.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Renames a file or a directory, replacing a file of the new name atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a directory with all that it holds. `NotFound` if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Brings the names in `dir` to stable storage.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates `path` if needed and locks it against other processes until the returned file is dropped.
    ///
    /// `WouldBlock` if another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Room on the volume that holds `dir`.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// Fills `buf` from `position`, or fails with `UnexpectedEof`.
pub fn read_exact_at(file: &dyn File, buf: &mut [u8], position: u64) -> io::Result<()> {
    if file.read_at(buf, position)? == buf.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Writes all of `bytes` at `position`, in as many calls as it takes.
pub fn write_all_at(file: &dyn File, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = file.write_at(&[IoSlice::new(bytes)], position)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
        position = position.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// Writes `bytes` as the whole content of `path`: aside, synced, renamed, and the directory synced.
///
/// After a crash the file holds either what it held before or all of `bytes`.
pub fn replace(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_added_extension("tmp");
    let file = fs.open(&aside, OpenMode::Create)?;
    file.set_len(0)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync()?;
    drop(file);
    fs.rename(&aside, path)?;
    path.parent().map_or(Ok(()), |dir| fs.sync_dir(dir))
}

/// The whole content of `path`, refused with `FileTooLarge` above `limit` bytes.
pub fn read_all(fs: &dyn Fs, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.stat()?.len;
    if len > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

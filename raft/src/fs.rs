//! What this crate asks of a file system, and the real one.
//!
//! The port is the whole contract about durability: bytes of a file are durable once [`File::sync`]
//! returned, names of a directory once [`Fs::sync_dir`] returned, and nothing before that, but for
//! the name of a new directory, which is durable when [`Fs::create_dir`] returns. A sync that failed
//! is final: the caller must not try again, because the kernel may have dropped the dirty pages and
//! a second call could claim success.

#![allow(
    clippy::missing_errors_doc,
    reason = "each call fails as the system call it stands for"
)]

#[cfg(test)]
pub(crate) mod memory;

use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

#[cfg(unix)]
use std::os::unix::fs::FileExt;

/// The names in a file system.
pub trait Fs: fmt::Debug + Send + Sync {
    /// Creates a directory in one that exists, its name durable when this returns. One that exists is
    /// left alone, but its name is synced: a process that was killed may not have come to it.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates an empty file for reading and writing. It fails if the name exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives a file a new name in one step, replacing what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names of the files and directories in `dir`, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes every create, rename and remove in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: fmt::Debug + Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads exactly `buf.len()` bytes from `position`.
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `position`, growing the file if need be.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything written so far durable.
    fn sync(&self) -> io::Result<()>;

    /// The file's content, for a file that will never change again.
    fn map(&self) -> io::Result<Mapping>;
}

/// The content of a file that never changes: a memory map, or a copy on disks that have none.
#[derive(Debug)]
pub enum Mapping {
    /// The kernel's pages.
    Map(memmap2::Mmap),
    /// A copy.
    Copy(Vec<u8>),
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Copy(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Whether there was no space: a state that passes, unlike other errors.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdFs;

impl Fs for StdFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match std::fs::create_dir(dir) {
            Err(_) if dir.is_dir() => {}
            made => made?,
        }
        let parent = dir.parent().unwrap_or(dir);
        self.sync_dir(parent)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Arc::new(StdFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)?;
        Ok(Arc::new(StdFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            // A name that is not UTF-8 is not ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        std::fs::File::open(dir)?.sync_all()
    }
}

#[derive(Debug)]
struct StdFile(std::fs::File);

impl File for StdFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(buf, position)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn map(&self) -> io::Result<Mapping> {
        if self.size()? == 0 {
            return Ok(Mapping::Copy(Vec::new()));
        }
        #[expect(
            unsafe_code,
            reason = "a map of a file that this process never writes or truncates again; the data \
                      directory's lock keeps other processes out"
        )]
        // SAFETY: callers map sealed segments and finished snapshots only. Those are replaced by
        // renames or unlinked, never rewritten, so the pages under the slice do not change.
        let map = unsafe { memmap2::Mmap::map(&self.0)? };
        Ok(Mapping::Map(map))
    }
}

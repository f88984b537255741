//! The real file system behind the port: positioned system calls, no buffering, no retries.

use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::FallocateFlags;

use super::{DirEntry, File, FileStat, Fs, OpenMode, Space};
use crate::time::WallMillis;

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdFs;

#[derive(Debug)]
struct StdFile(fs::File);

impl File for StdFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        let mut at = position;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, at) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    at = at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        loop {
            match rustix::io::pwritev(&self.0, bufs, position) {
                Err(rustix::io::Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(
            &self.0,
            FallocateFlags::KEEP_SIZE,
            0,
            len,
        )?)
    }

    fn stat(&self) -> io::Result<FileStat> {
        let metadata = self.0.metadata()?;
        let modified = metadata
            .modified()?
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(FileStat {
            len: metadata.len(),
            modified: WallMillis::ZERO.saturating_add(modified),
        })
    }

    fn set_modified(&self, modified: WallMillis) -> io::Result<()> {
        let millis = u64::try_from(modified.as_millis()).unwrap_or(0);
        self.0
            .set_modified(UNIX_EPOCH + Duration::from_millis(millis))
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn start_writeback(&self, _position: u64, _len: u64) -> io::Result<()> {
        // `sync_file_range` has no safe wrapper yet, and a hint may be ignored.
        Ok(())
    }
}

impl Fs for StdFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != OpenMode::Read);
        match mode {
            OpenMode::Read | OpenMode::Existing => {}
            OpenMode::Create => {
                options.create(true).truncate(false);
            }
            OpenMode::New => {
                options.create_new(true);
            }
        }
        Ok(Arc::new(StdFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // A name that is not UTF-8 is not ours; nothing here could refer to it anyway.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry {
                    name,
                    is_dir: entry.file_type()?.is_dir(),
                });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = dir.parent().ok_or(error)?;
                self.create_dir(parent)?;
                fs::create_dir(dir)?;
            }
            Err(_) if dir.is_dir() => return sync_name_that_was_there(dir),
            made => made?,
        }
        sync_name(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock()?;
        Ok(Arc::new(StdFile(file)))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let volume = rustix::fs::statvfs(dir)?;
        Ok(Space {
            total: volume.f_blocks.saturating_mul(volume.f_frsize),
            available: volume.f_bavail.saturating_mul(volume.f_frsize),
        })
    }
}

/// Brings the name of a directory to stable storage.
fn sync_name(dir: &Path) -> io::Result<()> {
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let file = fs::File::open(parent)?;
    // Never taken for a full disk, which a caller may try again: a failed sync is final.
    file.sync_all().map_err(io::Error::other)
}

fn sync_name_that_was_there(dir: &Path) -> io::Result<()> {
    match sync_name(dir) {
        // Somebody else made it where we may not look, and not just now.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{read_all, replace, write_all_at};
    use super::*;

    #[test]
    fn a_vectored_write_is_read_back_and_reading_stops_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = StdFs.open(&dir.path().join("a"), OpenMode::New).unwrap();
        let written = file
            .write_at(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")], 1)
            .unwrap();
        let mut buf = [9; 8];
        assert_eq!((written, file.read_at(&mut buf, 0).unwrap()), (5, 6));
        assert_eq!(&buf, b"\0abcde\x09\x09");
    }

    #[test]
    fn the_time_of_the_last_change_can_be_set() {
        let dir = tempfile::tempdir().unwrap();
        let file = StdFs.open(&dir.path().join("a"), OpenMode::New).unwrap();
        let then = WallMillis::from_millis(1_234_567);
        file.set_modified(then).unwrap();
        assert_eq!(file.stat().unwrap().modified, then);
    }

    #[test]
    fn allocating_room_leaves_the_length_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = StdFs.open(&dir.path().join("a"), OpenMode::Create).unwrap();
        write_all_at(&*file, b"abc", 0).unwrap();
        file.allocate(1 << 16).unwrap();
        assert_eq!(file.stat().unwrap().len, 3);
    }

    #[test]
    fn a_replaced_file_holds_only_the_new_content_and_no_aside_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        replace(&StdFs, &path, b"longer than next").unwrap();
        replace(&StdFs, &path, b"next").unwrap();
        assert_eq!(read_all(&StdFs, &path, 100).unwrap(), b"next");
        assert!(read_all(&StdFs, &path, 3).is_err());
        assert_eq!(StdFs.list(dir.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_second_lock_of_one_file_is_refused_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let first = StdFs.lock(&path).unwrap();
        let refused = StdFs.lock(&path).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        StdFs.lock(&path).unwrap();
    }
}

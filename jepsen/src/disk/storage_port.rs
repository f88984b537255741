//! The port of `storage/`, on a [`SimFs`].
//!
//! A directory is renamed or removed name by name: a crash may find it half done, which is harder than what a real
//! file system does.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use ottla_storage::fs::{DirEntry, File, FileStat, Fs, OpenMode, Space};
use ottla_storage::time::WallMillis;

use super::{SimFile, SimFs};

impl Fs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = match mode {
            OpenMode::Read | OpenMode::Existing => self.open(path)?,
            OpenMode::New => self.create(path)?,
            OpenMode::Create => match self.create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.open(path)?,
                created => created?,
            },
        };
        Ok(Arc::new(file))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let names = self.list(dir)?;
        let entry = |name: String| {
            let is_dir = self.is_dir(&dir.join(&name))?;
            Ok(DirEntry { name, is_dir })
        };
        names.into_iter().map(entry).collect()
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.is_dir(from)? {
            return self.rename(from, to);
        }
        self.create_dir_all(to)?;
        for name in self.list(from)? {
            Fs::rename(self, &from.join(&name), &to.join(&name))?;
        }
        self.forget_dir(from)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.is_dir(path)? {
            return self.remove(path);
        }
        for name in self.list(path)? {
            Fs::remove(self, &path.join(&name))?;
        }
        self.forget_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        // One process at a time mounts a simulated disk.
        Fs::open(self, path, OpenMode::Create)
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let available = self.space_left()?.unwrap_or(u64::MAX);
        Ok(Space {
            total: u64::MAX,
            available,
        })
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.read_some_at(position, buf)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut written = 0;
        for buf in bufs {
            let at = position + written as u64;
            match self.write_some_at(at, buf) {
                Ok(count) => {
                    written += count;
                    if count < buf.len() {
                        break;
                    }
                }
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(written)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.set_size(len)
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn stat(&self) -> io::Result<FileStat> {
        Ok(FileStat {
            len: self.size()?,
            modified: WallMillis::ZERO,
        })
    }

    fn set_modified(&self, _modified: WallMillis) -> io::Result<()> {
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn start_writeback(&self, _position: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

//! The lossy disk behind `storage/`'s port.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use ottla_storage::fs::{DirEntry, File, FileStat, Fs, OpenMode, Space, StdFs};
use ottla_storage::time::WallMillis;

use super::{LossyDisk, LossyFile, Mode, Ranges};

impl From<OpenMode> for Mode {
    fn from(mode: OpenMode) -> Self {
        match mode {
            OpenMode::Read => Self::Read,
            OpenMode::Existing => Self::Existing,
            OpenMode::Create => Self::Create,
            OpenMode::New => Self::New,
        }
    }
}

impl File for LossyFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        Self::read_at(self, buf, position)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        Self::write_at(self, bufs, position)
    }

    fn sync(&self) -> io::Result<()> {
        Self::sync(self)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn stat(&self) -> io::Result<FileStat> {
        let metadata = self.live.metadata()?;
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
        let modified = UNIX_EPOCH + Duration::from_millis(millis);
        self.live.set_modified(modified)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(Self::fd(self))
    }

    fn start_writeback(&self, _position: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Fs for LossyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, mode.into())?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        StdFs.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        Self::create_dir(self, dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Self::rename(self, from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Self::remove(self, path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Self::sync_dir(self, dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let live = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        live.try_lock()?;
        Ok(Arc::new(LossyFile {
            live,
            durable: None,
            dirty: Arc::new(Mutex::new(Ranges::default())),
        }))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        StdFs.space(dir)
    }
}

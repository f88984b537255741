//! A file system whose slow calls are known to be under way.
//!
//! Everything that may wait for a disk is watched. Reads and page-cache writes are not: the cores make them inline,
//! and a core that hangs in one stops publishing its own tick.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use super::events::Clock;
use super::watch::Watch;
use crate::fs::{DirEntry, File, FileStat, Fs, OpenMode, Space};
use crate::time::WallMillis;

#[derive(Debug)]
pub(crate) struct WatchedFs {
    inner: Arc<dyn Fs>,
    watcher: Watcher,
}

#[derive(Clone, Debug)]
struct Watcher {
    watch: Arc<Watch>,
    clock: Arc<dyn Clock>,
}

impl Watcher {
    fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        self.watch.during(self.clock.mono(), call)
    }
}

#[derive(Debug)]
struct WatchedFile {
    inner: Arc<dyn File>,
    watcher: Watcher,
}

impl WatchedFs {
    pub(crate) fn new(inner: Arc<dyn Fs>, watch: Arc<Watch>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            watcher: Watcher { watch, clock },
        }
    }

    fn file(&self, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(WatchedFile {
            inner,
            watcher: self.watcher.clone(),
        })
    }
}

impl File for WatchedFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        self.inner.read_at(buf, position)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        self.inner.write_at(bufs, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.watcher.during(|| self.inner.sync())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.watcher.during(|| self.inner.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.watcher.during(|| self.inner.allocate(len))
    }

    fn stat(&self) -> io::Result<FileStat> {
        self.inner.stat()
    }

    fn set_modified(&self, modified: WallMillis) -> io::Result<()> {
        self.inner.set_modified(modified)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inner.fd()
    }

    fn start_writeback(&self, position: u64, len: u64) -> io::Result<()> {
        self.inner.start_writeback(position, len)
    }
}

impl Fs for WatchedFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.watcher.during(|| self.inner.open(path, mode))?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.watcher.during(|| self.inner.list(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.watcher.during(|| self.inner.create_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.watcher.during(|| self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.watcher.during(|| self.inner.remove(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.watcher.during(|| self.inner.sync_dir(dir))
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.file(self.watcher.during(|| self.inner.lock(path))?))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.watcher.during(|| self.inner.space(dir))
    }
}

//! The ports of the crates under test, on a [`SimFs`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_raft::fs::{File, Fs, Mapping};

use super::{SimFile, SimFs};

impl Fs for SimFs {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.sync_dir(dir)
    }
}

impl File for SimFile {
    fn size(&self) -> io::Result<u64> {
        self.size()
    }

    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<()> {
        let count = self.read_some_at(position, buf)?;
        if count == buf.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let count = self.write_some_at(position, bytes)?;
        if count == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync()
    }

    fn map(&self) -> io::Result<Mapping> {
        self.read_with(|live| Mapping::Copy(live.to_vec()))
    }
}

//! The lossy disk behind `raft/`'s port.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use ottla_raft::fs::{File, Fs, Mapping};

use super::{LossyDisk, LossyFile, Mode};

impl File for LossyFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.live.metadata()?.len())
    }

    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<()> {
        if Self::read_at(self, buf, position)? == buf.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        Self::write_at(self, &[IoSlice::new(bytes)], position).map(|_| ())
    }

    fn sync(&self) -> io::Result<()> {
        Self::sync(self)
    }

    fn map(&self) -> io::Result<Mapping> {
        let size = usize::try_from(File::size(self)?).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; size];
        File::read_at(self, 0, &mut bytes)?;
        Ok(Mapping::Copy(bytes))
    }
}

impl Fs for LossyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        Self::create_dir(self, dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, Mode::New)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(self.open_file(path, Mode::Existing)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Self::rename(self, from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Self::remove(self, path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            names.extend(entry?.file_name().into_string().ok());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        Self::sync_dir(self, dir)
    }
}

//! Files in memory, for unit tests. What crashes leave is simulated elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::{File, Fs, Mapping};

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    files: Arc<Mutex<BTreeMap<PathBuf, Content>>>,
    /// Taken by each sync: who holds it has a slow disk.
    pub(crate) syncing: Arc<Mutex<()>>,
    /// Taken by each create.
    pub(crate) creating: Arc<Mutex<()>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    bytes: Arc<Mutex<Vec<u8>>>,
    syncing: Arc<Mutex<()>>,
}

impl Fs for Memory {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        drop(self.creating.lock().unwrap());
        let file = Content {
            syncing: Arc::clone(&self.syncing),
            ..Content::default()
        };
        self.files
            .lock()
            .unwrap()
            .insert(path.to_owned(), file.clone());
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let files = self.files.lock().unwrap();
        Ok(Arc::new(
            files.get(path).ok_or(io::ErrorKind::NotFound)?.clone(),
        ))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock().unwrap();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.files.lock().unwrap().remove(path);
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock().unwrap();
        let names = files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok()?.to_str());
        Ok(names.map(str::to_owned).collect())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl File for Content {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(position).unwrap();
        buf.copy_from_slice(&self.bytes.lock().unwrap()[start..start + buf.len()]);
        Ok(())
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.bytes.lock().unwrap();
        let start = usize::try_from(position).unwrap();
        let end = content.len().max(start + bytes.len());
        content.resize(end, 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.syncing.lock().unwrap());
        Ok(())
    }

    fn map(&self) -> io::Result<Mapping> {
        Ok(Mapping::Copy(self.bytes.lock().unwrap().clone()))
    }
}

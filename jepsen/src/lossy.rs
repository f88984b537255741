//! A lossy disk over real files, for a real process: what was not synced is gone when the process dies.
//!
//! Two directories: the *live* one, which the process reads and writes with ordinary descriptors (so `sendfile` and
//! maps work), and the *durable* one, to which a sync copies what changed. Opening the disk is the power cut: the
//! live directory is thrown away and rebuilt from the durable one.
//!
//! - File data and length become durable with [`LossyFile::sync`], never earlier.
//! - A name (create, rename, remove) becomes durable with [`LossyDisk::sync_dir`] of its directory, never earlier; a
//!   synced file whose name was never synced is lost with its name. The names on the way to a directory are durable
//!   when it is made, as both ports want it.
//! - `kill -9` keeps the page cache, so plain writes are enough to make the durable directory survive it.
//!
//! The durable directory holds `inodes/<id>` (the synced bytes of a file) and `names.log`: one JSON line for every
//! directory sync, with the directory's id and its entries. A file `FAULTS` beside them makes syncs fail or hang: see
//! `faults`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod faults;
mod raft_port;
mod ranges;
mod storage_port;
mod tree;

use faults::Faults;
use ranges::Ranges;
use tree::{InodeId, Tree};

/// The disk: one live and one durable directory.
#[derive(Debug)]
pub struct LossyDisk {
    live: PathBuf,
    inodes: PathBuf,
    faults: Arc<Faults>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    names: fs::File,
    /// The open or once opened files by id: their unsynced ranges must outlive the descriptors.
    files: BTreeMap<InodeId, Arc<Mutex<Ranges>>>,
}

/// An open file of the disk.
#[derive(Debug)]
pub struct LossyFile {
    live: fs::File,
    /// Where the synced bytes are; `None` for a lock, which has none.
    durable: Option<Durable>,
    dirty: Arc<Mutex<Ranges>>,
}

/// The durable side of an open file.
#[derive(Debug)]
struct Durable {
    bytes: PathBuf,
    /// Where the file was when it was opened.
    path: PathBuf,
    faults: Arc<Faults>,
}

/// How a file is opened; the words of both file-system ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Read,
    Existing,
    Create,
    New,
}

impl LossyDisk {
    /// Cuts the power: the live directory becomes what the durable one holds.
    ///
    /// # Errors
    /// Whatever the file system says; `InvalidData` if `durable` is not the durable side of such a disk.
    pub fn open(live: &Path, durable: &Path) -> io::Result<Self> {
        let inodes = durable.join("inodes");
        fs::create_dir_all(&inodes)?;
        let log = durable.join("names.log");
        let names = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&log)?;
        let mut tree = Tree::replay(&fs::read_to_string(&log)?)?;
        for entry in fs::read_dir(&inodes)? {
            let id = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            tree.never_use(id.ok_or(io::ErrorKind::InvalidData)?);
        }
        match fs::remove_dir_all(live) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(live)?;
        rebuild(&tree, Tree::ROOT, live, &inodes)?;
        let state = Mutex::new(State {
            tree,
            names,
            files: BTreeMap::new(),
        });
        Ok(Self {
            live: live.to_owned(),
            inodes,
            faults: Arc::new(Faults::new(live, durable)),
            state,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names below the live directory that lead to `path`.
    fn names_to<'p>(&self, path: &'p Path) -> io::Result<Vec<&'p str>> {
        let below = path
            .strip_prefix(&self.live)
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        below
            .components()
            .filter(|component| !matches!(component, Component::CurDir))
            .map(|component| match component {
                Component::Normal(name) => name
                    .to_str()
                    .ok_or_else(|| io::ErrorKind::InvalidInput.into()),
                _ => Err(io::ErrorKind::InvalidInput.into()),
            })
            .collect()
    }

    fn open_file(&self, path: &Path, mode: Mode) -> io::Result<LossyFile> {
        let names = self.names_to(path)?;
        let mut options = fs::OpenOptions::new();
        options.read(true).write(mode != Mode::Read);
        options
            .create(mode == Mode::Create)
            .create_new(mode == Mode::New)
            .truncate(false);
        // The lock is held across the system call: the tree and the live directory change together.
        let mut state = self.state();
        let live = options.open(path)?;
        let id = state.tree.file(&names)?;
        let dirty = Arc::clone(state.files.entry(id).or_default());
        Ok(LossyFile {
            live,
            durable: Some(Durable {
                bytes: self.inodes.join(id.to_string()),
                path: path.to_owned(),
                faults: Arc::clone(&self.faults),
            }),
            dirty,
        })
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.before_sync(dir)?;
        let names = self.names_to(dir)?;
        let mut state = self.state();
        fs::create_dir_all(dir)?;
        state.tree.directory(&names)?;
        for depth in 0..names.len() {
            let parent = names.get(..depth).unwrap_or_default();
            state.sync_directory(parent)?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_names, to_names) = (self.names_to(from)?, self.names_to(to)?);
        let mut state = self.state();
        fs::rename(from, to)?;
        state.tree.rename(&from_names, &to_names)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let names = self.names_to(path)?;
        let mut state = self.state();
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir_all(path)?;
        } else {
            fs::remove_file(path)?;
        }
        state.tree.remove(&names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.faults.before_sync(dir)?;
        let names = self.names_to(dir)?;
        self.state().sync_directory(&names)
    }
}

impl State {
    fn sync_directory(&mut self, names: &[&str]) -> io::Result<()> {
        let line = self.tree.sync_directory(names)?;
        self.names.write_all(line.as_bytes())
    }
}

/// Makes `live` hold the durable entries of directory `id`, all the way down.
fn rebuild(tree: &Tree, id: InodeId, live: &Path, inodes: &Path) -> io::Result<()> {
    for (name, child) in tree.durable_entries(id) {
        let path = live.join(name);
        if tree.is_directory(child) {
            fs::create_dir(&path)?;
            rebuild(tree, child, &path, inodes)?;
            continue;
        }
        match fs::copy(inodes.join(child.to_string()), &path) {
            Ok(_) => {}
            // The name was synced, the file never was: it is there and empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::File::create(&path)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl LossyFile {
    fn dirty(&self) -> MutexGuard<'_, Ranges> {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.live.read_at(rest, position + filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bufs: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        let mut dirty = self.dirty();
        let mut at = position;
        for buf in bufs {
            self.live.write_all_at(buf, at)?;
            at += buf.len() as u64;
        }
        dirty.insert(position, at);
        usize::try_from(at - position).map_err(|_| io::ErrorKind::InvalidInput.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut dirty = self.dirty();
        self.live.set_len(len)?;
        dirty.cut(len);
        Ok(())
    }

    /// Copies what changed since the last sync to the durable side.
    fn sync(&self) -> io::Result<()> {
        let Some(durable) = &self.durable else {
            return Ok(());
        };
        durable.faults.before_sync(&durable.path)?;
        let mut dirty = self.dirty();
        let target = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&durable.bytes)?;
        // A cut below a range that is then written again must not bring old bytes back, so cuts come first.
        if let Some(cut) = dirty.lowest_cut() {
            let len = target.metadata()?.len();
            target.set_len(len.min(cut))?;
        }
        let mut buffer = vec![0; 256 * 1024];
        for (start, end) in dirty.iter() {
            let mut at = start;
            while at < end {
                let want = usize::try_from(end - at)
                    .unwrap_or(usize::MAX)
                    .min(buffer.len());
                let Some(chunk) = buffer.get_mut(..want) else {
                    break;
                };
                let count = self.live.read_at(chunk, at)?;
                if count == 0 {
                    break;
                }
                target.write_all_at(chunk.get(..count).unwrap_or_default(), at)?;
                at += count as u64;
            }
        }
        target.set_len(self.live.metadata()?.len())?;
        dirty.clear();
        Ok(())
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.live.as_fd()
    }
}

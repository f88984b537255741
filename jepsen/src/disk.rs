//! A disk in memory that forgets what was not synced.
//!
//! It keeps two images. The live one is what running processes see. The durable one is what a
//! power cut leaves for certain: a file's bytes get there by a sync of the file, names by a sync of
//! their directory, and nothing else does. [`SimDisk::crash`] restarts from the durable image plus
//! a random subset of what was pending, each piece whole, absent or torn.
//!
//! - A handle belongs to one boot. After a crash or a kill the old handles answer with an error, as
//!   the dead process they belong to can do nothing any more.
//! - Everything random comes from the seed given to `crash`.

#![allow(
    clippy::missing_errors_doc,
    reason = "each call fails as the system call it stands for"
)]

mod image;
mod port;
mod storage_port;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::rng::Rng;
use image::{Image, Inode, NameOp, WriteOp};

/// The hardware: it outlives the processes that mount it. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counts crashes and kills; a handle of an earlier boot is dead.
    boot: u64,
    image: Image,
    faults: Faults,
    counts: DiskCounts,
}

#[derive(Debug, Default)]
struct Faults {
    failing_syncs: u64,
    /// Bytes by which files may still grow.
    space_left: Option<u64>,
    are_syncs_held: bool,
    /// Changes until the power goes, and the seed of what it leaves.
    crash_in: Option<(u64, u64)>,
}

/// What happened on the disk so far. A test that shows a zero where it expected faults shows little.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounts {
    /// Writes to files.
    pub writes: u64,
    /// Syncs of files.
    pub file_syncs: u64,
    /// Syncs of directories.
    pub dir_syncs: u64,
    /// Power cuts.
    pub crashes: u64,
    /// Pending writes and names that a power cut dropped whole.
    pub lost: u64,
    /// Pending writes that a power cut cut through.
    pub torn: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle for one process, good until the next crash or kill.
    pub fn mount(&self) -> SimFs {
        let boot = self.lock().boot;
        SimFs {
            disk: self.clone(),
            boot,
        }
    }

    /// A power cut: what was pending is kept, dropped or torn as the seed says.
    pub fn crash(&self, seed: u64) {
        self.lock().crash(seed);
        self.0.released.notify_all();
    }

    /// A power cut in the middle of things: after so many more changes (writes, syncs, names), the
    /// last of which may be cut through itself. A crash or a kill before that calls it off.
    pub fn crash_in(&self, changes: u64, seed: u64) {
        self.lock().faults.crash_in = Some((changes, seed));
    }

    /// Calls off a power cut that was to come.
    pub fn call_off_crash(&self) {
        self.lock().faults.crash_in = None;
    }

    /// A process ends without the power going: handles die, the live image stays.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.boot += 1;
        state.faults = Faults::default();
        self.0.released.notify_all();
    }

    /// The next `count` syncs, of files or directories, fail and make nothing durable.
    pub fn fail_next_syncs(&self, count: u64) {
        self.lock().faults.failing_syncs = count;
    }

    /// Files can grow by `bytes` in all before writes answer "no space left"; `None` lifts the limit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.lock().faults.space_left = bytes;
    }

    /// Syncs block the calling thread until [`SimDisk::release_syncs`], a kill or a crash.
    pub fn hold_syncs(&self) {
        self.lock().faults.are_syncs_held = true;
    }

    /// Lets held syncs go on.
    pub fn release_syncs(&self) {
        self.lock().faults.are_syncs_held = false;
        self.0.released.notify_all();
    }

    /// What happened so far.
    pub fn counts(&self) -> DiskCounts {
        self.lock().counts
    }

    /// The live content of a file, as if read by another process.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock();
        let inode = *state.image.live.get(path)?;
        state
            .image
            .inodes
            .get(&inode)
            .map(|inode| inode.live.clone())
    }

    /// Puts a file in place, durable at once: damage for a test to find.
    pub fn plant(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.lock();
        let id = state.image.new_inode();
        let inode = Inode {
            durable: bytes.clone(),
            live: bytes,
            pending: Vec::new(),
        };
        state.image.inodes.insert(id, inode);
        state.image.live.insert(path.to_owned(), id);
        state.image.durable.insert(path.to_owned(), id);
    }

    /// Another disk with the same content, durable and pending.
    #[must_use]
    pub fn fork(&self) -> Self {
        let image = self.lock().image.clone();
        let state = State {
            image,
            ..State::default()
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            released: Condvar::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl State {
    fn crash(&mut self, seed: u64) {
        self.boot += 1;
        self.counts.crashes += 1;
        self.faults = Faults::default();
        let (lost, torn) = self.image.crash(&mut Rng::new(seed));
        self.counts.lost += lost;
        self.counts.torn += torn;
    }

    /// Counts a change down; an error if the power went with it.
    fn change(&mut self) -> io::Result<()> {
        match &mut self.faults.crash_in {
            None => Ok(()),
            Some((changes, _)) if *changes > 0 => {
                *changes -= 1;
                Ok(())
            }
            Some((_, seed)) => {
                let seed = *seed;
                self.crash(seed);
                Err(power_is_off())
            }
        }
    }
}

/// One process's view of a [`SimDisk`].
#[derive(Clone, Debug)]
pub struct SimFs {
    disk: SimDisk,
    boot: u64,
}

/// An open file of a [`SimFs`].
#[derive(Clone, Debug)]
pub struct SimFile {
    fs: SimFs,
    inode: u64,
    path: PathBuf,
}

impl SimFs {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.boot == self.boot {
            Ok(state)
        } else {
            Err(power_is_off())
        }
    }

    /// The state once syncs are not held, or an error when this sync is one that fails.
    fn state_for_sync(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state()?;
        while state.faults.are_syncs_held {
            state = self
                .disk
                .0
                .released
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if state.boot != self.boot {
                return Err(power_is_off());
            }
        }
        if state.faults.failing_syncs > 0 {
            state.faults.failing_syncs -= 1;
            return Err(io::Error::other("simulated failure of a sync"));
        }
        state.change()?;
        Ok(state)
    }

    fn open_inode(&self, path: &Path, inode: u64) -> SimFile {
        SimFile {
            fs: self.clone(),
            inode,
            path: path.to_owned(),
        }
    }

    /// Creates a directory and its parents.
    pub fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state()?.image.create_dir_all(dir);
        Ok(())
    }

    /// Creates an empty file; it fails if the name exists.
    pub fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.state()?;
        if state.image.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let parent = image::parent(path);
        if !state.image.live_dirs.contains(parent) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let id = state.image.new_inode();
        state.image.inodes.insert(id, Inode::default());
        state.image.apply_live(NameOp::Link {
            path: path.to_owned(),
            inode: id,
        });
        drop(state);
        Ok(self.open_inode(path, id))
    }

    /// Opens an existing file.
    pub fn open(&self, path: &Path) -> io::Result<SimFile> {
        let state = self.state()?;
        let inode = *state.image.live.get(path).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.open_inode(path, inode))
    }

    /// Gives a file a new name in one step.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        let inode = *state.image.live.get(from).ok_or(io::ErrorKind::NotFound)?;
        let op = NameOp::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            inode,
        };
        state.image.apply_live(op);
        state.change()
    }

    /// Removes a file's name.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state()?;
        let inode = *state.image.live.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.image.apply_live(NameOp::Unlink {
            path: path.to_owned(),
            inode,
        });
        Ok(())
    }

    /// Whether there is a directory of this name.
    pub fn is_dir(&self, path: &Path) -> io::Result<bool> {
        Ok(self.state()?.image.live_dirs.contains(path))
    }

    /// Removes an empty directory.
    pub fn forget_dir(&self, path: &Path) -> io::Result<()> {
        self.state()?.image.live_dirs.remove(path);
        Ok(())
    }

    /// Bytes by which files may still grow; `None` without a limit.
    pub fn space_left(&self) -> io::Result<Option<u64>> {
        Ok(self.state()?.faults.space_left)
    }

    /// The names in a directory, sorted.
    pub fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state()?;
        if !state.image.live_dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let paths = state.image.live.keys().chain(&state.image.live_dirs);
        let names: BTreeSet<String> = paths
            .filter(|path| path.parent() == Some(dir))
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        Ok(names.into_iter().collect())
    }

    /// Makes the names in a directory durable.
    pub fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state_for_sync()?;
        state.counts.dir_syncs += 1;
        state.image.sync_dir(dir);
        Ok(())
    }
}

impl SimFile {
    /// The name it was opened under.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> io::Result<u64> {
        self.read_with(|live| u64::try_from(live.len()).unwrap_or(u64::MAX))
    }

    /// Calls `read` with the live content.
    pub fn read_with<R>(&self, read: impl FnOnce(&[u8]) -> R) -> io::Result<R> {
        let state = self.fs.state()?;
        let inode = state
            .image
            .inodes
            .get(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(read(&inode.live))
    }

    /// Reads up to `buf.len()` bytes and says how many there were.
    pub fn read_some_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read_with(|live| {
            let start = usize::try_from(position)
                .unwrap_or(usize::MAX)
                .min(live.len());
            let rest = live.get(start..).unwrap_or_default();
            let count = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            count
        })
    }

    /// Writes `bytes`, or as many as there is space for; like a short write, it says how many.
    pub fn write_some_at(&self, position: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.fs.state()?;
        let state = &mut *state;
        let inode = state
            .image
            .inodes
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        let growth = start
            .saturating_add(bytes.len())
            .saturating_sub(inode.live.len());
        let mut count = bytes.len();
        if let Some(left) = &mut state.faults.space_left {
            let allowed = growth.min(usize::try_from(*left).unwrap_or(usize::MAX));
            count -= (growth - allowed).min(count);
            if count == 0 && !bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *left = left.saturating_sub(u64::try_from(allowed).unwrap_or(u64::MAX));
        }
        state.counts.writes += 1;
        let kept = bytes.get(..count).unwrap_or_default().to_vec();
        inode.write(WriteOp::Write { start, bytes: kept });
        state.change()?;
        Ok(count)
    }

    /// Cuts or grows the file.
    pub fn set_size(&self, size: u64) -> io::Result<()> {
        let mut state = self.fs.state()?;
        let inode = state
            .image
            .inodes
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::InvalidInput)?;
        inode.write(WriteOp::SetSize(size));
        state.change()
    }

    /// Makes the content durable.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.fs.state_for_sync()?;
        state.counts.file_syncs += 1;
        let inode = state
            .image
            .inodes
            .get_mut(&self.inode)
            .ok_or(io::ErrorKind::NotFound)?;
        inode.sync();
        Ok(())
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the process that opened this is gone")
}

#[cfg(test)]
mod tests;

//! The two images of a [`SimDisk`](super::SimDisk) and what a power cut makes of them.
//!
//! Inodes and names fail apart: a synced file without a durable name is gone after a power cut, and
//! a durable name can lead to a file whose bytes never arrived.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::rng::Rng;

const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    /// Since the last sync, in order.
    pub(super) pending: Vec<WriteOp>,
}

#[derive(Clone, Debug)]
pub(super) enum WriteOp {
    Write { start: usize, bytes: Vec<u8> },
    SetSize(usize),
}

#[derive(Clone, Debug)]
pub(super) enum NameOp {
    Link {
        path: PathBuf,
        inode: u64,
    },
    Unlink {
        path: PathBuf,
        inode: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
        inode: u64,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) live: BTreeMap<PathBuf, u64>,
    pub(super) durable: BTreeMap<PathBuf, u64>,
    /// Directories are durable when made: losing one is not what these tests are about.
    pub(super) live_dirs: BTreeSet<PathBuf>,
    pending: Vec<NameOp>,
    next_inode: u64,
}

impl Inode {
    pub(super) fn write(&mut self, op: WriteOp) {
        apply_write(&mut self.live, &op);
        self.pending.push(op);
    }

    pub(super) fn sync(&mut self) {
        for op in self.pending.drain(..) {
            apply_write(&mut self.durable, &op);
        }
    }

    /// Returns how many pending writes were lost and torn.
    fn crash(&mut self, rng: &mut Rng) -> (u64, u64) {
        let (mut lost, mut torn) = (0, 0);
        for op in std::mem::take(&mut self.pending) {
            match rng.below(3) {
                0 => lost += 1,
                1 => apply_write(&mut self.durable, &op),
                _ => {
                    torn += 1;
                    for piece in tear(&op, rng) {
                        apply_write(&mut self.durable, &piece);
                    }
                }
            }
        }
        self.live.clone_from(&self.durable);
        (lost, torn)
    }
}

impl Image {
    pub(super) fn new_inode(&mut self) -> u64 {
        self.next_inode += 1;
        self.next_inode
    }

    pub(super) fn create_dir_all(&mut self, dir: &Path) {
        for ancestor in dir.ancestors() {
            self.live_dirs.insert(ancestor.to_owned());
        }
    }

    pub(super) fn apply_live(&mut self, op: NameOp) {
        apply_name(&mut self.live, &op);
        self.pending.push(op);
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let (done, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|op| op.touches(dir));
        self.pending = pending;
        for op in &done {
            apply_name(&mut self.durable, op);
        }
    }

    /// Returns how many pending changes were lost and torn.
    pub(super) fn crash(&mut self, rng: &mut Rng) -> (u64, u64) {
        let (mut lost, mut torn) = (0, 0);
        for op in std::mem::take(&mut self.pending) {
            if rng.chance(50) {
                apply_name(&mut self.durable, &op);
            } else {
                lost += 1;
            }
        }
        self.live.clone_from(&self.durable);
        for inode in self.inodes.values_mut() {
            let (inode_lost, inode_torn) = inode.crash(rng);
            lost += inode_lost;
            torn += inode_torn;
        }
        let named: BTreeSet<u64> = self.live.values().copied().collect();
        self.inodes.retain(|id, _| named.contains(id));
        (lost, torn)
    }
}

impl NameOp {
    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Link { path, .. } | Self::Unlink { path, .. } => parent(path) == dir,
            Self::Rename { from, to, .. } => parent(from) == dir || parent(to) == dir,
        }
    }
}

/// The directory a path is in; the empty path for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

fn apply_name(names: &mut BTreeMap<PathBuf, u64>, op: &NameOp) {
    match op {
        NameOp::Link { path, inode } => {
            names.insert(path.clone(), *inode);
        }
        NameOp::Unlink { path, inode } => remove_name(names, path, *inode),
        NameOp::Rename { from, to, inode } => {
            remove_name(names, from, *inode);
            names.insert(to.clone(), *inode);
        }
    }
}

/// An operation whose predecessor was lost may find another file under its name: that one stays.
fn remove_name(names: &mut BTreeMap<PathBuf, u64>, path: &Path, inode: u64) {
    if names.get(path) == Some(&inode) {
        names.remove(path);
    }
}

fn apply_write(content: &mut Vec<u8>, op: &WriteOp) {
    match op {
        WriteOp::SetSize(size) => content.resize(*size, 0),
        WriteOp::Write { start, bytes } => {
            let end = start + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            if let Some(target) = content.get_mut(*start..end) {
                target.copy_from_slice(bytes);
            }
        }
    }
}

/// The pieces of a write that arrive when the power goes during it.
fn tear(op: &WriteOp, rng: &mut Rng) -> Vec<WriteOp> {
    let WriteOp::Write { start, bytes } = op else {
        return vec![op.clone()];
    };
    if rng.chance(50) {
        let cut = rng.index(bytes.len() + 1);
        let kept = bytes.get(..cut).unwrap_or_default().to_vec();
        return vec![WriteOp::Write {
            start: *start,
            bytes: kept,
        }];
    }
    let mut pieces = Vec::new();
    let mut from = 0;
    while from < bytes.len() {
        let to_boundary = SECTOR - (start + from) % SECTOR;
        let to = (from + to_boundary).min(bytes.len());
        if rng.chance(50) {
            let piece = bytes.get(from..to).unwrap_or_default().to_vec();
            pieces.push(WriteOp::Write {
                start: start + from,
                bytes: piece,
            });
        }
        from = to;
    }
    pieces
}

//! The names of a lossy disk: what the process sees, and what a power cut leaves.
//!
//! A name points to an id and ids are never used again, so a durable name can never reach another file's bytes.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

/// The identity of a file or a directory.
pub(super) type InodeId = u64;

/// All directories by id. Files have no node: an id without one is a file.
#[derive(Debug)]
pub(super) struct Tree {
    directories: BTreeMap<InodeId, Directory>,
    next_id: InodeId,
}

#[derive(Debug, Default)]
struct Directory {
    live: BTreeMap<String, InodeId>,
    durable: BTreeMap<String, InodeId>,
}

impl Tree {
    /// The id of the top directory, which is always there.
    pub(super) const ROOT: InodeId = 0;

    /// The tree after a power cut: `log` is what the directory syncs wrote.
    pub(super) fn replay(log: &str) -> io::Result<Self> {
        let mut tree = Self {
            directories: BTreeMap::new(),
            next_id: 1,
        };
        tree.directories.insert(Self::ROOT, Directory::default());
        // A line without its end was being written when the process died: that sync never returned.
        for line in log
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
        {
            tree.replay_line(line).ok_or(io::ErrorKind::InvalidData)?;
        }
        tree.drop_unreachable();
        Ok(tree)
    }

    fn replay_line(&mut self, line: &str) -> Option<()> {
        let line: Value = serde_json::from_str(line).ok()?;
        let id = line.get("dir")?.as_u64()?;
        let mut entries = BTreeMap::new();
        for (name, child) in line.get("entries")?.as_object()? {
            let child_id = child.get("id")?.as_u64()?;
            if child.get("is_dir")?.as_bool()? {
                self.directories.entry(child_id).or_default();
            }
            self.next_id = self.next_id.max(child_id + 1);
            entries.insert(name.clone(), child_id);
        }
        self.directories.insert(
            id,
            Directory {
                live: entries.clone(),
                durable: entries,
            },
        );
        Some(())
    }

    fn drop_unreachable(&mut self) {
        let mut reached = BTreeMap::new();
        let mut waiting = vec![Self::ROOT];
        while let Some(id) = waiting.pop() {
            if let Some(directory) = self.directories.remove(&id) {
                waiting.extend(directory.durable.values());
                reached.insert(id, directory);
            }
        }
        self.directories = reached;
    }

    /// Keeps `id` from being given to a new file: synced bytes stand under it, though perhaps no durable name does.
    pub(super) fn never_use(&mut self, id: InodeId) {
        self.next_id = self.next_id.max(id + 1);
    }

    pub(super) fn is_directory(&self, id: InodeId) -> bool {
        self.directories.contains_key(&id)
    }

    pub(super) fn durable_entries(&self, id: InodeId) -> impl Iterator<Item = (&str, InodeId)> {
        let entries = self
            .directories
            .get(&id)
            .map(|directory| directory.durable.iter());
        entries
            .into_iter()
            .flatten()
            .map(|(name, id)| (name.as_str(), *id))
    }

    /// The id of the file at `path`, new if there was none.
    pub(super) fn file(&mut self, path: &[&str]) -> io::Result<InodeId> {
        let (name, parent) = path.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(parent)?;
        let next_id = self.next_id;
        let directory = self
            .directories
            .get_mut(&parent)
            .ok_or(io::ErrorKind::NotADirectory)?;
        let id = *directory.live.entry((*name).to_owned()).or_insert(next_id);
        self.next_id = self.next_id.max(id + 1);
        Ok(id)
    }

    /// The id of the directory at `path`; it and its parents are made if there were none.
    pub(super) fn directory(&mut self, path: &[&str]) -> io::Result<InodeId> {
        let mut at = Self::ROOT;
        for name in path {
            let next_id = self.next_id;
            let directory = self
                .directories
                .get_mut(&at)
                .ok_or(io::ErrorKind::NotADirectory)?;
            at = *directory.live.entry((*name).to_owned()).or_insert(next_id);
            if at == next_id {
                self.next_id += 1;
                self.directories.insert(at, Directory::default());
            }
        }
        Ok(at)
    }

    pub(super) fn rename(&mut self, from: &[&str], to: &[&str]) -> io::Result<()> {
        let id = self.take(from)?;
        let (name, parent) = to.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(parent)?;
        let directory = self
            .directories
            .get_mut(&parent)
            .ok_or(io::ErrorKind::NotADirectory)?;
        directory.live.insert((*name).to_owned(), id);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &[&str]) -> io::Result<()> {
        // The node of a removed directory stays: a durable name may still lead to it.
        self.take(path).map(|_| ())
    }

    /// Makes the names in the directory durable; returns the line that says so.
    pub(super) fn sync_directory(&mut self, path: &[&str]) -> io::Result<String> {
        let id = self.find(path)?;
        let directory = self
            .directories
            .get_mut(&id)
            .ok_or(io::ErrorKind::NotADirectory)?;
        directory.durable.clone_from(&directory.live);
        let names = directory.durable.clone();
        let entries: serde_json::Map<String, Value> = names
            .into_iter()
            .map(|(name, id)| (name, json!({ "id": id, "is_dir": self.is_directory(id) })))
            .collect();
        Ok(format!("{}\n", json!({ "dir": id, "entries": entries })))
    }

    fn find(&self, path: &[&str]) -> io::Result<InodeId> {
        let mut at = Self::ROOT;
        for name in path {
            let directory = self
                .directories
                .get(&at)
                .ok_or(io::ErrorKind::NotADirectory)?;
            at = *directory.live.get(*name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn take(&mut self, path: &[&str]) -> io::Result<InodeId> {
        let (name, parent) = path.split_last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(parent)?;
        let directory = self
            .directories
            .get_mut(&parent)
            .ok_or(io::ErrorKind::NotADirectory)?;
        Ok(directory
            .live
            .remove(*name)
            .ok_or(io::ErrorKind::NotFound)?)
    }
}

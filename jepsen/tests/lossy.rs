//! The lossy disk keeps exactly what was synced (S6 is tested on top of it).

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::{Path, PathBuf};

use ottla_jepsen::lossy::LossyDisk;
use ottla_storage::fs::{Fs, OpenMode, read_all, replace, write_all_at};

struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn live(&self, name: &str) -> PathBuf {
        self.dir.path().join("live").join(name)
    }

    /// Opens the disk, which is what a power cut leaves.
    fn power_on(&self) -> LossyDisk {
        LossyDisk::open(&self.live(""), &self.dir.path().join("durable")).unwrap()
    }
}

fn write(disk: &LossyDisk, path: &Path, bytes: &[u8], at: u64, synced: bool) {
    let file = Fs::open(disk, path, OpenMode::Create).unwrap();
    write_all_at(&*file, bytes, at).unwrap();
    if synced {
        file.sync().unwrap();
    }
}

#[test]
fn unsynced_bytes_and_names_are_gone_and_synced_ones_stay() {
    let lab = Lab::new();
    let disk = lab.power_on();
    let (kept, nameless, late) = (lab.live("kept"), lab.live("nameless"), lab.live("late"));
    write(&disk, &kept, b"synced", 0, true);
    Fs::sync_dir(&disk, &lab.live("")).unwrap();
    write(&disk, &kept, b" not", 6, false);
    write(&disk, &nameless, b"synced without its name", 0, true);
    drop(disk);

    let disk = lab.power_on();
    assert_eq!(read_all(&disk, &kept, 100).unwrap(), b"synced");
    assert!(!nameless.exists());
    write(&disk, &late, b"x", 0, false);
    Fs::sync_dir(&disk, &lab.live("")).unwrap();
    drop(disk);
    assert_eq!(read_all(&lab.power_on(), &late, 100).unwrap(), b"");
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one() {
    let lab = Lab::new();
    let path = lab.live("checkpoint");
    let disk = lab.power_on();
    replace(&disk, &path, b"old").unwrap();
    let aside = lab.live("aside");
    write(&disk, &aside, b"new", 0, true);
    Fs::rename(&disk, &aside, &path).unwrap();
    drop(disk);
    let disk = lab.power_on();
    assert_eq!(read_all(&disk, &path, 100).unwrap(), b"old");
    replace(&disk, &path, b"newer").unwrap();
    drop(disk);
    assert_eq!(read_all(&lab.power_on(), &path, 100).unwrap(), b"newer");
}

#[test]
fn a_directory_is_there_once_it_was_made() {
    let lab = Lab::new();
    let inner = lab.live("outer/inner");
    let disk = lab.power_on();
    Fs::create_dir(&disk, &inner).unwrap();
    write(&disk, &inner.join("log"), b"data", 0, true);
    Fs::sync_dir(&disk, &inner).unwrap();
    drop(disk);
    let disk = lab.power_on();
    assert_eq!(read_all(&disk, &inner.join("log"), 100).unwrap(), b"data");
}

#[test]
fn a_directory_is_renamed_or_removed_when_its_parent_is_synced() {
    let lab = Lab::new();
    let (old, new) = (lab.live("t-0"), lab.live("t-0-delete"));
    let disk = lab.power_on();
    Fs::create_dir(&disk, &old).unwrap();
    write(&disk, &old.join("log"), b"data", 0, true);
    Fs::sync_dir(&disk, &old).unwrap();
    Fs::sync_dir(&disk, &lab.live("")).unwrap();
    Fs::rename(&disk, &old, &new).unwrap();
    drop(disk);
    let disk = lab.power_on();
    assert_eq!(read_all(&disk, &old.join("log"), 100).unwrap(), b"data");
    Fs::rename(&disk, &old, &new).unwrap();
    Fs::sync_dir(&disk, &lab.live("")).unwrap();
    drop(disk);
    let disk = lab.power_on();
    assert_eq!(read_all(&disk, &new.join("log"), 100).unwrap(), b"data");
    Fs::remove(&disk, &new).unwrap();
    Fs::sync_dir(&disk, &lab.live("")).unwrap();
    drop(disk);
    lab.power_on();
    assert!(!new.exists() && !old.exists());
}

#[test]
fn a_cut_and_rewritten_tail_never_shows_old_bytes() {
    let lab = Lab::new();
    let path = lab.live("log");
    let disk = lab.power_on();
    write(&disk, &path, b"0123456789", 0, true);
    Fs::sync_dir(&disk, &lab.live("")).unwrap();
    let file = Fs::open(&disk, &path, OpenMode::Existing).unwrap();
    file.set_len(4).unwrap();
    write_all_at(&*file, b"xy", 6).unwrap();
    file.sync().unwrap();
    drop(disk);
    assert_eq!(
        read_all(&lab.power_on(), &path, 100).unwrap(),
        b"0123\0\0xy"
    );
}

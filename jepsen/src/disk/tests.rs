//! What the disk in memory promises, and what it must forget.

use std::path::Path;

use super::*;

fn disk_with(content: &[u8]) -> (SimDisk, SimFile) {
    let disk = SimDisk::new();
    let fs = disk.mount();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let file = fs.create(Path::new("/d/f")).unwrap();
    file.write_some_at(0, content).unwrap();
    file.sync().unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    (disk, file)
}

#[test]
fn synced_bytes_under_a_synced_name_survive_every_crash() {
    for seed in 0..200 {
        let (disk, file) = disk_with(b"hello");
        file.write_some_at(5, b" world").unwrap();
        disk.crash(seed);
        let content = disk.read(Path::new("/d/f")).unwrap();
        assert!(content.starts_with(b"hello"), "seed {seed}");
    }
}

#[test]
fn an_unsynced_write_is_kept_lost_or_torn() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let (disk, file) = disk_with(&[0; 1536]);
        file.write_some_at(0, &[1; 1536]).unwrap();
        disk.crash(seed);
        let content = disk.read(Path::new("/d/f")).unwrap();
        let ones = content.iter().map(|byte| usize::from(*byte)).sum::<usize>();
        seen.insert(match ones {
            0 => "lost",
            1536 => "kept",
            _ if ones % 512 == 0 => "torn at a sector",
            _ => "torn at a byte",
        });
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_name_without_a_directory_sync_may_vanish() {
    let mut found = 0;
    for seed in 0..100 {
        let disk = SimDisk::new();
        let fs = disk.mount();
        fs.create_dir_all(Path::new("/d")).unwrap();
        fs.create(Path::new("/d/f")).unwrap().sync().unwrap();
        disk.crash(seed);
        found += usize::from(disk.read(Path::new("/d/f")).is_some());
    }
    assert!(found > 20 && found < 80, "{found}");
}

#[test]
fn a_rename_is_atomic() {
    for seed in 0..100 {
        let (disk, _) = disk_with(b"old");
        let fs = disk.mount();
        let new = fs.create(Path::new("/d/new")).unwrap();
        new.write_some_at(0, b"new").unwrap();
        new.sync().unwrap();
        fs.rename(Path::new("/d/new"), Path::new("/d/f")).unwrap();
        disk.crash(seed);
        let content = disk.read(Path::new("/d/f")).unwrap();
        assert!(content == b"old" || content == b"new", "seed {seed}");
    }
}

#[test]
fn handles_die_with_their_process() {
    let (disk, file) = disk_with(b"x");
    disk.kill();
    assert!(file.write_some_at(0, b"y").is_err());
    assert!(file.sync().is_err());
    assert_eq!(disk.read(Path::new("/d/f")).unwrap(), b"x");
    assert!(disk.mount().open(Path::new("/d/f")).is_ok());
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (disk, file) = disk_with(b"12345");
    disk.limit_space(Some(2));
    assert_eq!(file.write_some_at(4, b"abcd").unwrap(), 3);
    assert_eq!(
        file.write_some_at(7, b"e").unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    // Overwriting needs no space.
    assert_eq!(file.write_some_at(0, b"ABCDEFG").unwrap(), 7);
    disk.limit_space(None);
    assert_eq!(file.write_some_at(7, b"h").unwrap(), 1);
}

#[test]
fn a_failed_sync_makes_nothing_durable() {
    let (disk, file) = disk_with(b"a");
    file.write_some_at(0, b"b").unwrap();
    disk.fail_next_syncs(1);
    assert!(file.sync().is_err());
    let lost = (0..50).any(|seed| {
        let disk = disk.fork();
        disk.crash(seed);
        disk.read(Path::new("/d/f")).unwrap() == b"a"
    });
    assert!(lost);
}

#[test]
fn held_syncs_wait_for_their_release() {
    let (disk, file) = disk_with(b"a");
    disk.hold_syncs();
    let thread = std::thread::spawn(move || file.sync());
    disk.release_syncs();
    thread.join().unwrap().unwrap();
}

#[test]
fn the_power_can_go_in_the_middle_of_things() {
    for changes in 0..6 {
        let (disk, file) = disk_with(b"a");
        disk.crash_in(changes, changes);
        let done = (0..6_u64)
            .take_while(|_| file.write_some_at(0, b"b").is_ok())
            .count();
        assert_eq!(done as u64, changes);
        assert_eq!(disk.counts().crashes, 1);
        assert!(file.sync().is_err());
    }
}

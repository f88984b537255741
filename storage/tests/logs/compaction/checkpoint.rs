//! How far a log was cleaned is not said of another log, nor of records that came later: a range that counts as clean and is
//! not keeps what its tombstones deleted.

use std::path::Path;
use std::sync::Arc;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::LogId;
use ottla_storage::journal::LogKey;
use ottla_storage::log::PartitionLog;
use uuid::Uuid;

use crate::support::*;

use super::support::*;

/// Records whose older ones a round drops, if it knows that it has not seen them.
fn write(log: &mut PartitionLog, bench: &Bench) {
    for round in 0..40 {
        put(log, &[("a", Some(&format!("value {round}")))]);
    }
    fill(log);
    settle(log, bench);
}

fn restarted(disk: &SimDisk) -> Bench {
    disk.kill();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    bench.recover(&config());
    bench
}

fn delete(bench: &Bench, log: PartitionLog) {
    let done = Box::new(|result: Result<(), _>| result.unwrap());
    let delay = std::time::Duration::ZERO;
    bench.dir.delete(log.key(), Some(log), delay, done);
    bench.dir.run_pending();
}

fn checkpoint(disk: &SimDisk) -> String {
    let text = disk.read(&Path::new(DATA).join("cleaner-offset-checkpoint"));
    String::from_utf8(text.unwrap()).unwrap()
}

/// The file knows logs by name. A topic was deleted and made again, the node restarted, and the new log was taken to be as
/// clean as the old one had been.
#[test]
fn a_log_made_anew_under_a_name_is_not_clean() {
    let (disk, bench, mut log) = open(&config());
    write(&mut log, &bench);
    clean(&mut log, &bench);
    delete(&bench, log);
    assert_eq!(checkpoint(&disk), "0\n0\n");
    let new = LogKey {
        log: LogId::new(Uuid::from_u128(0xdef)),
        partition: 0,
    };
    let mut log = bench.create(new, &config()).unwrap();
    write(&mut log, &bench);
    drop((log, bench));
    let bench = restarted(&disk);
    let mut log = bench.create(new, &config()).unwrap();
    settle(&mut log, &bench);
    clean(&mut log, &bench);
    assert_eq!(offsets_of(&records(&log), "a"), [39]);
}

/// A replica that is moved away and comes back has the key that it had.
#[test]
fn a_log_that_comes_back_is_not_clean() {
    let (_disk, bench, mut log) = open(&config());
    write(&mut log, &bench);
    clean(&mut log, &bench);
    delete(&bench, log);
    let mut log = bench.create(key(0), &config()).unwrap();
    write(&mut log, &bench);
    clean(&mut log, &bench);
    assert_eq!(offsets_of(&records(&log), "a"), [39]);
}

/// A line of a log that the journal does not know, because it was lost or set aside, goes with the start.
#[test]
fn a_line_without_a_log_goes() {
    let (disk, bench, log) = open(&config());
    bench.close(log);
    drop(bench);
    let path = Path::new(DATA).join("cleaner-offset-checkpoint");
    let text = format!("0\n2\n{TOPIC} 0 0\n{TOPIC} 1 30\n");
    disk.plant(&path, text.into_bytes());
    drop(restarted(&disk));
    assert_eq!(checkpoint(&disk), format!("0\n1\n{TOPIC} 0 0\n"));
}

/// The journal knows of a truncation before the file does. A crash in between left an offset above the log end, and once the
/// log had grown past it, it was believed.
#[test]
fn a_crash_in_a_truncation_leaves_nothing_clean_that_is_not() {
    let mut cuts = 0;
    for changes in 0..40 {
        let (disk, bench, mut log) = open(&config());
        write(&mut log, &bench);
        let cleaned_up_to = clean(&mut log, &bench).first_dirty;
        disk.crash_in(changes, changes);
        let _ = log.truncate_to(offset(10), arrival().now);
        bench.dir.run_pending();
        drop((log, bench));
        let bench = restarted(&disk);
        let mut log = bench.create(key(0), &config()).unwrap();
        cuts += u32::from(log.log_end() < cleaned_up_to);
        for _ in 0..5 {
            put(&mut log, &[("a", Some("again"))]);
        }
        let last = log.log_end().get() - 1;
        while log.log_end() <= cleaned_up_to {
            fill(&mut log);
        }
        fill(&mut log);
        settle(&mut log, &bench);
        clean(&mut log, &bench);
        let found = offsets_of(&records(&log), "a");
        assert_eq!(found, [last], "{changes} changes");
    }
    assert!(cuts > 5, "{cuts} of them cut what was clean");
}

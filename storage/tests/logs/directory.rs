//! A directory: who may use it, what it survives, and what takes it offline.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::fs::{Fs, StdFs};
use ottla_storage::journal::LogKey;
use ottla_storage::log::{
    FlushConfig, LeaderAppend, LogConfig, PrepareError, RetentionConfig, WriteError,
};
use ottla_storage::log_dir::{IdentityError, LogDir, LogDirOptions, StartError, StopError, Tuning};
use ottla_storage::producer_state::AppendOrigin;
use ottla_storage::validate::Policy;
use ottla_storage::{DirectoryEvent, DirectoryId, LogEvent, LogEvents, LogId, OpenError};
use uuid::Uuid;

use crate::support::*;

const DATA: &str = "/data";

#[test]
fn a_directory_of_another_node_cluster_or_version_is_refused() {
    let disk = SimDisk::new();
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    let bench = start(Arc::clone(&fs), Path::new(DATA)).unwrap();
    assert_eq!(bench.dir.cluster_id(), None);
    bench.dir.bind_to_cluster("one").unwrap();
    bench.dir.bind_to_cluster("one").unwrap();
    let foreign = bench.dir.bind_to_cluster("two").unwrap_err();
    assert!(matches!(foreign, IdentityError::ForeignCluster { .. }));
    let id = bench.dir.id();
    drop(bench);
    let other = start_with(Arc::clone(&fs), Path::new(DATA), |options| {
        options.node_id = 2;
    })
    .err()
    .unwrap();
    assert!(matches!(
        other,
        StartError::Identity(IdentityError::ForeignNode { found: 1, .. })
    ));
    assert!(other.to_string().contains("--id 1"), "{other}");
    let bench = start(Arc::clone(&fs), Path::new(DATA)).unwrap();
    assert_eq!(
        (bench.dir.id(), bench.dir.cluster_id()),
        (id, Some("one".to_owned()))
    );
    drop(bench);
    let text =
        String::from_utf8(disk.read(&Path::new(DATA).join("meta.properties")).unwrap()).unwrap();
    let newer = text.replace("version=1", "version=2").into_bytes();
    disk.plant(&Path::new(DATA).join("meta.properties"), newer);
    let newer = start(fs, Path::new(DATA)).err().unwrap();
    assert!(
        matches!(
            newer,
            StartError::Identity(IdentityError::Newer { version: 2, .. })
        ),
        "{newer}"
    );
}

#[test]
fn a_second_process_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let first = start(Arc::new(StdFs), root.path()).unwrap();
    let second = start(Arc::new(StdFs), root.path()).err().unwrap();
    assert!(matches!(second, StartError::Locked { .. }), "{second}");
    drop(first);
    start(Arc::new(StdFs), root.path()).unwrap();
}

/// S7: one failed sync, and the directory serves no more, whatever later syncs would say.
#[test]
fn a_failed_sync_takes_the_directory_offline_for_good() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 3);
    disk.fail_next_syncs(1);
    log.request_flush();
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(0));
    assert_eq!(bench.events.of(key(0)), [LogEvent::FlushFailed]);
    assert_eq!(
        *bench.events.directory.lock().unwrap(),
        [DirectoryEvent::Offline]
    );
    let syncs = disk.counts().file_syncs;
    log.request_flush();
    bench.settle();
    assert_eq!(disk.counts().file_syncs, syncs, "never tried again");
    assert_eq!(log.flushed_end(), offset(0));
    let refused = append(&mut log, epoch(1), batch(&["x"], 1_000_000));
    assert!(matches!(refused, Err(PrepareError::Offline(_))));
    assert!(matches!(
        bench.create(key(1), &config),
        Err(OpenError::Offline(_))
    ));
    assert!(matches!(bench.dir.stop(1), Err(StopError::Offline)));
}

#[test]
fn a_full_disk_fails_the_group_and_heals() {
    let disk = SimDisk::new();
    let bench = start_with(Arc::new(disk.mount()), Path::new(DATA), |options| {
        options.tuning.ballast_bytes = 1 << 20;
    })
    .unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    let expected = append_many(&mut log, 3);
    disk.limit_space(Some(100));
    let policy = Policy::default();
    let mut bytes = [
        batch(&["0123456789"], 1_000_000),
        batch(&["0123456789"], 1_000_000),
    ];
    let mut group = log.begin();
    for batch in &mut bytes {
        let append = LeaderAppend {
            batch,
            policy: &policy,
            arrival: arrival(),
            leader_epoch: epoch(1),
            origin: AppendOrigin::Client,
        };
        log.prepare(&mut group, append).unwrap();
    }
    assert!(matches!(log.write(&group), Err(WriteError::DiskFull)));
    drop(group);
    assert_eq!(contents(&log), expected, "no part of the group is there");
    let refused = append(&mut log, epoch(1), batch(&["x"], 1_000_000));
    assert!(matches!(refused, Err(PrepareError::DiskFull)));
    assert!(bench.dir.is_disk_full() && bench.dir.failure().is_none());
    bench.dir.run_pending();
    assert!(
        disk.read(&Path::new(DATA).join(".ballast")).is_none(),
        "the ballast is given up"
    );
    disk.limit_space(None);
    bench.clock.advance(Duration::from_secs(2));
    bench.dir.run_pending();
    assert!(!bench.dir.is_disk_full());
    assert!(disk.read(&Path::new(DATA).join(".ballast")).is_some());
    append_values(&mut log, epoch(1), &["healed"]);
    assert_eq!(contents(&log).len(), 4);
    let events = bench.events.directory.lock().unwrap().clone();
    assert_eq!(
        events,
        [DirectoryEvent::DiskFull, DirectoryEvent::SpaceBack]
    );
}

/// Epochs that found no room ended their log for good, while the directory that lacked room healed.
#[test]
fn a_flush_that_met_a_full_disk_is_done_again() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_many(&mut log, 3);
    disk.limit_space(Some(0));
    bench.clock.advance(Duration::from_secs(61));
    bench.dir.run_pending();
    assert!(bench.dir.is_disk_full());
    assert_eq!(log.flushed_end(), offset(0));
    disk.limit_space(None);
    bench.clock.advance(Duration::from_secs(1));
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(3));
    assert!(!bench.events.of(key(0)).contains(&LogEvent::FlushFailed));
}

/// A scan that found no room ended its log until the next start, while the directory that lacked room healed.
#[test]
fn a_scan_that_met_a_full_disk_is_done_again() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 30);
    drop((log, bench));
    disk.kill();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    assert_eq!(bench.dir.unrecovered(), [key(0)]);
    disk.limit_space(Some(0));
    bench.recover(&config);
    for _ in 0..3 {
        assert!(bench.dir.is_disk_full());
        assert_eq!(bench.dir.unrecovered(), [key(0)]);
        assert!(bench.events.of(key(0)).is_empty());
        bench.clock.advance(Duration::from_secs(1));
        bench.dir.run_pending();
    }
    disk.limit_space(None);
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(1));
        bench.dir.run_pending();
    }
    let recovered = LogEvent::Recovered {
        log_end: offset(30),
    };
    assert_eq!(bench.events.of(key(0)), [recovered]);
    assert!(bench.create(key(0), &config).is_ok());
}

/// A truncation that met a full disk was done again after its log had gone, and took the directory with it, or the files
/// of the next log of that name.
#[test]
fn a_truncation_that_met_a_full_disk_ends_with_its_log() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let mut log = bench.create(key(0), &small_config()).unwrap();
    append_many(&mut log, 60);
    bench.settle();
    // Room for the journal, and for nothing else.
    let takes = |space| {
        disk.limit_space(Some(space));
        log.truncate_to(offset(31), arrival().now).is_ok()
    };
    assert!((0..1000).any(takes));
    bench.dir.run_pending();
    assert!(bench.dir.is_disk_full());
    disk.limit_space(None);
    let done = Box::new(|result: Result<_, _>| result.unwrap());
    bench.dir.delete(key(0), Some(log), Duration::ZERO, done);
    bench.dir.run_pending();
    bench.clock.advance(Duration::from_secs(5));
    bench.dir.run_pending();
    assert!(bench.dir.failure().is_none());
}

/// Cuts of one file came in any order when the log closed, and a longer one made the file longer again: zeros, served as
/// records after the next start.
#[test]
fn a_file_that_was_cut_several_times_ends_at_the_last_cut() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = Arc::new(LogConfig::default());
    let mut log = bench.create(key(0), &config).unwrap();
    let mut expected = append_many(&mut log, 60);
    let range = log.view().read(offset(0), limits(1 << 20)).unwrap();
    for end in [50, 40, 30] {
        log.truncate_to(offset(end), arrival().now).unwrap();
        bench.dir.run_pending();
    }
    expected.truncate(30);
    bench.close(log);
    drop(range);
    let log = bench.create(key(0), &config).unwrap();
    assert_eq!(contents(&log), expected);
    let name = log.view().size_bytes();
    let path = Path::new(DATA).join(format!("{TOPIC}-0/{:020}.log", 0));
    assert_eq!(disk.read(&path).unwrap().len() as u64, name);
}

#[test]
fn a_disk_that_is_full_at_start_is_one_clear_line() {
    let disk = SimDisk::new();
    disk.limit_space(Some(10_000));
    let refused = start_with(Arc::new(disk.mount()), Path::new(DATA), |options| {
        options.tuning.ballast_bytes = 1 << 20;
    });
    let error = refused.err().unwrap();
    assert!(matches!(error, StartError::DiskFull { .. }), "{error}");
}

#[test]
fn flush_settings_decide_when_a_flush_is_asked_for() {
    let bench = start(Arc::new(SimDisk::new().mount()), Path::new(DATA)).unwrap();
    let with = |flush| {
        Arc::new(LogConfig {
            flush,
            ..LogConfig::default()
        })
    };
    let mut log = bench.create(key(0), &with(FlushConfig::default())).unwrap();
    append_many(&mut log, 5);
    bench.dir.run_pending();
    assert_eq!(
        log.flushed_end(),
        offset(0),
        "the default leaves it to the background"
    );
    log.set_config(with(FlushConfig {
        messages: 7,
        ..FlushConfig::default()
    }));
    append_many(&mut log, 1);
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(0));
    append_many(&mut log, 1);
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(7));
    log.set_config(with(FlushConfig {
        on_ack: true,
        ..FlushConfig::default()
    }));
    append_many(&mut log, 1);
    bench.dir.run_pending();
    assert_eq!(
        bench.events.of(key(0)).last(),
        Some(&LogEvent::Flushed { up_to: offset(8) })
    );
    bench.settle();
    log.set_config(with(FlushConfig {
        age: Some(Duration::from_secs(3)),
        ..FlushConfig::default()
    }));
    append_many(&mut log, 1);
    bench.clock.advance(Duration::from_secs(2));
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(8));
    bench.clock.advance(Duration::from_secs(1));
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(9));
    log.set_config(with(FlushConfig {
        dirty_bytes: 1,
        ..FlushConfig::default()
    }));
    append_many(&mut log, 1);
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(10));
    bench.settle();
    log.set_config(with(FlushConfig {
        age: Some(Duration::from_secs(9)),
        dirty_age: Duration::from_secs(3),
        ..FlushConfig::default()
    }));
    append_many(&mut log, 1);
    bench.clock.advance(Duration::from_secs(3));
    bench.dir.run_pending();
    assert_eq!(log.flushed_end(), offset(11));
}

#[test]
fn many_logs_flush_with_one_sync_of_the_journal() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = Arc::new(LogConfig::default());
    let mut logs: Vec<_> = (0..10)
        .map(|i| bench.create(key(i), &config).unwrap())
        .collect();
    for log in &mut logs {
        append_values(log, epoch(1), &["x"]);
        log.request_flush();
    }
    let before = disk.counts().file_syncs;
    bench.dir.run_pending();
    // Of each log the segment and the epochs, and the journal once.
    assert_eq!(disk.counts().file_syncs - before, 21);
    assert!(logs.iter().all(|log| log.flushed_end() == offset(1)));
}

#[test]
fn a_deleted_log_is_gone_at_once_and_its_files_later() {
    let root = tempfile::tempdir().unwrap();
    let bench = start(Arc::new(StdFs), root.path()).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 3);
    bench.dir.delete(
        key(0),
        Some(log),
        Duration::from_mins(1),
        Box::new(|result| result.unwrap()),
    );
    bench.dir.run_pending();
    assert!(bench.dir.log(key(0)).is_none());
    let names = || -> Vec<String> {
        let entries = StdFs
            .list(root.path())
            .unwrap()
            .into_iter()
            .filter(|entry| entry.is_dir);
        entries.map(|entry| entry.name).collect()
    };
    assert!(
        matches!(&names()[..], [name] if name.ends_with("-delete")),
        "{:?}",
        names()
    );
    let log = bench.create(key(0), &config).unwrap();
    assert_eq!(log.log_end(), offset(0), "a topic made anew is empty");
    bench.settle();
    assert_eq!(names(), ["orders-0"]);
    let stray = Arc::new(Mutex::new(false));
    let told = Arc::clone(&stray);
    bench.dir.set_aside(
        key(0),
        Some(log),
        Box::new(move |result| *told.lock().unwrap() = result.is_ok()),
    );
    bench.dir.run_pending();
    assert!(*stray.lock().unwrap() && names()[0].ends_with("-stray"));
}

/// The journal had no room for the removal, and nobody tried again: the log was listed until the next start, which set
/// aside what stood under its name. By then that was the log of a topic made anew.
#[test]
fn a_removal_that_met_a_full_disk_is_done_again_and_takes_only_its_own_log() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let old = bench.create(key(0), &config).unwrap();
    disk.limit_space(Some(0));
    let result = Arc::new(Mutex::new(None));
    let told = Arc::clone(&result);
    let done = Box::new(move |result: Result<_, _>| *told.lock().unwrap() = Some(result.is_ok()));
    bench
        .dir
        .delete(key(0), Some(old), Duration::from_mins(1), done);
    bench.dir.run_pending();
    assert_eq!(*result.lock().unwrap(), None);
    assert!(bench.dir.log(key(0)).is_some());
    disk.limit_space(None);
    let anew = LogKey {
        log: LogId::new(Uuid::from_u128(0xdef)),
        partition: 0,
    };
    let mut log = bench.create(anew, &config).unwrap();
    bench.clock.advance(Duration::from_secs(1));
    bench.dir.run_pending();
    assert_eq!(*result.lock().unwrap(), Some(true));
    append_many(&mut log, 3);
    assert!(bench.dir.log(key(0)).is_none());
    let is_closed = Arc::new(Mutex::new(false));
    let told = Arc::clone(&is_closed);
    let done = Box::new(move |result: Result<_, _>| *told.lock().unwrap() = result.is_ok());
    bench.dir.close(log, done);
    bench.dir.run_pending();
    assert!(*is_closed.lock().unwrap());
    assert!(bench.create(anew, &config).is_ok());
}

#[test]
fn a_log_can_be_open_once_and_a_taken_name_is_refused() {
    let bench = start(Arc::new(SimDisk::new().mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let log = bench.create(key(0), &config).unwrap();
    assert!(matches!(
        bench.create(key(0), &config),
        Err(OpenError::AlreadyOpen)
    ));
    let other = LogId::new(Uuid::from_u128(9));
    let taken = LogKey {
        log: other,
        partition: 0,
    };
    assert!(matches!(
        bench.create(taken, &config),
        Err(OpenError::DirectoryTaken { .. })
    ));
    bench.close(log);
    bench.create(key(0), &config).unwrap();
}

#[test]
fn a_clean_stop_is_believed_once_and_an_unclean_one_is_not_claimed() {
    let disk = SimDisk::new();
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    let config = small_config();
    let bench = start(Arc::clone(&fs), Path::new(DATA)).unwrap();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 5);
    assert!(matches!(
        bench.dir.stop(3),
        Err(StopError::Unclean { count: 1 })
    ));
    let bench = start(Arc::clone(&fs), Path::new(DATA)).unwrap();
    assert_eq!(bench.dir.clean_broker_epoch(), None);
    assert_eq!(bench.dir.unrecovered(), [key(0)]);
    bench.recover(&config);
    assert_eq!(
        bench.events.of(key(0)),
        [LogEvent::Recovered { log_end: offset(5) }]
    );
    let mut log = bench.create(key(0), &config).unwrap();
    log.note_high_watermark(offset(4));
    append_many(&mut log, 1);
    bench.close(log);
    bench.dir.stop(3).unwrap();
    let read =
        |name: &str| String::from_utf8(disk.read(&Path::new(DATA).join(name)).unwrap()).unwrap();
    assert_eq!(read("replication-offset-checkpoint"), "0\n1\norders 0 4\n");
    assert_eq!(
        read("recovery-point-offset-checkpoint"),
        "0\n1\norders 0 6\n"
    );
    disk.crash(5);
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    assert_eq!(bench.dir.clean_broker_epoch(), Some(3));
    assert!(bench.dir.unrecovered().is_empty());
    assert_eq!(bench.dir.log(key(0)).unwrap().high_watermark, offset(4));
}

/// A marker that stays would make the next crash look like a clean stop, and nothing would be scanned.
#[test]
fn gotcha_47_a_clean_stop_is_believed_once() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    bench.dir.stop(3).unwrap();
    disk.crash(5);
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    assert_eq!(bench.dir.clean_broker_epoch(), Some(3));
    drop(bench);
    for seed in 0..10 {
        disk.crash(seed);
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        assert_eq!(bench.dir.clean_broker_epoch(), None, "seed {seed}");
    }
}

/// KAFKA-1647: a log of which nobody says who leads it is not forgotten: its high watermark would be 0 at the start
/// after, and everything in it not committed.
#[test]
fn gotcha_45_a_log_without_a_leader_keeps_its_high_watermark() {
    let disk = SimDisk::new();
    let config = small_config();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    for partition in 0..2 {
        let mut log = bench.create(key(partition), &config).unwrap();
        append_many(&mut log, 5);
        log.note_high_watermark(offset(4));
        bench.close(log);
    }
    bench.dir.stop(3).unwrap();
    for _ in 0..2 {
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        // One is opened and hears of no leader, the other is not even opened.
        let log = bench.create(key(0), &config).unwrap();
        bench.close(log);
        bench.dir.stop(4).unwrap();
        for partition in 0..2 {
            let state = bench.dir.log(key(partition)).unwrap();
            assert_eq!(state.high_watermark, offset(4), "partition {partition}");
        }
        let text = disk.read(&Path::new(DATA).join("replication-offset-checkpoint"));
        let text = String::from_utf8(text.unwrap()).unwrap();
        assert_eq!(text, "0\n2\norders 0 4\norders 1 4\n");
    }
}

/// KAFKA-13403: what a deletion and other file work take away from each other is gone, as it should be; the disk is not
/// broken.
#[test]
fn gotcha_36_a_file_that_a_deletion_took_is_no_failure_of_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let bench = start(Arc::new(StdFs), root.path()).unwrap();
    let retention = RetentionConfig {
        bytes: Some(1000),
        file_delete_delay: Duration::from_secs(5),
        ..RetentionConfig::default()
    };
    let config = Arc::new(LogConfig {
        retention,
        ..(*small_config()).clone()
    });
    let delete = |key, log| {
        let done = Box::new(|_| ());
        bench.dir.delete(key, log, Duration::from_secs(1), done);
        bench.dir.run_pending();
    };
    // Retention has files to remove in a directory that is not there any more when it comes to it.
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 30);
    assert!(log.apply_retention(arrival().now, log.log_end()).segments > 0);
    bench.dir.run_pending();
    delete(key(0), Some(log));
    bench.settle();
    assert!(bench.dir.failure().is_none(), "{:?}", bench.dir.failure());
    // A directory that somebody else removed.
    let log = bench.create(key(1), &config).unwrap();
    bench.close(log);
    StdFs.remove(&root.path().join("orders-1")).unwrap();
    delete(key(1), None);
    assert!(bench.dir.failure().is_none(), "{:?}", bench.dir.failure());
    assert!(bench.dir.log(key(1)).is_none());
}

/// A cold start over many closed logs reads one file.
#[test]
fn a_clean_start_opens_no_log() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    for i in 0..50 {
        let mut log = bench.create(key(i), &config).unwrap();
        append_values(&mut log, epoch(1), &["x"]);
        bench.close(log);
    }
    bench.dir.stop(1).unwrap();
    let before = disk.counts();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    bench.dir.run_pending();
    assert_eq!(bench.dir.log_count(), 50);
    assert_eq!(
        disk.counts().file_syncs,
        before.file_syncs,
        "nothing was written"
    );
}

#[test]
fn a_call_that_does_not_come_back_is_seen_to_age() {
    let disk = SimDisk::new();
    let bench = start_with(Arc::new(disk.mount()), Path::new(DATA), |options| {
        options.tuning.threads = 1;
    })
    .unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let config = small_config();
    bench.dir.create(
        key(0),
        TOPIC,
        config,
        Box::new(move |log| sender.send(log).unwrap()),
    );
    let mut log = receiver.recv().unwrap().unwrap();
    assert_eq!(bench.dir.oldest_call_age(), Duration::ZERO);
    disk.hold_syncs();
    append_values(&mut log, epoch(1), &["x"]);
    log.request_flush();
    let mut age = Duration::ZERO;
    while age < Duration::from_secs(5) {
        bench.clock.advance(Duration::from_secs(1));
        std::thread::yield_now();
        age = bench.dir.oldest_call_age();
    }
    disk.release_syncs();
    while log.flushed_end() != offset(1) {
        std::thread::yield_now();
    }
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    bench
        .dir
        .close(log, Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv().unwrap().unwrap();
    bench.dir.stop(1).unwrap();
}

/// Real files, real threads, real maps: writer and readers at once, rolls and retention in between.
#[test]
fn readers_see_whole_batches_while_the_log_is_written_rolled_and_shortened() {
    let root = tempfile::tempdir().unwrap();
    let bench = start_with(Arc::new(StdFs), root.path(), |options| {
        options.tuning.threads = 1;
        options.tuning.mapped_indexes_max = 2;
    })
    .unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let config = small_config();
    let done = Box::new(move |log| sender.send(log).unwrap());
    bench.dir.create(key(0), TOPIC, config, done);
    let mut log = receiver.recv().unwrap().unwrap();
    let reader = log.reader();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Whatever happens to the writer, the readers end.
        let _ends_readers = SetOnDrop(&is_done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(std::sync::atomic::Ordering::Acquire) {
                    let view = reader.view();
                    let mut at = view.log_start();
                    while at < view.log_end() {
                        let Ok(range) = view.read(at, limits(300)) else {
                            // Retention took the segment since: its file has another name now.
                            assert!(reader.view().log_start() > at);
                            break;
                        };
                        let bytes = range.read_to_vec().unwrap();
                        let mut order = ottla_storage::batch::LogOrder::new(at, None);
                        for batch in ottla_storage::batch::Batches::new(&bytes) {
                            order.check(&batch.unwrap()).unwrap();
                        }
                        at = order.next_offset();
                    }
                }
            });
        }
        for i in 0..500 {
            let bytes = batch(&[&format!("value {i}")], 1_000_000);
            while let Err(error) = append(&mut log, epoch(1), bytes.clone()) {
                assert!(matches!(error, PrepareError::Backlogged), "{error}");
                std::thread::yield_now();
            }
            if i % 100 == 99 {
                log.advance_log_start(log.log_end().saturating_sub(70));
                log.apply_retention(arrival().now, log.log_end());
            }
        }
    });
    assert_eq!(contents(&log).len(), 70);
}

struct SetOnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Release);
    }
}

/// Takes logs away in the middle of a scan, as metadata do that know of another topic by then.
#[derive(Debug, Default)]
struct TakesAway {
    dir: OnceLock<Weak<LogDir>>,
    heard: Mutex<Vec<LogEvent>>,
    failures: Mutex<Vec<DirectoryEvent>>,
}

impl LogEvents for TakesAway {
    fn partition(&self, _: LogKey, event: LogEvent) {
        let mut heard = self.heard.lock().unwrap();
        heard.push(event);
        if heard.len() > 1 {
            return;
        }
        drop(heard);
        let dir = self.dir.get().and_then(Weak::upgrade).unwrap();
        for partition in 0..3 {
            dir.set_aside(key(partition), None, Box::new(|_| ()));
        }
        dir.run_pending();
    }

    fn directory(&self, _: DirectoryId, event: DirectoryEvent) {
        self.failures.lock().unwrap().push(event);
    }
}

/// Gotcha 36: a log that goes while it is looked at is no broken disk.
#[test]
fn a_log_is_scanned_or_taken_away_and_never_both_at_once() {
    let disk = SimDisk::new();
    let config = small_config();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    for partition in 0..3 {
        append_many(&mut bench.create(key(partition), &config).unwrap(), 3);
    }
    drop(bench);
    let (events, clock) = (
        Arc::new(TakesAway::default()),
        Arc::new(TestClock::default()),
    );
    let (for_dir, for_events) = (Arc::clone(&clock), Arc::clone(&events));
    let path = Path::new(DATA).to_owned();
    let mut options = LogDirOptions::new(path, Arc::new(disk.mount()), for_dir, for_events, 1);
    options.tuning = Tuning {
        threads: 0,
        ballast_bytes: 0,
        ..Tuning::default()
    };
    let dir = Arc::new(LogDir::start(options).unwrap());
    events.dir.set(Arc::downgrade(&dir)).unwrap();
    assert_eq!(dir.unrecovered().len(), 3);
    dir.recover(&config).unwrap();
    // The first was being scanned, so it is still there; the others went, and nobody looked for them.
    let heard = events.heard.lock().unwrap().clone();
    assert!(
        matches!(heard[..], [LogEvent::Recovered { .. }]),
        "{heard:?}"
    );
    assert!(dir.failure().is_none() && events.failures.lock().unwrap().is_empty());
    assert_eq!((dir.log_count(), dir.unrecovered().len()), (1, 0));
    clock.advance(Duration::from_secs(1));
    dir.run_pending();
    assert_eq!(dir.log_count(), 0);
}

/// R4: what was never synced may survive a power cut in parts. Taken up without its beginning a log said that the beginning
/// had been deleted, and a replica with a hole joined those that are in sync.
#[test]
fn a_log_that_lost_its_beginning_is_set_aside_unless_the_journal_is_lost_too() {
    let config = small_config();
    for is_journal_lost in [false, true] {
        let disk = SimDisk::new();
        drop(start(Arc::new(disk.mount()), Path::new(DATA)).unwrap());
        let journal = Path::new(DATA).join("partition-journal");
        let empty = disk.read(&journal).unwrap();
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        let mut log = bench.create(key(0), &config).unwrap();
        append_many(&mut log, 60);
        assert!(log.view().active_base() > offset(0), "several segments");
        drop((bench, log));
        disk.kill();
        let fs: Arc<dyn Fs> = Arc::new(disk.mount());
        let dir = Path::new(DATA).join(format!("{TOPIC}-0"));
        let names = fs.list(&dir).unwrap();
        let bases = names
            .iter()
            .filter_map(|entry| entry.name.strip_suffix(".log")?.parse().ok());
        let second: i64 = bases.filter(|base| *base > 0).min().unwrap();
        fs.remove(&dir.join(format!("{:020}.log", 0))).unwrap();
        if is_journal_lost {
            fs.remove(&journal).unwrap();
        } else {
            disk.plant(&journal, empty);
        }
        let bench = start(Arc::clone(&fs), Path::new(DATA)).unwrap();
        bench.recover(&config);
        let log = bench.create(key(0), &config).unwrap();
        if is_journal_lost {
            assert_eq!(log.log_start().get(), second, "as retention left it");
        } else {
            assert_eq!((log.log_start().get(), log.log_end().get()), (0, 0));
            let names = fs.list(Path::new(DATA)).unwrap();
            assert!(names.iter().any(|entry| entry.name.ends_with("-stray")));
        }
    }
}

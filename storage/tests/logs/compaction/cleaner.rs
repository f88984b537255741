//! The cleaner's threads: whose turn it is, and when it is nobody's.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::Clock;
use ottla_storage::compact::{CleanError, CleanerConfig, CleanerCounters, LogCleaner, Waiting};
use ottla_storage::log::{LogConfig, PartitionLog, SegmentConfig};
use ottla_storage::log_dir::LogDir;

use crate::support::*;

use super::support::*;

const BALLAST_BYTES: u64 = 4096;

struct Running {
    dir: Arc<LogDir>,
    counters: Arc<CleanerCounters>,
    cleaner: LogCleaner,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the cleaner's threads run in real time"
)]
fn nap(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

/// Starts the cleaner over a directory, which has no threads of its own.
fn run(bench: Bench) -> Running {
    let config = CleanerConfig {
        threads: 1,
        map_bytes: 1 << 20,
        map_load_percent: 90,
        io_bytes: 512,
        bytes_per_second: None,
        backoff: Duration::from_millis(1),
    };
    let counters = Arc::new(CleanerCounters::default());
    let dir = Arc::new(bench.dir);
    let clock: Arc<dyn Clock> = bench.clock;
    let dirs = vec![Arc::clone(&dir)];
    let cleaner = LogCleaner::start(dirs, clock, config, Arc::clone(&counters)).unwrap();
    Running {
        dir,
        counters,
        cleaner,
    }
}

impl Running {
    /// Does what drivers and the directory's thread do until `is_done`, or for too long.
    fn serve(
        &self,
        logs: &mut [&mut PartitionLog],
        is_done: impl Fn(&CleanerCounters) -> bool,
    ) -> bool {
        for _ in 0..20_000 {
            for log in logs.iter_mut() {
                log.serve_cleaner();
            }
            self.dir.run_pending();
            if is_done(&self.counters) {
                return true;
            }
            nap(1);
        }
        false
    }
}

fn open_with_ballast() -> (SimDisk, Bench) {
    let disk = SimDisk::new();
    let bench = start_with(Arc::new(disk.mount()), Path::new(DATA), |options| {
        options.tuning.ballast_bytes = BALLAST_BYTES;
    });
    (disk, bench.unwrap())
}

/// A log that found no room for its copy was tried again and again, because it was the dirtiest, and no other log had its
/// turn; and a copy took the last room, so that appends met a full disk.
#[test]
fn a_log_without_room_lets_others_have_their_turn() {
    let (disk, bench) = open_with_ballast();
    let large = Arc::new(LogConfig {
        segment: SegmentConfig {
            bytes: 20_000,
            ..config().segment.clone()
        },
        ..LogConfig::clone(&config())
    });
    let mut first = bench.create(key(0), &large).unwrap();
    let mut second = bench.create(key(1), &config()).unwrap();
    for log in [&mut first, &mut second] {
        for round in 0..20 {
            put(log, &[("a", Some(&format!("value {round}")))]);
        }
        fill(log);
        settle(log, &bench);
    }
    // The other one has a clean part, so that this one is the dirtiest.
    clean(&mut second, &bench);
    put(&mut second, &[("a", Some("last"))]);
    let last = second.log_end().get() - 1;
    fill(&mut second);
    settle(&mut second, &bench);
    disk.limit_space(Some(2 * BALLAST_BYTES + 5000));
    let writes = disk.counts().writes;
    let refused = clean_with(&mut first, &bench, &tools(), |_, _, _| {}).unwrap_err();
    assert!(matches!(refused, CleanError::DiskFull), "{refused}");
    assert_eq!(disk.counts().writes, writes, "nothing is begun");

    let running = run(bench);
    let mut logs = [&mut first, &mut second];
    assert!(running.serve(&mut logs, |counters| counters.rounds() > 0));
    assert_eq!(offsets_of(&records(&second), "a"), [last]);
    assert!(!running.dir.is_disk_full());
    running.cleaner.stop();
}

#[test]
fn a_full_disk_is_left_alone() {
    let (disk, bench) = open_with_ballast();
    let mut log = bench.create(key(0), &config()).unwrap();
    for _ in 0..40 {
        put(&mut log, &[("a", Some("value"))]);
    }
    fill(&mut log);
    settle(&mut log, &bench);
    disk.limit_space(Some(0));
    // The journal is to say that the log is dirty.
    assert!(bench.create(key(1), &config()).is_err());
    assert!(bench.dir.is_disk_full());
    let running = run(bench);
    for _ in 0..50 {
        log.serve_cleaner();
        nap(1);
    }
    assert_eq!(running.counters.failed_rounds(), 0);
    running.cleaner.stop();
}

/// A writer that takes copies, and a disk that does not put them in place.
struct Hanging<'a> {
    log: &'a mut PartitionLog,
    bench: &'a Bench,
    pauses: u32,
    goes_offline: bool,
}

impl fmt::Debug for Hanging<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hanging")
    }
}

impl Waiting for Hanging<'_> {
    fn pass(&mut self, time: Duration) -> bool {
        if time.is_zero() {
            return true;
        }
        self.pauses += 1;
        assert!(self.pauses < 20, "the round waits for ever");
        if self.log.serve_cleaner() && self.goes_offline {
            self.bench.dir.give_up(Duration::from_secs(30));
        }
        self.bench.clock.advance(Duration::from_secs(10));
        true
    }
}

/// The cleaner's thread waited for files that a hanging disk never put in place, and no log of any directory was cleaned any
/// more.
#[test]
fn a_disk_that_hangs_does_not_keep_the_cleaner() {
    for goes_offline in [false, true] {
        let (_disk, bench, mut log) = open(&config());
        for round in 0..40 {
            put(&mut log, &[("a", Some(&format!("value {round}")))]);
        }
        fill(&mut log);
        settle(&mut log, &bench);
        let mut hanging = Hanging {
            log: &mut log,
            bench: &bench,
            pauses: 0,
            goes_offline,
        };
        let result = compacted(&bench, key(0)).clean(&tools(), &mut hanging);
        assert!(matches!(result, Err(CleanError::Aborted)), "{result:?}");
        if goes_offline {
            assert!(hanging.pauses <= 2, "{} pauses", hanging.pauses);
        } else {
            // The files come late, and the next round goes on from there.
            bench.dir.run_pending();
            clean(&mut log, &bench);
            assert_eq!(offsets_of(&records(&log), "a"), [39]);
        }
    }
}

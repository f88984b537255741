//! What a crash leaves of a round, at any of its steps and in random histories.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_jepsen::rng::Rng;
use ottla_storage::compact::CleanTools;
use ottla_storage::log::{CompactionConfig, LogConfig, PartitionLog, SegmentConfig};

use crate::support::*;

use super::support::*;

/// S6: a power cut or a kill after every single change of the disk leaves the latest value of each key, and nothing that
/// was not there.
#[test]
fn a_crash_at_any_step_of_a_round_keeps_every_latest_value() {
    // Small segments that become one: their files go in the same step.
    let larger = SegmentConfig {
        bytes: 3000,
        ..config().segment.clone()
    };
    let larger = Arc::new(LogConfig {
        segment: larger,
        ..LogConfig::clone(&config())
    });
    let mut steps = 0;
    for is_kill in [false, true] {
        for seed in 0..6 {
            for changes in 0.. {
                let (disk, bench, mut log) = open(&config());
                for round in 0..30 {
                    let value = format!("value {round}");
                    put(
                        &mut log,
                        &[("a", Some(&value)), ("b", Some(&value)), ("c", Some("x"))],
                    );
                }
                put(&mut log, &[("c", None), ("d", Some("once"))]);
                fill(&mut log);
                fill(&mut log);
                settle(&mut log, &bench);
                let before = records(&log);
                let end = log.log_end();
                log.set_config(larger.clone());
                disk.crash_in(changes, seed * 1000 + changes);
                let result = clean_with(&mut log, &bench, &tools(), |_, _, _| {});
                let is_over = result.is_ok() && bench.dir.failure().is_none();
                if is_kill || is_over {
                    disk.kill();
                }
                drop((log, bench));
                let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
                bench.recover(&config());
                let mut log = bench.create(key(0), &config()).unwrap();
                let after = records(&log);
                let at = format!("{changes} changes, seed {seed}, {:?}", bench.files());
                assert_eq!(log.log_end(), end, "{at}");
                assert_eq!(latest(&after), latest(&before), "{at}");
                assert!(after.iter().all(|found| before.contains(found)), "{at}");
                let odd = |name: &String| {
                    [".swap", ".cleaned", ".tmp", ".deleted"]
                        .iter()
                        .any(|s| name.ends_with(s))
                };
                assert!(!bench.files().iter().any(odd), "{at}");
                // And the next round finishes what this one began.
                fill(&mut log);
                settle(&mut log, &bench);
                clean(&mut log, &bench);
                let cleaned = records(&log);
                assert_eq!(offsets_of(&cleaned, "a").len(), 1, "{at}");
                steps += 1;
                if is_over {
                    assert!(changes > 15, "a round changes the disk more often");
                    break;
                }
            }
        }
    }
    assert!(steps > 150, "{steps} steps");
}

/// What a compacted log must hold: the keys' last records below its end, of every record that was ever appended.
#[derive(Debug, Default)]
struct Model {
    appended: Vec<Found>,
    flushed: i64,
}

impl Model {
    fn check(&mut self, log: &PartitionLog, at: &str) {
        let end = log.log_end().get();
        assert!(
            end >= self.flushed,
            "{at}: ends at {end}, flushed {}",
            self.flushed
        );
        self.appended.retain(|found| found.offset < end);
        let found = records(log);
        assert_eq!(latest(&found), latest(&self.appended), "{at}");
        let is_known = |found: &Found| self.appended.contains(found);
        assert!(found.iter().all(is_known), "{at}");
        self.flushed = self.flushed.max(log.flushed_end().get());
    }
}

/// One life of a process: appends, rounds, closing, and an end without notice.
fn live(disk: &SimDisk, model: &mut Model, rng: &mut Rng, at: &str) {
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = Arc::new(LogConfig {
        compaction: CompactionConfig {
            delete_retention: Duration::from_secs(rng.below(200)),
            ..config().compaction.clone()
        },
        ..LogConfig::clone(&config())
    });
    bench.recover(&config);
    let mut log = bench.create(key(0), &config).unwrap();
    model.check(&log, at);
    for _ in 0..30 + rng.below(60) {
        match rng.below(10) {
            0..6 => {
                let count = 1 + rng.below(4);
                let base = log.log_end().get();
                let new: Vec<_> = (base..)
                    .take(usize::try_from(count).unwrap())
                    .map(|offset| Found {
                        offset,
                        key: Some(format!("key {}", rng.below(12))),
                        value: rng.chance(80).then(|| format!("value {offset}")),
                    })
                    .collect();
                let of: Vec<Keyed<'_>> = new
                    .iter()
                    .map(|found| (found.key.as_deref().unwrap(), found.value.as_deref()))
                    .collect();
                put(&mut log, &of);
                model.appended.extend(new);
            }
            6 => settle(&mut log, &bench),
            7 => bench.clock.advance(Duration::from_secs(rng.below(100))),
            8 if rng.chance(30) => {
                bench.close(log);
                log = bench.create(key(0), &config).unwrap();
            }
            _ => {
                let tools = CleanTools {
                    map_bytes: 24 * (6 + rng.below(40)),
                    ..tools()
                };
                let cut = rng.chance(20).then(|| rng.below(40));
                if let Some(changes) = cut {
                    disk.crash_in(changes, rng.next_u64());
                }
                let _ = clean_with(&mut log, &bench, &tools, |_, _, _| {});
                if bench.dir.failure().is_some() {
                    return;
                }
                disk.call_off_crash();
            }
        }
        if bench.dir.failure().is_none() {
            model.check(&log, at);
        }
    }
}

/// S6 and 2 of the properties: whatever is done and whenever the power goes, the latest value of each key is there.
#[test]
fn random_histories_keep_every_latest_value() {
    let seeds = std::env::var("OTTLA_SEEDS").ok();
    let seeds = seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(150);
    for seed in 0..seeds {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::new();
        let mut model = Model::default();
        for life in 0..5 {
            live(
                &disk,
                &mut model,
                &mut rng,
                &format!("seed {seed}, life {life}"),
            );
            disk.crash(rng.next_u64());
        }
    }
}

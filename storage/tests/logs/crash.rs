//! Random histories on a disk that forgets: whatever is done and whenever the power goes, the log opens as a prefix
//! of what was appended that contains all that was announced as flushed (S6, S1), and knows its epochs (R6).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_jepsen::rng::Rng;
use ottla_storage::Offset;
use ottla_storage::log::{FlushConfig, LogConfig, PartitionLog, RetentionConfig, SegmentConfig};

use crate::support::*;

/// What the log may hold after a crash: one of these, cut anywhere at or above the flushed end.
struct Model {
    /// The newest history is the last one; older ones end in truncations that no flush has covered.
    histories: Vec<Vec<(i64, String)>>,
    flushed: i64,
    log_start: i64,
    /// Where the last truncation ended.
    last_cut: i64,
    appended: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            histories: vec![Vec::new()],
            flushed: 0,
            log_start: 0,
            last_cut: -1,
            appended: 0,
        }
    }

    fn current(&mut self) -> &mut Vec<(i64, String)> {
        self.histories.last_mut().unwrap()
    }

    fn next_value(&mut self) -> String {
        self.appended += 1;
        format!("value {}", self.appended)
    }

    /// A flush of something that was appended after a truncation makes the truncation durable, and so does a
    /// journal that calls the log clean.
    fn note_flush(&mut self, log: &PartitionLog, is_clean: bool) {
        self.flushed = log.flushed_end().get();
        let is_all_flushed = self.flushed == log.log_end().get() && self.flushed > self.last_cut;
        if is_all_flushed || is_clean {
            let start = log.log_start().get();
            let visible = |history: &[(i64, String)]| -> Vec<(i64, String)> {
                history
                    .iter()
                    .filter(|(offset, _)| *offset >= start)
                    .cloned()
                    .collect()
            };
            let newest = visible(self.current());
            self.histories.retain(|history| visible(history) == newest);
        }
    }

    /// Checks what a crash left, and goes on from it.
    fn accept(&mut self, found: &[(i64, String)], log: &PartitionLog, seed: u64) {
        let (start, end) = (log.log_start().get(), log.log_end().get());
        assert!(
            end >= self.flushed,
            "seed {seed}: ends at {end}, flushed {}",
            self.flushed
        );
        assert!(start <= self.log_start, "seed {seed}: starts at {start}");
        let is_prefix = |history: &Vec<(i64, String)>| {
            let mut wanted = history
                .iter()
                .filter(|(offset, _)| *offset >= start && *offset < end);
            let is_same = found.iter().all(|record| wanted.next() == Some(record));
            is_same && wanted.next().is_none()
        };
        // Below the log start nothing is lost for good: a crash may take the start back, and then it shows which of
        // the histories it was.
        let newest = self
            .histories
            .last()
            .and_then(|history| history.last())
            .cloned();
        self.histories.retain(is_prefix);
        assert!(
            !self.histories.is_empty(),
            "seed {seed}: {start}..{end} is no prefix: {:?} of {newest:?}",
            found.last(),
        );
        for history in &mut self.histories {
            history.retain(|(offset, _)| *offset < end);
        }
        self.flushed = end;
        self.log_start = start;
        self.last_cut = -1;
    }
}

fn config(rng: &mut Rng) -> Arc<LogConfig> {
    Arc::new(LogConfig {
        segment: SegmentConfig {
            bytes: 400 + u32::try_from(rng.below(1500)).unwrap(),
            index_interval_bytes: 200,
            ..SegmentConfig::default()
        },
        retention: RetentionConfig {
            bytes: Some(3000),
            file_delete_delay: Duration::from_secs(5),
            ..RetentionConfig::default()
        },
        flush: FlushConfig {
            on_ack: rng.chance(20),
            ..FlushConfig::default()
        },
        ..LogConfig::default()
    })
}

/// R6: the log knows of each batch's epoch, and where that ends.
fn check_epochs(log: &PartitionLog, seed: u64) {
    let (view, batches) = (log.view(), batch_epochs(log));
    for (at, (base, epoch)) in batches.iter().enumerate() {
        let first = (*base).max(view.log_start());
        assert_eq!(view.epoch_at(first), Some(*epoch), "seed {seed}, at {base}");
        let next = batches[at..].iter().find(|(_, later)| later > epoch);
        let end = next.map_or_else(|| view.log_end(), |(base, _)| *base);
        let found = view.end_offset_for(*epoch).map(|found| found.end);
        assert_eq!(found, Some(end), "seed {seed}, of {epoch}");
    }
}

fn append_some(log: &mut PartitionLog, model: &mut Model, leader: u16, rng: &mut Rng) {
    let count = 1 + rng.below(4);
    let values: Vec<String> = (0..count).map(|_| model.next_value()).collect();
    let refs: Vec<&str> = values.iter().map(String::as_str).collect();
    let base = log.log_end().get();
    if append(log, epoch(leader), batch(&refs, 1_000_000)).is_err() {
        return;
    }
    let records: Vec<_> = (base..).zip(values).collect();
    for history in &mut model.histories {
        if history.last().map_or(base, |(offset, _)| offset + 1) == base {
            history.extend_from_slice(&records);
        }
    }
}

fn truncate(log: &mut PartitionLog, model: &mut Model, rng: &mut Rng, bench: &Bench) {
    let (start, end) = (log.log_start().get(), log.log_end().get());
    let back = i64::try_from(rng.below(20)).unwrap();
    let target = Offset::from_wire((end - back).max(start)).unwrap();
    let Ok(end) = log.truncate_to(target, arrival().now) else {
        return;
    };
    let mut history = model.histories.last().unwrap().clone();
    history.retain(|(offset, _)| *offset < end.get());
    model.histories.push(history);
    model.last_cut = end.get();
    if rng.chance(70) {
        bench.dir.run_pending();
        assert!(log.is_ready());
    }
}

/// One life of the process: opens, does things, and ends without notice.
fn live(disk: &SimDisk, model: &mut Model, rng: &mut Rng, seed: u64, leader: u16) {
    let bench = start(Arc::new(disk.mount()), Path::new("/data")).unwrap();
    let config = config(rng);
    bench.recover(&config);
    let mut log = bench
        .create(key(0), &config)
        .unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    let found = contents(&log);
    model.accept(&found, &log, seed);
    check_epochs(&log, seed);
    if rng.chance(50) {
        log.assign_epoch(epoch(leader));
    }
    for _ in 0..rng.below(60) {
        match rng.below(12) {
            0..6 => append_some(&mut log, model, leader, rng),
            6 => {
                log.request_flush();
                bench.dir.run_pending();
            }
            7 => bench.settle(),
            8 => truncate(&mut log, model, rng, &bench),
            9 => {
                let to = log.log_start().saturating_add(rng.below(8));
                log.advance_log_start(to);
                log.apply_retention(arrival().now, log.log_end());
                model.log_start = log.log_start().get();
            }
            10 if log.is_ready() => {
                bench.close(log);
                assert!(!bench.dir.log(key(0)).unwrap().is_dirty);
                log = bench.create(key(0), &config).unwrap();
            }
            _ => bench.dir.run_pending(),
        }
        let is_clean = !bench.dir.log(key(0)).unwrap().is_dirty;
        model.note_flush(&log, is_clean);
        assert!(log.flushed_end() <= log.log_end(), "S1, seed {seed}");
        if log.is_ready() {
            let start = log.log_start().get();
            let wanted: Vec<_> = model
                .current()
                .iter()
                .filter(|(offset, _)| *offset >= start)
                .cloned()
                .collect();
            assert_eq!(contents(&log), wanted, "seed {seed}");
            check_epochs(&log, seed);
        }
    }
}

fn history(seed: u64) {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new();
    let mut model = Model::new();
    for life in 0..6 {
        live(&disk, &mut model, &mut rng, seed, life);
        if rng.chance(80) {
            disk.crash(rng.next_u64());
        } else {
            // The process dies, the page cache stays: nothing at all may be missing.
            disk.kill();
            if let [only] = model.histories.as_slice() {
                let end = only
                    .last()
                    .map_or(model.log_start, |(offset, _)| offset + 1);
                model.flushed = model.flushed.max(end);
            }
        }
    }
}

#[test]
fn a_crash_leaves_a_prefix_that_holds_all_that_was_flushed() {
    let seeds = std::env::var("OTTLA_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(300);
    for seed in 0..seeds {
        history(seed);
    }
}

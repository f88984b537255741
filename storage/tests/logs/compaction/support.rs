//! What the tests of the cleaner share: keyed records, a round that is served as it waits, and what a reader finds.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::batch::{BatchBuilder, BatchHeader, BatchView, Batches, NewRecord};
use ottla_storage::compact::{
    CleanError, CleanReport, CleanTools, CleanerCounters, CompactedLog, Waiting,
};
use ottla_storage::journal::LogKey;
use ottla_storage::log::{CompactionConfig, LogConfig, PartitionLog};
use ottla_storage::time::WallMillis;

use crate::support::*;

pub(super) const DATA: &str = "/data";
pub(super) const DELETE_RETENTION: Duration = Duration::from_secs(100);

pub(super) fn config() -> Arc<LogConfig> {
    let compaction = CompactionConfig {
        is_enabled: true,
        dirty_ppm_min: 0,
        delete_retention: DELETE_RETENTION,
        ..CompactionConfig::default()
    };
    Arc::new(LogConfig {
        compaction,
        ..LogConfig::clone(&small_config())
    })
}

pub(super) type Keyed<'a> = (&'a str, Option<&'a str>);

/// A batch of keyed records as a producer sends it.
pub(super) fn keyed(builder: BatchBuilder, records: &[Keyed<'_>], timestamp: i64) -> Vec<u8> {
    let mut builder = builder;
    for (at, (key, value)) in (0..).zip(records) {
        let record = NewRecord {
            timestamp: WallMillis::from_millis(timestamp + at),
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            headers: &[(b"h", Some(b"x"))],
        };
        builder.append(&record).unwrap();
    }
    builder.build().unwrap()
}

pub(super) fn put(log: &mut PartitionLog, records: &[Keyed<'_>]) {
    append(
        log,
        epoch(1),
        keyed(BatchBuilder::new(), records, 1_000_000),
    )
    .unwrap();
}

/// Writes records until the log has rolled, so that all that was put before is sealed.
pub(super) fn fill(log: &mut PartitionLog) {
    let base = log.view().active_base();
    while log.view().active_base() == base {
        put(
            log,
            &[("filler", Some("0123456789012345678901234567890123456789"))],
        );
    }
}

/// Everything is committed, flushed, and the journal has heard of it.
pub(super) fn settle(log: &mut PartitionLog, bench: &Bench) {
    log.note_high_watermark(log.log_end());
    log.request_flush();
    bench.dir.run_pending();
    bench.settle();
}

pub(super) fn tools() -> CleanTools {
    CleanTools {
        map_bytes: 1 << 20,
        map_load_percent: 90,
        io_bytes: 512,
        bytes_per_second: None,
        hash_key: [7; 16],
        counters: Arc::new(CleanerCounters::default()),
    }
}

pub(super) type Before<'a> = dyn FnMut(&mut PartitionLog, &Bench, u32) + 'a;

/// Does what a partition's driver and its directory's thread do, whenever the round waits for them.
pub(super) struct Serving<'a> {
    pub(super) log: &'a mut PartitionLog,
    pub(super) bench: &'a Bench,
    /// Called before the writer is served, with how often that was.
    pub(super) before: Box<Before<'a>>,
    pub(super) count: u32,
}

impl fmt::Debug for Serving<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Serving")
    }
}

impl Waiting for Serving<'_> {
    fn pass(&mut self, time: Duration) -> bool {
        if time.is_zero() {
            return true;
        }
        self.count += 1;
        (self.before)(self.log, self.bench, self.count);
        self.log.serve_cleaner();
        self.bench.dir.run_pending();
        self.count < 1000 && self.bench.dir.failure().is_none()
    }
}

pub(super) fn compacted(bench: &Bench, key: LogKey) -> CompactedLog {
    let mut logs = bench.dir.compacted().into_iter();
    logs.find(|log| log.key() == key).unwrap()
}

pub(super) fn clean_with<'a>(
    log: &'a mut PartitionLog,
    bench: &'a Bench,
    tools: &CleanTools,
    before: impl FnMut(&mut PartitionLog, &Bench, u32) + 'a,
) -> Result<CleanReport, CleanError> {
    let compacted = compacted(bench, log.key());
    let mut serving = Serving {
        log,
        bench,
        before: Box::new(before),
        count: 0,
    };
    compacted.clean(tools, &mut serving)
}

pub(super) fn clean(log: &mut PartitionLog, bench: &Bench) -> CleanReport {
    clean_with(log, bench, &tools(), |_, _, _| {}).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) offset: i64,
    pub(super) key: Option<String>,
    pub(super) value: Option<String>,
}

/// Every batch of the log, read as a consumer reads.
pub(super) fn batches(log: &PartitionLog) -> Vec<(BatchHeader, Vec<u8>)> {
    let view = log.view();
    let mut found = Vec::new();
    let mut at = view.log_start();
    while at < view.log_end() {
        let range = view.read(at, limits(1 << 20)).unwrap();
        assert!(!range.is_empty(), "nothing at {at} of {}", view.log_end());
        let bytes = range.read_to_vec().unwrap();
        for batch in Batches::new(&bytes) {
            let batch = batch.unwrap();
            assert!(batch.is_crc_valid());
            let header = *batch.header();
            assert!(header.next_offset() > at, "S2");
            at = header.next_offset();
            found.push((header, batch.bytes().to_vec()));
        }
    }
    found
}

pub(super) fn records(log: &PartitionLog) -> Vec<Found> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut found = Vec::new();
    for (header, bytes) in batches(log) {
        if header.attributes().is_control() {
            continue;
        }
        let batch = BatchView::parse(&bytes).unwrap();
        for record in &batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            found.push(Found {
                offset: record.offset.get(),
                key: record.key.map(text),
                value: record.value.map(text),
            });
        }
    }
    found
}

/// The last value of each key; keys whose last record is a tombstone are not there.
pub(super) fn latest(records: &[Found]) -> BTreeMap<String, (i64, String)> {
    let mut latest = BTreeMap::new();
    for Found { offset, key, value } in records {
        let Some(key) = key.clone() else { continue };
        match value {
            Some(value) => drop(latest.insert(key, (*offset, value.clone()))),
            None => drop(latest.remove(&key)),
        }
    }
    latest
}

pub(super) fn offsets_of(records: &[Found], key: &str) -> Vec<i64> {
    let of = |found: &&Found| found.key.as_deref() == Some(key);
    records
        .iter()
        .filter(of)
        .map(|found| found.offset)
        .collect()
}

pub(super) fn open(config: &Arc<LogConfig>) -> (SimDisk, Bench, PartitionLog) {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let log = bench.create(key(0), config).unwrap();
    (disk, bench, log)
}

pub(super) fn file(name: &str) -> PathBuf {
    Path::new(DATA).join(format!("{TOPIC}-0")).join(name)
}

pub(super) fn segment_bases(bench: &Bench) -> Vec<String> {
    let files = bench.files().into_iter();
    files.filter(|name| name.ends_with(".log")).collect()
}

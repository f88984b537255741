//! What the tests of logs share: a clock that stands still, events that are kept, batches, and a directory that runs
//! only when it is told to.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_storage::batch::{BatchBuilder, BatchView, Batches, NewRecord, ProducerStamp};
use ottla_storage::fs::Fs;
use ottla_storage::journal::LogKey;
use ottla_storage::log::{
    Committed, LeaderAppend, LogConfig, PartitionLog, PrepareError, Prepared, SegmentConfig,
};
use ottla_storage::log_dir::{LogDir, LogDirOptions, StartError, Tuning};
use ottla_storage::producer_state::AppendOrigin;
use ottla_storage::time::{MonoMillis, WallMillis};
use ottla_storage::validate::{Arrival, Policy};
use ottla_storage::{
    Clock, DirectoryEvent, DirectoryId, LeaderEpoch, LogEvent, LogEvents, LogId, Offset, OpenError,
    ProducerEpoch, ProducerId, ReadLimits, Sequence,
};
use uuid::Uuid;

pub const TOPIC: &str = "orders";

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
pub struct TestClock(Mutex<u64>);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += u64::try_from(by.as_millis()).unwrap();
    }

    pub fn millis(&self) -> u64 {
        *self.0.lock().unwrap()
    }
}

impl Clock for TestClock {
    fn mono(&self) -> MonoMillis {
        MonoMillis::from_millis(self.millis())
    }

    fn wall(&self) -> WallMillis {
        WallMillis::from_millis(1_000_000 + i64::try_from(self.millis()).unwrap())
    }
}

/// Keeps every event.
#[derive(Debug, Default)]
pub struct Events {
    pub partition: Mutex<Vec<(LogKey, LogEvent)>>,
    pub directory: Mutex<Vec<DirectoryEvent>>,
}

impl LogEvents for Events {
    fn partition(&self, key: LogKey, event: LogEvent) {
        self.partition.lock().unwrap().push((key, event));
    }

    fn directory(&self, _directory: DirectoryId, event: DirectoryEvent) {
        self.directory.lock().unwrap().push(event);
    }
}

impl Events {
    pub fn of(&self, key: LogKey) -> Vec<LogEvent> {
        let events = self.partition.lock().unwrap();
        events
            .iter()
            .filter(|(of, _)| *of == key)
            .map(|(_, event)| *event)
            .collect()
    }
}

/// A directory without threads, and what it runs on.
pub struct Bench {
    pub dir: LogDir,
    pub clock: Arc<TestClock>,
    pub events: Arc<Events>,
    pub fs: Arc<dyn Fs>,
}

pub fn key(partition: u32) -> LogKey {
    LogKey {
        log: LogId::new(Uuid::from_u128(0xabc)),
        partition,
    }
}

pub fn start(fs: Arc<dyn Fs>, path: &Path) -> Result<Bench, StartError> {
    start_with(fs, path, |_| {})
}

pub fn start_with(
    fs: Arc<dyn Fs>,
    path: &Path,
    change: impl FnOnce(&mut LogDirOptions),
) -> Result<Bench, StartError> {
    let clock = Arc::new(TestClock::default());
    let events = Arc::new(Events::default());
    let (for_dir, for_events) = (Arc::clone(&clock), Arc::clone(&events));
    let mut options = LogDirOptions::new(path.to_owned(), Arc::clone(&fs), for_dir, for_events, 1);
    options.new_id = DirectoryId::new(Uuid::from_u128(77));
    options.tuning = Tuning {
        threads: 0,
        ballast_bytes: 0,
        ..Tuning::default()
    };
    change(&mut options);
    Ok(Bench {
        dir: LogDir::start(options)?,
        clock,
        events,
        fs,
    })
}

impl Bench {
    /// Scans what must be scanned.
    pub fn recover(&self, config: &Arc<LogConfig>) {
        self.dir.recover(config).unwrap();
    }

    pub fn create(&self, key: LogKey, config: &Arc<LogConfig>) -> Result<PartitionLog, OpenError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.dir.create(key, TOPIC, Arc::clone(config), done);
        self.dir.run_pending();
        receiver.recv().unwrap()
    }

    /// The files of log 0.
    pub fn files(&self) -> Vec<String> {
        let dir = self.dir.path().join(format!("{TOPIC}-0"));
        self.fs
            .list(&dir)
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect()
    }

    pub fn close(&self, log: PartitionLog) {
        self.dir.close(log, Box::new(|result| result.unwrap()));
        self.dir.run_pending();
    }

    /// Lets a minute pass, so that dirty logs are flushed and quiet ones marked clean.
    pub fn settle(&self) {
        self.clock.advance(Duration::from_secs(61));
        self.dir.run_pending();
    }
}

/// Small segments and a dense index.
pub fn small_config() -> Arc<LogConfig> {
    let segment = SegmentConfig {
        bytes: 1000,
        index_interval_bytes: 150,
        ..SegmentConfig::default()
    };
    Arc::new(LogConfig {
        segment,
        ..LogConfig::default()
    })
}

pub fn offset(raw: u32) -> Offset {
    Offset::from(raw)
}

pub fn epoch(raw: u16) -> LeaderEpoch {
    LeaderEpoch::from(raw)
}

/// A batch as a producer sends it.
pub fn batch(values: &[&str], timestamp: i64) -> Vec<u8> {
    fill(BatchBuilder::new(), values, timestamp)
}

/// A batch of an idempotent producer.
pub fn producer_batch(id: i64, sequence: i32, values: &[&str], timestamp: i64) -> Vec<u8> {
    let stamp = ProducerStamp {
        id: ProducerId::from_wire(id).unwrap(),
        epoch: ProducerEpoch::ZERO,
        base_sequence: Sequence::from_wire(sequence),
    };
    fill(BatchBuilder::new().producer(stamp), values, timestamp)
}

/// A batch as a leader sends it to its followers.
pub fn placed_batch(base: Offset, epoch: LeaderEpoch, values: &[&str]) -> Vec<u8> {
    fill(
        BatchBuilder::new().base_offset(base).leader_epoch(epoch),
        values,
        1_000_000,
    )
}

fn fill(mut builder: BatchBuilder, values: &[&str], timestamp: i64) -> Vec<u8> {
    for value in values {
        let record = NewRecord {
            timestamp: WallMillis::from_millis(timestamp),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        builder.append(&record).unwrap();
    }
    builder.build().unwrap()
}

pub fn arrival() -> Arrival {
    Arrival {
        now: WallMillis::from_millis(1_000_000),
        accepts_zstd: true,
    }
}

/// Prepares, writes and commits one batch.
pub fn append(
    log: &mut PartitionLog,
    leader: LeaderEpoch,
    mut bytes: Vec<u8>,
) -> Result<(Prepared, Committed), PrepareError> {
    let policy = Policy::default();
    let mut group = log.begin();
    let request = LeaderAppend {
        batch: &mut bytes,
        policy: &policy,
        arrival: arrival(),
        leader_epoch: leader,
        origin: AppendOrigin::Client,
    };
    let prepared = log.prepare(&mut group, request)?;
    log.write(&group).unwrap();
    Ok((prepared, log.commit(group)))
}

pub fn append_values(log: &mut PartitionLog, leader: LeaderEpoch, values: &[&str]) {
    append(log, leader, batch(values, 1_000_000)).unwrap();
}

pub fn limits(bytes_max: u64) -> ReadLimits {
    ReadLimits {
        bytes_max,
        upper_bound: Offset::MAX,
        is_one_batch_due: true,
    }
}

/// Appends numbered records, one a batch.
pub fn append_many(log: &mut PartitionLog, count: u32) -> Vec<(i64, String)> {
    let first = log.log_end().get();
    let values: Vec<_> = (0..count).map(|i| format!("value {i}")).collect();
    for value in &values {
        append_values(log, epoch(1), &[value]);
    }
    (first..).zip(values).collect()
}

/// Every (offset, value) of the log, read as a consumer reads.
pub fn contents(log: &PartitionLog) -> Vec<(i64, String)> {
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
            at = batch.header().next_offset();
            found.extend(values(&batch, view.log_start()));
        }
    }
    found
}

/// The base offset and leader epoch of every batch.
pub fn batch_epochs(log: &PartitionLog) -> Vec<(Offset, LeaderEpoch)> {
    let view = log.view();
    let mut found = Vec::new();
    let mut at = view.log_start();
    while at < view.log_end() {
        let range = view.read(at, limits(1 << 20)).unwrap();
        let bytes = range.read_to_vec().unwrap();
        for batch in Batches::new(&bytes) {
            let header = *batch.unwrap().header();
            at = header.next_offset();
            found.push((header.base_offset(), header.leader_epoch().unwrap()));
        }
    }
    found
}

fn values(batch: &BatchView<'_>, from: Offset) -> Vec<(i64, String)> {
    let set = batch.records(1 << 20).unwrap();
    set.iter()
        .map(Result::unwrap)
        .filter(|record| record.offset >= from)
        .map(|record| {
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            (record.offset.get(), value)
        })
        .collect()
}

//! One replica over a real log on a simulated disk: what its askers hear, and what its readers see.
//!
//! The directory has no threads of its own: its I/O happens when the test says so.

use std::path::PathBuf;
use std::sync::Mutex;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use ottla_jepsen::disk::SimDisk;
use ottla_storage::batch::{BatchBuilder, BatchView, NewRecord};
use ottla_storage::log_dir::{LogDir, LogDirOptions, Tuning};
use ottla_storage::{LeaderEpoch, ReadLimits};

use super::replicas::Outbound;
use super::request::{
    Acks, AskedBy, Asker, Batch, DeleteRecords, Done, Holding, Produce, Request, RequestError,
    Writer,
};
use super::view::{Change, Led};
use super::*;
use crate::clock;
use crate::config::{Layers, NodeConfig, Sources, TopicConfig};
use crate::metadata::{PartitionEpoch, PartitionImage, RecoveryState};

mod directories;

/// What an asker heard, in words.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Option<String>>>);

impl Heard {
    fn of(&self, part: usize) -> Option<String> {
        self.0.lock().unwrap().get(part).cloned().flatten()
    }
}

impl Asker for Heard {
    fn decided(&self, part: usize, outcome: Result<Done, RequestError>) {
        let text = match outcome {
            Ok(done) => format!("at {} from {}", done.base_offset, done.log_start),
            Err(error) => error.to_string(),
        };
        let mut heard = self.0.lock().unwrap();
        assert!(heard[part].is_none(), "W2: one answer for part {part}");
        heard[part] = Some(text);
    }
}

#[derive(Debug, Default)]
struct Seen(Mutex<Vec<Change>>);

impl Watch for Seen {
    fn changed(&self, change: Change) {
        self.0.lock().unwrap().push(change);
    }
}

struct World {
    disk: SimDisk,
    dir: Arc<LogDir>,
    replicas: Replicas,
    /// What was left over for a thread that has time.
    line: Mutex<std::sync::mpsc::Receiver<Arc<Replica>>>,
    heard: Arc<Heard>,
    leader_epoch: u16,
    flags: Vec<(String, String)>,
}

const ME: BrokerId = BrokerId::from_wire(1).unwrap();

fn key() -> ReplicaKey {
    ReplicaKey {
        topic: TopicId::new(uuid::Uuid::from_u128(7 << 64)),
        partition: PartitionIndex::ZERO,
    }
}

/// What replicas want of a node of which nobody listens, but for the line, which the tests work off themselves.
fn outbound() -> (Outbound, std::sync::mpsc::Receiver<Arc<Replica>>) {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests work the line off themselves"
    )]
    let (work, line) = std::sync::mpsc::channel();
    let outbound = Outbound {
        isr_proposals: isr_change::queue().0,
        fetch_orders: following::queue().0,
        work,
        clock: Arc::new(clock::SystemClock),
        counters: Arc::default(),
    };
    (outbound, line)
}

impl World {
    fn new(flags: &[(&str, &str)]) -> Self {
        let flags = flags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Self::on(SimDisk::new(), flags)
    }

    fn on(disk: SimDisk, flags: Vec<(String, String)>) -> Self {
        let world = Self::unrecovered_on(disk, flags);
        world.replicas.recover().unwrap();
        world
    }

    /// The scans of an unclean stop have not begun yet.
    fn unrecovered_on(disk: SimDisk, flags: Vec<(String, String)>) -> Self {
        let map = Arc::new(ReplicaMap::default());
        let mut options = LogDirOptions::new(
            PathBuf::from("/data"),
            Arc::new(disk.mount()),
            Arc::new(clock::SystemClock),
            map.clone(),
            1,
        );
        options.tuning = Tuning {
            threads: 0,
            ballast_bytes: 0,
            ..Tuning::default()
        };
        let dir = Arc::new(LogDir::start(options).unwrap());
        let config = NodeConfig::load(&Sources {
            flags: flags.clone(),
            ..Sources::default()
        });
        let config = config.unwrap();
        let (outbound, line) = outbound();
        let settings = (config.storage, config.replica.lag_max);
        let replicas = Replicas::new(ME, map, vec![dir.clone()], settings, outbound);
        let world = Self {
            disk,
            dir,
            replicas,
            line: Mutex::new(line),
            heard: Arc::default(),
            leader_epoch: 0,
            flags,
        };
        world.lead();
        world
    }

    fn topic_config(&self) -> TopicConfig {
        let sources = Sources {
            flags: self.flags.clone(),
            ..Sources::default()
        };
        let config = NodeConfig::load(&sources).unwrap();
        TopicConfig::resolve(&Layers::of_static(&config.values), 1)
    }

    fn lead(&self) {
        self.follow_metadata(key(), Some(ME));
    }

    fn follow_metadata(&self, key: ReplicaKey, leader: Option<BrokerId>) {
        let partition = PartitionImage {
            replicas: vec![ME],
            directories: vec![self.dir.id()],
            isr: vec![ME],
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
            leader,
            leader_epoch: LeaderEpoch::from(self.leader_epoch),
            partition_epoch: PartitionEpoch::ZERO,
            recovery_state: RecoveryState::Recovered,
        };
        self.replicas.apply(vec![PartitionChange {
            key,
            topic: &Arc::from("t"),
            partition: &partition,
            config: &self.topic_config(),
        }]);
    }

    fn replica(&self) -> Arc<Replica> {
        self.replicas.find(key().topic, key().partition).unwrap()
    }

    /// Lets the I/O thread, and the one that works for partitions, do what is due.
    fn run_io(&self) {
        loop {
            self.dir.run_pending();
            let Ok(replica) = self.line.lock().unwrap().try_recv() else {
                return;
            };
            replica.work_for(1);
        }
    }

    fn opened(flags: &[(&str, &str)]) -> Self {
        let world = Self::new(flags);
        world.replica().ask_open();
        world.run_io();
        world
    }

    fn ask(&self, request: impl FnOnce(AskedBy) -> Request) -> usize {
        let part = {
            let mut heard = self.heard.0.lock().unwrap();
            heard.push(None);
            heard.len() - 1
        };
        let mut submission = Submission::from(request(AskedBy {
            asker: self.heard.clone(),
            part,
        }));
        assert!(
            self.replica()
                .poll_submit(&mut submission, Waker::noop())
                .is_ready()
        );
        part
    }

    fn produce(&self, acks: Acks, wait: Duration) -> usize {
        self.produce_bytes(acks, wait, &batch(1, 10))
    }

    fn produce_bytes(&self, acks: Acks, wait: Duration, batch: &[u8]) -> usize {
        self.produce_holding(None, acks, wait, batch)
    }

    fn produce_holding(
        &self,
        holding: Option<Holding>,
        acks: Acks,
        wait: Duration,
        batch: &[u8],
    ) -> usize {
        let batch = Batch {
            writer: Writer::Client,
            bytes: BytesMut::from(batch),
            accepts_zstd: true,
            holding,
        };
        let deadline = clock::mono().saturating_add(wait);
        self.ask(|by| {
            Request::Produce(Produce {
                batch,
                acks,
                deadline,
                by,
            })
        })
    }

    fn delete_before(&self, before: Option<Offset>) -> usize {
        let deadline = clock::mono().saturating_add(LONG);
        self.ask(|by| {
            Request::DeleteRecords(DeleteRecords {
                before,
                deadline,
                by,
            })
        })
    }

    fn heard(&self, part: usize) -> Option<String> {
        self.heard.of(part)
    }

    fn led(&self) -> Led {
        match &**self.replica().view() {
            View::Led(led) => led.clone(),
            other => panic!("not led: {other:?}"),
        }
    }

    /// What a consumer may read from the start: the offset and epoch of each batch.
    fn visible(&self) -> Vec<(i64, i32)> {
        let led = self.led();
        let limits = ReadLimits {
            bytes_max: u64::MAX,
            upper_bound: led.high_watermark(),
            is_one_batch_due: true,
        };
        let bytes = led
            .log
            .read(led.log.log_start(), limits)
            .unwrap()
            .read_to_vec()
            .unwrap();
        let mut rest = &bytes[..];
        let mut batches = Vec::new();
        while !rest.is_empty() {
            let batch = BatchView::parse(rest).unwrap();
            let header = batch.header();
            batches.push((
                header.base_offset().get(),
                LeaderEpoch::to_wire(header.leader_epoch()),
            ));
            rest = &rest[batch.bytes().len()..];
        }
        batches
    }
}

/// Longer than a test takes to come to its next line, and short enough to wait for.
const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_mins(1);

fn batch(count: usize, size: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let value = vec![b'v'; size];
    for _ in 0..count {
        let record = NewRecord {
            timestamp: clock::wall(),
            value: Some(&value),
            ..NewRecord::default()
        };
        builder.append(&record).unwrap();
    }
    builder.build().unwrap()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with what may not have been said yet"
)]
fn said(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Decision 17: nothing is opened until it is needed, and what waits then is served.
#[test]
fn a_log_is_opened_when_it_is_first_needed() {
    let world = World::new(&[]);
    assert!(matches!(**world.replica().view(), View::Closed));
    assert_eq!(world.dir.log_count(), 0);
    let part = world.produce(Acks::All, LONG);
    assert_eq!(world.heard(part), None, "the log is not open yet");
    world.run_io();
    assert_eq!(world.heard(part), said("at 0 from 0"));
    assert_eq!(world.visible(), [(0, 0)]);
}

/// A client hears at its deadline that a batch was not appended, and sends it again: what had waited for a long scan was
/// there once for each try.
#[test]
fn what_waits_for_a_log_is_dropped_at_its_deadline() {
    let world = World::new(&[]);
    let in_time = world.produce(Acks::All, LONG);
    // Last, for whatever comes after it may find its deadline past.
    let late = world.produce(Acks::All, SHORT);
    std::thread::park_timeout(SHORT * 2);
    assert_eq!(world.heard(late), None);
    world.replica().tick();
    assert!(world.heard(late).is_some());
    assert_eq!(world.heard(in_time), None);
    world.run_io();
    assert_eq!(world.heard(in_time), said("at 0 from 0"));
    assert_eq!(world.visible(), [(0, 0)]);
}

/// Its request may have been answered, or its connection be gone: as long as it waits it counts.
#[test]
fn a_batch_holds_its_share_until_it_is_appended_or_dropped() {
    let world = World::new(&[("flush.on.ack", "true")]);
    let holding: Holding = Arc::new("a share");
    let produce = |wait| {
        let holding = Some(holding.clone());
        world.produce_holding(holding, Acks::All, wait, &batch(1, 10))
    };
    let appended = produce(LONG);
    let dropped = produce(SHORT);
    assert_eq!(Arc::strong_count(&holding), 3);
    std::thread::park_timeout(SHORT * 2);
    world.replica().tick();
    assert!(world.heard(dropped).is_some());
    assert_eq!(Arc::strong_count(&holding), 2);
    world.dir.run_pending();
    assert_eq!(Arc::strong_count(&holding), 2);
    world.replica().work_for(4);
    assert_eq!(Arc::strong_count(&holding), 1);
    assert_eq!(world.heard(appended), None, "it waits for its flush");
}

#[test]
fn what_waits_for_a_log_is_carried_out_in_order() {
    let world = World::new(&[]);
    let first = world.produce(Acks::None, LONG);
    let delete = world.delete_before(None);
    let second = world.produce(Acks::All, LONG);
    world.run_io();
    assert_eq!(world.heard(first), said("at 0 from 0"));
    assert_eq!(world.heard(delete), said("at 0 from 1"));
    assert_eq!(world.heard(second), said("at 1 from 1"));
}

/// Whoever waited for a log on a full disk was woken by each failure and asked again at once: a core did nothing else.
#[test]
fn a_log_that_can_not_be_opened_is_left_alone_for_a_while() {
    let world = World::new(&[]);
    let seen = Arc::new(Seen::default());
    let _watching = world.replica().watch(seen.clone());
    world.disk.limit_space(Some(0));
    let start = clock::mono();
    let refused = world.produce(Acks::All, LONG);
    world.run_io();
    assert!(world.heard(refused).is_some());
    assert_eq!(*seen.0.lock().unwrap(), [], "readers see what they saw");
    world.disk.limit_space(None);
    let is_closed = || {
        world.replica().ask_open();
        world.run_io();
        matches!(**world.replica().view(), View::Closed)
    };
    assert!(is_closed() || clock::mono().since(start) >= OPEN_PAUSE);
    while is_closed() {
        assert!(clock::mono().since(start) < LONG, "it is never opened");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(world.led().log.log_end(), Offset::ZERO);
}

/// It waited for some other log to be opened or deleted, and if there was none, for ever; so did the node's stop.
#[test]
fn a_log_whose_place_is_taken_is_tried_again_and_holds_up_no_stop() {
    let taken = || {
        let world = World::new(&[]);
        let earlier = ottla_storage::LogId::new(uuid::Uuid::from_u128(9 << 64));
        let text = ottla_storage::partition_metadata::encode(earlier);
        let path = PathBuf::from("/data/t-0/partition.metadata");
        world.disk.plant(&path, text.into_bytes());
        let refused = world.produce(Acks::All, LONG);
        world.run_io();
        assert!(world.heard(refused).is_some());
        (world, path)
    };
    let (world, _) = taken();
    world.close();

    let (world, path) = taken();
    let start = clock::mono();
    ottla_storage::fs::Fs::remove(&world.disk.mount(), &path).unwrap();
    while matches!(**world.replica().view(), View::Closed) {
        assert!(clock::mono().since(start) < LONG, "it is never opened");
        std::thread::park_timeout(Duration::from_millis(20));
        world.replica().ask_open();
        world.run_io();
    }
    let served = world.produce(Acks::All, LONG);
    assert_eq!(world.heard(served), said("at 0 from 0"));
}

/// What was shown while nobody led is not shown any more once this broker does.
#[test]
fn a_partition_that_had_no_leader_is_served_when_it_has_one() {
    let world = World::new(&[]);
    let key = ReplicaKey {
        partition: PartitionIndex::from_wire(1).unwrap(),
        ..key()
    };
    world.follow_metadata(key, None);
    let replica = world.replicas.find(key.topic, key.partition).unwrap();
    replica.tick();
    assert!(matches!(
        **replica.view(),
        View::Refused(request::Refusal::NotLeader)
    ));
    world.follow_metadata(key, Some(ME));
    assert!(matches!(**replica.view(), View::Closed));
}

/// R7, R4: what was acknowledged is visible, under the leader's epoch and at dense offsets.
#[test]
fn appends_are_visible_when_they_are_acknowledged() {
    let world = World::opened(&[]);
    for (count, at) in [(3, 0), (1, 3), (2, 4)] {
        let part = world.produce_bytes(Acks::All, LONG, &batch(count, 5));
        assert_eq!(world.heard(part), said(&format!("at {at} from 0")));
    }
    assert_eq!(world.visible(), [(0, 0), (3, 0), (4, 0)]);
    assert_eq!(world.led().high_watermark(), Offset::from(6_u32));
}

/// Decision 9: with `flush.on.ack` neither producers nor consumers learn of what is not flushed.
#[test]
fn with_flush_on_ack_nothing_is_told_before_its_flush() {
    let world = World::opened(&[("flush.on.ack", "true")]);
    let all = world.produce(Acks::All, LONG);
    let leader = world.produce(Acks::Leader, LONG);
    let none = world.produce(Acks::None, LONG);
    assert_eq!((world.heard(all), world.heard(leader)), (None, None));
    assert_eq!(world.heard(none), said("at 2 from 0"));
    assert!(world.visible().is_empty(), "R7");
    world.run_io();
    assert_eq!(world.heard(all), said("at 0 from 0"));
    world.run_io();
    assert_eq!(world.heard(leader), said("at 1 from 0"));
    assert_eq!(world.visible().len(), 3);
}

/// S7: a failed sync takes the directory offline, and nobody who waited hears of success.
#[test]
fn a_failed_flush_is_never_a_success() {
    let world = World::opened(&[("flush.on.ack", "true")]);
    world.disk.fail_next_syncs(1);
    let part = world.produce(Acks::All, LONG);
    world.run_io();
    assert_eq!(
        world.heard(part),
        said("the partition's directory is offline")
    );
    let later = world.produce(Acks::Leader, LONG);
    assert_eq!(
        world.heard(later),
        said("the partition's directory is offline")
    );
    assert!(matches!(
        **world.replica().view(),
        View::Refused(request::Refusal::Offline)
    ));
}

/// Decision 18: a full disk refuses appends and heals; what was there stays readable.
#[test]
fn a_full_disk_refuses_and_heals() {
    let world = World::opened(&[]);
    let first = world.produce(Acks::All, LONG);
    world.disk.limit_space(Some(20));
    let refused = world.produce_bytes(Acks::All, LONG, &batch(1, 5000));
    assert_eq!(world.heard(first), said("at 0 from 0"));
    assert_eq!(
        world.heard(refused),
        said("the write failed: no space left on the disk")
    );
    let refused = world.produce(Acks::Leader, LONG);
    assert_eq!(world.heard(refused), said("no space left on the disk"));
    assert_eq!(world.visible(), [(0, 0)]);
}

#[test]
fn a_batch_that_breaks_a_rule_does_not_harm_its_neighbours() {
    let world = World::new(&[]);
    let good = world.produce(Acks::All, LONG);
    let mut damaged = batch(1, 10);
    *damaged.last_mut().unwrap() ^= 1;
    let bad = world.produce_bytes(Acks::All, LONG, &damaged);
    let none = world.produce_bytes(Acks::All, LONG, b"");
    let also_good = world.produce(Acks::All, LONG);
    // All four wait for the log, so they are one turn.
    world.run_io();
    assert_eq!(world.heard(good), said("at 0 from 0"));
    assert!(
        world.heard(bad).unwrap().contains("crc"),
        "{:?}",
        world.heard(bad)
    );
    assert!(world.heard(none).is_some());
    assert_eq!(world.heard(also_good), said("at 1 from 0"));
    assert_eq!(world.visible(), [(0, 0), (1, 0)]);
}

#[test]
fn more_than_a_group_holds_is_written_in_several() {
    let world = World::new(&[]);
    let parts: Vec<_> = (0..5)
        .map(|_| world.produce_bytes(Acks::All, LONG, &batch(1, 600_000)))
        .collect();
    world.run_io();
    for (at, part) in parts.into_iter().enumerate() {
        assert_eq!(world.heard(part), said(&format!("at {at} from 0")));
    }
    assert_eq!(world.visible().len(), 5);
}

#[test]
fn a_deadline_ends_the_wait_for_a_flush() {
    let world = World::opened(&[("flush.on.ack", "true")]);
    let part = world.produce(Acks::All, Duration::ZERO);
    world.replica().tick();
    let late = "the in-sync replicas did not all confirm in time";
    assert_eq!(world.heard(part), said(late));
    // The flush comes later, and tells nobody twice.
    world.run_io();
    assert_eq!(world.visible().len(), 1);
}

#[test]
fn a_new_epoch_is_stamped_and_what_waited_under_the_old_one_is_refused() {
    let mut world = World::opened(&[("flush.on.ack", "true")]);
    let old = world.produce(Acks::All, LONG);
    world.leader_epoch = 1;
    world.lead();
    assert_eq!(
        world.heard(old),
        said("this broker does not lead the partition")
    );
    let new = world.produce(Acks::All, LONG);
    world.run_io();
    assert_eq!(world.heard(new), said("at 1 from 0"));
    assert_eq!(world.visible(), [(0, 0), (1, 1)]);
    assert_eq!(world.led().reign.epoch_start, Offset::from(1_u32));
}

#[test]
fn deleted_records_are_gone_for_readers() {
    let world = World::opened(&[]);
    for _ in 0..5 {
        world.produce(Acks::All, LONG);
    }
    let part = world.delete_before(Some(Offset::from(3_u32)));
    assert_eq!(world.heard(part), said("at 0 from 3"));
    assert_eq!(world.visible(), [(3, 0), (4, 0)]);
    let all = world.delete_before(None);
    assert_eq!(world.heard(all), said("at 0 from 5"));
    let beyond = world.delete_before(Some(Offset::from(6_u32)));
    assert_eq!(
        world.heard(beyond),
        said("the offset is outside of the partition")
    );
}

#[test]
fn watchers_hear_how_many_bytes_became_visible() {
    let world = World::opened(&[]);
    let seen = Arc::new(Seen::default());
    let watching = world.replica().watch(seen.clone());
    let bytes = batch(2, 30);
    world.produce_bytes(Acks::Leader, LONG, &bytes);
    let expected = Change {
        visible_bytes: u64::try_from(bytes.len()).unwrap(),
        appended_bytes: u64::try_from(bytes.len()).unwrap(),
        is_other: false,
    };
    assert_eq!(*seen.0.lock().unwrap(), [expected]);
    drop(watching);
    world.produce(Acks::Leader, LONG);
    assert_eq!(seen.0.lock().unwrap().len(), 1);
}

/// A topic that is deleted and made again under its name begins anew.
#[test]
fn a_deleted_partition_refuses_and_its_log_is_removed() {
    let world = World::opened(&[]);
    world.produce(Acks::All, LONG);
    let replica = world.replica();
    world.replicas.delete(&[key()]);
    assert!(world.replicas.find(key().topic, key().partition).is_none());
    assert!(matches!(
        **replica.view(),
        View::Refused(request::Refusal::Gone)
    ));
    world.run_io();
    assert_eq!(world.dir.log_count(), 0);
}

#[test]
fn a_partition_deleted_while_it_is_opened_is_removed_too() {
    let world = World::new(&[]);
    let part = world.produce(Acks::All, LONG);
    let replica = world.replica();
    world.replicas.delete(&[key()]);
    world.run_io();
    world.run_io();
    assert_eq!(
        world.heard(part),
        said("the partition is not on this broker")
    );
    assert_eq!(world.dir.log_count(), 0);
    drop(replica);
}

/// S6: what was acknowledged after its flush is there after a power cut, at the same offsets.
#[test]
fn what_was_flushed_survives_a_power_cut() {
    for seed in 0..20 {
        let flags = [("flush.on.ack", "true")];
        let world = World::opened(&flags);
        let mut acknowledged = 0;
        for _ in 0..4 {
            let part = world.produce(Acks::All, LONG);
            world.run_io();
            assert!(world.heard(part).unwrap().starts_with("at"));
            acknowledged += 1;
        }
        world.produce(Acks::All, LONG);
        let (disk, flags) = (world.disk.clone(), world.flags.clone());
        disk.crash(seed);
        drop(world);
        let world = World::on(disk, flags);
        world.replica().ask_open();
        world.run_io();
        assert!(
            world.visible().len() >= acknowledged,
            "seed {seed}: {:?}",
            world.visible()
        );
    }
}

/// Decision 17: what needs a scan waits for it, and is served after it.
#[test]
fn a_log_that_waits_for_its_scan_is_opened_after_it() {
    let world = World::opened(&[("flush.on.ack", "true")]);
    world.produce(Acks::All, LONG);
    world.run_io();
    world.produce(Acks::All, LONG);
    let (disk, flags) = (world.disk.clone(), world.flags.clone());
    disk.crash(3);
    drop(world);
    let world = World::unrecovered_on(disk, flags);
    let part = world.produce(Acks::All, LONG);
    world.run_io();
    assert_eq!(world.heard(part), None);
    assert!(matches!(**world.replica().view(), View::Closed));
    world.replicas.recover().unwrap();
    world.run_io();
    world.run_io();
    assert!(
        world.heard(part).unwrap().starts_with("at"),
        "{:?}",
        world.heard(part)
    );
}

/// Retention is not only for topics that somebody uses: what a restart left closed shrinks too.
#[test]
fn retention_opens_a_log_that_has_more_than_its_active_segment() {
    let flags = [
        ("log.segment.bytes", "1048576"),
        ("log.retention.bytes", "1"),
    ];
    let world = World::opened(&flags);
    world.produce_bytes(Acks::All, LONG, &batch(1, 10));
    let world = world.stopped_and_started();
    world.replica().retain();
    world.run_io();
    assert!(
        matches!(**world.replica().view(), View::Closed),
        "one segment stays"
    );
    world.replica().ask_open();
    world.run_io();
    for _ in 0..3 {
        world.produce_bytes(Acks::All, LONG, &batch(1, 900_000));
        world.run_io();
    }
    let world = world.stopped_and_started();
    world.replica().retain();
    world.run_io();
    world.replica().retain();
    world.run_io();
    assert_eq!(world.led().log.log_start(), Offset::from(3_u32));
}

impl World {
    /// A stop in order as broker epoch 3, and a start.
    fn stopped_and_started(self) -> Self {
        self.close();
        let Self {
            disk,
            dir,
            replicas,
            flags,
            ..
        } = self;
        drop(replicas);
        let dir = Arc::into_inner(dir).expect("nobody holds the directory any more");
        dir.stop(3).unwrap();
        Self::on(disk, flags)
    }

    /// Closes all logs while the directory's I/O goes on; hangs if a partition is forgotten.
    fn close(&self) {
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| self.replicas.close());
            while !closing.is_finished() {
                self.run_io();
                std::thread::yield_now();
            }
        });
    }
}

/// A client was told that this broker does not lead, looked for who does, and found this broker.
#[test]
fn a_leader_without_room_for_its_log_says_so() {
    let world = World::new(&[]);
    world.disk.limit_space(Some(0));
    let part = world.produce(Acks::All, LONG);
    world.run_io();
    let offline = said("the partition's directory is offline");
    assert_eq!(world.heard(part), offline);
    let again = world.produce(Acks::All, LONG);
    assert_eq!(world.heard(again), offline);
}

/// A stop waits for logs that can be closed, and for no others.
#[test]
fn a_stop_does_not_wait_for_what_can_not_be_closed() {
    let offline = World::opened(&[("flush.on.ack", "true")]);
    offline.disk.fail_next_syncs(1);
    offline.produce(Acks::All, LONG);
    offline.run_io();
    offline.close();

    let closed = World::new(&[]);
    closed.close();

    let opening = World::new(&[]);
    opening.produce(Acks::All, LONG);
    opening.close();

    let dirty = World::opened(&[]);
    dirty.produce(Acks::All, LONG);
    let (disk, flags) = (dirty.disk.clone(), dirty.flags.clone());
    disk.crash(1);
    drop(dirty);
    let waiting = World::unrecovered_on(disk, flags);
    waiting.replica().ask_open();
    waiting.run_io();
    waiting.close();
}

#[test]
fn a_clean_stop_closes_every_log() {
    let world = World::opened(&[]);
    world.produce(Acks::All, LONG);
    let again = world.stopped_and_started();
    assert_eq!(again.dir.clean_broker_epoch(), Some(3));
    again.replica().ask_open();
    again.run_io();
    assert_eq!(again.visible(), [(0, 0)]);
}

/// KAFKA-7415: a leader that had written nothing yet knew nothing of its own reign, and took its followers' logs for ones
/// of another.
#[test]
fn gotcha_07_a_leader_knows_where_its_reign_begins_before_it_writes() {
    let mut world = World::opened(&[]);
    world.produce(Acks::Leader, LONG);
    world.leader_epoch = 2;
    world.lead();
    let end_of = |world: &World, epoch: u16| {
        let found = world.led().log.end_offset_for(LeaderEpoch::from(epoch));
        found.map(|found| (found.epoch.get(), found.end.get()))
    };
    assert_eq!(end_of(&world, 2), Some((2, 1)));
    assert_eq!(end_of(&world, 0), Some((0, 1)));
}

/// KAFKA-15510: after an answer without records the follower asked without an epoch, so that no leader could tell it that
/// its log had parted.
#[test]
fn gotcha_08_an_answer_without_records_leaves_the_last_epoch_as_it_was() {
    let mut world = World::opened(&[]);
    world.leader_epoch = 3;
    world.follow_metadata(key(), BrokerId::from_wire(2));
    let goes_on_at = || match &**world.replica().view() {
        View::Followed(followed) => followed.goes_on_at(),
        other => panic!("not followed: {other:?}"),
    };
    let mut records = batch(1, 10);
    // Stamped by the leader: the epoch in bytes 12 to 16.
    records[12..16].copy_from_slice(&3_i32.to_be_bytes());
    for records in [records, Vec::new()] {
        world.replica().leader_said(FromLeader {
            leader_epoch: LeaderEpoch::from(3_u16),
            offset: goes_on_at().0,
            answer: following::Answer::Records {
                records: records.into(),
                state: following::LeaderState {
                    high_watermark: Offset::ZERO,
                    log_start: Offset::ZERO,
                },
            },
        });
    }
    let last_epoch = Some(LeaderEpoch::from(3_u16));
    assert_eq!(goes_on_at(), (Offset::from(1_u32), last_epoch));
}

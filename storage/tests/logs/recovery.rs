//! Opening after a crash: every cut, missing indexes, damage, leftovers, and what must not be opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::OpenError;
use ottla_storage::epoch_cache::EpochEnd;
use ottla_storage::fs::{Fs, OpenMode, StdFs};
use ottla_storage::log::PartitionLog;
use ottla_storage::log_dir::LogStatus;

use crate::support::*;

const DATA: &str = "/data";

fn file(name: &str) -> PathBuf {
    Path::new(DATA).join(format!("{TOPIC}-0")).join(name)
}

/// S6: whatever is missing at the end of the last segment, the log opens as a prefix that holds what was flushed.
#[test]
fn the_last_segment_may_be_cut_at_every_byte() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 17);
    append(&mut log, epoch(1), producer_batch(5, 0, &["p"], 1_000_000)).unwrap();
    log.request_flush();
    bench.dir.run_pending();
    let flushed = log.flushed_end().get();
    let base = log.view().active_base();
    let name = format!("{:020}.log", base.get());
    let synced = disk.read(&file(&name)).unwrap().len();
    append_many(&mut log, 3);
    append(
        &mut log,
        epoch(2),
        producer_batch(5, 1, &["q", "r"], 1_000_000),
    )
    .unwrap();
    let expected = contents(&log);
    assert_eq!(log.view().active_base(), base, "all of it in one segment");
    disk.kill();
    let whole = disk.read(&file(&name)).unwrap();
    for cut in synced..=whole.len() {
        for filler in [None, Some(0_u8), Some(0xa5)] {
            let copy = disk.fork();
            let mut bytes = whole[..cut].to_vec();
            if let Some(filler) = filler {
                bytes.resize(whole.len(), filler);
            }
            copy.plant(&file(&name), bytes);
            let bench = start(Arc::new(copy.mount()), Path::new(DATA)).unwrap();
            assert!(matches!(
                bench.create(key(0), &config),
                Err(OpenError::Unrecovered)
            ));
            bench.recover(&config);
            let log = bench.create(key(0), &config).unwrap();
            let end = log.log_end().get();
            assert!(end >= flushed, "cut {cut}");
            assert_eq!(
                contents(&log),
                expected[..usize::try_from(end).unwrap()],
                "cut {cut}"
            );
            assert_eq!(
                log.flushed_end(),
                log.log_end(),
                "what recovery found it has synced"
            );
            let producer = log
                .producers()
                .get(ottla_storage::ProducerId::from_wire(5).unwrap());
            let last = producer.unwrap().last_batch().unwrap().last_offset.get();
            assert_eq!(last, if end > 22 { 22 } else { 17 }, "cut {cut}");
        }
    }
}

/// S8.
#[test]
fn indexes_and_snapshots_may_be_lost_without_changing_an_answer() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append(
        &mut log,
        epoch(1),
        producer_batch(5, 0, &["p", "q"], 1_000_000),
    )
    .unwrap();
    append_many(&mut log, 50);
    let answers = |log: &PartitionLog| {
        let view = log.view();
        let times: Vec<_> = (999_999..1_000_002)
            .map(|at| {
                view.offset_for_timestamp(ottla_storage::time::WallMillis::from_millis(at))
                    .unwrap()
            })
            .collect();
        let reads: Vec<_> = (0..52)
            .map(|at| {
                view.read(offset(at), limits(200))
                    .unwrap()
                    .read_to_vec()
                    .unwrap()
            })
            .collect();
        let epochs = view.end_offset_for(epoch(1));
        (
            times,
            view.max_timestamp().unwrap(),
            reads,
            epochs,
            log.producers().clone(),
        )
    };
    bench.close(log);
    let log = bench.create(key(0), &config).unwrap();
    let before = answers(&log);
    bench.close(log);
    drop(bench);
    disk.kill();
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    for kinds in [
        &["index"][..],
        &["timeindex"],
        &["snapshot"],
        &["index", "timeindex", "snapshot"],
    ] {
        for damage in ["gone", "empty", "odd", "noise"] {
            let copy = disk.fork();
            let fs: Arc<dyn Fs> = Arc::new(copy.mount());
            for entry in fs.list(&file("")).unwrap() {
                let Some((_, extension)) = entry.name.rsplit_once('.') else {
                    continue;
                };
                if !kinds.contains(&extension) {
                    continue;
                }
                let path = file(&entry.name);
                match damage {
                    "gone" => fs.remove(&path).unwrap(),
                    "empty" => copy.plant(&path, Vec::new()),
                    "odd" => copy.plant(&path, vec![0; 7]),
                    _ => copy.plant(&path, vec![0x77; 96]),
                }
            }
            let bench = start(fs, Path::new(DATA)).unwrap();
            let log = bench.create(key(0), &config).unwrap();
            assert!(answers(&log) == before, "{kinds:?} {damage}");
        }
    }
    drop(fs);
}

#[test]
fn leftovers_of_a_crash_are_finished_or_removed() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    let expected = append_many(&mut log, 30);
    bench.close(log);
    drop(bench);
    disk.kill();
    let first = "00000000000000000000.log";
    let bytes = disk.read(&file(first)).unwrap();
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    fs.rename(&file(first), &file("00000000000000000000.log.swap"))
        .unwrap();
    for name in [
        "00000000000000000011.log.deleted",
        "00000000000000000011.log.cleaned",
        "x.index.tmp",
    ] {
        disk.plant(&file(name), bytes.clone());
    }
    let bench = start(fs, Path::new(DATA)).unwrap();
    let log = bench.create(key(0), &config).unwrap();
    assert_eq!(contents(&log), expected);
    let odd = |name: &String| {
        [".swap", ".deleted", ".cleaned", ".tmp"]
            .iter()
            .any(|s| name.ends_with(s))
    };
    assert!(!bench.files().iter().any(odd));
}

/// A log that has lost what was on stable storage is offline: opened shorter, it could be elected.
#[test]
fn a_log_that_lost_synced_records_is_not_opened() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 5);
    bench.settle();
    append_many(&mut log, 1);
    disk.kill();
    let name = file("00000000000000000000.log");
    let mut bytes = disk.read(&name).unwrap();
    bytes[100] ^= 1;
    disk.plant(&name, bytes);
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    bench.recover(&config);
    let LogStatus::Offline(reason) = bench.dir.status(key(0)) else {
        panic!("{:?}", bench.dir.status(key(0)));
    };
    assert!(matches!(&*reason, OpenError::LostSynced { .. }), "{reason}");
    assert!(bench.create(key(0), &config).is_err());
    assert!(
        bench.dir.failure().is_none(),
        "the directory serves its other logs"
    );
    bench.create(key(1), &config).unwrap();
}

#[test]
fn a_missing_directory_is_offline_and_an_unknown_one_is_taken_up() {
    let root = tempfile::tempdir().unwrap();
    let config = small_config();
    let bench = start(Arc::new(StdFs), root.path()).unwrap();
    let mut log = bench.create(key(0), &config).unwrap();
    let expected = append_many(&mut log, 30);
    bench.close(log);
    let other = bench.create(key(1), &config).unwrap();
    bench.close(other);
    bench.dir.stop(7).unwrap();
    StdFs.remove(&root.path().join("orders-1")).unwrap();
    let bench = start(Arc::new(StdFs), root.path()).unwrap();
    assert_eq!(bench.dir.clean_broker_epoch(), Some(7));
    assert!(matches!(bench.dir.status(key(1)), LogStatus::Offline(_)));
    assert!(bench.create(key(1), &config).is_err());
    drop(bench);
    StdFs
        .remove(&root.path().join("partition-journal"))
        .unwrap();
    let bench = start(Arc::new(StdFs), root.path()).unwrap();
    assert_eq!(
        bench.dir.clean_broker_epoch(),
        None,
        "the marker is gone after one start"
    );
    assert_eq!(bench.dir.unrecovered(), [key(0)]);
    bench.recover(&config);
    let log = bench.create(key(0), &config).unwrap();
    assert_eq!(contents(&log), expected);
}

#[test]
fn a_journal_cut_at_every_byte_still_opens_every_log() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 12);
    bench.close(log);
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 3);
    let expected = contents(&log);
    disk.kill();
    let journal = Path::new(DATA).join("partition-journal");
    let whole = disk.read(&journal).unwrap();
    for cut in 0..whole.len() {
        let copy = disk.fork();
        copy.plant(&journal, whole[..cut].to_vec());
        let bench = start(Arc::new(copy.mount()), Path::new(DATA)).unwrap();
        bench.recover(&config);
        let log = bench.create(key(0), &config).unwrap();
        assert_eq!(contents(&log), expected, "cut {cut}");
    }
}

/// A file that an operator copied half, or bytes nobody knows of: a clean log that does not fit its record is scanned.
#[test]
fn a_clean_log_with_more_bytes_than_the_journal_says_is_scanned() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    let mut expected = append_many(&mut log, 4);
    bench.close(log);
    disk.kill();
    let name = file("00000000000000000000.log");
    let mut bytes = disk.read(&name).unwrap();
    bytes.extend(placed_batch(offset(4), epoch(1), &["late"]));
    bytes.extend([0; 40]);
    disk.plant(&name, bytes);
    let fs: Arc<dyn Fs> = Arc::new(disk.mount());
    let bench = start(Arc::clone(&fs), Path::new(DATA)).unwrap();
    let log = bench.create(key(0), &config).unwrap();
    expected.push((4, "late".to_owned()));
    assert_eq!(contents(&log), expected);
    let size = fs.open(&name, OpenMode::Read).unwrap().stat().unwrap().len;
    assert_eq!(size, log.view().size_bytes());
}

const EPOCHS: &str = "leader-epoch-checkpoint";

/// Appends to epochs that begin and end within segments; the second reaches over several.
fn append_epochs(log: &mut PartitionLog, mut each: impl FnMut(&mut PartitionLog)) {
    for leader in 1..=3 {
        for _ in 0..17 {
            append_values(log, epoch(leader), &["a value of some length"]);
            each(log);
        }
    }
}

/// Where each epoch ends; whatever was lost or scanned, this is what truncation is decided by.
fn epoch_ends(log: &PartitionLog) -> Vec<Option<EpochEnd>> {
    let ends = 0..5;
    ends.map(|leader| log.view().end_offset_for(epoch(leader)))
        .collect()
}

/// R6: a scan that began within an epoch moved its start up to where it began, and with it the end of the epoch before,
/// if another had begun since. A follower whose log had parted below that end was then told that it had not.
#[test]
fn a_scan_leaves_the_starts_of_epochs_where_they_are() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_epochs(&mut log, |log| {
        log.request_flush();
        bench.dir.run_pending();
        let expected = epoch_ends(log);
        let copy = disk.fork();
        copy.kill();
        let bench = start(Arc::new(copy.mount()), Path::new(DATA)).unwrap();
        bench.recover(&config);
        let recovered = bench.create(key(0), &config).unwrap();
        assert_eq!(recovered.log_end(), log.log_end());
        assert_eq!(epoch_ends(&recovered), expected, "at {}", log.log_end());
    });
}

/// S8 and R6: a log that holds records knows their epochs, whatever became of the file that says so.
#[test]
fn epochs_that_were_lost_are_found_in_the_batches() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_epochs(&mut log, |_| {});
    let expected = epoch_ends(&log);
    log.request_flush();
    bench.dir.run_pending();
    let crashed = disk.fork();
    bench.close(log);
    let written = disk.read(&file(EPOCHS));
    for (from, is_clean) in [(&disk, true), (&crashed, false)] {
        from.kill();
        for damage in [None, Some(Vec::new()), Some(b"noise".to_vec())] {
            let copy = from.fork();
            let fs: Arc<dyn Fs> = Arc::new(copy.mount());
            match damage.clone() {
                None => fs.remove(&file(EPOCHS)).unwrap(),
                Some(bytes) => copy.plant(&file(EPOCHS), bytes),
            }
            let bench = start(fs, Path::new(DATA)).unwrap();
            bench.recover(&config);
            let log = bench.create(key(0), &config).unwrap();
            assert_eq!(epoch_ends(&log), expected, "{is_clean} {damage:?}");
            // The next start does not have to look for them again.
            bench.close(log);
            copy.kill();
            assert_eq!(copy.read(&file(EPOCHS)), written, "{is_clean} {damage:?}");
        }
    }
}

/// KAFKA-16541: a file that was half written when the power went said nothing, or something else, of the reigns below
/// the recovery point.
#[test]
fn gotcha_26_leader_epochs_are_put_in_place_whole_whenever_the_power_goes() {
    let config = small_config();
    let mut crashes = 0;
    for (changes, seed) in (0..20).flat_map(|changes| (0..10).map(move |seed| (changes, seed))) {
        let disk = SimDisk::new();
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        let mut log = bench.create(key(0), &config).unwrap();
        append_many(&mut log, 30);
        assert!(log.assign_epoch(epoch(2)));
        append_values(&mut log, epoch(2), &["of the second reign"]);
        bench.settle();
        assert!(log.assign_epoch(epoch(3)));
        log.request_flush();
        disk.crash_in(changes, seed);
        bench.dir.run_pending();
        disk.call_off_crash();
        crashes += disk.counts().crashes;
        disk.kill();
        let bytes = disk.read(&file("leader-epoch-checkpoint")).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(
            ["0\n2\n1 0\n2 30\n", "0\n3\n1 0\n2 30\n3 31\n"].contains(&&*text),
            "crash {changes}, seed {seed}: {text:?}"
        );
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        bench.recover(&config);
        let log = bench.create(key(0), &config).unwrap();
        let end = log.view().end_offset_for(epoch(1)).map(|found| found.end);
        assert_eq!(end, Some(offset(30)), "crash {changes}, seed {seed}");
    }
    assert!(
        crashes >= 30,
        "{crashes} crashes while the file was written"
    );
}

/// KAFKA-6264: a segment of before the check, or of another broker, does not keep the others from their start.
#[test]
fn gotcha_27_a_segment_with_offsets_beyond_31_bits_opens() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    let mut expected = append_many(&mut log, 4);
    bench.close(log);
    disk.kill();
    let name = file("00000000000000000000.log");
    let mut bytes = disk.read(&name).unwrap();
    let far = i64::from(i32::MAX) + 10;
    for at in far..far + 4 {
        let base = ottla_storage::Offset::from_wire(at).unwrap();
        bytes.extend(placed_batch(base, epoch(1), &["far"]));
        expected.push((at, "far".to_owned()));
    }
    disk.plant(&name, bytes);
    for is_scanned in [true, false] {
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        let mut log = bench.create(key(0), &config).unwrap();
        assert_eq!(contents(&log), expected, "scanned: {is_scanned}");
        let end = log.log_end();
        append_values(&mut log, epoch(1), &["behind"]);
        expected.push((end.get(), "behind".to_owned()));
        assert_eq!(contents(&log), expected, "scanned: {is_scanned}");
        if is_scanned {
            assert_eq!(log.view().active_base(), end, "goes on in a new segment");
        }
        bench.create(key(1), &config).unwrap();
        bench.close(log);
        disk.kill();
    }
}

/// Moved ahead of the sync, the recovery point hides from recovery what the power cut may have damaged: here what was
/// never synced would be missed as lost for good, or, if some of it was there, be believed unread.
#[test]
fn gotcha_46_only_a_flush_moves_the_recovery_point() {
    let disk = SimDisk::new();
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    let config = small_config();
    let mut log = bench.create(key(0), &config).unwrap();
    append_many(&mut log, 3);
    log.request_flush();
    bench.dir.run_pending();
    append_many(&mut log, 3);
    // Writes the log's positions to the journal.
    log.advance_log_start(offset(1));
    let state = bench.dir.log(key(0)).unwrap();
    assert!(state.recovery_point <= offset(3), "{state:?}");
    disk.crash(1);
    let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
    bench.recover(&config);
    let log = bench.create(key(0), &config).unwrap();
    assert!(log.log_end() >= offset(3));
}

/// KIP-516: a directory of the right name may hold what a topic of that name had before, or what somebody copied there.
#[test]
fn gotcha_40_a_log_is_not_opened_as_another_topics() {
    for is_clean in [true, false] {
        let disk = SimDisk::new();
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        let config = small_config();
        let mut log = bench.create(key(0), &config).unwrap();
        append_many(&mut log, 5);
        if is_clean {
            bench.close(log);
        }
        disk.kill();
        let other = ottla_storage::LogId::new(uuid::Uuid::from_u128(0xdef));
        let text = ottla_storage::partition_metadata::encode(other);
        disk.plant(&file("partition.metadata"), text.into_bytes());
        let bench = start(Arc::new(disk.mount()), Path::new(DATA)).unwrap();
        bench.recover(&config);
        let refused = bench.create(key(0), &config).map(drop).unwrap_err();
        let reason = match refused {
            OpenError::LogOffline { source } => source,
            reason => Arc::new(reason),
        };
        assert!(
            matches!(&*reason, OpenError::WrongTopic { found, .. } if *found == other),
            "clean: {is_clean}: {reason}"
        );
        assert!(bench.dir.failure().is_none());
        bench.create(key(1), &config).unwrap();
    }
}

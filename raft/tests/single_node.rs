//! A quorum of one: it elects itself at once, keeps what it acknowledged, and says what went wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::{CLUSTER, DIRECTORY, NODE, begin, config, lead, members, open, runtime, try_start};
use ottla_jepsen::disk::SimDisk;
use ottla_raft::fs::StdFs;
use ottla_raft::{InitializeError, IoMode, ProposeError, RaftConfig, StartError};
use tokio::time::Instant;

/// On real files with the log's own thread, as in production.
#[tokio::test]
async fn it_elects_itself_applies_and_reads_its_own_writes() {
    let dir = tempfile::tempdir().unwrap();
    let config = RaftConfig::new(CLUSTER, NODE, DIRECTORY);
    let begun = Instant::now();
    let start = || try_start(Arc::new(StdFs), dir.path().to_owned(), config.clone());
    let (raft, journal) = start().await.unwrap();
    let opened = begun.elapsed();
    assert!(!raft.is_initialized().await.unwrap());
    raft.initialize(members()).await.unwrap();
    lead(&raft).await;
    let ready = begun.elapsed();
    let applied = raft.propose(b"one".to_vec()).await.unwrap();
    assert_eq!(applied.response, 1_usize.to_le_bytes());
    let read = raft.barrier().await.unwrap();
    assert!(read >= applied.index);
    assert_eq!(journal.commands(), [b"one"]);
    let begun = Instant::now();
    for _ in 0..200 {
        raft.propose(b"more".to_vec()).await.unwrap();
    }
    println!(
        "open {opened:?}, leading {ready:?}, 200 proposals {:?}",
        begun.elapsed()
    );
    assert!(matches!(
        raft.initialize(members()).await,
        Err(InitializeError::NotEmpty)
    ));
    let metrics = raft.metrics();
    assert_eq!(metrics.leader, Some(NODE));
    assert_eq!(metrics.high_watermark, metrics.log_end);
    assert_eq!(metrics.replicas[&NODE].log_end, Some(metrics.log_end));
    raft.shutdown().await;
    assert!(matches!(
        raft.propose(b"late".to_vec()).await,
        Err(ProposeError::Stopped(_))
    ));
    drop(raft);

    let begun = Instant::now();
    let (raft, journal) = start().await.unwrap();
    lead(&raft).await;
    println!("restarted and leading {:?}", begun.elapsed());
    assert_eq!(journal.commands().len(), 201);
    raft.shutdown().await;
}

#[test]
fn each_start_leads_a_new_term() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, _) = begin(&disk, config()).await;
        let mut term = raft.leadership().borrow().term;
        raft.shutdown().await;
        for _ in 0..3 {
            let (raft, _) = open(&disk).await.unwrap();
            lead(&raft).await;
            let next = raft.leadership().borrow().term;
            assert!(next > term);
            term = next;
            raft.shutdown().await;
        }
    });
}

#[test]
fn a_command_that_can_never_fit_is_refused() {
    runtime().block_on(async {
        let (raft, _) = begin(&SimDisk::new(), config()).await;
        let refused = raft.propose(vec![0; 1025]).await;
        assert!(matches!(
            refused,
            Err(ProposeError::TooLarge {
                size: 1025,
                max: 1024
            })
        ));
        raft.propose(vec![0; 1024]).await.unwrap();
        raft.propose(Vec::new()).await.unwrap();
    });
}

#[test]
fn members_that_leave_this_directory_out_are_refused() {
    runtime().block_on(async {
        let fs = Arc::new(SimDisk::new().mount());
        let (raft, _) = try_start(fs, PathBuf::from("/q"), config()).await.unwrap();
        let mut others = members();
        others.get_mut(&NODE).unwrap().directory.0[0] = 9;
        let refused = raft.initialize(others).await;
        assert!(matches!(refused, Err(InitializeError::NotAMember)));
        assert!(!raft.is_initialized().await.unwrap());
    });
}

/// Decision 18: the log lives on what it has written in advance, and heals without a restart.
#[test]
fn a_full_disk_refuses_commands_and_heals() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, journal) = begin(&disk, config()).await;
        disk.limit_space(Some(0));
        let mut taken = 0;
        let refused = loop {
            match raft.propose(vec![b'x'; 1000]).await {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 1000, "the disk never filled up");
        };
        assert!(matches!(refused, ProposeError::DiskFull), "{refused}");
        assert!(raft.metrics().is_disk_full);
        // The node is well: it still reads, and the spare gives it room for elections.
        raft.barrier().await.unwrap();
        disk.limit_space(None);
        assert!(matches!(
            raft.propose(b"nudge".to_vec()).await,
            Err(ProposeError::DiskFull)
        ));
        tokio::time::sleep(Duration::from_millis(10)).await;
        raft.propose(b"healed".to_vec()).await.unwrap();
        assert_eq!(journal.commands().len(), taken + 1);
        assert!(!raft.metrics().is_disk_full);
    });
}

/// Decision 18: openraft ends the node for a snapshot that could not be written.
#[test]
fn a_snapshot_waits_for_space_and_the_node_lives_on() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, journal) = begin(&disk, config()).await;
        raft.propose(b"before".to_vec()).await.unwrap();
        disk.limit_space(Some(10));
        raft.trigger_snapshot().await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(raft.metrics().is_disk_full);
        assert_eq!(raft.metrics().snapshot, None);
        let unfinished = PathBuf::from("/q/snapshots/snapshot.unfinished");
        assert_eq!(disk.read(&unfinished), None);
        // The log has space that it wrote in advance.
        raft.propose(b"meanwhile".to_vec()).await.unwrap();
        raft.barrier().await.unwrap();
        disk.limit_space(None);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(raft.metrics().snapshot.is_some());
        assert!(!raft.metrics().is_disk_full);
        raft.propose(b"after".to_vec()).await.unwrap();
        assert_eq!(journal.commands().len(), 3);
        disk.limit_space(Some(10));
        raft.trigger_snapshot().await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stopped = tokio::time::timeout(Duration::from_mins(1), raft.shutdown());
        assert!(stopped.await.is_ok());
    });
}

/// Decision 18 from the first moment: there is no spare and no space for one.
#[tokio::test]
async fn a_start_on_a_full_disk_refuses_commands_and_heals() {
    let disk = SimDisk::new();
    let mut config = config();
    config.io = IoMode::Thread;
    let (raft, _) = begin(&disk, config.clone()).await;
    raft.shutdown().await;
    drop(raft);
    disk.kill();
    let spare = PathBuf::from("/q/log/spare.log");
    if disk.read(&spare).is_some() {
        disk.mount().remove(&spare).unwrap();
    }
    disk.limit_space(Some(0));
    let start = || try_start(Arc::new(disk.mount()), PathBuf::from("/q"), config.clone());
    let (raft, _) = start().await.unwrap();
    lead(&raft).await;
    let refused = loop {
        match raft.propose(vec![b'x'; 1000]).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ProposeError::DiskFull), "{refused}");
    raft.barrier().await.unwrap();
    disk.limit_space(None);
    while let Err(error) = raft.propose(b"healed".to_vec()).await {
        assert!(matches!(error, ProposeError::DiskFull), "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    raft.shutdown().await;
}

/// A failed sync is final: nothing is acknowledged after it, and the process is told to end.
#[test]
fn a_failed_sync_ends_the_node() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, _) = begin(&disk, config()).await;
        raft.propose(b"kept".to_vec()).await.unwrap();
        disk.fail_next_syncs(1);
        let failed = raft.propose(b"lost".to_vec()).await;
        let is_open = matches!(
            failed,
            Err(ProposeError::OutcomeUnknown | ProposeError::Stopped(_))
        );
        assert!(is_open, "{failed:?}");
        let fatal = raft.fatal().await;
        assert!(fatal.to_string().contains("simulated failure"), "{fatal}");
        assert!(matches!(
            raft.propose(b"more".to_vec()).await,
            Err(ProposeError::Stopped(_))
        ));
        raft.shutdown().await;
        disk.crash(3);
        let (raft, journal) = open(&disk).await.unwrap();
        lead(&raft).await;
        assert_eq!(journal.commands()[0], b"kept");
    });
}

#[test]
fn a_state_machine_that_refuses_its_snapshot_stops_the_start() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, _) = begin(&disk, config()).await;
        raft.propose(b"command".to_vec()).await.unwrap();
        raft.trigger_snapshot().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(raft.metrics().snapshot.is_some());
        raft.shutdown().await;
        let fs = Arc::new(disk.mount());
        let dir = PathBuf::from("/q");
        let transport = Arc::new(common::Nobody);
        let started = ottla_raft::Raft::start(config(), fs, dir, transport, common::Picky).await;
        assert!(matches!(started, Err(StartError::Restore { .. })));
    });
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    runtime().block_on(async {
        let mut small = config();
        small.segment_size = 64 << 10;
        let mut hasty = config();
        hasty.timing.election_min = hasty.timing.heartbeat;
        for config in [small, hasty] {
            let fs = Arc::new(SimDisk::new().mount());
            let started = try_start(fs, PathBuf::from("/q"), config).await;
            assert!(matches!(started, Err(StartError::Config(_))));
        }
    });
}

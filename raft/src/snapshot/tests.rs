//! Reading the newest snapshot while the next is written.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::archive::LogIdRecord;
use crate::fs::memory::Memory;

fn meta(index: u64) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: Some(LogIdRecord { term: 1, index }.into()),
        last_membership: engine::StoredMembership::default(),
        snapshot_id: format!("1-{index}"),
    }
}

/// The quorum's runtime asks for the newest snapshot, and a sync may take seconds: it waited for it,
/// and no heartbeat went out.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_newest_snapshot_is_there_while_the_next_is_synced() {
    let memory = Memory::default();
    let fs = Arc::new(memory.clone());
    let snapshots = Snapshots::open(fs, PathBuf::from("/s"), IoMode::Thread).unwrap();
    snapshots.save(meta(1), b"one".to_vec()).await.unwrap();
    let saving = {
        let _slow = memory.syncing.lock().unwrap();
        let saved = snapshots.clone();
        let saving = tokio::spawn(async move { saved.save(meta(2), b"two".to_vec()).await });
        while memory.open(Path::new("/s/snapshot.unfinished")).is_err() {
            std::thread::yield_now();
        }
        let (sender, current) = mpsc::sync_channel(1);
        std::thread::spawn(move || drop(sender.send(snapshots.current())));
        let current = current.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(current.unwrap().state(), b"one");
        saving
    };
    saving.await.unwrap().unwrap();
}

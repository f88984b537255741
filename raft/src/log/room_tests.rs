//! What the log takes while it is not known whether the disk has space.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::LogStore;
use crate::config::{IoMode, RaftConfig};
use crate::fs::Fs;
use crate::fs::memory::Memory;
use crate::types::{ClusterId, DirectoryId, NodeId};

fn open(memory: &Memory) -> LogStore {
    let mut config = RaftConfig::new(ClusterId::default(), NodeId(1), DirectoryId::default());
    config.segment_size = 68 << 10;
    config.io = IoMode::Thread;
    let fs: Arc<dyn Fs> = Arc::new(memory.clone());
    LogStore::open(&fs, PathBuf::from("/log"), &config, None).unwrap()
}

/// Decision 18: a node that starts on a full disk took the first commands on the word that nothing
/// had failed yet, and ended when the active segment was full.
#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "the disk is slow until the test lets go"
)]
async fn commands_beyond_the_active_segment_wait_for_the_next() {
    let memory = Memory::default();
    let spare = Path::new("/log/spare.log");
    let log = open(&memory);
    while memory.open(spare).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(log);
    memory.remove(spare).unwrap();

    let creating = memory.creating.lock().unwrap();
    let log = open(&memory);
    let at_once = |size| timeout(Duration::from_millis(50), log.has_room(size));
    assert_eq!(at_once(1 << 10).await, Ok(true));
    assert!(!log.is_full());
    assert!(at_once(5 << 10).await.is_err());
    // What is on its way counts.
    let claim = log.claim(3 << 10).await.unwrap();
    assert!(at_once(1 << 10).await.is_err());
    drop(claim);
    assert_eq!(at_once(1 << 10).await, Ok(true));
    let waiting = log.claim(5 << 10);
    drop(creating);
    assert!(waiting.await.is_some());
    assert_eq!(at_once(5 << 10).await, Ok(true));
}

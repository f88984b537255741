//! openraft's own storage suite on the log and the state machine, over files in memory.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use openraft::testing::{StoreBuilder, Suite};

use super::LogStore;
use crate::config::{IoMode, RaftConfig};
use crate::engine::{StorageError, Types};
use crate::fs::Fs;
use crate::fs::memory::Memory;
use crate::machine::Machine;
use crate::ports::StateMachine;
use crate::snapshot::Snapshots;
use crate::types::{ClusterId, DirectoryId, LogIndex, NodeId};

#[derive(Default)]
struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _: LogIndex, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        b"nothing".to_vec()
    }

    fn restore(&mut self, _: LogIndex, state: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        if state == b"nothing" {
            Ok(())
        } else {
            Err("not a snapshot of nothing".into())
        }
    }
}

struct InMemory;

impl StoreBuilder<Types, LogStore, Machine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError> {
        let mut config = RaftConfig::new(ClusterId::default(), NodeId(0), DirectoryId::default());
        // Small enough for the suite's logs to cross segments.
        config.segment_size = 4 << 10;
        let fs: Arc<dyn Fs> = Arc::new(Memory::default());
        let log = LogStore::open(&fs, PathBuf::from("/log"), &config, None).unwrap();
        let path = PathBuf::from("/snapshots");
        let snapshots = Snapshots::open(fs, path, IoMode::Thread).unwrap();
        let machine = Machine::open(Box::new(Nothing), snapshots).unwrap();
        Ok(((), log, machine))
    }
}

#[test]
fn the_storage_suite_of_openraft_passes() {
    Suite::test_all(InMemory).unwrap();
}

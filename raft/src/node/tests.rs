//! What a node makes of a directory that a power cut left half way.

use std::error::Error;

use openraft::EntryPayload;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};

use super::*;
use crate::archive::LogIdRecord;
use crate::engine::{Entry, LogId, Membership, SnapshotMeta, StoredMembership, Vote};
use crate::fs::memory::Memory;
use crate::ports::{CallClass, CallFuture, TransportError};
use crate::types::{ClusterId, DirectoryId, Peer};

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _: LogIndex, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: LogIndex, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

struct Nobody;

impl Transport for Nobody {
    fn call<'a>(&'a self, _: &'a Peer, _: CallClass, _: Vec<u8>, _: Duration) -> CallFuture<'a> {
        Box::pin(async { Err(TransportError::Unreachable("there is nobody else".into())) })
    }
}

fn config() -> RaftConfig {
    RaftConfig::new(ClusterId::default(), NodeId(1), DirectoryId::default())
}

fn id(term: u64, index: u64) -> LogId {
    LogIdRecord { term, index }.into()
}

/// The voters, of whom none answers.
fn membership<const N: usize>(voters: [u64; N]) -> Membership {
    let voters: BTreeSet<NodeId> = voters.into_iter().map(NodeId).collect();
    let member = Member {
        directory: DirectoryId::default(),
        address: String::new(),
    };
    let members: BTreeMap<NodeId, Member> =
        voters.iter().map(|node| (*node, member.clone())).collect();
    Membership::new(vec![voters], members)
}

fn open_log(fs: &Arc<dyn Fs>) -> LogStore {
    LogStore::open(fs, PathBuf::from("/q/log"), &config(), None).unwrap()
}

/// A received snapshot was durable, the removal of the log that it replaces was not yet. The node
/// began with the voters that a conflicting entry behind the snapshot's index named.
#[tokio::test]
async fn a_log_older_than_the_snapshot_is_dropped_before_it_is_believed() {
    let fs: Arc<dyn Fs> = Arc::new(Memory::default());
    let mut log = open_log(&fs);
    let mut entries: Vec<Entry> = (0..8)
        .map(|index| Entry {
            log_id: id(1, index),
            payload: EntryPayload::Blank,
        })
        .collect();
    entries[0].payload = EntryPayload::Membership(membership([1, 2, 3]));
    entries[7].payload = EntryPayload::Membership(membership([1, 8, 9]));
    log.save_vote(&Vote::new(3, NodeId(2))).await.unwrap();
    log.blocking_append(entries).await.unwrap();
    log.flush().await.unwrap();
    drop(log);
    let snapshots = Snapshots::open(Arc::clone(&fs), PathBuf::from("/q/snapshots"), config().io);
    let meta = SnapshotMeta {
        last_log_id: Some(id(3, 5)),
        last_membership: StoredMembership::new(Some(id(1, 0)), membership([1, 2, 3])),
        snapshot_id: "3-5".to_owned(),
    };
    snapshots.unwrap().save(meta, Vec::new()).await.unwrap();

    let (files, dir) = (Arc::clone(&fs), PathBuf::from("/q"));
    let started = Raft::start(config(), files, dir, Arc::new(Nobody), Nothing).await;
    let raft = started.unwrap();
    let metrics = raft.metrics();
    let voters: Vec<u64> = metrics.voters.keys().map(|node| node.0).collect();
    assert_eq!(voters, [1, 2, 3]);
    assert_eq!(metrics.log_end, LogIndex(6));
    raft.shutdown().await;
    drop(raft);

    let state = open_log(&fs).get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(id(3, 5)));
    assert_eq!(state.last_log_id, Some(id(3, 5)));
}

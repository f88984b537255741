//! A quorum of one: it elects itself at once, keeps what it acknowledged, and says what went wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_raft::fs::{Fs, StdFs};
use ottla_raft::{
    CallClass, CallFuture, ClusterId, DirectoryId, InitializeError, LogIndex, Member, NodeId, Peer,
    ProposeError, Raft, RaftConfig, StateMachine, Transport, TransportError,
};
use tokio::time::Instant;

const NODE: NodeId = NodeId(1);

/// Commands in the order they were applied.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<Command>>>);

/// Index and bytes.
type Command = (u64, Vec<u8>);

impl StateMachine for Journal {
    fn apply(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8> {
        let mut journal = self.0.lock().unwrap();
        journal.push((index.0, command.to_vec()));
        journal.len().to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, command) in &*self.0.lock().unwrap() {
            out.extend_from_slice(&index.to_le_bytes());
            out.extend_from_slice(&command.len().to_le_bytes());
            out.extend_from_slice(command);
        }
        out
    }

    fn restore(
        &mut self,
        _: LogIndex,
        mut rest: &[u8],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut journal = Vec::new();
        while let Some((index, tail)) = rest.split_first_chunk() {
            let (len, tail) = tail.split_first_chunk().ok_or("cut")?;
            let (command, tail) = tail.split_at(usize::from_le_bytes(*len));
            journal.push((u64::from_le_bytes(*index), command.to_vec()));
            rest = tail;
        }
        *self.0.lock().unwrap() = journal;
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
    RaftConfig::new(ClusterId([7; 16]), NODE, DirectoryId([1; 16]))
}

fn members() -> BTreeMap<NodeId, Member> {
    let member = Member {
        directory: DirectoryId([1; 16]),
        address: "127.0.0.1:9093".to_owned(),
    };
    BTreeMap::from([(NODE, member)])
}

async fn start(fs: Arc<dyn Fs>, dir: PathBuf, config: RaftConfig) -> (Raft, Journal) {
    let journal = Journal::default();
    let raft = Raft::start(config, fs, dir, Arc::new(Nobody), journal.clone())
        .await
        .unwrap();
    (raft, journal)
}

async fn lead(raft: &Raft) {
    let mut leadership = raft.leadership();
    leadership
        .wait_for(|now| now.leader == Some(NODE))
        .await
        .unwrap();
}

#[tokio::test]
async fn it_elects_itself_applies_and_reads_its_own_writes() {
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let (raft, journal) = start(Arc::new(StdFs), dir.path().to_owned(), config()).await;
    let opened = begun.elapsed();
    raft.initialize(members()).await.unwrap();
    lead(&raft).await;
    raft.barrier().await.unwrap();
    let ready = begun.elapsed();
    let applied = raft.propose(b"one".to_vec()).await.unwrap();
    assert_eq!(applied.response, 1_usize.to_le_bytes());
    let read = raft.barrier().await.unwrap();
    assert!(read >= applied.index);
    assert_eq!(journal.0.lock().unwrap().last().unwrap().1, b"one");
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
    let (raft, journal) = start(Arc::new(StdFs), dir.path().to_owned(), config()).await;
    lead(&raft).await;
    raft.barrier().await.unwrap();
    println!("restarted and leading {:?}", begun.elapsed());
    assert_eq!(journal.0.lock().unwrap().len(), 201);
}

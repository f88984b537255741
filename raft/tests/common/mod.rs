//! A quorum of one on a disk in memory, whose state is the list of its commands.

#![allow(dead_code, reason = "each test target uses its own part")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_jepsen::disk::SimDisk;
use ottla_raft::fs::Fs;
use ottla_raft::{
    CallClass, CallFuture, ClusterId, DirectoryId, IoMode, LogIndex, Member, NodeId, Peer, Raft,
    RaftConfig, StartError, StateMachine, Transport, TransportError,
};

pub(crate) const NODE: NodeId = NodeId(1);
pub(crate) const CLUSTER: ClusterId = ClusterId([7; 16]);
pub(crate) const DIRECTORY: DirectoryId = DirectoryId([1; 16]);
pub(crate) const FIRST_SEGMENT: &str = "/q/log/00000000000000000001.log";

/// Index and bytes.
pub(crate) type Command = (u64, Vec<u8>);

/// Commands in the order they were applied.
#[derive(Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Command>>>);

impl Journal {
    pub(crate) fn commands(&self) -> Vec<Vec<u8>> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|(_, command)| command.clone())
            .collect()
    }
}

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

pub(crate) struct Nobody;

impl Transport for Nobody {
    fn call<'a>(&'a self, _: &'a Peer, _: CallClass, _: Vec<u8>, _: Duration) -> CallFuture<'a> {
        Box::pin(async { Err(TransportError::Unreachable("there is nobody else".into())) })
    }
}

/// Small files, and I/O on the runtime.
pub(crate) fn config() -> RaftConfig {
    let mut config = RaftConfig::new(CLUSTER, NODE, DIRECTORY);
    config.command_size_max = 1 << 10;
    config.segment_size = 66 << 10;
    config.io = IoMode::Task {
        delay_max: Duration::ZERO,
    };
    config.seed = Some(1);
    config
}

pub(crate) fn members() -> BTreeMap<NodeId, Member> {
    let member = Member {
        directory: DIRECTORY,
        address: "127.0.0.1:9093".to_owned(),
    };
    BTreeMap::from([(NODE, member)])
}

pub(crate) async fn try_start(
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    config: RaftConfig,
) -> Result<(Raft, Journal), StartError> {
    let journal = Journal::default();
    let raft = Raft::start(config, fs, dir, Arc::new(Nobody), journal.clone()).await?;
    Ok((raft, journal))
}

/// Opens what is on the disk under `/q`.
pub(crate) async fn open(disk: &SimDisk) -> Result<(Raft, Journal), StartError> {
    try_start(Arc::new(disk.mount()), PathBuf::from("/q"), config()).await
}

pub(crate) async fn lead(raft: &Raft) {
    let mut leadership = raft.leadership();
    leadership
        .wait_for(|now| now.leader == Some(NODE))
        .await
        .unwrap();
    raft.barrier().await.unwrap();
}

/// A new quorum of one on `disk`.
pub(crate) async fn begin(disk: &SimDisk, config: RaftConfig) -> (Raft, Journal) {
    let started = try_start(Arc::new(disk.mount()), PathBuf::from("/q"), config).await;
    let (raft, journal) = started.unwrap();
    raft.initialize(members()).await.unwrap();
    lead(&raft).await;
    (raft, journal)
}

pub(crate) fn segment(disk: &SimDisk) -> Vec<u8> {
    disk.read(Path::new(FIRST_SEGMENT)).unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// A state machine that restores nothing.
pub(crate) struct Picky;

impl StateMachine for Picky {
    fn apply(&mut self, _: LogIndex, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: LogIndex, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Err("not mine".into())
    }
}

//! A node of the quorum: what the rest of the program holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::error::{
    ChangeMembershipError, CheckIsLeaderError, ClientWriteError, ForwardToLeader, RaftError,
};
use openraft::{ChangeMembers, Config, ServerState, SnapshotPolicy};
use tokio::sync::watch;

use crate::config::RaftConfig;
use crate::engine::{self, Command, Engine};
use crate::error::{
    BarrierError, Fatal, InitializeError, MembershipError, ProposeError, StartError,
};
use crate::fs::Fs;
use crate::handler::Pieces;
use crate::log::LogStore;
use crate::machine::Machine;
use crate::network::{Contacts, Network};
use crate::ports::{StateMachine, Transport};
use crate::progress::Progress;
use crate::rpc::Identity;
use crate::snapshot::Snapshots;
use crate::types::{Leadership, LogIndex, Member, NodeId, Term};
use crate::{Applied, Metrics};

#[cfg(test)]
mod tests;

/// Where the log lies in the node's directory.
const LOG: &str = "log";
/// Entries that one append carries at most; [`LogStore`] limits their bytes.
const APPEND_ENTRIES_MAX: u64 = 300;
const SNAPSHOT_PIECE_SIZE: u64 = 1 << 20;
/// For one piece of a snapshot, the last one's installation included.
const SNAPSHOT_PIECE_TIMEOUT: Duration = Duration::from_secs(10);

/// A running node of a quorum. Clones are the same node.
///
/// It lives on the runtime that started it. Every method may be called from any thread.
#[derive(Clone)]
pub struct Raft {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: RaftConfig,
    pub(crate) engine: Engine,
    pub(crate) log: LogStore,
    /// Of the snapshot that a leader is sending.
    pub(crate) pieces: tokio::sync::Mutex<Pieces>,
    snapshots: Snapshots,
    contacts: Arc<Contacts>,
    progress: Progress,
    applied: watch::Receiver<Option<LogIndex>>,
    leadership: watch::Receiver<Leadership>,
    fatal: watch::Receiver<Option<Fatal>>,
}

impl std::fmt::Debug for Raft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raft")
            .field("node", &self.inner.config.node)
            .finish_non_exhaustive()
    }
}

impl Raft {
    /// Whether a log was begun in `dir`: [`Raft::start`] begins one where there is none, so whoever knows that there was
    /// one has to ask first.
    ///
    /// # Errors
    ///
    /// The directory exists and can't be read.
    pub fn has_log(fs: &dyn Fs, dir: &Path) -> io::Result<bool> {
        LogStore::is_begun(fs, &dir.join(LOG))
    }

    /// Opens the log and the snapshots in `dir`, restores the state machine and joins the quorum
    /// that the log tells of. Must be called within a tokio runtime.
    ///
    /// A quorum whose only voter is this node elects it at once.
    ///
    /// # Errors
    ///
    /// What is on disk can't be read, is damaged where it was durable, or is of a newer version.
    pub async fn start(
        config: RaftConfig,
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        transport: Arc<dyn Transport>,
        machine: impl StateMachine,
    ) -> Result<Self, StartError> {
        if u64::from(config.command_size_max) + (64 << 10) > u64::from(config.segment_size) {
            return Err(StartError::Config("a command must fit into a segment"));
        }
        engine::seed_this_thread(config.seed);
        fs.create_dir(&dir).map_err(|source| StartError::Io {
            action: "create directory",
            path: dir.clone(),
            source,
        })?;
        let snapshots = Snapshots::open(Arc::clone(&fs), dir.join("snapshots"), config.io)?;
        let coverage = snapshots.coverage();
        let machine = Machine::open(Box::new(machine), snapshots.clone())?;
        let applied = machine.applied();
        let log = LogStore::open(&fs, dir.join(LOG), &config, Some(coverage))?;
        if let Some(snapshot) = machine.last_applied() {
            let replaced = log.replace_if_older(snapshot).await;
            replaced.map_err(|source| StartError::Io {
                action: "drop what a snapshot replaces from",
                path: dir.join(LOG),
                source,
            })?;
        }
        let contacts = Arc::new(Contacts::default());
        let network = Network {
            transport,
            cluster: config.cluster,
            local: Identity {
                node: config.node.0,
                directory: config.directory.0,
            },
            contacts: Arc::clone(&contacts),
        };
        let engine_config = Arc::new(engine_config(&config)?);
        let engine = Engine::new(config.node, engine_config, network, log.clone(), machine)
            .await
            .map_err(|error| StartError::Engine(fatal(error)))?;
        elect_if_alone(&engine, config.node)
            .await
            .map_err(|error| StartError::Engine(fatal(error)))?;
        let (leadership, fatal) = watch_engine(&engine, &log);
        let progress = Progress::start(&engine);
        let inner = Inner {
            config,
            engine,
            log,
            pieces: tokio::sync::Mutex::default(),
            snapshots,
            contacts,
            progress,
            applied,
            leadership,
            fatal,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether this node knows of a quorum: it was initialised, or it has heard from one.
    ///
    /// # Errors
    ///
    /// The node has stopped.
    pub async fn is_initialized(&self) -> Result<bool, Fatal> {
        self.inner.engine.is_initialized().await.map_err(fatal)
    }

    /// Begins a quorum of these voters. Exactly one node of a new cluster calls this, once.
    ///
    /// # Errors
    ///
    /// The log is not empty, or the members don't include this node with its directory.
    pub async fn initialize(
        &self,
        members: BTreeMap<NodeId, Member>,
    ) -> Result<(), InitializeError> {
        let config = &self.inner.config;
        if members.get(&config.node).map(|own| own.directory) != Some(config.directory) {
            return Err(InitializeError::NotAMember);
        }
        self.inner
            .engine
            .initialize(members)
            .await
            .map_err(|error| match error {
                RaftError::APIError(error) => match error {
                    openraft::error::InitializeError::NotAllowed(_) => InitializeError::NotEmpty,
                    openraft::error::InitializeError::NotInMembers(_) => {
                        InitializeError::NotAMember
                    }
                },
                RaftError::Fatal(error) => InitializeError::Stopped(fatal(error)),
            })
    }

    /// Replicates a command and returns the state machine's answer to it, once this node has
    /// applied it. Commands proposed one after the other without waiting keep their order.
    ///
    /// # Errors
    ///
    /// See [`ProposeError`]: all but `OutcomeUnknown` and `Stopped` say that the command was not
    /// taken. After `Stopped` the outcome is unknown too if the node stopped meanwhile.
    pub async fn propose(&self, command: Vec<u8>) -> Result<Applied, ProposeError> {
        let inner = &*self.inner;
        inner.check_running()?;
        let max = usize::try_from(inner.config.command_size_max).unwrap_or(usize::MAX);
        if command.len() > max {
            return Err(ProposeError::TooLarge {
                size: command.len(),
                max,
            });
        }
        let (term, leader) = inner.current_leader();
        if leader != Some(inner.config.node) {
            return Err(ProposeError::NotLeader { leader });
        }
        let Some(_claim) = inner.log.claim(command.len()).await else {
            return Err(ProposeError::DiskFull);
        };
        let taken = Arc::new(AtomicBool::new(false));
        let command = Command::proposed(command, Arc::clone(&taken));
        let written = tokio::select! {
            biased;
            written = inner.engine.client_write(command) => written,
            () = inner.leadership_lost(term) => return Err(ProposeError::OutcomeUnknown),
        };
        match written {
            Ok(written) => Ok(Applied {
                index: LogIndex(written.log_id.index),
                response: written.data.0,
            }),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_)))
                if taken.load(Ordering::Acquire) =>
            {
                Err(ProposeError::OutcomeUnknown)
            }
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(ProposeError::NotLeader {
                    leader: forward.leader_id,
                })
            }
            // Only membership changes are answered so.
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(_))) => {
                Err(ProposeError::OutcomeUnknown)
            }
            Err(RaftError::Fatal(error)) => Err(ProposeError::Stopped(fatal(error))),
        }
    }

    /// Returns once this node, confirmed as the leader by a majority, has applied every command
    /// that was committed anywhere before the call (Q3). The state machine may now be read.
    ///
    /// # Errors
    ///
    /// This node does not lead, or no majority answered within a heartbeat.
    pub async fn barrier(&self) -> Result<LogIndex, BarrierError> {
        let inner = &*self.inner;
        inner.check_running()?;
        let (term, leader) = inner.current_leader();
        if leader != Some(inner.config.node) {
            return Err(BarrierError::NotLeader { leader });
        }
        let confirmed = tokio::select! {
            biased;
            confirmed = inner.engine.ensure_linearizable() => confirmed,
            () = inner.leadership_lost(term) => {
                return Err(BarrierError::NotLeader { leader: inner.current_leader().1 });
            }
        };
        match confirmed {
            Ok(read) => Ok(LogIndex(read.map_or(0, |id| id.index))),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(forward))) => {
                Err(BarrierError::NotLeader {
                    leader: forward.leader_id,
                })
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                Err(BarrierError::NoQuorum)
            }
            Err(RaftError::Fatal(error)) => Err(BarrierError::Stopped(fatal(error))),
        }
    }

    /// Who leads, as it changes.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.clone()
    }

    /// The last entry applied to the state machine; entries that are not commands count.
    pub fn applied(&self) -> watch::Receiver<Option<LogIndex>> {
        self.inner.applied.clone()
    }

    /// A picture of this node now.
    pub fn metrics(&self) -> Metrics {
        let inner = &*self.inner;
        let engine = inner.engine.metrics().borrow().clone();
        let next = |index: Option<u64>| LogIndex(index.map_or(0, |index| index + 1));
        let index = |id: engine::LogId| LogIndex(id.index);
        let membership = engine.membership_config.membership();
        let voters: BTreeSet<NodeId> = membership.voter_ids().collect();
        let voter_sets = membership.get_joint_config().clone();
        let (voters, observers) = membership
            .nodes()
            .map(|(node, member)| (*node, member.clone()))
            .partition(|(node, _)| voters.contains(node));
        let committed = inner
            .log
            .committed()
            .max(engine.last_applied.map(|id| id.index));
        Metrics {
            node: inner.config.node,
            term: Term(engine.current_term),
            leader: engine.current_leader,
            log_end: next(inner.log.last()),
            high_watermark: next(committed),
            applied: *inner.applied.borrow(),
            snapshot: engine.snapshot.map(index),
            purged: engine.purged.map(index),
            voters,
            voter_sets,
            observers,
            replicas: inner.progress.replicas(&engine, &inner.contacts),
            is_disk_full: inner.is_disk_full(),
        }
    }

    /// Adds a node that follows without a vote, or changes what is known of it. Returns where
    /// the change stands in the log; the node catches up later.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn add_learner(
        &self,
        node: NodeId,
        member: Member,
    ) -> Result<LogIndex, MembershipError> {
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(node, member)])))
            .await
    }

    /// Says where a member is now. Its directory stays: the same voter at another place.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn set_address(
        &self,
        node: NodeId,
        address: String,
    ) -> Result<LogIndex, MembershipError> {
        let Metrics {
            voters, observers, ..
        } = self.metrics();
        let known = voters.get(&node).or_else(|| observers.get(&node));
        let Some(Member { directory, .. }) = known.cloned() else {
            return Err(MembershipError::NotALearner { node });
        };
        let member = Member { directory, address };
        self.change(ChangeMembers::SetNodes(BTreeMap::from([(node, member)])))
            .await
    }

    /// Makes these nodes, all of them voters or learners already, the voters. A voter that is not
    /// among them leaves the quorum.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn change_voters(
        &self,
        voters: BTreeSet<NodeId>,
    ) -> Result<LogIndex, MembershipError> {
        self.change(ChangeMembers::ReplaceAllVoters(voters)).await
    }

    /// Removes a learner.
    ///
    /// # Errors
    ///
    /// See [`MembershipError`].
    pub async fn remove_learner(&self, node: NodeId) -> Result<LogIndex, MembershipError> {
        self.change(ChangeMembers::RemoveNodes(BTreeSet::from([node])))
            .await
    }

    async fn change(
        &self,
        change: ChangeMembers<NodeId, Member>,
    ) -> Result<LogIndex, MembershipError> {
        let inner = &*self.inner;
        inner.check_running()?;
        let (term, leader) = inner.current_leader();
        if leader != Some(inner.config.node) {
            return Err(MembershipError::NotLeader { leader });
        }
        let changed = tokio::select! {
            biased;
            changed = inner.engine.change_membership(change, false) => changed,
            () = inner.leadership_lost(term) => return Err(MembershipError::OutcomeUnknown),
        };
        match changed {
            Ok(changed) => Ok(LogIndex(changed.log_id.index)),
            // openraft says the same of a change that it took and then lost.
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(ForwardToLeader {
                ..
            }))) => Err(MembershipError::OutcomeUnknown),
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                Err(match error {
                    ChangeMembershipError::InProgress(_) => MembershipError::InProgress,
                    ChangeMembershipError::EmptyMembership(_) => MembershipError::NoVoters,
                    ChangeMembershipError::LearnerNotFound(missing) => {
                        MembershipError::NotALearner {
                            node: missing.node_id,
                        }
                    }
                })
            }
            Err(RaftError::Fatal(error)) => Err(MembershipError::Stopped(fatal(error))),
        }
    }

    /// Has a snapshot taken in the background.
    ///
    /// # Errors
    ///
    /// The node has stopped.
    pub async fn trigger_snapshot(&self) -> Result<(), Fatal> {
        self.inner.engine.trigger().snapshot().await.map_err(fatal)
    }

    /// Waits until this node can't go on, and says why: the process must end. It never returns
    /// while the node is well, nor because of [`Raft::shutdown`].
    pub async fn fatal(&self) -> Fatal {
        let mut watched = self.inner.fatal.clone();
        loop {
            if let Some(fatal) = &*watched.borrow_and_update() {
                return fatal.clone();
            }
            if watched.changed().await.is_err() {
                // Shut down: there is nothing to wait for any more, and nothing to report.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops the node and makes what it knows durable. Later calls answer `Stopped`, and the directory is not
    /// touched any more.
    pub async fn shutdown(&self) {
        self.inner.snapshots.stop_waiting();
        if let Err(error) = self.inner.engine.shutdown().await {
            tracing::warn!(%error, "the consensus engine did not stop cleanly");
        }
        self.inner.snapshots.close().await;
        // An error was reported as fatal already; what was acknowledged is durable anyway.
        let _ = self.inner.log.flush().await;
    }
}

impl Inner {
    /// The log or a snapshot waits for space.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.log.is_full() || self.snapshots.is_full()
    }

    fn check_running(&self) -> Result<(), Fatal> {
        match &*self.fatal.borrow() {
            Some(fatal) => Err(fatal.clone()),
            None => Ok(()),
        }
    }

    fn current_leader(&self) -> (Term, Option<NodeId>) {
        let metrics = self.engine.server_metrics();
        let metrics = metrics.borrow();
        (Term(metrics.vote.leader_id.term), metrics.current_leader)
    }

    /// Returns once this node is known not to lead `term` any more.
    async fn leadership_lost(&self, term: Term) {
        let mut metrics = self.engine.server_metrics();
        let node = self.config.node;
        let lost = metrics.wait_for(|metrics| {
            let leader = (Term(metrics.vote.leader_id.term), metrics.current_leader);
            leader != (term, Some(node))
        });
        // Without a sender the engine is gone, and with it the leadership.
        drop(lost.await);
    }
}

fn fatal(error: openraft::error::Fatal<NodeId>) -> Fatal {
    Fatal(Arc::new(error))
}

fn engine_config(config: &RaftConfig) -> Result<Config, StartError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let engine_config = Config {
        cluster_name: "ottla".to_owned(),
        heartbeat_interval: millis(config.timing.heartbeat),
        election_timeout_min: millis(config.timing.election_min),
        election_timeout_max: millis(config.timing.election_max),
        install_snapshot_timeout: millis(SNAPSHOT_PIECE_TIMEOUT),
        snapshot_max_chunk_size: SNAPSHOT_PIECE_SIZE,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(config.snapshot_every.max(1)),
        max_in_snapshot_log_to_keep: config.entries_kept,
        // A follower that needs entries which are gone gets a snapshot, whatever the distance.
        replication_lag_threshold: config.snapshot_every.saturating_add(config.entries_kept),
        max_payload_entries: APPEND_ENTRIES_MAX,
        ..Config::default()
    };
    engine_config
        .validate()
        .map_err(|_| StartError::Config("heartbeat < election_min < election_max must hold"))
}

/// Nobody else can win: waiting for a timeout would only delay the start.
async fn elect_if_alone(
    engine: &Engine,
    node: NodeId,
) -> Result<(), openraft::error::Fatal<NodeId>> {
    let is_alone = engine
        .with_raft_state(move |state| {
            let membership = state.membership_state.effective().membership();
            let is_alone = membership.voter_ids().eq([node]);
            is_alone && state.server_state != ServerState::Leader
        })
        .await?;
    if is_alone {
        engine.trigger().elect().await
    } else {
        Ok(())
    }
}

/// Follows the engine and the log for as long as the engine lives.
fn watch_engine(
    engine: &Engine,
    log: &LogStore,
) -> (watch::Receiver<Leadership>, watch::Receiver<Option<Fatal>>) {
    let (leadership, leadership_watch) = watch::channel(Leadership::default());
    let (fatal_sender, fatal_watch) = watch::channel(None);
    let mut metrics = engine.metrics();
    let mut log_failure = log.failure();
    tokio::spawn(async move {
        loop {
            let now = {
                let metrics = metrics.borrow_and_update();
                let term = Term(metrics.current_term);
                let stopped = metrics.running_state.clone().err();
                (
                    Leadership {
                        term,
                        leader: metrics.current_leader,
                    },
                    stopped,
                )
            };
            leadership.send_if_modified(|current| {
                let is_new = *current != now.0;
                *current = now.0;
                is_new
            });
            let log_failed = log_failure.borrow_and_update().clone();
            let stopped = now
                .1
                .filter(|error| *error != openraft::error::Fatal::Stopped);
            if let Some(reason) = log_failed.or_else(|| stopped.map(fatal)) {
                fatal_sender.send_replace(Some(reason));
                return;
            }
            tokio::select! {
                changed = metrics.changed() => if changed.is_err() { return },
                changed = log_failure.changed() => if changed.is_err() { return },
            }
        }
    });
    (leadership_watch, fatal_watch)
}

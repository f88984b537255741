//! The metadata quorum over the network: how a node finds or begins one, and how its members speak.
//!
//! - Q: what the quorum promises is `raft/`'s business; here are its start, its listener and its connections.
//! - The listener is there before the quorum is: nodes that begin together find each other through it.
//! - The leader keeps the membership in step with the disks that answer.
//! - The disk knows its cluster before the quorum's log holds a word of it, so no log is ever read for another cluster.

mod bootstrap;
mod hello;
mod keeper;
mod listener;
mod members;
mod transport;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ottla_raft::{
    ClusterId, DirectoryId, InitializeError, Member, NodeId, Raft, RaftConfig, StateMachine,
};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::config::Peer;
use crate::metadata::BrokerId;
use crate::net::{ConnectionLimits, Guard, Listener, ListenerConfig, Server};

use bootstrap::{Step, Waiting};
use hello::{Hello, PeersDigest};
use transport::Peers;

use listener::Doors;
pub use listener::{BrokerConnection, BrokerDoor, CallAnswer, ServeBrokers};
pub use transport::Carriers;

/// Between two rounds of questions.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How often a node that waits says again what for.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// How long calls may take to finish once the node stops.
const GRACE: Duration = Duration::from_secs(1);
/// The largest call: a client's request, of as many bytes as brokers accept unless told otherwise, in its envelope.
/// Appends and pieces of snapshots are of a MiB or little more.
const FRAME_BYTES: u32 = (100 << 20) + (1 << 20);
/// What a TLS client says first, taken for the size of a frame: it must be refused, not waited for.
const TLS_HELLO: u32 = 0x1603_0000;
const _: () = assert!(FRAME_BYTES < TLS_HELLO);
const IN_FLIGHT_BYTES: usize = 64 << 20;
/// An election must not wait for room that a snapshot or a client's request takes: votes, heartbeats and appends of
/// small entries have some of their own.
const GUARD: Guard = Guard {
    frame_within: Duration::from_secs(10),
    small_in_flight_bytes: Some(IN_FLIGHT_BYTES),
    silence_max: Some(Duration::from_secs(10)),
};
const CONNECTION_COUNT_MAX: usize = 10_000;

/// Where the cluster that a disk belongs to is kept.
pub trait ClusterIdentity: Send + Sync {
    /// The cluster, if the disk belongs to one.
    fn cluster(&self) -> Option<Uuid>;

    /// A cluster that nobody has named yet.
    fn new_cluster(&self) -> Uuid;

    /// Binds the disk to a cluster, durably. The same one again is fine.
    ///
    /// # Errors
    /// It belongs to another, or can't be written.
    fn bind(&self, cluster: Uuid) -> Result<(), Box<dyn Error + Send + Sync>>;

    /// What the disks know of this node's part of the quorum's log.
    fn quorum_log(&self) -> QuorumLog;

    /// Notes, durably, that the disk holds it from now on.
    ///
    /// # Errors
    /// It can't be written.
    fn note_quorum_log(&self) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// Where a node's part of the quorum's log is, as its disks know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumLog {
    /// Nowhere: there was none yet.
    None,
    /// Where it should be. If it is not there, votes and commits are forgotten.
    Here,
    /// It was on another disk, which is gone or is not the first one any more.
    Elsewhere,
}

/// What a node needs to belong to a quorum.
pub struct QuorumConfig {
    /// This node.
    pub node: BrokerId,
    /// The directory that holds its quorum log.
    pub directory: Uuid,
    /// All nodes that were named at the start, this one among them; empty for a node alone.
    pub peers: Vec<Peer>,
    /// Where the quorum log lies.
    pub log_dir: PathBuf,
    /// The disk of the quorum log.
    pub disk: Arc<dyn ottla_raft::fs::Fs>,
    /// What the disk knows of its cluster.
    pub identity: Arc<dyn ClusterIdentity>,
}

/// Why a node does not belong to a quorum.
#[derive(Debug, thiserror::Error)]
pub enum QuorumError {
    /// The quorum listener.
    #[error("start the quorum listener: {0}")]
    Listen(#[from] crate::net::StartError),
    /// The disk belongs to another cluster, or can't be written.
    #[error("{0}")]
    Bind(#[source] Box<dyn Error + Send + Sync>),
    /// The quorum's log.
    #[error("start the metadata quorum: {0}")]
    Start(#[from] ottla_raft::StartError),
    /// The log is gone, the disk's identity is not: with both, this node would vote against what it has promised.
    #[error(
        "{dir} held this node's part of the quorum's log, which is gone: restore it, or start the node with an empty data \
         directory, whose vote the others take in anew"
    )]
    LogLost {
        /// Where it was.
        dir: PathBuf,
    },
    /// A node alone has its data, and not the log that knows what they are.
    #[error(
        "{dir} is new, and the other data directories belong to a cluster whose quorum's log is not there: give --data in \
         the order that it had, or set metadata.log.dir to the directory that holds the log"
    )]
    LogElsewhere {
        /// Where it should be.
        dir: PathBuf,
    },
    /// The quorum's log can't be looked for.
    #[error("look for the quorum's log in {dir}: {source}")]
    Look {
        /// Where.
        dir: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The quorum was begun by others.
    #[error("begin the metadata quorum: {0}")]
    Initialize(#[from] InitializeError),
    /// The quorum stopped while the node started.
    #[error("the metadata quorum stopped: {0}")]
    Fatal(#[from] ottla_raft::Fatal),
}

/// This node's place in the quorum.
#[derive(Debug)]
pub struct QuorumMember {
    /// The replicated log.
    pub raft: Raft,
    /// The cluster.
    pub cluster: Uuid,
    /// Where brokers ask this node.
    pub door: BrokerDoor,
    server: Option<Server>,
    keeper: JoinHandle<()>,
}

impl QuorumMember {
    /// Finds the quorum that this node belongs to, or begins one. Returns as soon as there is a cluster: that a leader
    /// is known may take longer. Must be called within a runtime that lives as long as the node.
    ///
    /// # Errors
    /// [`QuorumError`]. What an operator can mend while the node runs is waited for instead, and said in the log.
    pub async fn start(
        config: QuorumConfig,
        listener: Option<Listener>,
        machine: impl StateMachine,
    ) -> Result<Self, QuorumError> {
        let me = Hello {
            node: config.node,
            directory: config.directory,
            cluster: config.identity.cluster(),
            // A cluster whose quorum was on another disk has one: nobody may begin it again.
            is_initialized: config.identity.quorum_log() == QuorumLog::Elsewhere,
            peers: PeersDigest::of(&config.peers),
        };
        let doors = Doors::new(me);
        let serve = |listener| Server::start_guarded(listener, &listener_config(), GUARD, &doors);
        let server = listener.map(serve).transpose()?;
        let asking = Asking {
            me: config.node,
            peers: config.peers.clone(),
            connections: Peers::new(&config.peers),
            doors: doors.clone(),
        };
        let mut search = Search {
            config,
            doors,
            asking,
            raft: None,
        };
        let raft = search.run(machine).await?;
        let cluster = search.doors.hello().cluster.unwrap_or_default();
        let door = BrokerDoor(search.doors);
        tokio::spawn(keeper::say_who_leads(raft.clone()));
        let keeper = tokio::spawn(keeper::run(raft.clone(), search.asking));
        Ok(Self {
            raft,
            cluster,
            door,
            server,
            keeper,
        })
    }

    /// Ends the quorum's work on this node; what it knows is durable afterwards.
    pub async fn stop(self) {
        self.keeper.abort();
        self.raft.shutdown().await;
        if let Some(server) = self.server {
            // The server's threads end on their own; waiting for them must not hold up the runtime.
            let ended = tokio::task::spawn_blocking(move || server.stop()).await;
            if ended.is_err() {
                tracing::error!("the quorum listener panicked");
            }
        }
    }
}

/// The peers that were named at the start, and the way to ask them who they are.
struct Asking {
    me: BrokerId,
    peers: Vec<Peer>,
    connections: Peers,
    doors: Doors,
}

impl Asking {
    /// Every other peer that answers, and what it says; all are asked at once.
    async fn ask_all(&self) -> BTreeMap<BrokerId, Hello> {
        let me = self.doors.hello();
        let mut asking = tokio::task::JoinSet::new();
        let others = self.peers.iter();
        for peer in others.filter(|peer| peer.id != self.me) {
            let (peers, id, address) = (self.connections.clone(), peer.id, peer.address());
            asking.spawn(async move { (id, peers.ask(address, &me).await) });
        }
        let mut answers = BTreeMap::new();
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((peer, Ok(hello))) => {
                    answers.insert(peer, hello);
                }
                Ok((peer, Err(error))) => tracing::debug!(%peer, %error, "a peer did not answer"),
                Err(error) => tracing::error!(%error, "asking a peer"),
            }
        }
        answers
    }
}

/// The way from a disk to a quorum.
struct Search {
    config: QuorumConfig,
    doors: Doors,
    asking: Asking,
    raft: Option<Raft>,
}

impl Search {
    async fn run(&mut self, machine: impl StateMachine) -> Result<Raft, QuorumError> {
        let mut machine = Some(machine);
        let mut said = Said::default();
        let me = self.doors.hello();
        if me.is_initialized && self.asking.peers.len() < 2 {
            let dir = self.config.log_dir.clone();
            return Err(QuorumError::LogElsewhere { dir });
        }
        if let Some(cluster) = me.cluster {
            let raft = self.open(cluster, &mut machine).await?;
            if me.is_initialized || raft.is_initialized().await? {
                return Ok(raft);
            }
        }
        loop {
            let answers = self.asking.ask_all().await;
            let me = self.doors.hello();
            match bootstrap::decide(&me, &self.ids(), &answers) {
                Step::Wait(waiting) => {
                    said.say(waiting);
                    tokio::time::sleep(ASK_EVERY).await;
                }
                Step::Join { cluster } => {
                    tracing::info!(%cluster, "joining the quorum of a cluster that exists");
                    return self.open(cluster, &mut machine).await;
                }
                Step::Initialize { cluster, members } => {
                    let cluster = cluster.unwrap_or_else(|| self.config.identity.new_cluster());
                    let raft = self.open(cluster, &mut machine).await?;
                    raft.initialize(self.members(&members)).await?;
                    return Ok(raft);
                }
            }
        }
    }

    /// Binds the disk to the cluster and opens the quorum's log, unless that is done.
    async fn open(
        &mut self,
        cluster: Uuid,
        machine: &mut Option<impl StateMachine>,
    ) -> Result<Raft, QuorumError> {
        if let Some(raft) = &self.raft {
            return Ok(raft.clone());
        }
        let identity = &self.config.identity;
        identity.bind(cluster).map_err(QuorumError::Bind)?;
        let config = RaftConfig::new(
            ClusterId(*cluster.as_bytes()),
            node_id(self.config.node),
            DirectoryId(*self.config.directory.as_bytes()),
        );
        let (disk, dir) = (self.config.disk.clone(), self.config.log_dir.clone());
        if identity.quorum_log() == QuorumLog::Here {
            match Raft::has_log(&*disk, &dir) {
                Ok(true) => (),
                Ok(false) => return Err(QuorumError::LogLost { dir }),
                Err(source) => return Err(QuorumError::Look { dir, source }),
            }
        }
        let machine = machine.take();
        let machine = machine.ok_or(ottla_raft::StartError::Config("started twice"))?;
        let raft = Raft::start(
            config,
            disk,
            dir,
            Arc::new(self.asking.connections.clone()),
            machine,
        )
        .await?;
        // Before anybody is answered: what is promised from here on must not be forgotten.
        self.config
            .identity
            .note_quorum_log()
            .map_err(QuorumError::Bind)?;
        self.doors.set_cluster(cluster);
        self.doors.open(raft.clone());
        self.raft = Some(raft.clone());
        Ok(raft)
    }

    fn ids(&self) -> Vec<BrokerId> {
        if self.config.peers.is_empty() {
            return vec![self.config.node];
        }
        self.config.peers.iter().map(|peer| peer.id).collect()
    }

    fn members(&self, directories: &BTreeMap<BrokerId, Uuid>) -> BTreeMap<NodeId, Member> {
        let peers = &self.config.peers;
        let member = |(node, directory): (&BrokerId, &Uuid)| {
            let address = peers
                .iter()
                .find(|peer| peer.id == *node)
                .map(Peer::address);
            let member = members::member(*directory, address.unwrap_or_default());
            (node_id(*node), member)
        };
        directories.iter().map(member).collect()
    }
}

/// Says what a node waits for: once, when it changes, and from time to time.
#[derive(Default)]
struct Said {
    last: Option<(Waiting, tokio::time::Instant)>,
}

impl Said {
    fn say(&mut self, waiting: Waiting) {
        let now = tokio::time::Instant::now();
        let is_said = |(last, at): &(Waiting, tokio::time::Instant)| {
            *last == waiting && now.duration_since(*at) < SAY_EVERY
        };
        if !self.last.as_ref().is_some_and(is_said) {
            tracing::warn!("{waiting}");
            self.last = Some((waiting, now));
        }
    }
}

/// A broker is the quorum's node of the same number.
pub fn node_id(broker: BrokerId) -> NodeId {
    NodeId(u64::from(broker.get().unsigned_abs()))
}

fn listener_config() -> ListenerConfig {
    ListenerConfig {
        core_count: 1,
        connection_count_max: CONNECTION_COUNT_MAX,
        connections_per_ip_max: CONNECTION_COUNT_MAX,
        in_flight_bytes: IN_FLIGHT_BYTES,
        connection: ConnectionLimits {
            frame_bytes: FRAME_BYTES,
            in_flight_count: 16,
            in_flight_bytes: IN_FLIGHT_BYTES,
            idle: Duration::MAX,
        },
        grace: GRACE,
    }
}

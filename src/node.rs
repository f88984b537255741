//! The composition root: the only place that knows every component, and the order in which they start and stop.
//!
//! Start: bind the listener (a port in use must cost nothing else), lock and read the data directories, start the
//! quorum and the controller on their thread, register this broker, start the data plane, let the broker in.
//! Stop: the same backwards; logs are flushed and closed before the marker of a clean stop is written.
//!
//! - Nothing is served before the metadata is what the quorum last committed.
//! - Whatever breaks an invariant ends the whole node (fail stop), with the reason in the log.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::broker::Broker;
use crate::config::{Endpoint, Listener as ListenerConfig, NodeConfig};
use crate::controller::JoinError;
use crate::metadata::Publisher;
use crate::net::{Listener, SocketOptions};
use crate::quorum::QuorumError;
use crate::replica::replicas::Outbound;
use crate::replica::{ReplicaMap, Replicas};

mod data_plane;
mod directories;
mod quorum;

use data_plane::DataPlane;
use directories::Directories;
use quorum::QuorumThread;

/// Connections of other nodes that wait to be accepted: few, so this never matters.
const QUORUM_BACKLOG: i32 = 128;

/// The disks that a node works on: the real ones, or those of a test.
#[derive(Clone, Debug)]
pub struct Disks {
    /// For the partitions' logs.
    pub storage: Arc<dyn ottla_storage::fs::Fs>,
    /// For the quorum's log.
    pub raft: Arc<dyn ottla_raft::fs::Fs>,
}

impl Default for Disks {
    fn default() -> Self {
        Self {
            storage: Arc::new(ottla_storage::fs::StdFs),
            raft: Arc::new(ottla_raft::fs::StdFs),
        }
    }
}

/// Why a node did not start: one line that names the thing and the way out.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// More than one peer.
    #[error(
        "--peers names {count} nodes, and this version runs one: leave --peers out, or name this node only"
    )]
    Peers {
        /// How many.
        count: usize,
    },
    /// The quorum's log would lie where no data directory vouches for the disk.
    #[error(
        "metadata.log.dir={dir} is not one of the data directories: leave it out, or name one of --data"
    )]
    MetadataDir {
        /// The directory.
        dir: PathBuf,
    },
    /// The listener's host can't be resolved.
    #[error("listen on {listener}: the host can't be resolved; use an address of this machine")]
    Resolve {
        /// The listener.
        listener: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Another process has the port, or the address is not this machine's.
    #[error(transparent)]
    Listen(#[from] crate::net::StartError),
    /// A data directory.
    #[error(transparent)]
    Directory(#[from] ottla_storage::log_dir::StartError),
    /// Cluster ids that can't be.
    #[error(
        "the cluster id {id:?} of {dir} is not 22 characters of base64: restore meta.properties"
    )]
    ClusterId {
        /// The directory.
        dir: PathBuf,
        /// What it says.
        id: String,
    },
    /// The metadata quorum.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
    /// The controller does not let this broker in.
    #[error("join the cluster: {0}")]
    Join(#[from] JoinError),
    /// The system refuses a thread or a timer.
    #[error("start a thread: {0}")]
    Thread(io::Error),
    /// A thread ended without a word: its panic is in the log.
    #[error("the metadata thread ended while the node started; its last words are above")]
    ThreadEnded,
}

/// Why a node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Somebody asked: SIGTERM or Ctrl-C.
    Asked,
    /// It can't go on; the reason is in the log.
    Fatal(String),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    address: SocketAddr,
    endings: Receiver<Ending>,
    data_plane: DataPlane,
    quorum: QuorumThread,
    directories: Directories,
}

impl Node {
    /// Starts a node; it serves when this returns.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running, and what was made on disk is what a retry uses.
    pub fn start(config: NodeConfig, disks: &Disks) -> Result<Self, StartError> {
        if config.peers.len() > 1 {
            return Err(StartError::Peers {
                count: config.peers.len(),
            });
        }
        let listeners = bind(&config)?;
        let quorum_listener = bind_quorum(&config)?;
        let endpoints = advertised(&config, &listeners);
        let (ending, endings) = sync_channel(8);
        let map = Arc::new(ReplicaMap::default());
        let directories = Directories::start(&config, &disks.storage, &map)?;
        let publisher = Publisher::default();
        let quorum = QuorumThread::start(
            &config,
            disks,
            &directories,
            &publisher,
            endpoints,
            quorum_listener,
            ending,
        )?;
        // Alone there is nobody to follow, and nobody else to be in sync.
        let outbound = Outbound {
            isr_proposals: crate::replica::isr_change::queue().0,
            fetch_orders: crate::replica::following::queue().0,
        };
        let replicas = Arc::new(Replicas::new(
            config.node_id,
            map,
            directories.all(),
            (config.storage.clone(), config.replica.lag_max),
            outbound,
        ));
        let admin = quorum.admin();
        let broker = Arc::new(Broker::new(config.clone(), publisher, admin, replicas));
        let address = listeners
            .first()
            .map_or_else(unspecified, Listener::local_address);
        let data_plane = DataPlane::start(&config, listeners, &broker)?;
        quorum.let_in()?;
        Ok(Self {
            config,
            address,
            endings,
            data_plane,
            quorum,
            directories,
        })
    }

    /// Where clients connect: the first listener, with the port that it got.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was told at start.
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Waits until the node is asked to end, or must.
    pub fn wait(&self) -> Ending {
        // The quorum's thread holds the other end for as long as it runs.
        let gone = || Ending::Fatal("the metadata thread ended".to_owned());
        self.endings.recv().unwrap_or_else(|_| gone())
    }

    /// Stops: finishes the requests in flight, flushes and closes every log, marks the stop as clean.
    pub fn stop(self) {
        tracing::info!("stopping: finishing requests in flight");
        self.data_plane.stop();
        self.directories.stop(self.quorum.broker_epoch());
        self.quorum.stop();
        tracing::info!("stopped");
    }
}

fn unspecified() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

fn bind(config: &NodeConfig) -> Result<Vec<Listener>, StartError> {
    let size = |given: Option<u32>| given.and_then(|size| usize::try_from(size).ok());
    let network = &config.network;
    let options = SocketOptions {
        backlog: i32::try_from(network.listen_backlog).unwrap_or(i32::MAX),
        send_buffer_size: size(network.send_buffer_size),
        receive_buffer_size: size(network.receive_buffer_size),
    };
    let listeners = config.listeners.iter();
    listeners
        .map(|listener| bind_one(listener, options))
        .collect()
}

fn bind_one(listener: &ListenerConfig, options: SocketOptions) -> Result<Listener, StartError> {
    let host = if listener.is_wildcard() {
        "0.0.0.0"
    } else {
        listener.host.as_str()
    };
    let address = resolve(host, listener.port, || listener.to_string())?;
    Ok(Listener::bind(listener.name.clone(), address, options)?)
}

/// The listener of the quorum: at the address that `--peers` gives for this node.
fn bind_quorum(config: &NodeConfig) -> Result<Option<Listener>, StartError> {
    let own = config.peers.iter().find(|peer| peer.id == config.node_id);
    let Some(own) = own else { return Ok(None) };
    let address = resolve(&own.host, own.port, || {
        format!("--peers {}@{}", own.id, own.address())
    })?;
    let options = SocketOptions {
        backlog: QUORUM_BACKLOG,
        ..SocketOptions::default()
    };
    Ok(Some(Listener::bind("QUORUM".to_owned(), address, options)?))
}

fn resolve(host: &str, port: u16, named: impl Fn() -> String) -> Result<SocketAddr, StartError> {
    let unresolved = |source| StartError::Resolve {
        listener: named(),
        source,
    };
    let mut addresses = (host, port).to_socket_addrs().map_err(unresolved)?;
    addresses
        .next()
        .ok_or_else(|| unresolved(io::ErrorKind::NotFound.into()))
}

/// What clients are told, now that every listener has its port.
fn advertised(config: &NodeConfig, listeners: &[Listener]) -> Vec<Endpoint> {
    let hostname = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    config.advertised_endpoints(&hostname, |wanted| {
        let position = config
            .listeners
            .iter()
            .position(|listener| listener.name == wanted.name);
        let bound = position.and_then(|position| listeners.get(position));
        bound.map_or(wanted.port, |bound| bound.local_address().port())
    })
}

/// Where the threads of a node say that it must end.
type Endings = SyncSender<Ending>;

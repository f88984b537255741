//! The composition root: the only place that knows every component, and the order in which they start and stop.
//!
//! Start: bind the listener (a port in use must cost nothing else), lock and read the data directories, start the
//! quorum and the controller on their thread, register this broker, start the data plane, let the broker in.
//! Stop: the same backwards; logs are flushed and closed before the marker of a clean stop is written.
//!
//! - Nothing is served before the metadata is what the quorum last committed.
//! - A node waits for the others of its quorum for as long as it takes, says so, and can be told to end meanwhile.
//! - Whatever breaks an invariant ends the whole node (fail stop), with the reason in the log.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::watch;

use crate::broker::lifecycle::{Lifecycle, Registration, State};
use crate::broker::{Broker, alter_partition, assign_replicas};
use crate::clock;
use crate::config::layers::MIN_INSYNC_REPLICAS;
use crate::config::{Endpoint, Listener as ListenerConfig, NodeConfig};
use crate::fetcher::Fetchers;
use crate::metadata::{BrokerEpoch, MetadataImage, Publisher};
use crate::net::{Listener, SocketOptions};
use crate::quorum::QuorumError;
use crate::replica::replicas::Outbound;
use crate::replica::{ReplicaMap, Replicas, following, isr_change, worker};
use crate::telemetry::replication::Replication;

mod data_plane;
mod desk;
mod directories;
mod probe;
mod quorum;

use data_plane::DataPlane;
use desk::Desk;
use directories::Directories;
use quorum::{QuorumThread, registration};

/// Connections of other nodes that wait to be accepted: few, so this never matters.
const QUORUM_BACKLOG: i32 = 128;
/// How long a node that stops tries to hand its leaderships over.
const LEAVE_PATIENCE: Duration = Duration::from_secs(30);

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
    /// The node was to end before it had started.
    #[error("{}", .0.reason())]
    Ended(Ending),
    /// The system refuses a thread or a timer.
    #[error("start a thread: {0}")]
    Thread(io::Error),
    /// A thread ended without a word: its panic is in the log.
    #[error("the metadata thread ended while the node started; its last words are above")]
    ThreadEnded,
}

impl StartError {
    /// Whether the node can't trust itself. Then nothing is flushed or marked clean, nor is anything waited for: as by
    /// the command line, where the node has started.
    fn is_fatal(&self) -> bool {
        matches!(self, Self::Ended(Ending::Fatal(_)))
    }
}

/// Why a node ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Somebody asked: SIGTERM or Ctrl-C.
    Asked,
    /// It can't go on; the reason is in the log.
    Fatal(String),
}

impl Ending {
    fn reason(&self) -> &str {
        match self {
            Self::Asked => "the node was asked to end before it had started",
            Self::Fatal(reason) => reason,
        }
    }
}

/// Where the threads of a node say that it must end. The first word counts.
#[derive(Clone, Debug)]
struct Endings {
    waiting: SyncSender<Ending>,
    first: watch::Sender<Option<Ending>>,
}

impl Endings {
    fn new() -> (Self, Receiver<Ending>) {
        let (waiting, endings) = sync_channel(8);
        let first = watch::Sender::new(None);
        (Self { waiting, first }, endings)
    }

    fn end(&self, ending: Ending) {
        let _ = self.waiting.try_send(ending.clone());
        self.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(ending);
            is_first
        });
    }

    /// Returns once the node must end.
    async fn ended(&self) -> Ending {
        let mut first = self.first.subscribe();
        let ended = first.wait_for(Option::is_some).await;
        // The sender is here, so the wait ends well.
        ended
            .ok()
            .and_then(|ended| ended.clone())
            .unwrap_or(Ending::Asked)
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    address: SocketAddr,
    endings: Receiver<Ending>,
    counters: Arc<Replication>,
    broker: Arc<Broker>,
    lifecycle: Lifecycle,
    fetchers: Fetchers,
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
        let listeners = bind(&config)?;
        let quorum_listener = bind_quorum(&config)?;
        let endpoints = advertised(&config, &listeners);
        let (ending, endings) = Endings::new();
        let map = Arc::new(ReplicaMap::default());
        let directories = Directories::start(&config, &disks.storage, &map)?;
        let (publisher, counters) = (Publisher::default(), Arc::<Replication>::default());
        let quorum = QuorumThread::start(
            &config,
            disks,
            &directories,
            (&publisher, &counters),
            quorum_listener,
            ending.clone(),
        );
        let quorum = match quorum {
            Ok(quorum) => quorum,
            Err(error) => return Err(directories.unused(error)),
        };
        let (isr_proposals, proposed) = isr_change::queue();
        let (fetch_orders, ordered) = following::queue();
        let outbound = Outbound {
            isr_proposals,
            fetch_orders,
            work: worker::start().map_err(StartError::Thread)?,
            clock: Arc::new(clock::SystemClock),
            counters: counters.clone(),
        };
        let replicas = Arc::new(Replicas::new(
            config.node_id,
            map,
            directories.all(),
            (config.storage.clone(), config.replica.lag_max),
            outbound,
        ));
        let registration = registration(&config, endpoints, &directories);
        let side = quorum.controller(&config, &publisher);
        let registration = Registration {
            cluster_id: side.admin.cluster_id.clone(),
            command: registration,
        };
        let broker = Arc::new(Broker::new(config.clone(), publisher, side.admin, replicas));
        quorum.serve(Desk::new(side.service, broker.clone()));
        let carrying = alter_partition::run(broker.clone(), side.channel.clone(), proposed);
        quorum.runtime().spawn(carrying);
        let placing = assign_replicas::run(broker.clone(), side.channel.clone());
        quorum.runtime().spawn(placing);
        let lifecycle = Lifecycle::start(
            quorum.runtime(),
            broker.clone(),
            side.channel,
            registration,
            Box::new(move |reason| ending.end(Ending::Fatal(reason))),
        );
        if let Err(error) = quorum.wait_for(registered(broker.clone())) {
            if error.is_fatal() {
                std::mem::forget((quorum, directories));
                return Err(error);
            }
            quorum.stop();
            return Err(directories.unused(error));
        }
        warn_of_overruled(&config, &broker.metadata.image());
        let address = listeners
            .first()
            .map_or_else(unspecified, Listener::local_address);
        let fetchers = {
            let (metadata, registration) = (broker.metadata.clone(), broker.registration.clone());
            let epoch = Box::new(move || *registration.borrow());
            Fetchers::start(&config, metadata, epoch, ordered).map_err(StartError::Thread)?
        };
        let data_plane = DataPlane::start(&broker, &counters.cleaner)?;
        lifecycle.ready();
        let live = live(broker.clone(), lifecycle.state());
        let mut node = Self {
            config,
            address,
            endings,
            counters,
            broker,
            lifecycle,
            fetchers,
            data_plane,
            quorum,
            directories,
        };
        let served = match node.quorum.wait_for(live) {
            Ok(()) => node.data_plane.serve(&node.config, listeners),
            Err(error) => Err(error),
        };
        match served {
            Ok(()) => Ok(node),
            Err(error) => {
                if error.is_fatal() {
                    std::mem::forget(node);
                } else {
                    node.stop();
                }
                Err(error)
            }
        }
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

    /// Stops: hands leaderships over, finishes the requests in flight, flushes and closes every log, marks the stop as
    /// clean.
    pub fn stop(self) {
        self.leave();
        tracing::info!("stopping: finishing requests in flight");
        self.fetchers.stop();
        self.data_plane.stop();
        // The quorum's log lies in a directory, whose lock must hold for as long as anything is written there.
        self.quorum.stop();
        self.directories
            .stop(BrokerEpoch::to_wire(self.broker.epoch()));
        self.counters.say();
        tracing::info!("stopped");
    }

    /// Asks the controller to let this broker go, if others can take over.
    fn leave(&self) {
        let image = self.broker.metadata.image();
        let mut others = image
            .brokers()
            .iter()
            .filter(|one| one.id != self.broker.id);
        let patience = if others.any(|other| other.is_active()) {
            tracing::info!("stopping: handing leaderships over");
            LEAVE_PATIENCE
        } else {
            Duration::ZERO
        };
        self.lifecycle.stop(patience);
        let left = reached(self.lifecycle.state(), State::ShuttingDown);
        self.quorum.wait_at_most(LEAVE_PATIENCE, left);
    }
}

/// Says what this node was given and the cluster has otherwise.
fn warn_of_overruled(config: &NodeConfig, image: &MetadataImage) {
    let given = config.values.text(MIN_INSYNC_REPLICAS);
    let overrides = image.cluster_overrides();
    let agreed = overrides.and_then(|all| all.get(MIN_INSYNC_REPLICAS));
    if given.is_some() && given != agreed.map(String::as_str) {
        tracing::warn!(
            given,
            agreed,
            "min.insync.replicas is the cluster's: the value given to this node counts only where a cluster begins; \
             change it for all with kafka-configs.sh --entity-type brokers --entity-default"
        );
    }
}

/// Returns once this node's image shows its own registration, and with it everything that came before.
async fn registered(broker: Arc<Broker>) {
    let mut versions = broker.metadata.versions();
    let mut registration = broker.registration.subscribe();
    loop {
        let epoch = *registration.borrow_and_update();
        versions.mark_unchanged();
        let image = broker.metadata.image();
        let known = image.brokers().find(broker.id).map(|own| own.epoch);
        if epoch.is_some() && known >= epoch {
            return;
        }
        tokio::select! {
            _ = versions.changed() => {}
            _ = registration.changed() => {}
        }
    }
}

/// Returns once the broker was let in and its own metadata show that, or its life is over.
async fn live(broker: Arc<Broker>, mut state: watch::Receiver<State>) {
    let mut versions = broker.metadata.versions();
    loop {
        versions.mark_unchanged();
        let is_shown = {
            let image = broker.metadata.image();
            let own = image.brokers().find(broker.id);
            own.is_some_and(|own| own.is_active() && Some(own.epoch) >= broker.epoch())
        };
        let state_now = *state.borrow_and_update();
        if state_now > State::Running || (is_shown && state_now == State::Running) {
            return;
        }
        tokio::select! {
            _ = versions.changed() => {}
            changed = state.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Returns once a broker's life has come this far.
async fn reached(mut state: watch::Receiver<State>, wanted: State) {
    // The life is over: nothing more comes.
    let _ = state.wait_for(|state| *state >= wanted).await;
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

/// The listener of the quorum: where `listeners` says, else at the address that `--peers` gives for this node.
fn bind_quorum(config: &NodeConfig) -> Result<Option<Listener>, StartError> {
    let own = config.peers.iter().find(|peer| peer.id == config.node_id);
    let Some(own) = own else { return Ok(None) };
    let options = SocketOptions {
        backlog: QUORUM_BACKLOG,
        ..SocketOptions::default()
    };
    if let Some(listener) = &config.quorum_listener {
        return bind_one(listener, options).map(Some);
    }
    let address = resolve(&own.host, own.port, || {
        format!("--peers {}@{}", own.id, own.address())
    })?;
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

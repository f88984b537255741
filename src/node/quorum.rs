//! The thread of the quorum and the controller.
//!
//! - It shares nothing with the data plane but the published image and bounded queues, so client traffic never costs
//!   an election.
//! - A fatal error of the quorum, or an entry that can't be applied, ends the node: going on would be another history.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use ottla_raft::{
    CallClass, CallFuture, ClusterId, DirectoryId, Member, NodeId, Peer, Raft, RaftConfig,
    Transport, TransportError,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::directories::Directories;
use super::{Disks, Ending, Endings, StartError};
use crate::broker::admin::Admin;
use crate::config::{Endpoint, NodeConfig, SecurityProtocol};
use crate::controller::command::RegisterBroker;
use crate::controller::{
    ControllerHandle, Driver, MetadataMachine, RaftQuorum, RaftView, Settings, let_in, queues,
    register,
};
use crate::metadata::image::FeatureRange;
use crate::metadata::record::{EndpointRecord, FEATURE_MAX, FEATURE_MIN};
use crate::metadata::{BrokerEpoch, BrokerId, Incarnation, Publisher};

/// Where the quorum's log lies in the metadata directory.
const DIRECTORY: &str = "raft";

/// What the rest of the node asks.
#[derive(Clone, Debug)]
struct Handles {
    controller: ControllerHandle,
    raft: Raft,
    broker_epoch: BrokerEpoch,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct QuorumThread {
    node: BrokerId,
    handles: Handles,
    runtime: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread is started with.
struct Setup {
    raft: RaftConfig,
    directory: PathBuf,
    disk: Arc<dyn ottla_raft::fs::Fs>,
    member: Member,
    settings: Settings,
    publisher: Publisher,
    registration: RegisterBroker,
    endings: Endings,
}

impl QuorumThread {
    /// Starts the thread and registers this broker; returns when the image shows it.
    pub(super) fn start(
        config: &NodeConfig,
        disks: &Disks,
        directories: &Directories,
        publisher: &Publisher,
        endpoints: Vec<Endpoint>,
        endings: Endings,
    ) -> Result<Self, StartError> {
        let setup = Setup::new(config, disks, directories, publisher, endpoints, endings);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let handle = runtime.handle().clone();
        let (started, starting) = sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            run(&runtime, setup, stopped, |result| {
                let _ = started.send(result);
            });
        };
        let thread = std::thread::Builder::new()
            .name("quorum".to_owned())
            .spawn(run);
        let thread = thread.map_err(StartError::Thread)?;
        let handles = starting.recv().map_err(|_| StartError::ThreadEnded)??;
        Ok(Self {
            node: config.node_id,
            handles,
            runtime: handle,
            stop,
            thread,
        })
    }

    /// What admin requests need of the quorum.
    pub(super) fn admin(&self, cluster_id: String) -> Admin {
        let view = Arc::new(RaftView(self.handles.raft.clone()));
        Admin::new(cluster_id.into(), self.handles.controller.clone(), view)
    }

    /// The epoch of this process's registration, for the marker of a clean stop.
    pub(super) fn broker_epoch(&self) -> i64 {
        self.handles.broker_epoch.get()
    }

    /// Tells the controller that this broker serves.
    pub(super) fn let_in(&self) -> Result<(), StartError> {
        let (answer, answered) = sync_channel(1);
        let Handles {
            controller,
            broker_epoch,
            ..
        } = self.handles.clone();
        let node = self.node;
        self.runtime.spawn(async move {
            let _ = answer.send(let_in(&controller, node, broker_epoch).await);
        });
        Ok(answered.recv().map_err(|_| StartError::ThreadEnded)??)
    }

    pub(super) fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the metadata thread panicked");
        }
    }
}

impl Setup {
    fn new(
        config: &NodeConfig,
        disks: &Disks,
        directories: &Directories,
        publisher: &Publisher,
        endpoints: Vec<Endpoint>,
        endings: Endings,
    ) -> Self {
        let directory_id = DirectoryId(*directories.metadata().id().uuid().as_bytes());
        let node = NodeId(u64::from(config.node_id.get().unsigned_abs()));
        let cluster = ClusterId(*directories.cluster().as_bytes());
        let address = config
            .peers
            .first()
            .map(|peer| format!("{}:{}", peer.host, peer.port));
        Self {
            raft: RaftConfig::new(cluster, node, directory_id),
            directory: directories.metadata().path().join(DIRECTORY),
            disk: disks.raft.clone(),
            member: Member {
                directory: directory_id,
                address: address.unwrap_or_default(),
            },
            settings: Settings::new(config),
            publisher: publisher.clone(),
            registration: registration(config, endpoints, directories),
            endings,
        }
    }
}

fn registration(
    config: &NodeConfig,
    endpoints: Vec<Endpoint>,
    directories: &Directories,
) -> RegisterBroker {
    let protocol_of = |name: &str| {
        let listener = config
            .listeners
            .iter()
            .find(|listener| listener.name == name);
        listener.map_or(SecurityProtocol::Plaintext, |listener| listener.protocol)
    };
    let endpoints = endpoints.into_iter().map(|endpoint| EndpointRecord {
        security_protocol: protocol_of(&endpoint.listener).wire_code(),
        listener: endpoint.listener,
        host: endpoint.host,
        port: endpoint.port,
    });
    RegisterBroker {
        broker: config.node_id,
        incarnation: Incarnation(Uuid::new_v4()),
        previous_epoch: directories.clean_broker_epoch(),
        endpoints: endpoints.collect(),
        rack: config.rack.clone(),
        directories: directories.all().iter().map(|dir| dir.id()).collect(),
        feature: FeatureRange {
            min: FEATURE_MIN,
            max: FEATURE_MAX,
        },
        // The directory's lock has shown that no other process of this node runs on these disks.
        is_old_incarnation_alive: false,
    }
}

/// The life of the thread.
fn run(
    runtime: &Runtime,
    setup: Setup,
    stopped: oneshot::Receiver<()>,
    started: impl FnOnce(Result<Handles, StartError>),
) {
    let local = LocalSet::new();
    local.block_on(runtime, async {
        let endings = setup.endings.clone();
        match start(setup).await {
            Ok(handles) => {
                let raft = handles.raft.clone();
                tokio::task::spawn_local(tell_of_endings(raft.clone(), endings));
                started(Ok(handles));
                let _ = stopped.await;
                raft.shutdown().await;
            }
            Err(error) => started(Err(error)),
        }
    });
}

async fn start(setup: Setup) -> Result<Handles, StartError> {
    let Setup {
        raft,
        directory,
        disk,
        member,
        settings,
        publisher,
        registration,
        endings,
    } = setup;
    let node = raft.node;
    let on_fatal = Box::new(move |error: &crate::controller::machine::MachineError| {
        let _ = endings.try_send(Ending::Fatal(error.to_string()));
    });
    let machine = MetadataMachine::new(publisher.clone(), on_fatal);
    let raft = Raft::start(raft, disk, directory, Arc::new(NoPeers), machine).await?;
    if !raft.is_initialized().await? {
        raft.initialize(BTreeMap::from([(node, member)])).await?;
    }
    let (controller, requests) = queues();
    let quorum = RaftQuorum::new(raft.clone());
    let driver = Driver::new(registration.broker, settings, quorum, publisher, requests);
    tokio::task::spawn_local(driver.run());
    let broker_epoch = register(&controller, &registration).await?;
    Ok(Handles {
        controller,
        raft,
        broker_epoch,
    })
}

/// Waits for the first reason to end.
async fn tell_of_endings(raft: Raft, endings: Endings) {
    let ending = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => Ending::Asked,
            _ = interrupt.recv() => Ending::Asked,
            fatal = raft.fatal() => Ending::Fatal(fatal.to_string()),
        },
        (Err(error), _) | (_, Err(error)) => Ending::Fatal(format!("listen for signals: {error}")),
    };
    let _ = endings.try_send(ending);
}

/// The network of a quorum of one.
struct NoPeers;

impl Transport for NoPeers {
    fn call<'a>(
        &'a self,
        peer: &'a Peer,
        _class: CallClass,
        _request: Vec<u8>,
        _timeout: Duration,
    ) -> CallFuture<'a> {
        let reason = format!("node {} is not a member of this quorum of one", peer.id);
        Box::pin(async move { Err(TransportError::Unreachable(reason.into())) })
    }
}

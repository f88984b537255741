//! The thread of the quorum and the controller.
//!
//! - It shares nothing with the data plane but the published image and bounded queues, so client traffic never costs
//!   an election.
//! - A fatal error of the quorum, or an entry that can't be applied, ends the node: going on would be another history.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use ottla_raft::Raft;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::directories::{Directories, cluster_id};
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
use crate::net::Listener;
use crate::quorum::{QuorumConfig, QuorumMember};

/// Where the quorum's log lies in the metadata directory.
const DIRECTORY: &str = "raft";

/// What the rest of the node asks.
#[derive(Clone, Debug)]
struct Handles {
    cluster: Uuid,
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
    quorum: QuorumConfig,
    listener: Option<Listener>,
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
        listener: Option<Listener>,
        endings: Endings,
    ) -> Result<Self, StartError> {
        let quorum = QuorumConfig {
            node: config.node_id,
            directory: directories.metadata().id().uuid(),
            peers: config.peers.clone(),
            log_dir: directories.metadata().path().join(DIRECTORY),
            disk: disks.raft.clone(),
            identity: Arc::new(directories.identity()?),
        };
        let setup = Setup {
            quorum,
            listener,
            settings: Settings::new(config),
            publisher: publisher.clone(),
            registration: registration(config, endpoints, directories),
            endings,
        };
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
    pub(super) fn admin(&self) -> Admin {
        let cluster_id = cluster_id(self.handles.cluster);
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
            Ok((handles, member)) => {
                tokio::task::spawn_local(tell_of_endings(member.raft.clone(), endings));
                started(Ok(handles));
                let _ = stopped.await;
                member.stop().await;
            }
            Err(error) => started(Err(error)),
        }
    });
}

async fn start(setup: Setup) -> Result<(Handles, QuorumMember), StartError> {
    let Setup {
        quorum,
        listener,
        settings,
        publisher,
        registration,
        endings,
    } = setup;
    let on_fatal = Box::new(move |error: &crate::controller::machine::MachineError| {
        let _ = endings.try_send(Ending::Fatal(error.to_string()));
    });
    let machine = MetadataMachine::new(publisher.clone(), on_fatal);
    let member = QuorumMember::start(quorum, listener, machine).await?;
    let (controller, requests) = queues();
    let quorum = RaftQuorum::new(member.raft.clone());
    let driver = Driver::new(registration.broker, settings, quorum, publisher, requests);
    tokio::task::spawn_local(driver.run());
    let broker_epoch = register(&controller, &registration).await?;
    let handles = Handles {
        cluster: member.cluster,
        controller,
        raft: member.raft.clone(),
        broker_epoch,
    };
    Ok((handles, member))
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

//! The thread of the quorum and the controller.
//!
//! - It shares nothing with the data plane but the published image and bounded queues, so client traffic never costs
//!   an election.
//! - A fatal error of the quorum, or an entry that can't be applied, ends the node: going on would be another history.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

use ottla_raft::Raft;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::desk::Desk;
use super::directories::{Directories, cluster_id};
use super::probe::TcpProber;
use super::{Disks, Ending, Endings, StartError};
use crate::broker::admin::Admin;
use crate::broker::controller_channel::ControllerChannel;
use crate::broker::controller_service::ControllerService;
use crate::config::{Endpoint, NodeConfig, SecurityProtocol};
use crate::controller::command::RegisterBroker;
use crate::controller::{
    ControllerHandle, Driver, MetadataMachine, QuorumView, RaftQuorum, RaftView, Settings, queues,
};
use crate::metadata::image::FeatureRange;
use crate::metadata::record::{EndpointRecord, FEATURE_MAX, FEATURE_MIN};
use crate::metadata::{Incarnation, Publisher};
use crate::net::Listener;
use crate::quorum::{BrokerDoor, Carriers, QuorumConfig, QuorumMember};
use crate::telemetry::replication::Replication;

/// Where the quorum's log lies in the metadata directory.
const DIRECTORY: &str = "raft";

/// What the rest of the node asks.
#[derive(Clone, Debug)]
struct Handles {
    cluster: Uuid,
    controller: ControllerHandle,
    raft: Raft,
    door: BrokerDoor,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct QuorumThread {
    handles: Handles,
    runtime: Handle,
    endings: Endings,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread is started with.
struct Setup {
    quorum: QuorumConfig,
    listener: Option<Listener>,
    settings: Settings,
    publisher: Publisher,
    counters: Arc<Replication>,
    endings: Endings,
}

impl QuorumThread {
    /// Starts the thread; returns when this node belongs to a quorum, which may not have a leader yet.
    pub(super) fn start(
        config: &NodeConfig,
        disks: &Disks,
        directories: &Directories,
        (publisher, counters): (&Publisher, &Arc<Replication>),
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
            counters: counters.clone(),
            endings: endings.clone(),
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
            handles,
            runtime: handle,
            endings,
            stop,
            thread,
        })
    }

    /// What requests for the controller need: here, and on another node.
    pub(super) fn controller(&self, config: &NodeConfig, metadata: &Publisher) -> ControllerSide {
        let cluster = self.handles.cluster;
        let cluster_id: Arc<str> = cluster_id(cluster).into();
        let view: Arc<dyn QuorumView> = Arc::new(RaftView(self.handles.raft.clone()));
        let controller = self.handles.controller.clone();
        let service = ControllerService::new(
            config.node_id,
            (cluster, cluster_id.clone()),
            controller.clone(),
            view.clone(),
            metadata.clone(),
        );
        let channel = ControllerChannel::new(
            service.clone(),
            view.clone(),
            Box::new(Carriers::new(&config.peers)),
            self.runtime.clone(),
        );
        let admin = Admin::new(cluster_id, controller, view).with_channel(channel.clone());
        ControllerSide {
            service,
            channel,
            admin,
        }
    }

    /// Lets the calls of other brokers in.
    pub(super) fn serve(&self, desk: Desk) {
        self.handles.door.serve(Arc::new(desk));
    }

    /// Where the quorum's work is done.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Waits for something while the node starts, unless the node must end first.
    pub(super) fn wait_for(
        &self,
        what: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartError> {
        let (answer, answered) = sync_channel(1);
        let endings = self.endings.clone();
        self.runtime.spawn(async move {
            let outcome = tokio::select! {
                biased;
                ending = endings.ended() => Err(StartError::Ended(ending)),
                () = what => Ok(()),
            };
            let _ = answer.send(outcome);
        });
        answered.recv().map_err(|_| StartError::ThreadEnded)?
    }

    /// Waits for something while the node stops, and no longer than `patience`.
    pub(super) fn wait_at_most(
        &self,
        patience: Duration,
        what: impl Future<Output = ()> + Send + 'static,
    ) {
        let (answer, answered) = sync_channel(1);
        self.runtime.spawn(async move {
            let _ = answer.send(tokio::time::timeout(patience, what).await.is_ok());
        });
        let _ = answered.recv();
    }

    pub(super) fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the metadata thread panicked");
        }
    }
}

/// The ways to the controller.
pub(super) struct ControllerSide {
    pub(super) service: ControllerService,
    pub(super) channel: ControllerChannel,
    pub(super) admin: Admin,
}

/// What the controller is told of this process.
pub(super) fn registration(
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
        // From here on a node that waits for others can be told to end.
        tokio::task::spawn_local(tell_of_signals(endings.clone()));
        tokio::task::spawn_local(tell_counters(setup.counters.clone()));
        let member = tokio::select! {
            biased;
            ending = endings.ended() => Err(StartError::Ended(ending)),
            member = start(setup) => member,
        };
        match member {
            Ok((handles, member)) => {
                tokio::task::spawn_local(tell_of_fatal(member.raft.clone(), endings));
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
        counters,
        endings,
    } = setup;
    let on_fatal = Box::new(move |error: &crate::controller::machine::MachineError| {
        endings.end(Ending::Fatal(error.to_string()));
    });
    let node = quorum.node;
    let machine = MetadataMachine::new(publisher.clone(), on_fatal);
    let member = QuorumMember::start(quorum, listener, machine).await?;
    let (controller, requests) = queues();
    let quorum = RaftQuorum::new(member.raft.clone());
    let driver = Driver::new(node, settings, quorum, publisher, requests, TcpProber);
    tokio::task::spawn_local(driver.counting(counters).run());
    let handles = Handles {
        cluster: member.cluster,
        controller,
        raft: member.raft.clone(),
        door: member.door.clone(),
    };
    Ok((handles, member))
}

/// Waits for somebody who asks the node to end.
async fn tell_of_signals(endings: Endings) {
    let ending = match (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) {
        (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
            _ = terminate.recv() => Ending::Asked,
            _ = interrupt.recv() => Ending::Asked,
        },
        (Err(error), _) | (_, Err(error)) => Ending::Fatal(format!("listen for signals: {error}")),
    };
    endings.end(ending);
}

/// Says the counters to whoever asks with a signal.
async fn tell_counters(counters: Arc<Replication>) {
    match signal(SignalKind::user_defined1()) {
        Ok(mut asked) => {
            while asked.recv().await.is_some() {
                counters.say();
            }
        }
        Err(error) => tracing::warn!(%error, "SIGUSR1 is not listened for"),
    }
}

/// Waits for the quorum to break.
async fn tell_of_fatal(raft: Raft, endings: Endings) {
    endings.end(Ending::Fatal(raft.fatal().await.to_string()));
}

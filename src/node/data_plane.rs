//! The data plane of a node: replicas that follow the metadata, and the cores that serve clients.
//!
//! - Changes of the metadata reach the replicas on a thread of their own, in order: neither a core nor the quorum
//!   waits for them.
//! - Clients are served once this node's own metadata show it live: one that asked before would hear of a cluster without
//!   brokers, and librdkafka then forgets those that it knew. Until then their connections wait in the listeners' queues.
//! - Stop: whoever waits is woken, requests in flight finish, the replicas close their logs. Nothing is answered after.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ottla_storage::compact::{CleanerCounters, LogCleaner};
use tokio::sync::oneshot;

use super::StartError;
use crate::broker::context::{ANONYMOUS, ConnectionContext};
use crate::broker::core::Core;
use crate::broker::dispatch::Dispatcher;
use crate::broker::{Broker, apply};
use crate::clock;
use crate::config::{self, NetworkConfig, NodeConfig};
use crate::net::{ConnectionLimits, CoreStart, Listener, ListenerConfig, Server};

/// How long requests in flight may take once the node stops.
const GRACE: Duration = Duration::from_secs(10);
/// Requests of one connection that are started and not yet answered.
const IN_FLIGHT_COUNT_MAX: usize = 100;
/// The part of the machine's memory that requests in flight may take.
const IN_FLIGHT_MEMORY_PART: u64 = 8;

/// The running data plane.
#[derive(Debug)]
pub(super) struct DataPlane {
    broker: Arc<Broker>,
    cleaner: Option<LogCleaner>,
    servers: Vec<Server>,
    stop_applying: oneshot::Sender<()>,
    applying: JoinHandle<()>,
}

impl DataPlane {
    /// Makes the replicas follow the metadata. Nobody is served yet.
    pub(super) fn start(
        broker: &Arc<Broker>,
        cleaned: &Arc<CleanerCounters>,
    ) -> Result<Self, StartError> {
        apply::set_strays_aside(broker.here(), &broker.metadata.image());
        broker.replicas.recover().map_err(StartError::Thread)?;
        broker.coordinators.start().map_err(StartError::Thread)?;
        let cleaner = start_cleaner(broker, cleaned).map_err(StartError::Thread)?;
        let (stop_applying, stopped) = oneshot::channel();
        let applying = start_applying(broker.clone(), stopped)?;
        Ok(Self {
            broker: broker.clone(),
            cleaner,
            servers: Vec::new(),
            stop_applying,
            applying,
        })
    }

    /// Serves clients from now on.
    pub(super) fn serve(
        &mut self,
        config: &NodeConfig,
        listeners: Vec<Listener>,
    ) -> Result<(), StartError> {
        let limits = listener_config(&config.network);
        let start = |(listener, named): (Listener, &config::Listener)| {
            let name = named.name.as_str().into();
            Server::start(
                listener,
                &limits,
                &CoreServices {
                    broker: self.broker.clone(),
                    listener: name,
                },
            )
        };
        let servers = listeners.into_iter().zip(&config.listeners).map(start);
        self.servers = servers.collect::<Result<Vec<_>, _>>()?;
        Ok(())
    }

    pub(super) fn stop(self) {
        self.broker.purgatory.close();
        // Members may wait for minutes; they find the next coordinator.
        self.broker.coordinators.stop();
        self.servers.into_iter().for_each(Server::stop);
        // Logs are closed next: a round under way would only be in the way.
        if let Some(cleaner) = self.cleaner {
            cleaner.stop();
        }
        let _ = self.stop_applying.send(());
        if self.applying.join().is_err() {
            tracing::error!("the thread that applies metadata panicked");
        }
        self.broker.replicas.close();
    }
}

fn start_cleaner(
    broker: &Arc<Broker>,
    counters: &Arc<CleanerCounters>,
) -> io::Result<Option<LogCleaner>> {
    let dirs = broker.replicas.directories().to_vec();
    let start = |config| {
        let clock = Arc::new(clock::SystemClock);
        LogCleaner::start(dirs, clock, config, counters.clone())
    };
    broker.config.storage.cleaner.clone().map(start).transpose()
}

fn start_applying(
    broker: Arc<Broker>,
    stopped: oneshot::Receiver<()>,
) -> Result<JoinHandle<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.map_err(StartError::Thread)?;
    let changes = broker.metadata.subscribe();
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                () = apply::run(broker, changes) => {}
                _ = stopped => {}
            }
        });
    };
    std::thread::Builder::new()
        .name("apply".to_owned())
        .spawn(work)
        .map_err(StartError::Thread)
}

/// Makes the dispatcher of each connection, on its core.
#[derive(Clone, Debug)]
struct CoreServices {
    broker: Arc<Broker>,
    listener: Arc<str>,
}

impl CoreStart for CoreServices {
    type Service = Dispatcher;

    fn start(self, _core: usize) -> Box<dyn Fn(SocketAddr) -> Dispatcher> {
        let core = Core::start();
        tokio::task::spawn_local(self.broker.pulses.add().beat());
        let principal: Arc<str> = ANONYMOUS.into();
        Box::new(move |peer| {
            let connection = ConnectionContext {
                listener: self.listener.clone(),
                peer,
                principal: principal.clone(),
                is_forwarded: false,
            };
            Dispatcher::new(self.broker.clone(), core.clone(), connection)
        })
    }
}

fn listener_config(network: &NetworkConfig) -> ListenerConfig {
    let in_flight_bytes = network
        .bytes_in_flight_max
        .unwrap_or_else(default_in_flight_bytes);
    let in_flight_bytes = usize::try_from(in_flight_bytes).unwrap_or(usize::MAX);
    ListenerConfig {
        core_count: network.cores.map_or_else(cpu_count, |count| count as usize),
        connection_count_max: network.connections_max as usize,
        connections_per_ip_max: network.connections_per_ip_max as usize,
        in_flight_bytes,
        connection: ConnectionLimits {
            frame_bytes: network.request_size_max,
            in_flight_count: IN_FLIGHT_COUNT_MAX,
            in_flight_bytes,
            idle: network.idle_max.unwrap_or(Duration::MAX),
        },
        grace: GRACE,
    }
}

fn cpu_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn default_in_flight_bytes() -> u64 {
    let memory = rustix::system::sysinfo();
    let bytes = memory.totalram.saturating_mul(u64::from(memory.mem_unit));
    (bytes / IN_FLIGHT_MEMORY_PART).clamp(64 << 20, 1 << 30)
}

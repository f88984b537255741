//! Fetches from the leaders what this broker's followers lack.
//!
//! - A follower is a Kafka consumer of its leader with a few fields more: its fetch offset acknowledges all below (R4).
//! - One task and one connection for each leader, one fetch in flight on it: the answer is appended before the next
//!   fetch says so. An order that comes meanwhile does not wait for a parked fetch: the connection is given up for it.
//! - It decides nothing about a log: it asks from where the partition's view says, and brings back what the leader said.

mod exchange;
mod leader;
mod partitions;
mod session;

use std::collections::HashMap;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::config::NodeConfig;
use crate::metadata::{BrokerEpoch, BrokerId, Publisher};
use crate::replica::ReplicaKey;
use crate::replica::following::{self, FetchOrder, FetchOrders};

/// What every fetch needs.
struct Settings {
    me: BrokerId,
    /// The listener over which brokers replicate.
    listener: String,
    metadata: Publisher,
    broker_epoch: Box<dyn Fn() -> Option<BrokerEpoch> + Send>,
    wait_max: Duration,
    request_timeout: Duration,
    bytes_min: i32,
    response_bytes_max: i32,
    partition_bytes_max: i32,
    /// The largest answer: one batch comes whole, however long it is.
    frame_bytes_max: usize,
}

/// The running fetchers.
#[derive(Debug)]
pub struct Fetchers {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Fetchers {
    /// Starts the thread that carries orders out. `broker_epoch` is this broker's registration, once there is one.
    ///
    /// # Errors
    /// The system refuses a thread or a timer.
    pub fn start(
        config: &NodeConfig,
        metadata: Publisher,
        broker_epoch: Box<dyn Fn() -> Option<BrokerEpoch> + Send>,
        orders: mpsc::UnboundedReceiver<FetchOrder>,
    ) -> std::io::Result<Self> {
        let wire = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let replica = &config.replica;
        let largest = u64::from(replica.fetch_response_size_max)
            + u64::from(config.network.request_size_max)
            + (1 << 20);
        let settings = Settings {
            me: config.node_id,
            listener: config.inter_broker_listener.clone(),
            metadata,
            broker_epoch,
            wait_max: replica.fetch_wait_max,
            request_timeout: replica.request_timeout,
            bytes_min: wire(replica.fetch_size_min),
            response_bytes_max: wire(replica.fetch_response_size_max),
            partition_bytes_max: wire(replica.fetch_size_max),
            frame_bytes_max: usize::try_from(largest).unwrap_or(usize::MAX),
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = deal(settings, orders) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new()
            .name("fetcher".to_owned())
            .spawn(run)?;
        Ok(Self { stop, thread })
    }

    /// Stops fetching; what was received is with its partitions.
    pub fn stop(self) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the thread that fetches panicked");
        }
    }
}

/// Deals orders to the tasks of their leaders, until nobody gives any.
async fn deal(settings: Settings, mut orders: mpsc::UnboundedReceiver<FetchOrder>) {
    let settings = Rc::new(settings);
    let mut leaders: HashMap<BrokerId, FetchOrders> = HashMap::new();
    let mut followed: HashMap<ReplicaKey, BrokerId> = HashMap::new();
    while let Some(order) = orders.recv().await {
        let (key, leader) = match &order {
            FetchOrder::Follow {
                replica, leader, ..
            } => (replica.key(), Some(*leader)),
            FetchOrder::Stop(key) => (*key, None),
        };
        let before = followed.remove(&key);
        if before.is_some()
            && before != leader
            && let Some(task) = before.and_then(|before| leaders.get(&before))
        {
            let _ = task.send(FetchOrder::Stop(key));
        }
        let Some(leader) = leader else { continue };
        followed.insert(key, leader);
        let task = leaders.entry(leader).or_insert_with(|| {
            let (task, orders) = following::queue();
            tokio::task::spawn_local(leader::run(settings.clone(), leader, orders));
            task
        });
        let _ = task.send(order);
    }
}

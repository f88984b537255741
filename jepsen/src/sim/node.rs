//! One node: its disk, which outlives processes, and the process that runs on it, if one does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use ottla::broker::apply::{self, Here};
use ottla::broker::lifecycle::Life;
use ottla::config::NodeConfig;
use ottla::controller::MetadataMachine;
use ottla::metadata::image::FeatureRange;
use ottla::metadata::record::{EndpointRecord, FEATURE_MAX};
use ottla::metadata::{
    BrokerEpoch, BrokerId, ImageVersion, Incarnation, MetadataDelta, MetadataImage, Publisher,
};
use ottla::replica::following::FetchOrder;
use ottla::replica::isr_change::IsrProposal;
use ottla::replica::replicas::Outbound;
use ottla::replica::{Replica, ReplicaKey, ReplicaMap, Replicas, following, isr_change};
use ottla_storage::log_dir::{LogDir, LogDirOptions, Tuning};
use ottla_storage::time::{MonoMillis, WallMillis};
use ottla_storage::{Clock, DirectoryId};
use tokio::sync::mpsc::UnboundedReceiver;
use uuid::Uuid;

use super::call::RegisterBroker;
use super::controller::Controller;
use super::fetch::Followed;
use crate::disk::SimDisk;
use crate::rng::Rng;

/// The time of a simulated cluster: every node has the same.
#[derive(Debug, Default)]
pub(super) struct SimClock(AtomicU64);

impl SimClock {
    pub(super) fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }

    fn millis(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn mono(&self) -> MonoMillis {
        MonoMillis::from_millis(self.millis())
    }

    fn wall(&self) -> WallMillis {
        // A calendar of the year 2023, so that records are of some age.
        WallMillis::from_millis(
            1_700_000_000_000 + i64::try_from(self.millis()).unwrap_or_default(),
        )
    }
}

/// One machine.
pub(super) struct Node {
    pub(super) id: BrokerId,
    pub(super) disk: SimDisk,
    directory: DirectoryId,
    /// Power cuts that the disk had seen when the process was started.
    power_cuts: u64,
    /// Counts processes and the ends of processes: what was meant for another one is dropped.
    pub(super) boot: u64,
    pub(super) process: Option<Process>,
    pub(super) is_paused: bool,
    /// How far its copy of the quorum's log reaches: that is synced before it is acknowledged.
    pub(super) log_index: usize,
    /// How much slower than others it follows the metadata, in milliseconds.
    pub(super) slowness: u64,
}

/// A running process: the node's own parts, and the model's share of its glue.
pub(super) struct Process {
    pub(super) publisher: Publisher,
    pub(super) machine: MetadataMachine,
    pub(super) applied_index: usize,
    /// The image that its replicas follow.
    pub(super) seen: Arc<MetadataImage>,
    pub(super) directory: Arc<LogDir>,
    pub(super) replicas: Replicas,
    pub(super) proposals: UnboundedReceiver<IsrProposal>,
    pub(super) orders: UnboundedReceiver<FetchOrder>,
    work: mpsc::Receiver<Arc<Replica>>,
    pub(super) life: Life,
    pub(super) registration: RegisterBroker,
    pub(super) epoch: Option<BrokerEpoch>,
    /// The data plane runs: its replicas follow the metadata.
    pub(super) is_serving: bool,
    /// The call to the controller that is out, by number.
    pub(super) call: Option<u64>,
    pub(super) isr_waiting: BTreeMap<ReplicaKey, IsrProposal>,
    pub(super) isr_call: Option<(u64, Vec<IsrProposal>)>,
    /// Where replicas lie of which the metadata say something else.
    pub(super) homes: BTreeMap<ReplicaKey, DirectoryId>,
    pub(super) followed: BTreeMap<ReplicaKey, Followed>,
    pub(super) controller: Option<Controller>,
    pub(super) is_disk_due: bool,
    pub(super) is_publish_due: bool,
}

pub(super) fn data_path() -> &'static Path {
    Path::new("/data")
}

impl Node {
    pub(super) fn new(position: usize, rng: &mut Rng) -> Self {
        Self {
            id: broker(position),
            disk: SimDisk::new(),
            directory: directory(rng),
            power_cuts: 0,
            boot: 0,
            process: None,
            is_paused: false,
            log_index: 0,
            slowness: 0,
        }
    }

    /// Another disk: empty, with another identity.
    pub(super) fn replace_disk(&mut self, rng: &mut Rng) {
        self.disk = SimDisk::new();
        self.directory = directory(rng);
    }

    /// A process starts on the disk. Its metadata begin with what the quorum's log gave it before.
    pub(super) fn start(
        &mut self,
        clock: &Arc<SimClock>,
        config: &NodeConfig,
        machine: (MetadataMachine, Publisher, usize),
        rng: &mut Rng,
    ) -> Result<(), String> {
        self.boot += 1;
        self.power_cuts = self.disk.counts().crashes;
        let map = Arc::new(ReplicaMap::default());
        let options = LogDirOptions {
            path: PathBuf::from(data_path()),
            fs: Arc::new(self.disk.mount()),
            clock: clock.clone(),
            events: map.clone(),
            node_id: self.id.get(),
            new_id: self.directory,
            tuning: Tuning {
                threads: 0,
                ballast_bytes: 0,
                ..Tuning::default()
            },
        };
        let directory = Arc::new(LogDir::start(options).map_err(|error| error.to_string())?);
        let (isr_proposals, proposals) = isr_change::queue();
        let (fetch_orders, orders) = following::queue();
        #[expect(
            clippy::disallowed_methods,
            reason = "bounded by the partitions; the simulator works the line off"
        )]
        let (line, work) = mpsc::channel();
        let outbound = Outbound {
            isr_proposals,
            fetch_orders,
            work: line,
            clock: clock.clone(),
            counters: Arc::default(),
        };
        let replicas = Replicas::new(
            self.id,
            map,
            vec![directory.clone()],
            (config.storage.clone(), config.replica.lag_max),
            outbound,
        );
        let registration = RegisterBroker {
            broker: self.id,
            incarnation: Incarnation(uuid(rng)),
            previous_epoch: directory
                .clean_broker_epoch()
                .and_then(BrokerEpoch::from_wire),
            endpoints: vec![EndpointRecord {
                listener: "PLAINTEXT".to_owned(),
                host: format!("node-{}", self.id),
                port: 9092,
                security_protocol: 0,
            }],
            rack: None,
            directories: vec![directory.id()],
            feature: FeatureRange {
                min: 1,
                max: FEATURE_MAX,
            },
        };
        let (machine, publisher, applied_index) = machine;
        self.process = Some(Process {
            publisher,
            machine,
            applied_index,
            seen: Arc::default(),
            directory,
            replicas,
            proposals,
            orders,
            work,
            life: Life::new(clock.mono(), config.controller.heartbeat_interval),
            registration,
            epoch: None,
            is_serving: false,
            call: None,
            isr_waiting: BTreeMap::new(),
            isr_call: None,
            homes: BTreeMap::new(),
            followed: BTreeMap::new(),
            controller: None,
            is_disk_due: false,
            is_publish_due: false,
        });
        Ok(())
    }

    /// Whether the process can't go on: its only directory is lost, or the power went in the middle of a call.
    pub(super) fn has_failed(&self) -> bool {
        let is_dark = self.disk.counts().crashes > self.power_cuts;
        let process = self.process.as_ref();
        process.is_some_and(|process| is_dark || process.directory.failure().is_some())
    }

    /// The process ends at once. What its disk has is for the caller to say.
    pub(super) fn end(&mut self) {
        self.boot += 1;
        self.is_paused = false;
        if let Some(process) = self.process.take() {
            process.replicas.forget();
        }
    }
}

impl Process {
    pub(super) fn here<'a>(&'a self, config: &'a NodeConfig) -> Here<'a> {
        Here {
            id: self.registration.broker,
            fixed: &config.values,
            replicas: &self.replicas,
        }
    }

    /// The data plane begins, once the node's own metadata show its registration.
    pub(super) fn serve_if_registered(&mut self, config: &NodeConfig) -> bool {
        let image = self.publisher.image();
        let known = image.brokers().find(self.registration.broker);
        let known = known.map(|own| own.epoch);
        if self.is_serving || self.epoch.is_none() || known < self.epoch {
            return false;
        }
        self.is_serving = true;
        apply::set_strays_aside(self.here(config), &image);
        // Without threads there are none to lack.
        let _ = self.replicas.recover();
        true
    }

    /// The replicas follow the latest image.
    pub(super) fn follow_image(&mut self, config: &NodeConfig) {
        let image = self.publisher.image();
        let delta = MetadataDelta::between(&self.seen, &image);
        apply::apply(self.here(config), &delta, &image);
        self.seen = image;
    }

    /// The image that its replicas work by, as its heartbeats say.
    pub(super) fn applied(&self) -> ImageVersion {
        self.seen.version()
    }

    /// Works for the partitions that were left over.
    pub(super) fn work(&self) {
        while let Ok(replica) = self.work.try_recv() {
            replica.work_for(16);
        }
    }

    /// Where replicas lie that the metadata have elsewhere, for the controller.
    pub(super) fn homes_to_tell(&mut self) -> Vec<(ReplicaKey, DirectoryId)> {
        for key in self.replicas.in_doubt().take() {
            self.homes
                .extend(self.replicas.lies_in(key).map(|home| (key, home)));
        }
        let (image, me) = (self.publisher.image(), self.registration.broker);
        self.homes.retain(|key, home| {
            let topic = image.topics().by_id(key.topic);
            let partition = topic.and_then(|topic| topic.partition(key.partition));
            let shown = partition.and_then(|partition| partition.directory_of(me));
            shown.is_some_and(|shown| shown != *home)
        });
        self.homes.iter().map(|(key, home)| (*key, *home)).collect()
    }

    pub(super) fn replica(&self, key: ReplicaKey) -> Option<Arc<Replica>> {
        self.replicas.find(key.topic, key.partition)
    }

    /// Its replicas, in order.
    pub(super) fn all_replicas(&self) -> BTreeMap<ReplicaKey, Arc<Replica>> {
        let all = self.replicas.all();
        all.into_iter().map(|each| (each.key(), each)).collect()
    }
}

pub(super) fn broker(position: usize) -> BrokerId {
    let id = i32::try_from(position + 1)
        .ok()
        .and_then(BrokerId::from_wire);
    id.unwrap_or(BrokerId::ZERO)
}

pub(super) fn position(broker: BrokerId) -> usize {
    usize::try_from(broker.get()).unwrap_or(1).saturating_sub(1)
}

pub(super) fn uuid(rng: &mut Rng) -> Uuid {
    let bits = (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

fn directory(rng: &mut Rng) -> DirectoryId {
    DirectoryId::new(uuid(rng))
}

//! The replicas of this broker: found without a lock, changed by one writer.
//!
//! A topic is its id here: a topic that was deleted and made again under its name is another one.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_storage::journal::LogKey;
use ottla_storage::log::LogConfig;
use ottla_storage::log_dir::{LogDir, LogStatus};
use ottla_storage::{Clock, DirectoryEvent, DirectoryId, LogEvent, LogEvents};
use tokio::sync::Notify;

use super::core::effect::{Following, Leadership};
use super::directories::{Directories, log_key};
use super::driver::Part;
use super::following::{FetchOrder, FetchOrders};
use super::isr_change::{IsrAnswer, IsrProposal, IsrProposals};
use super::placement::InDoubt;
use super::request::Refusal;
use super::settings::PartitionConfig;
use super::view::View;
use super::worker::WorkQueue;
use super::{Replica, ReplicaKey};
use crate::config::{StorageConfig, TopicConfig};
use crate::metadata::ids::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED};
use crate::metadata::{BrokerId, ImageVersion, PartitionImage, PartitionIndex, TopicId};
use crate::telemetry::replication::Replication;

/// Hashed alike in every process, so that a history can be repeated. The keys are the cluster's own: nobody chooses them.
type Map = HashMap<ReplicaKey, Arc<Replica>, BuildHasherDefault<DefaultHasher>>;

/// The replicas by their key. It exists before the log directories do, because they tell it what
/// happens to their logs.
#[derive(Debug, Default)]
pub struct ReplicaMap {
    all: ArcSwap<Map>,
    directory_lost: Notify,
}

impl ReplicaMap {
    fn find(&self, key: ReplicaKey) -> Option<Arc<Replica>> {
        self.all.load().get(&key).cloned()
    }
}

impl LogEvents for ReplicaMap {
    fn partition(&self, key: LogKey, event: LogEvent) {
        let partition = i32::try_from(key.partition)
            .ok()
            .and_then(PartitionIndex::from_wire);
        let topic = TopicId::new(key.log.uuid());
        let replica = partition.and_then(|partition| self.find(ReplicaKey { topic, partition }));
        if let Some(replica) = replica {
            replica.log_event(event);
        }
    }

    fn directory(&self, directory: DirectoryId, event: DirectoryEvent) {
        match event {
            DirectoryEvent::Offline => {
                let all = self.all.load_full();
                let lost = all.values().filter(|r| r.directory() == Some(directory));
                // Each of them also comes into doubt: the controller may not know yet where it lies.
                lost.for_each(|replica| replica.offline());
                self.directory_lost.notify_one();
            }
            // Each append asks the directory whether it has room.
            DirectoryEvent::DiskFull | DirectoryEvent::SpaceBack => {}
        }
    }
}

/// What the replicas want of the rest of the node.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// In-sync sets, of the controller.
    pub isr_proposals: IsrProposals,
    /// Records, of the leaders.
    pub fetch_orders: FetchOrders,
    /// Turns of a thread that has time.
    pub work: WorkQueue,
    /// The time: what happens to a partition is dated here and nowhere else.
    pub clock: Arc<dyn Clock>,
    /// That truncations be counted.
    pub counters: Arc<Replication>,
}

/// The replicas of this broker.
#[derive(Debug)]
pub struct Replicas {
    me: BrokerId,
    map: Arc<ReplicaMap>,
    /// One change of the map at a time.
    changing: Mutex<()>,
    directories: Arc<Directories>,
    storage: StorageConfig,
    lag_max: Duration,
    outbound: Outbound,
    /// What every new replica shows, shared: an idle partition costs little.
    unassigned: Arc<View>,
}

impl Replicas {
    /// No replicas yet, over directories that tell `map` of their events.
    pub fn new(
        me: BrokerId,
        map: Arc<ReplicaMap>,
        dirs: Vec<Arc<LogDir>>,
        (storage, lag_max): (StorageConfig, Duration),
        outbound: Outbound,
    ) -> Self {
        Self {
            me,
            map,
            changing: Mutex::new(()),
            directories: Directories::new(dirs),
            storage,
            lag_max,
            outbound,
            unassigned: Arc::new(View::Refused(Refusal::NotLeader)),
        }
    }

    /// Starts the scans of logs that were not closed in order; partitions wait for theirs, the
    /// others are served.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn recover(&self) -> std::io::Result<()> {
        // A scan needs no more of a topic's settings than the layout of its indexes.
        let config = Arc::new(LogConfig::default());
        self.directories
            .all()
            .iter()
            .try_for_each(|dir| dir.recover(&config))
    }

    /// The replica of a partition, if this broker has one.
    pub fn find(&self, topic: TopicId, partition: PartitionIndex) -> Option<Arc<Replica>> {
        self.map.find(ReplicaKey { topic, partition })
    }

    /// All replicas, as of now.
    pub fn all(&self) -> Vec<Arc<Replica>> {
        self.map.all.load().values().cloned().collect()
    }

    /// The log directories.
    pub fn directories(&self) -> &[Arc<LogDir>] {
        self.directories.all()
    }

    /// The replicas that may lie elsewhere than the metadata say.
    pub fn in_doubt(&self) -> &InDoubt {
        self.directories.in_doubt()
    }

    /// What the metadata should say of where a replica lies; `None` if nothing can be said.
    pub fn lies_in(&self, key: ReplicaKey) -> Option<DirectoryId> {
        let replica = self.map.find(key)?;
        let home = replica.directory()?;
        let dir = self.directories.find(home)?;
        if dir.failure().is_some() {
            // The controller hears of the directory itself; what it holds for lost already stays so.
            let assigned = replica.assigned_directory();
            return (assigned != DIRECTORY_LOST).then_some(home);
        }
        let is_lost = self.directories.hangs(home)
            || matches!(**replica.view(), View::Refused(Refusal::Offline))
            || matches!(dir.status(log_key(key)), LogStatus::Offline(_));
        Some(if is_lost { DIRECTORY_LOST } else { home })
    }

    /// The directories whose calls do not come back are these now; returns those of which that is new.
    pub fn set_hanging(&self, hanging: BTreeSet<DirectoryId>) -> BTreeSet<DirectoryId> {
        let changed = self.directories.set_hanging(hanging);
        if !changed.is_empty() {
            let all = self.map.all.load_full();
            let is_there = |replica: &&Arc<Replica>| {
                let home = replica.directory();
                home.is_some_and(|home| changed.contains(&home))
            };
            let concerned = all.values().filter(is_there);
            self.in_doubt().note(concerned.map(|replica| replica.key()));
        }
        changed
    }

    /// Returns once a directory was lost since the last time, for the one that tells the controller.
    pub async fn directory_lost(&self) {
        self.map.directory_lost.notified().await;
    }

    /// What storage calls a partition.
    pub fn log_key(key: ReplicaKey) -> LogKey {
        log_key(key)
    }

    /// Makes the replicas that are new and tells each what the metadata says of it.
    pub fn apply(&self, changes: Vec<PartitionChange<'_>>) {
        let new: Vec<_> = {
            let map = self.map.all.load();
            changes
                .iter()
                .filter(|c| !map.contains_key(&c.key))
                .map(|c| self.make(c))
                .collect()
        };
        if !new.is_empty() {
            self.change(|map| map.extend(new.into_iter().map(|replica| (replica.key(), replica))));
        }
        for change in changes {
            if let Some(replica) = self.map.find(change.key) {
                self.play(replica, change.partition);
            }
        }
    }

    /// Tells a replica its part, and whoever fetches for it what there is to fetch.
    fn play(&self, replica: Arc<Replica>, partition: &PartitionImage) {
        let key = replica.key();
        let assigned = directory_of(partition, self.me);
        replica.assign_directory(assigned);
        self.directories.settle(&replica);
        if self.lies_in(key).is_some_and(|found| found != assigned) {
            self.directories.doubt(key);
        }
        if partition.leader == Some(self.me) {
            replica.play(Part::Lead(leadership(partition)));
            self.order(FetchOrder::Stop(key));
            return;
        }
        replica.play(Part::Follow(Following {
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
        }));
        self.order(match partition.leader {
            Some(leader) => FetchOrder::Follow {
                replica,
                leader,
                leader_epoch: partition.leader_epoch,
            },
            None => FetchOrder::Stop(key),
        });
    }

    fn order(&self, order: FetchOrder) {
        // Nobody fetches for a node that stops.
        let _ = self.outbound.fetch_orders.send(order);
    }

    /// Brings the controller's answer to the partition that asked.
    pub fn isr_answered(&self, proposal: &IsrProposal, answer: IsrAnswer) {
        if let Some(replica) = self.map.find(proposal.key) {
            replica.isr_answered(proposal.partition_epoch, answer);
        }
    }

    /// Brokers were fenced or stop, as of this version: no leader here waits for them.
    pub fn brokers_gone(&self, brokers: &[BrokerId], since: ImageVersion) {
        let all = self.map.all.load_full();
        for replica in all.values() {
            for id in brokers {
                replica.follower_gone(*id, since);
            }
        }
    }

    /// A follower's directory went, as of this version: its leader does not wait for it.
    pub fn replica_gone(&self, key: ReplicaKey, follower: BrokerId, since: ImageVersion) {
        if let Some(replica) = self.map.find(key) {
            replica.follower_gone(follower, since);
        }
    }

    /// Removes replicas and their logs.
    pub fn delete(&self, keys: &[ReplicaKey]) {
        let mut gone = Vec::new();
        self.change(|map| gone.extend(keys.iter().filter_map(|key| map.remove(key))));
        for replica in &gone {
            self.order(FetchOrder::Stop(replica.key()));
            replica.delete();
        }
    }

    /// Gives a replica other settings.
    pub fn configure(&self, key: ReplicaKey, config: &TopicConfig) {
        if let Some(replica) = self.map.find(key) {
            let config = self.partition_config(config, key);
            replica.configure(Arc::new(config));
        }
    }

    /// Closes every log in order and waits for it; requests are refused from now on.
    pub fn close(&self) {
        // Nothing is ever sent: it returns when the last sender has been dropped.
        let _ = self.begin_to_close().recv();
        self.forget();
    }

    /// Has every log closed in order; the receiver is cut off once that is done.
    pub fn begin_to_close(&self) -> mpsc::Receiver<()> {
        let (closing, closed) = mpsc::sync_channel::<()>(0);
        for replica in self.all() {
            replica.close(closing.clone());
        }
        closed
    }

    /// Lets all replicas go: the directories know the map, and the replicas the directories, so none is freed else.
    pub fn forget(&self) {
        self.change(Map::clear);
    }

    fn make(&self, change: &PartitionChange<'_>) -> Arc<Replica> {
        let config = self.partition_config(change.config, change.key);
        Replica::new(
            (change.key, change.topic.clone(), self.me),
            Arc::new(config),
            (
                self.directories.clone(),
                directory_of(change.partition, self.me),
            ),
            self.unassigned.clone(),
            &self.outbound,
        )
    }

    fn partition_config(&self, topic: &TopicConfig, key: ReplicaKey) -> PartitionConfig {
        PartitionConfig::new(topic, &self.storage, self.lag_max, jitter_of(key))
    }

    fn change(&self, change: impl FnOnce(&mut Map)) {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut map = Map::clone(&self.map.all.load());
        change(&mut map);
        self.map.all.store(Arc::new(map));
    }
}

/// A partition that is new or different, as far as this broker holds a replica of it.
#[derive(Clone, Copy, Debug)]
pub struct PartitionChange<'a> {
    /// Which.
    pub key: ReplicaKey,
    /// The topic's name.
    pub topic: &'a Arc<str>,
    /// What the metadata says.
    pub partition: &'a PartitionImage,
    /// The topic's settings.
    pub config: &'a TopicConfig,
}

fn directory_of(partition: &PartitionImage, broker: BrokerId) -> DirectoryId {
    let named = partition.directory_of(broker);
    named.unwrap_or(DIRECTORY_UNASSIGNED)
}

fn leadership(partition: &PartitionImage) -> Leadership {
    Leadership {
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        replicas: partition.replicas.iter().copied().collect(),
        isr: partition.isr.iter().copied().collect(),
    }
}

/// A number that is the same for a log at every start, and different from its neighbours'.
fn jitter_of(key: ReplicaKey) -> u64 {
    let [.., a, b, c, d] = key.topic.to_bytes();
    let topic = u64::from(u32::from_be_bytes([a, b, c, d]));
    topic
        .wrapping_mul(0x9e37_79b9)
        .wrapping_add(u64::from(key.partition.get().unsigned_abs()))
}

//! Several directories: where logs are made, where none may be made, and what the controller hears of it.

use std::collections::BTreeSet;

use super::*;
use crate::metadata::ids::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED};
use crate::replica::request::Refusal;

/// A broker with two directories, each on a disk of its own.
struct Pair {
    disks: [SimDisk; 2],
    dirs: Vec<Arc<LogDir>>,
    replicas: Replicas,
    line: std::sync::mpsc::Receiver<Arc<Replica>>,
}

const OTHER: BrokerId = BrokerId::from_wire(2).unwrap();

fn partition(number: i32) -> ReplicaKey {
    ReplicaKey {
        partition: PartitionIndex::from_wire(number).unwrap(),
        ..key()
    }
}

impl Pair {
    fn new() -> Self {
        Self::on([SimDisk::new(), SimDisk::new()])
    }

    fn on(disks: [SimDisk; 2]) -> Self {
        let map = Arc::new(ReplicaMap::default());
        let start = |disk: &SimDisk| {
            let mut options = LogDirOptions::new(
                PathBuf::from("/data"),
                Arc::new(disk.mount()),
                Arc::new(clock::SystemClock),
                map.clone(),
                1,
            );
            options.tuning = Tuning {
                threads: 0,
                ballast_bytes: 0,
                ..Tuning::default()
            };
            Arc::new(LogDir::start(options).unwrap())
        };
        let dirs: Vec<_> = disks.iter().map(start).collect();
        let config = NodeConfig::load(&Sources::default()).unwrap();
        let (outbound, line) = outbound();
        let settings = (config.storage, config.replica.lag_max);
        let replicas = Replicas::new(ME, map, dirs.clone(), settings, outbound);
        Self {
            disks,
            dirs,
            replicas,
            line,
        }
    }

    /// What the metadata say of a partition: who leads, and where this broker's replica is.
    fn hear(&self, key: ReplicaKey, leader: BrokerId, directory: DirectoryId) -> Arc<Replica> {
        let image = PartitionImage {
            replicas: vec![ME, OTHER],
            directories: vec![directory, DIRECTORY_UNASSIGNED],
            isr: vec![leader],
            elr: Vec::new(),
            last_known_elr: Vec::new(),
            adding_replicas: Vec::new(),
            removing_replicas: Vec::new(),
            leader: Some(leader),
            leader_epoch: LeaderEpoch::from(0_u16),
            partition_epoch: PartitionEpoch::ZERO,
            recovery_state: RecoveryState::Recovered,
        };
        let config = NodeConfig::load(&Sources::default()).unwrap();
        self.replicas.apply(vec![PartitionChange {
            key,
            topic: &Arc::from("t"),
            partition: &image,
            config: &TopicConfig::resolve(&Layers::of_static(&config.values), 2),
        }]);
        self.replicas.find(key.topic, key.partition).unwrap()
    }

    fn open(&self, replica: &Replica) {
        replica.ask_open();
        loop {
            self.dirs.iter().for_each(|dir| dir.run_pending());
            let Ok(replica) = self.line.try_recv() else {
                return;
            };
            replica.work_for(1);
        }
    }

    /// What the controller is to hear, of those that came into doubt.
    fn told(&self) -> Vec<(ReplicaKey, Option<DirectoryId>)> {
        let keys = self.replicas.in_doubt().take().into_iter();
        keys.map(|key| (key, self.replicas.lies_in(key))).collect()
    }

    fn id(&self, at: usize) -> DirectoryId {
        self.dirs[at].id()
    }

    fn holds(&self, at: usize, key: ReplicaKey) -> bool {
        self.dirs[at].log(Replicas::log_key(key)).is_some()
    }

    fn restarted(self) -> Self {
        let Self {
            disks,
            dirs,
            replicas,
            ..
        } = self;
        drop((replicas, dirs));
        disks.iter().for_each(SimDisk::kill);
        Self::on(disks)
    }
}

fn is_offline(replica: &Replica) -> bool {
    matches!(**replica.view(), View::Refused(Refusal::Offline))
}

#[test]
fn new_replicas_are_spread_and_told_before_their_logs_are_made() {
    let pair = Pair::new();
    for number in 0..10 {
        pair.hear(partition(number), ME, DIRECTORY_UNASSIGNED);
    }
    let told = pair.told();
    let homes: Vec<_> = told.iter().filter_map(|(_, home)| *home).collect();
    assert_eq!(homes.len(), 10);
    let in_first = homes.iter().filter(|home| **home == pair.id(0)).count();
    assert_eq!(in_first, 5);
    // A log is made where its replica was said to be.
    for (key, home) in &told {
        let replica = pair.hear(*key, ME, home.unwrap());
        pair.open(&replica);
        assert!(pair.holds(usize::from(*home == Some(pair.id(1))), *key));
    }
    assert!(pair.told().is_empty());
}

#[test]
fn a_named_directory_is_taken_and_is_no_news() {
    let pair = Pair::new();
    let replica = pair.hear(partition(0), ME, pair.id(1));
    pair.open(&replica);
    assert!(pair.holds(1, partition(0)) && !pair.holds(0, partition(0)));
    assert!(pair.told().is_empty());
}

#[test]
fn a_start_tells_what_the_journals_say() {
    let pair = Pair::new();
    let replica = pair.hear(partition(0), ME, pair.id(1));
    pair.open(&replica);
    drop(replica);
    let pair = pair.restarted();
    for other in [DIRECTORY_UNASSIGNED, DIRECTORY_LOST, pair.id(0)] {
        pair.hear(partition(0), OTHER, other);
        assert_eq!(pair.told(), [(partition(0), Some(pair.id(1)))]);
    }
}

/// Semantics 1.7: an empty log would be taken for the one in the failed directory.
#[test]
fn no_log_is_made_for_a_replica_that_may_lie_in_a_failed_directory() {
    let pair = Pair::new();
    pair.disks[0].fail_next_syncs(1);
    let lost = pair.hear(partition(0), OTHER, pair.id(0));
    pair.open(&lost);
    assert!(pair.dirs[0].failure().is_some());
    assert!(is_offline(&lost));
    let elsewhere = DirectoryId::new(uuid::Uuid::from_u128(1 << 90));
    for (number, directory) in [(1, DIRECTORY_LOST), (2, elsewhere)] {
        let replica = pair.hear(partition(number), OTHER, directory);
        pair.open(&replica);
        assert!(is_offline(&replica));
        assert!(!pair.holds(1, partition(number)));
    }
    // What is new goes to the other one.
    let new = pair.hear(partition(3), OTHER, DIRECTORY_UNASSIGNED);
    pair.open(&new);
    assert!(pair.holds(1, partition(3)));
}

/// It was offline until the next start, for a disk that was full for a moment.
#[test]
fn a_new_replica_that_no_directory_takes_just_now_is_made_when_one_does() {
    let pair = Pair::new();
    pair.disks[0].fail_next_syncs(1);
    let lost = pair.hear(partition(0), OTHER, pair.id(0));
    pair.open(&lost);
    assert!(pair.dirs[0].failure().is_some());
    pair.replicas.set_hanging([pair.id(1)].into());
    let new = pair.hear(partition(1), ME, DIRECTORY_UNASSIGNED);
    pair.open(&new);
    assert!(matches!(**new.view(), View::Closed), "{:?}", new.view());
    pair.replicas.set_hanging(BTreeSet::new());
    new.may_ask_open_again(MonoMillis::from_millis(0));
    pair.open(&new);
    assert!(pair.holds(1, partition(1)));
    // Once the metadata hold it for lost, it may lie in the directory that failed.
    pair.replicas.set_hanging([pair.id(1)].into());
    let unknown = pair.hear(partition(2), ME, DIRECTORY_LOST);
    pair.open(&unknown);
    assert!(is_offline(&unknown));
}

/// With every directory at work nothing can be hidden: a follower copies what the leader has.
#[test]
fn a_follower_makes_a_new_log_in_place_of_a_lost_one_and_a_leader_does_not() {
    let pair = Pair::new();
    let follower = pair.hear(partition(0), OTHER, DIRECTORY_LOST);
    pair.open(&follower);
    let home = usize::from(pair.holds(1, partition(0)));
    assert!(pair.holds(home, partition(0)));
    assert_eq!(pair.told(), [(partition(0), Some(pair.id(home)))]);
    let leader = pair.hear(partition(1), ME, DIRECTORY_LOST);
    pair.open(&leader);
    assert!(!pair.holds(0, partition(1)) && !pair.holds(1, partition(1)));
    assert!(matches!(**leader.view(), View::Closed));
}

/// The controller never heard of a log that could not be opened: its broker kept the leadership.
#[test]
fn a_log_that_can_not_be_opened_is_told_as_lost() {
    let pair = Pair::new();
    let replica = pair.hear(partition(0), ME, pair.id(0));
    pair.open(&replica);
    drop(replica);
    let pair = pair.restarted();
    let metadata = PathBuf::from("/data/t-0/partition.metadata");
    pair.disks[0].plant(&metadata, b"version: 0\ntopic_id: no id\n".to_vec());
    let replica = pair.hear(partition(0), ME, pair.id(0));
    assert!(pair.told().is_empty());
    pair.replicas.recover().unwrap();
    pair.open(&replica);
    assert!(is_offline(&replica) && pair.dirs[0].failure().is_none());
    assert_eq!(pair.told(), [(partition(0), Some(DIRECTORY_LOST))]);
}

#[test]
fn a_directory_that_hangs_has_lost_its_replicas_until_it_answers() {
    let pair = Pair::new();
    for number in 0..2 {
        pair.hear(partition(number), ME, pair.id(0));
    }
    pair.hear(partition(2), ME, pair.id(1));
    let hanging: BTreeSet<_> = [pair.id(0)].into();
    assert_eq!(pair.replicas.set_hanging(hanging.clone()), hanging);
    let all = |home| [0, 1].map(|number| (partition(number), Some(home)));
    assert_eq!(pair.told(), all(DIRECTORY_LOST));
    assert!(pair.replicas.set_hanging(hanging.clone()).is_empty());
    // Nothing new is put there meanwhile.
    for number in 3..6 {
        let replica = pair.hear(partition(number), ME, DIRECTORY_UNASSIGNED);
        assert_eq!(replica.directory(), Some(pair.id(1)));
    }
    pair.told();
    assert_eq!(pair.replicas.set_hanging(BTreeSet::new()), hanging);
    assert_eq!(pair.told(), all(pair.id(0)));
}

/// A disk was away for a while, and its replicas went on in another directory. The old copies were opened again.
#[test]
fn of_two_copies_the_one_that_the_metadata_name_goes_on() {
    let pair = Pair::new();
    let old = pair.hear(partition(0), OTHER, pair.id(0));
    pair.open(&old);
    drop(old);
    let [first, second] = &pair.disks;
    let disks = [first.clone(), second.clone()];
    drop(pair);
    let away = Pair::on([SimDisk::new(), disks[1].clone()]);
    let new = away.hear(partition(0), OTHER, away.id(1));
    away.open(&new);
    assert!(away.holds(1, partition(0)));
    drop(new);
    drop(away);
    let pair = Pair::on(disks);
    assert!(pair.holds(0, partition(0)) && pair.holds(1, partition(0)));
    let replica = pair.hear(partition(0), OTHER, pair.id(1));
    assert_eq!(replica.directory(), Some(pair.id(1)));
    assert!(pair.told().is_empty());
}

//! The driver watches over brokers: silence, closed doors, and processes that take a place.

use std::sync::atomic::Ordering;
use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::controller::command::{
    AlterPartition, AlterPartitionOne, Assignment, BrokerState, ChangeBroker, CreateTopics,
    Heartbeat, RegisterBroker, RegisterError,
};
use crate::metadata::record::EndpointRecord;
use crate::metadata::{BrokerEpoch, Incarnation, PartitionImage, TopicId};
use crate::telemetry::replication::Counter;

const SHORT: Duration = Duration::from_millis(50);

impl World {
    async fn let_in(&self, id: u8) -> BrokerEpoch {
        fake::join(&self.controller, registration(id)).await
    }

    fn is_fenced(&self, id: i32) -> bool {
        let image = self.publisher.image();
        image.brokers().find(broker(id)).unwrap().is_fenced
    }

    async fn until_fenced(&self, id: i32) {
        while !self.is_fenced(id) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn until_knocked(&self) {
        while self.doors.knocks.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Broker 2 on another disk, as another process.
    async fn register_elsewhere(&self) -> Result<BrokerEpoch, RegisterError> {
        let command = RegisterBroker {
            incarnation: Incarnation(Uuid::from_bytes([9; 16])),
            directories: registration(9).directories,
            ..registration(2)
        };
        self.controller.register_broker(command).await.unwrap()
    }

    async fn hear(&self, epoch: BrokerEpoch) -> crate::controller::command::HeartbeatAnswer {
        let heartbeat = Heartbeat {
            broker: broker(2),
            epoch,
            applied: self.publisher.image().version(),
            wants_fence: false,
            wants_shut_down: false,
            offline_directories: vec![],
        };
        self.controller.heartbeat(heartbeat).await.unwrap().unwrap()
    }

    fn first_partition(&self) -> (TopicId, PartitionImage) {
        let image = self.publisher.image();
        let topic = image.topics().by_name("t").unwrap();
        let (_, partition) = topic.partitions().next().unwrap();
        (topic.id(), PartitionImage::clone(partition))
    }

    fn elect(&self, term: u64) {
        self.fake.leader.send_replace(Leader {
            term,
            node: Some(broker(1)),
        });
    }
}

#[test]
fn a_broker_that_is_silent_for_a_session_is_fenced() {
    let short = Settings {
        session_timeout: SHORT,
        ..settings()
    };
    with_settings(short, |world| async move {
        world.let_in(2).await;
        world.let_in(3).await;
        world.until_fenced(2).await;
        world.until_fenced(3).await;
        tokio::task::yield_now().await;
        assert_eq!(world.fake.counters.fences.session.get(), 2);
        assert_eq!(world.publisher.image().rejected(), 0);
    });
}

#[test]
fn a_broker_whose_door_is_shut_is_fenced_when_its_connection_closes() {
    with_driver(|world| async move {
        let epoch = world.let_in(2).await;
        world.doors.are_shut.store(true, Ordering::Relaxed);
        world.controller.suspect(broker(2), epoch);
        world.until_fenced(2).await;
        // It lives after all: it comes back, and is not fenced so again.
        let answer = world.hear(epoch).await;
        assert!(!answer.is_fenced);
        world.doors.knocks.store(0, Ordering::Relaxed);
        world.controller.suspect(broker(2), epoch);
        world.hear(epoch).await;
        world.hear(epoch).await;
        assert_eq!(world.doors.knocks.load(Ordering::Relaxed), 0);
        assert!(!world.is_fenced(2));
    });
}

/// Two clients that each ask again as soon as they are answered kept the driver from hearing who may be gone.
#[test]
fn a_dead_broker_is_fenced_while_commands_never_cease_to_wait() {
    with_driver(|world| async move {
        let epoch = world.let_in(2).await;
        world.doors.are_shut.store(true, Ordering::Relaxed);
        let client = async |name: &str| {
            for number in 0..100 {
                let topic = CreateTopics::with_defaults(&format!("{name}{number}"));
                world.controller.create_topics(topic).await.unwrap();
                if number == 10 {
                    world.controller.suspect(broker(2), epoch);
                }
                if world.is_fenced(2) {
                    return true;
                }
            }
            false
        };
        // One of them asks while the other one's group is on its way.
        let later = async {
            tokio::task::yield_now().await;
            client("b").await
        };
        let (a, b) = tokio::join!(client("a"), later);
        assert!(a && b, "commands went first, all of them");
    });
}

/// What is not carried out casts doubt on the leadership. If it goes on, sessions do, too: a broker that is silent had
/// a whole one with each doubt.
#[test]
fn a_doubt_that_the_same_leadership_survives_begins_no_session() {
    with_driver(|world| async move {
        world.let_in(2).await;
        world.fake.fail_next.set(Some(QuorumError::OutcomeUnknown));
        let create = |name| {
            world
                .controller
                .create_topics(CreateTopics::with_defaults(name))
        };
        assert!(create("t").await.is_err());
        assert!(create("t").await.is_ok());
        assert_eq!(world.doors.knocks.load(Ordering::Relaxed), 0);
    });
}

/// An address for clients on its own host leads this node to itself.
#[test]
fn brokers_are_knocked_at_where_brokers_reach_them() {
    with_driver(|world| async move {
        let mut two = registration(2);
        let own = two.endpoints[0].clone();
        two.endpoints.insert(
            0,
            EndpointRecord {
                listener: "HOST".to_owned(),
                port: own.port + 1,
                ..own.clone()
            },
        );
        let epoch = fake::join(&world.controller, two).await;
        world.controller.suspect(broker(2), epoch);
        world.until_knocked().await;
        assert_eq!(world.doors.last.lock().unwrap().as_ref(), Some(&own));
    });
}

/// A process was not quite dead when it was knocked at, and was held for alive until its session ended.
#[test]
fn a_suspect_that_stays_silent_is_knocked_at_again() {
    with_driver(|world| async move {
        let epoch = world.let_in(2).await;
        world.controller.suspect(broker(2), epoch);
        world.until_knocked().await;
        world.doors.are_shut.store(true, Ordering::Relaxed);
        world.until_fenced(2).await;
    });
}

#[test]
fn an_open_door_proves_nothing() {
    with_driver(|world| async move {
        let epoch = world.let_in(2).await;
        world.controller.suspect(broker(2), epoch);
        world.until_knocked().await;
        world.hear(epoch).await;
        assert!(!world.is_fenced(2));
    });
}

#[test]
fn a_new_controller_knocks_at_every_broker_but_its_own() {
    with_driver(|world| async move {
        world.let_in(1).await;
        world.let_in(2).await;
        world.doors.are_shut.store(true, Ordering::Relaxed);
        world.elect(2);
        world.until_fenced(2).await;
        assert!(!world.is_fenced(1));
        assert_eq!(world.doors.knocks.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_process_on_another_disk_takes_no_place_of_one_that_lives() {
    with_driver(|world| async move {
        let old = world.let_in(2).await;
        let refused = world.register_elsewhere().await;
        assert_eq!(refused, Err(RegisterError::Duplicate { broker: broker(2) }));
        assert!(!world.hear(old).await.is_fenced);
        world.doors.are_shut.store(true, Ordering::Relaxed);
        let new = world.register_elsewhere().await.unwrap();
        assert!(new > old);
        let image = world.publisher.image();
        let own = image.brokers().find(broker(2)).unwrap();
        assert_eq!((own.epoch, own.is_fenced), (new, true));
    });
}

/// The disk's lock has shown that the old process is gone: nobody has to knock.
#[test]
fn a_process_on_the_same_disk_is_registered_at_once() {
    with_driver(|world| async move {
        let old = world.let_in(2).await;
        let restarted = RegisterBroker {
            incarnation: Incarnation(Uuid::from_bytes([9; 16])),
            ..registration(2)
        };
        let new = world.controller.register_broker(restarted).await;
        assert!(new.unwrap().unwrap() > old);
        assert_eq!(world.doors.knocks.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_registration_that_waits_for_a_probe_is_answered_when_the_leadership_ends() {
    with_driver(|world| async move {
        world.let_in(2).await;
        world.fake.leader.send_replace(Leader {
            term: 2,
            node: Some(broker(3)),
        });
        let command = RegisterBroker {
            incarnation: Incarnation(Uuid::from_bytes([9; 16])),
            directories: registration(9).directories,
            ..registration(2)
        };
        let refused = world.controller.register_broker(command).await;
        let leader = Some(broker(3));
        assert_eq!(refused, Err(ControllerError::NotController { leader }));
    });
}

/// Nobody has to ask for it.
#[test]
fn leaderships_go_back_from_time_to_time() {
    let often = Settings {
        balance_interval: SHORT,
        ..settings()
    };
    with_settings(often, |world| async move {
        let epoch = world.let_in(2).await;
        let other = world.let_in(3).await;
        let mut topic = CreateTopics::with_defaults("t");
        topic.topics[0].assignments = vec![Assignment {
            partition: 0,
            brokers: vec![2, 3],
        }];
        world.controller.create_topics(topic).await.unwrap();
        for to in [BrokerState::Fenced, BrokerState::Unfenced] {
            let broker = broker(2);
            let change = ChangeBroker { broker, epoch, to };
            world
                .controller
                .change_broker(change)
                .await
                .unwrap()
                .unwrap();
        }
        let (topic, partition) = world.first_partition();
        assert_eq!(partition.leader, Some(broker(3)));
        let one = AlterPartitionOne {
            partition: 0,
            leader_epoch: partition.leader_epoch.get(),
            partition_epoch: partition.partition_epoch.get(),
            isr: vec![(3, other.get()), (2, epoch.get())],
            recovery_state: 0,
        };
        let in_sync = AlterPartition {
            broker: broker(3),
            epoch: other,
            topics: vec![(topic, vec![one])],
        };
        world
            .controller
            .alter_partition(in_sync)
            .await
            .unwrap()
            .unwrap();
        while world.first_partition().1.leader != Some(broker(2)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// Under load heartbeats wait. Counted from when they came, or when they are answered, they would have every broker
/// fenced, and that is more load.
#[test]
fn gotcha_44_a_heartbeat_that_waited_counts_when_it_is_taken() {
    let session = Duration::from_millis(300);
    let short = Settings {
        session_timeout: session,
        ..settings()
    };
    with_settings(short, |world| async move {
        let epoch = world.let_in(2).await;
        world.fake.delay_next.set(session * 2);
        let slow = world
            .controller
            .create_topics(CreateTopics::with_defaults("t"));
        let beat = async {
            tokio::time::sleep(session / 6).await;
            world.hear(epoch).await
        };
        let (slow, _) = tokio::join!(slow, beat);
        slow.unwrap();
        let entries = world.fake.entries.borrow();
        let mut records = entries.iter().flat_map(|entry| &entry.records);
        let is_fence = |record: &Record| matches!(record, Record::BrokerChange(change) if change.fenced == Some(true));
        assert!(!records.any(is_fence), "{entries:?}");
    });
}

#[test]
fn each_fence_is_counted_with_its_reason() {
    with_driver(|world| async move {
        let fences = &world.fake.counters.fences;
        let counts = || {
            [
                &fences.session,
                &fences.probe,
                &fences.asked,
                &fences.stop,
                &fences.restart,
            ]
            .map(Counter::get)
        };
        let mut epoch = world.let_in(2).await;
        let heartbeat = |epoch, wants_fence, wants_shut_down| Heartbeat {
            broker: broker(2),
            epoch,
            applied: world.publisher.image().version(),
            wants_fence,
            wants_shut_down,
            offline_directories: vec![],
        };
        let hear = async |heartbeat| {
            world
                .controller
                .heartbeat(heartbeat)
                .await
                .unwrap()
                .unwrap()
        };
        hear(heartbeat(epoch, true, false)).await;
        assert_eq!(counts(), [0, 0, 1, 0, 0]);
        hear(heartbeat(epoch, false, false)).await;
        let again = RegisterBroker {
            incarnation: Incarnation(Uuid::from_bytes([9; 16])),
            ..registration(2)
        };
        epoch = world
            .controller
            .register_broker(again)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(counts(), [0, 0, 1, 0, 1]);
        hear(heartbeat(epoch, false, false)).await;
        world.doors.are_shut.store(true, Ordering::Relaxed);
        world.controller.suspect(broker(2), epoch);
        world.until_fenced(2).await;
        hear(heartbeat(epoch, false, false)).await;
        assert_eq!(counts(), [0, 1, 1, 0, 1]);
        while !hear(heartbeat(epoch, false, true)).await.should_shut_down {}
        assert_eq!(counts(), [0, 1, 1, 1, 1]);
    });
}

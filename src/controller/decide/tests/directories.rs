//! Directories: brokers say where replicas lie, directories fail, and come back or not.

use super::*;
use crate::metadata::RecoveryState;
use crate::metadata::ids::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED};

fn directory(id: u8) -> DirectoryId {
    DirectoryId::new(Uuid::from_bytes([id; 16]))
}

/// What broker 3 has.
fn both() -> Vec<DirectoryId> {
    vec![directory(0x91), directory(0x92)]
}

/// Brokers 1 and 2 with one directory each, broker 3 with two, and "t" with these replicas.
fn world(replicas: &[i32]) -> World {
    let mut world = World::with_brokers(settings(), 2);
    world.join(RegisterBroker {
        directories: both(),
        ..registration(3)
    });
    world.with_replicas(replicas)
}

/// Broker 3 in another process.
fn again(incarnation: u8, proof: Option<BrokerEpoch>, dirs: &[DirectoryId]) -> RegisterBroker {
    RegisterBroker {
        incarnation: Incarnation(Uuid::from_bytes([incarnation; 16])),
        previous_epoch: proof,
        directories: dirs.to_vec(),
        ..registration(3)
    }
}

/// Broker 3 says that directories failed.
fn fail(world: &mut World, failed: &[DirectoryId]) {
    let command = Heartbeat {
        broker: broker(3),
        epoch: world.epoch(3),
        applied: world.image.version(),
        wants_fence: false,
        wants_shut_down: false,
        offline_directories: failed.to_vec(),
    };
    let outcome = world.run(Command::Heartbeat(command));
    assert!(matches!(outcome, Outcome::Heartbeat(Ok(_))), "{outcome:?}");
}

#[test]
fn the_controller_names_an_only_directory_and_leaves_a_choice_to_the_broker() {
    let world = world(&[1, 3]);
    let only = registration(1).directories[0];
    assert_eq!(world.directory("t", 1), Some(only));
    assert_eq!(world.directory("t", 3), Some(DIRECTORY_UNASSIGNED));
}

#[test]
fn a_directory_that_a_broker_names_is_noted_once() {
    let mut world = world(&[3, 1]);
    let before = world.partition("t", 0).clone();
    assert_eq!(world.place(3, both()[1], "t"), Ok(()));
    let after = world.partition("t", 0).clone();
    assert_eq!(world.directory("t", 3), Some(both()[1]));
    assert_eq!(world.directory("t", 1), before.directory_of(broker(1)));
    assert_eq!(Some(after.partition_epoch), before.partition_epoch.next());
    // M2: it is still the same reign.
    assert_eq!(after.leader_epoch, before.leader_epoch);
    assert_eq!((after.leader, &after.isr), (before.leader, &before.isr));
    let version = world.partition("t", 0).partition_epoch;
    assert_eq!(world.place(3, both()[1], "t"), Ok(()));
    assert_eq!(world.partition("t", 0).partition_epoch, version);
}

#[test]
fn each_replica_that_can_not_be_assigned_has_its_error_and_costs_the_others_nothing() {
    let mut world = world(&[3, 1]);
    let topic = world.topic("t").id();
    let unknown = TopicId::new(Uuid::from_u128(1 << 100));
    let (here, nowhere) = (both()[0], DIRECTORY_UNASSIGNED);
    let command = |epoch| {
        let here = vec![(unknown, vec![0]), (topic, vec![-1, 7, 0, 0])];
        let directories = vec![(directory(0x91), here), (nowhere, vec![(topic, vec![1])])];
        Command::AssignReplicas(AssignReplicas {
            broker: broker(3),
            epoch,
            directories,
        })
    };
    let epoch = world.epoch(3);
    let expected = vec![
        (
            here,
            vec![
                (unknown, vec![(0, Err(AssignReplicaError::UnknownTopic))]),
                (
                    topic,
                    vec![
                        (-1, Err(AssignReplicaError::UnknownPartition)),
                        (7, Err(AssignReplicaError::UnknownPartition)),
                        (0, Ok(())),
                        (0, Err(AssignReplicaError::Duplicate)),
                    ],
                ),
            ],
        ),
        (
            nowhere,
            vec![(topic, vec![(1, Err(AssignReplicaError::NotADirectory))])],
        ),
    ];
    let outcome = world.run(command(epoch));
    assert_eq!(outcome, Outcome::AssignReplicas(Ok(expected)));
    assert_eq!(world.directory("t", 3), Some(here));
    let only = registration(2).directories[0];
    let other = world.place(2, only, "t");
    assert_eq!(other, Err(AssignReplicaError::NotReplica));
    let stale = world.run(command(epoch.next().unwrap()));
    assert!(matches!(stale, Outcome::AssignReplicas(Err(_))));
}

/// A log that can't be opened in a directory that works: its broker kept the leadership and answered nobody.
#[test]
fn a_replica_that_is_lost_leads_no_more_and_is_back_once_it_is_found() {
    let mut world = world(&[3, 1]);
    let home = both()[0];
    world.place(3, home, "t").unwrap();
    let before = world.partition("t", 0).clone();
    assert_eq!(world.place(3, DIRECTORY_LOST, "t"), Ok(()));
    let lost = world.partition("t", 0).clone();
    assert_eq!((lost.leader, &lost.isr), (Some(broker(1)), &ids(&[1])));
    assert!(lost.leader_epoch > before.leader_epoch);
    assert_eq!(world.directory("t", 3), Some(DIRECTORY_LOST));
    // Nobody else has what was acknowledged: it is waited for.
    let mut world = self::world(&[3]);
    world.place(3, home, "t").unwrap();
    world.place(3, DIRECTORY_LOST, "t").unwrap();
    let lost = world.partition("t", 0).clone();
    assert_eq!((lost.leader, &lost.elr), (None, &ids(&[3])));
    world.place(3, home, "t").unwrap();
    let found = world.partition("t", 0);
    assert_eq!((found.leader, &found.isr), (Some(broker(3)), &ids(&[3])));
    assert_eq!(found.recovery_state, RecoveryState::Recovered);
}

#[test]
fn a_replica_in_a_directory_that_is_not_registered_is_out_at_once() {
    let mut world = world(&[3, 1]);
    world.place(3, directory(0x99), "t").unwrap();
    let partition = world.partition("t", 0);
    assert_eq!(
        (partition.leader, &partition.isr),
        (Some(broker(1)), &ids(&[1]))
    );
}

/// It may have been on the failed one, and then an empty one would have been made in its place.
#[test]
fn a_replica_that_was_never_placed_is_held_for_lost_until_its_broker_says_where_it_is() {
    for is_left in [true, false] {
        let mut world = world(&[3, 1]);
        fail(&mut world, &both()[..1]);
        let partition = world.partition("t", 0);
        assert_eq!(
            (partition.leader, &partition.isr),
            (Some(broker(1)), &ids(&[1]))
        );
        assert_eq!(world.directory("t", 3), Some(DIRECTORY_LOST));
        let home = both()[usize::from(is_left)];
        world.place(3, home, "t").unwrap();
        world.change(1, BrokerState::Fenced);
        // Below the minimum of one it was not eligible; a partition of its own shows that it would be.
        assert_eq!(world.partition("t", 0).leader, None);
        let mut world = self::world(&[3]);
        fail(&mut world, &both()[..1]);
        assert_eq!(world.partition("t", 0).leader, None);
        world.place(3, home, "t").unwrap();
        let leader = is_left.then_some(broker(3));
        assert_eq!(world.partition("t", 0).leader, leader);
    }
}

#[test]
fn a_failed_directory_does_not_come_back_with_the_same_process() {
    let mut world = world(&[3, 1]);
    world.place(3, both()[0], "t").unwrap();
    fail(&mut world, &both()[..1]);
    assert_eq!(world.partition("t", 0).leader, Some(broker(1)));
    let amended = RegisterBroker {
        directories: both(),
        ..registration(3)
    };
    world.register(amended).unwrap();
    let own = world.image.brokers().find(broker(3)).unwrap();
    assert_eq!(own.directories, both()[1..]);
}

/// A node was stopped in order and came back without one of its directories. Its proof was taken for all of them, and
/// the empty replica that took the place of the missing one was elected.
#[test]
fn a_clean_restart_proves_nothing_for_a_directory_that_is_missing() {
    let is_placed = |at: Option<usize>, dirs: &[DirectoryId]| {
        let mut world = world(&[3]);
        if let Some(at) = at {
            world.place(3, both()[at], "t").unwrap();
        }
        let proof = world.epoch(3);
        world.register(again(9, Some(proof), dirs)).unwrap();
        world.change(3, BrokerState::Unfenced);
        world
    };
    // In the one that is there, and with both: nothing is lost.
    for (at, dirs) in [
        (Some(1), &both()[1..]),
        (Some(0), &both()[..]),
        (None, &both()[..]),
    ] {
        let world = is_placed(at, dirs);
        let partition = world.partition("t", 0);
        assert_eq!(partition.leader, Some(broker(3)));
        assert_eq!(partition.recovery_state, RecoveryState::Recovered);
    }
    // In the missing one, or perhaps.
    for at in [Some(0), None] {
        let mut world = is_placed(at, &both()[1..]);
        let partition = world.partition("t", 0).clone();
        assert_eq!(partition.leader, None);
        assert!(partition.isr.is_empty() && partition.elr.is_empty());
        let command = ElectLeaders {
            kind: ElectionKind::Unclean,
            partitions: None,
        };
        world.run(Command::ElectLeaders(command));
        assert_eq!(world.partition("t", 0).leader, None);
        // The disk was only unplugged.
        let proof = world.epoch(3);
        world.register(again(10, Some(proof), &both())).unwrap();
        world.change(3, BrokerState::Unfenced);
        if at.is_none() {
            world.place(3, both()[0], "t").unwrap();
        }
        let partition = world.partition("t", 0);
        assert_eq!(partition.leader, Some(broker(3)));
        assert_eq!(partition.recovery_state, RecoveryState::Recovering);
    }
}

/// What was eligible was the copy on the missing disk. The one that is being made elsewhere lacks records.
#[test]
fn a_new_copy_does_not_inherit_what_the_old_one_was_eligible_for() {
    let mut world = world(&[1, 2, 3]);
    world.place(3, both()[0], "t").unwrap();
    world.change(3, BrokerState::Fenced);
    world.change(2, BrokerState::Fenced);
    assert_eq!(world.partition("t", 0).elr, ids(&[2]));
    // The same with 3 as the one that is eligible.
    let mut world = self::world(&[1, 2, 3]);
    world.place(3, both()[0], "t").unwrap();
    world.change(2, BrokerState::Fenced);
    fail(&mut world, &both()[..1]);
    assert_eq!(world.partition("t", 0).elr, ids(&[3]));
    let proof = world.epoch(3);
    world.register(again(9, Some(proof), &both()[1..])).unwrap();
    assert!(world.partition("t", 0).elr.is_empty());
    // Nor within one process, whatever its broker says.
    let mut world = self::world(&[1, 2, 3]);
    world.place(3, both()[0], "t").unwrap();
    world.change(2, BrokerState::Fenced);
    fail(&mut world, &both()[..1]);
    world.place(3, both()[1], "t").unwrap();
    assert!(world.partition("t", 0).elr.is_empty());
    world.change(1, BrokerState::Fenced);
    assert_eq!(world.partition("t", 0).leader, None);
}

#[test]
fn an_operator_can_not_elect_a_replica_whose_directory_is_offline() {
    let mut world = world(&[3, 1]);
    world.place(3, both()[0], "t").unwrap();
    fail(&mut world, &both()[..1]);
    for kind in [ElectionKind::Preferred, ElectionKind::Unclean] {
        world.run(Command::ElectLeaders(ElectLeaders {
            kind,
            partitions: None,
        }));
        assert_eq!(world.partition("t", 0).leader, Some(broker(1)));
    }
}

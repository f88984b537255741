//! Changes of ISRs: a row per check, in the order of the checks.

use super::*;
use crate::metadata::record::PartitionChange;
use crate::metadata::{PartitionImage, RecoveryState};

/// Brokers 1 to 4, and "t" with the replicas 1, 2 and 3, led by 1.
fn world() -> World {
    World::with_brokers(settings(), 4).with_replicas(&[1, 2, 3])
}

/// What broker 1 asks for when it knows everything.
fn wanted(world: &World, isr: &[i32]) -> AlterPartitionOne {
    let partition = world.partition("t", 0);
    AlterPartitionOne {
        partition: 0,
        leader_epoch: partition.leader_epoch.get(),
        partition_epoch: partition.partition_epoch.get(),
        isr: isr
            .iter()
            .map(|id| {
                let found = world.image.brokers().find(broker(*id));
                (*id, found.map_or(-1, |found| found.epoch.get()))
            })
            .collect(),
        recovery_state: 0,
    }
}

fn request(world: &World, sender: i32, ones: Vec<AlterPartitionOne>) -> Command {
    Command::AlterPartition(AlterPartition {
        broker: broker(sender),
        epoch: world.epoch(sender),
        topics: vec![(world.topic("t").id(), ones)],
    })
}

type Altered = Result<AlteredPartition, AlterPartitionError>;

fn alter(world: &mut World, sender: i32, ones: Vec<AlterPartitionOne>) -> Vec<Altered> {
    let command = request(world, sender, ones);
    match world.run(command) {
        Outcome::AlterPartition(Ok(mut topics)) => {
            let (_, altered) = topics.remove(0);
            altered.into_iter().map(|(_, result)| result).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn alter_one(world: &mut World, sender: i32, one: AlterPartitionOne) -> Altered {
    alter(world, sender, vec![one]).remove(0)
}

#[track_caller]
fn assert_shown(altered: &AlteredPartition, partition: &PartitionImage) {
    let shown = AlteredPartition {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        isr: partition.isr.clone(),
        recovery_state: partition.recovery_state,
        partition_epoch: partition.partition_epoch,
    };
    assert_eq!(altered, &shown);
}

/// KAFKA-15021: a new reign has every follower begin anew and fails what is being produced.
#[test]
fn gotcha_14_a_leader_shrinks_and_expands_its_isr_in_one_reign() {
    let mut world = world();
    let before = world.partition("t", 0).clone();
    let shrink = request(&world, 1, vec![wanted(&world, &[1, 3])]);
    let [Record::PartitionChange(shrunk)] = &world.decide(&shrink).records[..] else {
        panic!()
    };
    assert_eq!(shrunk.leader_epoch, before.leader_epoch.get());
    for isr in [&[1, 3][..], &[1], &[1, 2, 3]] {
        let one = wanted(&world, isr);
        let altered = alter_one(&mut world, 1, one).unwrap();
        let partition = world.partition("t", 0);
        assert_shown(&altered, partition);
        assert_eq!(partition.isr, ids(isr));
        assert_eq!(partition.leader_epoch, before.leader_epoch);
    }
    let after = world.partition("t", 0);
    assert_eq!(
        after.partition_epoch.get(),
        before.partition_epoch.get() + 3
    );
}

/// KIP-966: below the minimum who left may lead, at the minimum nobody needs to.
#[test]
fn gotcha_11_who_leaves_below_the_minimum_stays_eligible_until_it_is_reached_again() {
    let mut world = world();
    let one = wanted(&world, &[1]);
    alter_one(&mut world, 1, one).unwrap();
    assert_eq!(world.partition("t", 0).elr, ids(&[2, 3]));
    let one = wanted(&world, &[1, 2]);
    alter_one(&mut world, 1, one).unwrap();
    assert!(world.partition("t", 0).elr.is_empty());
}

#[test]
fn what_is_already_so_is_granted_without_a_fact() {
    let mut world = world();
    for isr in [[1, 2, 3], [3, 2, 1]] {
        let command = request(&world, 1, vec![wanted(&world, &isr)]);
        let decision = world.decide(&command);
        assert!(decision.records.is_empty());
        let Outcome::AlterPartition(Ok(topics)) = decision.outcome else {
            panic!()
        };
        let altered = topics[0].1[0].1.as_ref().unwrap();
        assert_shown(altered, world.partition("t", 0));
    }
}

#[test]
fn only_the_current_registration_is_heard() {
    let mut world = world();
    let current = world.epoch(1);
    let given = current.next().unwrap();
    let outcome = world.run(Command::AlterPartition(AlterPartition {
        broker: broker(1),
        epoch: given,
        topics: vec![],
    }));
    let stale = ChangeBrokerError::StaleEpoch {
        broker: broker(1),
        current,
        given,
    };
    assert_eq!(outcome, Outcome::AlterPartition(Err(stale)));
}

#[test]
fn an_unknown_topic_costs_the_others_nothing() {
    let mut world = world();
    let unknown = TopicId::from_wire([7; 16]).unwrap();
    let known = world.topic("t").id();
    let one = wanted(&world, &[1, 2]);
    let outcome = world.run(Command::AlterPartition(AlterPartition {
        broker: broker(1),
        epoch: world.epoch(1),
        topics: vec![(unknown, vec![one.clone()]), (known, vec![one])],
    }));
    let Outcome::AlterPartition(Ok(topics)) = outcome else {
        panic!()
    };
    assert_eq!(topics[0].1[0].1, Err(AlterPartitionError::UnknownTopic));
    assert!(topics[1].1[0].1.is_ok());
    assert_eq!(world.partition("t", 0).isr, ids(&[1, 2]));
}

/// Each row breaks one check and every later one that it can, so the order is tested, too.
#[test]
fn the_first_check_that_fails_is_the_answer() {
    use AlterPartitionError as Error;
    let mut world = world();
    // The epochs shall be above zero.
    world.change(1, BrokerState::Fenced);
    world.change(1, BrokerState::Unfenced);
    let one = wanted(&world, &[2, 3, 1]);
    alter_one(&mut world, 2, one).unwrap();
    let partition = world.partition("t", 0).clone();
    assert_eq!(partition.leader, Some(broker(2)));
    let (reign, state) = (partition.leader_epoch, partition.partition_epoch);
    assert!(reign.get() > 0 && state.get() > 1);
    let good = wanted(&world, &[2, 3]);
    let bad = || AlterPartitionOne {
        isr: vec![(9, 5)],
        recovery_state: 7,
        ..good.clone()
    };
    let rows = [
        (
            2,
            AlterPartitionOne {
                partition: 5,
                leader_epoch: reign.get() + 1,
                ..bad()
            },
            Error::UnknownPartition,
        ),
        (
            2,
            AlterPartitionOne {
                partition: -1,
                ..bad()
            },
            Error::UnknownPartition,
        ),
        (
            3,
            AlterPartitionOne {
                leader_epoch: reign.get() + 1,
                partition_epoch: 0,
                ..bad()
            },
            Error::NotController,
        ),
        (
            3,
            AlterPartitionOne {
                leader_epoch: 0,
                partition_epoch: state.get() + 1,
                ..bad()
            },
            Error::NotController,
        ),
        (
            3,
            AlterPartitionOne {
                leader_epoch: reign.get() - 1,
                partition_epoch: 0,
                ..bad()
            },
            Error::FencedLeaderEpoch { current: reign },
        ),
        (
            3,
            AlterPartitionOne {
                partition_epoch: 0,
                ..bad()
            },
            Error::NotLeader,
        ),
        (
            2,
            AlterPartitionOne {
                partition_epoch: state.get() - 1,
                ..bad()
            },
            Error::InvalidUpdateVersion { current: state },
        ),
        (2, bad(), Error::NotReplicas),
        (
            2,
            AlterPartitionOne {
                isr: vec![(3, -1), (3, -1)],
                ..bad()
            },
            Error::NotReplicas,
        ),
        (
            2,
            AlterPartitionOne {
                isr: vec![(3, 0)],
                ..bad()
            },
            Error::WithoutLeader,
        ),
        (
            2,
            AlterPartitionOne {
                isr: vec![],
                ..bad()
            },
            Error::WithoutLeader,
        ),
        (
            2,
            AlterPartitionOne {
                isr: vec![(2, -1), (3, 77)],
                recovery_state: 1,
                ..good.clone()
            },
            Error::RecoveryState,
        ),
        (
            2,
            AlterPartitionOne {
                isr: vec![(2, -1)],
                recovery_state: 1,
                ..good.clone()
            },
            Error::RecoveryState,
        ),
        (
            2,
            AlterPartitionOne {
                isr: vec![(2, -1), (3, 77)],
                ..good.clone()
            },
            Error::IneligibleReplica { broker: broker(3) },
        ),
    ];
    for (sender, one, error) in rows {
        assert_eq!(
            alter_one(&mut world, sender, one.clone()),
            Err(error),
            "{one:?}"
        );
    }
    assert_eq!(world.partition("t", 0), &partition);
    alter_one(&mut world, 2, good).unwrap();
}

/// KAFKA-14154: the leader knows what this controller does not know yet. Told that it was fenced, it asked no more.
#[test]
fn gotcha_16_a_leader_that_is_ahead_is_sent_to_another_controller() {
    let mut world = world();
    let good = wanted(&world, &[1, 2]);
    let ahead = [
        AlterPartitionOne {
            leader_epoch: good.leader_epoch + 1,
            ..good.clone()
        },
        AlterPartitionOne {
            partition_epoch: good.partition_epoch + 1,
            ..good
        },
    ];
    for one in ahead {
        let altered = alter_one(&mut world, 1, one);
        assert_eq!(altered, Err(AlterPartitionError::NotController));
    }
}

/// KIP-903: the leader has seen the log of a process that is gone; that of the next one may be shorter.
#[test]
fn gotcha_09_a_member_is_the_process_that_the_leader_has_seen() {
    let mut world = world();
    let seen = wanted(&world, &[1, 2, 3]).isr;
    let incarnation = Incarnation(Uuid::from_bytes([9; 16]));
    world.join(RegisterBroker {
        incarnation,
        ..registration(3)
    });
    assert_eq!(world.partition("t", 0).isr, ids(&[1, 2]));
    let one = AlterPartitionOne {
        isr: seen,
        ..wanted(&world, &[1])
    };
    let ineligible = AlterPartitionError::IneligibleReplica { broker: broker(3) };
    assert_eq!(alter_one(&mut world, 1, one), Err(ineligible));
    let one = wanted(&world, &[1, 2, 3]);
    alter_one(&mut world, 1, one).unwrap();
}

/// KIP-841, the controller's half: who is fenced, stopping or gone is not in sync, whatever the leader thinks.
#[test]
fn gotcha_10_only_active_brokers_are_in_sync() {
    for to in [
        BrokerState::Fenced,
        BrokerState::ShuttingDown,
        BrokerState::Unregistered,
    ] {
        let mut world = world();
        let seen = wanted(&world, &[1, 2, 3]).isr;
        world.change(3, to);
        let one = AlterPartitionOne {
            isr: seen,
            ..wanted(&world, &[1])
        };
        let ineligible = AlterPartitionError::IneligibleReplica { broker: broker(3) };
        assert_eq!(alter_one(&mut world, 1, one), Err(ineligible), "{to:?}");
    }
    // A leader that does not know epochs is trusted to mean the current one.
    let mut world = world();
    let one = wanted(&world, &[1]);
    alter_one(&mut world, 1, one).unwrap();
    let one = AlterPartitionOne {
        isr: vec![(1, -1), (2, -1)],
        ..wanted(&world, &[1])
    };
    assert_eq!(alter_one(&mut world, 1, one).unwrap().isr, ids(&[1, 2]));
}

#[test]
fn a_leader_that_was_elected_uncleanly_says_when_it_carries_on() {
    let mut world = World::with_brokers(settings(), 1).with_replicas(&[1]);
    let incarnation = Incarnation(Uuid::from_bytes([9; 16]));
    world
        .register(RegisterBroker {
            incarnation,
            ..registration(1)
        })
        .unwrap();
    world.change(1, BrokerState::Unfenced);
    let before = world.partition("t", 0).clone();
    assert_eq!(before.recovery_state, RecoveryState::Recovering);
    let still = AlterPartitionOne {
        recovery_state: 1,
        ..wanted(&world, &[1])
    };
    let still = alter_one(&mut world, 1, still).unwrap();
    assert_eq!(still.partition_epoch, before.partition_epoch);
    let one = wanted(&world, &[1]);
    let altered = alter_one(&mut world, 1, one).unwrap();
    assert_eq!(altered.recovery_state, RecoveryState::Recovered);
    assert_shown(&altered, world.partition("t", 0));
    assert_eq!(altered.leader_epoch, before.leader_epoch);
}

#[test]
fn a_partition_is_changed_once_in_a_request() {
    let mut world = world();
    let (first, second) = (wanted(&world, &[1, 2]), wanted(&world, &[1, 3]));
    let altered = alter(&mut world, 1, vec![first, second]);
    assert!(altered[0].is_ok());
    assert_eq!(altered[1], Err(AlterPartitionError::Duplicate));
    assert_eq!(world.partition("t", 0).isr, ids(&[1, 2]));
}

/// The last replica to join completes a reassignment; its leader may be among those that leave.
#[test]
fn a_change_that_completes_a_reassignment_may_end_the_leadership() {
    let mut world = world();
    let partition = world.partition("t", 0);
    // 1 shall be replaced by 4.
    let change = PartitionChange {
        topic: world.topic("t").id().to_bytes(),
        partition: 0,
        replicas: Some(vec![2, 3, 4, 1]),
        directories: None,
        isr: None,
        elr: None,
        last_known_elr: None,
        adding: Some(vec![4]),
        removing: Some(vec![1]),
        leader: None,
        leader_epoch: partition.leader_epoch.get(),
        partition_epoch: partition.partition_epoch.next().unwrap().get(),
        recovering: None,
    };
    world.apply(vec![Record::PartitionChange(change)]);
    let before = world.partition("t", 0).clone();
    let one = wanted(&world, &[1, 2, 3, 4]);
    let altered = alter_one(&mut world, 1, one);
    assert_eq!(altered, Err(AlterPartitionError::NewLeaderElected));
    let after = world.partition("t", 0);
    assert_eq!(after.replicas, ids(&[2, 3, 4]));
    assert_eq!(
        (after.leader, &after.isr),
        (Some(broker(2)), &ids(&[2, 3, 4]))
    );
    assert!(after.leader_epoch > before.leader_epoch && !after.is_reassigning());
}

/// Registers a broker again, with nothing but a new directory.
fn replace_disk(world: &mut World, id: u8) -> DirectoryId {
    let directory = DirectoryId::new(Uuid::from_bytes([0x40 | id; 16]));
    world.join(RegisterBroker {
        incarnation: Incarnation(Uuid::from_bytes([0x40 | id; 16])),
        directories: vec![directory],
        ..registration(id)
    });
    directory
}

/// A node came back with an empty disk and copied everything, yet its replica was still looked for on the old disk: it
/// was shown as offline and could never lead, so that partitions had no leader once the others had gone.
#[test]
fn a_replica_that_caught_up_on_a_new_disk_is_there_and_can_lead() {
    let mut world = world();
    let directory = replace_disk(&mut world, 3);
    let others = |world: &World| [1, 2].map(|id| world.partition("t", 0).directory_of(broker(id)));
    let before = others(&world);
    assert_eq!(world.partition("t", 0).isr, ids(&[1, 2]));
    // Before the broker has said where the copy is it can't be in sync: it would be nowhere.
    let early = wanted(&world, &[1, 2, 3]);
    let refused = AlterPartitionError::IneligibleReplica { broker: broker(3) };
    assert_eq!(alter_one(&mut world, 1, early), Err(refused));
    assert_eq!(world.place(3, directory, "t"), Ok(()));
    let back = wanted(&world, &[1, 2, 3]);
    alter_one(&mut world, 1, back).unwrap();
    let found = world.partition("t", 0).directory_of(broker(3));
    assert_eq!((found, others(&world)), (Some(directory), before));
    world.change(1, BrokerState::Fenced);
    world.change(2, BrokerState::Fenced);
    assert_eq!(world.partition("t", 0).leader, Some(broker(3)));
}

/// There is nobody to copy from: records that are gone must be seen to be gone.
#[test]
fn the_only_replica_does_not_lead_from_a_new_disk() {
    let mut world = World::with_brokers(settings(), 2).with_replicas(&[1]);
    let old = world.partition("t", 0).directory_of(broker(1));
    let directory = replace_disk(&mut world, 1);
    let partition = world.partition("t", 0);
    assert_ne!(old, Some(directory));
    assert_eq!(
        (partition.leader, partition.directory_of(broker(1))),
        (None, old)
    );
}

/// A leader that got no answer asks again, and the first request may come behind the second: each is carried out at most
/// once, and what came of it is told again as long as it is so.
#[test]
fn gotcha_48_a_request_that_comes_again_changes_nothing_more() {
    let mut world = world();
    let shrink = wanted(&world, &[1, 2]);
    let altered = alter_one(&mut world, 1, shrink.clone()).unwrap();
    let expand = wanted(&world, &[1, 2, 3]);
    assert_eq!(expand.partition_epoch, altered.partition_epoch.get());
    alter_one(&mut world, 1, expand).unwrap();
    let before = world.partition("t", 0).clone();
    let again = alter_one(&mut world, 1, shrink);
    assert_eq!(world.partition("t", 0), &before);
    let stale = AlterPartitionError::InvalidUpdateVersion {
        current: before.partition_epoch,
    };
    assert_eq!(again, Err(stale));
    // Asked anew with what is known now, the state that is there already is the answer.
    let one = wanted(&world, &[1, 2, 3]);
    let altered = alter_one(&mut world, 1, one).unwrap();
    assert_shown(&altered, &before);
    assert_eq!(world.partition("t", 0), &before);
}

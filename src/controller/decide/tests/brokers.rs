//! Brokers: registration, fencing, letting in, and what becomes of their partitions.

use super::*;
use crate::metadata::RecoveryState;

fn restarted(id: u8, incarnation: u8, previous_epoch: Option<BrokerEpoch>) -> RegisterBroker {
    let incarnation = Incarnation(Uuid::from_bytes([incarnation; 16]));
    RegisterBroker {
        incarnation,
        previous_epoch,
        ..registration(id)
    }
}

fn epoch(world: &World, id: i32) -> BrokerEpoch {
    world.image.brokers().find(broker(id)).unwrap().epoch
}

#[test]
fn a_registered_broker_is_fenced_until_it_is_let_in() {
    let mut world = World::new(settings());
    let first = world.register(registration(1)).unwrap();
    let second = world.register(registration(2)).unwrap();
    assert!(second > first);
    let own = world.image.brokers().find(broker(2)).unwrap();
    assert!(own.is_fenced && !own.in_controlled_shutdown);
    // The image that has the registration is the one it names.
    assert_eq!(own.registered_at, world.image.version());
    world.change(1, BrokerState::Unfenced);
    assert!(world.image.brokers().is_active(broker(1)));
}

/// KAFKA-18106 and KAFKA-18635: a broker that came back before it was missed kept leading in the same reign, perhaps with a
/// shorter log. The entry that registers its new process takes everything from the old one, with a clean stop, too.
#[test]
fn gotcha_12_a_new_process_takes_over_nothing_of_the_old_one() {
    for is_clean in [false, true] {
        let mut world = World::with_brokers(settings(), 3).with_replicas(&[1, 2, 3]);
        let before = world.partition("t", 0).clone();
        assert_eq!((before.leader, before.isr.len()), (Some(broker(1)), 3));
        let proof = is_clean.then(|| epoch(&world, 1));
        world.register(restarted(1, 9, proof)).unwrap();
        let after = world.partition("t", 0);
        assert_eq!((after.leader, &after.isr), (Some(broker(2)), &ids(&[2, 3])));
        assert!(after.leader_epoch > before.leader_epoch);
    }
}

/// KAFKA-16952: a broker that registers again must not fence itself or lose its epoch.
#[test]
fn gotcha_13_the_same_process_keeps_its_epoch_and_state() {
    let mut world = World::with_brokers(settings(), 1);
    let before = epoch(&world, 1);
    let again = RegisterBroker {
        rack: Some("r".to_owned()),
        ..registration(1)
    };
    assert_eq!(world.register(again), Ok(before));
    let own = world.image.brokers().find(broker(1)).unwrap();
    assert!(own.is_active());
    assert_eq!(own.rack.as_deref(), Some("r"));
}

#[test]
fn each_wrong_registration_has_its_error() {
    let mut world = World::with_brokers(settings(), 1);
    let directory = registration(1).directories[0];
    let reserved = DirectoryId::new(Uuid::from_u128(1));
    for directories in [vec![], vec![reserved], vec![directory, directory]] {
        let wrong = RegisterBroker {
            directories,
            ..registration(2)
        };
        assert_eq!(world.register(wrong), Err(RegisterError::Directories));
    }
    let owned = RegisterBroker {
        directories: vec![directory],
        ..registration(2)
    };
    let error = RegisterError::DirectoryOwned {
        owner: broker(1),
        directory,
    };
    assert_eq!(world.register(owned), Err(error));
    let feature = FeatureRange { min: 2, max: 3 };
    let newer = RegisterBroker {
        feature,
        ..registration(2)
    };
    assert_eq!(
        world.register(newer),
        Err(RegisterError::Feature {
            level: 1,
            min: 2,
            max: 3
        })
    );
}

#[test]
fn a_change_names_the_current_registration() {
    let mut world = World::with_brokers(settings(), 1);
    let current = epoch(&world, 1);
    let given = current.next().unwrap();
    let change = |broker, epoch| {
        Command::ChangeBroker(ChangeBroker {
            broker,
            epoch,
            to: BrokerState::Fenced,
        })
    };
    let stale = ChangeBrokerError::StaleEpoch {
        broker: broker(1),
        current,
        given,
    };
    assert_eq!(
        world.run(change(broker(1), given)),
        Outcome::ChangeBroker(Err(stale))
    );
    let unknown = ChangeBrokerError::NotRegistered { broker: broker(2) };
    assert_eq!(
        world.run(change(broker(2), given)),
        Outcome::ChangeBroker(Err(unknown))
    );
    let ids = Command::AllocateProducerIds {
        broker: broker(1),
        epoch: given,
    };
    assert_eq!(
        world.run(ids),
        Outcome::AllocateProducerIds(Err(stale.into()))
    );
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut world = World::with_brokers(settings(), 2);
    let mut next = 0;
    for id in [1, 2, 1] {
        let command = Command::AllocateProducerIds {
            broker: broker(id),
            epoch: epoch(&world, id),
        };
        let Outcome::AllocateProducerIds(Ok(block)) = world.run(command) else {
            panic!()
        };
        assert_eq!((block.first, block.count), (next, 1_000));
        next += 1_000;
    }
    assert_eq!(world.image.next_producer_id(), next);
}

/// The single node's clean restart: what it had stays its own, without a loss.
#[test]
fn a_clean_restart_of_a_single_node_is_a_clean_election() {
    let mut world = World::with_brokers(settings(), 1);
    world.create_one(topic("t")).unwrap();
    let before = world.partition("t", 0).clone();
    let proof = epoch(&world, 1);
    world.register(restarted(1, 9, Some(proof))).unwrap();
    let fenced = world.partition("t", 0).clone();
    assert_eq!((fenced.leader, fenced.isr.len()), (None, 0));
    assert_eq!(fenced.elr, ids(&[1]));
    world.change(1, BrokerState::Unfenced);
    let after = world.partition("t", 0);
    assert_eq!((after.leader, &after.isr), (Some(broker(1)), &ids(&[1])));
    assert!(after.elr.is_empty());
    assert_eq!(after.recovery_state, RecoveryState::Recovered);
    // KAFKA-18106: never the same reign with a possibly shorter log.
    assert!(after.leader_epoch > before.leader_epoch);
}

/// Its unclean restart: the last leader leads again, and it is marked that records may lack.
#[test]
fn an_unclean_restart_of_a_single_node_is_an_unclean_election() {
    let mut world = World::with_brokers(settings(), 1);
    world.create_one(topic("t")).unwrap();
    world.register(restarted(1, 9, None)).unwrap();
    let fenced = world.partition("t", 0);
    assert!(fenced.isr.is_empty() && fenced.elr.is_empty());
    assert_eq!(fenced.last_known_elr, ids(&[1]));
    world.change(1, BrokerState::Unfenced);
    let after = world.partition("t", 0);
    assert_eq!(after.leader, Some(broker(1)));
    assert_eq!(after.recovery_state, RecoveryState::Recovering);
    assert!(after.last_known_elr.is_empty());
}

#[test]
fn a_fence_moves_leaderships_and_keeps_eligibility() {
    let mut world = World::with_brokers(settings(), 3);
    let assignments = vec![Assignment {
        partition: 0,
        brokers: vec![1, 2, 3],
    }];
    world
        .create_one(NewTopic {
            assignments,
            ..topic("t")
        })
        .unwrap();
    world.change(1, BrokerState::Fenced);
    let one_gone = world.partition("t", 0).clone();
    assert_eq!(
        (one_gone.leader, &one_gone.isr),
        (Some(broker(2)), &ids(&[2, 3]))
    );
    // Two in sync are the minimum of three replicas: nobody needs to be eligible beyond them.
    assert!(one_gone.elr.is_empty());
    assert_eq!(one_gone.leader_epoch.get(), 1);
    world.change(3, BrokerState::Fenced);
    let two_gone = world.partition("t", 0).clone();
    assert_eq!((&two_gone.isr, &two_gone.elr), (&ids(&[2]), &ids(&[3])));
    // KAFKA-15021: losing a follower starts no new reign.
    assert_eq!(two_gone.leader_epoch.get(), 1);
    world.change(2, BrokerState::Fenced);
    let all_gone = world.partition("t", 0).clone();
    assert_eq!(all_gone.leader, None);
    assert_eq!(all_gone.elr, ids(&[3, 2]));
    assert_eq!(all_gone.last_known_elr, ids(&[2]));
    // Broker 1 left before the others wrote on: it can't lead, whoever can does.
    world.change(1, BrokerState::Unfenced);
    assert_eq!(world.partition("t", 0).leader, None);
    world.change(3, BrokerState::Unfenced);
    let back = world.partition("t", 0).clone();
    assert_eq!(
        (back.leader, &back.isr, &back.elr),
        (Some(broker(3)), &ids(&[3]), &ids(&[2]))
    );
    assert_eq!(back.recovery_state, RecoveryState::Recovered);
    // A lost disk cache makes broker 2 ineligible, too.
    world.register(restarted(2, 9, None)).unwrap();
    assert!(world.partition("t", 0).elr.is_empty());
}

#[test]
fn a_controlled_shutdown_hands_over_before_the_broker_goes() {
    let mut world = World::with_brokers(settings(), 2);
    let assignments = vec![Assignment {
        partition: 0,
        brokers: vec![1, 2],
    }];
    world
        .create_one(NewTopic {
            assignments,
            ..topic("t")
        })
        .unwrap();
    world.change(1, BrokerState::ShuttingDown);
    let partition = world.partition("t", 0);
    assert_eq!(
        (partition.leader, &partition.isr),
        (Some(broker(2)), &ids(&[2]))
    );
    let own = world.image.brokers().find(broker(1)).unwrap();
    assert!(!own.is_fenced && own.in_controlled_shutdown);
    // Nothing is placed on a broker that is going.
    world.create_one(sized("u", 1, 1)).unwrap();
    assert_eq!(world.partition("u", 0).replicas, ids(&[2]));
    world.change(1, BrokerState::Unregistered);
    assert!(world.image.brokers().find(broker(1)).is_none());
    assert_eq!(world.partition("t", 0).replicas, ids(&[1, 2]));
}

#[test]
fn many_partitions_are_changed_in_steps_with_the_fence_last() {
    let mut world = World::with_brokers(settings(), 1);
    world.create_one(sized("t", 10_000, 1)).unwrap();
    let command = Command::ChangeBroker(ChangeBroker {
        broker: broker(1),
        epoch: epoch(&world, 1),
        to: BrokerState::Fenced,
    });
    let mut steps = 0;
    loop {
        let decision = world.decide(&command);
        steps += 1;
        assert!(decision.records.len() <= STEP_RECORDS_MAX + 1);
        let has_fence = decision
            .records
            .iter()
            .any(|r| matches!(r, Record::BrokerChange(_)));
        assert_eq!(has_fence, decision.is_last);
        world.apply(decision.records);
        if decision.is_last {
            break;
        }
    }
    assert_eq!(steps, 3);
    assert!(
        world
            .topic("t")
            .partitions()
            .all(|(_, partition)| partition.leader.is_none())
    );
}

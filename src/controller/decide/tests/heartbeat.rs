//! Heartbeats: a broker's state and wishes, and what becomes of both.

use ottla_storage::time::MonoMillis;

use super::*;
use crate::metadata::ImageVersion;

fn heartbeat(world: &World, id: i32) -> Heartbeat {
    Heartbeat {
        broker: broker(id),
        epoch: world.epoch(id),
        applied: world.image.version(),
        wants_fence: false,
        wants_shut_down: false,
        offline_directories: vec![],
    }
}

fn stopping(world: &World, id: i32) -> Heartbeat {
    Heartbeat {
        wants_shut_down: true,
        ..heartbeat(world, id)
    }
}

/// Decided as the driver does: touched first, and the image is followed.
fn hear(world: &mut World, heartbeat: Heartbeat) -> HeartbeatAnswer {
    let now = MonoMillis::ZERO;
    world.sessions.observe(now, &world.image);
    world.sessions.touch(now, &heartbeat);
    let outcome = world.run(Command::Heartbeat(heartbeat));
    world.sessions.observe(now, &world.image);
    match outcome {
        Outcome::Heartbeat(Ok(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

const fn answer(is_fenced: bool, should_shut_down: bool) -> HeartbeatAnswer {
    HeartbeatAnswer {
        is_caught_up: true,
        is_fenced,
        should_shut_down,
    }
}

fn is_fenced(world: &World, id: i32) -> bool {
    world.image.brokers().find(broker(id)).unwrap().is_fenced
}

#[test]
fn a_heartbeat_of_another_registration_does_nothing() {
    let mut world = World::with_brokers(settings(), 1);
    let current = world.epoch(1);
    let given = current.next().unwrap();
    let stale = Heartbeat {
        epoch: given,
        wants_fence: true,
        ..heartbeat(&world, 1)
    };
    let command = Command::Heartbeat(stale.clone());
    let decision = world.decide(&command);
    assert!(decision.records.is_empty());
    let error = ChangeBrokerError::StaleEpoch {
        broker: broker(1),
        current,
        given,
    };
    assert_eq!(decision.outcome, Outcome::Heartbeat(Err(error)));
    let unknown = Heartbeat {
        broker: broker(7),
        ..stale
    };
    let error = ChangeBrokerError::NotRegistered { broker: broker(7) };
    let outcome = world.run(Command::Heartbeat(unknown));
    assert_eq!(outcome, Outcome::Heartbeat(Err(error)));
}

#[test]
fn a_fenced_broker_is_let_in_once_it_is_caught_up_and_ready() {
    let mut world = World::new(settings());
    world.register(registration(1)).unwrap();
    let registered_at = world.image.version();
    let early = Heartbeat {
        applied: ImageVersion(registered_at.0 - 1),
        ..heartbeat(&world, 1)
    };
    let behind = HeartbeatAnswer {
        is_caught_up: false,
        is_fenced: true,
        should_shut_down: false,
    };
    assert_eq!(hear(&mut world, early), behind);
    let unready = Heartbeat {
        wants_fence: true,
        ..heartbeat(&world, 1)
    };
    assert_eq!(hear(&mut world, unready), answer(true, false));
    assert!(is_fenced(&world, 1));
    let ready = heartbeat(&world, 1);
    assert_eq!(hear(&mut world, ready), answer(false, false));
    assert!(!is_fenced(&world, 1));
}

#[test]
fn a_heartbeat_without_news_makes_no_fact() {
    let mut world = World::with_brokers(settings(), 2).with_replicas(&[1, 2]);
    let command = Command::Heartbeat(heartbeat(&world, 1));
    let decision = world.decide(&command);
    assert!(decision.records.is_empty() && decision.is_last);
    let outcome = Outcome::Heartbeat(Ok(answer(false, false)));
    assert_eq!(decision.outcome, outcome);
}

#[test]
fn a_broker_that_asks_to_be_fenced_is() {
    let mut world = World::with_brokers(settings(), 2).with_replicas(&[1, 2]);
    let sick = Heartbeat {
        wants_fence: true,
        ..heartbeat(&world, 1)
    };
    assert_eq!(hear(&mut world, sick), answer(true, false));
    assert!(is_fenced(&world, 1));
    assert_eq!(world.partition("t", 0).leader, Some(broker(2)));
}

#[test]
fn a_fenced_broker_and_one_that_leads_nothing_may_go_at_once() {
    let mut world = World::with_brokers(settings(), 3).with_replicas(&[1, 2, 3]);
    let follower = stopping(&world, 3);
    assert_eq!(hear(&mut world, follower), answer(true, true));
    assert!(is_fenced(&world, 3));
    assert_eq!(world.partition("t", 0).isr, ids(&[1, 2]));
    let again = stopping(&world, 3);
    assert_eq!(hear(&mut world, again), answer(true, true));
    // One that can't serve any more does not wait for a hand-over.
    let sick = Heartbeat {
        wants_fence: true,
        ..stopping(&world, 1)
    };
    assert_eq!(hear(&mut world, sick), answer(true, true));
    assert_eq!(world.partition("t", 0).leader, Some(broker(2)));
}

#[test]
fn a_leader_goes_when_every_active_broker_knows_its_successor() {
    let mut world = World::with_brokers(settings(), 3).with_replicas(&[1, 2, 3]);
    let before = world.image.version();
    let first = stopping(&world, 1);
    assert_eq!(hear(&mut world, first), answer(false, false));
    assert_eq!(world.partition("t", 0).leader, Some(broker(2)));
    let own = world.image.brokers().find(broker(1)).unwrap();
    assert!(!own.is_fenced && own.in_controlled_shutdown);
    // It is said once.
    let again = Command::Heartbeat(stopping(&world, 1));
    assert!(world.decide(&again).records.is_empty());
    let know = heartbeat(&world, 2);
    hear(&mut world, know);
    for applied in [before, world.image.version()] {
        let third = Heartbeat {
            applied,
            ..heartbeat(&world, 3)
        };
        hear(&mut world, third);
        let again = stopping(&world, 1);
        let may_go = applied > before;
        assert_eq!(hear(&mut world, again), answer(may_go, may_go));
    }
    let own = world.image.brokers().find(broker(1)).unwrap();
    assert!(own.is_fenced && !own.in_controlled_shutdown);
}

#[test]
fn the_last_broker_waits_for_nobody() {
    let mut world = World::with_brokers(settings(), 1).with_replicas(&[1]);
    let first = stopping(&world, 1);
    assert_eq!(hear(&mut world, first), answer(false, false));
    assert_eq!(world.partition("t", 0).leader, None);
    assert_eq!(world.partition("t", 0).elr, ids(&[1]));
    let second = stopping(&world, 1);
    assert_eq!(hear(&mut world, second), answer(true, true));
}

#[test]
fn a_failed_directory_costs_the_replicas_on_it_their_place() {
    let directories = [1, 2].map(|id| DirectoryId::new(Uuid::from_bytes([0x90 | id; 16])));
    let mut world = World::with_brokers(settings(), 2);
    world.join(RegisterBroker {
        directories: directories.to_vec(),
        ..registration(3)
    });
    let mut world = world.with_replicas(&[3, 1, 2]);
    let partition = world.partition("t", 0);
    let placed = crate::metadata::record::PartitionChange {
        topic: world.topic("t").id().to_bytes(),
        partition: 0,
        replicas: None,
        directories: Some(vec![
            directories[0].uuid().into_bytes(),
            registration(1).directories[0].uuid().into_bytes(),
            registration(2).directories[0].uuid().into_bytes(),
        ]),
        isr: None,
        elr: None,
        last_known_elr: None,
        adding: None,
        removing: None,
        leader: None,
        leader_epoch: partition.leader_epoch.get(),
        partition_epoch: partition.partition_epoch.next().unwrap().get(),
        recovering: None,
    };
    world.apply(vec![Record::PartitionChange(placed)]);
    let other = Heartbeat {
        offline_directories: vec![directories[1]],
        ..heartbeat(&world, 3)
    };
    assert_eq!(hear(&mut world, other), answer(false, false));
    assert_eq!(world.partition("t", 0).leader, Some(broker(3)));
    let own = world.image.brokers().find(broker(3)).unwrap();
    assert_eq!(own.directories, [directories[0]]);
    let holding = Heartbeat {
        offline_directories: directories.to_vec(),
        ..heartbeat(&world, 3)
    };
    assert_eq!(hear(&mut world, holding), answer(false, false));
    let partition = world.partition("t", 0);
    assert_eq!(
        (partition.leader, &partition.isr),
        (Some(broker(1)), &ids(&[1, 2]))
    );
    let own = world.image.brokers().find(broker(3)).unwrap();
    assert!(own.directories.is_empty());
}

/// A controller that fails between two steps of letting a broker in leaves partitions without a leader.
#[test]
fn a_broker_that_is_in_gets_what_nobody_leads() {
    let mut world = World::with_brokers(settings(), 1).with_replicas(&[1]);
    world.change(1, BrokerState::Fenced);
    assert_eq!(world.partition("t", 0).leader, None);
    let unfenced = crate::metadata::record::BrokerChange {
        broker: 1,
        epoch: world.epoch(1).get(),
        fenced: Some(false),
        in_controlled_shutdown: None,
        directories: None,
    };
    world.apply(vec![Record::BrokerChange(unfenced)]);
    let next = heartbeat(&world, 1);
    hear(&mut world, next);
    assert_eq!(world.partition("t", 0).leader, Some(broker(1)));
}

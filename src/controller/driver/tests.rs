//! The driver over a quorum that is a machine in memory: grouping, answers, lost leaderships.

use std::rc::Rc;

use tokio::task::LocalSet;

use super::fake::{Doors, Fake};
use super::*;
use crate::controller::ControllerHandle;
use crate::controller::command::{
    BrokerState, ChangeBroker, Command, CreateTopicError, CreateTopics, Outcome,
};
use crate::controller::decide::tests::{broker, registration, settings};

mod watch;

struct World {
    fake: Rc<Fake>,
    doors: Doors,
    publisher: Publisher,
    controller: ControllerHandle,
}

/// Runs a test against a driver on node 1, which leads in term 1.
fn with_driver<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    with_settings(settings(), test);
}

fn with_settings<F: Future<Output = ()>>(settings: Settings, test: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let publisher = Publisher::default();
        let doors = Doors::default();
        let (controller, fake, driver) =
            fake::spawn_among(publisher.clone(), settings, doors.clone());
        test(World {
            fake,
            doors,
            publisher,
            controller,
        })
        .await;
        // Every handle is gone now, so the driver ends.
        driver.await.unwrap();
    });
}

async fn join(world: &World) {
    fake::join(&world.controller, registration(1)).await;
}

#[test]
fn a_new_cluster_begins_with_its_feature_level() {
    with_driver(|world| async move {
        join(&world).await;
        let image = world.publisher.image();
        assert_eq!(image.feature_level(), 1);
        assert!(image.brokers().is_active(broker(1)));
        let first = world.fake.entries.borrow()[0].clone();
        assert!(matches!(first.records[..], [Record::FeatureLevel { .. }]));
        assert_eq!(image.rejected(), 0);
    });
}

#[test]
fn commands_that_wait_together_become_one_entry_and_see_each_other() {
    with_driver(|world| async move {
        join(&world).await;
        let before = world.fake.entries.borrow().len();
        let names = ["a", "b", "a"];
        let submitted = names.map(|name| {
            world
                .controller
                .create_topics(CreateTopics::with_defaults(name))
        });
        let [a, b, again] = submitted;
        let (a, b, again) = tokio::join!(a, b, again);
        assert!(a.unwrap()[0].is_ok() && b.unwrap()[0].is_ok());
        let exists = CreateTopicError::Exists {
            name: "a".to_owned(),
        };
        assert_eq!(again.unwrap()[0], Err(exists));
        assert_eq!(world.fake.entries.borrow().len(), before + 1);
        // The answer leaves after the image shows what it says.
        assert_eq!(world.publisher.image().topics().count(), 2);
    });
}

#[test]
fn without_leadership_a_command_is_refused_and_not_carried_out() {
    with_driver(|world| async move {
        join(&world).await;
        world.fake.leader.send_replace(Leader {
            term: 2,
            node: Some(broker(2)),
        });
        let result = world
            .controller
            .create_topics(CreateTopics::with_defaults("t"))
            .await;
        let error = ControllerError::NotController {
            leader: Some(broker(2)),
        };
        assert_eq!(result, Err(error));
        world.fake.leader.send_replace(Leader {
            term: 3,
            node: Some(broker(1)),
        });
        let result = world
            .controller
            .create_topics(CreateTopics::with_defaults("t"))
            .await;
        assert!(result.unwrap()[0].is_ok());
    });
}

/// A lost leadership is never success: here the entry was even applied.
#[test]
fn an_unknown_outcome_is_told_as_such() {
    with_driver(|world| async move {
        join(&world).await;
        for is_applied in [false, true] {
            world.fake.fail_next.set(Some(QuorumError::OutcomeUnknown));
            world.fake.is_applied_anyway.set(is_applied);
            let result = world
                .controller
                .create_topics(CreateTopics::with_defaults("t"))
                .await;
            assert_eq!(result, Err(ControllerError::OutcomeUnknown));
        }
        assert_eq!(world.publisher.image().topics().count(), 1);
    });
}

#[test]
fn a_group_that_went_stale_is_decided_again() {
    with_driver(|world| async move {
        join(&world).await;
        let image = world.publisher.image();
        let record = Record::Topic {
            id: [9; 16],
            name: "t".to_owned(),
        };
        let entry = Entry {
            decided_on: image.version().0,
            records: vec![record],
        };
        *world.fake.intruder.borrow_mut() = Some(entry.encode().unwrap());
        let result = world
            .controller
            .create_topics(CreateTopics::with_defaults("t"))
            .await;
        assert_eq!(
            result.unwrap()[0],
            Err(CreateTopicError::Exists {
                name: "t".to_owned()
            })
        );
        assert_eq!(world.publisher.image().rejected(), 1);
    });
}

#[test]
fn of_commands_too_large_together_each_is_judged_by_itself() {
    with_driver(|world| async move {
        join(&world).await;
        world.fake.entry_size_max.set(1_000);
        let small = |name: &str| CreateTopics::with_defaults(name);
        let mut large = CreateTopics::with_defaults("large");
        large.topics[0].partitions = 1_000;
        let (a, b, c) = tokio::join!(
            world.controller.create_topics(small("a")),
            world.controller.create_topics(large),
            world.controller.create_topics(small("c")),
        );
        assert!(a.unwrap()[0].is_ok() && c.unwrap()[0].is_ok());
        assert!(matches!(b, Err(ControllerError::TooLarge { .. })));
        assert_eq!(world.publisher.image().topics().count(), 2);
    });
}

#[test]
fn a_change_of_many_partitions_takes_several_entries_and_one_answer() {
    with_driver(|world| async move {
        join(&world).await;
        let mut large = CreateTopics::with_defaults("large");
        large.topics[0].partitions = 10_000;
        world.controller.create_topics(large).await.unwrap()[0]
            .as_ref()
            .unwrap();
        let epoch = world
            .publisher
            .image()
            .brokers()
            .find(broker(1))
            .unwrap()
            .epoch;
        let change = |to| ChangeBroker {
            broker: broker(1),
            epoch,
            to,
        };
        let before = world.fake.entries.borrow().len();
        let fenced = world.controller.change_broker(change(BrokerState::Fenced));
        // A command that comes in between must not see a fenced broker that leads.
        let (fenced, other) = tokio::join!(
            fenced,
            world
                .controller
                .create_topics(CreateTopics::with_defaults("t"))
        );
        fenced.unwrap().unwrap();
        assert!(other.is_ok());
        assert!(world.fake.entries.borrow().len() >= before + 3);
        let image = world.publisher.image();
        let topic = image.topics().by_name("large").unwrap().clone();
        assert!(
            topic
                .partitions()
                .all(|(_, partition)| partition.leader.is_none())
        );
        world
            .controller
            .change_broker(change(BrokerState::Unfenced))
            .await
            .unwrap()
            .unwrap();
        let image = world.publisher.image();
        let topic = image.topics().by_name("large").unwrap().clone();
        assert!(
            topic
                .partitions()
                .all(|(_, partition)| partition.leader == Some(broker(1)))
        );
        assert_eq!(image.rejected(), 0);
    });
}

#[test]
fn every_command_is_answered_when_the_quorum_stops() {
    with_driver(|world| async move {
        join(&world).await;
        world.fake.fail_next.set(Some(QuorumError::Stopped));
        let command = Command::CreateTopics(CreateTopics::with_defaults("t"));
        assert_eq!(
            world.controller.submit(command).await,
            Err(ControllerError::Stopping)
        );
        let ids = world.controller.submit(Command::AllocateProducerIds {
            broker: broker(1),
            epoch: world
                .publisher
                .image()
                .brokers()
                .find(broker(1))
                .unwrap()
                .epoch,
        });
        assert!(matches!(ids.await, Ok(Outcome::AllocateProducerIds(Ok(_)))));
    });
}

/// KAFKA-15489: who has no majority any more learns it late. Until then another may have decided otherwise, so even an
/// answer that changes nothing is none of its own.
#[test]
fn gotcha_43_a_leader_without_a_majority_answers_nothing() {
    with_driver(|world| async move {
        join(&world).await;
        let create = |name| {
            let command = CreateTopics::with_defaults(name);
            world.controller.create_topics(command)
        };
        assert!(create("t").await.unwrap()[0].is_ok());
        world.fake.is_isolated.set(true);
        let unknown = ControllerError::NotController { leader: None };
        assert_eq!(
            create("t").await,
            Err(unknown),
            "it would say that it exists"
        );
        assert!(create("u").await.is_err());
        world.fake.is_isolated.set(false);
        assert!(create("u").await.unwrap()[0].is_ok());
    });
}

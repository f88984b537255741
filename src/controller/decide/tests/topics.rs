//! Topics: semantics 2.6 to 2.8, one row per rule.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments.iter().map(|(partition, brokers)| Assignment {
        partition: *partition,
        brokers: brokers.to_vec(),
    });
    NewTopic {
        assignments: assignments.collect(),
        ..topic(name)
    }
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> NewTopic {
    let configs = configs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
    NewTopic {
        configs: configs.collect(),
        ..topic(name)
    }
}

#[test]
fn a_new_partition_is_led_by_its_first_active_replica() {
    let mut world = World::with_brokers(settings(), 3);
    world.change(1, BrokerState::Fenced);
    let created = world
        .create_one(assigned("t", &[(0, &[1, 2, 3]), (1, &[3, 1, 2])]))
        .unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 3));
    let first = world.partition("t", 0);
    assert_eq!(first.replicas, ids(&[1, 2, 3]));
    assert_eq!((first.leader, &first.isr), (Some(broker(2)), &ids(&[2, 3])));
    assert_eq!(
        (first.leader_epoch.get(), first.partition_epoch.get()),
        (0, 0)
    );
    assert_eq!(world.partition("t", 1).leader, Some(broker(3)));
    // Each broker has one directory, so there is nothing to choose.
    assert_eq!(first.directories[0], registration(1).directories[0]);
}

#[test]
fn the_defaults_follow_the_settings_and_the_brokers() {
    for (brokers, expected) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let mut world = World::with_brokers(settings(), brokers);
        let created = world.create_one(topic("t")).unwrap();
        assert_eq!(
            (created.partitions, created.replication_factor),
            (1, expected)
        );
    }
    let given = Settings {
        partitions_default: 4,
        replication_factor_default: Some(2),
        ..settings()
    };
    let created = World::with_brokers(given, 3)
        .create_one(topic("t"))
        .unwrap();
    assert_eq!((created.partitions, created.replication_factor), (4, 2));
}

/// A topic that the first of three nodes makes would have one replica for good.
#[test]
fn a_default_waits_for_the_nodes_that_the_cluster_begins_with() {
    let three = || Settings {
        founder_count: 3,
        ..settings()
    };
    let one_replica = NewTopic {
        replication_factor: 1,
        ..topic("one")
    };
    for registered in [1, 2] {
        let mut world = World::with_brokers(three(), registered);
        assert_eq!(
            world.create_one(topic("t")),
            Err(PlacementError::TooFewBrokers {
                wanted: 3,
                registered: usize::from(registered),
            }
            .into())
        );
        world.create_one(one_replica.clone()).unwrap();
    }
    let mut world = World::with_brokers(three(), 3);
    let created = world.create_one(topic("t")).unwrap();
    assert_eq!(created.replication_factor, 3);
}

#[test]
fn each_wrong_topic_has_its_error() {
    let mut world = World::with_brokers(settings(), 2);
    world.create_one(topic("a.b")).unwrap();
    let long = "x".repeat(250);
    let table: Vec<(NewTopic, CreateTopicError)> = vec![
        (topic("__cluster_metadata"), CreateTopicError::Reserved),
        (topic(""), CreateTopicError::Name(NameError::Empty)),
        (topic("."), CreateTopicError::Name(NameError::Dots)),
        (topic(".."), CreateTopicError::Name(NameError::Dots)),
        (
            topic(&long),
            CreateTopicError::Name(NameError::Length { name: long.clone() }),
        ),
        (
            topic("a b"),
            CreateTopicError::Name(NameError::Characters {
                name: "a b".to_owned(),
            }),
        ),
        (
            topic("a.b"),
            CreateTopicError::Exists {
                name: "a.b".to_owned(),
            },
        ),
        (
            topic("a_b"),
            CreateTopicError::Collision {
                name: "a_b".to_owned(),
                existing: "a.b".to_owned(),
            },
        ),
        (
            configured("t", &[("retention.ms", None), ("k", None)]),
            CreateTopicError::NullConfig {
                keys: vec!["retention.ms".to_owned(), "k".to_owned()],
            },
        ),
        (sized("t", 0, 1), CreateTopicError::Partitions),
        (sized("t", -2, 1), CreateTopicError::Partitions),
        (sized("t", 1, 0), PlacementError::NotPositive.into()),
        (sized("t", 1, -2), PlacementError::NotPositive.into()),
        (
            sized("t", 1, 3),
            PlacementError::TooFewBrokers {
                wanted: 3,
                registered: 2,
            }
            .into(),
        ),
        (
            sized("t", 100_001, 1),
            OperationTooLarge {
                max: OPERATION_RECORDS_MAX,
            }
            .into(),
        ),
        (
            sized("t", i32::MAX, 1),
            OperationTooLarge {
                max: OPERATION_RECORDS_MAX,
            }
            .into(),
        ),
        (
            NewTopic {
                partitions: 1,
                ..assigned("t", &[(0, &[1])])
            },
            CreateTopicError::NumberWithAssignment {
                what: "numPartitions",
            },
        ),
        (
            NewTopic {
                replication_factor: 1,
                ..assigned("t", &[(0, &[1])])
            },
            CreateTopicError::NumberWithAssignment {
                what: "replication factor",
            },
        ),
        (
            assigned("t", &[(0, &[1]), (0, &[2])]),
            AssignmentError::DuplicatePartition { partition: 0 }.into(),
        ),
        (
            assigned("t", &[(0, &[1]), (2, &[2])]),
            AssignmentError::Gap.into(),
        ),
        (assigned("t", &[(1, &[1])]), AssignmentError::Gap.into()),
        (assigned("t", &[(-1, &[1])]), AssignmentError::Gap.into()),
        (assigned("t", &[(0, &[])]), AssignmentError::Empty.into()),
        (
            assigned("t", &[(0, &[1, 2, 1])]),
            AssignmentError::DuplicateBroker { broker: 1 }.into(),
        ),
        (
            assigned("t", &[(0, &[9])]),
            AssignmentError::UnknownBroker { broker: 9 }.into(),
        ),
        (
            assigned("t", &[(0, &[-1])]),
            AssignmentError::UnknownBroker { broker: -1 }.into(),
        ),
        (
            assigned("t", &[(0, &[1, 2]), (1, &[1])]),
            AssignmentError::ReplicationFactor {
                found: 1,
                expected: 2,
            }
            .into(),
        ),
    ];
    let before = world.image.digest();
    for (wrong, error) in table {
        let command = CreateTopics {
            topics: vec![wrong.clone()],
            validate_only: false,
        };
        let decision = crate::controller::decide::topics::create(
            &world.settings,
            &world.image,
            &command,
            &mut world.draw,
        );
        assert_eq!(decision.outcome, vec![Err(error)], "{wrong:?}");
        assert!(decision.records.is_empty());
    }
    assert_eq!(world.image.digest(), before);
    let config = world.create_one(configured("t", &[("segment.bytes", Some("1"))]));
    assert!(matches!(config, Err(CreateTopicError::Config(_))));
}

#[test]
fn nobody_active_is_an_error_of_its_kind() {
    let mut world = World::with_brokers(settings(), 1);
    world.change(1, BrokerState::Fenced);
    assert_eq!(
        world.create_one(topic("t")),
        Err(PlacementError::NobodyActive.into())
    );
    let manual = world.create_one(assigned("t", &[(0, &[1])]));
    assert_eq!(
        manual,
        Err(AssignmentError::NobodyActive { partition: 0 }.into())
    );
    let none = World::new(settings()).create_one(topic("t"));
    assert_eq!(none, Err(PlacementError::NobodyActive.into()));
}

#[test]
fn topics_of_one_request_see_each_other() {
    let mut world = World::with_brokers(settings(), 1);
    let outcome = world.create(vec![
        topic("a.b"),
        topic("a_b"),
        topic("c"),
        topic("d"),
        topic("d"),
    ]);
    assert!(outcome[0].is_ok());
    assert!(matches!(
        outcome[1],
        Err(CreateTopicError::Collision { .. })
    ));
    assert!(outcome[2].is_ok());
    assert_eq!(outcome[3], Err(CreateTopicError::Duplicate));
    assert_eq!(outcome[4], Err(CreateTopicError::Duplicate));
    assert_eq!(world.image.topics().count(), 2);
}

#[test]
fn an_operation_too_large_fails_as_a_whole() {
    let small = Settings {
        operation_records_max: 10,
        ..settings()
    };
    let mut world = World::with_brokers(small, 1);
    let outcome = world.create(vec![sized("a", 4, 1), sized("b", 4, 1)]);
    assert!(outcome.iter().all(Result::is_ok));
    let error = OperationTooLarge { max: 10 };
    assert_eq!(world.create_one(sized("d", 10, 1)), Err(error.into()));
    let outcome = world.create(vec![sized("e", 6, 1), sized("f", 6, 1)]);
    assert!(outcome.iter().all(|result| *result == Err(error.into())));
    assert!(world.image.topics().by_name("e").is_none());
}

#[test]
fn validate_only_answers_the_same_and_writes_nothing() {
    let mut world = World::with_brokers(settings(), 3);
    let before = world.image.clone();
    let topics = vec![configured("t", &[("retention.ms", Some("7d"))]), topic(".")];
    let command = Command::CreateTopics(CreateTopics {
        topics,
        validate_only: true,
    });
    let Outcome::CreateTopics(outcome) = world.run(command) else {
        panic!()
    };
    assert_eq!(
        outcome[0].as_ref().unwrap().overrides["retention.ms"],
        "604800000"
    );
    assert!(outcome[1].is_err());
    assert_eq!(world.image.topics(), before.topics());
}

#[test]
fn deletion_is_by_name_or_id_and_takes_the_configs_along() {
    let mut world = World::with_brokers(settings(), 1);
    world
        .create_one(configured("a", &[("retention.ms", Some("1"))]))
        .unwrap();
    let id = world.create_one(topic("b")).unwrap().id;
    let unknown = TopicId::from_random(77).unwrap();
    let topics = vec![
        TopicRef::Name("a".to_owned()),
        TopicRef::Id(id),
        TopicRef::Name("x".to_owned()),
        TopicRef::Id(unknown),
    ];
    let Outcome::DeleteTopics(outcome) = world.run(Command::DeleteTopics(DeleteTopics { topics }))
    else {
        panic!()
    };
    assert_eq!(outcome[0].as_ref().unwrap().name, "a");
    assert_eq!(outcome[1].as_ref().unwrap().name, "b");
    assert_eq!(outcome[2], Err(DeleteTopicError::UnknownName));
    assert_eq!(outcome[3], Err(DeleteTopicError::UnknownId));
    assert_eq!(world.image.topics().count(), 0);
    assert_eq!(world.image.configs().iter().count(), 0);
    // The name is free at once, for a topic with another id.
    world.create_one(topic("a")).unwrap();
}

#[test]
fn a_topic_named_twice_or_protected_is_not_deleted() {
    let mut world = World::with_brokers(settings(), 1);
    let id = world.create_one(topic("a")).unwrap().id;
    let topics = vec![TopicRef::Name("a".to_owned()), TopicRef::Id(id)];
    let command = Command::DeleteTopics(DeleteTopics {
        topics: topics.clone(),
    });
    let twice = Outcome::DeleteTopics(vec![Err(DeleteTopicError::Duplicate); 2]);
    assert_eq!(world.run(command.clone()), twice);
    world.settings.delete_topics = false;
    let disabled = Outcome::DeleteTopics(vec![Err(DeleteTopicError::Disabled); 2]);
    assert_eq!(world.run(command), disabled);
}

#[test]
fn partitions_are_added_by_their_rules() {
    let mut world = World::with_brokers(settings(), 3);
    world.create_one(sized("t", 2, 2)).unwrap();
    let more = |topic: &str, total, assignments: Option<Vec<Vec<i32>>>| MorePartitions {
        topic: topic.to_owned(),
        total,
        assignments,
    };
    world.create_one(sized("__consumer_offsets", 2, 2)).unwrap();
    let table: Vec<(MorePartitions, Result<(), CreatePartitionsError>)> = vec![
        (
            more("__consumer_offsets", 3, None),
            Err(CreatePartitionsError::Internal {
                topic: "__consumer_offsets".to_owned(),
            }),
        ),
        (more("x", 3, None), Err(CreatePartitionsError::UnknownTopic)),
        (
            more("t", 2, None),
            Err(CreatePartitionsError::Unchanged { current: 2 }),
        ),
        (
            more("t", 1, None),
            Err(CreatePartitionsError::Fewer {
                topic: "t".to_owned(),
                current: 2,
                total: 1,
            }),
        ),
        (
            more("t", -5, None),
            Err(CreatePartitionsError::Fewer {
                topic: "t".to_owned(),
                current: 2,
                total: -5,
            }),
        ),
        (
            more("t", 4, Some(vec![vec![1, 2]])),
            Err(AssignmentError::Count {
                added: 2,
                assigned: 1,
            }
            .into()),
        ),
        (
            more("t", 3, Some(vec![vec![1]])),
            Err(AssignmentError::ReplicationFactor {
                found: 1,
                expected: 2,
            }
            .into()),
        ),
        (
            more("t", i32::MAX, None),
            Err(OperationTooLarge {
                max: OPERATION_RECORDS_MAX,
            }
            .into()),
        ),
        (more("t", 3, Some(vec![vec![3, 1]])), Ok(())),
        (more("t", 5, None), Ok(())),
    ];
    for (command, expected) in table {
        let topics = vec![command.clone()];
        let command = Command::CreatePartitions(CreatePartitions {
            topics,
            validate_only: false,
        });
        assert_eq!(
            world.run(command.clone()),
            Outcome::CreatePartitions(vec![expected]),
            "{command:?}"
        );
    }
    assert_eq!(world.topic("t").partition_count(), 5);
    assert_eq!(world.partition("t", 2).replicas, ids(&[3, 1]));
    assert_eq!(world.partition("t", 4).replicas.len(), 2);
    let twice = vec![more("t", 6, None), more("t", 7, None)];
    let command = CreatePartitions {
        topics: twice,
        validate_only: false,
    };
    let outcome = world.run(Command::CreatePartitions(command));
    assert_eq!(
        outcome,
        Outcome::CreatePartitions(vec![Err(CreatePartitionsError::Duplicate); 2])
    );
    let only = CreatePartitions {
        topics: vec![more("t", 6, None)],
        validate_only: true,
    };
    assert_eq!(
        world.run(Command::CreatePartitions(only)),
        Outcome::CreatePartitions(vec![Ok(())])
    );
    assert_eq!(world.topic("t").partition_count(), 5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Replicas are distinct, a fenced broker never leads, leaders spread evenly, and a rack is used
    /// twice only when every other rack was.
    #[test]
    fn placement_keeps_its_promises(
        racks in prop::collection::vec((0_u8..3, prop::bool::weighted(0.2)), 1..9),
        replication_factor in 1_i16..5,
        partitions in 1_i32..40,
        seed in any::<u128>(),
    ) {
        let mut world = World::new(settings());
        world.draw = Draw::new(seed);
        for ((rack, fenced), id) in racks.iter().zip(1_u8..) {
            world.join(RegisterBroker { rack: Some(rack.to_string()), ..registration(id) });
            if *fenced {
                world.change(id, BrokerState::Fenced);
            }
        }
        let active = racks.iter().filter(|(_, fenced)| !fenced).count();
        let created = world.create_one(sized("t", partitions, replication_factor));
        let wanted = usize::try_from(replication_factor).unwrap();
        if active == 0 {
            prop_assert_eq!(created, Err(PlacementError::NobodyActive.into()));
            return Ok(());
        }
        if wanted > racks.len() {
            let error = PlacementError::TooFewBrokers { wanted, registered: racks.len() };
            prop_assert_eq!(created, Err(error.into()));
            return Ok(());
        }
        let rack_of = |id: &BrokerId| racks[usize::try_from(id.get()).unwrap() - 1].0;
        let rack_count = racks.iter().map(|(rack, _)| rack).collect::<BTreeSet<_>>().len();
        let mut led = vec![0_i32; racks.len()];
        for (_, partition) in world.topic("t").partitions() {
            let distinct: BTreeSet<_> = partition.replicas.iter().collect();
            prop_assert_eq!(distinct.len(), wanted);
            let used: BTreeSet<_> = partition.replicas.iter().map(rack_of).collect();
            prop_assert_eq!(used.len(), wanted.min(rack_count));
            prop_assert_eq!(partition.leader, Some(partition.replicas[0]));
            let leader = usize::try_from(partition.replicas[0].get()).unwrap() - 1;
            prop_assert!(!racks[leader].1, "a fenced broker leads");
            led[leader] += 1;
        }
        // With one rack the stripe is perfect.
        if rack_count == 1 {
            let leads = led.iter().zip(&racks).filter(|(_, (_, fenced))| !fenced).map(|(n, _)| *n);
            let (min, max) = (leads.clone().min().unwrap(), leads.max().unwrap());
            prop_assert!(max - min <= 1, "{led:?}");
        }
    }
}

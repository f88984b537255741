//! Configs: one row per rule.

use super::*;

fn alter(
    world: &mut World,
    changes: Vec<(NamedResource, ConfigChange)>,
) -> Vec<Result<(), AlterConfigsError>> {
    let resources = changes
        .into_iter()
        .map(|(resource, change)| AlterResource { resource, change });
    let command = AlterConfigs {
        resources: resources.collect(),
        validate_only: false,
    };
    match world.run(Command::AlterConfigs(command)) {
        Outcome::AlterConfigs(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

fn set(key: &str, value: &str) -> (String, ConfigOp) {
    (key.to_owned(), ConfigOp::Set(Some(value.to_owned())))
}

fn on_topic(world: &mut World, ops: Vec<(String, ConfigOp)>) -> Result<(), AlterConfigsError> {
    let resource = NamedResource::Topic("t".to_owned());
    alter(world, vec![(resource, ConfigChange::Incremental(ops))]).remove(0)
}

fn on_broker(
    world: &mut World,
    name: &str,
    ops: Vec<(String, ConfigOp)>,
) -> Result<(), AlterConfigsError> {
    let resource = NamedResource::Broker(name.to_owned());
    alter(world, vec![(resource, ConfigChange::Incremental(ops))]).remove(0)
}

fn world() -> World {
    let mut world = World::with_brokers(settings(), 1);
    world.create_one(topic("t")).unwrap();
    world
}

fn value(world: &World, key: &str) -> Option<String> {
    let overrides = world.image.topic_overrides(world.topic("t").id())?;
    overrides.get(key).cloned()
}

#[test]
fn keys_are_set_deleted_appended_and_subtracted() {
    let mut world = world();
    on_topic(
        &mut world,
        vec![set("retention.ms", " 1d "), set("segment.bytes", "2MiB")],
    )
    .unwrap();
    assert_eq!(value(&world, "retention.ms").as_deref(), Some("86400000"));
    assert_eq!(value(&world, "segment.bytes").as_deref(), Some("2097152"));
    // The default, delete, is what is appended to.
    let append = ConfigOp::Append(Some("compact".to_owned()));
    on_topic(&mut world, vec![("cleanup.policy".to_owned(), append)]).unwrap();
    assert_eq!(
        value(&world, "cleanup.policy").as_deref(),
        Some("delete,compact")
    );
    let subtract = ConfigOp::Subtract(Some("delete".to_owned()));
    on_topic(&mut world, vec![("cleanup.policy".to_owned(), subtract)]).unwrap();
    assert_eq!(value(&world, "cleanup.policy").as_deref(), Some("compact"));
    on_topic(
        &mut world,
        vec![("retention.ms".to_owned(), ConfigOp::Delete)],
    )
    .unwrap();
    assert_eq!(value(&world, "retention.ms"), None);
}

#[test]
fn what_is_set_already_makes_no_fact() {
    let mut world = world();
    on_topic(&mut world, vec![set("retention.ms", "5")]).unwrap();
    let ops = vec![
        set("retention.ms", "5"),
        ("segment.ms".to_owned(), ConfigOp::Delete),
    ];
    let resource = NamedResource::Topic("t".to_owned());
    let resources = vec![AlterResource {
        resource,
        change: ConfigChange::Incremental(ops),
    }];
    let command = AlterConfigs {
        resources,
        validate_only: false,
    };
    let decision =
        crate::controller::decide::configs::alter(&world.settings, &world.image, &command);
    assert!(decision.records.is_empty());
    assert_eq!(decision.outcome, vec![Ok(())]);
}

#[test]
fn each_wrong_change_of_a_topic_has_its_error() {
    let long = "x".repeat(32_768);
    let table: Vec<(Vec<(String, ConfigOp)>, AlterConfigsError)> = vec![
        (
            vec![set("retention.ms", "1"), set("retention.ms", "2")],
            AlterConfigsError::DuplicateKey {
                key: "retention.ms".to_owned(),
            },
        ),
        (
            vec![("retention.ms".to_owned(), ConfigOp::Set(None))],
            AlterConfigsError::NullValue {
                key: "retention.ms".to_owned(),
            },
        ),
        (
            vec![(
                "retention.ms".to_owned(),
                ConfigOp::Append(Some("1".to_owned())),
            )],
            AlterConfigsError::NotAList {
                op: "APPEND",
                key: "retention.ms".to_owned(),
            },
        ),
        (
            vec![(
                "retention.ms".to_owned(),
                ConfigOp::Subtract(Some("1".to_owned())),
            )],
            AlterConfigsError::NotAList {
                op: "SUBTRACT",
                key: "retention.ms".to_owned(),
            },
        ),
        (
            vec![set("leader.replication.throttled.replicas", &long)],
            AlterConfigsError::ValueTooLong {
                key: "leader.replication.throttled.replicas".to_owned(),
                max: 32_767,
            },
        ),
    ];
    let mut world = world();
    for (ops, error) in table {
        assert_eq!(on_topic(&mut world, ops), Err(error));
    }
    for wrong in [
        set("no.such.key", "1"),
        set("segment.bytes", "1"),
        set("segment.ms", "x"),
    ] {
        let result = on_topic(&mut world, vec![wrong]);
        assert!(
            matches!(result, Err(AlterConfigsError::Topic(_))),
            "{result:?}"
        );
    }
    let lag = vec![
        set("min.compaction.lag.ms", "2"),
        set("max.compaction.lag.ms", "1"),
    ];
    assert!(on_topic(&mut world, lag).is_err());
    assert_eq!(world.image.configs().iter().count(), 0);
}

#[test]
fn each_wrong_resource_has_its_error() {
    let mut world = world();
    let none = || ConfigChange::Incremental(vec![]);
    let topic = |name: &str| NamedResource::Topic(name.to_owned());
    let broker = |name: &str| NamedResource::Broker(name.to_owned());
    let other = NamedResource::Other {
        kind: 16,
        name: "m".to_owned(),
    };
    let outcome = alter(
        &mut world,
        vec![
            (topic("x"), none()),
            (topic("."), none()),
            (broker("one"), none()),
            (broker("-1"), none()),
            (broker("7"), none()),
            (other, none()),
            (topic("t"), none()),
        ],
    );
    assert_eq!(
        outcome[0],
        Err(AlterConfigsError::UnknownTopic {
            topic: "x".to_owned()
        })
    );
    assert_eq!(outcome[1], Err(AlterConfigsError::Name(NameError::Dots)));
    assert_eq!(
        outcome[2],
        Err(AlterConfigsError::BrokerName {
            name: "one".to_owned()
        })
    );
    assert_eq!(
        outcome[3],
        Err(AlterConfigsError::BrokerName {
            name: "-1".to_owned()
        })
    );
    assert_eq!(
        outcome[4],
        Err(AlterConfigsError::UnknownBroker {
            broker: super::broker(7)
        })
    );
    assert_eq!(
        outcome[5],
        Err(AlterConfigsError::UnsupportedResource { kind: 16 })
    );
    assert_eq!(outcome[6], Ok(()));
    let twice = alter(&mut world, vec![(topic("t"), none()), (topic("t"), none())]);
    assert_eq!(twice, vec![Err(AlterConfigsError::DuplicateResource); 2]);
}

#[test]
fn broker_keys_change_if_they_are_dynamic() {
    let mut world = world();
    on_broker(&mut world, "1", vec![set("message.max.bytes", "1MiB")]).unwrap();
    on_broker(
        &mut world,
        "",
        vec![
            set("log.retention.ms", "1d"),
            set("min.insync.replicas", "1"),
        ],
    )
    .unwrap();
    let own = world.image.broker_overrides(broker(1)).unwrap();
    assert_eq!(own["message.max.bytes"], "1048576");
    assert_eq!(
        world.image.cluster_overrides().unwrap()["log.retention.ms"],
        "86400000"
    );
    let error = |key: &str, value: &str, name: &str, world: &mut World| {
        on_broker(world, name, vec![set(key, value)]).unwrap_err()
    };
    assert_eq!(
        error("num.partitions", "3", "1", &mut world),
        AlterConfigsError::ReadOnly {
            key: "num.partitions".to_owned()
        }
    );
    assert_eq!(
        error("min.insync.replicas", "2", "1", &mut world),
        AlterConfigsError::NotPerBroker {
            key: "min.insync.replicas".to_owned()
        }
    );
    assert_eq!(
        error("log.retention.mss", "2", "", &mut world),
        AlterConfigsError::UnknownBrokerKey {
            key: "log.retention.mss".to_owned()
        }
    );
    assert!(matches!(
        error("message.max.bytes", "x", "1", &mut world),
        AlterConfigsError::Value(_)
    ));
}

#[test]
fn the_old_api_replaces_everything() {
    let mut world = world();
    on_topic(
        &mut world,
        vec![set("retention.ms", "5"), set("segment.ms", "6")],
    )
    .unwrap();
    let resource = NamedResource::Topic("t".to_owned());
    let values = vec![("segment.ms".to_owned(), Some("7".to_owned()))];
    let outcome = alter(
        &mut world,
        vec![(resource.clone(), ConfigChange::Replace(values))],
    );
    assert_eq!(outcome, vec![Ok(())]);
    assert_eq!(value(&world, "retention.ms"), None);
    assert_eq!(value(&world, "segment.ms").as_deref(), Some("7"));
    let null = vec![("segment.ms".to_owned(), None)];
    let outcome = alter(&mut world, vec![(resource, ConfigChange::Replace(null))]);
    assert_eq!(
        outcome,
        vec![Err(AlterConfigsError::NullValue {
            key: "segment.ms".to_owned()
        })]
    );
}

#[test]
fn validate_only_writes_nothing() {
    let mut world = world();
    let change = ConfigChange::Incremental(vec![set("retention.ms", "5")]);
    let resource = NamedResource::Topic("t".to_owned());
    let resources = vec![AlterResource { resource, change }];
    let command = AlterConfigs {
        resources,
        validate_only: true,
    };
    assert_eq!(
        world.run(Command::AlterConfigs(command)),
        Outcome::AlterConfigs(vec![Ok(())])
    );
    assert_eq!(value(&world, "retention.ms"), None);
}

/// Raising and lowering the minimum changes who is eligible, in the same entry.
#[test]
fn a_new_minimum_re_evaluates_the_eligible_replicas() {
    let mut world = World::with_brokers(settings(), 3);
    world.create_one(sized("t", 1, 3)).unwrap();
    let leader = world.partition("t", 0).leader.unwrap();
    for id in 1..=3_u8 {
        if broker(i32::from(id)) != leader {
            world.change(id, BrokerState::Fenced);
        }
    }
    let partition = world.partition("t", 0);
    assert_eq!((partition.isr.len(), partition.elr.len()), (1, 1));
    on_topic(&mut world, vec![set("min.insync.replicas", "1")]).unwrap();
    assert!(world.partition("t", 0).elr.is_empty());
}

/// No partition's leader may go on alone while another replica is still eligible.
#[test]
fn a_lowered_minimum_counts_once_no_partition_keeps_who_it_leaves_behind() {
    let mut world = World::with_brokers(settings(), 3);
    world.create_one(sized("t", 5_000, 3)).unwrap();
    for id in [2, 3] {
        world.change(id, BrokerState::Fenced);
    }
    let eligible = |world: &World| {
        let topic = world.topic("t");
        let mut partitions = topic.partitions();
        partitions.any(|(_, partition)| !partition.elr.is_empty())
    };
    assert!(eligible(&world));
    let resource = NamedResource::Topic("t".to_owned());
    let change = ConfigChange::Incremental(vec![set("min.insync.replicas", "1")]);
    let command = Command::AlterConfigs(AlterConfigs {
        resources: vec![AlterResource { resource, change }],
        validate_only: false,
    });
    let mut steps = 0;
    loop {
        let decision = world.decide(&command);
        world.apply(decision.records);
        steps += 1;
        let is_lowered = value(&world, "min.insync.replicas").is_some();
        assert!(!is_lowered || !eligible(&world));
        assert_eq!(is_lowered, decision.is_last);
        if decision.is_last {
            break;
        }
    }
    assert_eq!(steps, 2);
}

#[test]
fn allowing_unclean_elections_elects_at_once() {
    let mut world = World::with_brokers(settings(), 2);
    world.create_one(sized("t", 1, 2)).unwrap();
    let leader = world.partition("t", 0).leader.unwrap();
    let (leading, other) = if leader == broker(1) { (1, 2) } else { (2, 1) };
    world.change(other, BrokerState::Fenced);
    world.change(leading, BrokerState::Fenced);
    world.change(other, BrokerState::Unfenced);
    assert_eq!(world.partition("t", 0).leader, None);
    on_topic(
        &mut world,
        vec![set("unclean.leader.election.enable", "true")],
    )
    .unwrap();
    let partition = world.partition("t", 0);
    assert_eq!(partition.leader, Some(broker(i32::from(other))));
    assert_eq!(
        partition.recovery_state,
        crate::metadata::RecoveryState::Recovering
    );
}

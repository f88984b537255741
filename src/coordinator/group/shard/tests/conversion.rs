//! Groups between the two protocols, as their clients see them.

use super::*;
use crate::config::group::MigrationPolicy;
use crate::coordinator::group::record::{ClassicMemberValue, ClassicValue};
use crate::coordinator::group::request::ConsumerHeartbeat;
use crate::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::versioned;

fn client() -> Client {
    Client {
        id: "client".into(),
        host: "/127.0.0.1".into(),
    }
}

fn subscription(topics: &[&'static str]) -> Bytes {
    let subscription = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..ConsumerProtocolSubscription::default()
    };
    versioned::encode(&subscription, 3).unwrap()
}

/// A group at generation 5 that is in the log, of `a` or of nobody.
fn with_classic(has_member: bool) -> World {
    let member = ClassicMemberValue {
        member: "a".into(),
        instance: None,
        client: client(),
        rebalance_timeout: Duration::from_mins(1),
        session_timeout: Duration::from_secs(30),
        subscription: subscription(&["t"]),
        assignment: Bytes::from_static(&[0, 0, 0, 0, 0, 0, 255, 255, 255, 255]),
    };
    let value = ClassicValue {
        protocol_type: "consumer".into(),
        generation: 5,
        protocol: has_member.then(|| "range".into()),
        leader: has_member.then(|| "a".into()),
        state_since: None,
        members: if has_member { vec![member] } else { vec![] },
    };
    let mut world = World::new();
    world.log.push(Record {
        group: "g".into(),
        fact: Fact::Classic(Some(value)),
    });
    world.move_on();
    world
}

fn joining(member: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: "g".into(),
        member: member.into(),
        epoch: 0,
        instance: None,
        rack: None,
        rebalance_timeout: Some(Duration::from_mins(5)),
        topics: Some(["t".into()].into()),
        topics_regex: None,
        assignor: None,
        owned: Some(BTreeMap::new()),
        client: client(),
    }
}

fn hear(world: &mut World, heartbeat: ConsumerHeartbeat) -> Result<i32, GroupError> {
    let ask = world.ask(Request::ConsumerHeartbeat(heartbeat));
    world.append();
    world.commit();
    match world.answers.remove(&ask) {
        Some(Response::ConsumerHeartbeat(heard)) => heard.map(|heard| heard.epoch),
        other => panic!("{other:?}"),
    }
}

/// The state of the classic group, if it is one.
fn classic_state(world: &mut World) -> Option<&'static str> {
    let ask = world.ask(Request::Describe("g".into()));
    world.append();
    world.commit();
    match world.answers.remove(&ask) {
        Some(Response::Describe(described)) => described.ok().map(|described| described.state),
        other => panic!("{other:?}"),
    }
}

/// It was converted first, and back when it was a consumer group without members of the new protocol: everybody had to
/// join again, as often as somebody asked.
#[test]
fn a_heartbeat_that_is_refused_leaves_a_classic_group_alone() {
    for has_member in [true, false] {
        let mut world = with_classic(has_member);
        let (before, state) = (world.log.len(), classic_state(&mut world));
        let no_pattern = ConsumerHeartbeat {
            topics_regex: Some("(".into()),
            ..joining("m")
        };
        assert!(matches!(
            hear(&mut world, no_pattern),
            Err(GroupError::InvalidRegularExpression(_))
        ));
        world.settings.consumer.size_max = usize::from(has_member);
        assert_eq!(
            hear(&mut world, joining("m")),
            Err(GroupError::GroupMaxSizeReached)
        );
        assert_eq!(world.log.len(), before, "nothing is written");
        assert_eq!(classic_state(&mut world), state);
        world.settings.consumer.size_max = 2;
        assert!(hear(&mut world, joining("m")).is_ok());
        assert_eq!(classic_state(&mut world), None);
    }
}

fn classic_join(member: &str, instance: Option<&str>, topics: &[&'static str]) -> Join {
    Join {
        group: "g".into(),
        member: member.into(),
        new_member: "b".into(),
        must_know_id: true,
        knows_skipped_assignment: true,
        instance: instance.map(Into::into),
        client: client(),
        session_timeout: Duration::from_secs(30),
        rebalance_timeout: Duration::from_mins(1),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol {
            name: "range".into(),
            metadata: subscription(topics),
        }],
        reason: None,
    }
}

/// The generation that it joined.
fn join(world: &mut World, join: Join) -> i32 {
    let ask = world.ask(Request::Join(join));
    world.append();
    world.commit();
    match world.answers.remove(&ask) {
        Some(Response::Join(Ok(joined))) => joined.generation,
        other => panic!("{other:?}"),
    }
}

/// The group of `a`, which is classic, and of the static member `m` of the new protocol.
fn with_both_kinds() -> World {
    let mut world = with_classic(true);
    let m = ConsumerHeartbeat {
        instance: Some("i".into()),
        ..joining("m")
    };
    assert_eq!(hear(&mut world, m), Ok(6));
    assert_eq!(join(&mut world, classic_join("a", None, &["t"])), 6);
    world
}

/// Its static members go back one by one, each in the place of its former self: nobody leaves.
#[test]
fn a_group_is_classic_again_when_its_last_new_member_comes_back_as_a_classic_one() {
    let mut world = with_both_kinds();
    // What it reads is something else by now, and yet the others are told to join again: they are of the generation.
    assert_eq!(
        join(&mut world, classic_join("", Some("i"), &["t", "u"])),
        6
    );
    assert_eq!(classic_state(&mut world), Some("PreparingRebalance"));
    let by = Identity {
        member: "a".into(),
        instance: None,
        generation: 6,
    };
    let heartbeat = Heartbeat {
        group: "g".into(),
        by,
    };
    let ask = world.ask(Request::Heartbeat(heartbeat));
    assert!(matches!(
        world.answers.get(&ask),
        Some(Response::Heartbeat(Err(GroupError::RebalanceInProgress)))
    ));
    world.move_on();
    assert!(classic_state(&mut world).is_some());
}

#[test]
fn a_group_that_may_be_classic_is_so_as_soon_as_it_is_loaded() {
    let mut world = with_both_kinds();
    world.settings.consumer.migration = MigrationPolicy::Disabled;
    join(&mut world, classic_join("", Some("i"), &["t"]));
    assert_eq!(classic_state(&mut world), None);
    world.settings.consumer.migration = MigrationPolicy::Bidirectional;
    world.move_on();
    assert_eq!(classic_state(&mut world), Some("PreparingRebalance"));
}

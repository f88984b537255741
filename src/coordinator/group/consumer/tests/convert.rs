//! Upgrade and downgrade while the members go on.

use super::*;
use crate::config::group::MigrationPolicy;
use crate::coordinator::group::classic::ClassicGroup;
use crate::coordinator::group::record::{ClassicMemberValue, ClassicValue};

/// A stable classic group at generation 5, whose members have these partitions of `t`.
fn classic_value(world: &World, members: &[(&str, &[i32])]) -> ClassicValue {
    let subscription = world.subscription(&["t"], &Partitions::new());
    let members = members.iter().map(|(id, indexes)| ClassicMemberValue {
        member: (*id).into(),
        instance: None,
        client: beat("", 0).client,
        rebalance_timeout: Duration::from_mins(1),
        session_timeout: Duration::from_secs(30),
        assignment: embedded::assignment(&world.of("t", indexes), &subscription, &world.image),
        subscription: subscription.clone(),
    });
    ClassicValue {
        protocol_type: "consumer".into(),
        generation: 5,
        protocol: Some("cooperative-sticky".into()),
        leader: None,
        state_since: None,
        members: members.collect(),
    }
}

fn check(world: &mut World, value: &ClassicValue) -> Result<(), GroupError> {
    check_for(world, value, &join("m", &["t"]))
}

fn check_for(
    world: &mut World,
    value: &ClassicValue,
    joining: &ConsumerHeartbeat,
) -> Result<(), GroupError> {
    world.event(|_, cx, _| check_upgrade(value, joining, cx))
}

fn upgrade(world: &mut World, value: ClassicValue) {
    assert_eq!(check(world, &value), Ok(()));
    let classic = ClassicGroup::restored("g".into(), value);
    world.event(|group, cx, fx| *group = ConsumerGroup::of_classic(cx, "g".into(), classic, fx));
}

#[test]
fn an_upgraded_group_leaves_everybody_what_it_has() {
    let mut world = World::new(&[("t", 3)]);
    let value = classic_value(&world, &[("a", &[0, 2]), ("b", &[1])]);
    upgrade(&mut world, value);
    assert_eq!(world.state(), "Stable");
    assert_eq!(world.current("a").assigned, world.of("t", &[0, 2]));
    assert_eq!(world.beat_classic(&by("a", 5)), Ok(()));
    let heard = world.heard(&join("m", &["t"]));
    assert_eq!(
        (heard.epoch, heard.assignment),
        (6, Some(Partitions::new()))
    );
    assert_eq!(
        world.beat_classic(&by("a", 5)),
        Err(GroupError::RebalanceInProgress)
    );
    world.pass(30);
    assert_eq!(
        world.beat_classic(&by("b", 5)),
        Err(GroupError::UnknownMemberId),
        "its session"
    );
}

#[test]
fn what_a_classic_leader_gave_twice_has_one_owner() {
    let mut world = World::new(&[("t", 2)]);
    let value = classic_value(&world, &[("a", &[0, 1]), ("b", &[1])]);
    upgrade(&mut world, value);
    assert_eq!(world.current("a").assigned, world.of("t", &[0, 1]));
    assert_eq!(world.current("b").assigned, Partitions::new());
}

#[test]
fn a_group_is_upgraded_only_if_nothing_is_lost_and_the_policy_allows_it() {
    let mut world = World::new(&[("t", 2)]);
    let good = classic_value(&world, &[("a", &[0])]);
    let refused = Err(GroupError::GroupIdNotFound);
    let connect = ClassicValue {
        protocol_type: "connect".into(),
        ..good.clone()
    };
    assert_eq!(check(&mut world, &connect), refused);
    let mut malformed = good.clone();
    malformed.members[0].subscription = Bytes::from_static(b"?");
    assert_eq!(check(&mut world, &malformed), refused);
    let mut with_user_data = good.clone();
    // Version 0, no topics, one byte of the application's.
    with_user_data.members[0].assignment = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7]);
    assert_eq!(check(&mut world, &with_user_data), refused);
    let not_begun = ClassicValue {
        protocol: None,
        ..good.clone()
    };
    assert_eq!(check(&mut world, &not_begun), Err(GroupError::NotAvailable));
    world.settings.consumer.size_max = 0;
    assert_eq!(check(&mut world, &good), refused);
    world.settings.consumer.size_max = 2;
    for (policy, is_allowed) in [
        (MigrationPolicy::Bidirectional, true),
        (MigrationPolicy::Upgrade, true),
        (MigrationPolicy::Downgrade, false),
        (MigrationPolicy::Disabled, false),
    ] {
        world.settings.consumer.migration = policy;
        assert_eq!(check(&mut world, &good).is_ok(), is_allowed);
        let empty = ClassicValue {
            members: Vec::new(),
            ..good.clone()
        };
        assert_eq!(check(&mut world, &empty), Ok(()));
    }
}

/// What the log has while a generation has begun and its leader has not assigned: a coordinator that took over from it
/// gave the newcomer at once what `a` was reading.
#[test]
fn what_cooperative_members_read_on_is_theirs_also_while_nothing_is_assigned() {
    let mut world = World::new(&[("t", 4)]);
    let all = world.of("t", &[0, 1, 2, 3]);
    let mut value = classic_value(&world, &[("a", &[]), ("b", &[])]);
    value.members[0].subscription = world.subscription(&["t"], &all);
    value.members[0].assignment = Bytes::new();
    value.members[1].assignment = Bytes::new();
    upgrade(&mut world, value);
    assert_eq!(world.current("a").assigned, all);
    let heard = world.heard(&join("m", &["t"]));
    assert_eq!(heard.assignment, Some(Partitions::new()));
    // It gives up what it is told to, and not before.
    world
        .join_classic(&world.classic_join("a", &["t"], &all))
        .unwrap();
    assert_eq!(world.heard(&beat("m", 6)).assignment, None);
    let kept = world.current("a").assigned;
    world
        .join_classic(&world.classic_join("a", &["t"], &kept))
        .unwrap();
    assert!(world.heard(&beat("m", 6)).assignment.is_some());
}

#[test]
fn what_is_assigned_comes_before_what_is_claimed() {
    let mut world = World::new(&[("t", 3)]);
    let mut value = classic_value(&world, &[("a", &[0]), ("b", &[1])]);
    value.members[0].subscription = world.subscription(&["t"], &world.of("t", &[0, 1, 2]));
    upgrade(&mut world, value);
    assert_eq!(world.current("a").assigned, world.of("t", &[0, 2]));
    assert_eq!(world.current("b").assigned, world.of("t", &[1]));
}

/// Down and up again before `a` has given up what it was told to: it still reads it.
#[test]
fn what_a_member_is_giving_up_is_its_own_there_and_back() {
    let mut world = World::new(&[("t", 2)]);
    let value = classic_value(&world, &[("a", &[0, 1])]);
    let all = world.of("t", &[0, 1]);
    upgrade(&mut world, value);
    world.heard(&join("m", &["t"]));
    world
        .join_classic(&world.classic_join("a", &["t"], &all))
        .unwrap();
    assert_eq!(world.current("a").revoking, world.of("t", &[1]));
    world.heard(&beat("m", -1));
    world.event(|group, cx, fx| {
        let classic = group.clone().into_classic(cx, fx);
        *group = ConsumerGroup::of_classic(cx, "g".into(), classic, fx);
    });
    assert_eq!(world.current("a").assigned, all);
}

/// The leader assigned when `t` had one partition. An instance that changes the protocol wants nothing new, and the other
/// two were nobody's for ever.
#[test]
fn what_the_leader_did_not_assign_is_assigned_with_the_first_heartbeat() {
    let mut world = World::new(&[("t", 3)]);
    let mut value = classic_value(&world, &[("a", &[0])]);
    value.members[0].instance = Some("i".into());
    upgrade(&mut world, value);
    let heard = world.heard(&of_instance("i", join("m", &["t"])));
    assert_eq!(heard.epoch, 6);
    assert_eq!(heard.assignment, Some(world.of("t", &[0, 1, 2])));
}

#[test]
fn a_group_is_not_upgraded_for_a_member_that_is_refused_then() {
    let mut world = World::new(&[("t", 2)]);
    let mut value = classic_value(&world, &[("a", &[0])]);
    value.members[0].instance = Some("i".into());
    let no_pattern = ConsumerHeartbeat {
        topics_regex: Some("t(".into()),
        ..join("m", &["t"])
    };
    let empty = ClassicValue {
        members: Vec::new(),
        ..value.clone()
    };
    for value in [&value, &empty] {
        assert!(matches!(
            check_for(&mut world, value, &no_pattern),
            Err(GroupError::InvalidRegularExpression(_))
        ));
    }
    world.settings.consumer.size_max = 1;
    assert_eq!(
        check(&mut world, &value),
        Err(GroupError::GroupMaxSizeReached)
    );
    // An instance that comes back has its own place, and so has a member.
    let itself = of_instance("i", join("m", &["t"]));
    assert_eq!(check_for(&mut world, &value, &itself), Ok(()));
    assert_eq!(check_for(&mut world, &value, &join("a", &["t"])), Ok(()));
}

#[test]
fn a_group_is_classic_again_when_the_last_member_of_the_new_protocol_goes() {
    let mut world = World::new(&[("t", 2)]);
    let value = classic_value(&world, &[("a", &[0, 1])]);
    upgrade(&mut world, value);
    world.heard(&join("m", &["t"]));
    assert!(!world.group.is_to_be_classic(&world.settings));
    let all = world.of("t", &[0, 1]);
    let kept = world.of("t", &[0]);
    world
        .join_classic(&world.classic_join("a", &["t"], &all))
        .unwrap();
    world
        .join_classic(&world.classic_join("a", &["t"], &kept))
        .unwrap();
    world.heard(&beat("m", 6));
    world.heard(&beat("m", -1));
    for (policy, is_allowed) in [
        (MigrationPolicy::Bidirectional, true),
        (MigrationPolicy::Upgrade, false),
        (MigrationPolicy::Downgrade, true),
        (MigrationPolicy::Disabled, false),
    ] {
        world.settings.consumer.migration = policy;
        assert_eq!(world.group.is_to_be_classic(&world.settings), is_allowed);
    }
    world.settings.consumer.migration = MigrationPolicy::Bidirectional;
    let mut group = world.group.clone();
    let mut fx = Effects::default();
    let classic = world.event(|group, cx, _| group.clone().into_classic(cx, &mut fx));
    // It is of the same generation, has what it had, and is told to join again.
    let value = classic.value();
    assert_eq!((value.generation, value.members.len()), (6, 1));
    let assigned = embedded::assigned(&value.members[0].assignment, &world.image).unwrap();
    assert_eq!(assigned.partitions, kept);
    assert_eq!(classic.describe().state, "PreparingRebalance");
    for record in fx.records {
        group.replay(record.fact);
    }
    assert!(group.is_nothing());
}

#[test]
fn nobody_becomes_nothing() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("m", &["t"]));
    world.heard(&beat("m", -1));
    assert!(!world.group.is_to_be_classic(&world.settings));
}

//! Static membership (KIP-345): a place that is kept while its owner restarts, and that only one can have.

use super::*;

/// A static leader "a" (instance "i") and a dynamic follower "b", stable.
fn stable() -> World {
    World::stable_of(vec![static_join_as("i", "a"), join_as("b")])
}

/// A dynamic leader "a" and a static follower "b" (instance "i"), stable.
fn stable_with_static_follower() -> World {
    World::stable_of(vec![join_as("a"), static_join_as("i", "b")])
}

#[test]
fn a_static_member_gets_its_id_without_asking_twice() {
    let mut world = World::new();
    let ask = world.join(Join {
        must_know_id: true,
        ..static_join_as("i", "a")
    });
    world.after(INITIAL_DELAY);
    assert_eq!(world.joined(ask).member, "a".into());
}

#[test]
fn a_static_member_that_comes_back_finds_its_assignment_without_a_rebalance() {
    let mut world = stable_with_static_follower();
    let back = world.join(static_join_as("i", "b2"));
    let joined = world.joined(back);
    assert_eq!((joined.generation, joined.member.as_str()), (1, "b2"));
    assert_eq!(
        (joined.leader.as_str(), joined.skip_assignment),
        ("a", false)
    );
    assert!(joined.members.is_empty());
    assert_eq!(world.state(), "Stable");
    let sync = world.sync(sync_as("b2", 1));
    assert_eq!(world.assigned(sync), "b");
    let written = world.written.last().unwrap();
    let members: Vec<_> = written
        .members
        .iter()
        .map(|it| it.member.as_str())
        .collect();
    assert_eq!(members, ["a", "b2"]);
}

#[test]
fn a_static_leader_that_comes_back_is_told_not_to_assign() {
    let mut world = stable();
    let back = world.join(static_join_as("i", "a2"));
    let joined = world.joined(back);
    assert_eq!(
        (joined.leader.as_str(), joined.skip_assignment),
        ("a2", true)
    );
    let members: Vec<_> = joined.members.iter().map(|it| it.member.as_str()).collect();
    assert_eq!(members, ["a2", "b"]);
}

#[test]
fn a_static_leader_that_cannot_skip_the_assignment_is_told_that_another_leads() {
    let mut world = stable();
    let back = world.join(Join {
        knows_skipped_assignment: false,
        ..static_join_as("i", "a2")
    });
    let joined = world.joined(back);
    assert_eq!(
        (joined.leader.as_str(), joined.skip_assignment),
        ("a", false)
    );
    assert!(joined.members.is_empty());
    assert!(world.group.members.is_leader(&"a2".into()));
}

#[test]
fn the_former_self_of_a_static_member_is_fenced_and_changes_nothing() {
    let mut world = stable();
    world.join(static_join_as("i", "a2"));
    let before = format!("{:?}", world.group);
    let by = static_identity("i", "a", 1);
    assert_eq!(
        world.heartbeat(by.clone()),
        Err(GroupError::FencedInstanceId)
    );
    assert_eq!(world.commit(&by), Err(GroupError::FencedInstanceId));
    let sync = world.sync(Sync {
        by,
        assignments: assignments(&["b".into()]),
        ..sync_as("a", 1)
    });
    assert_eq!(world.sync_outcome(sync), Err(GroupError::FencedInstanceId));
    let join = world.join(Join {
        member: "a".into(),
        ..static_join_as("i", "unused")
    });
    assert_eq!(world.join_outcome(join), Err(GroupError::FencedInstanceId));
    let left = world.leave(vec![static_leaving("i", "a")]);
    assert_eq!(left, [Err(GroupError::FencedInstanceId)]);
    // Its id alone is nobody's.
    let heard = world.heartbeat(identity("a", 1));
    assert_eq!(heard, Err(GroupError::UnknownMemberId));
    assert_eq!(format!("{:?}", world.group), before);
}

#[test]
fn an_instance_id_that_is_nobodys_makes_a_known_member_unknown() {
    let mut world = World::stable(&["a"]);
    let by = static_identity("x", "a", 1);
    assert_eq!(
        world.heartbeat(by.clone()),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(world.commit(&by), Err(GroupError::UnknownMemberId));
    let join = world.join(Join {
        member: "a".into(),
        ..static_join_as("x", "unused")
    });
    assert_eq!(world.join_outcome(join), Err(GroupError::UnknownMemberId));
    assert_eq!(world.state(), "Stable");
}

#[test]
fn an_id_that_waits_for_a_dynamic_member_is_not_a_static_ones() {
    let mut world = World::stable(&["a"]);
    world.join(Join {
        must_know_id: true,
        ..join_as("b")
    });
    let ask = world.join(Join {
        member: "b".into(),
        ..static_join_as("x", "unused")
    });
    assert_eq!(world.join_outcome(ask), Err(GroupError::UnknownMemberId));
    assert!(world.group.members.is_pending(&"b".into()));
}

#[test]
fn a_static_member_that_changes_the_protocol_begins_a_rebalance() {
    let mut world = World::stable_of(vec![
        Join {
            protocols: vec![protocol("sticky", b""), protocol("range", b"")],
            ..join_as("a")
        },
        static_join_as("i", "b"),
    ]);
    assert_eq!(world.group.protocol, Some("range".into()));
    let back = world.join(Join {
        protocols: vec![protocol("sticky", b"")],
        ..static_join_as("i", "b2")
    });
    assert_eq!(world.state(), "PreparingRebalance");
    world.join(rejoin_as("a"));
    assert_eq!(world.joined(back).protocol, "sticky".into());
}

#[test]
fn a_static_member_that_comes_back_while_the_leader_assigns_begins_a_rebalance() {
    let mut world = stable_with_static_follower();
    world.join(rejoin_as("a"));
    world.join(Join {
        member: "b".into(),
        ..static_join_as("i", "unused")
    });
    let former = world.sync(Sync {
        by: static_identity("i", "b", 2),
        ..sync_as("b", 2)
    });
    let back = world.join(static_join_as("i", "b2"));
    assert_eq!(
        world.sync_outcome(former),
        Err(GroupError::FencedInstanceId)
    );
    assert!(world.is_waiting(back));
    let late = world.sync(sync_as("a", 2));
    assert_eq!(
        world.sync_outcome(late),
        Err(GroupError::RebalanceInProgress)
    );
    world.join(rejoin_as("a"));
    assert_eq!(world.joined(back).generation, 3);
}

#[test]
fn a_static_member_that_comes_back_while_members_join_is_one_of_them() {
    let mut world = stable_with_static_follower();
    let leader = world.join(rejoin_as("a"));
    let back = world.join(static_join_as("i", "b2"));
    assert_eq!(world.joined(leader).generation, 2);
    assert_eq!(world.joined(back).member, "b2".into());
}

#[test]
fn the_former_self_that_waits_to_join_is_fenced_at_once() {
    let mut world = World::new();
    let former = world.join(static_join_as("i", "a"));
    let back = world.join(static_join_as("i", "a2"));
    assert_eq!(
        world.join_outcome(former),
        Err(GroupError::FencedInstanceId)
    );
    world.after(INITIAL_DELAY);
    assert_eq!(world.joined(back).members.len(), 1);
}

#[test]
fn a_static_member_that_does_not_join_again_keeps_its_place_until_its_session_ends() {
    let mut world = World::stable_of(vec![
        Join {
            rebalance_timeout: Duration::from_millis(SESSION / 2),
            ..join_as("a")
        },
        Join {
            rebalance_timeout: Duration::from_millis(SESSION / 2),
            ..static_join_as("i", "b")
        },
    ]);
    let leader = world.join(Join {
        rebalance_timeout: Duration::from_millis(SESSION / 2),
        ..rejoin_as("a")
    });
    world.after(SESSION / 2);
    assert_eq!(world.joined(leader).members.len(), 2);
    assert_eq!(world.member_ids(), ["a", "b"]);
}

#[test]
fn a_group_of_which_no_static_member_comes_back_waits_for_their_sessions() {
    let mut world = World::stable_of(vec![static_join_as("i", "a"), join_as("b")]);
    // Both are asked to join again: the dynamic one leaves, the static one is away.
    world.join(Join {
        protocols: vec![protocol("range", b"new")],
        ..rejoin_as("b")
    });
    world.leave(vec![leaving("b")]);
    assert_eq!(world.state(), "PreparingRebalance");
    world.after_with(REBALANCE, &["a"]);
    assert_eq!(world.state(), "PreparingRebalance", "nobody leads");
    world.after_with(REBALANCE, &["a"]);
    assert_eq!(world.member_ids(), ["a"]);
    world.after(SESSION);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn static_members_without_patience_are_not_asked_without_end() {
    let mut world = stable();
    world.leave(vec![leaving("b")]);
    let hasty = Join {
        rebalance_timeout: Duration::ZERO,
        ..static_join_as("i", "unused")
    };
    let hasty = ClassicMember::joining("a".into(), &hasty);
    world.group.members.update(hasty);
    world.with(|group, cx, fx| group.rebalance(cx, format_args!("a test"), fx));
    world.tick();
    let next = world.group.next_deadline().unwrap();
    assert_eq!(next.as_millis(), world.now + 1_000);
    world.after(SESSION);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn an_operator_removes_a_static_member_by_its_instance_id() {
    let mut world = stable();
    let left = world.leave(vec![static_leaving("i", ""), static_leaving("x", "")]);
    assert_eq!(left, [Ok(()), Err(GroupError::UnknownMemberId)]);
    assert_eq!(world.member_ids(), ["b"]);
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_that_has_not_synced_is_waited_for_under_its_new_id() {
    let mut world = stable_with_static_follower();
    world.join(rejoin_as("a"));
    world.join(Join {
        member: "b".into(),
        ..static_join_as("i", "unused")
    });
    let mut sync = sync_as("a", 2);
    sync.assignments = assignments(&["a".into(), "b".into()]);
    world.sync(sync);
    let back = world.join(static_join_as("i", "b2"));
    assert_eq!(world.joined(back).generation, 2);
    world.after_with(REBALANCE, &["a", "b2"]);
    assert_eq!(world.member_ids(), ["a"]);
}

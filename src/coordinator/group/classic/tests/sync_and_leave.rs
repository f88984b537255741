//! Assignments, and members that go.

use super::*;

/// Members of a generation that has no assignment yet; the first leads.
fn completing(members: &[&str]) -> World {
    let mut world = World::new();
    for member in members {
        world.join(join_as(member));
    }
    world.after(INITIAL_DELAY * 2);
    assert_eq!(world.state(), "CompletingRebalance");
    world
}

#[test]
fn the_leaders_assignment_is_written_and_everybody_gets_its_part() {
    let mut world = completing(&["a", "b", "c"]);
    let waits = world.sync(sync_as("b", 1));
    assert!(world.is_waiting(waits));
    world.written.clear();
    let mut sync = sync_as("a", 1);
    sync.assignments = assignments(&["a".into(), "b".into(), "stranger".into()]);
    let leader = world.sync(sync);
    assert_eq!(world.assigned(leader), "a");
    assert_eq!(world.assigned(waits), "b");
    let late = world.sync(sync_as("c", 1));
    assert_eq!(world.assigned(late), "", "the leader forgot it");
    let value = world.written.pop().unwrap();
    assert_eq!(world.written, []);
    assert_eq!(value, world.group.value());
    assert_eq!(value.generation, 1);
    assert_eq!(value.leader, Some("a".into()));
    assert_eq!(value.protocol, Some("range".into()));
    let members = value.members.iter();
    let members: Vec<_> = members
        .map(|it| (it.member.as_str(), &it.assignment[..]))
        .collect();
    assert_eq!(members, [("a", &b"a"[..]), ("b", b"b"), ("c", b"")]);
    assert_eq!(value.members[0].subscription, "says");
}

#[test]
fn a_sync_of_another_generation_is_refused() {
    let mut world = completing(&["a"]);
    for generation in [0, 2, -1] {
        let ask = world.sync(sync_as("a", generation));
        assert_eq!(world.sync_outcome(ask), Err(GroupError::IllegalGeneration));
    }
}

#[test]
fn a_sync_of_another_protocol_is_refused() {
    let mut world = completing(&["a"]);
    let other_type = Sync {
        protocol_type: Some("connect".into()),
        ..sync_as("a", 1)
    };
    let other_protocol = Sync {
        protocol: Some("sticky".into()),
        ..sync_as("a", 1)
    };
    for sync in [other_type, other_protocol] {
        let ask = world.sync(sync);
        let outcome = world.sync_outcome(ask);
        assert_eq!(outcome, Err(GroupError::InconsistentGroupProtocol));
    }
    let same = world.sync(Sync {
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        ..sync_as("a", 1)
    });
    assert_eq!(world.sync_outcome(same).unwrap().protocol, "range".into());
}

#[test]
fn who_syncs_while_members_join_is_to_join() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoin_as("a"));
    let ask = world.sync(sync_as("b", 1));
    assert_eq!(
        world.sync_outcome(ask),
        Err(GroupError::RebalanceInProgress)
    );
}

#[test]
fn a_stable_group_tells_its_assignment_again() {
    let mut world = World::stable(&["a", "b"]);
    let ask = world.sync(sync_as("b", 1));
    assert_eq!(world.assigned(ask), "b");
}

#[test]
fn a_leader_cannot_assign_twice_in_a_generation() {
    let mut world = World::stable(&["a", "b"]);
    world.written.clear();
    let mut sync = sync_as("a", 1);
    sync.assignments = vec![("a".into(), "all".into())];
    let ask = world.sync(sync);
    assert_eq!(world.assigned(ask), "a");
    assert_eq!(world.written, []);
}

#[test]
fn a_second_sync_takes_the_place_of_the_first() {
    let mut world = completing(&["a", "b"]);
    let first = world.sync(sync_as("b", 1));
    let second = world.sync(sync_as("b", 1));
    let outcome = world.sync_outcome(first);
    assert_eq!(outcome, Err(GroupError::RebalanceInProgress));
    world.settle(&["a".into()]);
    assert_eq!(world.assigned(second), "");
}

#[test]
fn a_rebalance_ends_the_wait_for_an_assignment() {
    let mut world = completing(&["a", "b"]);
    let waits = world.sync(sync_as("b", 1));
    world.join(join_as("c"));
    let outcome = world.sync_outcome(waits);
    assert_eq!(outcome, Err(GroupError::RebalanceInProgress));
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn heartbeats_are_fine_while_the_leader_assigns() {
    let mut world = completing(&["a", "b"]);
    assert_eq!(world.heartbeat(identity("b", 1)), Ok(()));
}

#[test]
fn members_leave_each_with_its_own_answer_and_the_others_rebalance() {
    let mut world = World::stable(&["a", "b", "c"]);
    let left = world.leave(vec![leaving("b"), leaving("x"), leaving("b"), leaving("")]);
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(left, [Ok(()), unknown.clone(), unknown.clone(), unknown]);
    assert_eq!(world.state(), "PreparingRebalance");
    let a = world.join(rejoin_as("a"));
    let c = world.join(rejoin_as("c"));
    assert_eq!(world.joined(a).generation, 2);
    assert_eq!(world.joined(c).generation, 2);
}

#[test]
fn who_is_not_in_the_group_leaves_nothing_behind() {
    let mut world = World::stable(&["a"]);
    let before = format!("{:?}", world.group);
    world.leave(vec![leaving("x")]);
    assert_eq!(format!("{:?}", world.group), before);
}

#[test]
fn the_last_member_that_leaves_leaves_an_empty_generation_in_the_log() {
    let mut world = World::stable(&["a", "b"]);
    let left = world.leave(vec![leaving("a"), leaving("b")]);
    assert_eq!(left, [Ok(()), Ok(())]);
    assert_eq!(world.state(), "Empty");
    assert_eq!(world.group.generation, 2);
    let value = world.written.last().unwrap();
    assert_eq!((value.generation, value.members.len()), (2, 0));
    assert_eq!(world.group.next_deadline(), None);
}

#[test]
fn who_has_but_an_id_leaves_without_a_rebalance() {
    let mut world = World::stable(&["a"]);
    let pending = Join {
        must_know_id: true,
        ..join_as("b")
    };
    world.join(pending.clone());
    assert_eq!(world.leave(vec![leaving("b")]), [Ok(())]);
    assert_eq!(world.state(), "Stable");
    world.join(pending);
    let leader = world.join(rejoin_as("a"));
    assert!(world.is_waiting(leader));
    assert_eq!(world.leave(vec![leaving("b")]), [Ok(())]);
    assert_eq!(world.joined(leader).generation, 2, "nobody is missing now");
}

#[test]
fn a_member_that_leaves_is_not_waited_for() {
    let mut world = World::stable(&["a", "b"]);
    let leader = world.join(rejoin_as("a"));
    world.leave(vec![leaving("b")]);
    assert_eq!(world.joined(leader).members.len(), 1);
}

#[test]
fn what_a_member_that_leaves_waited_for_does_not_come() {
    let mut world = World::stable(&["a", "b"]);
    let joining = world.join(rejoin_as("a"));
    world.leave(vec![leaving("a")]);
    assert_eq!(
        world.join_outcome(joining),
        Err(GroupError::UnknownMemberId)
    );
    world.join(rejoin_as("b"));
    world.join(join_as("c"));
    world.join(rejoin_as("b"));
    let syncing = world.sync(sync_as("c", world.group.generation));
    assert!(world.is_waiting(syncing));
    world.leave(vec![leaving("c")]);
    assert_eq!(
        world.sync_outcome(syncing),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_leader_that_leaves_is_followed_by_another() {
    let mut world = World::stable(&["a", "b", "c"]);
    world.leave(vec![leaving("a")]);
    let b = world.join(rejoin_as("b"));
    let c = world.join(rejoin_as("c"));
    assert_eq!(world.joined(b).leader, world.joined(c).leader);
    assert!(["b", "c"].contains(&world.joined(b).leader.as_str()));
}

/// Cooperative members read on while a generation begins that does not come about.
#[test]
fn a_generation_that_is_superseded_takes_nothing_from_its_members() {
    let mut world = World::stable(&["a", "b"]);
    world.join(join_as("c"));
    for name in ["a", "b"] {
        world.join(Join {
            member: name.into(),
            ..join_as(name)
        });
    }
    assert_eq!(world.state(), "CompletingRebalance");
    world.join(join_as("d"));
    assert_eq!(world.state(), "PreparingRebalance");
    let reads = |name: &str| {
        let members = world.group.describe().members;
        let member = members.into_iter().find(|it| it.member.as_str() == name);
        member.unwrap().assignment
    };
    assert_eq!((reads("a"), reads("b")), ("a".into(), "b".into()));
}

#[test]
fn an_assignment_that_is_too_large_for_a_batch_is_refused() {
    let mut world = World::new();
    world.join(join_as("a"));
    world.after(INITIAL_DELAY * 2);
    let mut sync = sync_as("a", 1);
    let large = Bytes::from(vec![0; world.settings.event_bytes_max()]);
    sync.assignments = vec![("a".into(), large)];
    let ask = world.sync(sync);
    assert_eq!(world.sync_outcome(ask), Err(GroupError::TooLarge));
    world.settle(&["a".into()]);
    assert_eq!(world.state(), "Stable");
}

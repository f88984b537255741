//! Who may join, and when a generation begins.

use super::*;

#[test]
fn an_empty_group_waits_for_more_members_before_its_first_generation() {
    let mut world = World::new();
    let first = world.join(join_as("a"));
    world.after(INITIAL_DELAY - 1);
    let second = world.join(join_as("b"));
    world.after(1);
    assert!(
        world.is_waiting(first),
        "one more came: the delay is extended"
    );
    world.after(INITIAL_DELAY - 1);
    assert!(world.is_waiting(second));
    world.after(1);
    assert_eq!(world.joined(first).generation, 1);
    assert_eq!(world.joined(second).generation, 1);
    assert_eq!(world.state(), "CompletingRebalance");
}

#[test]
fn the_initial_delay_is_not_extended_past_the_rebalance_timeout() {
    let mut world = World::new();
    let join = |name| Join {
        rebalance_timeout: Duration::from_secs(7),
        ..join_as(name)
    };
    let first = world.join(join("a"));
    for name in ["b", "c", "d", "e"] {
        world.after(1_500);
        world.join(join(name));
    }
    world.after(999);
    assert!(world.is_waiting(first));
    world.after(1);
    assert_eq!(world.joined(first).members.len(), 5);
    assert_eq!(world.state(), "CompletingRebalance");
}

#[test]
fn without_an_initial_delay_the_first_member_is_a_generation() {
    let mut world = World::new();
    world.settings.initial_rebalance_delay = Duration::ZERO;
    let first = world.join(join_as("a"));
    world.tick();
    assert_eq!(world.joined(first).generation, 1);
}

#[test]
fn an_initial_rebalance_is_not_cut_short_by_who_gives_up() {
    let mut world = World::new();
    let first = world.join(join_as("a"));
    world.join(join_as("b"));
    assert_eq!(world.leave(vec![leaving("b")]), [Ok(())]);
    assert!(world.is_waiting(first));
    assert_eq!(world.leave(vec![leaving("a")]), [Ok(())]);
    assert_eq!(world.join_outcome(first), Err(GroupError::UnknownMemberId));
    world.after(INITIAL_DELAY * 2);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn only_the_leader_is_told_who_is_in_the_generation() {
    let mut world = World::new();
    let leader = world.join(join_as("b"));
    let follower = world.join(join_as("a"));
    world.after(INITIAL_DELAY * 2);
    let leader = world.joined(leader);
    assert_eq!(leader.leader, "b".into());
    assert_eq!(leader.protocol_type, "consumer".into());
    let members: Vec<_> = leader.members.iter().map(|it| it.member.as_str()).collect();
    assert_eq!(members, ["a", "b"]);
    assert_eq!(leader.members[0].metadata, "says");
    let follower = world.joined(follower);
    assert_eq!(follower.leader, "b".into());
    assert!(follower.members.is_empty() && !follower.skip_assignment);
}

/// All of a group is one record of the log: who would make it too large for a batch finds no room.
#[test]
fn a_group_is_no_larger_than_a_batch() {
    let mut world = World::stable(&["a"]);
    let half = Bytes::from(vec![0; world.settings.event_bytes_max() / 2]);
    let large = |name| {
        let mut join = join_as(name);
        join.protocols[0].metadata = half.clone();
        join
    };
    world.join(large("b"));
    let too_many = world.join(large("c"));
    assert_eq!(
        world.join_outcome(too_many),
        Err(GroupError::GroupMaxSizeReached)
    );
    let small = world.join(join_as("d"));
    assert!(world.is_waiting(small));
}

#[test]
fn no_more_ids_are_given_than_can_be_remembered() {
    let mut world = World::stable(&["a"]);
    let nth = |n: usize| Join {
        must_know_id: true,
        new_member: format!("m{n}").into(),
        ..join_as("")
    };
    for n in 0..10_000 {
        let ask = world.join(nth(n));
        assert_eq!(world.join_outcome(ask), Err(GroupError::MemberIdRequired));
    }
    let ask = world.join(nth(10_000));
    assert_eq!(
        world.join_outcome(ask),
        Err(GroupError::GroupMaxSizeReached)
    );
    world.after(SESSION * 2);
    let ask = world.join(nth(10_001));
    assert_eq!(world.join_outcome(ask), Err(GroupError::MemberIdRequired));
}

#[test]
fn who_must_know_its_id_is_given_one_and_is_waited_for() {
    let mut world = World::stable(&["a"]);
    let given = world.join(Join {
        must_know_id: true,
        ..join_as("b")
    });
    assert_eq!(world.join_outcome(given), Err(GroupError::MemberIdRequired));
    assert_eq!(world.member_ids(), ["a"]);
    assert_eq!(world.state(), "Stable", "an id is not a member yet");
    let leader = world.join(rejoin_as("a"));
    assert!(world.is_waiting(leader), "who has an id is about to come");
    let member = world.join(rejoin_as("b"));
    assert_eq!(world.joined(leader).generation, 2);
    assert_eq!(world.joined(member).generation, 2);
}

#[test]
fn who_does_not_come_with_its_id_is_waited_for_no_longer_than_its_session() {
    let mut world = World::stable(&["a"]);
    world.join(Join {
        must_know_id: true,
        session_timeout: Duration::from_secs(20),
        ..join_as("b")
    });
    world.after_with(15_000, &["a"]);
    let leader = world.join(rejoin_as("a"));
    world.after(4_999);
    assert!(world.is_waiting(leader));
    world.after(1);
    assert_eq!(world.joined(leader).generation, 2);
    let late = world.join(rejoin_as("b"));
    assert_eq!(world.join_outcome(late), Err(GroupError::UnknownMemberId));
}

#[test]
fn an_id_that_is_not_the_groups_is_unknown_in_every_state() {
    let mut world = World::new();
    let refused = |world: &mut World| {
        let ask = world.join(rejoin_as("x"));
        let heard = world.heartbeat(identity("x", world.group.generation));
        assert_eq!(heard, Err(GroupError::UnknownMemberId));
        let sync = world.sync(sync_as("x", world.group.generation));
        assert_eq!(world.sync_outcome(sync), Err(GroupError::UnknownMemberId));
        assert_eq!(world.join_outcome(ask), Err(GroupError::UnknownMemberId));
    };
    refused(&mut world);
    world.join(join_as("a"));
    assert_eq!(world.state(), "PreparingRebalance");
    refused(&mut world);
    world.after(INITIAL_DELAY);
    assert_eq!(world.state(), "CompletingRebalance");
    refused(&mut world);
    world.settle(&["a".into()]);
    assert_eq!(world.state(), "Stable");
    refused(&mut world);
}

#[test]
fn members_are_of_one_protocol_type_and_have_a_protocol_in_common() {
    let other_type = Join {
        protocol_type: "connect".into(),
        ..join_as("b")
    };
    let other_protocol = Join {
        protocols: vec![protocol("mine", b"")],
        ..join_as("b")
    };
    let no_protocols = Join {
        protocols: vec![],
        ..join_as("b")
    };
    for join in [other_type, other_protocol, no_protocols] {
        let mut world = World::stable(&["a"]);
        let ask = world.join(join);
        let refused = world.join_outcome(ask);
        assert_eq!(refused, Err(GroupError::InconsistentGroupProtocol));
        assert_eq!(world.state(), "Stable");
    }
}

#[test]
fn the_first_member_has_a_protocol_type_and_a_protocol() {
    let no_type = Join {
        protocol_type: "".into(),
        ..join_as("a")
    };
    let no_protocols = Join {
        protocols: vec![],
        ..join_as("a")
    };
    for join in [no_type, no_protocols] {
        let mut world = World::new();
        let ask = world.join(join);
        let refused = world.join_outcome(ask);
        assert_eq!(refused, Err(GroupError::InconsistentGroupProtocol));
        assert!(world.group.is_forgettable());
    }
}

#[test]
fn an_empty_group_takes_members_of_another_protocol_type() {
    let mut world = World::stable(&["a"]);
    world.leave(vec![leaving("a")]);
    let ask = world.join(Join {
        protocol_type: "connect".into(),
        ..join_as("b")
    });
    world.after(INITIAL_DELAY);
    assert_eq!(world.joined(ask).protocol_type, "connect".into());
}

#[test]
fn the_protocol_is_what_most_members_prefer_among_what_all_speak() {
    let join = |name, protocols: &[&str]| Join {
        protocols: protocols.iter().map(|name| protocol(name, b"")).collect(),
        ..join_as(name)
    };
    let mut world = World::new();
    let ask = world.join(join("a", &["only-a", "range", "sticky"]));
    world.join(join("b", &["sticky", "range"]));
    world.join(join("c", &["sticky", "range", "only-c"]));
    world.after(INITIAL_DELAY * 2);
    assert_eq!(world.joined(ask).protocol, "sticky".into());

    let mut tied = World::new();
    let ask = tied.join(join("a", &["sticky", "range"]));
    tied.join(join("b", &["range", "sticky"]));
    tied.after(INITIAL_DELAY * 2);
    assert_eq!(tied.joined(ask).protocol, "range".into());
}

#[test]
fn a_protocol_that_a_member_names_twice_is_one() {
    let mut world = World::new();
    let twice = vec![protocol("range", b"1"), protocol("range", b"2")];
    world.join(Join {
        protocols: twice,
        ..join_as("a")
    });
    let ask = world.join(join_as("b"));
    world.after(INITIAL_DELAY * 2);
    assert_eq!(world.joined(ask).protocol, "range".into());
}

#[test]
fn a_follower_that_joins_as_before_is_told_of_the_generation_again() {
    let mut world = World::stable(&["a", "b"]);
    let ask = world.join(rejoin_as("b"));
    assert_eq!(world.joined(ask).generation, 1);
    assert_eq!(world.state(), "Stable");
}

#[test]
fn a_leader_that_joins_begins_a_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    let leader = world.join(rejoin_as("a"));
    assert_eq!(world.state(), "PreparingRebalance");
    let heard = world.heartbeat(identity("b", 1));
    assert_eq!(heard, Err(GroupError::RebalanceInProgress));
    let follower = world.join(rejoin_as("b"));
    assert_eq!(world.joined(leader).generation, 2);
    assert_eq!(world.joined(follower).generation, 2);
}

#[test]
fn a_follower_that_says_something_new_begins_a_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    world.join(Join {
        protocols: vec![protocol("range", b"new")],
        ..rejoin_as("b")
    });
    assert_eq!(world.state(), "PreparingRebalance");
    let leader = world.join(rejoin_as("a"));
    let joined = world.joined(leader);
    assert_eq!(joined.protocol, "range".into());
    assert_eq!(joined.members[1].metadata, "new");
}

#[test]
fn who_missed_its_answer_hears_it_again_while_the_leader_assigns() {
    let mut world = World::new();
    world.join(join_as("a"));
    world.join(join_as("b"));
    world.after(INITIAL_DELAY * 2);
    let leader = world.join(rejoin_as("a"));
    assert_eq!(world.joined(leader).members.len(), 2);
    let follower = world.join(rejoin_as("b"));
    assert_eq!(world.joined(follower).members.len(), 0);
    assert_eq!(world.group.generation, 1);
    let changed = world.join(Join {
        protocols: vec![protocol("range", b"new")],
        ..rejoin_as("b")
    });
    assert_eq!(world.state(), "PreparingRebalance");
    assert!(world.is_waiting(changed));
}

#[test]
fn a_second_request_of_a_member_that_joins_takes_the_place_of_the_first() {
    let mut world = World::stable(&["a", "b"]);
    let first = world.join(rejoin_as("a"));
    let second = world.join(rejoin_as("a"));
    let outcome = world.join_outcome(first);
    assert_eq!(outcome, Err(GroupError::RebalanceInProgress));
    world.join(rejoin_as("b"));
    assert_eq!(world.joined(second).generation, 2);
}

#[test]
fn a_full_group_has_no_room_for_a_new_member() {
    let mut world = World::with_size_max(1);
    let first = world.join(join_as("a"));
    let second = world.join(join_as("b"));
    assert_eq!(
        world.join_outcome(second),
        Err(GroupError::GroupMaxSizeReached)
    );
    world.after(INITIAL_DELAY);
    assert_eq!(world.joined(first).generation, 1);
    let third = world.join(join_as("c"));
    assert_eq!(
        world.join_outcome(third),
        Err(GroupError::GroupMaxSizeReached)
    );
    world.settle(&["a".into()]);
    let fourth = world.join(join_as("d"));
    assert_eq!(
        world.join_outcome(fourth),
        Err(GroupError::GroupMaxSizeReached)
    );
    assert_eq!(world.member_ids(), ["a"]);
}

#[test]
fn who_has_a_place_in_a_full_group_keeps_it() {
    let mut world = World::with_size_max(2);
    world.join(join_as("a"));
    world.join(static_join_as("i", "b"));
    world.after(INITIAL_DELAY * 2);
    world.settle(&["a".into(), "b".into()]);
    let again = world.join(static_join_as("i", "b2"));
    assert_eq!(world.joined(again).member, "b2".into());
    let follower = world.join(rejoin_as("a"));
    assert!(world.is_waiting(follower));
    let twice = world.join(rejoin_as("a"));
    assert!(world.is_waiting(twice));
    let other = world.join(Join {
        member: "b2".into(),
        ..static_join_as("i", "unused")
    });
    assert_eq!(world.joined(other).generation, 2);
    assert_eq!(world.joined(twice).generation, 2);
}

#[test]
fn a_group_that_is_too_large_goes_on_with_those_that_join_first() {
    let mut world = World::stable(&["a", "b", "c"]);
    world.settings.size_max = 2;
    let a = world.join(rejoin_as("a"));
    let b = world.join(rejoin_as("b"));
    let c = world.join(rejoin_as("c"));
    assert_eq!(world.join_outcome(c), Err(GroupError::GroupMaxSizeReached));
    assert_eq!(world.joined(a).generation, 2);
    assert_eq!(world.joined(b).generation, 2);
    assert_eq!(world.member_ids(), ["a", "b"]);
}

#[test]
fn generations_are_positive() {
    for (before, after) in [(i32::MAX, 1), (-5, 1), (7, 8)] {
        let mut world = World::new();
        world.group.generation = before;
        let ask = world.join(join_as("a"));
        world.after(INITIAL_DELAY);
        assert_eq!(world.joined(ask).generation, after);
    }
}

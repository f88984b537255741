//! What time brings about: sessions, rebalance timeouts, and what nobody waits for for ever.

use super::*;

#[test]
fn a_member_whose_session_ends_is_removed_and_the_others_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    world.after(SESSION - 1);
    assert_eq!(world.heartbeat(identity("a", 1)), Ok(()));
    assert_eq!(world.state(), "Stable");
    world.after(1);
    assert_eq!(world.state(), "PreparingRebalance");
    assert_eq!(world.member_ids(), ["a"]);
    let ask = world.join(rejoin_as("a"));
    assert_eq!(world.joined(ask).generation, 2);
}

#[test]
fn the_session_of_the_last_member_leaves_an_empty_generation_in_the_log() {
    let mut world = World::stable(&["a"]);
    world.after(SESSION);
    assert_eq!(world.state(), "Empty");
    let value = world.written.last().unwrap();
    assert_eq!(value.generation, 2);
    assert_eq!(value.protocol_type, "consumer".into());
    assert_eq!((&value.protocol, &value.leader), (&None, &None));
    assert!(value.members.is_empty());
    let ended = WALL_BEGIN + i64::try_from(world.now).unwrap();
    assert_eq!(value.state_since, Some(WallMillis::from_millis(ended)));
    assert_eq!(world.group.next_deadline(), None);
}

#[test]
fn who_does_not_join_again_in_the_rebalance_timeout_is_removed() {
    let mut world = World::stable(&["a", "b"]);
    let joined = world.join(Join {
        protocols: vec![protocol("range", b"new")],
        ..rejoin_as("b")
    });
    world.after_with(REBALANCE - 1, &["a"]);
    assert!(world.is_waiting(joined), "it shows itself, and may be late");
    world.after(1);
    let joined = world.joined(joined);
    assert_eq!(joined.generation, 2);
    assert_eq!(joined.leader, "b".into(), "who leads has to be there");
    assert_eq!(joined.members.len(), 1);
    assert_eq!(world.member_ids(), ["b"]);
}

#[test]
fn the_longest_rebalance_timeout_counts() {
    let mut world = World::stable_of(vec![
        join_as("a"),
        Join {
            rebalance_timeout: Duration::from_millis(2 * REBALANCE),
            ..join_as("b")
        },
    ]);
    let leader = world.join(rejoin_as("a"));
    world.after_with(2 * REBALANCE - 1, &["b"]);
    assert!(world.is_waiting(leader));
    world.after(1);
    assert_eq!(world.joined(leader).generation, 2);
}

#[test]
fn who_waits_to_join_or_to_sync_does_not_expire() {
    let mut world = World::stable(&["a", "b"]);
    let leader = world.join(rejoin_as("a"));
    world.after_with(3 * SESSION, &["b"]);
    assert!(world.is_waiting(leader));
    world.join(rejoin_as("b"));
    assert_eq!(world.joined(leader).generation, 2);
    let follower = world.sync(sync_as("b", 2));
    world.after_with(3 * SESSION, &["a"]);
    assert!(world.is_waiting(follower));
    let mut sync = sync_as("a", 2);
    sync.assignments = assignments(&["b".into()]);
    world.sync(sync);
    assert_eq!(world.assigned(follower), "b");
    world.after(SESSION - 1);
    assert_eq!(
        world.state(),
        "Stable",
        "its session begins with the answer"
    );
    world.after(1);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn a_new_member_waits_for_five_minutes_and_no_longer() {
    let mut world = World::stable_of(vec![Join {
        rebalance_timeout: Duration::from_mins(10),
        ..join_as("a")
    }]);
    let new = world.join(join_as("b"));
    world.after_with(5 * 60_000 - 1, &["a"]);
    assert!(world.is_waiting(new));
    world.after(1);
    assert_eq!(world.join_outcome(new), Err(GroupError::UnknownMemberId));
    assert_eq!(world.member_ids(), ["a"]);
}

#[test]
fn who_does_not_ask_for_its_assignment_in_the_rebalance_timeout_is_removed() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoin_as("a"));
    world.join(rejoin_as("b"));
    let mut sync = sync_as("a", 2);
    sync.assignments = assignments(&["a".into(), "b".into()]);
    world.sync(sync);
    assert_eq!(world.state(), "Stable");
    world.after_with(REBALANCE - 1, &["a", "b"]);
    assert_eq!(world.state(), "Stable");
    world.after(1);
    assert_eq!(world.state(), "PreparingRebalance");
    assert_eq!(world.member_ids(), ["a"]);
}

#[test]
fn a_leader_that_brings_no_assignment_is_removed_and_the_others_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoin_as("a"));
    world.join(rejoin_as("b"));
    let follower = world.sync(sync_as("b", 2));
    world.after_with(REBALANCE, &["a"]);
    let outcome = world.sync_outcome(follower);
    assert_eq!(outcome, Err(GroupError::RebalanceInProgress));
    let joined = world.join(rejoin_as("b"));
    assert_eq!(world.joined(joined).leader, "b".into());
    assert_eq!(world.member_ids(), ["b"]);
}

#[test]
fn once_everybody_has_synced_nobody_is_removed_for_not_syncing() {
    let mut world = World::stable(&["a", "b"]);
    world.after_with(3 * REBALANCE, &["a", "b"]);
    assert_eq!(world.state(), "Stable");
    assert_eq!(world.group.generation, 1);
}

#[test]
fn heartbeats_count_while_the_group_rebalances() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoin_as("a"));
    world.after_with(2 * SESSION, &["b"]);
    assert_eq!(world.member_ids(), ["a", "b"]);
    world.after(SESSION);
    assert_eq!(world.member_ids(), ["a"]);
}

#[test]
fn a_heartbeat_of_another_generation_does_not_count() {
    let mut world = World::stable(&["a"]);
    for generation in [0, 2, -1] {
        world.after(SESSION / 5);
        let heard = world.heartbeat(identity("a", generation));
        assert_eq!(heard, Err(GroupError::IllegalGeneration));
    }
    world.after(SESSION * 2 / 5);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn a_generation_needs_no_members_but_those_that_joined() {
    // All are gone but one who has an id and never comes: nobody waits for it.
    let mut world = World::stable(&["a"]);
    world.join(Join {
        must_know_id: true,
        ..join_as("b")
    });
    world.leave(vec![leaving("a")]);
    world.tick();
    assert_eq!(world.state(), "Empty");
    let joined = world.join(rejoin_as("b"));
    world.after(INITIAL_DELAY);
    assert_eq!(world.joined(joined).generation, 3);
}

#[test]
fn members_without_any_patience_end_in_an_empty_group() {
    let hasty = |name| Join {
        rebalance_timeout: Duration::ZERO,
        ..join_as(name)
    };
    let mut world = World::new();
    world.join(hasty("a"));
    world.join(hasty("b"));
    world.after(INITIAL_DELAY);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn what_nobody_uses_and_no_log_knows_can_be_forgotten() {
    let mut world = World::new();
    world.join(Join {
        must_know_id: true,
        ..join_as("a")
    });
    assert!(!world.group.is_forgettable(), "its id is still good");
    world.after(SESSION);
    assert!(world.group.is_forgettable());
    assert!(!World::stable(&["a"]).group.is_forgettable());
    let mut left = World::stable(&["a"]);
    left.leave(vec![leaving("a")]);
    assert!(!left.group.is_forgettable(), "the log has a record of it");
}

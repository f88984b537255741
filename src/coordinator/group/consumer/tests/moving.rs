//! Partitions that change hands, and members that are too slow for it.

use super::*;

/// `a` had both partitions, `b` has joined, and `a` does not know yet.
fn with_a_newcomer() -> World {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&join("a", &["t"]));
    let heard = world.heard(&join("b", &["t"]));
    assert_eq!(heard.assignment, Some(Partitions::new()), "nothing is free");
    world
}

#[test]
fn a_partition_changes_hands_over_nobody() {
    let mut world = with_a_newcomer();
    assert_eq!(world.state(), "Reconciling");
    let told = world.heard(&beat("a", 1));
    assert_eq!(
        (told.epoch, told.assignment),
        (1, Some(world.of("t", &[0])))
    );
    assert_eq!(world.heard(&beat("b", 2)).assignment, None);
    // It still has what it was told to give up, or does not say.
    let both = world.of("t", &[0, 1]);
    assert_eq!(world.heard(&owning("a", 1, &both)).epoch, 1);
    assert_eq!(world.heard(&beat("a", 1)).epoch, 1);
    assert_eq!(world.heard(&beat("b", 2)).assignment, None);

    let kept = world.of("t", &[0]);
    assert_eq!(world.heard(&owning("a", 1, &kept)).epoch, 2);
    let heard = world.heard(&beat("b", 2));
    assert_eq!(
        (heard.epoch, heard.assignment),
        (2, Some(world.of("t", &[1])))
    );
    assert_eq!(world.state(), "Stable");
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_fenced() {
    let mut world = with_a_newcomer();
    world.heard(&beat("a", 1));
    for _ in 0..30 {
        world.pass(10);
        let _ = world.ask(&beat("a", 1));
        world.heard(&beat("b", 2));
    }
    assert_eq!(world.refused(&beat("a", 1)), GroupError::UnknownMemberId);
    let heard = world.heard(&beat("b", 3));
    assert_eq!(heard.epoch, 3);
    assert_eq!(world.current("b").assigned, world.of("t", &[0, 1]));
}

#[test]
fn a_member_that_gave_up_in_time_stays() {
    let mut world = with_a_newcomer();
    world.heard(&beat("a", 1));
    let kept = world.of("t", &[0]);
    world.heard(&owning("a", 1, &kept));
    for _ in 0..40 {
        world.pass(10);
        world.heard(&beat("a", 2));
        world.heard(&beat("b", 2));
    }
}

#[test]
fn a_silent_member_is_fenced_after_its_session() {
    let mut world = with_a_newcomer();
    world.pass(44);
    world.heard(&beat("b", 2));
    world.pass(1);
    assert_eq!(world.refused(&beat("a", 1)), GroupError::UnknownMemberId);
    assert_eq!(
        world.heard(&beat("b", 2)).assignment,
        Some(world.of("t", &[0, 1]))
    );
}

#[test]
fn a_loaded_group_gives_its_members_all_of_their_time_again() {
    let mut world = with_a_newcomer();
    world.heard(&beat("a", 1));
    world.pass(44);
    world.move_coordinator();
    world.pass(44);
    world.heard(&beat("b", 2));
    world.heard(&beat("a", 1));
    // The time to give up counts again, too.
    for _ in 0..25 {
        world.pass(10);
        world.heard(&beat("b", 2));
        world.heard(&beat("a", 1));
    }
    world.pass(6);
    assert_eq!(world.refused(&beat("a", 1)), GroupError::UnknownMemberId);
}

#[test]
fn a_member_that_joins_again_has_given_up_everything() {
    let mut world = with_a_newcomer();
    world.heard(&beat("a", 1));
    let heard = world.heard(&join("a", &["t"]));
    assert_eq!(
        (heard.epoch, heard.assignment),
        (2, Some(world.of("t", &[0])))
    );
    assert_eq!(
        world.heard(&beat("b", 2)).assignment,
        Some(world.of("t", &[1]))
    );
}

#[test]
fn a_topic_that_grows_is_shared_out_with_the_next_heartbeat() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("a", &["t"]));
    world.grow("t", 3);
    let heard = world.heard(&beat("a", 1));
    assert_eq!(
        (heard.epoch, heard.assignment),
        (2, Some(world.of("t", &[0, 1, 2])))
    );
}

#[test]
fn topics_that_nobody_reads_change_nothing() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("a", &["t"]));
    world.create("u", 3);
    let heard = world.heard(&beat("a", 1));
    assert_eq!((heard.epoch, heard.assignment), (1, None));
}

#[test]
fn a_topic_that_comes_after_its_subscribers_is_read() {
    let mut world = World::new(&[]);
    let heard = world.heard(&join("a", &["t"]));
    assert_eq!(heard.assignment, Some(Partitions::new()));
    world.create("t", 1);
    assert_eq!(
        world.heard(&beat("a", 1)).assignment,
        Some(world.of("t", &[0]))
    );
}

#[test]
fn a_topic_that_is_made_anew_is_another_one() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("a", &["t"]));
    let old = world.of("t", &[0]);
    world.delete("t");
    world.create("t", 1);
    let new = world.of("t", &[0]);
    assert_ne!(old, new);
    // The old one is given up like any other, and the new one comes after it.
    let heard = world.heard(&beat("a", 1));
    assert_eq!(heard.assignment, Some(Partitions::new()));
    let heard = world.heard(&owning("a", 1, &Partitions::new()));
    assert_eq!(heard.assignment, Some(new));
}

#[test]
fn what_a_member_gives_up_its_subscription_to_it_gives_up() {
    let mut world = World::new(&[("t", 1), ("u", 1)]);
    world.heard(&join("a", &["t", "u"]));
    world.heard(&join("b", &["t", "u"]));
    let told = world.heard(&beat("a", 1)).assignment.unwrap();
    // Told to give one up, it now wants nothing at all: all is given up in one go.
    let none = ConsumerHeartbeat {
        topics: Some(BTreeSet::new()),
        ..beat("a", 1)
    };
    assert_eq!(told.len(), 1);
    let heard = world.heard(&none);
    assert_eq!(heard.assignment, Some(Partitions::new()));
    let current = world.current("a");
    assert_eq!((current.assigned.len(), current.revoking.len()), (0, 2));
    world.heard(&owning("a", 1, &Partitions::new()));
    let epoch = world.current("b").epoch;
    let heard = world.heard(&beat("b", epoch));
    assert_eq!(heard.assignment.unwrap().len(), 2);
}

#[test]
fn a_state_of_a_newer_version_is_fenced_until_it_has_nothing() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("a", &["t"]));
    let mut current = world.current("a");
    current.state = 9;
    let fact = Fact::ConsumerCurrent("a".into(), Some(current));
    world.event(|group, _, fx| group.write(fact, fx));
    assert!(matches!(
        world.refused(&beat("a", 1)),
        GroupError::FencedMemberEpoch(_)
    ));
    world.heard(&join("a", &["t"]));
    assert_eq!(world.state(), "Stable");
}

//! Static members: they leave for a while, come back as somebody else, and are one at a time.

use super::*;
use GroupError::{FencedInstanceId, UnknownMemberId, UnreleasedInstanceId};

fn with_two() -> World {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&of_instance("i1", join("a", &["t"])));
    world.heard(&of_instance("i2", join("b", &["t"])));
    let kept = world
        .heard(&of_instance("i1", beat("a", 1)))
        .assignment
        .unwrap();
    world.heard(&of_instance("i1", owning("a", 1, &kept)));
    world.heard(&of_instance("i2", beat("b", 2)));
    assert_eq!(world.state(), "Stable");
    world
}

#[test]
fn an_instance_that_comes_back_has_what_it_had_and_nobody_else_moves() {
    let mut world = with_two();
    let had = world.current("a").assigned;
    let left = world.heard(&of_instance("i1", beat("a", -2)));
    assert_eq!((left.epoch, left.assignment), (-2, None));
    let heard = world.heard(&of_instance("i2", beat("b", 2)));
    assert_eq!(
        (heard.epoch, heard.assignment),
        (2, None),
        "it waits for the other one"
    );
    let heard = world.heard(&of_instance("i1", join("a2", &["t"])));
    assert_eq!((heard.epoch, heard.assignment), (2, Some(had)));
    assert_eq!(
        world.heard(&of_instance("i2", beat("b", 2))).assignment,
        None
    );
    assert_eq!(
        world.refused(&of_instance("i1", beat("a", 2))),
        FencedInstanceId
    );
    assert_eq!(world.refused(&beat("a", 2)), UnknownMemberId);
}

#[test]
fn an_instance_may_come_back_with_its_member_id() {
    let mut world = with_two();
    world.heard(&of_instance("i1", beat("a", -2)));
    assert_eq!(world.heard(&of_instance("i1", join("a", &["t"]))).epoch, 2);
    assert_eq!(world.state(), "Stable");
}

#[test]
fn an_instance_that_is_there_is_not_replaced() {
    let mut world = with_two();
    assert_eq!(
        world.refused(&of_instance("i1", join("x", &["t"]))),
        UnreleasedInstanceId
    );
    assert_eq!(
        world.refused(&of_instance("i1", beat("x", 2))),
        FencedInstanceId
    );
    assert_eq!(
        world.refused(&of_instance("i1", beat("x", -1))),
        FencedInstanceId
    );
    // The same member joins again when the answer to its join was lost.
    world.heard(&of_instance("i1", join("a", &["t"])));
}

#[test]
fn an_instance_that_does_not_come_back_loses_its_place_with_its_session() {
    let mut world = with_two();
    world.heard(&of_instance("i1", beat("a", -2)));
    world.pass(30);
    world.heard(&of_instance("i2", beat("b", 2)));
    world.pass(15);
    let heard = world.heard(&of_instance("i2", beat("b", 2)));
    assert_eq!(heard.assignment, Some(world.of("t", &[0, 1])));
}

#[test]
fn an_instance_that_leaves_for_good_is_gone_at_once() {
    let mut world = with_two();
    world.heard(&of_instance("i1", beat("a", -1)));
    let heard = world.heard(&of_instance("i2", beat("b", 2)));
    assert_eq!(heard.assignment, Some(world.of("t", &[0, 1])));
}

#[test]
fn what_an_instance_was_to_give_up_is_free_when_it_leaves_for_a_while() {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&of_instance("i1", join("a", &["t"])));
    world.heard(&join("b", &["t"]));
    world.heard(&of_instance("i1", beat("a", 1)));
    world.heard(&of_instance("i1", beat("a", -2)));
    assert_eq!(
        world.heard(&beat("b", 2)).assignment,
        Some(world.of("t", &[1]))
    );
    let heard = world.heard(&of_instance("i1", join("a2", &["t"])));
    assert_eq!(heard.assignment, Some(world.of("t", &[0])));
}

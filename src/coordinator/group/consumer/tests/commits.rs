//! Who may commit and fetch offsets.

use super::*;
use GroupError::{StaleMemberEpoch, UnknownMemberId, UnsupportedVersion};

#[test]
fn a_member_commits_with_its_epoch() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("m", &["t"]));
    let group = &world.group;
    assert_eq!(group.check_commit(&by("m", 1), true), Ok(MayCommit::All));
    assert_eq!(group.check_commit(&by("m", 2), true), Err(StaleMemberEpoch));
    assert_eq!(group.check_commit(&by("n", 1), true), Err(UnknownMemberId));
    assert_eq!(group.check_commit(&by("", -1), true), Err(UnknownMemberId));
    assert!(matches!(
        group.check_commit(&by("m", 1), false),
        Err(UnsupportedVersion(_))
    ));
}

#[test]
fn whoever_says_nothing_commits_to_an_empty_group() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("m", &["t"]));
    world.heard(&beat("m", -1));
    assert_eq!(
        world.group.check_commit(&by("", -1), false),
        Ok(MayCommit::All)
    );
    assert_eq!(
        world.group.check_commit(&by("m", 1), true),
        Err(UnknownMemberId)
    );
}

#[test]
fn an_old_epoch_commits_what_the_member_has_had_since() {
    let mut world = World::new(&[("t", 2)]);
    let topic = world.topic("t");
    world.heard(&join("a", &["t"]));
    world.heard(&join("b", &["t"]));
    let kept = world.heard(&beat("a", 1)).assignment.unwrap();
    let of = |world: &World, member: &str, epoch| {
        let may = world.group.check_commit(&by(member, epoch), true);
        may.map(|may| [0, 1].map(|index| may.check(Some(topic), index).is_ok()))
    };
    // Told to give up 1, it may still commit for it.
    assert_eq!(of(&world, "a", 1), Ok([true, true]));
    world.heard(&owning("a", 1, &kept));
    assert_eq!(of(&world, "a", 2), Ok([true, true]));
    assert_eq!(
        of(&world, "a", 1),
        Ok([true, false]),
        "1 is not its own any more"
    );
    assert_eq!(of(&world, "a", 0), Ok([false, false]));
    world.heard(&beat("b", 2));
    assert_eq!(of(&world, "b", 1), Ok([false, false]));
    let may = world.group.check_commit(&by("a", 1), true).unwrap();
    assert_eq!(may.check(None, 0), Err(StaleMemberEpoch));
    assert_eq!(may.check(Some(topic), -1), Err(StaleMemberEpoch));
}

#[test]
fn who_says_who_it_is_fetches_with_its_epoch() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("m", &["t"]));
    let group = &world.group;
    assert_eq!(group.check_fetch(&by("m", 1)), Ok(()));
    assert_eq!(group.check_fetch(&by("m", 0)), Err(StaleMemberEpoch));
    assert_eq!(group.check_fetch(&by("n", 1)), Err(UnknownMemberId));
    assert_eq!(group.check_fetch(&by("", -1)), Ok(()));
}

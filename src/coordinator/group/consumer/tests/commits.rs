//! Who may commit and fetch offsets.

use super::*;
use crate::coordinator::group::consumer::reconcile::{Goal, step};
use crate::coordinator::group::record::ConsumerCurrentValue;
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

/// A member gave one partition up, and was told to give up another one in the same answer. It stayed known as who has had
/// the first, so that with an old epoch it could commit for what another member had by then; and the log, which has no room
/// for what a member has not, told the next coordinator otherwise. The simulator noticed that what was read back differed.
#[test]
fn c4_what_is_given_up_is_not_known_as_the_members_any_more() {
    let topic = TopicId::from_wire([1; 16]).unwrap();
    let of = |indexes: &[i32]| -> Partitions {
        let indexes = indexes.iter();
        let indexes = indexes.map(|index| PartitionIndex::from_wire(*index).unwrap());
        [(topic, indexes.collect())].into()
    };
    let since = |indexes: &[i32]| {
        let indexes = of(indexes).into_iter();
        let since =
            indexes.map(|(topic, all)| (topic, all.into_iter().map(|it| (it, 1)).collect()));
        since.collect()
    };
    let current = ConsumerCurrentValue {
        epoch: 2,
        previous_epoch: 1,
        state: 1,
        assigned: of(&[0, 1]),
        revoking: of(&[2]),
        assigned_since: since(&[0, 1, 2]),
    };
    let goal = Goal {
        epoch: 4,
        target: &of(&[0]),
        subscribed: &[topic].into(),
        owned: Some(&of(&[0, 1])),
        is_free: |_, _| true,
    };
    let next = step(&current, &goal);
    assert_eq!((next.assigned, next.revoking), (of(&[0]), of(&[1])));
    assert_eq!(next.assigned_since, since(&[0, 1]));
}

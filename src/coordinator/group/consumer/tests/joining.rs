//! Who is heard, who is refused and why, and the three epochs.

use super::*;
use GroupError::{
    FencedMemberEpoch, GroupMaxSizeReached, InvalidRequest, UnknownMemberId, UnsupportedAssignor,
};

#[test]
fn a_heartbeat_that_makes_no_sense_is_refused_in_kafkas_order() {
    let mut world = World::new(&[("t", 1)]);
    let good = join("m", &["t"]);
    let bad = [
        ConsumerHeartbeat {
            group: " ".into(),
            ..good.clone()
        },
        ConsumerHeartbeat {
            member: "".into(),
            ..good.clone()
        },
        of_instance("", good.clone()),
        ConsumerHeartbeat {
            rack: Some("".into()),
            ..good.clone()
        },
        ConsumerHeartbeat {
            rebalance_timeout: None,
            ..good.clone()
        },
        ConsumerHeartbeat {
            owned: None,
            ..good.clone()
        },
        ConsumerHeartbeat {
            owned: Some(world.of("t", &[0])),
            ..good.clone()
        },
        ConsumerHeartbeat {
            topics: None,
            ..good.clone()
        },
        beat("m", -2),
        of_instance("i", beat("m", -3)),
    ];
    for heartbeat in bad {
        assert!(
            matches!(world.refused(&heartbeat), InvalidRequest(_)),
            "{heartbeat:?}"
        );
        assert!(world.group.is_nothing());
    }
    let unknown = ConsumerHeartbeat {
        assignor: Some("sticky".into()),
        ..good.clone()
    };
    assert_eq!(world.refused(&unknown), UnsupportedAssignor);
    // The fields come before the assignor.
    let both = ConsumerHeartbeat {
        rack: Some("".into()),
        ..unknown
    };
    assert!(matches!(world.refused(&both), InvalidRequest(_)));
    world.heard(&good);
}

#[test]
fn the_first_member_gets_everything_with_its_first_answer() {
    let mut world = World::new(&[("t", 3)]);
    let heard = world.heard(&join("m", &["t"]));
    assert_eq!(heard.epoch, 1);
    assert_eq!(heard.assignment, Some(world.of("t", &[0, 1, 2])));
    assert_eq!(heard.heartbeat_interval, Duration::from_secs(5));
    assert_eq!(world.state(), "Stable");
}

#[test]
fn an_answer_has_the_assignment_only_if_the_member_may_not_know_it() {
    let mut world = World::new(&[("t", 1)]);
    let all = world.of("t", &[0]);
    world.heard(&join("m", &["t"]));
    assert_eq!(world.heard(&beat("m", 1)).assignment, None);
    assert_eq!(world.heard(&owning("m", 1, &all)).assignment, None);
    // A request with every field: the last one failed, from the member's side.
    let full = ConsumerHeartbeat {
        epoch: 1,
        owned: Some(all.clone()),
        ..join("m", &["t"])
    };
    assert_eq!(world.heard(&full).assignment, Some(all));
}

#[test]
fn a_member_that_is_not_in_the_group_is_unknown_unless_it_joins() {
    let mut world = World::new(&[("t", 1)]);
    assert_eq!(world.refused(&beat("m", 1)), UnknownMemberId);
    assert_eq!(world.refused(&beat("m", -1)), UnknownMemberId);
    assert_eq!(
        world.refused(&of_instance("i", beat("m", 1))),
        UnknownMemberId
    );
    assert_eq!(
        world.refused(&of_instance("i", beat("m", -2))),
        UnknownMemberId
    );
}

#[test]
fn a_full_group_takes_no_new_member() {
    let mut world = World::new(&[("t", 1)]);
    world.settings.consumer.size_max = 1;
    world.heard(&join("a", &["t"]));
    assert_eq!(world.refused(&join("b", &["t"])), GroupMaxSizeReached);
    world.heard(&beat("a", 1));
    world.heard(&join("a", &["t"]));
}

#[test]
fn a_member_of_another_epoch_is_fenced() {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&join("a", &["t"]));
    assert!(matches!(world.refused(&beat("a", 2)), FencedMemberEpoch(_)));
    world.heard(&join("b", &["t"]));
    let kept = world.heard(&beat("a", 1)).assignment.unwrap();
    assert_eq!(world.heard(&owning("a", 1, &kept)).epoch, 2);
    world.heard(&owning("a", 2, &kept));
    // Epoch 1 was the one before, but without what it has nobody knows what that is.
    assert!(matches!(world.refused(&beat("a", 1)), FencedMemberEpoch(_)));
    world.heard(&join("a", &["t"]));
}

#[test]
fn a_member_whose_answer_was_lost_goes_on_from_its_previous_epoch() {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&join("a", &["t"]));
    let joined = world.heard(&join("b", &["t"]));
    let kept = world.heard(&beat("a", 1)).assignment.unwrap();
    let lost = world.heard(&owning("a", 1, &kept));
    assert_eq!(lost.epoch, 2);
    let again = world.heard(&owning("a", 1, &kept));
    assert_eq!((again.epoch, again.assignment), (2, Some(kept)));
    // With more than it was told it is not the one that was told.
    let all = world.of("t", &[0, 1]);
    assert!(matches!(
        world.refused(&owning("a", 1, &all)),
        FencedMemberEpoch(_)
    ));
    // A join whose answer was lost is a join once more.
    let again = world.heard(&join("b", &["t"]));
    assert!(again.epoch >= joined.epoch);
}

#[test]
fn the_groups_epoch_rises_with_subscriptions_and_not_with_other_wishes() {
    let mut world = World::new(&[("t", 1), ("u", 1)]);
    world.heard(&join("m", &["t"]));
    let epoch = |world: &World| world.group.describe(&world.settings).epoch;
    assert_eq!(epoch(&world), 1);
    let elsewhere = ConsumerHeartbeat {
        rack: Some("r2".into()),
        ..beat("m", 1)
    };
    world.heard(&elsewhere);
    let votes = ConsumerHeartbeat {
        assignor: Some("range".into()),
        ..beat("m", 1)
    };
    world.heard(&votes);
    assert_eq!(epoch(&world), 1);
    assert_eq!(
        world.group.describe(&world.settings).assignor.as_ref(),
        "range"
    );
    let more = ["t".into(), "u".into()];
    let subscribes = ConsumerHeartbeat {
        topics: Some(more.into()),
        ..beat("m", 1)
    };
    let heard = world.heard(&subscribes);
    assert_eq!((heard.epoch, epoch(&world)), (2, 2));
    assert_eq!(heard.assignment.unwrap().len(), 2);
}

#[test]
fn the_assignor_with_the_most_votes_assigns() {
    let mut world = World::new(&[("t", 4), ("u", 4)]);
    for (member, assignor) in [("a", "uniform"), ("b", "range"), ("c", "range")] {
        let assignor = Some(assignor.into());
        world.heard(&ConsumerHeartbeat {
            assignor,
            ..join(member, &["t", "u"])
        });
    }
    // Range: two of each topic to the first, one of each to the others.
    let first = world.target("a");
    assert_eq!(first[&world.topic("t")], first[&world.topic("u")]);
    assert_eq!(first[&world.topic("t")].len(), 2);
}

#[test]
fn a_member_that_reads_nothing_is_a_member() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("a", &["t"]));
    let heard = world.heard(&join("b", &[]));
    assert_eq!(
        (heard.epoch, heard.assignment),
        (1, Some(Partitions::new()))
    );
    let heard = world.heard(&join("c", &["nowhere"]));
    assert_eq!(heard.assignment, Some(Partitions::new()));
}

#[test]
fn a_member_that_leaves_is_gone_and_the_others_take_over() {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&join("a", &["t"]));
    world.heard(&join("b", &["t"]));
    let left = world.heard(&beat("a", -1));
    assert_eq!((left.epoch, left.assignment), (-1, None));
    assert_eq!(world.state(), "Assigning");
    let heard = world.heard(&owning("b", 2, &Partitions::new()));
    assert_eq!(heard.assignment, Some(world.of("t", &[0, 1])));
    world.heard(&beat("b", -1));
    assert_eq!(
        (world.state(), world.group.next_deadline()),
        ("Empty", None)
    );
    assert_eq!(world.group.check_delete(), Ok(()));
    let epoch = world.group.describe(&world.settings).epoch;
    assert!(
        world.heard(&join("a", &["t"])).epoch > epoch,
        "epochs go on after an empty group"
    );
}

#[test]
fn what_is_deleted_leaves_nothing() {
    let mut world = World::new(&[("t", 2)]);
    let by_pattern = ConsumerHeartbeat {
        topics_regex: Some("t.*".into()),
        ..join("a", &[])
    };
    world.heard(&by_pattern);
    assert_eq!(world.group.check_delete(), Err(GroupError::NonEmptyGroup));
    let tombstones = world.group.tombstones();
    for fact in tombstones {
        world.group.replay(fact);
    }
    assert!(world.group.is_nothing());
}

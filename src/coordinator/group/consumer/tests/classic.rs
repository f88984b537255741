//! Members of the classic protocol in a consumer group.

use super::*;
use crate::config::group::MigrationPolicy;
use GroupError::{
    FencedInstanceId, GroupMaxSizeReached, IllegalGeneration, InconsistentGroupProtocol,
    MemberIdRequired, RebalanceInProgress, UnknownMemberId,
};

fn nothing() -> Partitions {
    Partitions::new()
}

/// `c` of the classic protocol has both partitions; `m` of the new one has joined.
fn with_both_kinds() -> World {
    let mut world = World::new(&[("t", 2)]);
    // A group of `c` alone stays a consumer group.
    world.settings.consumer.migration = MigrationPolicy::Upgrade;
    world.heard(&join("m", &["t"]));
    world.heard(&beat("m", -1));
    let joined = world.join_classic(&world.classic_join("c", &["t"], &nothing()));
    assert_eq!(joined.unwrap().generation, 3);
    assert_eq!(world.sync_classic(&by("c", 3)), Ok(world.of("t", &[0, 1])));
    assert_eq!(world.beat_classic(&by("c", 3)), Ok(()));
    world.heard(&join("m", &["t"]));
    world
}

#[test]
fn a_classic_member_is_told_to_join_again_and_gives_up_before_others_get() {
    let mut world = with_both_kinds();
    let (all, kept) = (world.of("t", &[0, 1]), world.of("t", &[0]));
    assert_eq!(world.beat_classic(&by("c", 3)), Err(RebalanceInProgress));
    let joined = world
        .join_classic(&world.classic_join("c", &["t"], &all))
        .unwrap();
    assert_eq!(
        (joined.generation, &*joined.protocol),
        (3, "cooperative-sticky")
    );
    assert!(joined.leader.is_empty() && joined.members.is_empty());
    assert_eq!(world.sync_classic(&by("c", 3)), Ok(kept.clone()));
    assert_eq!(world.heard(&beat("m", 4)).assignment, None);
    // It gives 1 up and joins once more.
    assert_eq!(world.beat_classic(&by("c", 3)), Err(RebalanceInProgress));
    let joined = world
        .join_classic(&world.classic_join("c", &["t"], &kept))
        .unwrap();
    assert_eq!(joined.generation, 4);
    assert_eq!(world.sync_classic(&by("c", 4)), Ok(kept));
    assert_eq!(world.beat_classic(&by("c", 4)), Ok(()));
    assert_eq!(
        world.heard(&beat("m", 4)).assignment,
        Some(world.of("t", &[1]))
    );
    assert_eq!(world.state(), "Stable");
}

#[test]
fn a_classic_member_that_waits_joins_again_when_all_it_waits_for_is_free() {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&join("m", &["t"]));
    world
        .join_classic(&world.classic_join("c", &["t"], &nothing()))
        .unwrap();
    assert_eq!(world.sync_classic(&by("c", 2)), Ok(nothing()));
    assert_eq!(world.beat_classic(&by("c", 2)), Ok(()), "nothing is free");
    let kept = world.heard(&beat("m", 1)).assignment.unwrap();
    world.heard(&owning("m", 1, &kept));
    assert_eq!(world.beat_classic(&by("c", 2)), Err(RebalanceInProgress));
    world
        .join_classic(&world.classic_join("c", &["t"], &nothing()))
        .unwrap();
    assert_eq!(world.sync_classic(&by("c", 2)).unwrap().len(), 1);
    assert_eq!(world.beat_classic(&by("c", 2)), Ok(()));
}

#[test]
fn a_classic_member_that_does_not_join_again_in_time_is_fenced() {
    let mut world = with_both_kinds();
    for _ in 0..6 {
        assert_eq!(world.beat_classic(&by("c", 3)), Err(RebalanceInProgress));
        world.heard(&beat("m", 4));
        world.pass(10);
    }
    assert_eq!(world.beat_classic(&by("c", 3)), Err(UnknownMemberId));
    assert_eq!(
        world.heard(&beat("m", 4)).assignment,
        Some(world.of("t", &[0, 1]))
    );
}

#[test]
fn a_classic_member_that_does_not_ask_for_its_assignment_in_time_is_fenced() {
    let mut world = World::new(&[("t", 1)]);
    world.heard(&join("m", &["t"]));
    world
        .join_classic(&world.classic_join("c", &["t"], &nothing()))
        .unwrap();
    let mut epoch = 1;
    for _ in 0..6 {
        assert_eq!(world.beat_classic(&by("c", 2)), Ok(()));
        epoch = world.heard(&beat("m", epoch)).epoch;
        world.pass(10);
    }
    assert_eq!(world.beat_classic(&by("c", 2)), Err(UnknownMemberId));
}

#[test]
fn a_classic_member_has_the_session_that_it_asked_for() {
    let mut world = with_both_kinds();
    for _ in 0..2 {
        world.pass(29);
        assert_eq!(world.beat_classic(&by("c", 3)), Err(RebalanceInProgress));
        world.heard(&beat("m", 4));
    }
    world.pass(30);
    assert_eq!(world.beat_classic(&by("c", 3)), Err(UnknownMemberId));
    world.heard(&beat("m", 4));
}

#[test]
fn a_join_that_makes_no_sense_is_refused_and_changes_nothing() {
    let mut world = with_both_kinds();
    let good = world.classic_join("d", &["t"], &nothing());
    let refusals = [
        (
            Join {
                protocol_type: "connect".into(),
                ..good.clone()
            },
            InconsistentGroupProtocol,
        ),
        (
            Join {
                protocols: Vec::new(),
                ..good.clone()
            },
            InconsistentGroupProtocol,
        ),
        (
            Join {
                member: "".into(),
                ..good.clone()
            },
            MemberIdRequired,
        ),
        (
            Join {
                instance: Some("i".into()),
                ..good.clone()
            },
            UnknownMemberId,
        ),
    ];
    let written = world.log.len();
    for (join, error) in refusals {
        assert_eq!(world.join_classic(&join).unwrap_err(), error);
    }
    let mut other = good.clone();
    other.protocols[0].name = "range".into();
    assert_eq!(
        world.join_classic(&other).unwrap_err(),
        InconsistentGroupProtocol
    );
    let mut malformed = good.clone();
    malformed.protocols[0].metadata = Bytes::from_static(&[0, 3, 9]);
    assert_eq!(
        world.join_classic(&malformed).unwrap_err(),
        InconsistentGroupProtocol
    );
    world.settings.consumer.size_max = 2;
    assert_eq!(world.join_classic(&good).unwrap_err(), GroupMaxSizeReached);
    assert_eq!(world.log.len(), written);
}

#[test]
fn a_classic_member_that_was_fenced_and_does_not_know_drops_what_it_has() {
    let mut world = with_both_kinds();
    world.pass(30);
    let all = world.of("t", &[0, 1]);
    assert_eq!(world.heard(&beat("m", 4)).assignment, Some(all.clone()));
    let late = world.classic_join("c", &["t"], &all);
    assert_eq!(world.join_classic(&late).unwrap_err(), UnknownMemberId);
    let anew = world.classic_join("c", &["t"], &nothing());
    world.join_classic(&anew).unwrap();
}

#[test]
fn a_classic_member_is_who_it_says_or_nobody() {
    let mut world = with_both_kinds();
    assert_eq!(world.beat_classic(&by("c", 2)), Err(IllegalGeneration));
    assert_eq!(world.sync_classic(&by("c", 4)), Err(IllegalGeneration));
    assert_eq!(world.beat_classic(&by("x", 3)), Err(UnknownMemberId));
    assert_eq!(
        world.beat_classic(&by("m", 4)),
        Err(UnknownMemberId),
        "not classic"
    );
    assert_eq!(world.sync_classic(&by("m", 4)), Err(UnknownMemberId));
    assert_eq!(
        world.group.check_commit(&by("c", 2), true),
        Err(IllegalGeneration)
    );
    assert_eq!(
        world.group.check_commit(&by("c", 3), false),
        Ok(MayCommit::All)
    );
    assert_eq!(world.group.check_fetch(&by("c", 2)), Err(IllegalGeneration));
    let described = world.group.describe(&world.settings);
    let kinds: Vec<bool> = described.members.iter().map(|it| it.is_classic).collect();
    assert_eq!(kinds, [true, false]);
}

#[test]
fn a_static_member_takes_its_place_in_the_other_protocol() {
    let mut world = World::new(&[("t", 2)]);
    world.heard(&of_instance("i", join("m", &["t"])));
    let classic = Join {
        instance: Some("i".into()),
        ..world.classic_join("", &["t"], &nothing())
    };
    let joined = world.join_classic(&classic).unwrap();
    assert_eq!(joined.member.as_str(), "new");
    let who = Identity {
        instance: Some("i".into()),
        ..by("new", joined.generation)
    };
    assert_eq!(world.sync_classic(&who), Ok(world.of("t", &[0, 1])));
    assert_eq!(
        world.refused(&of_instance("i", beat("m", 1))),
        FencedInstanceId
    );
    let stranger = Identity {
        member: "x".into(),
        ..who
    };
    assert_eq!(world.beat_classic(&stranger), Err(FencedInstanceId));
    // And back, without asking: it does not say goodbye in the classic protocol.
    let heard = world.heard(&of_instance("i", join("m2", &["t"])));
    assert_eq!(heard.assignment, Some(world.of("t", &[0, 1])));
}

/// librdkafka forgets its id when it was fenced, but not what it had: told that nobody knows it, it came again with the
/// same request for ever.
#[test]
fn a_static_member_without_an_id_joins_whatever_it_claims() {
    let mut world = with_both_kinds();
    let claiming = Join {
        instance: Some("i".into()),
        ..world.classic_join("", &["t"], &world.of("t", &[0, 1]))
    };
    let joined = world.join_classic(&claiming).unwrap();
    assert_eq!(joined.member.as_str(), "new");
    assert_eq!(world.current("new").assigned, nothing(), "others have them");
}

fn leaving(member: &str, instance: Option<&str>) -> Leaving {
    Leaving {
        member: member.into(),
        instance: instance.map(Into::into),
        reason: None,
    }
}

#[test]
fn members_leave_each_for_itself() {
    let mut world = with_both_kinds();
    let classic = Join {
        instance: Some("i".into()),
        ..world.classic_join("", &["t"], &nothing())
    };
    world.join_classic(&classic).unwrap();
    let answers = world.leave_classic(vec![
        leaving("c", None),
        leaving("c", None),
        leaving("x", Some("i")),
        leaving("", Some("i")),
        leaving("", Some("j")),
        leaving("", None),
    ]);
    let unknown = || Err(UnknownMemberId);
    let fenced = Err(FencedInstanceId);
    // As in Kafka, who is named twice has left both times.
    assert_eq!(
        answers,
        [Ok(()), Ok(()), fenced, Ok(()), unknown(), unknown()]
    );
    assert_eq!(
        world.heard(&beat("m", 4)).assignment,
        Some(world.of("t", &[0, 1]))
    );
}

/// KAFKA-18188: an operator removes members of either protocol, by instance or by id.
#[test]
fn members_of_the_new_protocol_can_be_removed() {
    let mut world = with_both_kinds();
    world.heard(&of_instance("i", join("s", &["t"])));
    let answers = world.leave_classic(vec![leaving("", Some("i")), leaving("m", None)]);
    assert_eq!(answers, [Ok(()), Ok(())]);
    assert_eq!(world.refused(&beat("m", 4)), UnknownMemberId);
    assert_eq!(
        world.refused(&of_instance("i", beat("s", 4))),
        UnknownMemberId
    );
}

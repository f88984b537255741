//! What the group has to say to offsets, and what it tells of itself.

use super::*;
use crate::coordinator::group::offsets::Expiry;
use crate::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::versioned;

fn subscription(topics: &[&'static str], version: i16) -> Bytes {
    let topics = topics.iter().map(|topic| (*topic).into());
    let message = ConsumerProtocolSubscription {
        topics: topics.collect(),
        ..ConsumerProtocolSubscription::default()
    };
    versioned::encode(&message, version).unwrap()
}

/// A follower that says this of itself, and a leader that is subscribed to `t`.
fn stable_with(metadata: Bytes) -> World {
    let join = |name: &str, metadata: Bytes| Join {
        protocols: vec![Protocol {
            name: "range".into(),
            metadata,
        }],
        ..join_as(name)
    };
    World::stable_of(vec![
        join("a", subscription(&["t"], 0)),
        join("b", metadata),
    ])
}

#[test]
fn anybody_without_a_generation_may_commit_to_an_empty_group() {
    let mut world = World::new();
    assert_eq!(world.commit(&identity("", -1)), Ok(()));
    assert_eq!(world.commit(&identity("x", -1)), Ok(()));
    let outcome = world.commit(&identity("x", 0));
    assert_eq!(outcome, Err(GroupError::UnknownMemberId));
}

#[test]
fn only_members_commit_to_a_group_with_members_and_only_in_their_generation() {
    let mut world = World::stable(&["a"]);
    assert_eq!(world.commit(&identity("a", 1)), Ok(()));
    let anonymous = world.commit(&identity("", -1));
    assert_eq!(anonymous, Err(GroupError::UnknownMemberId));
    let stranger = world.commit(&identity("x", 1));
    assert_eq!(stranger, Err(GroupError::UnknownMemberId));
    for generation in [-1, 0, 2] {
        let outcome = world.commit(&identity("a", generation));
        assert_eq!(outcome, Err(GroupError::IllegalGeneration));
    }
}

#[test]
fn members_commit_while_they_are_to_join_but_not_before_they_know_what_they_read() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoin_as("a"));
    assert_eq!(world.commit(&identity("b", 1)), Ok(()));
    world.join(rejoin_as("b"));
    let outcome = world.commit(&identity("b", 2));
    assert_eq!(outcome, Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_commit_shows_that_the_member_is_there() {
    let mut world = World::stable(&["a"]);
    world.after(SESSION - 1);
    assert_eq!(world.commit(&identity("a", 1)), Ok(()));
    world.after(SESSION - 1);
    assert_eq!(world.state(), "Stable");
    world.after(1);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn offsets_expire_by_who_uses_them() {
    let simple = World::new();
    assert_eq!(simple.group.offsets_expire(), Expiry::SinceCommit);
    let mut world = stable_with(subscription(&["u"], 1));
    assert_eq!(world.group.offsets_expire(), Expiry::SinceCommit);
    world.join(rejoin_as("a"));
    assert_eq!(world.group.offsets_expire(), Expiry::Never);
    world.join(rejoin_as("b"));
    assert_eq!(world.group.offsets_expire(), Expiry::Never);
    world.leave(vec![leaving("a"), leaving("b")]);
    let since = WallMillis::from_millis(WALL_BEGIN + i64::try_from(world.now).unwrap());
    assert_eq!(
        world.group.offsets_expire(),
        Expiry::SinceEmpty(Some(since))
    );
    let workers = World::stable_of(vec![Join {
        protocol_type: "connect".into(),
        ..join_as("a")
    }]);
    assert_eq!(workers.group.offsets_expire(), Expiry::Never);
}

#[test]
fn a_group_is_subscribed_to_what_its_members_say() {
    for version in 0..=3 {
        let world = stable_with(subscription(&["u", "v"], version));
        for (topic, expected) in [("t", true), ("u", true), ("v", true), ("w", false)] {
            assert_eq!(
                world.group.subscribed().contains(topic),
                expected,
                "{topic}"
            );
        }
    }
    let mut world = stable_with(subscription(&["u"], 3));
    world.leave(vec![leaving("a"), leaving("b")]);
    assert!(!world.group.subscribed().contains("t"));
}

#[test]
fn what_cannot_be_read_may_be_a_subscription_to_anything() {
    let mut newer = subscription(&["u"], 0).to_vec();
    newer[1] = 99;
    newer.push(1);
    let world = stable_with(newer.into());
    assert!(world.group.subscribed().contains("u") && !world.group.subscribed().contains("w"));
    let hostile: [&'static [u8]; 4] = [
        b"",
        b"\0",
        b"\xff\xff\0\0\0\0\0\0\0\0",
        b"\0\0\x7f\xff\xff\xff",
    ];
    for bytes in hostile {
        let world = stable_with(Bytes::from_static(bytes));
        assert!(world.group.subscribed().contains("w"), "{bytes:?}");
    }
    let mut first = World::new();
    first.join(join_as("a"));
    assert!(
        first.group.subscribed().contains("w"),
        "no protocol has been chosen"
    );
}

#[test]
fn those_that_are_no_consumers_are_subscribed_to_nothing() {
    let world = World::stable_of(vec![Join {
        protocol_type: "connect".into(),
        ..join_as("a")
    }]);
    assert!(!world.group.subscribed().contains("t"));
    let outcome = world.group.check_delete_offsets();
    assert_eq!(outcome, Err(GroupError::NonEmptyGroup));
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut world = World::stable(&["a"]);
    assert_eq!(world.group.check_delete(), Err(GroupError::NonEmptyGroup));
    assert_eq!(world.group.check_delete_offsets(), Ok(()));
    world.leave(vec![leaving("a")]);
    assert_eq!(world.group.check_delete(), Ok(()));
    world.join(join_as("b"));
    assert_eq!(world.group.check_delete(), Err(GroupError::NonEmptyGroup));
}

#[test]
fn a_group_tells_of_itself_what_its_state_knows() {
    let mut world = World::stable_of(vec![join_as("a"), static_join_as("i", "b")]);
    let stable = world.group.describe();
    assert_eq!(stable.state, "Stable");
    assert_eq!(
        (&*stable.protocol_type, &*stable.protocol),
        ("consumer", "range")
    );
    assert_eq!(stable.members[1].instance, Some(InstanceId::from("i")));
    assert_eq!(stable.members[1].metadata, "says");
    assert_eq!(stable.members[1].assignment, "b");
    world.join(rejoin_as("a"));
    let preparing = world.group.describe();
    assert_eq!(
        (preparing.state, &*preparing.protocol),
        ("PreparingRebalance", "")
    );
    assert_eq!(preparing.members[1].metadata, "");
    assert_eq!(preparing.members[1].assignment, "b");
    let listed = world.group.listed();
    assert_eq!(
        (listed.state, listed.kind),
        ("PreparingRebalance", "classic")
    );
    assert_eq!(
        (&*listed.protocol_type, listed.group.as_str()),
        ("consumer", "g")
    );
}

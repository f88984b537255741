//! From the log, and from and to the consumer protocol.

use super::*;
use crate::coordinator::group::record::ClassicMemberValue;

impl World {
    /// The group as another coordinator finds it in the log.
    fn moved(&self) -> Self {
        let value = self.written.last().unwrap().clone();
        let mut world = Self::of(ClassicGroup::restored(self.group.id.clone(), value));
        world.now = self.now;
        world.settings = self.settings.clone();
        world.with(ClassicGroup::start);
        world
    }
}

/// What members see of a stable group of the leader "a" and the follower "b".
fn seen_by_members(mut world: World) -> Vec<String> {
    let mut seen = vec![];
    seen.push(format!("{:?}", world.group.describe()));
    seen.push(format!("{:?}", world.heartbeat(identity("a", 1))));
    seen.push(format!("{:?}", world.heartbeat(identity("b", 2))));
    seen.push(format!("{:?}", world.commit(&identity("b", 1))));
    let sync = world.sync(sync_as("b", 1));
    seen.push(format!("{:?}", world.sync_outcome(sync)));
    let leader = world.join(rejoin_as("a"));
    let follower = world.join(rejoin_as("b"));
    seen.push(format!("{:?}", world.join_outcome(leader)));
    seen.push(format!("{:?}", world.join_outcome(follower)));
    seen.push(format!("{:?}", world.leave(vec![leaving("b")])));
    seen.push(format!("{:?}", world.group.describe()));
    world.after(2 * REBALANCE);
    seen.push(format!("{:?}", world.group.value()));
    seen
}

#[test]
fn a_stable_group_goes_on_after_a_move() {
    let world = World::stable(&["a", "b"]);
    let moved = world.moved();
    assert_eq!(moved.group.value(), world.group.value());
    assert_eq!(seen_by_members(moved), seen_by_members(world));
}

#[test]
fn a_move_gives_every_member_its_whole_session() {
    let mut world = World::stable(&["a"]);
    world.after(SESSION - 1);
    let mut moved = world.moved();
    moved.after(SESSION - 1);
    assert_eq!(moved.state(), "Stable");
    moved.after(1);
    assert_eq!(moved.state(), "Empty");
}

/// A generation was announced and the coordinator moved before the leader had assigned. The next one announced another
/// generation of the same number, to other members, and the first leader's assignment came late and counted for it. The
/// number is in the log now, and a generation without an assignment begins again under the next.
#[test]
fn a_generation_that_was_announced_is_never_announced_again() {
    let mut world = World::new();
    world.join(join_as("a"));
    world.after(INITIAL_DELAY * 2);
    assert_eq!(world.state(), "CompletingRebalance");
    let mut moved = world.moved();
    assert_eq!(moved.state(), "PreparingRebalance");
    let late = moved.sync(sync_as("a", 1));
    assert_eq!(
        moved.sync_outcome(late),
        Err(GroupError::RebalanceInProgress)
    );
    let again = moved.join(rejoin_as("a"));
    assert_eq!(moved.joined(again).generation, 2);
}

#[test]
fn an_empty_group_remembers_since_when() {
    let mut world = World::stable(&["a"]);
    world.leave(vec![leaving("a")]);
    let moved = world.moved();
    assert_eq!(moved.state(), "Empty");
    assert_eq!(moved.group.offsets_expire(), world.group.offsets_expire());
    assert!(!moved.group.is_forgettable());
}

#[test]
fn a_group_of_before_a_smaller_limit_rebalances() {
    let mut world = World::stable(&["a", "b"]);
    world.settings.size_max = 1;
    let moved = world.moved();
    assert_eq!(moved.state(), "PreparingRebalance");
}

#[test]
fn whatever_the_log_says_makes_a_group() {
    let member = |member: &str, instance: Option<&str>| ClassicMemberValue {
        member: member.into(),
        instance: instance.map(Into::into),
        client: join_as("a").client,
        rebalance_timeout: Duration::ZERO,
        session_timeout: Duration::ZERO,
        subscription: Bytes::new(),
        assignment: Bytes::new(),
    };
    let value = ClassicValue {
        protocol_type: "".into(),
        generation: -7,
        protocol: None,
        leader: Some("nobody".into()),
        state_since: None,
        members: vec![
            member("a", Some("i")),
            member("b", Some("i")),
            member("a", None),
        ],
    };
    let mut world = World::of(ClassicGroup::restored("g".into(), value));
    assert_eq!(world.member_ids(), ["a"]);
    assert!(world.group.members.is_leader(&"a".into()));
    world.with(ClassicGroup::start);
    world.tick();
    assert_eq!((world.state(), world.group.generation), ("Empty", 1));
}

#[test]
fn a_consumer_group_takes_the_members_over_and_those_that_wait_join_again() {
    let mut world = World::stable(&["a", "b"]);
    let joining = world.join(rejoin_as("a"));
    let group = std::mem::replace(&mut world.group, ClassicGroup::new("g".into()));
    assert!(group.is_of_consumers());
    assert_eq!(group.protocol().map(|it| &**it), Some("range"));
    let mut fx = Effects::default();
    let members = group.into_members(&mut fx);
    world.take(fx);
    let outcome = world.join_outcome(joining);
    assert_eq!(outcome, Err(GroupError::RebalanceInProgress));
    let names: Vec<_> = members.iter().map(|it| it.member.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(members[1].assignment, "b");
    assert_eq!(members[1].protocols.len(), 2);
}

#[test]
fn what_a_consumer_group_leaves_is_a_stable_group_that_is_written() {
    let world = World::stable_of(vec![join_as("a"), static_join_as("i", "b")]);
    let members = world.group.clone().into_members(&mut Effects::default());
    let mut back = World::new();
    back.group = back.with(|_, cx, fx| {
        let assign = |member: &MemberId, said: &Bytes| {
            assert_eq!(said, "says");
            Bytes::from(format!("target of {member}"))
        };
        ClassicGroup::of_members(cx, "g".into(), 7, members, assign, fx)
    });
    back.with(ClassicGroup::start);
    assert_eq!((back.state(), back.group.generation), ("Stable", 7));
    assert_eq!(back.written, [back.group.value()]);
    assert_eq!(back.heartbeat(identity("a", 7)), Ok(()));
    let sync = back.sync(sync_as("b", 7));
    assert_eq!(back.assigned(sync), "target of b");
    back.with(|group, cx, fx| group.rebalance(cx, format_args!("a test"), fx));
    let heard = back.heartbeat(identity("a", 7));
    assert_eq!(heard, Err(GroupError::RebalanceInProgress));
}

#[test]
fn a_consumer_group_without_classic_members_leaves_an_empty_group() {
    let mut world = World::new();
    world.group = world.with(|_, cx, fx| {
        ClassicGroup::of_members(cx, "g".into(), 7, vec![], |_, _| Bytes::new(), fx)
    });
    assert_eq!(world.state(), "Empty");
    assert_eq!(world.written[0].generation, 7);
}

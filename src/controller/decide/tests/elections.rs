//! Elections that are asked for, and leaderships that go back.

use super::*;
use crate::metadata::RecoveryState;

/// Brokers 1 to 3 with "t", whose preferred replica is 1 and which 2 leads: 1 was away.
fn led_by_another(settings: Settings) -> World {
    let mut world = World::with_brokers(settings, 3).with_replicas(&[1, 2, 3]);
    world.change(1, BrokerState::Fenced);
    world.change(1, BrokerState::Unfenced);
    assert_eq!(world.partition("t", 0).leader, Some(broker(2)));
    world
}

/// Broker 1 is in sync again.
fn catch_up(world: &mut World) {
    let partition = world.partition("t", 0);
    let (leader_epoch, partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
    let members = [2, 3, 1].map(|id| (id, world.epoch(id).get()));
    let one = AlterPartitionOne {
        partition: 0,
        leader_epoch: leader_epoch.get(),
        partition_epoch: partition_epoch.get(),
        isr: members.to_vec(),
        recovery_state: 0,
    };
    let command = AlterPartition {
        broker: broker(2),
        epoch: world.epoch(2),
        topics: vec![(world.topic("t").id(), vec![one])],
    };
    world.run(Command::AlterPartition(command));
    assert_eq!(world.partition("t", 0).isr.len(), 3);
}

fn elect(
    world: &mut World,
    kind: ElectionKind,
    partitions: Option<Vec<(String, Vec<i32>)>>,
) -> Vec<TopicElections> {
    match world.run(Command::ElectLeaders(ElectLeaders { kind, partitions })) {
        Outcome::ElectLeaders(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

/// The result for partition 0 of "t", asked for by name.
fn elect_one(world: &mut World, kind: ElectionKind) -> Result<(), ElectionError> {
    let asked = Some(vec![("t".to_owned(), vec![0, 0])]);
    let mut elections = elect(world, kind, asked);
    assert_eq!(elections.len(), 1);
    let partitions = elections.remove(0).partitions;
    assert_eq!(partitions.len(), 1, "named twice is meant once");
    partitions[0].1
}

#[test]
fn the_preferred_replica_is_elected_once_it_is_in_sync() {
    let mut world = led_by_another(settings());
    let preferred = ElectionKind::Preferred;
    let not_yet = Err(ElectionError::PreferredNotAvailable);
    assert_eq!(elect_one(&mut world, preferred), not_yet);
    catch_up(&mut world);
    let before = world.partition("t", 0).leader_epoch;
    assert_eq!(elect_one(&mut world, preferred), Ok(()));
    let partition = world.partition("t", 0);
    assert_eq!(partition.leader, Some(broker(1)));
    assert_eq!(Some(partition.leader_epoch), before.next());
    assert_eq!(partition.isr.len(), 3, "nobody leaves for that");
    let not_needed = Err(ElectionError::NotNeeded);
    assert_eq!(elect_one(&mut world, preferred), not_needed);
}

#[test]
fn of_all_partitions_only_those_that_need_one_are_answered() {
    let mut world = led_by_another(settings());
    world.create_one(sized("u", 5, 3)).unwrap();
    catch_up(&mut world);
    let elected = elect(&mut world, ElectionKind::Preferred, None);
    let expected = TopicElections {
        topic: "t".to_owned(),
        partitions: vec![(0, Ok(()))],
    };
    assert_eq!(elected, [expected]);
    assert!(elect(&mut world, ElectionKind::Preferred, None).is_empty());
}

#[test]
fn an_unclean_election_is_held_for_who_asks_whatever_the_topic_says() {
    let mut world = World::with_brokers(settings(), 2).with_replicas(&[1, 2]);
    let unclean = ElectionKind::Unclean;
    let not_needed = Err(ElectionError::NotNeeded);
    assert_eq!(elect_one(&mut world, unclean), not_needed);
    world.change(2, BrokerState::Fenced);
    world.change(1, BrokerState::Fenced);
    let nobody = Err(ElectionError::NobodyAvailable);
    assert_eq!(elect_one(&mut world, unclean), nobody);
    world.change(2, BrokerState::Unfenced);
    assert_eq!(world.partition("t", 0).leader, None, "1 may have more");
    assert_eq!(elect_one(&mut world, unclean), Ok(()));
    let partition = world.partition("t", 0);
    assert_eq!(partition.leader, Some(broker(2)));
    assert_eq!(partition.recovery_state, RecoveryState::Recovering);
}

#[test]
fn what_is_not_there_is_named() {
    let mut world = World::with_brokers(settings(), 1).with_replicas(&[1]);
    let asked = [("t", vec![0, 1, -1]), ("x", vec![0])];
    let asked = asked.map(|(topic, partitions)| (topic.to_owned(), partitions));
    let elected = elect(&mut world, ElectionKind::Preferred, Some(asked.into()));
    let unknown = Err(ElectionError::UnknownPartition);
    assert_eq!(
        elected[0].partitions,
        [
            (-1, unknown),
            (0, Err(ElectionError::NotNeeded)),
            (1, unknown)
        ]
    );
    assert_eq!(elected[1].partitions, [(0, unknown)]);
}

#[test]
fn leaderships_go_back_by_themselves_unless_that_is_switched_off() {
    for rebalances_leaders in [true, false] {
        let mut world = led_by_another(Settings {
            rebalances_leaders,
            ..settings()
        });
        world.run(Command::BalanceLeaders);
        assert_eq!(world.partition("t", 0).leader, Some(broker(2)), "1 lags");
        catch_up(&mut world);
        world.run(Command::BalanceLeaders);
        let leader = if rebalances_leaders { 1 } else { 2 };
        assert_eq!(world.partition("t", 0).leader, Some(broker(leader)));
        let again = world.decide(&Command::BalanceLeaders);
        assert!(again.records.is_empty() && again.is_last);
    }
}

//! A broker with two directories and its controller: what lies where, and what a directory that is gone or hangs costs.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_raft::Peer;
use ottla_storage::DirectoryId;
use uuid::Uuid;

use super::*;
use crate::broker::assign_replicas;
use crate::broker::controller_channel::{
    Carried, Carry, CarryClass, CarryError, ControllerChannel,
};
use crate::broker::controller_service::ControllerService;
use crate::broker::lifecycle::{Lifecycle, Registration};
use crate::controller::command::{DeleteTopics, RegisterBroker, TopicRef};
use crate::metadata::RecoveryState;
use crate::metadata::ids::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED};
use crate::wire::messages::describe_log_dirs::DescribeLogDirsRequest;
use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};

/// Node 1 is its own controller, and calls nobody.
#[derive(Debug)]
struct NoWay;

impl Carry for NoWay {
    fn carry<'a>(&'a self, _: &'a Peer, _: CarryClass, _: &'a [u8], _: Duration) -> Carried<'a> {
        Box::pin(async { Err(CarryError::NotSent("there is no way".into())) })
    }
}

const TWO: &[(&str, &str)] = &[("log.dirs", "/data0,/data1")];

impl World {
    fn own_controller(&self) -> ControllerChannel {
        let service = ControllerService::new(
            id(1),
            (Uuid::from_u128(7), CLUSTER_ID.into()),
            self.broker.admin.controller.clone(),
            Arc::new(FixedQuorum),
            self.broker.metadata.clone(),
        );
        let runtime = tokio::runtime::Handle::current();
        ControllerChannel::new(service, Arc::new(FixedQuorum), Box::new(NoWay), runtime)
    }

    /// Tells the controller where replicas lie from now on.
    fn report(&self) {
        let channel = self.own_controller();
        let epoch = self
            .broker
            .metadata
            .image()
            .brokers()
            .find(id(1))
            .unwrap()
            .epoch;
        self.broker.registration.send_replace(Some(epoch));
        tokio::task::spawn_local(assign_replicas::run(self.broker.clone(), channel));
    }

    /// Where the metadata say that the partitions of "t" lie, and who leads each.
    fn shown(&self) -> Vec<(DirectoryId, Option<BrokerId>)> {
        let image = self.broker.metadata.image();
        let topic = image.topics().by_name("t").unwrap();
        let all = topic.partitions().map(|(_, partition)| {
            assert_eq!(partition.recovery_state, RecoveryState::Recovered);
            (partition.directory_of(id(1)).unwrap(), partition.leader)
        });
        all.collect()
    }

    async fn until(&self, what: impl Fn(&[(DirectoryId, Option<BrokerId>)]) -> bool) {
        let reached = async {
            while !what(&self.shown()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(20), reached).await;
        assert!(reached.is_ok(), "{:?}", self.shown());
    }
}

#[test]
fn the_metadata_show_where_replicas_lie_and_what_a_hanging_directory_costs() {
    with_world(TWO, |world| async move {
        let [first, second] = [0, 1].map(|at| world.broker.replicas.directories()[at].id());
        world.create("t", 6).await;
        assert!(
            world
                .shown()
                .iter()
                .all(|(home, _)| *home == DIRECTORY_UNASSIGNED)
        );
        world.report();
        let led = Some(id(1));
        let in_first =
            |shown: &[(DirectoryId, _)]| shown.iter().filter(|(home, _)| *home == first).count();
        world
            .until(|shown| shown.iter().all(|(home, _)| [first, second].contains(home)))
            .await;
        assert_eq!(in_first(&world.shown()), 3);
        let before = world.shown();
        world.broker.replicas.set_hanging([first].into());
        let expected = |is_hanging: bool| {
            let all = before.iter().map(move |(home, _)| match *home {
                home if home == first && is_hanging => (DIRECTORY_LOST, None),
                home => (home, led),
            });
            all.collect::<Vec<_>>()
        };
        world.until(|shown| shown == expected(true)).await;
        world.broker.replicas.set_hanging(BTreeSet::new());
        world.until(|shown| shown == expected(false)).await;
    });
}

/// Clients that ask are told the same as the controller.
#[test]
fn a_directory_that_is_gone_is_shown_with_its_replicas_offline() {
    with_world(TWO, |world| async move {
        let first = world.broker.replicas.directories()[0].clone();
        world.create("t", 6).await;
        world.report();
        world
            .until(|shown| shown.iter().all(|(home, _)| *home != DIRECTORY_UNASSIGNED))
            .await;
        world.broker.replicas.set_hanging([first.id()].into());
        world
            .until(|shown| shown.iter().any(|(home, _)| *home == DIRECTORY_LOST))
            .await;
        let topic = MetadataRequestTopic {
            topic_id: Uuid::nil(),
            name: Some("t".into()),
        };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            ..MetadataRequest::default()
        };
        let shown = answered!(world, Metadata, 13, super::super::metadata::handle, request);
        let all = shown.topics[0].partitions.iter();
        let offline = all.filter(|partition| {
            let is_offline = partition.offline_replicas == [1];
            assert_eq!(is_offline, partition.leader_id == -1);
            is_offline
        });
        assert_eq!(offline.count(), 3);
        first.give_up(Duration::from_secs(30));
        let handle = describe_log_dirs::handle;
        let request = DescribeLogDirsRequest { topics: None };
        let dirs = answered!(world, DescribeLogDirs, 5, handle, request).results;
        let counts = dirs.iter().map(|dir| {
            let partitions = dir.topics.iter().map(|topic| topic.partitions.len());
            (dir.error_code, partitions.sum::<usize>())
        });
        let expected = [(ErrorCode::KafkaStorageError, 0), (ErrorCode::None, 3)];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
    });
}

/// Topics come and go while their replicas are told of: what is left is told all the same.
#[test]
fn a_topic_that_is_deleted_meanwhile_holds_up_no_report() {
    with_world(TWO, |world| async move {
        world.create("gone", 3).await;
        world.create("t", 3).await;
        let command = DeleteTopics {
            topics: vec![TopicRef::Name("gone".to_owned())],
        };
        let controller = &world.broker.admin.controller;
        controller.delete_topics(command).await.unwrap();
        world.report();
        world
            .until(|shown| shown.iter().all(|(home, _)| *home != DIRECTORY_UNASSIGNED))
            .await;
    });
}

/// The quorum's leader hung in the sync of its own log: it decided nothing, and went on telling the others that it leads.
#[test]
fn a_node_whose_part_of_the_quorum_hangs_for_good_ends() {
    for (at, must_end) in [(0, true), (1, false)] {
        with_world(TWO, |world| async move {
            let dirs = world.broker.replicas.directories().iter();
            let command = RegisterBroker {
                directories: dirs.map(|dir| dir.id()).collect(),
                ..crate::controller::decide::tests::registration(1)
            };
            let registration = Registration {
                cluster_id: CLUSTER_ID.into(),
                command,
            };
            let (ended, mut ends) = tokio::sync::mpsc::channel(1);
            let runtime = tokio::runtime::Handle::current();
            let on_fatal = Box::new(move |reason| ended.try_send(reason).unwrap());
            let broker = world.broker.clone();
            let life = Lifecycle::start(
                &runtime,
                broker,
                world.own_controller(),
                registration,
                on_fatal,
            );
            world.broker.replicas.directories()[at].give_up(Duration::from_secs(30));
            let wait = Duration::from_millis(if must_end { 20_000 } else { 200 });
            let reason = tokio::time::timeout(wait, ends.recv()).await;
            assert_eq!(matches!(reason, Ok(Some(_))), must_end);
            drop(life);
        });
    }
}

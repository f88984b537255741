//! The controller over a real quorum of one: what was answered is there after a restart, with the
//! same digest (M1), and a restart is a new incarnation with a new epoch.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla::config::{NodeConfig, Sources};
use ottla::controller::command::{
    BrokerState, ChangeBroker, CreateTopics, DeleteTopics, RegisterBroker, TopicRef,
};
use ottla::controller::{
    ControllerError, ControllerHandle, Driver, MetadataMachine, Prober, RaftQuorum, Settings,
    queues,
};
use ottla::metadata::image::FeatureRange;
use ottla::metadata::record::EndpointRecord;
use ottla::metadata::{BrokerEpoch, BrokerId, Incarnation, MetadataImage, Publisher};
use ottla_raft::fs::StdFs;
use ottla_raft::{
    CallClass, CallFuture, ClusterId, DirectoryId, Member, NodeId, Peer, Raft, RaftConfig,
    Transport, TransportError,
};
use uuid::Uuid;

/// A quorum of one calls nobody.
struct Alone;

impl Transport for Alone {
    fn call<'a>(&'a self, _: &'a Peer, _: CallClass, _: Vec<u8>, _: Duration) -> CallFuture<'a> {
        Box::pin(async { Err(TransportError::Unreachable("there is no other node".into())) })
    }
}

/// Nor is there another broker to knock at.
struct Nobody;

impl Prober for Nobody {
    fn is_gone(&self, _: &EndpointRecord) -> impl Future<Output = bool> + Send + 'static {
        std::future::ready(false)
    }
}

struct Node {
    raft: Raft,
    publisher: Publisher,
    controller: ControllerHandle,
    epoch: BrokerEpoch,
}

fn own_id() -> BrokerId {
    BrokerId::from_wire(1).unwrap()
}

async fn start(dir: &Path, incarnation: u8, previous_epoch: Option<BrokerEpoch>) -> Node {
    let publisher = Publisher::default();
    let machine = MetadataMachine::new(publisher.clone(), Box::new(|error| panic!("{error}")));
    let directory = DirectoryId([7; 16]);
    let config = RaftConfig {
        snapshot_every: 5,
        entries_kept: 1,
        ..RaftConfig::new(ClusterId([1; 16]), NodeId(1), directory)
    };
    let fs = Arc::new(StdFs);
    let raft = Raft::start(config, fs, dir.to_owned(), Arc::new(Alone), machine)
        .await
        .unwrap();
    if !raft.is_initialized().await.unwrap() {
        let own = Member {
            directory,
            address: "127.0.0.1:9093".to_owned(),
        };
        raft.initialize(BTreeMap::from([(NodeId(1), own)]))
            .await
            .unwrap();
    }
    let settings = Settings::new(&NodeConfig::load(&Sources::default()).unwrap());
    let (controller, requests) = queues();
    let quorum = RaftQuorum::new(raft.clone());
    let driver = Driver::new(
        own_id(),
        settings,
        quorum,
        publisher.clone(),
        requests,
        Nobody,
    );
    tokio::spawn(driver.run());
    let command = RegisterBroker {
        broker: own_id(),
        incarnation: Incarnation(Uuid::from_bytes([incarnation; 16])),
        previous_epoch,
        endpoints: vec![],
        rack: None,
        directories: vec![ottla_storage::ids::DirectoryId::new(Uuid::from_bytes(
            [9; 16],
        ))],
        feature: FeatureRange { min: 1, max: 1 },
    };
    let epoch = loop {
        // Until the quorum has elected its only member.
        match controller.register_broker(command.clone()).await {
            Err(ControllerError::NotController { .. }) => tokio::task::yield_now().await,
            outcome => break outcome.unwrap().unwrap(),
        }
    };
    let let_in = ChangeBroker {
        broker: own_id(),
        epoch,
        to: BrokerState::Unfenced,
    };
    controller.change_broker(let_in).await.unwrap().unwrap();
    Node {
        raft,
        publisher,
        controller,
        epoch,
    }
}

impl Node {
    async fn create(&self, name: &str) {
        let created = self
            .controller
            .create_topics(CreateTopics::with_defaults(name))
            .await;
        created.unwrap()[0].as_ref().unwrap();
    }

    async fn stop(self) -> Arc<MetadataImage> {
        self.raft.shutdown().await;
        self.publisher.image()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_was_answered_survives_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path(), 1, None).await;
    for n in 0..20 {
        node.create(&format!("t{n}")).await;
    }
    let topics = vec![TopicRef::Name("t7".to_owned())];
    node.controller
        .delete_topics(DeleteTopics { topics })
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();
    let first_epoch = node.epoch;
    let before = node.stop().await;
    assert_eq!(before.topics().count(), 19);
    assert_eq!(before.rejected(), 0);

    let node = start(dir.path(), 2, Some(first_epoch)).await;
    assert!(node.epoch > first_epoch);
    let image = node.publisher.image();
    assert_eq!(image.topics().count(), 19);
    assert!(image.topics().by_name("t7").is_none());
    for (old, new) in before.topics().iter().zip(image.topics().iter()) {
        assert_eq!((old.id(), old.name()), (new.id(), new.name()));
        let (_, partition) = new.partitions().next().unwrap();
        assert_eq!(partition.leader, Some(own_id()));
        assert_eq!(
            partition.recovery_state,
            ottla::metadata::RecoveryState::Recovered
        );
    }
    assert!(image.version() > before.version());
    let digest = node.stop().await.digest();

    // Replaying the log after the snapshot gives the very same image, before anything is added.
    let publisher = Publisher::default();
    let machine = MetadataMachine::new(publisher.clone(), Box::new(|error| panic!("{error}")));
    let config = RaftConfig::new(ClusterId([1; 16]), NodeId(1), DirectoryId([7; 16]));
    let dir = dir.path().to_owned();
    let raft = Raft::start(config, Arc::new(StdFs), dir, Arc::new(Alone), machine)
        .await
        .unwrap();
    raft.leadership()
        .wait_for(|known| known.leader.is_some())
        .await
        .unwrap();
    raft.barrier().await.unwrap();
    assert_eq!(publisher.image().digest(), digest);
    raft.shutdown().await;
}

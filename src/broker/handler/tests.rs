//! The admin handlers over a controller whose quorum is in memory: requests in, answers out, each in
//! every version that is served.

mod configs;
mod controller;
mod data;
mod describe;
mod directories;
mod groups;
mod metadata;
mod topics;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use ottla_jepsen::disk::SimDisk;
use ottla_raft::{LogIndex, Member, Metrics, NodeId, Term};
use tokio::task::LocalSet;

use super::*;
use crate::broker::admin::Admin;
use crate::broker::context::{ANONYMOUS, ConnectionContext};
use crate::broker::core::Core;
use crate::broker::{Broker, apply};
use crate::config::{NodeConfig, Sources};
use crate::controller::command::{BrokerState, ChangeBroker};
use crate::controller::driver::fake;
use crate::controller::{QuorumView, Settings};
use crate::metadata::{BrokerId, Publisher};
use crate::replica::replicas::Outbound;
use crate::replica::{ReplicaMap, Replicas, worker};
use crate::wire::error_code::ErrorCode;

const CLUSTER_ID: &str = "a-cluster-of-one";

/// The quorum as its leader, node 1, tells of it.
#[derive(Debug)]
struct FixedQuorum;

impl QuorumView for FixedQuorum {
    fn metrics(&self) -> Metrics {
        let own = Member {
            directory: ottla_raft::DirectoryId([3; 16]),
            address: "[::1]:9093".to_owned(),
        };
        Metrics {
            node: NodeId(1),
            term: Term(4),
            leader: Some(NodeId(1)),
            log_end: LogIndex(10),
            high_watermark: LogIndex(9),
            applied: Some(LogIndex(8)),
            snapshot: None,
            purged: None,
            voters: BTreeMap::from([(NodeId(1), own)]),
            voter_sets: Vec::new(),
            observers: BTreeMap::new(),
            replicas: BTreeMap::new(),
            is_disk_full: false,
        }
    }
}

/// A broker with id 1 that has joined a cluster of its own.
pub(super) struct World {
    disk: SimDisk,
    pub(super) broker: Arc<Broker>,
    core: Rc<Core>,
    fake: Rc<fake::Fake>,
}

pub(super) fn with_world<F: Future<Output = ()>>(
    flags: &[(&str, &str)],
    test: impl FnOnce(World) -> F,
) {
    let flags = flags
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let config = NodeConfig::load(&Sources {
        flags,
        ..Sources::default()
    })
    .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let publisher = Publisher::default();
        let (controller, fake, _driver) = fake::spawn(publisher.clone(), Settings::new(&config));
        let map = Arc::new(ReplicaMap::default());
        let disk = SimDisk::new();
        let numbers = 0..config.storage.dirs.len();
        let dirs: Vec<_> = numbers
            .map(|number| data::directory(&disk, number, map.clone()))
            .collect();
        let mut registration = crate::controller::decide::tests::registration(1);
        registration.directories = dirs.iter().map(|dir| dir.id()).collect();
        fake::join(&controller, registration).await;
        let admin = Admin::new(CLUSTER_ID.into(), controller, Arc::new(FixedQuorum));
        for dir in dirs.clone() {
            tokio::task::spawn_local(data::run_io(dir));
        }
        let settings = (config.storage.clone(), config.replica.lag_max);
        let outbound = Outbound {
            clock: Arc::new(crate::clock::SystemClock),
            isr_proposals: crate::replica::isr_change::queue().0,
            fetch_orders: crate::replica::following::queue().0,
            work: worker::start().unwrap(),
            counters: Arc::default(),
        };
        let replicas = Replicas::new(id(1), map, dirs, settings, outbound);
        let broker = Arc::new(Broker::new(
            config,
            publisher.clone(),
            admin,
            Arc::new(replicas),
        ));
        broker.coordinators.start().unwrap();
        tokio::task::spawn_local(apply::run(broker.clone(), publisher.subscribe()));
        test(World {
            disk,
            broker,
            core: Core::start(),
            fake,
        })
        .await;
    });
}

fn id(raw: i32) -> BrokerId {
    BrokerId::from_wire(raw).unwrap()
}

impl World {
    fn context(&self, api: ApiKey, version: i16) -> Context {
        self.context_on("PLAINTEXT", api, version)
    }

    fn context_on(&self, listener: &str, api: ApiKey, version: i16) -> Context {
        Context {
            broker: self.broker.clone(),
            core: self.core.clone(),
            connection: Rc::new(ConnectionContext {
                listener: listener.into(),
                peer: ([127, 0, 0, 1], 4242).into(),
                principal: ANONYMOUS.into(),
                is_forwarded: false,
            }),
            api,
            version,
            correlation_id: 7,
            client_id: None,
            unanswered: None,
            holding: None,
        }
    }

    pub(super) async fn create(&self, name: &str, partitions: i32) {
        let mut command = crate::controller::command::CreateTopics::with_defaults(name);
        command.topics[0].partitions = partitions;
        let created = self.broker.admin.controller.create_topics(command).await;
        created.unwrap()[0].as_ref().unwrap();
    }

    async fn change(&self, to: BrokerState) {
        self.change_of(1, to).await;
    }

    async fn change_of(&self, broker: i32, to: BrokerState) {
        let (broker, image) = (id(broker), self.broker.metadata.image());
        let epoch = image.brokers().find(broker).unwrap().epoch;
        let change = ChangeBroker { broker, epoch, to };
        self.broker
            .admin
            .controller
            .change_broker(change)
            .await
            .unwrap()
            .unwrap();
    }
}

/// An answer must encode in the version it was asked in.
macro_rules! answered {
    ($world:expr, $api:ident, $version:expr, $handle:path, $request:expr) => {{
        let cx = $world.context(crate::wire::api::ApiKey::$api, $version);
        let response = $handle(&cx, $request).await;
        let reply = cx.respond(|writer| response.encode(writer, $version));
        assert!(
            matches!(reply, crate::broker::reply::Reply::Ready(_)),
            "version {}",
            $version
        );
        response
    }};
}
use answered;

#[test]
fn api_versions_sends_a_client_of_another_node_away() {
    use crate::wire::messages::api_versions::ApiVersionsRequest;
    with_world(&[], |world| async move {
        let request = |cluster_id: Option<&'static str>, node_id| ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            cluster_id: cluster_id.map(Into::into),
            node_id,
        };
        for (given, code) in [
            (request(None, -1), ErrorCode::None),
            (request(Some(CLUSTER_ID), 1), ErrorCode::None),
            (request(Some(CLUSTER_ID), 2), ErrorCode::RebootstrapRequired),
            (request(Some("another"), 1), ErrorCode::RebootstrapRequired),
        ] {
            let response = answered!(world, ApiVersions, 5, api_versions::handle, given);
            assert_eq!(response.error_code, code);
            if code == ErrorCode::None {
                assert_eq!(response.finalized_features[0].max_version_level, 1);
                assert_eq!(response.api_keys.len(), ApiKey::ALL.len());
            }
        }
    });
}

#[test]
fn producer_ids_are_unique_across_blocks() {
    use crate::wire::messages::init_producer_id::InitProducerIdRequest;
    with_world(&[], |world| async move {
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..2_500 {
            let version = i16::try_from(n % 6).unwrap();
            let request = InitProducerIdRequest {
                transactional_id: None,
                ..InitProducerIdRequest::default()
            };
            let response = answered!(
                world,
                InitProducerId,
                version,
                init_producer_id::handle,
                request
            );
            assert_eq!(
                (response.error_code, response.producer_epoch),
                (ErrorCode::None, 0)
            );
            assert!(seen.insert(response.producer_id));
        }
        let transactional = |id: &'static str| InitProducerIdRequest {
            transactional_id: Some(id.into()),
            ..InitProducerIdRequest::default()
        };
        let named = |producer_id, producer_epoch| InitProducerIdRequest {
            transactional_id: None,
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        };
        for (request, code) in [
            (transactional(""), ErrorCode::InvalidRequest),
            (transactional("t"), ErrorCode::UnsupportedVersion),
            (named(7, -1), ErrorCode::InvalidRequest),
            (named(-1, 7), ErrorCode::InvalidRequest),
        ] {
            let response = answered!(world, InitProducerId, 4, init_producer_id::handle, request);
            assert_eq!((response.error_code, response.producer_id), (code, -1));
        }
    });
}

/// KAFKA-18659 and KAFKA-19444: clients derive what a broker can do from its oldest versions. Those that are not served
/// are advertised all the same; the others are as low as Kafka's.
#[test]
fn gotcha_34_old_clients_find_the_versions_that_they_look_for() {
    use crate::wire::messages::api_versions::ApiVersionsRequest;
    with_world(&[], |world| async move {
        let request = ApiVersionsRequest::default();
        let response = answered!(world, ApiVersions, 0, api_versions::handle, request);
        let lowest = |api: ApiKey| {
            let mut rows = response.api_keys.iter();
            let row = rows.find(|row| row.api_key == api.code());
            row.map(|row| row.min_version)
        };
        for (api, version) in [
            (ApiKey::Produce, 0),
            (ApiKey::Fetch, 4),
            (ApiKey::ListOffsets, 1),
            (ApiKey::Metadata, 0),
            (ApiKey::FindCoordinator, 0),
            (ApiKey::ApiVersions, 0),
            (ApiKey::CreateTopics, 2),
            (ApiKey::DeleteTopics, 1),
            (ApiKey::InitProducerId, 0),
            (ApiKey::DescribeConfigs, 1),
            (ApiKey::CreatePartitions, 0),
        ] {
            assert_eq!(lowest(api), Some(version), "{api}");
        }
    });
}

//! What a broker asks the controller, over a controller whose quorum is in memory and that node 1 leads.

use std::time::Duration;

use ottla_raft::Peer;
use uuid::Uuid;

use super::*;
use crate::broker::controller_channel::{
    Carried, Carry, CarryClass, CarryError, ControllerChannel, Unanswered,
};
use crate::broker::controller_service::{ControllerService, Served};
use crate::metadata::BrokerEpoch;
use crate::wire::envelope::{Answer, BrokerCall, Envelope};
use crate::wire::messages::ControllerRequest;
use crate::wire::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

const CLUSTER: Uuid = Uuid::from_u128(7);
const VERSION: i16 = 1;

/// Nobody is to be called: node 1 is its own controller.
#[derive(Debug)]
struct NoWay;

impl Carry for NoWay {
    fn carry<'a>(&'a self, _: &'a Peer, _: CarryClass, _: &'a [u8], _: Duration) -> Carried<'a> {
        Box::pin(async { Err(CarryError::NotSent("there is no way".into())) })
    }
}

/// A quorum that another node leads, if anybody does.
#[derive(Debug)]
struct LedBy(Option<NodeId>);

impl QuorumView for LedBy {
    fn metrics(&self) -> Metrics {
        Metrics {
            leader: self.0,
            ..FixedQuorum.metrics()
        }
    }
}

fn service(world: &World, quorum: impl QuorumView + 'static) -> ControllerService {
    ControllerService::new(
        id(1),
        (CLUSTER, CLUSTER_ID.into()),
        world.broker.admin.controller.clone(),
        Arc::new(quorum),
        world.broker.metadata.clone(),
    )
}

fn epoch(world: &World) -> BrokerEpoch {
    let image = world.broker.metadata.image();
    image.brokers().find(id(1)).unwrap().epoch
}

fn envelope(world: &World) -> Envelope {
    let image = world.broker.metadata.image();
    Envelope {
        cluster: CLUSTER,
        sender: 1,
        sender_epoch: epoch(world).get(),
        addressee: 1,
        image_version: image.version().0,
        image_digest: image.digest(),
    }
}

fn heartbeat(world: &World, epoch: i64) -> BrokerHeartbeatRequest {
    let version = world.broker.metadata.image().version();
    BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: epoch,
        current_metadata_offset: i64::try_from(version.0).unwrap(),
        ..BrokerHeartbeatRequest::default()
    }
}

async fn ask(service: &ControllerService, envelope: Envelope, api_key: i16, body: &[u8]) -> Served {
    let call = BrokerCall {
        envelope,
        api_key,
        api_version: VERSION,
        message: body,
    };
    service.answer(&call.encode().unwrap()).await
}

fn bytes(request: &BrokerHeartbeatRequest) -> Vec<u8> {
    let mut writer = Writer::new();
    request.encode(&mut writer, VERSION);
    writer.finish().unwrap().into_bytes().unwrap().into()
}

#[test]
fn a_heartbeat_is_answered_and_vouches_for_its_registration() {
    with_world(&[], |world| async move {
        let service = service(&world, FixedQuorum);
        for (given, code) in [
            (epoch(&world).get(), ErrorCode::None),
            (epoch(&world).get() + 1, ErrorCode::StaleBrokerEpoch),
            (-1, ErrorCode::StaleBrokerEpoch),
        ] {
            let body = bytes(&heartbeat(&world, given));
            let served = ask(&service, envelope(&world), 63, &body).await;
            let Ok(Answer::Ok { body, .. }) = Answer::decode(&served.bytes) else {
                panic!("no answer: {served:?}");
            };
            let response = BrokerHeartbeatResponse::decode(&mut Reader::new(body), VERSION);
            let response = response.unwrap();
            let is_known = code == ErrorCode::None;
            assert_eq!(response.error_code, code);
            assert_eq!(response.is_fenced, !is_known);
            assert_eq!(served.broker.is_some(), is_known);
        }
    });
}

/// M1: a node whose image is another one at the same version must not go on.
#[test]
fn strangers_and_diverged_nodes_are_told_so() {
    with_world(&[], |world| async move {
        let right = envelope(&world);
        let cluster = Uuid::from_u128(8);
        let behind = Envelope {
            image_version: right.image_version - 1,
            image_digest: !right.image_digest,
            ..right
        };
        let diverged = Envelope {
            image_digest: !right.image_digest,
            ..right
        };
        let body = bytes(&heartbeat(&world, epoch(&world).get()));
        let leading = service(&world, FixedQuorum);
        for (given, expected) in [
            (Envelope { cluster, ..right }, Answer::Stranger),
            (
                Envelope {
                    addressee: 2,
                    ..right
                },
                Answer::Stranger,
            ),
            (diverged, Answer::Diverged),
        ] {
            let served = ask(&leading, given, 63, &body).await;
            assert_eq!(Answer::decode(&served.bytes), Ok(expected));
            assert_eq!(served.broker, None);
        }
        let served = ask(&leading, behind, 63, &body).await;
        assert!(matches!(
            Answer::decode(&served.bytes),
            Ok(Answer::Ok { .. })
        ));
        let following = service(&world, LedBy(Some(NodeId(2))));
        let served = ask(&following, right, 63, &body).await;
        let expected = Answer::NotController { leader: Some(2) };
        assert_eq!(Answer::decode(&served.bytes), Ok(expected));
    });
}

/// W1: what is no call has no answer, and harms nobody.
#[test]
fn what_is_no_call_is_answered_with_nothing() {
    with_world(&[], |world| async move {
        let service = service(&world, FixedQuorum);
        assert_eq!(service.answer(b"").await, Served::default());
        for (key, body) in [(63, &b"\xff"[..]), (3, b""), (-1, b"")] {
            let served = ask(&service, envelope(&world), key, body).await;
            assert_eq!(served, Served::default(), "key {key}");
        }
    });
}

#[test]
fn a_node_asks_itself_without_a_socket_and_gives_up_where_nobody_leads() {
    with_world(&[], |world| async move {
        let runtime = tokio::runtime::Handle::current();
        let way = |led_by: Option<NodeId>| {
            let channel = ControllerChannel::new(
                service(&world, LedBy(led_by)),
                Arc::new(LedBy(led_by)),
                Box::new(NoWay),
                runtime.clone(),
            );
            let request = heartbeat(&world, epoch(&world).get());
            async move { channel.ask(&request, Duration::from_millis(50)).await }
        };
        let answered = way(Some(NodeId(1))).await.unwrap();
        let version = BrokerHeartbeatRequest::API.served().max;
        let response = BrokerHeartbeatResponse::decode(&mut Reader::new(&answered.body), version);
        assert!(!response.unwrap().is_fenced);
        for led_by in [None, Some(NodeId(2))] {
            assert_eq!(way(led_by).await, Err(Unanswered::NoController));
        }
    });
}

//! What a broker asks the controller, over a controller whose quorum is in memory and that node 1 leads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use ottla_raft::Peer;
use uuid::Uuid;

use super::*;
use crate::broker::controller_channel::{
    Carried, Carry, CarryClass, CarryError, ControllerChannel, Unanswered,
};
use crate::broker::controller_service::{ControllerService, Served};
use crate::broker::dispatch::Dispatcher;
use crate::broker::lifecycle::{Lifecycle, Registration, State};
use crate::broker::reply::{CloseReason, Reply, Service as _};
use crate::metadata::BrokerEpoch;
use crate::wire::envelope::{Answer, BrokerCall, Envelope};
use crate::wire::header::RequestHeader;
use crate::wire::messages::ControllerRequest;
use crate::wire::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::wire::messages::broker_registration::BrokerRegistrationResponse;
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

/// Whoever is called says always the same.
#[derive(Debug, Default)]
struct Parrot {
    says: &'static [u8],
    calls: Arc<AtomicUsize>,
}

impl Carry for Parrot {
    fn carry<'a>(&'a self, _: &'a Peer, _: CarryClass, _: &'a [u8], _: Duration) -> Carried<'a> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Ok(self.says.to_vec()) })
    }
}

/// A controller that registers everybody and lets them in, and keeps what it is told.
#[derive(Clone, Debug, Default)]
struct Clerk {
    told: Arc<Mutex<Vec<BrokerHeartbeatRequest>>>,
    /// What it says to heartbeats.
    code: Arc<Mutex<ErrorCode>>,
}

impl Clerk {
    fn last(&self) -> Option<BrokerHeartbeatRequest> {
        self.told.lock().unwrap().last().cloned()
    }

    /// Returns when a heartbeat that was begun from now on has been answered.
    async fn answered(&self) {
        let count = || self.told.lock().unwrap().len();
        let before = count();
        // One may have been on its way, and the last shows only that the one before is over.
        while count() < before + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Carry for Clerk {
    fn carry<'a>(&'a self, _: &'a Peer, _: CarryClass, body: &'a [u8], _: Duration) -> Carried<'a> {
        let call = BrokerCall::decode(body).unwrap();
        let mut writer = Writer::new();
        if call.api_key == 63 {
            let mut reader = Reader::new(call.message);
            let beat = BrokerHeartbeatRequest::decode(&mut reader, call.api_version).unwrap();
            self.told.lock().unwrap().push(beat);
            let response = BrokerHeartbeatResponse {
                error_code: *self.code.lock().unwrap(),
                is_caught_up: true,
                is_fenced: false,
                ..BrokerHeartbeatResponse::default()
            };
            response.encode(&mut writer, call.api_version);
        } else {
            let response = BrokerRegistrationResponse {
                broker_epoch: 5,
                ..BrokerRegistrationResponse::default()
            };
            response.encode(&mut writer, call.api_version);
        }
        let answer = Answer::Ok {
            image_version: 0,
            body: &writer.finish().unwrap().into_bytes().unwrap(),
        };
        let bytes = answer.encode().unwrap();
        Box::pin(async { Ok(bytes) })
    }
}

/// A quorum that another node leads, if anybody does.
#[derive(Debug)]
struct LedBy(Option<NodeId>);

impl QuorumView for LedBy {
    fn metrics(&self) -> Metrics {
        let mut metrics = FixedQuorum.metrics();
        let other = metrics.voters[&NodeId(1)].clone();
        metrics.voters.insert(NodeId(2), other);
        metrics.leader = self.0;
        metrics
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

/// W1: what is no call is answered as such, and harms nobody. It had no answer once, and its sender took that for a node
/// that does not serve yet: it asked 300 times more.
#[test]
fn what_is_no_call_is_told_so() {
    with_world(&[], |world| async move {
        let service = service(&world, FixedQuorum);
        let told = |served: Served| {
            assert_eq!(served.broker, None);
            Answer::decode(&served.bytes) == Ok(Answer::Unanswerable)
        };
        assert!(told(service.answer(b"").await));
        for (key, body) in [(63, &b"\xff"[..]), (3, b""), (-1, b"")] {
            let served = ask(&service, envelope(&world), key, body).await;
            assert!(told(served), "key {key}");
        }
    });
}

/// The way to node 2, which leads.
fn way_to(world: &World, carry: impl Carry + 'static) -> ControllerChannel {
    let led_by = || LedBy(Some(NodeId(2)));
    let runtime = tokio::runtime::Handle::current();
    let quorum = Arc::new(led_by());
    ControllerChannel::new(service(world, led_by()), quorum, Box::new(carry), runtime)
}

/// Begins the life of the world's broker, which must not end.
fn begin_life(world: &World, clerk: &Clerk) -> Lifecycle {
    let channel = way_to(world, clerk.clone());
    let registration = Registration {
        cluster_id: CLUSTER_ID.into(),
        command: crate::controller::decide::tests::registration(1),
    };
    let runtime = tokio::runtime::Handle::current();
    let on_fatal = Box::new(|reason| panic!("{reason}"));
    Lifecycle::start(
        &runtime,
        world.broker.clone(),
        channel,
        registration,
        on_fatal,
    )
}

/// Its heartbeats alone kept a broker whose cores hang in the cluster, with leaderships that nobody could reach.
#[test]
fn a_core_that_does_not_answer_has_the_broker_ask_to_be_fenced_until_it_does() {
    let flags = [
        ("broker.heartbeat.interval.ms", "60000"),
        ("log.dir.stall.ms", "100"),
    ];
    with_world(&flags, |world| async move {
        let clerk = Clerk::default();
        let life = begin_life(&world, &clerk);
        life.ready();
        let mut state = life.state();
        state.wait_for(|s| *s == State::Running).await.unwrap();
        let until = async |wants_fence| {
            while clerk.last().map(|beat| beat.want_fence) != Some(wants_fence) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        until(false).await;
        let pulse = world.broker.pulses.add();
        until(true).await;
        tokio::task::spawn_local(pulse.beat());
        until(false).await;
    });
}

/// A controller that was paused with its broker, and whose quorum went on without it, said that it could not tell: the
/// broker took that for word of what it led, and appended for producers.
#[test]
fn after_a_pause_only_an_answer_that_proves_something_ends_the_doubt() {
    let interval = ("broker.heartbeat.interval.ms", "20");
    with_world(&[interval], |world| async move {
        let clerk = Clerk::default();
        let life = begin_life(&world, &clerk);
        life.ready();
        let mut state = life.state();
        state.wait_for(|s| *s == State::Running).await.unwrap();
        let pauses = &world.broker.pauses;
        for (code, is_proof) in [
            (ErrorCode::RequestTimedOut, false),
            (ErrorCode::None, true),
            (ErrorCode::KafkaStorageError, false),
            (ErrorCode::BrokerIdNotRegistered, true),
            (ErrorCode::NotController, false),
            (ErrorCode::StaleBrokerEpoch, true),
        ] {
            *clerk.code.lock().unwrap() = code;
            clerk.answered().await;
            let now = crate::clock::mono();
            pauses.look(now);
            pauses.look(now.saturating_add(Duration::from_hours(1)));
            clerk.answered().await;
            assert_eq!(pauses.unsettled().is_none(), is_proof, "{code:?}");
        }
    });
}

/// It was told with the next heartbeat, and until then nobody led the partitions that were in it.
#[test]
fn a_lost_directory_is_told_at_once() {
    let interval = ("broker.heartbeat.interval.ms", "60000");
    with_world(&[interval, ("log.dirs", "a,b")], |world| async move {
        let clerk = Clerk::default();
        let life = begin_life(&world, &clerk);
        life.ready();
        let mut state = life.state();
        state.wait_for(|s| *s == State::Running).await.unwrap();
        world.disk.fail_next_syncs(1);
        // Opening its log makes the directory sync something.
        world.create("t", 1).await;
        let told = async {
            loop {
                for replica in world.broker.replicas.all() {
                    replica.ask_open();
                }
                let mut dirs = world.broker.replicas.directories().iter();
                let lost = dirs.find(|dir| dir.failure().is_some());
                let is_told = |id| {
                    let told = clerk.told.lock().unwrap();
                    told.iter().any(|beat| beat.offline_log_dirs == [id])
                };
                if lost.is_some_and(|lost| is_told(lost.id().uuid())) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(10), told).await;
        assert!(told.is_ok(), "{clerk:?}");
    });
}

/// What the controller said, or could not say, it will say again.
#[test]
fn an_answer_that_can_not_be_read_is_not_asked_for_again() {
    with_world(&[], |world| async move {
        // An answer without its version, one that there is none, and one that only a later build knows.
        for says in [&b"\0"[..], b"\x04", b"\x7f"] {
            let parrot = Parrot {
                says,
                ..Parrot::default()
            };
            let calls = parrot.calls.clone();
            let request = heartbeat(&world, epoch(&world).get());
            let channel = way_to(&world, parrot);
            let answered = channel.ask(&request, Duration::from_secs(5)).await;
            assert_eq!(answered, Err(Unanswered::OutcomeUnknown), "{says:?}");
            assert_eq!(calls.load(Ordering::Relaxed), 1, "{says:?}");
        }
        // A node that does not serve yet will.
        let parrot = Parrot::default();
        let calls = parrot.calls.clone();
        let request = heartbeat(&world, epoch(&world).get());
        let channel = way_to(&world, parrot);
        let answered = channel.ask(&request, Duration::from_millis(50)).await;
        assert_eq!(answered, Err(Unanswered::NoController));
        assert!(calls.load(Ordering::Relaxed) > 1);
    });
}

/// A body that is none closes the connection, wherever the controller is.
#[test]
fn a_request_that_is_none_is_passed_on_once() {
    with_world(&[], |world| async move {
        let parrot = Parrot {
            says: b"\x04",
            ..Parrot::default()
        };
        let calls = parrot.calls.clone();
        let channel = way_to(&world, parrot);
        let controller = world.broker.admin.controller.clone();
        let quorum = Arc::new(LedBy(Some(NodeId(2))));
        let admin = Admin::new(CLUSTER_ID.into(), controller, quorum).with_channel(channel);
        let (config, metadata) = (world.broker.config.clone(), world.broker.metadata.clone());
        let replicas = world.broker.replicas.clone();
        let broker = Arc::new(Broker::new(config, metadata, admin, replicas));
        let connection = world.context(ApiKey::CreateTopics, 7).connection;
        let connection = ConnectionContext::clone(&connection);
        let dispatcher = Dispatcher::new(broker, world.core.clone(), connection);
        let header = RequestHeader {
            api: ApiKey::CreateTopics,
            version: 7,
            correlation_id: 9,
            client_id: Some("test"),
        };
        // One topic is announced, and the frame ends.
        let frame = crate::wire::frame::encode_request(&header, |writer| writer.i8(2));
        let bytes = frame.unwrap().into_bytes().unwrap();
        let reply = dispatcher
            .start(BytesMut::from(&bytes[4..]))
            .settled()
            .await;
        let Reply::Close(CloseReason::Body { api, .. }) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(api, ApiKey::CreateTopics);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
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

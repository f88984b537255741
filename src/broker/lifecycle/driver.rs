//! Runs a broker's life: its calls to the controller, its clock, and what the rest of the node hears of it.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::DirectoryId;
use ottla_storage::log_dir::LogDir;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::{Effect, Event, Life, Standing, State};
use crate::broker::Broker;
use crate::broker::controller_channel::{ControllerChannel, Unanswered};
use crate::broker::partitions;
use crate::broker::vouch::Watchman;
use crate::clock;
use crate::controller::command::RegisterBroker;
use crate::metadata::BrokerEpoch;
use crate::metadata::record::FEATURE;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::ControllerRequest;
use crate::wire::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::wire::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse, Feature, Listener,
};
use crate::wire::reader::Reader;

/// How long a call looks for the controller and waits for it.
const CALL_WITHIN: Duration = Duration::from_secs(5);
/// Events that nobody has looked at yet: each kind comes once or twice in a life.
const EVENTS_MAX: usize = 16;

/// What is told of this process when it registers: see [`RegisterBroker`].
#[derive(Clone, Debug)]
pub struct Registration {
    /// The cluster's id as clients see it.
    pub cluster_id: Arc<str>,
    /// The rest.
    pub command: RegisterBroker,
}

/// The handle of a running life.
#[derive(Debug)]
pub struct Lifecycle {
    events: mpsc::Sender<Event>,
    state: watch::Receiver<State>,
}

/// Why the process must end, told once.
type OnFatal = Box<dyn Fn(String) + Send>;

type Call = Pin<Box<dyn Future<Output = Called> + Send>>;

/// How a call ended.
enum Called {
    Event(Event),
    Fatal(String),
}

struct Driver {
    broker: Arc<Broker>,
    channel: ControllerChannel,
    registration: Registration,
    life: Life,
    watchman: Watchman,
    looks: Interval,
    call: Option<Call>,
    events: mpsc::Receiver<Event>,
    state: watch::Sender<State>,
    on_fatal: OnFatal,
}

impl Lifecycle {
    /// Begins a broker's life on `runtime`; it ends when it is over, or with the runtime.
    pub fn start(
        runtime: &Handle,
        broker: Arc<Broker>,
        channel: ControllerChannel,
        registration: Registration,
        on_fatal: OnFatal,
    ) -> Self {
        let (event_sender, events) = mpsc::channel(EVENTS_MAX);
        let interval = broker.config.controller.heartbeat_interval;
        let life = Life::new(clock::mono(), interval);
        let (state_sender, state) = watch::channel(life.state());
        let watchman = Watchman::new(clock::mono(), &broker);
        let looks = {
            let _runtime = runtime.enter();
            let interval = watchman.interval().min(broker.pauses.interval());
            let mut looks = tokio::time::interval(interval);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        };
        let driver = Driver {
            watchman,
            looks,
            broker,
            channel,
            registration,
            life,
            call: None,
            events,
            state: state_sender,
            on_fatal,
        };
        runtime.spawn(driver.run());
        Self {
            events: event_sender,
            state,
        }
    }

    /// Clients are served.
    pub fn ready(&self) {
        self.tell(Event::Ready);
    }

    /// The node stops; it may ask to be let go for as long as `patience`.
    pub fn stop(&self, patience: Duration) {
        self.tell(Event::Stop { patience });
    }

    /// Where the broker stands.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    fn tell(&self, event: Event) {
        // Full or over: the life has its reasons to go on already, or none any more.
        let _ = self.events.try_send(event);
    }
}

impl Driver {
    async fn run(mut self) {
        let mut event = Event::Tick;
        loop {
            let mut effects = Vec::new();
            self.life.handle(clock::mono(), event, &mut effects);
            for effect in effects {
                self.act(effect);
            }
            if self.life.state() == State::ShuttingDown {
                return self.broker.pauses.end();
            }
            event = match self.next().await {
                Called::Event(event) => event,
                Called::Fatal(reason) => return (self.on_fatal)(reason),
            };
            if let Event::Registered(epoch) = event {
                self.registered(epoch);
            }
        }
    }

    /// Waits for what comes first.
    async fn next(&mut self) -> Called {
        let wait = self.life.next_deadline().map(|at| at.since(clock::mono()));
        let due = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        let called = async {
            match &mut self.call {
                Some(call) => call.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            called = called => {
                self.call = None;
                called
            }
            event = self.events.recv() => match event {
                Some(event) => Called::Event(event),
                // The node ends without a word.
                None => Called::Event(Event::Stop { patience: Duration::ZERO }),
            },
            () = self.broker.replicas.directory_lost() => self.directory_lost(),
            _ = self.looks.tick() => self.look(),
            () = due => Called::Event(Event::Tick),
        }
    }

    fn look(&mut self) -> Called {
        let now = clock::mono();
        let is_sound = self.watchman.look(now, &self.broker);
        Called::Event(if self.broker.pauses.look(now) {
            tracing::info!(
                "this process was stopped for a while: the controller is asked what it still leads"
            );
            Event::Urgent
        } else {
            Event::Vouched(is_sound)
        })
    }

    /// The controller hears of it at once. A broker that has nothing left to serve from ends: it would be given
    /// leaderships that it can't take up. So does one whose part of the quorum hangs for good: nothing else would tell, and
    /// as the quorum's leader it would decide nothing and let nobody else.
    fn directory_lost(&self) -> Called {
        let directories = self.broker.replicas.directories();
        if directories.iter().all(|dir| dir.failure().is_some()) {
            return Called::Fatal(
                "every data directory has failed; the reasons are above".to_owned(),
            );
        }
        let of_quorum = |dir: &&Arc<LogDir>| dir.path() == self.broker.config.metadata_dir;
        let of_quorum = directories.iter().find(of_quorum);
        let failure = of_quorum.and_then(|dir| dir.failure());
        if failure.is_some_and(|failure| failure.source.kind() == ErrorKind::TimedOut) {
            return Called::Fatal(
                "the data directory that holds the quorum's log hangs; the reason is above"
                    .to_owned(),
            );
        }
        Called::Event(Event::Urgent)
    }

    fn registered(&mut self, epoch: BrokerEpoch) {
        let before = self.broker.registration.send_replace(Some(epoch));
        if before != Some(epoch) {
            tracing::info!(%epoch, "registered with the controller");
        }
        // It has proved what it can: nothing of what comes next was stopped cleanly.
        self.registration.command.previous_epoch = None;
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Entered(state) => {
                tracing::debug!(?state, "the broker's state");
                self.state.send_replace(state);
            }
            Effect::Register => {
                let (channel, mut registration) = (self.channel.clone(), self.registration.clone());
                // One that has failed meanwhile is none to put anything in.
                let is_online = |id: &DirectoryId| {
                    let mut dirs = self.broker.replicas.directories().iter();
                    dirs.any(|dir| dir.id() == *id && dir.failure().is_none())
                };
                registration.command.directories.retain(is_online);
                self.call = Some(Box::pin(register(channel, registration)));
            }
            Effect::Beat {
                wants_fence,
                wants_shut_down,
            } => {
                let request = self.heartbeat(wants_fence, wants_shut_down);
                let (channel, broker) = (self.channel.clone(), self.broker.clone());
                self.call = Some(Box::pin(beat(channel, request, broker)));
            }
        }
    }

    fn heartbeat(&self, want_fence: bool, want_shut_down: bool) -> BrokerHeartbeatRequest {
        let dirs = self.broker.replicas.directories().iter();
        let offline = dirs.filter(|dir| dir.failure().is_some());
        let applied = *self.broker.applied.borrow();
        BrokerHeartbeatRequest {
            broker_id: self.broker.id.get(),
            broker_epoch: BrokerEpoch::to_wire(self.broker.epoch()),
            current_metadata_offset: i64::try_from(applied.0).unwrap_or(i64::MAX),
            want_fence,
            want_shut_down,
            offline_log_dirs: offline.map(|dir| dir.id().uuid()).collect(),
            cordoned_log_dirs: None,
        }
    }
}

async fn register(channel: ControllerChannel, registration: Registration) -> Called {
    let request = request(&registration);
    let body = match channel.ask(&request, CALL_WITHIN).await {
        Ok(answered) => answered.body,
        Err(error) => return failed(error, "register"),
    };
    let version = BrokerRegistrationRequest::API.served().max;
    let response = BrokerRegistrationResponse::decode(&mut Reader::new(&body), version);
    let Ok(response) = response else {
        return Called::Event(Event::Failed);
    };
    match (
        response.error_code,
        BrokerEpoch::from_wire(response.broker_epoch),
    ) {
        (ErrorCode::None, Some(epoch)) => Called::Event(Event::Registered(epoch)),
        // No later try ends otherwise.
        (
            code @ (ErrorCode::InconsistentClusterId
            | ErrorCode::InvalidRegistration
            | ErrorCode::UnsupportedVersion),
            _,
        ) => Called::Fatal(format!(
            "the controller does not register this broker: {}",
            code.message()
        )),
        (code, _) => {
            let reason = code.message();
            tracing::warn!(reason, "not registered yet");
            Called::Event(Event::Failed)
        }
    }
}

async fn beat(
    channel: ControllerChannel,
    request: BrokerHeartbeatRequest,
    broker: Arc<Broker>,
) -> Called {
    let unsettled = broker.pauses.unsettled();
    let sent = clock::mono();
    let answered = match channel.ask(&request, CALL_WITHIN).await {
        Ok(answered) => answered,
        Err(error) => return failed(error, "heartbeat"),
    };
    let version = BrokerHeartbeatRequest::API.served().max;
    let response = BrokerHeartbeatResponse::decode(&mut Reader::new(&answered.body), version);
    // A fence from before such an answer is known here by this version.
    let is_proof = response.as_ref().is_ok_and(proves_the_version);
    let may_lead = response.as_ref().is_ok_and(lets_it_lead);
    if is_proof
        && (unsettled.is_some() || may_lead)
        && partitions::catch_up(&broker, answered.version).await
    {
        if let Some(pauses) = unsettled {
            broker.pauses.settle(pauses);
        }
        if may_lead {
            broker.contact.heard(sent);
        }
    }
    Called::Event(match response {
        Ok(response) if response.error_code == ErrorCode::None => Event::Beaten(Standing {
            is_caught_up: response.is_caught_up,
            is_fenced: response.is_fenced,
            should_shut_down: response.should_shut_down,
        }),
        Ok(response)
            if matches!(
                response.error_code,
                ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered
            ) =>
        {
            Event::Stale
        }
        _ => Event::Failed,
    })
}

/// Whether the controller still led when it answered: that rests on a barrier, or on an entry that was applied. One that
/// was paused itself tells of any other failure without asking its quorum, and of the image that it had before.
fn proves_the_version(response: &BrokerHeartbeatResponse) -> bool {
    matches!(
        response.error_code,
        ErrorCode::None | ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered
    )
}

/// Whether the broker goes on with what it leads.
fn lets_it_lead(response: &BrokerHeartbeatResponse) -> bool {
    response.error_code == ErrorCode::None && !response.is_fenced
}

fn failed(error: Unanswered, what: &str) -> Called {
    if error == Unanswered::Diverged {
        return Called::Fatal(error.to_string());
    }
    tracing::info!(what, %error, "the controller did not answer");
    Called::Event(Event::Failed)
}

fn request(registration: &Registration) -> BrokerRegistrationRequest<'_> {
    let command = &registration.command;
    let listeners = command.endpoints.iter().map(|endpoint| Listener {
        name: endpoint.listener.as_str().into(),
        host: endpoint.host.as_str().into(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    });
    let level = |level: u16| i16::try_from(level).unwrap_or(i16::MAX);
    BrokerRegistrationRequest {
        broker_id: command.broker.get(),
        cluster_id: (*registration.cluster_id).into(),
        incarnation_id: command.incarnation.0,
        listeners: listeners.collect(),
        features: vec![Feature {
            name: FEATURE.into(),
            min_supported_version: level(command.feature.min),
            max_supported_version: level(command.feature.max),
        }],
        rack: command.rack.as_deref().map(Into::into),
        is_migrating_zk_broker: false,
        log_dirs: command.directories.iter().map(|dir| dir.uuid()).collect(),
        previous_broker_epoch: BrokerEpoch::to_wire(command.previous_epoch),
    }
}

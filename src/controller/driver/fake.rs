//! A quorum of one that is a state machine in memory, for tests of the driver and of handlers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_raft::{LogIndex, StateMachine};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Driver, Leader, Quorum, QuorumError};
use crate::controller::command::{BrokerState, ChangeBroker, RegisterBroker};
use crate::controller::decide::tests::SESSION_TIMEOUT;
use crate::controller::machine::MachineError;
use crate::controller::{ControllerHandle, MetadataMachine, Prober, Settings, queues};
use crate::metadata::record::{EndpointRecord, Entry};
use crate::metadata::{BrokerEpoch, BrokerId, Publisher};
use crate::telemetry::replication::Replication;

/// The quorum and what a test does to it.
pub(crate) struct Fake {
    machine: RefCell<MetadataMachine>,
    pub(crate) leader: watch::Sender<Leader>,
    pub(crate) entries: RefCell<Vec<Entry>>,
    pub(crate) fail_next: Cell<Option<QuorumError>>,
    /// Fails, and still carries it out.
    pub(crate) is_applied_anyway: Cell<bool>,
    /// Somebody else's entry, applied before the next one.
    pub(crate) intruder: RefCell<Option<Vec<u8>>>,
    pub(crate) entry_size_max: Cell<usize>,
    /// The leader reaches nobody, and does not know it yet.
    pub(crate) is_isolated: Cell<bool>,
    /// How long the next entry takes.
    pub(crate) delay_next: Cell<Duration>,
    pub(crate) counters: Arc<Replication>,
}

/// The driver's view of it.
#[derive(Clone)]
pub(crate) struct FakeQuorum {
    fake: Rc<Fake>,
    leadership: watch::Receiver<Leader>,
}

impl Fake {
    fn apply(&self, entry: &[u8]) -> Vec<u8> {
        let index = self.entries.borrow().len() as u64;
        self.machine.borrow_mut().apply(LogIndex(index), entry)
    }
}

impl Quorum for FakeQuorum {
    async fn propose(&self, entry: Vec<u8>) -> Result<Vec<u8>, QuorumError> {
        tokio::task::yield_now().await;
        let fake = &self.fake;
        if let Some(delay) = Some(fake.delay_next.take()).filter(|delay| !delay.is_zero()) {
            tokio::time::sleep(delay).await;
        }
        if fake.is_isolated.get() {
            return Err(QuorumError::OutcomeUnknown);
        }
        if let Some(intruder) = fake.intruder.take() {
            fake.apply(&intruder);
        }
        if entry.len() > fake.entry_size_max.get() {
            let (size, max) = (entry.len(), fake.entry_size_max.get());
            return Err(QuorumError::TooLarge { size, max });
        }
        if let Some(error) = fake.fail_next.take() {
            if fake.is_applied_anyway.get() {
                fake.apply(&entry);
            }
            return Err(error);
        }
        fake.entries
            .borrow_mut()
            .push(Entry::decode(&entry).unwrap());
        Ok(fake.apply(&entry))
    }

    async fn barrier(&self) -> Result<(), QuorumError> {
        match self.leader().node {
            Some(_) if !self.fake.is_isolated.get() => Ok(()),
            _ => Err(QuorumError::NotLeader { leader: None }),
        }
    }

    fn leader(&self) -> Leader {
        *self.leadership.borrow()
    }

    async fn leadership_changed(&mut self) -> bool {
        self.leadership.changed().await.is_ok()
    }
}

/// A street in which somebody opens every door, until a test says otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors {
    pub(crate) are_shut: Arc<AtomicBool>,
    pub(crate) knocks: Arc<AtomicUsize>,
    /// Where somebody knocked last.
    pub(crate) last: Arc<Mutex<Option<EndpointRecord>>>,
}

impl Prober for Doors {
    fn is_gone(&self, at: &EndpointRecord) -> impl Future<Output = bool> + Send + 'static {
        self.knocks.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap() = Some(at.clone());
        std::future::ready(self.are_shut.load(Ordering::Relaxed))
    }
}

/// A controller on node 1, which leads in term 1; inside a `LocalSet`. It ends with its handles.
pub(crate) fn spawn(
    publisher: Publisher,
    settings: Settings,
) -> (ControllerHandle, Rc<Fake>, JoinHandle<()>) {
    // Nobody sends heartbeats here.
    let session_timeout = SESSION_TIMEOUT;
    let settings = Settings {
        session_timeout,
        ..settings
    };
    spawn_among(publisher, settings, Doors::default())
}

/// The same, with neighbours.
pub(crate) fn spawn_among(
    publisher: Publisher,
    settings: Settings,
    doors: Doors,
) -> (ControllerHandle, Rc<Fake>, JoinHandle<()>) {
    let on_fatal = Box::new(|error: &MachineError| panic!("{error}"));
    let node = BrokerId::from_wire(1).unwrap();
    let fake = Rc::new(Fake {
        machine: RefCell::new(MetadataMachine::new(publisher.clone(), on_fatal)),
        leader: watch::Sender::new(Leader {
            term: 1,
            node: Some(node),
        }),
        entries: RefCell::default(),
        fail_next: Cell::default(),
        is_applied_anyway: Cell::default(),
        intruder: RefCell::default(),
        entry_size_max: Cell::new(usize::MAX),
        is_isolated: Cell::default(),
        delay_next: Cell::default(),
        counters: Arc::default(),
    });
    let quorum = FakeQuorum {
        leadership: fake.leader.subscribe(),
        fake: fake.clone(),
    };
    let (controller, requests) = queues();
    let driver = Driver::new(node, settings, quorum, publisher, requests, doors);
    let driver = driver.counting(fake.counters.clone());
    (controller, fake, tokio::task::spawn_local(driver.run()))
}

/// Registers a broker and lets it in.
pub(crate) async fn join(
    controller: &ControllerHandle,
    registration: RegisterBroker,
) -> BrokerEpoch {
    let broker = registration.broker;
    let epoch = controller.register_broker(registration).await;
    let epoch = epoch.unwrap().unwrap();
    let to = BrokerState::Unfenced;
    let change = ChangeBroker { broker, epoch, to };
    controller.change_broker(change).await.unwrap().unwrap();
    epoch
}

//! Watches over brokers: sessions, probes, and registrations that wait for a probe.
//!
//! - A probe runs as a task of its own; nothing waits for it but the registration that it is for.
//! - Who is suspected and found behind an open door is knocked at again until it is heard of, or its session ends: a
//!   process takes a while to die, and a probe that found no time says nothing.
//! - A fence carries the broker epoch that its probe was started for, so it can't meet a process that
//!   has come since.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_storage::time::MonoMillis;
use tokio::sync::mpsc;

use crate::controller::command::RegisterError;
use crate::controller::handle::{Request, Suspect};
use crate::controller::probe::Prober;
use crate::controller::{Command, Outcome, Sessions, Settings};
use crate::metadata::image::BrokerImage;
use crate::metadata::{BrokerId, MetadataImage};

/// Probes whose answers may wait at once; more wait in their tasks.
const ENDED_MAX: usize = 64;

/// Between two knocks at a suspect.
const KNOCK_AGAIN: Duration = Duration::from_millis(100);

/// What the controller knows of brokers beyond the image.
#[derive(Debug)]
pub(super) struct Watch<P> {
    node: BrokerId,
    prober: P,
    /// Where it knocks: what clients are told may lead back to this very host.
    listener: String,
    pub(super) sessions: Sessions,
    running: BTreeSet<Suspect>,
    /// Who is suspected, and when its session would end if nothing were heard of it from then on.
    suspected: BTreeMap<Suspect, MonoMillis>,
    /// Registrations that another process of their broker stands against, until its probe has ended.
    parked: BTreeMap<BrokerId, Vec<Request>>,
    ends: mpsc::Sender<Probed>,
    ended: mpsc::Receiver<Probed>,
}

/// The end of a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probed {
    suspect: Suspect,
    is_gone: bool,
}

impl<P: Prober> Watch<P> {
    pub(super) fn new(node: BrokerId, settings: &Settings, prober: P) -> Self {
        let (ends, ended) = mpsc::channel(ENDED_MAX);
        Self {
            node,
            prober,
            listener: settings.inter_broker_listener.clone(),
            sessions: Sessions::new(settings.session_timeout),
            running: BTreeSet::new(),
            suspected: BTreeMap::new(),
            parked: BTreeMap::new(),
            ends,
            ended,
        }
    }

    /// A leadership begins: whole sessions for all, and a probe of every broker that would have to be
    /// fenced if it is gone. This node's own one is where we are.
    pub(super) fn activate(&mut self, now: MonoMillis, image: &MetadataImage) {
        self.sessions.activate(now, image);
        self.suspected.clear();
        for broker in image.brokers().iter() {
            if !broker.is_fenced && broker.id != self.node {
                self.probe(broker, Duration::ZERO);
            }
        }
    }

    /// Somebody says that a process may be gone.
    pub(super) fn suspect(&mut self, now: MonoMillis, image: &MetadataImage, suspect: Suspect) {
        let Suspect { broker, epoch } = suspect;
        let deadline = self.sessions.deadline(broker, epoch);
        if let Some(broker) = self.sessions.suspect(now, image, broker, epoch) {
            self.suspected.extend(deadline.map(|at| (suspect, at)));
            self.probe(broker, Duration::ZERO);
        }
    }

    /// Gives back what can be decided now; what waits for a probe stays here.
    pub(super) fn admit(
        &mut self,
        now: MonoMillis,
        image: &MetadataImage,
        request: Request,
    ) -> Option<Request> {
        let Command::RegisterBroker(command) = &request.command else {
            return Some(request);
        };
        let Some(rival) = self.sessions.rival(now, image, command) else {
            return Some(request);
        };
        if rival.endpoint(&self.listener).is_none() {
            refuse_duplicate(request, rival.id);
            return None;
        }
        self.parked.entry(rival.id).or_default().push(request);
        self.probe(rival, Duration::ZERO);
        None
    }

    /// Waits for the end of a probe. Cancel safe.
    pub(super) async fn ended(&mut self) -> Probed {
        match self.ended.recv().await {
            Some(probed) => probed,
            // This end holds a sender, too.
            None => std::future::pending().await,
        }
    }

    /// A probe that has ended, if one has.
    pub(super) fn try_ended(&mut self) -> Option<Probed> {
        self.ended.try_recv().ok()
    }

    /// Takes a probe's end: what can be decided now, and whom to fence.
    pub(super) fn take(
        &mut self,
        now: MonoMillis,
        image: &MetadataImage,
        probed: Probed,
    ) -> (Vec<Request>, Option<Suspect>) {
        let Probed { suspect, is_gone } = probed;
        self.running.remove(&suspect);
        let parked = self.parked.remove(&suspect.broker).unwrap_or_default();
        let Suspect { broker, epoch } = suspect;
        let suspected = self.suspected.remove(&suspect);
        if is_gone {
            if !parked.is_empty() {
                // Whoever asked goes ahead, and the old process has no session to stand on.
                self.sessions.end(suspect.broker, suspect.epoch);
            }
            let found = self
                .sessions
                .suspect(now, image, suspect.broker, suspect.epoch);
            return (parked, found.is_some().then_some(suspect));
        }
        for request in parked {
            refuse_duplicate(request, broker);
        }
        let is_silent = suspected.filter(|at| self.sessions.deadline(broker, epoch) == Some(*at));
        if let (Some(at), Some(found)) =
            (is_silent, self.sessions.suspect(now, image, broker, epoch))
        {
            self.suspected.insert(suspect, at);
            self.probe(found, KNOCK_AGAIN);
        }
        (Vec::new(), None)
    }

    /// What waits here, when there is nobody to decide it any more.
    pub(super) fn take_parked(&mut self) -> Vec<Request> {
        let parked = std::mem::take(&mut self.parked);
        parked.into_values().flatten().collect()
    }

    fn probe(&mut self, broker: &BrokerImage, after: Duration) {
        let suspect = Suspect {
            broker: broker.id,
            epoch: broker.epoch,
        };
        let Some(endpoint) = broker.endpoint(&self.listener) else {
            return;
        };
        if !self.running.insert(suspect) {
            return;
        }
        let (knock, ends) = (self.prober.is_gone(endpoint), self.ends.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let is_gone = knock.await;
            // A driver that has ended has no use for it.
            let _ = ends.send(Probed { suspect, is_gone }).await;
        });
    }
}

fn refuse_duplicate(request: Request, broker: BrokerId) {
    let refused = Outcome::RegisterBroker(Err(RegisterError::Duplicate { broker }));
    let _ = request.answer.send(Ok(refused));
}

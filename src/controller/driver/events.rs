//! What wakes the driver, and what it does at once: it puts commands in order and looks after sessions.
//!
//! - What waits is heard before anybody is held for silent: a heartbeat that waited behind a slow group
//!   counts from when it is taken, or an overloaded controller would fence healthy brokers.
//! - Urgent commands go before bulk ones, and a fence before all.

use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use super::watch::Probed;
use super::{Driver, Quorum};
use crate::clock;
use crate::controller::Command;
use crate::controller::command::{BrokerState, ChangeBroker};
use crate::controller::handle::{QUEUE_MAX, Request, Suspect};
use crate::controller::probe::Prober;
use crate::metadata::{BrokerEpoch, BrokerId};

/// What the driver waits for.
enum Event {
    Request(Request),
    Suspect(Suspect),
    Probed(Probed),
    Leadership,
    /// A session has ended, or leaderships are to be looked at.
    Deadline,
    /// Nobody can ask any more, or the quorum is gone.
    End,
}

impl<Q: Quorum, P: Prober> Driver<Q, P> {
    /// Waits for a command, for the end of a session, or for a leadership that has not been activated.
    /// `false` at the end.
    pub(super) async fn wait_for_work(&mut self) -> bool {
        loop {
            // What waits is heard before anybody is held for silent, however long it has waited.
            self.drain();
            self.notice();
            self.expire();
            self.balance();
            if !self.waiting.is_empty() || self.is_leader_unactivated() {
                return true;
            }
            match self.event().await {
                Event::Request(request) => self.take(request),
                Event::Suspect(suspect) => self.suspect(suspect),
                Event::Probed(probed) => self.probed(probed),
                Event::Leadership | Event::Deadline => (),
                Event::End => return false,
            }
        }
    }

    async fn event(&mut self) -> Event {
        let wait = self.next_deadline().map(|at| at.since(clock::mono()));
        let deadline = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            request = self.requests.urgent.recv() => request.map_or(Event::End, Event::Request),
            probed = self.watch.ended() => Event::Probed(probed),
            request = self.requests.bulk.recv() => request.map_or(Event::End, Event::Request),
            Some(suspect) = self.requests.suspects.recv() => Event::Suspect(suspect),
            is_alive = self.quorum.leadership_changed() => if is_alive {
                Event::Leadership
            } else {
                Event::End
            },
            () = deadline => Event::Deadline,
        }
    }

    /// Whether this node leads and has begun to.
    fn is_active(&self) -> bool {
        let leader = self.quorum.leader();
        leader.node == Some(self.node) && self.active_term == Some(leader.term)
    }

    fn next_deadline(&self) -> Option<MonoMillis> {
        if !self.is_active() {
            return None;
        }
        let session = self.watch.sessions.next_deadline(&self.publisher.image());
        Some(session.map_or(self.balance_at, |session| session.min(self.balance_at)))
    }

    /// Has leaderships brought back, from time to time.
    fn balance(&mut self) {
        let now = clock::mono();
        if self.is_active() && self.balance_at <= now {
            self.balance_at = now.saturating_add(self.settings.balance_interval);
            self.waiting
                .push_back(Request::own(Command::BalanceLeaders));
        }
    }

    /// Has the broker fenced whose session ended first, if one did.
    fn expire(&mut self) {
        if !self.is_active() {
            return;
        }
        let image = self.publisher.image();
        let expired = self.watch.sessions.take_expired(clock::mono(), &image);
        if let Some((broker, epoch)) = expired {
            self.fence(broker, epoch);
        }
    }

    fn fence(&mut self, broker: BrokerId, epoch: BrokerEpoch) {
        let to = BrokerState::Fenced;
        let change = ChangeBroker { broker, epoch, to };
        let fence = Request::own(Command::ChangeBroker(change));
        self.waiting.push_front(fence);
    }

    /// Hears who may be gone, and who is: also while commands never cease to wait.
    fn notice(&mut self) {
        while let Ok(suspect) = self.requests.suspects.try_recv() {
            self.suspect(suspect);
        }
        while let Some(probed) = self.watch.try_ended() {
            self.probed(probed);
        }
    }

    fn suspect(&mut self, suspect: Suspect) {
        if self.is_active() {
            let image = self.publisher.image();
            self.watch.suspect(clock::mono(), &image, suspect);
        }
    }

    fn probed(&mut self, probed: Probed) {
        let (now, image) = (clock::mono(), self.publisher.image());
        let (admitted, gone) = self.watch.take(now, &image, probed);
        self.put_back(admitted);
        if let Some(Suspect { broker, epoch }) = gone.filter(|_| self.is_active()) {
            self.watch.sessions.fenced_by_probe(now, broker, epoch);
            self.fence(broker, epoch);
        }
    }

    /// Has registrations wait for whatever shows that the process before is gone.
    pub(super) fn admit(&mut self) {
        let (now, image) = (clock::mono(), self.publisher.image());
        let waiting = std::mem::take(&mut self.waiting);
        let watch = &mut self.watch;
        let admitted = waiting
            .into_iter()
            .filter_map(|request| watch.admit(now, &image, request));
        self.waiting = admitted.collect();
    }

    fn is_leader_unactivated(&self) -> bool {
        let leader = self.quorum.leader();
        leader.node == Some(self.node) && self.active_term != Some(leader.term)
    }

    /// Takes what waits, of bulk work only as much as a queue holds: the rest waits there and holds back who asks.
    pub(super) fn drain(&mut self) {
        while let Ok(request) = self.requests.urgent.try_recv() {
            self.take(request);
        }
        while self.waiting.len() < QUEUE_MAX
            && let Ok(request) = self.requests.bulk.try_recv()
        {
            self.take(request);
        }
    }

    /// Puts a request where its turn is: an urgent one goes before the bulk ones that wait.
    fn take(&mut self, request: Request) {
        let sessions = &mut self.watch.sessions;
        match &request.command {
            Command::Heartbeat(heartbeat) if !is_planted("a-heartbeat-counts-when-it-is-taken") => {
                sessions.touch(clock::mono(), heartbeat);
            }
            // It may stand before the heartbeats of its broker, on the same connection.
            Command::AlterPartition(change) => {
                sessions.heard_of(clock::mono(), change.broker, change.epoch);
            }
            Command::AssignReplicas(report) => {
                sessions.heard_of(clock::mono(), report.broker, report.epoch);
            }
            _ => {}
        }
        let at = if request.command.is_urgent() {
            let is_bulk = |waiting: &Request| !waiting.command.is_urgent();
            self.waiting.iter().position(is_bulk)
        } else {
            None
        };
        self.waiting
            .insert(at.unwrap_or(self.waiting.len()), request);
    }
}

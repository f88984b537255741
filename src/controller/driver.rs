//! Runs the controller on the quorum's thread: one group of commands in flight.
//!
//! - A group is decided over the applied image plus its own facts and proposed as one entry, at most
//!   [`GROUP_SIZE_MAX`] of it unless a single command is larger. The next group is drained when this
//!   one was applied, was rejected, or the leadership ended: that wait is what fills the next group.
//! - It decides only after a barrier in its own term, so the applied image has every earlier commit.
//! - Between groups it looks after the brokers' sessions: whoever was silent for too long is fenced, one at
//!   a time, by a command in the same path as all others.
//! - Every command is answered exactly once: with its outcome after its facts were applied, or with
//!   the reason why there is none. A lost leadership is "outcome unknown", never success.

mod consequences;
mod events;
#[cfg(test)]
pub(crate) mod fake;
pub mod group;
mod quorum;
mod watch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use crate::clock;
use crate::controller::Command;
use crate::controller::decide::{Draw, Settings, first_records};
use crate::controller::handle::{ControllerError, Request, Requests};
use crate::controller::machine::Applied;
use crate::controller::probe::Prober;
use crate::metadata::record::{Entry, Record};
use crate::metadata::{BrokerId, MetadataImage, Publisher};
use crate::telemetry::replication::Replication;

pub use quorum::{Leader, Quorum, QuorumError, QuorumView, RaftQuorum, RaftView};

use group::Group;
use watch::Watch;

/// Bytes of facts in one entry, as estimated before they are encoded.
pub const GROUP_SIZE_MAX: usize = 1 << 20;
/// How often a group is decided anew because the image moved on under it.
const ATTEMPTS_MAX: usize = 3;
const ACTIVATION_PAUSE: Duration = Duration::from_millis(10);

/// The controller of one node.
#[derive(Debug)]
pub struct Driver<Q, P> {
    node: BrokerId,
    settings: Settings,
    quorum: Q,
    publisher: Publisher,
    requests: Requests,
    watch: Watch<P>,
    /// Taken from the queues and not in a group yet, in order.
    waiting: VecDeque<Request>,
    /// The term in which the barrier was passed, and no doubt has come since.
    active_term: Option<u64>,
    /// The term in which brokers were given their sessions.
    watched_term: Option<u64>,
    /// When leaderships are looked at next.
    balance_at: MonoMillis,
    counters: Arc<Replication>,
}

impl<Q: Quorum, P: Prober> Driver<Q, P> {
    /// A controller that has not begun.
    pub fn new(
        node: BrokerId,
        settings: Settings,
        quorum: Q,
        publisher: Publisher,
        requests: Requests,
        prober: P,
    ) -> Self {
        let watch = Watch::new(node, &settings, prober);
        Self {
            node,
            settings,
            quorum,
            publisher,
            requests,
            watch,
            waiting: VecDeque::new(),
            active_term: None,
            watched_term: None,
            balance_at: MonoMillis::ZERO,
            counters: Arc::default(),
        }
    }

    /// Counts what it decides there.
    #[must_use]
    pub fn counting(mut self, counters: Arc<Replication>) -> Self {
        self.counters = counters;
        self
    }

    /// Works until every handle is gone or the quorum has stopped.
    pub async fn run(mut self) {
        while self.wait_for_work().await {
            if let Err(error) = self.activate().await {
                self.refuse_all(error);
                if error == ControllerError::Stopping {
                    return;
                }
                // Whatever keeps a leader from beginning won't be gone in the same moment.
                tokio::time::sleep(ACTIVATION_PAUSE).await;
                continue;
            }
            self.admit();
            if !self.waiting.is_empty() {
                self.work().await;
            }
            let image = self.publisher.image();
            self.watch.sessions.observe(clock::mono(), &image);
        }
    }

    /// Makes sure that this node leads, has applied every earlier commit, and that the cluster's
    /// feature level is there before any other fact.
    async fn activate(&mut self) -> Result<(), ControllerError> {
        let leader = self.quorum.leader();
        if leader.node != Some(self.node) {
            self.active_term = None;
            return Err(ControllerError::NotController {
                leader: leader.node,
            });
        }
        if self.active_term == Some(leader.term) {
            return Ok(());
        }
        self.quorum.barrier().await.map_err(ControllerError::from)?;
        let image = self.publisher.image();
        let records = first_records(&self.settings, &image);
        if !records.is_empty() {
            self.propose(&image, records).await?;
        }
        self.active_term = Some(leader.term);
        // A term has one leader, so who was heard of before a doubt was heard of by this one.
        if self.watched_term.replace(leader.term) != Some(leader.term) {
            self.watch_over_brokers();
        }
        Ok(())
    }

    fn watch_over_brokers(&mut self) {
        let (now, image) = (clock::mono(), self.publisher.image());
        self.balance_at = now.saturating_add(self.settings.balance_interval);
        self.watch.activate(now, &image);
        for request in &self.waiting {
            if let Command::Heartbeat(heartbeat) = &request.command {
                self.watch.sessions.touch(now, heartbeat);
            }
        }
    }

    /// One group, from the queue to its answers.
    async fn work(&mut self) {
        for _ in 0..ATTEMPTS_MAX {
            let image = self.publisher.image();
            let mut draw = Draw::new(rand::random());
            let mut group = Group::new(&self.settings, &image, &mut draw, &self.watch.sessions);
            let count = self
                .waiting
                .iter()
                .take_while(|next| group.add(&next.command))
                .count();
            let group = group.decided();
            let result = self.settle(&image, group.records).await;
            let taken: Vec<Request> = self.waiting.drain(..count).collect();
            match result {
                Ok(Applied::Done(_)) => {
                    for (request, each) in taken.iter().zip(&group.consequences) {
                        self.account(&request.command, each);
                    }
                    return self.answer(taken, group.decisions);
                }
                // Somebody else's entry came first: decide again over what it made.
                Ok(Applied::Stale) => self.put_back(taken),
                Ok(Applied::Invalid) => return refuse(taken, ControllerError::Internal),
                Err(ControllerError::TooLarge { .. }) if taken.len() > 1 => {
                    // Together they are too large: one by one, each is judged by itself.
                    return self.work_singly(taken).await;
                }
                Err(error) => {
                    // Sessions go on if only these commands failed.
                    let is_disk_full = error == ControllerError::DiskFull;
                    let is_too_large = matches!(error, ControllerError::TooLarge { .. });
                    if !is_disk_full && !is_too_large {
                        self.active_term = None;
                    }
                    return refuse(taken, error);
                }
            }
        }
        self.refuse_all(ControllerError::NotController { leader: None });
    }

    /// Commands whose group was too large, each as a group of its own.
    async fn work_singly(&mut self, requests: Vec<Request>) {
        for request in requests {
            let image = self.publisher.image();
            let mut draw = Draw::new(rand::random());
            let mut group = Group::new(&self.settings, &image, &mut draw, &self.watch.sessions);
            group.add(&request.command);
            let group = group.decided();
            match self.settle(&image, group.records).await {
                Ok(Applied::Done(_)) => {
                    for each in &group.consequences {
                        self.account(&request.command, each);
                    }
                    self.answer(vec![request], group.decisions);
                }
                Ok(Applied::Stale) => self.waiting.push_front(request),
                Ok(Applied::Invalid) => refuse(vec![request], ControllerError::Internal),
                Err(error) => refuse(vec![request], error),
            }
        }
    }

    /// Makes a group's facts part of the image. Answers without facts rest on the image, too: the
    /// barrier shows that this node still is the one to give them.
    async fn settle(
        &self,
        image: &MetadataImage,
        records: Vec<Record>,
    ) -> Result<Applied, ControllerError> {
        if records.is_empty() {
            if !is_planted("an-answer-needs-a-majority") {
                self.quorum.barrier().await?;
            }
            return Ok(Applied::Done(image.version()));
        }
        self.propose(image, records).await
    }

    async fn propose(
        &self,
        image: &MetadataImage,
        records: Vec<Record>,
    ) -> Result<Applied, ControllerError> {
        let entry = Entry {
            decided_on: image.version().0,
            records,
        };
        let bytes = entry.encode().map_err(|_| ControllerError::Internal)?;
        let answer = self.quorum.propose(bytes).await?;
        Applied::decode(&answer).ok_or(ControllerError::Internal)
    }

    fn answer(&mut self, requests: Vec<Request>, decisions: Vec<group::Decided>) {
        let mut unfinished = Vec::new();
        for (request, decision) in requests.into_iter().zip(decisions) {
            match decision {
                group::Decided::Last(outcome) => {
                    // Whoever no longer waits has no use for it.
                    let _ = request.answer.send(outcome);
                }
                group::Decided::Step => unfinished.push(request),
            }
        }
        self.put_back(unfinished);
    }

    fn put_back(&mut self, requests: Vec<Request>) {
        for request in requests.into_iter().rev() {
            self.waiting.push_front(request);
        }
    }

    fn refuse_all(&mut self, error: ControllerError) {
        self.drain();
        refuse(self.watch.take_parked(), error);
        refuse(self.waiting.drain(..).collect(), error);
    }
}

fn refuse(requests: Vec<Request>, error: ControllerError) {
    for request in requests {
        let _ = request.answer.send(Err(error));
    }
}

impl From<QuorumError> for ControllerError {
    fn from(error: QuorumError) -> Self {
        match error {
            QuorumError::NotLeader { leader } => Self::NotController { leader },
            QuorumError::OutcomeUnknown => Self::OutcomeUnknown,
            QuorumError::TooLarge { size, max } => Self::TooLarge { size, max },
            QuorumError::DiskFull => Self::DiskFull,
            QuorumError::Stopped => Self::Stopping,
        }
    }
}

#[cfg(test)]
mod tests;

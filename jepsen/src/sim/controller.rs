//! The controller on the quorum's leader: the node's decisions and sessions, one group of commands in flight.

use std::collections::VecDeque;
use std::time::Duration;

use ottla::controller::decide::Draw;
use ottla::controller::driver::group::{Decided, Group};
use ottla::controller::{Command, Sessions, Settings};
use ottla::metadata::record::Record;
use ottla::metadata::{BrokerEpoch, BrokerId, MetadataImage};
use ottla_storage::time::MonoMillis;

use super::call::{Asked, BrokerState, ChangeBroker};

/// The controller of one term.
pub(super) struct Controller {
    pub(super) term: u64,
    /// The barrier was passed.
    pub(super) is_active: bool,
    pub(super) sessions: Sessions,
    pub(super) waiting: VecDeque<Asked>,
    pub(super) in_flight: Option<InFlight>,
    pub(super) balance_at: MonoMillis,
}

/// A group that was proposed, or whose answers wait for a barrier.
pub(super) struct InFlight {
    pub(super) number: u64,
    pub(super) asked: Vec<Asked>,
    pub(super) decisions: Vec<Decided>,
}

impl Controller {
    pub(super) fn new(term: u64, session: Duration) -> Self {
        Self {
            term,
            is_active: false,
            sessions: Sessions::new(session),
            waiting: VecDeque::new(),
            in_flight: None,
            balance_at: MonoMillis::ZERO,
        }
    }

    /// Takes a command: who is heard of is alive from now on, and what is urgent goes before what is not.
    pub(super) fn take(&mut self, now: MonoMillis, asked: Asked) {
        match &asked.command {
            Command::Heartbeat(heartbeat) => self.sessions.touch(now, heartbeat),
            Command::AlterPartition(change) => {
                self.sessions.heard_of(now, change.broker, change.epoch);
            }
            _ => {}
        }
        let at = if asked.command.is_urgent() {
            let is_bulk = |waiting: &Asked| !waiting.command.is_urgent();
            self.waiting.iter().position(is_bulk)
        } else {
            None
        };
        self.waiting.insert(at.unwrap_or(self.waiting.len()), asked);
    }

    /// Has the broker fenced whose session has ended, if one did.
    pub(super) fn expire(&mut self, now: MonoMillis, image: &MetadataImage) {
        if let Some((broker, epoch)) = self.sessions.take_expired(now, image) {
            self.fence(broker, epoch);
        }
    }

    /// Somebody says that a process is gone, and it is.
    pub(super) fn is_gone(
        &mut self,
        now: MonoMillis,
        image: &MetadataImage,
        (broker, epoch): (BrokerId, BrokerEpoch),
    ) {
        if self.sessions.suspect(now, image, broker, epoch).is_some() {
            self.sessions.fenced_by_probe(now, broker, epoch);
            self.fence(broker, epoch);
        }
    }

    fn fence(&mut self, broker: BrokerId, epoch: BrokerEpoch) {
        let to = BrokerState::Fenced;
        let change = ChangeBroker { broker, epoch, to };
        self.waiting
            .push_front(Asked::by_nobody(Command::ChangeBroker(change)));
    }

    /// Has leaderships brought back, from time to time.
    pub(super) fn balance(&mut self, now: MonoMillis, interval: Duration) {
        if self.balance_at <= now {
            self.balance_at = now.saturating_add(interval);
            self.waiting
                .push_back(Asked::by_nobody(Command::BalanceLeaders));
        }
    }

    /// Another process in a broker's place: the one before is dead, as every one of the same disk is, so its probe says so.
    fn end_rivals(&mut self, now: MonoMillis, image: &MetadataImage) {
        let mut rivals = Vec::new();
        for asked in &self.waiting {
            if let Command::RegisterBroker(command) = &asked.command
                && let Some(rival) = self.sessions.rival(now, image, command)
            {
                rivals.push((rival.id, rival.epoch));
            }
        }
        for (broker, epoch) in rivals {
            self.sessions.end(broker, epoch);
        }
    }

    /// Decides what waits, as far as it fits one group: the facts.
    pub(super) fn decide(
        &mut self,
        now: MonoMillis,
        settings: &Settings,
        image: &MetadataImage,
        (number, seed): (u64, u128),
    ) -> Option<Vec<Record>> {
        self.end_rivals(now, image);
        if self.waiting.is_empty() || self.in_flight.is_some() {
            return None;
        }
        let mut draw = Draw::new(seed);
        let mut group = Group::new(settings, image, &mut draw, &self.sessions);
        let commands = self.waiting.iter();
        let count = commands.take_while(|next| group.add(&next.command)).count();
        let decided = group.decided();
        self.in_flight = Some(InFlight {
            number,
            asked: self.waiting.drain(..count).collect(),
            decisions: decided.decisions,
        });
        Some(decided.records)
    }

    /// The group was rejected: it is decided again.
    pub(super) fn put_back(&mut self, asked: Vec<Asked>) {
        for each in asked.into_iter().rev() {
            self.waiting.push_front(each);
        }
    }
}

//! The one writer of a partition: runs the core over the queue's events and carries out its effects.
//!
//! - The order of a turn is: change the log, publish the view, answer.
//! - What is asked before the log is open waits here, in order, and no longer than its asker does: then it is dropped.
//! - Nothing here decides: what happens to a request or a log is what the core said.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use ottla_storage::log::PartitionLog;
use ottla_storage::time::MonoMillis;
use ottla_storage::{Clock, LogEvent, Offset};

use super::combining;
use super::core::effect::{
    self, Effect, Effects, FollowerFetch, Following, Leadership, LogBounds, Outcome, Refusal,
    Ticket,
};
use super::core::partition::{Partition, Standing};
use super::directories::Directories;
use super::following::FromLeader;
use super::isr_change::{IsrAnswer, IsrProposal, IsrProposals};
use super::replicas::Outbound;
use super::request::{AskedBy, Batch, DeleteRecords, Done, Produce, Request, RequestError, Writer};
use super::settings::PartitionConfig;
use super::view::Published;
use super::{OpenFailure, OpenedLog, Replica};
use crate::metadata::{BrokerId, ImageVersion, PartitionEpoch};
use crate::telemetry::replication::Replication;

mod append;
mod follow;
mod log;
mod publish;
mod waiting;

use append::ToAppend;
use log::{Disposal, Log, bounds};
use waiting::Waiting;

pub(crate) use log::Closing;

/// Everything that can happen to a partition, in the order of its queue.
#[derive(Debug)]
pub(crate) enum Event {
    /// What a client asks.
    Request(Request),
    /// What waited for the log is due, some of it in each turn.
    Resume,
    /// Someone needs the log.
    Open,
    /// The I/O thread has opened the log, or could not.
    Opened(Box<Result<OpenedLog, OpenFailure>>),
    /// The metadata says which part this broker plays.
    Play(Part),
    /// A follower has asked for records.
    FollowerFetch(FollowerFetch),
    /// The leader has answered this follower.
    FromLeader(Box<FromLeader>),
    /// The controller has answered the proposal made at this epoch.
    IsrAnswered(PartitionEpoch, IsrAnswer),
    /// The metadata lets this follower be in sync no more.
    FollowerGone(BrokerId, ImageVersion),
    /// It is time to look for followers that lag.
    CheckIsr,
    /// Settings changed.
    Configure(Arc<PartitionConfig>),
    /// The log's I/O came further.
    Log(LogEvent),
    /// A deadline of a waiting request has passed.
    Tick,
    /// It is time for retention.
    Retain,
    /// It is time to forget producers that are gone.
    ExpireProducers,
    /// The directory is lost.
    Offline,
    /// The partition is not this broker's any more: its log goes.
    Delete,
    /// The node stops: the log is closed in order, then the sender is dropped.
    Close(Closing),
}

/// The part that the metadata gives to this broker.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Lead(Leadership),
    Follow(Following),
}

/// A request that is not decided.
#[derive(Debug)]
struct Asked {
    by: AskedBy,
    /// Its batch until it is appended.
    batch: Option<Batch>,
    /// Where its batch is, once appended.
    done: Option<Done>,
}

/// The state behind a partition's lock.
#[derive(Debug)]
pub(crate) struct Driver {
    replica: Weak<Replica>,
    directories: Arc<Directories>,
    published: Arc<Published>,
    core: Partition,
    log: Log,
    config: Arc<PartitionConfig>,
    proposals: IsrProposals,
    clock: Arc<dyn Clock>,
    counters: Arc<Replication>,
    /// The part that waits for the log to be open.
    part: Option<Part>,
    /// How far the partition was committed when the log was opened.
    opened_high_watermark: Offset,
    asked: HashMap<Ticket, Asked>,
    next_ticket: u64,
    /// What waits for the log to be open.
    waiting: Waiting,
    turn: Turn,
    /// What the last view showed.
    shown: Option<Standing>,
    /// Where the last view's log started and ended.
    shown_bounds: (Offset, Offset),
}

/// What a turn collects, kept for its allocations.
#[derive(Debug, Default)]
struct Turn {
    effects: Effects,
    appends: Vec<ToAppend>,
    answers: Vec<(Ticket, Result<Outcome, RequestError>)>,
    appended_bytes: u64,
    is_changed: bool,
}

impl combining::Writer<Event> for Driver {
    fn accepts_requests(&self) -> bool {
        !self.must_wait() || self.waiting.has_room()
    }

    fn turn(&mut self, events: &mut Vec<Event>) {
        let now = self.clock.mono();
        for event in events.drain(..) {
            if !matches!(event, Event::Request(Request::Produce(_))) {
                self.append_group(now);
            }
            self.take_in(now, event);
        }
        self.append_group(now);
        self.publish();
        self.answer();
        self.resume_later();
    }
}

impl Driver {
    pub(crate) fn new(
        replica: Weak<Replica>,
        directories: Arc<Directories>,
        published: Arc<Published>,
        core: Partition,
        config: Arc<PartitionConfig>,
        outbound: &Outbound,
    ) -> Self {
        Self {
            replica,
            directories,
            published,
            core,
            log: Log::Closed,
            config,
            proposals: outbound.isr_proposals.clone(),
            clock: outbound.clock.clone(),
            counters: outbound.counters.clone(),
            part: None,
            opened_high_watermark: Offset::ZERO,
            asked: HashMap::new(),
            next_ticket: 0,
            waiting: Waiting::default(),
            turn: Turn::default(),
            shown: None,
            shown_bounds: (Offset::ZERO, Offset::ZERO),
        }
    }

    fn take_in(&mut self, now: MonoMillis, event: Event) {
        match event {
            Event::Request(request) if self.must_wait() => self.waiting.add(now, request),
            Event::Request(request) => self.ask(now, request),
            Event::Resume => self.resume(now),
            Event::Open => self.open(),
            Event::Opened(result) => self.opened(now, *result),
            Event::Play(part) => match &self.log {
                Log::Open(log) => {
                    let bounds = bounds(log);
                    self.play(now, part, bounds);
                }
                Log::Closed | Log::Opening { .. } | Log::Recovering | Log::Unavailable => {
                    self.turn.is_changed = true;
                    self.part = Some(part);
                }
                Log::Doomed(_) | Log::Gone => {}
            },
            Event::FollowerFetch(fetch) => self.decide(now, effect::Event::FollowerFetch(fetch)),
            Event::FromLeader(answer) => self.hear_leader(now, *answer),
            Event::IsrAnswered(partition_epoch, answer) => self.decide(
                now,
                effect::Event::IsrAnswered {
                    partition_epoch,
                    answer,
                },
            ),
            Event::FollowerGone(id, since) => {
                self.decide(now, effect::Event::FollowerGone(id, since));
            }
            Event::CheckIsr => self.decide(now, effect::Event::CheckIsr),
            Event::Configure(config) => self.configure(now, config),
            Event::Log(event) => self.log_event(now, event),
            Event::Tick => {
                self.waiting.expire(now);
                self.decide(now, effect::Event::Tick);
            }
            Event::Retain if matches!(self.log, Log::Closed) => self.open_to_retain(),
            Event::Retain => self.decide(now, effect::Event::Retain),
            // No decision depends on it: what is forgotten was of no use any more.
            Event::ExpireProducers => {
                let wall = self.clock.wall();
                self.with_log(|log| {
                    log.expire_producers(wall);
                });
            }
            Event::Offline => self.end(now, effect::Event::Offline, Disposal::Keep),
            Event::Delete => self.end(now, effect::Event::Stop, Disposal::Delete),
            Event::Close(closing) => {
                self.end(now, effect::Event::Resign, Disposal::Close(closing));
            }
        }
    }

    fn ask(&mut self, now: MonoMillis, request: Request) {
        // This broker leads all the same: a client that was told otherwise would look for a leader and find it here.
        if matches!(
            (&self.log, &self.part),
            (Log::Unavailable, Some(Part::Lead(_)))
        ) {
            let offline = Refusal::Offline;
            return request.into_asker().tell(Err(offline.into()));
        }
        match request {
            Request::Produce(Produce {
                batch,
                acks,
                deadline,
                by,
            }) => {
                if !self.may_write(batch.writer) {
                    return by.tell(Err(Refusal::NotLeader.into()));
                }
                let ticket = self.ticket(by, Some(batch));
                self.decide(
                    now,
                    effect::Event::Produce {
                        ticket,
                        acks,
                        deadline,
                    },
                );
            }
            Request::DeleteRecords(DeleteRecords {
                before,
                deadline,
                by,
            }) => {
                let ticket = self.ticket(by, None);
                self.decide(
                    now,
                    effect::Event::DeleteRecords {
                        ticket,
                        before,
                        deadline,
                    },
                );
            }
        }
    }

    /// What a coordinator decided in one reign is not written in another.
    fn may_write(&self, writer: Writer) -> bool {
        match (writer, self.core.standing()) {
            (Writer::Coordinator(epoch), Standing::Leads(reign)) => reign.leader_epoch == epoch,
            // Who does not lead refuses everybody, and says why.
            (Writer::Client | Writer::Coordinator(_), _) => true,
        }
    }

    fn ticket(&mut self, by: AskedBy, batch: Option<Batch>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.asked.insert(
            ticket,
            Asked {
                by,
                batch,
                done: None,
            },
        );
        ticket
    }

    /// Lets the core decide, and carries out what it says.
    fn decide(&mut self, now: MonoMillis, event: effect::Event) {
        let mut effects = std::mem::take(&mut self.turn.effects);
        self.core.handle(now, event, &mut effects);
        for effect in effects.drain(..) {
            self.execute(now, effect);
        }
        // A decision inside of an effect has left its own, empty, list here.
        self.turn.effects = effects;
    }

    fn execute(&mut self, now: MonoMillis, effect: Effect) {
        match effect {
            Effect::Append {
                ticket,
                acks,
                deadline,
                leader_epoch,
            } => {
                let asked = self.asked.get_mut(&ticket);
                if let Some(batch) = asked.and_then(|asked| asked.batch.take()) {
                    self.turn.appends.push(ToAppend {
                        ticket,
                        acks,
                        deadline,
                        leader_epoch,
                        batch,
                        result: None,
                    });
                }
            }
            Effect::Answer { ticket, outcome } => {
                self.turn.answers.push((ticket, Ok(outcome)));
            }
            Effect::StartEpoch {
                leader_epoch,
                start,
            } => {
                self.turn.is_changed = true;
                self.with_log(|log| {
                    let is_new = log.assign_epoch(leader_epoch);
                    debug_assert!(
                        is_new && start == log.log_end(),
                        "R5: {leader_epoch} is over"
                    );
                });
            }
            Effect::AdvanceLogStart { to } => {
                let wall = self.clock.wall();
                // Consumers below `to` are cut off now; the files go as soon as they may.
                let high_watermark = self.core.high_watermark().unwrap_or(to);
                self.with_log(|log| {
                    log.advance_log_start(to);
                    log.apply_retention(wall, high_watermark);
                });
                self.moved(now);
            }
            Effect::Retain { high_watermark } => {
                let wall = self.clock.wall();
                self.with_log(|log| {
                    log.apply_retention(wall, high_watermark);
                });
                self.moved(now);
            }
            Effect::Truncate { to, why } => self.truncate(now, to, why),
            Effect::Restart { at } => self.restart(now, at),
            Effect::ProposeIsr {
                leader_epoch,
                partition_epoch,
                isr,
            } => {
                let Some(replica) = self.replica.upgrade() else {
                    return;
                };
                // A node that stops has nobody who would carry it.
                let _ = self.proposals.send(IsrProposal {
                    key: replica.key(),
                    leader_epoch,
                    partition_epoch,
                    isr,
                });
            }
            Effect::Flush => self.with_log(PartitionLog::request_flush),
        }
    }

    fn with_log(&mut self, then: impl FnOnce(&mut PartitionLog)) {
        if let Log::Open(log) = &mut self.log {
            then(log);
        }
    }

    /// Tells the core where the log lies now.
    fn moved(&mut self, now: MonoMillis) {
        self.turn.is_changed = true;
        if let Log::Open(log) = &self.log {
            let bounds = bounds(log);
            self.decide(now, effect::Event::Moved(bounds));
        }
    }

    fn play(&mut self, now: MonoMillis, part: Part, bounds: LogBounds) {
        self.turn.is_changed = true;
        let high_watermark = self.opened_high_watermark;
        let event = match part {
            Part::Lead(leadership) => effect::Event::Lead {
                leadership,
                bounds,
                high_watermark,
            },
            Part::Follow(following) => effect::Event::Follow {
                following,
                bounds,
                high_watermark,
            },
        };
        self.decide(now, event);
    }

    fn configure(&mut self, now: MonoMillis, config: Arc<PartitionConfig>) {
        let settings = config.settings;
        self.with_log(|log| log.set_config(config.log.clone()));
        self.config = config;
        self.decide(now, effect::Event::Configure(settings));
    }
}

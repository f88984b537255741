//! The one writer of a partition: runs the core over the queue's events and carries out its effects.
//!
//! - Neighbouring produces share one write: prepare each, write once, commit; a failed or short
//!   write fails the group, and no producer of it hears of success.
//! - The order of a turn is: change the log, publish the view, answer. So whoever hears of an
//!   append can read it.
//! - A log is opened by its directory's I/O thread when it is first needed; until then requests wait
//!   in the queue.

use std::collections::HashMap;
use std::sync::{Arc, Weak, mpsc};

use bytes::BytesMut;
use ottla_storage::log::{LeaderAppend, PartitionLog, PrepareError, Prepared};
use ottla_storage::producer_state::AppendOrigin;
use ottla_storage::time::MonoMillis;
use ottla_storage::validate::{Arrival, Policy};
use ottla_storage::{LeaderEpoch, LogEvent, Offset};

use super::combining::Writer;
use super::core::effect::{
    self, Acks, Effect, Effects, Leadership, LogBounds, Outcome, Refusal, Ticket,
};
use super::core::partition::{Partition, Reign};
use super::directories::Directories;
use super::request::{AskedBy, DeleteRecords, Done, Produce, Request, RequestError};
use super::settings::PartitionConfig;
use super::view::{Change, Led, Published, View};
use super::{OpenFailure, OpenedLog, Replica};
use crate::clock;

/// Everything that can happen to a partition, in the order of its queue.
#[derive(Debug)]
pub(crate) enum Event {
    /// What a client asks.
    Request(Request),
    /// Someone needs the log.
    Open,
    /// The I/O thread has opened the log, or could not.
    Opened(Box<Result<OpenedLog, OpenFailure>>),
    /// The metadata names this broker the leader.
    Lead(Leadership),
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

/// Where the log is.
#[derive(Debug)]
enum Log {
    Closed,
    /// The I/O thread is at it; whether a scan has ended meanwhile.
    Opening {
        is_scanned: bool,
    },
    /// It waits for its scan.
    Recovering,
    /// It can't be opened just now: requests are refused, and the next one tries again.
    Unavailable,
    Open(Box<PartitionLog>),
    /// It is on its way here, and goes on from here at once.
    Doomed(Disposal),
    /// There is none, and never will be.
    Gone,
}

/// What becomes of a log that comes when nobody wants it any more.
#[derive(Debug)]
enum Disposal {
    /// Its directory is offline: nothing.
    Keep,
    Delete,
    Close(Closing),
}

/// Dropped when a log is closed; whoever stops the node waits for all of them.
pub(crate) type Closing = mpsc::SyncSender<()>;

/// A request that is not decided.
#[derive(Debug)]
struct Asked {
    by: AskedBy,
    /// Its batch until it is appended, and whether the request's version knows zstd.
    batch: Option<(BytesMut, bool)>,
    /// Where its batch is, once appended.
    done: Option<Done>,
}

/// A batch that is to be appended with its neighbours.
#[derive(Debug)]
struct ToAppend {
    ticket: Ticket,
    acks: Acks,
    deadline: MonoMillis,
    leader_epoch: LeaderEpoch,
    batch: BytesMut,
    accepts_zstd: bool,
    result: Option<Result<Prepared, RequestError>>,
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
    /// The leadership that the log's opening waits with.
    leadership: Option<Leadership>,
    asked: HashMap<Ticket, Asked>,
    next_ticket: u64,
    turn: Turn,
    /// What the last view showed.
    shown: Option<Result<Reign, Refusal>>,
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

impl Writer<Event> for Driver {
    fn accepts_requests(&self) -> bool {
        matches!(
            self.log,
            Log::Open(_) | Log::Unavailable | Log::Doomed(_) | Log::Gone
        )
    }

    fn turn(&mut self, events: &mut Vec<Event>) {
        let now = clock::mono();
        for event in events.drain(..) {
            if !matches!(event, Event::Request(Request::Produce(_))) {
                self.append_group(now);
            }
            self.take_in(now, event);
        }
        self.append_group(now);
        self.publish();
        self.answer();
    }
}

impl Driver {
    pub(crate) fn new(
        replica: Weak<Replica>,
        directories: Arc<Directories>,
        published: Arc<Published>,
        core: Partition,
        config: Arc<PartitionConfig>,
    ) -> Self {
        Self {
            replica,
            directories,
            published,
            core,
            log: Log::Closed,
            config,
            leadership: None,
            asked: HashMap::new(),
            next_ticket: 0,
            turn: Turn::default(),
            shown: None,
            shown_bounds: (Offset::ZERO, Offset::ZERO),
        }
    }

    fn take_in(&mut self, now: MonoMillis, event: Event) {
        match event {
            Event::Request(Request::Produce(Produce {
                batch,
                accepts_zstd,
                acks,
                deadline,
                by,
            })) => {
                let ticket = self.ticket(by, Some((batch, accepts_zstd)));
                self.decide(
                    now,
                    effect::Event::Produce {
                        ticket,
                        acks,
                        deadline,
                    },
                );
            }
            Event::Request(Request::DeleteRecords(DeleteRecords {
                before,
                deadline,
                by,
            })) => {
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
            Event::Open => self.open(),
            Event::Opened(result) => self.opened(now, *result),
            Event::Lead(leadership) => match &self.log {
                Log::Open(log) => {
                    let (bounds, high_watermark) = (bounds(log), log.log_start());
                    self.lead(now, leadership, bounds, high_watermark);
                }
                Log::Closed | Log::Opening { .. } | Log::Recovering | Log::Unavailable => {
                    self.turn.is_changed = true;
                    self.leadership = Some(leadership);
                }
                Log::Doomed(_) | Log::Gone => {}
            },
            Event::Configure(config) => self.configure(now, config),
            Event::Log(event) => self.log_event(now, event),
            Event::Tick => self.decide(now, effect::Event::Tick),
            Event::Retain if matches!(self.log, Log::Closed) => self.open_to_retain(),
            Event::Retain => self.decide(now, effect::Event::Retain),
            // No decision depends on it: what is forgotten was of no use any more.
            Event::ExpireProducers => {
                let wall = clock::wall();
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

    fn ticket(&mut self, by: AskedBy, batch: Option<(BytesMut, bool)>) -> Ticket {
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
                if let Some((batch, accepts_zstd)) = asked.and_then(|asked| asked.batch.take()) {
                    self.turn.appends.push(ToAppend {
                        ticket,
                        acks,
                        deadline,
                        leader_epoch,
                        batch,
                        accepts_zstd,
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
                let wall = clock::wall();
                // Consumers below `to` are cut off now; the files go as soon as they may.
                let high_watermark = self.core.reign().map_or(to, |reign| reign.high_watermark);
                self.with_log(|log| {
                    log.advance_log_start(to);
                    log.apply_retention(wall, high_watermark);
                });
                self.moved(now);
            }
            Effect::Retain { high_watermark } => {
                let wall = clock::wall();
                self.with_log(|log| {
                    log.apply_retention(wall, high_watermark);
                });
                self.moved(now);
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

    /// Appends the produces that came one after the other, in as few writes as their bytes allow.
    fn append_group(&mut self, now: MonoMillis) {
        let mut appends = std::mem::take(&mut self.turn.appends);
        let mut start = 0;
        while let Some(rest) = appends.get_mut(start..).filter(|rest| !rest.is_empty()) {
            let Log::Open(log) = &mut self.log else { break };
            let count = append_one_group(log, rest, &self.config.policy, &mut self.turn);
            let log_start = log.log_start();
            self.moved(now);
            for append in rest.iter_mut().take(count) {
                self.appended(now, append, log_start);
            }
            start += count;
        }
        debug_assert_eq!(start, appends.len(), "the core appends only to an open log");
        appends.clear();
        self.turn.appends = appends;
    }

    fn appended(&mut self, now: MonoMillis, append: &mut ToAppend, log_start: Offset) {
        let (ticket, acks, deadline) = (append.ticket, append.acks, append.deadline);
        let (at, log_append_time) = match append.result.take() {
            Some(Ok(Prepared::Append {
                at,
                log_append_time,
            })) => (at, log_append_time),
            Some(Ok(Prepared::Duplicate { at })) => (at, None),
            Some(Err(error)) => return self.turn.answers.push((ticket, Err(error))),
            None => return,
        };
        if let Some(asked) = self.asked.get_mut(&ticket) {
            let leader_epoch = append.leader_epoch;
            let base_offset = at.base_offset;
            asked.done = Some(Done {
                base_offset,
                log_append_time,
                log_start,
                leader_epoch,
            });
        }
        let end = at.last_offset.next();
        self.decide(
            now,
            effect::Event::Appended {
                ticket,
                acks,
                deadline,
                end,
            },
        );
    }

    fn open(&mut self) {
        let is_closed = matches!(self.log, Log::Closed | Log::Unavailable);
        if is_closed {
            self.start_opening();
        }
    }

    /// Opens a log of which retention may take something; the next pass finds it open.
    fn open_to_retain(&mut self) {
        let key = self.replica.upgrade().map(|replica| replica.key());
        if key.is_some_and(|key| self.directories.holds_inactive_segments(key)) {
            self.open();
        }
    }

    fn start_opening(&mut self) {
        if let Some(replica) = self.replica.upgrade() {
            self.log = Log::Opening { is_scanned: false };
            self.directories.open(replica, self.config.log.clone());
        }
    }

    fn opened(&mut self, now: MonoMillis, result: Result<OpenedLog, OpenFailure>) {
        self.turn.is_changed = true;
        let is_scanned = match std::mem::replace(&mut self.log, Log::Gone) {
            Log::Opening { is_scanned } => is_scanned,
            Log::Doomed(disposal) => {
                self.dispose(result.ok().map(|opened| opened.log), disposal);
                return;
            }
            other => unreachable!("only one opening is under way: {other:?}"),
        };
        match result {
            Ok(OpenedLog {
                mut log,
                high_watermark,
            }) => {
                log.set_config(self.config.log.clone());
                let bounds = bounds(&log);
                self.log = Log::Open(Box::new(log));
                if let Some(leadership) = self.leadership.take() {
                    self.lead(now, leadership, bounds, high_watermark);
                }
            }
            // The end of the scan came first, and is not announced again.
            Err(OpenFailure::Unrecovered) if is_scanned => self.start_opening(),
            Err(OpenFailure::Unrecovered) => self.log = Log::Recovering,
            Err(OpenFailure::Unavailable) => {
                self.log = Log::Unavailable;
                if let Some(replica) = self.replica.upgrade() {
                    replica.may_ask_open_again();
                }
            }
            Err(OpenFailure::Offline) => {
                self.end(now, effect::Event::Offline, Disposal::Keep);
            }
        }
    }

    fn lead(
        &mut self,
        now: MonoMillis,
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
    ) {
        self.turn.is_changed = true;
        self.decide(
            now,
            effect::Event::Lead {
                leadership,
                bounds,
                high_watermark,
            },
        );
    }

    fn configure(&mut self, now: MonoMillis, config: Arc<PartitionConfig>) {
        let settings = config.settings;
        self.with_log(|log| log.set_config(config.log.clone()));
        self.config = config;
        self.decide(now, effect::Event::Configure(settings));
    }

    fn log_event(&mut self, now: MonoMillis, event: LogEvent) {
        match event {
            LogEvent::Flushed { .. } => self.moved(now),
            LogEvent::FlushFailed | LogEvent::RecoveryFailed => {
                self.end(now, effect::Event::Offline, Disposal::Keep);
            }
            LogEvent::Recovered { .. } => match &mut self.log {
                Log::Recovering => self.start_opening(),
                Log::Opening { is_scanned } => *is_scanned = true,
                _ => {}
            },
            // A leader does not truncate.
            LogEvent::FilesReady => {}
        }
    }

    /// Nothing leads back from here: what waits is refused, and the log is let go.
    fn end(&mut self, now: MonoMillis, event: effect::Event, disposal: Disposal) {
        self.turn.is_changed = true;
        self.leadership = None;
        self.decide(now, event);
        match std::mem::replace(&mut self.log, Log::Gone) {
            Log::Open(log) => self.dispose(Some(*log), disposal),
            Log::Closed | Log::Unavailable | Log::Recovering => self.dispose(None, disposal),
            Log::Opening { .. } => self.log = Log::Doomed(disposal),
            Log::Doomed(earlier) => self.log = Log::Doomed(later_of(earlier, disposal)),
            Log::Gone => {}
        }
    }

    fn dispose(&self, log: Option<PartitionLog>, disposal: Disposal) {
        let Some(key) = self.replica.upgrade().map(|replica| replica.key()) else {
            return;
        };
        match (log, disposal) {
            (_, Disposal::Keep) | (None, Disposal::Close(_)) => {}
            (Some(log), Disposal::Close(closing)) => {
                self.directories.close(key, log, move || drop(closing));
            }
            (log, Disposal::Delete) => {
                let delay = self.config.log.retention.file_delete_delay;
                self.directories.delete(key, log, delay);
            }
        }
    }

    fn publish(&mut self) {
        let reign = self.core.reign();
        if !self.turn.is_changed && self.shown == Some(reign) {
            return;
        }
        let view = match (reign, &mut self.log) {
            (Ok(reign), Log::Open(log)) => {
                log.note_high_watermark(reign.high_watermark);
                View::Led(Led {
                    reign,
                    log: log.view(),
                })
            }
            (Err(Refusal::NotLeader), _) if self.leadership.is_some() => View::Closed,
            (Err(refusal), _) => View::Refused(refusal),
            (Ok(_), _) => unreachable!("a partition leads only with an open log"),
        };
        let change = self.change(&view);
        self.shown = Some(reign);
        self.turn.is_changed = false;
        self.published.publish(view, change);
    }

    /// What the view shows that the last one did not.
    fn change(&mut self, view: &View) -> Change {
        let appended = std::mem::take(&mut self.turn.appended_bytes);
        let View::Led(led) = view else {
            return Change {
                visible_bytes: 0,
                is_other: true,
            };
        };
        let bounds = (led.log.log_start(), led.log.log_end());
        let was = std::mem::replace(&mut self.shown_bounds, bounds);
        let (Some(Ok(before)), after) = (self.shown, led.reign) else {
            return Change {
                visible_bytes: 0,
                is_other: true,
            };
        };
        // With the high watermark at the log's end, before and after, all that was appended became
        // visible and nothing else did.
        let was_level = before.high_watermark == was.1;
        let is_level = after.high_watermark == bounds.1;
        let is_same_reign = before.leader_epoch == after.leader_epoch && was.0 == bounds.0;
        if before.high_watermark == after.high_watermark {
            Change {
                visible_bytes: 0,
                is_other: !is_same_reign,
            }
        } else if was_level && is_level && is_same_reign {
            Change {
                visible_bytes: appended,
                is_other: false,
            }
        } else {
            Change {
                visible_bytes: 0,
                is_other: true,
            }
        }
    }

    /// Tells the askers, now that the view shows what they are told.
    fn answer(&mut self) {
        let mut answers = std::mem::take(&mut self.turn.answers);
        for (ticket, answer) in answers.drain(..) {
            let Some(asked) = self.asked.remove(&ticket) else {
                continue;
            };
            let outcome = match (answer, asked.done) {
                (Ok(Outcome::Done), Some(done)) => Ok(done),
                (Ok(Outcome::Done), None) => unreachable!("success for what was not appended"),
                (Ok(Outcome::Deleted { log_start }), _) => Ok(Done::deleted(log_start)),
                (Ok(Outcome::Refused(refusal)), _) => Err(refusal.into()),
                (Err(error), _) => Err(error),
            };
            asked.by.tell(outcome);
        }
        self.turn.answers = answers;
    }
}

/// Prepares as many batches from the front as one group takes, writes and commits them; how many.
///
/// Each that was taken has a result afterwards.
fn append_one_group(
    log: &mut PartitionLog,
    appends: &mut [ToAppend],
    policy: &Policy,
    turn: &mut Turn,
) -> usize {
    let now = clock::wall();
    let mut count = 0;
    let mut group = log.begin();
    for append in appends.iter_mut() {
        let leader_append = LeaderAppend {
            batch: &mut append.batch,
            policy,
            arrival: Arrival {
                now,
                accepts_zstd: append.accepts_zstd,
            },
            leader_epoch: append.leader_epoch,
            origin: AppendOrigin::Client,
        };
        match log.prepare(&mut group, leader_append) {
            Err(PrepareError::GroupFull) if count > 0 => break,
            result => append.result = Some(result.map_err(RequestError::from)),
        }
        count += 1;
    }
    match log.write(&group) {
        Ok(()) => turn.appended_bytes += log.commit(group).bytes,
        Err(error) => {
            drop(group);
            for append in appends.iter_mut().take(count) {
                // A duplicate may be one of a batch of this very group, so it fails as well.
                if matches!(append.result, Some(Ok(_))) {
                    append.result = Some(Err(RequestError::from(&error)));
                }
            }
        }
    }
    count
}

/// A log that waits for its opening to be deleted is deleted, whatever else happens.
fn later_of(earlier: Disposal, later: Disposal) -> Disposal {
    match (earlier, later) {
        (Disposal::Delete, _) => Disposal::Delete,
        (_, later) => later,
    }
}

fn bounds(log: &PartitionLog) -> LogBounds {
    LogBounds {
        start: log.log_start(),
        end: log.log_end(),
        flushed_end: log.flushed_end(),
    }
}

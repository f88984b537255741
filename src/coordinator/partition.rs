//! One partition of `__consumer_offsets` that this broker leads: from the election over the load to the answers.
//!
//! - A shard lives in one reign. It serves once everything that was in the log at the election is replayed and committed:
//!   what it then tells nobody can take back.
//! - What it decides is appended in the order of its decisions. A batch follows once the one before it is in the log: what
//!   rests on a batch that was refused is never written.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::BytesMut;
use ottla_storage::time::MonoMillis;
use ottla_storage::{LeaderEpoch, Offset};
use tokio::sync::oneshot;

use super::batch;
use super::group::effects::Cx;
use super::group::error::GroupError;
use super::group::request::{AskId, Response};
use super::group::shard::{Action, BatchId, Event, Shard};
use super::inbox::{Appended, Asked, Inbox, Life, News};
use super::load::Load;
use super::may_serve;
use crate::metadata::PartitionIndex;
use crate::replica::request::{
    Acks, AskedBy, Asker, Batch, Done, Produce, Request, RequestError, Submission, Writer,
};
use crate::replica::view::{Change, Led, View, Watch};
use crate::replica::{OPEN_PAUSE, Replica, Watching};

/// How long a log that could not be read back is left alone.
const LOAD_PAUSE: Duration = Duration::from_secs(10);
/// How long a log that is full or busy is left alone.
const APPEND_PAUSE: Duration = Duration::from_millis(500);
/// An open log takes a batch at once, so this never matters.
const APPEND_WITHIN: Duration = Duration::from_mins(1);

/// A partition of the coordinator's topic.
#[derive(Debug)]
pub(super) struct Partition {
    index: PartitionIndex,
    replica: Arc<Replica>,
    inbox: Arc<Inbox>,
    /// Told of every change until it is dropped.
    _watching: Watching,
    waker: Waker,
    state: State,
    life: Life,
    actions: Vec<Action>,
}

#[derive(Debug)]
enum State {
    /// Another broker coordinates.
    Elsewhere,
    /// The log is being opened; when to ask again.
    Opening(MonoMillis),
    /// The log is being read.
    Loading(LeaderEpoch, Load, Box<Shard>),
    /// Everything is read and not everything is committed yet.
    Settling(LeaderEpoch, Offset, Box<Shard>),
    Serving(Box<Serving>),
    /// The log can't be read back in this reign; when to try again.
    Broken(LeaderEpoch, MonoMillis),
}

#[derive(Debug)]
struct Serving {
    epoch: LeaderEpoch,
    shard: Shard,
    /// Who waits, with the refusal that the question would get.
    asked: HashMap<AskId, (Response, oneshot::Sender<Response>)>,
    next_ask: u64,
    /// Batches that are not in the log, in their order. The first one may be with the partition.
    unsent: VecDeque<Unsent>,
    sending: Sending,
}

/// A batch that is to be appended.
#[derive(Debug)]
struct Unsent {
    id: BatchId,
    bytes: Vec<u8>,
    record_count: u64,
}

/// How far the first batch is.
#[derive(Debug, Default)]
enum Sending {
    /// It is not with the partition.
    #[default]
    Not,
    /// It waits for room in the partition's queue.
    Queueing(Submission),
    /// The partition has it.
    Appending,
    /// The log did not take it, and may soon: when to try again.
    Again(MonoMillis),
}

/// Told when the partition changes, or has room for more.
#[derive(Debug)]
struct Watcher {
    index: PartitionIndex,
    inbox: Arc<Inbox>,
}

impl Watch for Watcher {
    fn changed(&self, _: Change) {
        self.inbox.changed(self.index);
    }
}

impl Wake for Watcher {
    fn wake(self: Arc<Self>) {
        self.inbox.changed(self.index);
    }
}

/// Told of one batch.
#[derive(Debug)]
struct Appending {
    index: PartitionIndex,
    inbox: Arc<Inbox>,
    life: Life,
    batch: BatchId,
    record_count: u64,
}

impl Asker for Appending {
    fn decided(&self, _: usize, result: Result<Done, RequestError>) {
        let end_of = |done: Done| done.base_offset.saturating_add(self.record_count);
        self.inbox.appended(Appended {
            partition: self.index,
            life: self.life,
            batch: self.batch,
            end: result.map(end_of),
        });
    }
}

impl Partition {
    pub(super) fn new(index: PartitionIndex, replica: Arc<Replica>, inbox: &Arc<Inbox>) -> Self {
        let watcher = Arc::new(Watcher {
            index,
            inbox: inbox.clone(),
        });
        Self {
            index,
            inbox: inbox.clone(),
            _watching: replica.watch(watcher.clone()),
            replica,
            waker: Waker::from(watcher),
            state: State::Elsewhere,
            life: Life(0),
            actions: Vec::new(),
        }
    }

    /// Whether it is this replica that it coordinates for.
    pub(super) fn is_of(&self, replica: &Arc<Replica>) -> bool {
        Arc::ptr_eq(&self.replica, replica)
    }

    pub(super) fn ask(&mut self, cx: &Cx<'_>, asked: Asked) {
        let Asked { request, to, .. } = asked;
        let error = match &mut self.state {
            State::Serving(serving) => {
                let ask = AskId(serving.next_ask);
                serving.next_ask += 1;
                let refused = request.refused(GroupError::NotCoordinator);
                serving.asked.insert(ask, (refused, to));
                let event = Event::Ask(ask, request);
                serving.shard.handle(cx, event, &mut self.actions);
                return;
            }
            State::Elsewhere => GroupError::NotCoordinator,
            State::Opening(_) | State::Loading(..) | State::Settling(..) => {
                GroupError::LoadInProgress
            }
            State::Broken(..) => GroupError::NotAvailable,
        };
        // Who does not wait any more needs no answer.
        let _ = to.send(request.refused(error));
    }

    pub(super) fn news(&mut self, cx: &Cx<'_>, news: &News) {
        if let State::Serving(serving) = &mut self.state
            && news.is_about_topics
        {
            let event = Event::Metadata(news.deleted.clone());
            serving.shard.handle(cx, event, &mut self.actions);
        }
    }

    pub(super) fn appended(&mut self, cx: &Cx<'_>, appended: Appended) {
        let State::Serving(serving) = &mut self.state else {
            return;
        };
        if appended.life != self.life {
            return;
        }
        match appended.end {
            Ok(end) => {
                serving.unsent.pop_front();
                serving.sending = Sending::Not;
                let event = Event::Appended(appended.batch, end);
                serving.shard.handle(cx, event, &mut self.actions);
            }
            // Nothing was decided in vain. Who waits for too long is refused by the shard.
            Err(error) if may_pass(&error) => {
                serving.sending = Sending::Again(cx.now.saturating_add(APPEND_PAUSE));
            }
            Err(error) => self.read_again(cx.now, &error),
        }
    }

    /// Goes on as far as possible: follows the partition, reads some of its log, sees to what is due, and appends what was
    /// decided. When to come again, if nothing happens before.
    pub(super) fn work(&mut self, cx: &Cx<'_>) -> Option<MonoMillis> {
        self.follow(cx);
        if let State::Serving(serving) = &mut self.state {
            serving.shard.handle(cx, Event::Tick, &mut self.actions);
            serving.shard.flush(&mut self.actions);
            self.act(cx);
        }
        match &self.state {
            State::Elsewhere | State::Settling(..) => None,
            State::Loading(..) => Some(cx.now),
            State::Opening(at) | State::Broken(_, at) => Some(*at),
            State::Serving(serving) => {
                let again = match serving.sending {
                    Sending::Again(at) => Some(at),
                    Sending::Not | Sending::Queueing(_) | Sending::Appending => None,
                };
                let both = [serving.shard.next_deadline(), again];
                both.into_iter().flatten().min()
            }
        }
    }

    /// This broker coordinates no more.
    pub(super) fn end(&mut self) {
        self.unload(&GroupError::NotCoordinator);
    }

    /// Sees what the partition shows now.
    fn follow(&mut self, cx: &Cx<'_>) {
        let view = self.replica.view_owned();
        match &*view {
            View::Led(led) => self.led(cx, led),
            View::Closed => self.opening(cx.now),
            View::Refused(_) | View::Followed(_) => {
                if !matches!(self.state, State::Elsewhere) {
                    self.unload(&GroupError::NotCoordinator);
                }
            }
        }
    }

    fn opening(&mut self, now: MonoMillis) {
        match &self.state {
            State::Opening(at) if *at > now => {}
            State::Opening(_) | State::Elsewhere => {
                self.replica.ask_open();
                self.state = State::Opening(now.saturating_add(OPEN_PAUSE));
            }
            _ => self.unload(&GroupError::NotCoordinator),
        }
    }

    fn led(&mut self, cx: &Cx<'_>, led: &Led) {
        let epoch = led.reign.leader_epoch;
        let is_of_reign = match &self.state {
            State::Elsewhere | State::Opening(_) => false,
            State::Loading(of, ..) | State::Settling(of, ..) => *of == epoch,
            State::Broken(of, until) => *of == epoch && *until > cx.now,
            State::Serving(serving) => serving.epoch == epoch,
        };
        if !is_of_reign {
            self.unload(&GroupError::NotCoordinator);
            self.life.0 += 1;
            self.state = State::Loading(epoch, Load::new(led.log.clone()), Box::default());
        }
        self.load(cx.now);
        let high_watermark = led.high_watermark();
        self.state = match std::mem::replace(&mut self.state, State::Elsewhere) {
            State::Settling(epoch, end, mut shard) if may_serve(end, high_watermark) => {
                shard.start(cx, &mut self.actions);
                let (partition, group_count) = (self.index.get(), shard.group_count());
                if group_count > 0 {
                    tracing::info!(partition, %epoch, group_count, "consumer groups: coordinating");
                }
                State::Serving(Box::new(Serving::new(epoch, *shard)))
            }
            other => other,
        };
        if let State::Serving(serving) = &mut self.state {
            let event = Event::Committed(high_watermark);
            serving.shard.handle(cx, event, &mut self.actions);
        }
    }

    /// Reads on.
    fn load(&mut self, now: MonoMillis) {
        let State::Loading(epoch, load, shard) = &mut self.state else {
            return;
        };
        match load.read(|record| shard.replay(record)) {
            Ok(false) => {}
            Ok(true) => {
                let (epoch, end) = (*epoch, load.end());
                let shard = std::mem::take(shard);
                self.state = State::Settling(epoch, end, shard);
            }
            Err(error) => {
                let until = now.saturating_add(LOAD_PAUSE);
                self.state = State::Broken(*epoch, until);
                self.warn(
                    "the log can't be read back, and its groups have no coordinator",
                    &error,
                );
            }
        }
    }

    /// Forgets the shard; whoever waits for it is refused.
    fn unload(&mut self, error: &GroupError) {
        self.actions.clear();
        let state = std::mem::replace(&mut self.state, State::Elsewhere);
        if let State::Serving(serving) = state {
            serving.refuse_all(error);
        }
    }

    /// Carries out what the shard wants.
    fn act(&mut self, cx: &Cx<'_>) {
        let State::Serving(serving) = &mut self.state else {
            return;
        };
        let mut unwritable = None;
        for action in self.actions.drain(..) {
            match action {
                Action::Answer(ask, response) => serving.answer(ask, response),
                Action::Note(group, note) => {
                    // Names and reasons are clients' words.
                    let (group, note) = (group.as_str(), note.escape_debug());
                    tracing::info!(group, "consumer groups: {note}");
                }
                Action::Append(id, records) => match batch::encode(&records, cx.wall) {
                    Ok(bytes) => serving.unsent.push_back(Unsent {
                        id,
                        bytes,
                        record_count: records.len() as u64,
                    }),
                    Err(error) => unwritable = Some(error),
                },
            }
        }
        self.send(cx.now);
        if let Some(error) = unwritable {
            self.read_again(cx.now, &error);
        }
    }

    /// Appends the next batch, if it is time.
    fn send(&mut self, now: MonoMillis) {
        let State::Serving(serving) = &mut self.state else {
            return;
        };
        let is_time = match serving.sending {
            Sending::Not => true,
            Sending::Again(at) => at <= now,
            Sending::Queueing(_) | Sending::Appending => false,
        };
        if is_time && let Some(next) = serving.unsent.front() {
            let asker = Arc::new(Appending {
                index: self.index,
                inbox: self.inbox.clone(),
                life: self.life,
                batch: next.id,
                record_count: next.record_count,
            });
            let request = produce(&next.bytes, serving.epoch, now, asker);
            serving.sending = Sending::Queueing(Submission::from(request));
        }
        if let Sending::Queueing(submission) = &mut serving.sending
            && self.replica.poll_submit(submission, &self.waker).is_ready()
        {
            serving.sending = Sending::Appending;
        }
    }

    /// What was decided is not in the log: the groups are again what the log says.
    fn read_again(&mut self, now: MonoMillis, error: &(dyn std::error::Error + 'static)) {
        self.warn(
            "the log took no records, and its groups are read back from it",
            error,
        );
        let State::Serving(serving) = &self.state else {
            return;
        };
        let epoch = serving.epoch;
        self.unload(&GroupError::NotAvailable);
        self.state = State::Broken(epoch, now.saturating_add(OPEN_PAUSE));
    }

    fn warn(&self, what: &'static str, error: &(dyn std::error::Error + 'static)) {
        let partition = self.index.get();
        tracing::warn!(partition, error, "consumer groups: {what}");
    }
}

impl Serving {
    fn new(epoch: LeaderEpoch, shard: Shard) -> Self {
        Self {
            epoch,
            shard,
            asked: HashMap::new(),
            next_ask: 0,
            unsent: VecDeque::new(),
            sending: Sending::Not,
        }
    }

    fn answer(&mut self, ask: AskId, response: Response) {
        if let Some((_, to)) = self.asked.remove(&ask) {
            // Who does not wait any more needs no answer.
            let _ = to.send(response);
        }
    }

    fn refuse_all(self, error: &GroupError) {
        for (refused, to) in self.asked.into_values() {
            let _ = to.send(refused.refused(error.clone()));
        }
    }
}

/// Whether a log that did not take a batch may take it a moment later, with nothing else in between.
fn may_pass(error: &RequestError) -> bool {
    use ottla_storage::log::PrepareError::{Backlogged, DiskFull, Truncating};
    match error {
        RequestError::Prepare(error) => matches!(error, Backlogged | DiskFull | Truncating),
        RequestError::Write { is_disk_full } => *is_disk_full,
        RequestError::Refused(_) => false,
    }
}

fn produce(bytes: &[u8], epoch: LeaderEpoch, now: MonoMillis, asker: Arc<Appending>) -> Request {
    Request::Produce(Produce {
        batch: Batch {
            writer: Writer::Coordinator(epoch),
            bytes: BytesMut::from(bytes),
            accepts_zstd: true,
            holding: None,
        },
        // The shard sees for itself when it is committed.
        acks: Acks::None,
        deadline: now.saturating_add(APPEND_WITHIN),
        by: AskedBy { asker, part: 0 },
    })
}

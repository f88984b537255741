//! One coordinator, as `coordinator::partition` has it on the node: from the load over the answers to its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ottla::coordinator::group::effects::Cx;
use ottla::coordinator::group::error::GroupError;
use ottla::coordinator::group::request::{AskId, Request, Response};
use ottla::coordinator::group::shard::{Action, BatchId, Event, Shard};
use ottla::coordinator::may_serve;
use ottla_storage::time::MonoMillis;

use super::clean::{self, Left};
use super::log::{Batch, Log};
use crate::rng::Rng;
use crate::sim::check::Violation;

/// How long a shard is left alone that was thrown away.
const BROKEN_MILLIS: u64 = 100;

#[derive(Debug)]
enum State {
    /// The log is read, and not all of it is known to be committed.
    Settling(Box<Shard>),
    Serving(Box<Shard>),
    /// Until then, nobody is answered; then the log is read again.
    Broken(MonoMillis),
}

/// A coordinator, its log, and who waits for it.
#[derive(Debug)]
pub(super) struct Coordinator {
    /// Which one: they ascend.
    pub(super) life: u64,
    pub(super) log: Log,
    /// How many batches are committed, as far as it knows.
    pub(super) committed: usize,
    /// How its log is cleaned meanwhile.
    rng: Rng,
    state: State,
    queue: VecDeque<(BatchId, Arc<Batch>)>,
    /// With the refusal that each would get.
    asked: BTreeMap<AskId, Response>,
    actions: Vec<Action>,
    /// What it said, for whoever takes it.
    pub(super) answers: Vec<(AskId, Response)>,
    /// What it decided to write, for whoever takes it.
    pub(super) decided: Vec<Arc<Batch>>,
    /// How many records, and how many tombstones, had been cleaned away when the log was read, for whoever takes it.
    pub(super) loads: Vec<(usize, usize)>,
}

impl Coordinator {
    pub(super) fn new(life: u64, log: Log, committed: usize, rng: Rng) -> Self {
        let mut coordinator = Self {
            life,
            committed,
            rng,
            state: State::Broken(MonoMillis::ZERO),
            queue: VecDeque::new(),
            asked: BTreeMap::new(),
            actions: Vec::new(),
            answers: Vec::new(),
            decided: Vec::new(),
            loads: Vec::new(),
            log,
        };
        coordinator.load();
        coordinator
    }

    /// Reads the log, or what is left of it.
    fn load(&mut self) {
        let left = clean::any(&self.log, self.committed, &mut self.rng);
        self.loads.push((left.gone, left.tombstones_gone));
        self.state = State::Settling(Box::new(replayed(&left)));
    }

    pub(super) fn shard(&self) -> Option<&Shard> {
        match &self.state {
            State::Serving(shard) => Some(shard),
            _ => None,
        }
    }

    pub(super) fn is_waited_for(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether it has the question and has not answered it.
    pub(super) fn is_asked(&self, ask: AskId) -> bool {
        self.asked.contains_key(&ask)
    }

    /// Nothing is decided that is not in the log.
    pub(super) fn is_written(&self) -> bool {
        self.queue.is_empty() && self.shard().is_some()
    }

    pub(super) fn ask(
        &mut self,
        cx: &Cx<'_>,
        ask: AskId,
        request: Request,
    ) -> Result<(), Violation> {
        let error = match &mut self.state {
            State::Serving(shard) => {
                let refused = request.refused(GroupError::NotCoordinator);
                self.asked.insert(ask, refused);
                shard.handle(cx, Event::Ask(ask, request), &mut self.actions);
                return self.act(cx);
            }
            State::Settling(_) => GroupError::LoadInProgress,
            State::Broken(_) => GroupError::NotAvailable,
        };
        self.answers.push((ask, request.refused(error)));
        Ok(())
    }

    pub(super) fn event(&mut self, cx: &Cx<'_>, event: Event) -> Result<(), Violation> {
        if let State::Serving(shard) = &mut self.state {
            shard.handle(cx, event, &mut self.actions);
        }
        self.act(cx)
    }

    /// Sees to what is due; nothing is afterwards.
    pub(super) fn tick(&mut self, cx: &Cx<'_>) -> Result<(), Violation> {
        if let State::Broken(until) = self.state
            && until <= cx.now
        {
            self.load();
        }
        let end = self.log.end(self.log.len());
        if let State::Settling(_) = &self.state
            && may_serve(end, self.log.end(self.committed))
            && let State::Settling(mut shard) =
                std::mem::replace(&mut self.state, State::Broken(cx.now))
        {
            shard.start(cx, &mut self.actions);
            self.state = State::Serving(shard);
        }
        self.event(cx, Event::Tick)?;
        let due = self.shard().and_then(Shard::next_deadline);
        if let Some(due) = due.filter(|due| *due <= cx.now) {
            let text = format!("after a tick at {:?} something is due at {due:?}", cx.now);
            return Err(Violation::new("deadlines", text));
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, cx: &Cx<'_>) -> Result<(), Violation> {
        if let State::Serving(shard) = &mut self.state {
            shard.flush(&mut self.actions);
        }
        self.act(cx)
    }

    /// The next batch is in the log; whether there was one.
    pub(super) fn append(&mut self, cx: &Cx<'_>) -> Result<bool, Violation> {
        let Some((id, batch)) = self.queue.pop_front() else {
            return Ok(false);
        };
        let end = self.log.push(batch);
        self.event(cx, Event::Appended(id, end))?;
        Ok(true)
    }

    /// The log takes nothing: the groups are again what it says. Whether there was anything to take.
    pub(super) fn refuse_appends(&mut self, now: MonoMillis) -> bool {
        if self.queue.is_empty() {
            return false;
        }
        self.unload(&GroupError::NotAvailable);
        let until = now.as_millis() + BROKEN_MILLIS;
        self.state = State::Broken(MonoMillis::from_millis(until));
        true
    }

    /// Batches up to `count` are committed.
    pub(super) fn commit(&mut self, cx: &Cx<'_>, count: usize) -> Result<(), Violation> {
        self.committed = count;
        self.event(cx, Event::Committed(self.log.end(count)))
    }

    /// It coordinates no more; who waits is told.
    pub(super) fn end(&mut self) {
        self.unload(&GroupError::NotCoordinator);
        self.state = State::Broken(MonoMillis::MAX);
    }

    fn unload(&mut self, error: &GroupError) {
        self.queue.clear();
        self.actions.clear();
        for (ask, response) in std::mem::take(&mut self.asked) {
            self.answers.push((ask, response.refused(error.clone())));
        }
    }

    fn act(&mut self, cx: &Cx<'_>) -> Result<(), Violation> {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Append(id, records) => {
                    let batch = Arc::new(Batch::new(records, cx.wall)?);
                    self.decided.push(batch.clone());
                    self.queue.push_back((id, batch));
                }
                Action::Note(..) => {}
                Action::Answer(ask, response) => {
                    if self.asked.remove(&ask).is_none() {
                        let text = format!("{ask:?} is answered twice, now with {response:?}");
                        return Err(Violation::new("answers", text));
                    }
                    self.answers.push((ask, response));
                }
            }
        }
        Ok(())
    }
}

/// What a log comes to.
pub(super) fn replayed(log: &Left<'_>) -> Shard {
    let mut shard = Shard::default();
    for record in &log.records {
        shard.replay((*record).clone());
    }
    shard
}

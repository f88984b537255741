//! One partition of `__consumer_offsets` as its coordinator has it: its groups, what is on the way into the log, and who
//! waits for that.
//!
//! - An answer leaves when everything that it rests on is committed: what its own event wrote, and what was written about
//!   the members of its group before. So no member acts on a generation that a move of the coordinator could undo, and no
//!   commit is acknowledged that one could lose (C2).
//! - Batches are appended in the order of their numbers. One that was refused for certain is in nobody's log, but in this
//!   memory: then the whole shard is thrown away and read from the log again. One whose fate is not known stays: this
//!   leader's log has it or this leader is none any more.
//! - What is decided while a batch is on its way shares the next one (group commit).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ottla_storage::ids::Offset;
use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use super::effects::{Cx, Effects};
use super::error::GroupError;
use super::groups::{Groups, Outcomes};
use super::names::GroupId;
use super::record::{Fact, OffsetValue, Record};
use super::request::{AskId, Request, Response, TopicPartition};

/// A batch on its way into the log; they ascend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u64);

/// What happens to a shard.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody asks.
    Ask(AskId, Request),
    /// Time passed.
    Tick,
    /// The cluster's metadata have changed; these topics are no more.
    Metadata(Vec<Arc<str>>),
    /// The batch is in this leader's log, and ends (exclusive) there.
    Appended(BatchId, Offset),
    /// Everything below is committed.
    Committed(Offset),
}

/// What a shard wants.
#[derive(Clone, Debug)]
pub enum Action {
    /// The records at the end of the log, in one batch.
    Append(BatchId, Vec<Record>),
    /// The answer to who asked.
    Answer(AskId, Response),
    /// What the operator may want to know of a group.
    Note(GroupId, String),
}

/// What one batch may hold, about: the records of one event are never divided.
const BATCH_RECORDS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Records that may be on their way; who would write more is told to come again.
const RECORDS_MAX: usize = 20_000;

/// A batch that is not committed.
#[derive(Clone, Debug)]
struct Batch {
    id: BatchId,
    /// What counts once it is committed.
    offsets: Vec<(GroupId, TopicPartition, Option<OffsetValue>)>,
    record_count: usize,
    /// Where it ends, once it is appended.
    end: Option<Offset>,
}

/// An answer that waits.
#[derive(Clone, Debug)]
enum Held {
    Answer(Response),
    /// Decided once everything before is committed: a fetch of what is stable.
    Question(Request),
}

/// The coordinator of one partition.
#[derive(Clone, Debug, Default)]
pub struct Shard {
    groups: Groups,
    /// What the next batch holds.
    open: Vec<Record>,
    open_bytes: usize,
    /// In the order of their numbers.
    batches: VecDeque<Batch>,
    /// The number of the open batch.
    next: BatchId,
    record_count: usize,
    /// The last batch that says something about the members of a group.
    about_members: BTreeMap<GroupId, BatchId>,
    held: BTreeMap<BatchId, Vec<(AskId, Held)>>,
    /// In the order of the moments, because everybody waits equally long.
    patience: VecDeque<(MonoMillis, BatchId)>,
}

impl Shard {
    /// How many groups it has.
    pub fn group_count(&self) -> usize {
        self.groups.count()
    }

    /// A record of the log, in its order, before [`Shard::start`].
    pub fn replay(&mut self, record: Record) {
        self.groups.replay(record);
    }

    /// Everything in the log was replayed, and is committed.
    pub fn start(&mut self, cx: &Cx<'_>, actions: &mut Vec<Action>) {
        let outcomes = self.groups.start(cx);
        self.settle(cx, outcomes, actions);
        self.flush(actions);
    }

    /// Decides about one event. What it wants to append waits for [`Shard::flush`], for others to share the batch.
    pub fn handle(&mut self, cx: &Cx<'_>, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Ask(ask, request) => self.ask(cx, ask, request, actions),
            Event::Tick => self.tick(cx, actions),
            Event::Metadata(deleted) => {
                let outcomes = self.groups.metadata_changed(&deleted);
                self.settle(cx, outcomes, actions);
            }
            Event::Appended(id, end) => {
                if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
                    batch.end = Some(end);
                }
            }
            Event::Committed(high_watermark) => self.committed(cx, high_watermark, actions),
        }
    }

    /// Closes the open batch.
    pub fn flush(&mut self, actions: &mut Vec<Action>) {
        if self.open.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.open);
        self.open_bytes = 0;
        let id = self.next;
        self.next = BatchId(id.0 + 1);
        self.record_count += records.len();
        let offsets = records.iter().filter_map(|record| match &record.fact {
            Fact::Offset(of, value) => Some((record.group.clone(), of.clone(), value.clone())),
            _ => None,
        });
        self.batches.push_back(Batch {
            id,
            offsets: offsets.collect(),
            record_count: records.len(),
            end: None,
        });
        actions.push(Action::Append(id, records));
    }

    /// When [`Event::Tick`] has something to do.
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        let patience = self.patience.front().map(|(at, _)| *at);
        [self.groups.next_deadline(), patience]
            .into_iter()
            .flatten()
            .min()
    }

    fn ask(&mut self, cx: &Cx<'_>, ask: AskId, request: Request, actions: &mut Vec<Action>) {
        let is_full = self.record_count + self.open.len() >= RECORDS_MAX;
        if is_full && request.writes() {
            let refused = request.refused(GroupError::NotAvailable);
            return actions.push(Action::Answer(ask, refused));
        }
        // Afterwards would be too late: a batch that the log can't take costs all groups here their memory.
        if request.bytes() > cx.settings.event_bytes_max() {
            let refused = request.refused(GroupError::TooLarge);
            return actions.push(Action::Answer(ask, refused));
        }
        if let Request::FetchOffsets(fetch) = &request
            && fetch.require_stable
            && self.groups.is_committing(&fetch.group)
        {
            let last = self.last_batch();
            return self.hold(cx, last, ask, Held::Question(request));
        }
        self.decide(cx, ask, request, actions);
    }

    fn decide(&mut self, cx: &Cx<'_>, ask: AskId, request: Request, actions: &mut Vec<Action>) {
        let outcomes = self.groups.ask(cx, ask, request);
        self.settle(cx, outcomes, actions);
    }

    fn tick(&mut self, cx: &Cx<'_>, actions: &mut Vec<Action>) {
        while let Some((at, id)) = self.patience.front().copied()
            && at <= cx.now
        {
            self.patience.pop_front();
            for (ask, held) in self.held.remove(&id).into_iter().flatten() {
                let refused = match held {
                    Held::Answer(response) => response.refused(GroupError::NotAvailable),
                    Held::Question(request) => request.refused(GroupError::NotAvailable),
                };
                actions.push(Action::Answer(ask, refused));
            }
        }
        while let Some(outcome) = self.groups.tick(cx) {
            self.settle(cx, vec![outcome], actions);
        }
        // A share: what came meanwhile has its turn before the next one.
        let outcomes = self.groups.sweep(cx);
        self.settle(cx, outcomes, actions);
    }

    fn committed(&mut self, cx: &Cx<'_>, high_watermark: Offset, actions: &mut Vec<Action>) {
        let is_committed = |batch: &Batch| batch.end.is_some_and(|end| end <= high_watermark);
        let mut reached = None;
        while let Some(batch) = self.batches.pop_front_if(|batch| is_committed(batch)) {
            for (group, of, value) in batch.offsets {
                self.groups.committed(&group, &of, value);
            }
            self.record_count -= batch.record_count;
            reached = Some(batch.id);
        }
        let Some(reached) = reached else { return };
        self.about_members.retain(|_, last| *last > reached);
        let later = self.held.split_off(&BatchId(reached.0 + 1));
        let due = std::mem::replace(&mut self.held, later);
        self.patience.retain(|(_, id)| *id > reached);
        for (ask, held) in due.into_values().flatten() {
            match held {
                Held::Answer(response) => actions.push(Action::Answer(ask, response)),
                // Not held again by what others have committed meanwhile: in a busy group it would never be told.
                Held::Question(request) => self.decide(cx, ask, request, actions),
            }
        }
    }

    /// Takes over what an event led to: records into the open batch, and answers to whoever need not wait.
    fn settle(&mut self, cx: &Cx<'_>, outcomes: Outcomes, actions: &mut Vec<Action>) {
        for (group, fx) in outcomes {
            let Effects {
                records,
                answers,
                notes,
            } = fx;
            let notes = notes.into_iter();
            actions.extend(notes.map(|note| Action::Note(group.clone(), note)));
            let is_writing = !records.is_empty();
            let bytes: usize = records.iter().map(Record::bytes).sum();
            if self.open_bytes + bytes > BATCH_BYTES_MAX.min(cx.settings.event_bytes_max()) {
                self.flush(actions);
            }
            self.open_bytes += bytes;
            if records.iter().any(Record::is_about_members) {
                self.about_members.insert(group.clone(), self.next);
            }
            self.open.extend(records);
            let own = is_writing.then_some(self.next);
            let rests_on = own.max(self.about_members.get(&group).copied());
            let rests_on = rests_on.filter(|_| !is_planted("an-answer-waits-for-its-commit"));
            for (ask, response) in answers {
                match rests_on {
                    Some(id) => self.hold(cx, id, ask, Held::Answer(response)),
                    None => actions.push(Action::Answer(ask, response)),
                }
            }
            if self.open.len() >= BATCH_RECORDS_MAX {
                self.flush(actions);
            }
        }
    }

    fn hold(&mut self, cx: &Cx<'_>, id: BatchId, ask: AskId, held: Held) {
        let until = cx.now.saturating_add(cx.settings.commit_timeout);
        let waiting = self.held.entry(id).or_default();
        if waiting.is_empty() {
            self.patience.push_back((until, id));
        }
        waiting.push((ask, held));
    }

    /// The last batch that has anything in it, or will have.
    fn last_batch(&self) -> BatchId {
        match self.batches.back() {
            Some(last) if self.open.is_empty() => last.id,
            _ => self.next,
        }
    }
}

#[cfg(test)]
mod tests;

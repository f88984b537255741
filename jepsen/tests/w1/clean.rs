//! The clean history: a small simulated cluster and its clients, in which nothing goes wrong for good.
//!
//! - Two lanes run interleaved. *Extras* do random things on keys 0 to 3; the *stage* does what [`stage`] says, step by
//!   step, on keys 10 to 14. Mutations edit the stage, so what they break is known.
//! - An operation takes effect when it ends, so the history is strictly serializable.
//! - Markers and aborted records take offsets that nobody polls; key 3 begins at a high offset, as after retention.

use std::collections::{BTreeMap, VecDeque};

use ottla_jepsen::history::{Action, Datum, Index, Key, Kind, MicroOp, Name, Note, Offset};
use ottla_jepsen::history::{Operation, Process, Record, Value, Verb};
use ottla_jepsen::rng::Rng;

/// The actors of the stage: threads, which go on as other processes after an unknown outcome.
pub(crate) const SENDER: u64 = 4;
pub(crate) const READER: u64 = 5;
pub(crate) const TRANSACTOR: u64 = 6;
const CONCURRENCY: u64 = 7;

/// The threads that read everything at the end.
const FINAL_READERS: [u64; 2] = [0, 1];

/// How many records of a key one poll returns.
const POLLED_MAX: usize = 3;

/// How an operation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Ok,
    /// Done, but the offset was not told.
    OkWithoutOffset,
    /// Refused, or the transaction was aborted.
    Fail,
    /// Done, and nobody told.
    InfoDone,
    /// Not done, and nobody told.
    InfoLost,
}

/// What a thread does.
#[derive(Clone, Debug)]
enum Act {
    Assign(Vec<u64>),
    Send(Vec<u64>, Fate),
    Poll,
    /// One poll, then sends to these keys.
    Txn(Vec<u64>, Fate),
    Crash,
    Fault(&'static str),
}

/// A step of a lane. `Begin` and `End` are the halves of `Do`, for what overlaps.
#[derive(Clone, Debug)]
enum Step {
    Do(u64, Act),
    Begin(u64, Act),
    End(u64),
}

/// The history, and the processes that read everything at its end.
pub(crate) fn history() -> (Vec<Operation>, [u64; 2]) {
    let mut rng = Rng::new(41);
    let mut world = World::new(rng.fork());
    let mut lanes = vec![stage()];
    lanes.extend((0..4).map(|thread| extras(thread, &mut rng)));
    // Each `Do` is cut in two, so that the lanes interleave between a beginning and its end.
    let mut lanes: Vec<VecDeque<Step>> = lanes.into_iter().map(cut).collect();
    while lanes.iter().any(|lane| !lane.is_empty()) {
        let lane = rng.index(lanes.len());
        if let Some(step) = lanes[lane].pop_front() {
            world.run(step);
        }
    }
    for thread in FINAL_READERS {
        world.read_everything(thread);
    }
    let readers = FINAL_READERS.map(|thread| world.threads[&thread].process);
    (world.operations, readers)
}

/// What happens on keys 10 to 14, with the offsets and values that come of it.
fn stage() -> Vec<Step> {
    use Fate::{Fail, InfoDone, InfoLost, Ok, OkWithoutOffset};
    let sender = |keys: &[u64], fate| Step::Do(SENDER, Act::Send(keys.to_vec(), fate));
    let txn = |keys: &[u64], fate| Step::Do(TRANSACTOR, Act::Txn(keys.to_vec(), fate));
    let poll = || Step::Do(READER, Act::Poll);
    let assign = |thread, keys: &[u64]| Step::Do(thread, Act::Assign(keys.to_vec()));
    vec![
        assign(READER, &[10, 11]),
        assign(TRANSACTOR, &[11]),
        sender(&[10], Ok),              // value 1 at offset 0
        sender(&[10], Ok),              // 2 at 1
        poll(),                         // 10: 1 2
        sender(&[10, 10], Ok),          // 3 at 2, 4 at 3
        txn(&[10, 11], Ok),             // 5 at 4, a marker at 5; key 11: 1 at 0, a marker at 1
        poll(),                         // 10: 3 4 5; 11: 1
        txn(&[10, 11], Fail),           // aborted: 6 at 6; key 11: 2 at 2
        sender(&[10], Ok),              // 7 at 8
        txn(&[10], Ok),                 // polls 1 of key 11; 8 at 9
        sender(&[11], Ok),              // 3 at 4
        poll(),                         // 10: 7 8; 11: 3
        txn(&[10, 11], InfoDone),       // polls 3 of key 11; 9 at 11; key 11: 4 at 5
        sender(&[10], Ok),              // 10 at 13
        poll(),                         // 10: 9 10; 11: 4
        sender(&[10], InfoLost),        // 11, nowhere
        sender(&[10], Fail),            // 12, nowhere
        sender(&[10], Ok),              // 13 at 14
        sender(&[11], OkWithoutOffset), // 5, at 7
        poll(),                         // 10: 13; 11: 5
        sender(&[10], Ok),              // 14 at 15
        sender(&[10], Ok),              // 15 at 16
        poll(),                         // 10: 14 15
        assign(TRANSACTOR, &[11]),
        Step::Do(TRANSACTOR, Act::Poll), // 11: 1 3 4
        txn(&[10], Fail),                // polls 5 of key 11; aborted: 16 at 17
        Step::Do(TRANSACTOR, Act::Poll), // 11: 5 again
        sender(&[10], Ok),               // 17 at 19
        poll(),                          // 10: 17
        assign(READER, &[10]),
        assign(READER, &[10, 11]),
        poll(),            // 11: 1 3 4 from the beginning; key 10 stays where it was
        sender(&[14], Ok), // 1 at 0, for the final readers only
        // Two transactions at one time: 1 at 0 of both keys, then 2 at 2.
        Step::Begin(TRANSACTOR, Act::Txn(vec![12, 13], Ok)),
        Step::Begin(SENDER, Act::Txn(vec![12, 13], Ok)),
        Step::End(TRANSACTOR),
        Step::End(SENDER),
    ]
}

/// What a thread does on keys 0 to 3.
fn extras(thread: u64, rng: &mut Rng) -> Vec<Step> {
    let mut acts = vec![Act::Assign(vec![0, 1, 2, 3])];
    for _ in 0..14 {
        let key = rng.below(4);
        let other = (key + 1) % 4;
        acts.push(match rng.below(12) {
            0..4 => Act::Send(vec![key], Fate::Ok),
            4 => Act::Send(vec![key], Fate::InfoDone),
            5 => Act::Txn(vec![key, other], Fate::Ok),
            6 => Act::Txn(vec![key], Fate::Fail),
            7 => Act::Assign(vec![key, other]),
            8 => Act::Crash,
            _ => Act::Poll,
        });
    }
    if thread == 3 {
        acts.insert(3, Act::Fault("start-partition"));
        acts.insert(7, Act::Fault("stop-partition"));
    }
    acts.into_iter().map(|act| Step::Do(thread, act)).collect()
}

fn cut(lane: Vec<Step>) -> VecDeque<Step> {
    let halves = lane.into_iter().flat_map(|step| match step {
        Step::Do(thread, act) => vec![Step::Begin(thread, act), Step::End(thread)],
        half => vec![half],
    });
    halves.collect()
}

struct World {
    rng: Rng,
    time: u64,
    operations: Vec<Operation>,
    logs: BTreeMap<Key, Log>,
    threads: BTreeMap<u64, Thread>,
}

/// A key's log: at each offset a value, or something that nobody polls.
#[derive(Default)]
struct Log {
    base: u64,
    slots: Vec<Option<Value>>,
    sent: i64,
}

struct Thread {
    process: u64,
    /// The next offset of each key that it consumes.
    positions: BTreeMap<Key, u64>,
    /// What a new process has to assign before it can poll.
    wanted: Vec<u64>,
    open: Option<(Act, Action)>,
}

impl World {
    fn new(rng: Rng) -> Self {
        let mut logs = BTreeMap::new();
        logs.insert(
            Key(3),
            Log {
                base: 700,
                ..Log::default()
            },
        );
        let thread = |thread| Thread {
            process: thread,
            positions: BTreeMap::new(),
            wanted: Vec::new(),
            open: None,
        };
        Self {
            rng,
            time: 0,
            operations: Vec::new(),
            logs,
            threads: (0..CONCURRENCY).map(|id| (id, thread(id))).collect(),
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Do(thread, act) => {
                self.begin(thread, act);
                self.end(thread);
            }
            Step::Begin(thread, act) => self.begin(thread, act),
            Step::End(thread) => self.end(thread),
        }
    }

    fn write(&mut self, process: Process, kind: Kind, action: Action, notes: Vec<Note>) {
        self.time += 1_000 * (1 + self.rng.below(900));
        self.operations.push(Operation {
            index: Index(self.operations.len() as u64),
            time: self.time,
            kind,
            process,
            action,
            notes,
        });
    }

    fn begin(&mut self, thread: u64, act: Act) {
        if let Act::Fault(name) = act {
            let action = Action::Other(Name::literal(name), Datum::keyword("majority"));
            let nemesis = Process::Other(Name::literal("nemesis"));
            self.write(nemesis, Kind::Info, action, Vec::new());
            return;
        }
        let polls = matches!(act, Act::Poll | Act::Txn(..));
        let wanted = std::mem::take(&mut self.threads.get_mut(&thread).unwrap().wanted);
        if polls && !wanted.is_empty() {
            self.run(Step::Do(thread, Act::Assign(wanted)));
        }
        let action = match &act {
            Act::Assign(keys) => Action::Assign(keys.iter().copied().map(Key).collect()),
            Act::Crash => Action::Crash,
            Act::Poll => Action::MicroOps(Verb::Poll, vec![MicroOp::Poll(None)]),
            Act::Send(keys, _) => Action::MicroOps(Verb::Send, self.sends(keys)),
            Act::Txn(keys, _) => {
                let mut micro_ops = vec![MicroOp::Poll(None)];
                micro_ops.extend(self.sends(keys));
                Action::MicroOps(Verb::Txn, micro_ops)
            }
            Act::Fault(_) => return,
        };
        let state = self.threads.get_mut(&thread).unwrap();
        state.open = Some((act, action.clone()));
        let process = Process::Client(state.process);
        self.write(process, Kind::Invoke, action, Vec::new());
    }

    fn sends(&mut self, keys: &[u64]) -> Vec<MicroOp> {
        let send = |key: &u64| {
            let log = self.logs.entry(Key(*key)).or_default();
            log.sent += 1;
            MicroOp::Send {
                key: Key(*key),
                offset: None,
                value: Value(log.sent),
            }
        };
        keys.iter().map(send).collect()
    }

    fn end(&mut self, thread: u64) {
        let state = self.threads.get_mut(&thread).unwrap();
        let Some((act, action)) = state.open.take() else {
            return;
        };
        let process = Process::Client(state.process);
        let (kind, action, notes) = match (act, action) {
            (Act::Assign(keys), action) => {
                state.assign(&keys);
                (Kind::Ok, action, Vec::new())
            }
            (Act::Send(_, fate), Action::MicroOps(verb, micro_ops)) => {
                let micro_ops = self.append(micro_ops, fate, false);
                (
                    kind_of(fate),
                    Action::MicroOps(verb, micro_ops),
                    notes(fate),
                )
            }
            (Act::Txn(_, fate), Action::MicroOps(verb, mut micro_ops)) => {
                micro_ops[0] = MicroOp::Poll(Some(self.poll(thread, fate != Fate::Fail)));
                let micro_ops = self.append(micro_ops, fate, true);
                (
                    kind_of(fate),
                    Action::MicroOps(verb, micro_ops),
                    notes(fate),
                )
            }
            (Act::Poll, Action::MicroOps(verb, _)) => {
                let micro_ops = vec![MicroOp::Poll(Some(self.poll(thread, true)))];
                (Kind::Ok, Action::MicroOps(verb, micro_ops), Vec::new())
            }
            (_, action) => (Kind::Info, action, Vec::new()),
        };
        self.write(process, kind, action, notes);
        if kind == Kind::Info {
            let state = self.threads.get_mut(&thread).unwrap();
            state.process += CONCURRENCY;
            state.wanted = state.positions.keys().map(|key| key.0).collect();
            state.positions.clear();
        }
    }

    /// The micro-operations with what a client learns of their offsets.
    fn append(&mut self, micro_ops: Vec<MicroOp>, fate: Fate, is_txn: bool) -> Vec<MicroOp> {
        let mut done = Vec::new();
        for micro_op in micro_ops {
            let MicroOp::Send { key, value, .. } = micro_op else {
                done.push(micro_op);
                continue;
            };
            let log = self.logs.entry(key).or_default();
            let at = Offset(log.base + log.slots.len() as u64);
            match fate {
                Fate::Ok | Fate::OkWithoutOffset | Fate::InfoDone => log.slots.push(Some(value)),
                Fate::Fail if is_txn => log.slots.push(None),
                Fate::Fail | Fate::InfoLost => {}
            }
            if is_txn {
                // The marker.
                log.slots.push(None);
            }
            // Inside a transaction sends are answered before its end is, whatever that is.
            let is_told = fate == Fate::Ok || is_txn;
            let offset = is_told.then_some(at);
            done.push(MicroOp::Send { key, offset, value });
        }
        done
    }

    fn poll(&mut self, thread: u64, moves: bool) -> Vec<(Key, Vec<Record>)> {
        let state = self.threads.get_mut(&thread).unwrap();
        let mut polled = Vec::new();
        for (key, position) in &mut state.positions {
            let Some(log) = self.logs.get(key) else {
                continue;
            };
            let records: Vec<_> = (log.base..)
                .zip(&log.slots)
                .filter(|(offset, _)| offset >= position)
                .filter_map(|(offset, slot)| Some((Offset(offset), (*slot)?)))
                .map(|(offset, value)| Record { offset, value })
                .take(POLLED_MAX)
                .collect();
            let Some(last) = records.last() else {
                continue;
            };
            if moves {
                *position = last.offset.0 + 1;
            }
            polled.push((*key, records));
        }
        polled
    }

    /// A new process polls every key from its beginning until a poll is empty.
    fn read_everything(&mut self, thread: u64) {
        self.run(Step::Do(thread, Act::Crash));
        let keys = self.logs.keys().map(|key| key.0).collect();
        self.run(Step::Do(thread, Act::Assign(keys)));
        loop {
            let before = self.threads[&thread].positions.clone();
            self.run(Step::Do(thread, Act::Poll));
            if self.threads[&thread].positions == before {
                return;
            }
        }
    }
}

impl Thread {
    fn assign(&mut self, keys: &[u64]) {
        self.positions.retain(|key, _| keys.contains(&key.0));
        for key in keys {
            self.positions.entry(Key(*key)).or_insert(0);
        }
    }
}

fn kind_of(fate: Fate) -> Kind {
    match fate {
        Fate::Ok | Fate::OkWithoutOffset => Kind::Ok,
        Fate::Fail => Kind::Fail,
        Fate::InfoDone | Fate::InfoLost => Kind::Info,
    }
}

fn notes(fate: Fate) -> Vec<Note> {
    match fate {
        Fate::Ok | Fate::OkWithoutOffset => Vec::new(),
        Fate::Fail => vec![Note::Error(Datum::Vector(vec![Datum::keyword("aborted")]))],
        Fate::InfoDone | Fate::InfoLost => vec![Note::Error(Datum::keyword("timeout"))],
    }
}

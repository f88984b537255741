//! An operation as a map.

use super::{KINDS, Spelling};
use crate::history::{Action, Datum, Key, Kind, MicroOp, Note, Operation, Process, Record, Verb};

const VERBS: [(Verb, &str); 3] = [
    (Verb::Send, "send"),
    (Verb::Poll, "poll"),
    (Verb::Txn, "txn"),
];

/// The map that stands for an operation; fields in the order of the format's description.
pub(in crate::history) fn encode(operation: &Operation, spelling: Spelling) -> Datum {
    let (function, value) = encode_action(operation, spelling);
    let mut fields = vec![
        (spelling.name("index"), number(operation.index.0)),
        (spelling.name("time"), number(operation.time)),
        (
            spelling.name("type"),
            spelling.name(name_of(&KINDS, operation.kind)),
        ),
        (
            spelling.name("process"),
            encode_process(&operation.process, spelling),
        ),
        (spelling.name("f"), function),
        (spelling.name("value"), value),
    ];
    for note in &operation.notes {
        fields.push(encode_note(note, spelling));
    }
    Datum::Map(fields)
}

fn name_of<T: Copy + PartialEq>(names: &[(T, &'static str)], wanted: T) -> &'static str {
    names
        .iter()
        .find(|(item, _)| *item == wanted)
        .map_or("", |(_, name)| name)
}

fn number(value: u64) -> Datum {
    // A count of nanoseconds or records never gets near the limit.
    Datum::Int(i64::try_from(value).unwrap_or(i64::MAX))
}

fn encode_process(process: &Process, spelling: Spelling) -> Datum {
    match process {
        Process::Client(process) => number(*process),
        Process::Other(name) => spelling.name(name.as_str()),
    }
}

fn encode_action(operation: &Operation, spelling: Spelling) -> (Datum, Datum) {
    match &operation.action {
        Action::Assign(keys) => (spelling.name("assign"), encode_keys(keys)),
        Action::Subscribe(keys) => (spelling.name("subscribe"), encode_keys(keys)),
        Action::Crash => (spelling.name("crash"), Datum::Nil),
        Action::Other(name, value) => (spelling.name(name.as_str()), value.clone()),
        Action::MicroOps(verb, micro_ops) => {
            let micro_ops = micro_ops
                .iter()
                .map(|micro_op| encode_micro_op(micro_op, operation.kind, spelling))
                .collect();
            let verb = spelling.name(name_of(&VERBS, *verb));
            (verb, Datum::Vector(micro_ops))
        }
    }
}

fn encode_keys(keys: &[Key]) -> Datum {
    Datum::Vector(keys.iter().map(|key| number(key.0)).collect())
}

fn encode_micro_op(micro_op: &MicroOp, kind: Kind, spelling: Spelling) -> Datum {
    let items = match micro_op {
        MicroOp::Send { key, offset, value } => {
            let value = Datum::Int(value.0);
            let sent = match (offset, kind) {
                (Some(offset), _) => Datum::Vector(vec![number(offset.0), value]),
                // Acknowledged, and the offset was not told.
                (None, Kind::Ok) => Datum::Vector(vec![Datum::Nil, value]),
                (None, _) => value,
            };
            vec![spelling.name("send"), number(key.0), sent]
        }
        MicroOp::Poll(None) => vec![spelling.name("poll")],
        MicroOp::Poll(Some(polled)) => {
            let polled = polled
                .iter()
                .map(|(key, records)| (number(key.0), encode_records(records)))
                .collect();
            vec![spelling.name("poll"), Datum::Map(polled)]
        }
    };
    Datum::Vector(items)
}

fn encode_records(records: &[Record]) -> Datum {
    let pair =
        |record: &Record| Datum::Vector(vec![number(record.offset.0), Datum::Int(record.value.0)]);
    Datum::Vector(records.iter().map(pair).collect())
}

fn encode_note(note: &Note, spelling: Spelling) -> (Datum, Datum) {
    match note {
        Note::Error(error) => (spelling.name("error"), error.clone()),
        Note::SeekToBeginning(value) => (spelling.name("seek-to-beginning?"), Datum::Bool(*value)),
        Note::EndProcess(value) => (spelling.name("end-process?"), Datum::Bool(*value)),
        Note::Other(name, value) => (spelling.name(name.as_str()), value.clone()),
        Note::RebalanceLog(rebalances) => {
            let rebalances = rebalances
                .iter()
                .map(|keys| Datum::Map(vec![(spelling.name("keys"), encode_keys(keys))]))
                .collect();
            (spelling.name("rebalance-log"), Datum::Vector(rebalances))
        }
    }
}

//! A map as an operation: every field is looked at, and what does not fit is named.

use super::{KINDS, Problem, UNJUDGED};
use crate::history::{Action, Datum, Index, Key, MicroOp, Name, Note, Offset, Operation, Process};
use crate::history::{Record, Value, Verb};

/// The operation that a map stands for.
pub(in crate::history) fn decode(datum: Datum) -> Result<Operation, Problem> {
    let Datum::Map(entries) = datum else {
        return Err(Problem::NotAMap);
    };
    let mut fields = Fields::default();
    for (name, value) in entries {
        fields.add(&name, value)?;
    }
    fields.operation()
}

/// The mandatory fields as they are found, and the rest.
#[derive(Default)]
struct Fields {
    index: Option<Datum>,
    time: Option<Datum>,
    kind: Option<Datum>,
    process: Option<Datum>,
    function: Option<Datum>,
    value: Option<Datum>,
    notes: Vec<(Name, Datum)>,
}

impl Fields {
    fn add(&mut self, name: &Datum, value: Datum) -> Result<(), Problem> {
        let name = name_in(name).ok_or(Problem::Field {
            field: "(name)",
            expected: "a keyword",
        })?;
        let slot = match name.as_str() {
            "index" => &mut self.index,
            "time" => &mut self.time,
            "type" => &mut self.kind,
            "process" => &mut self.process,
            "f" => &mut self.function,
            "value" => &mut self.value,
            other => {
                if self.notes.iter().any(|(seen, _)| seen.as_str() == other) {
                    return Err(Problem::Twice(other.to_owned()));
                }
                self.notes.push((name, value));
                return Ok(());
            }
        };
        if slot.replace(value).is_some() {
            return Err(Problem::Twice(name.as_str().to_owned()));
        }
        Ok(())
    }

    fn operation(self) -> Result<Operation, Problem> {
        let process = decode_process(&self.process.ok_or(Problem::Missing("process"))?)?;
        let function = self.function.ok_or(Problem::Missing("f"))?;
        let function = name_in(&function).ok_or(Problem::Field {
            field: "f",
            expected: "a keyword",
        })?;
        let value = self.value.ok_or(Problem::Missing("value"))?;
        let action = match process {
            Process::Client(_) => decode_action(function, value)?,
            Process::Other(_) => Action::Other(function, value),
        };
        let kind = self.kind.ok_or(Problem::Missing("type"))?;
        Ok(Operation {
            index: Index(natural("index", self.index.as_ref())?),
            time: natural("time", self.time.as_ref())?,
            kind: item_in(&KINDS, &kind).ok_or(Problem::Field {
                field: "type",
                expected: "invoke, ok, fail or info",
            })?,
            process,
            action,
            notes: self
                .notes
                .into_iter()
                .map(|(name, value)| decode_note(name, value))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn name_in(datum: &Datum) -> Option<Name> {
    match datum {
        Datum::Keyword(name) => Some(name.clone()),
        Datum::Text(text) => Name::new(text),
        _ => None,
    }
}

fn item_in<T: Copy>(names: &[(T, &'static str)], datum: &Datum) -> Option<T> {
    let wanted = match datum {
        Datum::Keyword(name) => name.as_str(),
        Datum::Text(text) => text,
        _ => return None,
    };
    names
        .iter()
        .find(|(_, name)| *name == wanted)
        .map(|(item, _)| *item)
}

fn natural_in(datum: &Datum) -> Option<u64> {
    match datum {
        Datum::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

fn natural(field: &'static str, datum: Option<&Datum>) -> Result<u64, Problem> {
    let datum = datum.ok_or(Problem::Missing(field))?;
    natural_in(datum).ok_or(Problem::Field {
        field,
        expected: "an integer from 0",
    })
}

fn decode_process(datum: &Datum) -> Result<Process, Problem> {
    natural_in(datum)
        .map(Process::Client)
        .or_else(|| name_in(datum).map(Process::Other))
        .ok_or(Problem::Field {
            field: "process",
            expected: "an integer from 0, or a keyword such as :nemesis",
        })
}

fn decode_action(function: Name, value: Datum) -> Result<Action, Problem> {
    let keys = |value: &Datum| {
        keys_in(value).ok_or(Problem::Field {
            field: "value",
            expected: "a vector of keys such as [6 7]",
        })
    };
    match function.as_str() {
        "assign" => keys(&value).map(Action::Assign),
        "subscribe" => keys(&value).map(Action::Subscribe),
        "send" => micro_ops(&value, Verb::Send),
        "poll" => micro_ops(&value, Verb::Poll),
        "txn" => micro_ops(&value, Verb::Txn),
        "crash" if value == Datum::Nil => Ok(Action::Crash),
        "crash" => Err(Problem::Field {
            field: "value",
            expected: "nil",
        }),
        UNJUDGED => Ok(Action::Other(function, value)),
        other => Err(Problem::UnknownFunction(other.to_owned())),
    }
}

fn keys_in(datum: &Datum) -> Option<Vec<Key>> {
    let items = match datum {
        Datum::Set(items) => items,
        other => sequence(other)?,
    };
    items.iter().map(|item| natural_in(item).map(Key)).collect()
}

/// Clojure prints what it has computed as a list where others write a vector.
fn sequence(datum: &Datum) -> Option<&[Datum]> {
    match datum {
        Datum::Vector(items) | Datum::List(items) => Some(items),
        _ => None,
    }
}

fn micro_ops(value: &Datum, verb: Verb) -> Result<Action, Problem> {
    let decoded: Option<Vec<_>> = sequence(value)
        .and_then(|items| items.iter().map(|item| micro_op_in(item, verb)).collect());
    let micro_ops = decoded.ok_or(Problem::Field {
        field: "value",
        expected: match verb {
            Verb::Send => "sends such as [[:send 6 41]] or [[:send 6 [12 41]]]",
            Verb::Poll => "polls such as [[:poll]] or [[:poll {6 [[12 41]]}]]",
            Verb::Txn => "sends and polls such as [[:poll] [:send 6 41]]",
        },
    })?;
    Ok(Action::MicroOps(verb, micro_ops))
}

fn micro_op_in(datum: &Datum, verb: Verb) -> Option<MicroOp> {
    let (name, arguments) = sequence(datum)?.split_first()?;
    match (name_in(name)?.as_str(), arguments) {
        ("send", [key, sent]) if verb != Verb::Poll => {
            let (offset, value) = sent_in(sent)?;
            let key = Key(natural_in(key)?);
            Some(MicroOp::Send { key, offset, value })
        }
        ("poll", []) if verb != Verb::Send => Some(MicroOp::Poll(None)),
        ("poll", [Datum::Map(entries)]) if verb != Verb::Send => {
            let polled = polled_in(entries)?;
            Some(MicroOp::Poll(Some(polled)))
        }
        _ => None,
    }
}

/// `41`, `[nil 41]` or `[12 41]`.
fn sent_in(datum: &Datum) -> Option<(Option<Offset>, Value)> {
    match datum {
        Datum::Int(value) => Some((None, Value(*value))),
        Datum::Vector(pair) => match pair.as_slice() {
            [Datum::Nil, Datum::Int(value)] => Some((None, Value(*value))),
            [offset, Datum::Int(value)] => Some((Some(Offset(natural_in(offset)?)), Value(*value))),
            _ => None,
        },
        _ => None,
    }
}

/// Records by key; a key that stands twice would hide records, so it is refused.
fn polled_in(entries: &[(Datum, Datum)]) -> Option<Vec<(Key, Vec<Record>)>> {
    let mut polled: Vec<(Key, Vec<Record>)> = Vec::with_capacity(entries.len());
    for (key, records) in entries {
        let key = Key(natural_in(key)?);
        let records = sequence(records)?;
        polled.push((key, records.iter().map(record_in).collect::<Option<_>>()?));
    }
    let mut keys: Vec<Key> = polled.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    (keys.len() == polled.len()).then_some(polled)
}

fn record_in(datum: &Datum) -> Option<Record> {
    let Datum::Vector(pair) = datum else {
        return None;
    };
    let [offset, Datum::Int(value)] = pair.as_slice() else {
        return None;
    };
    Some(Record {
        offset: Offset(natural_in(offset)?),
        value: Value(*value),
    })
}

fn decode_note(name: Name, value: Datum) -> Result<Note, Problem> {
    let flag = |field: &'static str| match value {
        Datum::Bool(flag) => Ok(flag),
        _ => Err(Problem::Field {
            field,
            expected: "true or false",
        }),
    };
    match name.as_str() {
        "error" => Ok(Note::Error(value)),
        "seek-to-beginning?" => flag("seek-to-beginning?").map(Note::SeekToBeginning),
        "end-process?" => flag("end-process?").map(Note::EndProcess),
        "rebalance-log" => rebalances_in(&value)
            .map(Note::RebalanceLog)
            .ok_or(Problem::Field {
                field: "rebalance-log",
                expected: "a vector of maps such as {:keys [6]}",
            }),
        _ => Ok(Note::Other(name, value)),
    }
}

fn rebalances_in(datum: &Datum) -> Option<Vec<Vec<Key>>> {
    let keys_of = |rebalance: &Datum| match rebalance {
        Datum::Map(fields) => fields
            .iter()
            .find(|(name, _)| name_in(name).is_some_and(|name| name.as_str() == "keys"))
            .and_then(|(_, keys)| keys_in(keys)),
        _ => None,
    };
    sequence(datum)?.iter().map(keys_of).collect()
}

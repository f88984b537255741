//! Operations of which each comes before the other. Kafka promises little here, so most of it is allowed.

use ottla_jepsen::history::{Action, Index, Key, Kind, MicroOp, Operation, Process, Verb};
use ottla_jepsen::w1::{Class, Dependency};

use super::Mutation;
use crate::story::{Story, record};

pub(super) const ALL: &[Mutation] = &[
    ("g0", g0),
    ("g1c", g1c),
    ("g0-realtime", g0_realtime),
    ("g1c-process", g1c_process),
];

/// Two transactions at one time, in another order on each of their keys.
fn g0(story: &mut Story) {
    story.swap_sends(13, 1, 2);
    let (first, second) = (story.sent(12, 1), story.sent(12, 2));
    let cycle = [(first, Dependency::Ww), (second, Dependency::Ww)];
    story.expect_cycle(Class::G0, &cycle);
}

/// The transaction that writes first polls what the other writes.
fn g1c(story: &mut Story) {
    let (first, second) = (story.sent(12, 1), story.sent(12, 2));
    story.records(first, 13).push(record((2, 2)));
    let cycle = [(first, Dependency::Ww), (second, Dependency::Wr)];
    story.expect_cycle(Class::G1c, &cycle);
}

/// A send that began after another had ended stands before it.
fn g0_realtime(story: &mut Story) {
    story.swap_sends(10, 7, 8);
    let (first, second) = (story.sent(10, 8), story.sent(10, 7));
    let cycle = [(first, Dependency::Realtime), (second, Dependency::Ww)];
    story.expect_cycle(Class::G0Realtime, &cycle);
}

/// The sender of the last value polls it before it sends it.
fn g1c_process(story: &mut Story) {
    let begin = story.begin_of(story.sent(10, 17));
    let poll = |kind, polled| Operation {
        index: Index(0),
        time: 0,
        kind,
        process: Process::Client(11),
        action: Action::MicroOps(Verb::Poll, vec![MicroOp::Poll(polled)]),
        notes: Vec::new(),
    };
    let polled = Some(vec![(Key(10), vec![record((19, 17))])]);
    let added = [poll(Kind::Invoke, None), poll(Kind::Ok, polled)];
    story.insert_behind(begin - 1, added);
    let (reader, writer) = (begin + 1, story.sent(10, 17));
    story.expect_records(Class::FutureRead, 10, &[(19, 17)], &[writer, reader]);
    let cycle = [(reader, Dependency::Process), (writer, Dependency::Wr)];
    story.expect_cycle(Class::G1cProcess, &cycle);
}

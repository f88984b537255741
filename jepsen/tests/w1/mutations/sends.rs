//! Sends that do not go forward, or not at once.

use ottla_jepsen::history::{Action, Kind};
use ottla_jepsen::w1::{Class, Dependency};

use super::Mutation;
use crate::story::Story;

pub(super) const ALL: &[Mutation] = &[
    ("int-nonmonotonic-send", int_nonmonotonic_send),
    ("int-send-skip", int_send_skip),
    ("nonmonotonic-send", nonmonotonic_send),
];

/// One operation's two sends stand the other way round.
fn int_nonmonotonic_send(story: &mut Story) {
    let end = story.sent(10, 3);
    for position in [story.begin_of(end), end] {
        if let Action::MicroOps(_, micro_ops) = &mut story.operations[position].action {
            micro_ops.reverse();
        }
    }
    assert_eq!(story.operations[end].kind, Kind::Ok);
    let pair = [(3, 4), (2, 3)];
    story.expect_pair(Class::IntNonmonotonicSend, 10, pair, &[end], -1);
}

/// A transaction's value stands between those of an operation that ended before it began: allowed, and so is the
/// cycle of writes that it makes.
fn int_send_skip(story: &mut Story) {
    story.swap_sends(10, 4, 5);
    let (outer, inner) = (story.sent(10, 3), story.sent(10, 4));
    story.expect_pair(Class::IntSendSkip, 10, [(2, 3), (4, 5)], &[outer], 2);
    let cycle = [(outer, Dependency::Ww), (inner, Dependency::Ww)];
    story.expect_cycle(Class::G0, &cycle);
}

/// A producer's later send stands before its earlier one.
fn nonmonotonic_send(story: &mut Story) {
    story.swap_sends(10, 14, 15);
    let (first, second) = (story.sent(10, 15), story.sent(10, 14));
    let pair = [(16, 15), (15, 14)];
    story.expect_pair(Class::NonmonotonicSend, 10, pair, &[first, second], -1);
    let cycle = [(first, Dependency::Process), (second, Dependency::Ww)];
    story.expect_cycle(Class::G0Process, &cycle);
}

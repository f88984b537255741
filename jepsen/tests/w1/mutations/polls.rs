//! Polls that pass over records or go back.

use ottla_jepsen::history::{Action, Key, Note, Process};
use ottla_jepsen::w1::Class;

use super::Mutation;
use crate::clean::READER;
use crate::story::{Story, record};

pub(super) const ALL: &[Mutation] = &[
    ("int-poll-skip", int_poll_skip),
    (
        "int-poll-skip-other-key-moved",
        int_poll_skip_other_key_moved,
    ),
    ("poll-skip", poll_skip),
    ("poll-skip-of-a-subscriber", poll_skip_of_a_subscriber),
    ("int-nonmonotonic-poll", int_nonmonotonic_poll),
    ("int-poll-disorder", int_poll_disorder),
    ("nonmonotonic-poll", nonmonotonic_poll),
    (
        "nonmonotonic-poll-of-kept-key",
        nonmonotonic_poll_of_kept_key,
    ),
    ("nonmonotonic-poll-in-aborted", nonmonotonic_poll_in_aborted),
];

fn int_poll_skip(story: &mut Story) {
    story.set_records(story.finals[1], 10, 14, &[(14, 13), (16, 15)]);
    story.expect_skips(10, 13, 15, 2);
}

/// A rebalance excuses only the keys that it names.
fn int_poll_skip_other_key_moved(story: &mut Story) {
    let end = story.set_records(story.finals[1], 10, 14, &[(14, 13), (16, 15)]);
    let moved = Note::RebalanceLog(vec![vec![Key(11)]]);
    story.operations[end].notes.push(moved);
    story.expect_skips(10, 13, 15, 2);
}

fn poll_skip(story: &mut Story) {
    story.set_records(story.finals[1], 10, 14, &[(15, 14), (16, 15)]);
    story.expect_skips(10, 10, 14, 2);
}

/// A group moves keys while its members poll: the skip is named and allowed.
fn poll_skip_of_a_subscriber(story: &mut Story) {
    let first_poll = story.polled(story.finals[1], 10, 1);
    let assigned = story.begin_of(story.begin_of(first_poll));
    for position in [story.begin_of(assigned), assigned] {
        let operation = &mut story.operations[position];
        if let Action::Assign(keys) = operation.action.clone() {
            operation.action = Action::Subscribe(keys);
        }
    }
    poll_skip(story);
    story.allow(Class::PollSkip);
}

/// The same record twice in one answer.
fn int_nonmonotonic_poll(story: &mut Story) {
    let records = [(14, 13), (15, 14), (15, 14), (16, 15)];
    let end = story.set_records(story.finals[1], 10, 14, &records);
    let pair = [(15, 14), (15, 14)];
    story.expect_pair(Class::IntNonmonotonicPoll, 10, pair, &[end], 0);
}

/// Two records change places, so that the answer skips forward, goes back, and ends too early.
fn int_poll_disorder(story: &mut Story) {
    let records = [(14, 13), (16, 15), (15, 14)];
    let end = story.set_records(story.finals[1], 10, 14, &records);
    story.expect_skips(10, 13, 15, 2);
    story.expect_skips(10, 14, 17, 2);
    let pair = [(16, 15), (15, 14)];
    story.expect_pair(Class::IntNonmonotonicPoll, 10, pair, &[end], -1);
}

/// The last record of the poll before comes again.
fn nonmonotonic_poll(story: &mut Story) {
    let before = story.polled(story.finals[1], 10, 15);
    let end = story.set_records(story.finals[1], 10, 17, &[(16, 15), (19, 17)]);
    let pair = [(16, 15), (16, 15)];
    story.expect_pair(Class::NonmonotonicPoll, 10, pair, &[before, end], 0);
}

/// The reader was assigned key 11 anew and key 10 again: only key 11 may start over.
fn nonmonotonic_poll_of_kept_key(story: &mut Story) {
    let before = story.polled(READER, 10, 17);
    let last_poll = story.operations.iter().rposition(|operation| {
        let is_reader = operation.process == Process::Client(READER);
        is_reader && matches!(operation.action, Action::MicroOps(..))
    });
    let end = last_poll.unwrap();
    story.records(end, 10).extend([(0, 1), (1, 2)].map(record));
    let pair = [(19, 17), (0, 1)];
    story.expect_pair(Class::NonmonotonicPoll, 10, pair, &[before, end], -12);
}

/// What an aborted transaction polls is judged, and moves nothing: the poll after it is right.
fn nonmonotonic_poll_in_aborted(story: &mut Story) {
    let end = story.sent(10, 16);
    let before = story.polled(13, 11, 4);
    *story.records(end, 11) = [(5, 4), (7, 5)].map(record).to_vec();
    let pair = [(5, 4), (5, 4)];
    story.expect_pair(Class::NonmonotonicPoll, 11, pair, &[before, end], 0);
}

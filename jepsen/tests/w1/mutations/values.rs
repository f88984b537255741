//! Values that are lost, doubled, out of nowhere or read too early.

use ottla_jepsen::history::Kind;
use ottla_jepsen::w1::{Class, Dependency};

use super::Mutation;
use crate::clean::READER;
use crate::story::{Story, record};

pub(super) const ALL: &[Mutation] = &[
    ("lost-first", lost_first),
    ("lost-middle", lost_middle),
    ("lost-range", lost_range),
    (
        "lost-half-of-unknown-transaction",
        lost_half_of_unknown_transaction,
    ),
    ("lost-but-for-failed-reader", lost_but_for_failed_reader),
    ("unseen-tail", unseen_tail),
    ("unseen-without-offset", unseen_without_offset),
    ("duplicate", duplicate),
    ("duplicate-at-tail", duplicate_at_tail),
    ("inconsistent-between-readers", inconsistent_between_readers),
    (
        "inconsistent-with-acknowledgement",
        inconsistent_with_acknowledgement,
    ),
    ("inconsistent-zero-offset", inconsistent_zero_offset),
    (
        "inconsistent-for-failed-reader",
        inconsistent_for_failed_reader,
    ),
    (
        "truncated-after-acknowledgement",
        truncated_after_acknowledgement,
    ),
    ("g1a-for-one-reader", g1a_for_one_reader),
    ("g1a-for-all-readers", g1a_for_all_readers),
    ("g1a-refused-send", g1a_refused_send),
    ("g1a-wrong-fail", g1a_wrong_fail),
    (
        "aborted-record-for-failed-reader",
        aborted_record_for_failed_reader,
    ),
    ("precommitted-read", precommitted_read),
    ("precommitted-read-in-aborted", precommitted_read_in_aborted),
    ("phantom", phantom),
    ("future-read", future_read),
    ("two-at-once", two_at_once),
];

const ENDS: &[Kind] = &[Kind::Ok, Kind::Fail, Kind::Info];

/// Nobody polled anything before it, so nothing is skipped.
fn lost_first(story: &mut Story) {
    story.drop_reads(10, &[1], ENDS);
    story.expect_lost(10, 1, 17);
    story.expect_unseen(10, &[1]);
}

fn lost_middle(story: &mut Story) {
    story.drop_reads(10, &[4], ENDS);
    story.expect_lost(10, 4, 17);
    story.expect_unseen(10, &[4]);
    story.expect_skips(10, 3, 5, 2);
}

fn lost_range(story: &mut Story) {
    story.drop_reads(10, &[7, 8, 10], ENDS);
    for value in [7, 8, 10] {
        story.expect_lost(10, value, 17);
    }
    story.expect_unseen(10, &[7, 8, 10]);
    story.expect_skips(10, 5, 9, 3);
    story.expect_skips(10, 9, 13, 2);
}

/// The transaction of unknown outcome must have committed: its value on the other key was read.
fn lost_half_of_unknown_transaction(story: &mut Story) {
    story.drop_reads(11, &[4], ENDS);
    story.expect_lost(11, 4, 5);
    story.expect_skips(11, 3, 5, 2);
}

/// Two failed operations polled the value; to the rest it is as good as lost. The one on key 11 counts for nothing.
fn lost_but_for_failed_reader(story: &mut Story) {
    let failed = story.sent(10, 16);
    story.drop_reads(11, &[4], &[Kind::Ok, Kind::Info]);
    story.records(failed, 11).insert(0, record((5, 4)));
    story.expect_lost(11, 4, 5);
    story.expect_skips(11, 3, 5, 2);
}

fn unseen_tail(story: &mut Story) {
    story.drop_reads(10, &[17], ENDS);
    story.expect_unseen(10, &[17]);
}

fn unseen_without_offset(story: &mut Story) {
    story.drop_reads(11, &[5], ENDS);
    story.expect_unseen(11, &[5]);
}

/// Each final reader sees one of two copies of the only value.
fn duplicate(story: &mut Story) {
    let second = story.set_records(story.finals[1], 14, 1, &[(1, 1)]);
    story.expect_records(
        Class::Duplicate,
        14,
        &[(0, 1), (1, 1)],
        &[story.sent(14, 1), second],
    );
}

/// A retry appended the last value again. It counts at its last place, so those who read the first passed over it.
fn duplicate_at_tail(story: &mut Story) {
    let [first, second] = story.finals;
    let copies = [(19, 17), (20, 17)];
    let again = [first, second].map(|reader| story.set_records(reader, 10, 17, &copies));
    let before = [first, second].map(|reader| story.polled(reader, 10, 15));
    let operations = [story.sent(10, 17), again[0]];
    story.expect_records(Class::Duplicate, 10, &copies, &operations);
    story.expect_skips(10, 15, 17, 2);
    for end in again {
        story.expect_pair(Class::IntNonmonotonicPoll, 10, copies, &[end], 0);
    }
    assert!(before < again, "the skips are those of three readers");
}

/// One reader sees the value of a send that nobody answered where the others see another.
fn inconsistent_between_readers(story: &mut Story) {
    let records = [(14, 11), (15, 14), (16, 15)];
    let second = story.set_records(story.finals[1], 10, 13, &records);
    let operations = [second, story.sent(10, 13)];
    story.expect_records(
        Class::InconsistentOffsets,
        10,
        &[(14, 11), (14, 13)],
        &operations,
    );
    story.expect_no_order(10);
}

/// The sender was told the offset of the value behind.
fn inconsistent_with_acknowledgement(story: &mut Story) {
    story.set_told(10, 7, 9);
    let reader = story.polled(READER, 10, 7);
    let operations = [story.sent(10, 7), story.sent(10, 8)];
    story.expect_records(
        Class::InconsistentOffsets,
        10,
        &[(9, 7), (9, 8)],
        &operations,
    );
    let operations = [reader, story.sent(10, 7)];
    story.expect_records(Class::Duplicate, 10, &[(8, 7), (9, 7)], &operations);
    story.expect_no_order(10);
}

/// The sender was told offset 0, as if the answer had not been filled in.
fn inconsistent_zero_offset(story: &mut Story) {
    story.set_told(10, 14, 0);
    let reader = story.polled(READER, 10, 14);
    let operations = [story.sent(10, 1), story.sent(10, 14)];
    story.expect_records(
        Class::InconsistentOffsets,
        10,
        &[(0, 1), (0, 14)],
        &operations,
    );
    let operations = [story.sent(10, 14), reader];
    story.expect_records(Class::Duplicate, 10, &[(0, 14), (15, 14)], &operations);
    story.expect_no_order(10);
}

/// What a failed operation polled counts too. The aborted value has no other place, so it is no duplicate.
fn inconsistent_for_failed_reader(story: &mut Story) {
    let failed = story.sent(10, 16);
    *story.records(failed, 11) = vec![record((4, 2))];
    let operations = [failed, story.sent(11, 3)];
    story.expect_records(
        Class::InconsistentOffsets,
        11,
        &[(4, 2), (4, 3)],
        &operations,
    );
    story.expect_no_order(11);
}

/// The log lost its acknowledged end, and went on from there.
fn truncated_after_acknowledgement(story: &mut Story) {
    story.drop_reads(10, &[14, 15], ENDS);
    story.set_told(10, 17, 15);
    for process in [READER, story.finals[0], story.finals[1]] {
        story.set_records(process, 10, 17, &[(15, 17)]);
    }
    let operations = [story.sent(10, 14), story.sent(10, 17)];
    story.expect_records(
        Class::InconsistentOffsets,
        10,
        &[(15, 14), (15, 17)],
        &operations,
    );
    story.expect_unseen(10, &[14, 15]);
    story.expect_no_order(10);
}

/// Once it was seen, the aborted value has a place in the log, which the other readers pass over.
fn g1a_for_one_reader(story: &mut Story) {
    let end = story.polled(READER, 10, 7);
    story.records(end, 10).insert(0, record((6, 6)));
    story.expect_records(Class::G1a, 10, &[(6, 6)], &[story.sent(10, 6), end]);
    story.expect_skips(10, 5, 7, 2);
}

fn g1a_for_all_readers(story: &mut Story) {
    let end = story.polled(READER, 10, 7);
    story.records(end, 10).insert(0, record((6, 6)));
    for process in story.finals {
        let records = [(3, 4), (4, 5), (6, 6), (8, 7)];
        story.set_records(process, 10, 7, &records);
    }
    story.expect_records(Class::G1a, 10, &[(6, 6)], &[story.sent(10, 6), end]);
}

/// The broker refused the send, and appended it.
fn g1a_refused_send(story: &mut Story) {
    story.append_reads(10, 17, (20, 12));
    let operations = [story.sent(10, 12), story.polled(READER, 10, 12)];
    story.expect_records(Class::G1a, 10, &[(20, 12)], &operations);
}

/// The client called an unknown outcome a failure.
fn g1a_wrong_fail(story: &mut Story) {
    let end = story.sent(10, 7);
    story.operations[end].kind = Kind::Fail;
    let operations = [end, story.polled(READER, 10, 7)];
    story.expect_records(Class::G1a, 10, &[(8, 7)], &operations);
}

/// A failed reader of an aborted value accuses nobody, but shows that others passed over a place.
fn aborted_record_for_failed_reader(story: &mut Story) {
    let failed = story.sent(10, 16);
    let records = story.records(failed, 11);
    *records = vec![record((2, 2))];
    let before = story.polled(13, 11, 4);
    story.expect_skips(11, 1, 3, 2);
    let pair = [(5, 4), (2, 2)];
    story.expect_pair(Class::NonmonotonicPoll, 11, pair, &[before, failed], -2);
}

fn precommitted_read(story: &mut Story) {
    let end = story.sent(10, 8);
    story.records(end, 10).push(record((9, 8)));
    story.expect_records(Class::PrecommittedRead, 10, &[(9, 8)], &[end]);
}

fn precommitted_read_in_aborted(story: &mut Story) {
    let end = story.sent(10, 16);
    story.records(end, 10).push(record((17, 16)));
    story.expect_records(Class::PrecommittedRead, 10, &[(17, 16)], &[end]);
    story.expect_skips(10, 15, 17, 2);
}

fn phantom(story: &mut Story) {
    let end = story.polled(story.finals[1], 10, 17);
    story.records(end, 10).push(record((20, 777)));
    story.expect_records(Class::Phantom, 10, &[(20, 777)], &[end]);
}

/// The send begins when its value has long been read. The public checker calls that a cycle, which it allows.
fn future_read(story: &mut Story) {
    let (end, reader) = (story.sent(10, 17), story.polled(READER, 10, 17));
    story.move_behind(end, reader);
    let (end, reader) = (story.sent(10, 17), story.polled(READER, 10, 17));
    story.expect_records(Class::FutureRead, 10, &[(19, 17)], &[end, reader]);
    let cycle = [(reader, Dependency::Realtime), (end, Dependency::Wr)];
    story.expect_cycle(Class::G1cRealtime, &cycle);
}

/// Different keys do not hide each other, even where one has no order.
fn two_at_once(story: &mut Story) {
    inconsistent_zero_offset(story);
    lost_half_of_unknown_transaction(story);
}

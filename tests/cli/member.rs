//! `consume --group`: nothing is lost, and nothing is read twice unless a member died.
//!
//! As tests/cli/group.rs, these run against the broker of `GROUP_TEST_BROKER` if there is one.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout};

use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};
use ottla::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use rustix::process::Signal;

use crate::group::{partitions, until};
use crate::raw::Raw;
use crate::run::ottla;
use crate::whole::{Lab, numbers, signal};

/// A consumer and its lines.
pub(crate) struct Consumer {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Consumer {
    fn start(lab: &Lab, line: &str) -> Self {
        Self::of(lab.spawn(line))
    }

    pub(crate) fn of(mut process: Child) -> Self {
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// Signals it and takes what it printed to its end.
    pub(crate) fn end(mut self, how: Signal) -> String {
        signal(&self.process, how);
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        let status = self.process.wait().unwrap();
        if how != Signal::KILL {
            let mut said = String::new();
            let stderr = self.process.stderr.as_mut().unwrap();
            stderr.read_to_string(&mut said).unwrap();
            assert_eq!(status.code(), Some(0), "{said}");
        }
        rest
    }
}

/// How many members have partitions of the group, and of how many.
fn readers(lab: &Lab, group: &str) -> (usize, usize) {
    if lab
        .try_run(&format!("group describe {group} --state"), "")
        .code()
        != 0
    {
        return (0, 0);
    }
    let mut by_member = BTreeMap::<String, usize>::new();
    for one in partitions(lab, group) {
        if let Some(member) = one["member_id"].as_str() {
            *by_member.entry(member.to_owned()).or_default() += 1;
        }
    }
    (by_member.len(), by_member.values().sum())
}

#[test]
fn a_member_goes_on_where_the_last_one_stopped() {
    let lab = Lab::for_groups();
    lab.run("topic create on", "");
    lab.run("produce on", &numbers(0..10));
    let read = |more: &str| lab.run(&format!("consume on --group go {more}"), "");
    assert_eq!(read("--from-beginning -n 3"), numbers(0..3));
    assert_eq!(partitions(&lab, "go")[0]["committed_offset"], 3);
    assert_eq!(read("-n 3"), numbers(3..6));
    assert_eq!(read("-o end -e"), numbers(6..10));
    assert_eq!(read("--from-beginning -e"), "");
    assert_eq!(partitions(&lab, "go")[0]["lag"], 0);
    lab.run(
        "group reset-offsets go --all-topics --shift-by -2 --execute",
        "",
    );
    assert_eq!(read("-e"), numbers(8..10));
}

#[test]
fn a_group_that_starts_at_the_end_misses_nothing_from_then_on() {
    let lab = Lab::for_groups();
    lab.run("topic create late -p 2", "");
    lab.run("produce late -p 1", &numbers(0..10));
    assert_eq!(lab.run("consume late --group gl -e", ""), "");
    lab.run("produce late -p 1", &numbers(10..12));
    lab.run("produce late -p 0", &numbers(12..13));
    let mut lines: Vec<_> = lab
        .run("consume late --group gl -n 3", "")
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["10", "11", "12"]);
}

#[test]
fn an_offset_that_has_left_the_log_starts_where_it_is_told() {
    let lab = Lab::for_groups();
    lab.run("topic create gone", "");
    lab.run("produce gone", &numbers(0..10));
    lab.run(
        "group reset-offsets gg --topic gone --to-latest --execute",
        "",
    );
    lab.run("topic delete gone --yes", "");
    lab.run("topic create gone", "");
    lab.run("produce gone", &numbers(20..23));
    let read = lab.try_run("consume gone --group gg --from-beginning -n 3", "");
    assert_eq!(
        (read.code(), read.stdout()),
        (0, numbers(20..23)),
        "{}",
        read.stderr()
    );
}

/// The member ended without a commit, as it had printed nothing: the next one began behind what had come since.
#[test]
fn where_a_group_goes_on_after_its_offset_has_left_the_log_is_committed() {
    let lab = Lab::for_groups();
    lab.run("topic create cut", "");
    lab.run("produce cut", &numbers(0..10));
    lab.run("consume cut --group gc --from-beginning -n 3", "");
    delete_records(&lab, "cut", 8);
    assert_eq!(lab.run("consume cut --group gc -e", ""), "");
    lab.run("produce cut", &numbers(10..15));
    assert_eq!(lab.run("consume cut --group gc -e", ""), numbers(10..15));
}

/// A log that a leader lost the end of: nothing was committed until it had grown to where it had been, and with -e all that
/// came in between was taken for read.
#[test]
fn an_offset_behind_the_end_of_the_log_counts_as_none() {
    let lab = Lab::for_groups();
    lab.run("topic create behind", "");
    lab.run("produce behind", &numbers(0..10));
    lab.run(
        "group reset-offsets gb --topic behind --to-latest --execute",
        "",
    );
    commit(&lab, "gb", "behind", 100);
    let read = lab.try_run("consume behind --group gb --from-beginning -e", "");
    assert_eq!((read.code(), read.stdout()), (0, numbers(0..10)));
    let said = read.stderr();
    assert!(said.contains("offset 100 of behind-0 is gone"), "{said}");
    assert_eq!(partitions(&lab, "gb")[0]["committed_offset"], 10);
}

fn delete_records(lab: &Lab, topic: &str, below: i64) {
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: topic.into(),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset: below,
            }],
        }],
        timeout_ms: 30_000,
    };
    let code = Raw::connect(lab.address()).call(2, &request, |response| {
        response.topics[0].partitions[0].error_code
    });
    assert_eq!(code, ErrorCode::None);
}

/// Commits what no command would: reset-offsets stays inside of the log.
fn commit(lab: &Lab, group: &str, topic: &str, offset: i64) {
    let request = OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: vec![OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: offset,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }],
        ..OffsetCommitRequest::default()
    };
    let code = Raw::connect(lab.address()).call(8, &request, |response| {
        response.topics[0].partitions[0].error_code
    });
    assert_eq!(code, ErrorCode::None);
}

#[test]
fn members_share_the_partitions_and_hand_them_over_without_a_gap_or_a_repetition() {
    let lab = Lab::for_groups();
    lab.run("topic create shared -p 4", "");
    let produce = |range: std::ops::Range<u32>| {
        for (place, n) in range.enumerate() {
            lab.run(
                &format!("produce shared -p {}", place % 4),
                &format!("{n}\n"),
            );
        }
    };
    let first = Consumer::start(&lab, "consume shared --group gs --from-beginning");
    until(|| readers(&lab, "gs"), |found| *found == (1, 4));
    produce(0..8);
    let second = Consumer::start(&lab, "consume shared --group gs --from-beginning");
    until(|| readers(&lab, "gs"), |found| *found == (2, 4));
    produce(8..16);
    let lag = || {
        let rows = partitions(&lab, "gs");
        rows.iter()
            .map(|row| row["lag"].as_i64().unwrap_or(99))
            .sum::<i64>()
    };
    until(lag, |lag| *lag == 0);
    let of_first = first.end(Signal::INT);
    until(|| readers(&lab, "gs"), |found| *found == (1, 4));
    produce(16..24);
    until(lag, |lag| *lag == 0);
    let of_second = second.end(Signal::TERM);
    assert!(of_first.lines().count() >= 8, "{of_first}");
    assert!(of_second.lines().count() >= 8, "{of_second}");
    let all = format!("{of_first}{of_second}");
    let mut all: Vec<u32> = all.lines().map(|line| line.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..24).collect::<Vec<_>>());
}

#[test]
fn what_a_killed_member_had_not_committed_is_read_again() {
    let lab = Lab::for_groups();
    lab.run("topic create dead", "");
    lab.run("produce dead", &numbers(0..5));
    let mut killed = Consumer::start(&lab, "consume dead --group gd --from-beginning");
    assert_eq!(killed.line(), "0\n");
    let committed = || partitions(&lab, "gd")[0]["committed_offset"].clone();
    until(committed, |offset| *offset == 5);
    lab.run("produce dead", &numbers(5..10));
    while killed.line() != "9\n" {}
    killed.end(Signal::KILL);
    let again = lab.run("consume dead --group gd -n 5", "");
    assert_eq!(
        again,
        numbers(5..10),
        "after the session timeout, from the last commit on"
    );
}

#[test]
fn a_stopped_member_is_fenced_and_joins_again() {
    let lab = Lab::for_groups();
    lab.run("topic create stopped", "");
    lab.run("produce stopped", &numbers(0..3));
    let mut consumer = Consumer::start(&lab, "consume stopped --group gf --from-beginning");
    while consumer.line() != "2\n" {}
    let committed = || partitions(&lab, "gf")[0]["committed_offset"].clone();
    until(committed, |offset| *offset == 3);
    signal(&consumer.process, Signal::STOP);
    until(|| readers(&lab, "gf"), |found| *found == (0, 0));
    signal(&consumer.process, Signal::CONT);
    lab.run("produce stopped", &numbers(3..5));
    assert_eq!(
        (consumer.line(), consumer.line()),
        ("3\n".to_owned(), "4\n".to_owned())
    );
    assert_eq!(consumer.end(Signal::INT), "");
    assert_eq!(partitions(&lab, "gf")[0]["committed_offset"], 5);
}

#[test]
fn a_coordinator_that_crashes_is_found_again_and_nothing_is_lost() {
    // Nobody is taken for dead meanwhile.
    let mut lab = Lab::with(&["offsets.topic.num.partitions=4"]);
    lab.run("topic create crash", "");
    let mut consumer = Consumer::start(&lab, "consume crash --group gx --from-beginning -n 20000");
    lab.run("produce crash", &numbers(0..10_000));
    assert_eq!(consumer.line(), "0\n");
    lab.crash_and_restart();
    lab.run("produce crash", &numbers(10_000..20_000));
    let mut rest = String::new();
    consumer.lines.read_to_string(&mut rest).unwrap();
    assert_eq!(consumer.process.wait().unwrap().code(), Some(0));
    assert!(rest == numbers(1..20_000), "each record once, in order");
    assert_eq!(partitions(&lab, "gx")[0]["committed_offset"], 20_000);
}

#[test]
fn a_group_takes_no_partition_and_no_offset_by_hand() {
    assert_eq!(
        ottla(&["consume", "t", "--group", "g", "-p", "0"]).code(),
        2
    );
    let lab = Lab::for_groups();
    lab.run("topic create byhand", "");
    lab.try_run("consume byhand --group gh -o 5", "")
        .assert_failed(&["--group", "reset-offsets"]);
}

#[test]
fn a_limit_holds_over_all_partitions() {
    let lab = Lab::for_groups();
    lab.run("topic create limit -p 3", "");
    for partition in 0..3 {
        lab.run(&format!("produce limit -p {partition}"), &numbers(0..5));
    }
    assert_eq!(
        lab.run("consume limit -o start -n 7", "").lines().count(),
        7
    );
    let mut read = 0;
    for _ in 0..3 {
        read += lab
            .run("consume limit --group gn --from-beginning -n 4", "")
            .lines()
            .count();
    }
    read += lab.run("consume limit --group gn -e", "").lines().count();
    assert_eq!(read, 15, "every record once");
}

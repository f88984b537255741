//! Groups, on the command line: listed, described, moved and deleted.
//!
//! With `GROUP_TEST_BROKER=HOST:PORT` the tests run against a broker that is there, for example Apache Kafka
//! (tests/interop/lib/kafka-broker): each has topics and groups of its own names.

use std::time::Duration;

use ottla::clock;
use ottla::wire::messages::data::consumer_protocol_assignment::{
    ConsumerProtocolAssignment, TopicPartition,
};
use ottla::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use ottla::wire::messages::join_group::{JoinGroupRequest, JoinGroupRequestProtocol};
use ottla::wire::messages::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ottla::wire::versioned::encode;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::whole::{Lab, numbers, signal};

/// Asks until the answer is the one that is waited for.
#[track_caller]
pub(crate) fn until<T: std::fmt::Debug>(ask: impl Fn() -> T, is_it: impl Fn(&T) -> bool) -> T {
    let started = clock::mono();
    loop {
        let found = ask();
        if is_it(&found) {
            return found;
        }
        assert!(
            clock::mono().since(started) < Duration::from_mins(1),
            "still {found:?}"
        );
        std::thread::yield_now();
    }
}

/// The partitions of a described group.
pub(crate) fn partitions(lab: &Lab, group: &str) -> Vec<Value> {
    let described = lab.json(&format!("group describe {group}"));
    let partitions = described["groups"][0]["partitions"].as_array();
    partitions.unwrap().clone()
}

fn committed(lab: &Lab, group: &str) -> Vec<Value> {
    let partitions = partitions(lab, group);
    let offsets = partitions.iter().map(|one| one["committed_offset"].clone());
    offsets.collect()
}

#[test]
fn offsets_are_moved_shown_and_forgotten() {
    let lab = Lab::for_groups();
    lab.run("topic create moved -p 2", "");
    lab.run("produce moved -p 0", &numbers(0..100));
    lab.run("produce moved -p 1", &numbers(0..10));

    let dry = lab.try_run("group reset-offsets gm --topic moved --to-earliest", "");
    assert_eq!(dry.code(), 0, "{}", dry.stderr());
    assert!(dry.stderr().contains("--execute"), "{}", dry.stderr());
    let dry = "group reset-offsets gm --topic moved --to-datetime 2026-01-31T08:00:00";
    let time = "2026-01-31T08:00:00.000Z";
    assert_eq!(lab.json(dry)["time"], time);
    let dry = lab.try_run(dry, "");
    assert!(dry.stderr().contains(time), "{}", dry.stderr());
    lab.try_run("group describe gm", "")
        .assert_failed(&["gm", "ottla group list"]);

    let reset = |how: &str| {
        let line = format!("group reset-offsets gm {how} --execute");
        lab.run(&line, "");
        committed(&lab, "gm")
    };
    assert_eq!(reset("--topic moved:1 --to-offset 4"), [json!(4)]);
    assert_eq!(reset("--topic moved --to-current"), [json!(100), json!(4)]);
    assert_eq!(reset("--all-topics --shift-by -3"), [json!(97), json!(1)]);
    assert_eq!(reset("--all-topics --to-earliest"), [json!(0), json!(0)]);
    assert_eq!(reset("--all-topics --to-offset 50"), [json!(50), json!(10)]);
    assert_eq!(
        reset("--topic moved:0 --by-duration PT1H"),
        [json!(0), json!(10)]
    );
    assert_eq!(
        reset("--topic moved:0 --to-datetime 2100-01-01"),
        [json!(100), json!(10)]
    );
    assert_eq!(reset("--all-topics --shift-by -10"), [json!(90), json!(0)]);

    let table = lab.run("group describe gm", "");
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["gm", "moved", "0", "90", "100", "10", "-", "-", "-"]);
    let state = lab.json("group describe gm --state");
    assert_eq!(state["groups"][0]["lag"], 20);
    assert_eq!(state["groups"][0]["state"], "Empty");

    let deleted = lab.run("group delete-offsets gm --topic moved:1 --yes", "");
    assert!(deleted.contains("deleted"), "{deleted}");
    assert_eq!(committed(&lab, "gm"), [json!(90)]);
    lab.try_run("group delete-offsets gm --topic moved:1 --yes", "")
        .assert_failed(&["gm", "moved"]);
    lab.run("group delete gm --yes", "");
    lab.try_run("group describe gm", "").assert_failed(&["gm"]);
}

#[test]
fn an_offset_outside_of_the_log_is_moved_to_its_end_and_said_to_be() {
    let lab = Lab::for_groups();
    lab.run("topic create edge", "");
    lab.run("produce edge", &numbers(0..10));
    let done = lab.try_run(
        "group reset-offsets ge --topic edge --to-offset 99 --execute --json",
        "",
    );
    assert_eq!(done.code(), 0, "{}", done.stderr());
    assert!(
        done.stderr().contains("offset 99 of edge-0"),
        "{}",
        done.stderr()
    );
    let reset: Value = serde_json::from_str(&done.stdout()).unwrap();
    assert_eq!(reset["partitions"][0]["asked"], 99);
    assert_eq!(reset["partitions"][0]["after"], 10);
    assert_eq!(committed(&lab, "ge"), [json!(10)]);
}

#[test]
fn a_wrong_goal_or_scope_changes_nothing() {
    let lab = Lab::for_groups();
    lab.run("topic create wrong -p 2", "");
    lab.run("produce wrong", "a line\n");
    for (line, words) in [
        (
            "--topic wrong:7 --to-latest",
            &["wrong", "2 partitions", "7"][..],
        ),
        ("--topic no-such-topic --to-latest", &["no-such-topic"]),
        ("--topic wrong --shift-by 1", &["cannot be shifted"]),
        ("--all-topics --to-latest", &["gw", "--topic"]),
    ] {
        lab.try_run(&format!("group reset-offsets gw {line} --execute"), "")
            .assert_failed(words);
    }
    lab.try_run("group delete gw", "").assert_failed(&["--yes"]);
    let failed = lab.try_run("group delete gw --yes", "");
    assert_eq!(failed.code(), 1);
    assert!(
        failed.stdout().contains("GROUP_ID_NOT_FOUND"),
        "{}",
        failed.stdout()
    );
}

#[test]
fn a_group_with_members_is_shown_with_them_and_left_alone() {
    let lab = Lab::for_groups();
    lab.run("topic create busy -p 3", "");
    lab.run("produce busy -p 1", &numbers(0..7));
    let mut consumer = lab.spawn("consume busy --group gb --from-beginning");
    let rows = until(
        || {
            let found = lab.try_run("group describe gb --json", "").stdout();
            let found: Value = serde_json::from_str(&found).unwrap_or_default();
            found["groups"][0]["partitions"].clone()
        },
        |rows| {
            let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
            rows.len() == 3 && rows.iter().all(|row| row["lag"] == 0)
        },
    );
    assert_eq!(rows[1]["committed_offset"], 7);
    assert_eq!(rows[1]["client_id"], "ottla-cli");

    let group = &lab.json("group describe gb --members")["groups"][0];
    assert_eq!(
        (&group["type"], &group["state"]),
        (&json!("consumer"), &json!("Stable"))
    );
    let members = group["members"].as_array().unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!(members[0]["subscribed_topics"], json!(["busy"]));
    let assignment = json!([{"topic": "busy", "partitions": [0, 1, 2]}]);
    assert_eq!(members[0]["assignment"], assignment);
    assert_eq!(rows[1]["member_id"], members[0]["member_id"]);
    let table = lab.run("group describe gb --members --verbose", "");
    assert!(table.contains("busy:0,1,2"), "{table}");

    let listed = |filter: &str| {
        let list = lab.json(&format!("group list{filter}"));
        let groups = list["groups"].as_array().unwrap().clone();
        groups.iter().any(|one| one["group"] == "gb")
    };
    assert!(listed("") && listed(" --state stable,empty") && listed(" --type consumer"));
    assert!(!listed(" --state empty") && !listed(" --type classic"));

    lab.try_run("group reset-offsets gb --all-topics --to-latest", "")
        .assert_failed(&["gb", "1 member ", "Stable"]);
    let refused = lab.try_run("group delete gb --yes", "");
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stdout().contains("NON_EMPTY_GROUP"),
        "{}",
        refused.stdout()
    );
    let refused = lab.try_run("group delete-offsets gb --topic busy --yes", "");
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stdout().contains("GROUP_SUBSCRIBED_TO_TOPIC"),
        "{}",
        refused.stdout()
    );

    signal(&consumer, Signal::INT);
    assert_eq!(consumer.wait().unwrap().code(), Some(0));
    let left = lab.try_run("group describe gb", "");
    assert!(left.stderr().contains("no members"), "{}", left.stderr());
    lab.run("group delete gb --yes", "");
}

#[test]
fn who_reads_what_in_a_classic_group_is_read_from_its_members_own_bytes() {
    let lab = Lab::for_groups();
    lab.run("topic create old -p 2", "");
    lab.run("produce old", "a line\n");
    lab.run(
        "group reset-offsets gc --topic old --to-latest --execute",
        "",
    );
    let mut raw = Raw::connect(lab.address());
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["old".into()],
        ..ConsumerProtocolSubscription::default()
    };
    let subscription = encode(&subscription, 1).unwrap();
    let mut join = JoinGroupRequest {
        group_id: "gc".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: subscription[..].into(),
        }],
        ..JoinGroupRequest::default()
    };
    // The first answer is a member id to join with.
    join.member_id = raw
        .call(5, &join, |answer| answer.member_id.into_owned())
        .into();
    let generation = raw.call(5, &join, |answer| answer.generation_id);
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: vec![TopicPartition {
            topic: "old".into(),
            partitions: vec![1],
        }],
        ..ConsumerProtocolAssignment::default()
    };
    let assignment = encode(&assignment, 1).unwrap();
    let sync = SyncGroupRequest {
        group_id: "gc".into(),
        generation_id: generation,
        member_id: join.member_id.clone(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: join.member_id.clone(),
            assignment: assignment[..].into(),
        }],
        ..SyncGroupRequest::default()
    };
    raw.call(3, &sync, |answer| assert!(!answer.error_code.is_error()));

    let group = &lab.json("group describe gc")["groups"][0];
    assert_eq!(
        (&group["type"], &group["state"]),
        (&json!("classic"), &json!("Stable"))
    );
    assert_eq!(group["assignor"], "range");
    assert_eq!(group["members"][0]["subscribed_topics"], json!(["old"]));
    assert_eq!(group["partitions"][0]["member_id"], Value::Null);
    assert_eq!(group["partitions"][1]["member_id"], json!(join.member_id));
    lab.try_run("group reset-offsets gc --all-topics --to-latest", "")
        .assert_failed(&["gc", "1 member "]);
}

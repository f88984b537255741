//! Commands against a whole node.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;

use ottla_jepsen::launch::{NodeCommand, NodeProcess};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Done, OTTLA, ottla_with, spawn};

/// A node and its address, for commands.
pub(crate) struct Lab {
    node: Option<NodeProcess>,
    address: SocketAddr,
    directory: TempDir,
    settings: &'static [&'static str],
}

/// Members of groups are taken for dead soon.
const GROUPS: &[&str] = &[
    "offsets.topic.num.partitions=4",
    "group.initial.rebalance.delay.ms=0",
    "group.consumer.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=3000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=500",
];

impl Lab {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A node with these settings.
    pub(crate) fn with(settings: &'static [&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let node = NodeCommand::node(OTTLA, &directory.path().join("data"))
            .arguments(flags(settings))
            .start()
            .unwrap();
        Self {
            address: node.address(),
            node: Some(node),
            directory,
            settings,
        }
    }

    /// A node with groups; or the broker of `GROUP_TEST_BROKER`.
    pub(crate) fn for_groups() -> Self {
        let Ok(address) = std::env::var("GROUP_TEST_BROKER") else {
            return Self::with(GROUPS);
        };
        Self {
            address: address.parse().unwrap(),
            node: None,
            directory: tempfile::tempdir().unwrap(),
            settings: GROUPS,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// `kill -9`, then the same node on the same port.
    pub(crate) fn crash_and_restart(&mut self) {
        self.node.take().unwrap().kill().unwrap();
        let address = self.address.to_string();
        let command = NodeCommand::new(OTTLA)
            .arguments(["node", "start", "--listen", &address, "--data"])
            .arguments([self.data()])
            .arguments(flags(self.settings));
        self.node = Some(command.start().unwrap());
    }

    pub(crate) fn stop(&mut self) {
        let status = self.node.take().unwrap().stop().unwrap();
        assert!(status.success(), "stopped with {status}");
    }

    pub(crate) fn try_run(&self, line: &str, input: &str) -> Done {
        let address = self.address.to_string();
        let words = line.split(' ').chain(["-b", &address]);
        ottla_with(&words.collect::<Vec<_>>(), input.as_bytes())
    }

    #[track_caller]
    pub(crate) fn run(&self, line: &str, input: &str) -> String {
        let done = self.try_run(line, input);
        assert_eq!(done.code(), 0, "{line}: {}", done.stderr());
        done.stdout()
    }

    #[track_caller]
    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --output json"), "")).unwrap()
    }

    pub(crate) fn spawn(&self, line: &str) -> Child {
        let address = self.address.to_string();
        let words = line.split(' ').chain(["-b", &address]);
        spawn(&words.collect::<Vec<_>>())
    }
}

fn flags(settings: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    settings.iter().flat_map(|setting| ["-c", *setting])
}

pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.unwrap(), signal).unwrap();
}

pub(crate) fn numbers(range: std::ops::Range<u32>) -> String {
    let lines: Vec<_> = range.map(|n| format!("{n}\n")).collect();
    lines.concat()
}

#[test]
fn topics_are_created_listed_described_changed_and_deleted() {
    let lab = Lab::start();
    lab.run("topic create a b -p 3 -c retention.ms=60000", "");
    assert_eq!(
        lab.run("topic ls", ""),
        "NAME  PARTITIONS  REPLICAS\na     3           1\nb     3           1\n"
    );
    let again = lab.try_run("topic create a", "");
    assert_eq!(again.code(), 1);
    assert!(again.stdout().contains("TOPIC_ALREADY_EXISTS"));
    assert!(
        lab.run("topic create a --if-not-exists", "")
            .contains("exists")
    );

    lab.run("topic alter a --set retention.ms=1000 --partitions 5", "");
    let described = &lab.json("topic describe a")["topics"][0];
    assert_eq!(described["partition_count"], 5);
    let configs = described["configs"].as_array().unwrap();
    let retention = configs
        .iter()
        .find(|one| one["key"] == "retention.ms")
        .unwrap();
    assert_eq!(retention["value"], "1000");
    assert_eq!(retention["source"], "DYNAMIC_TOPIC_CONFIG");
    assert_eq!(
        described["partitions"][4]["leader"],
        described["partitions"][0]["leader"]
    );

    lab.run("topic delete a b --yes", "");
    assert_eq!(lab.json("topic list")["topics"], Value::Array(Vec::new()));
    assert!(
        lab.run("topic delete a --yes --if-exists", "")
            .contains("absent")
    );
    lab.try_run("topic describe a", "")
        .assert_failed(&["topic a", "ottla topic list"]);
}

#[test]
fn keys_values_headers_and_order_come_back() {
    let lab = Lab::start();
    lab.run("topic create t -p 4", "");
    let input: Vec<_> = (0..5000).map(|n| format!("k{}:{n}\n", n % 7)).collect();
    lab.run("produce t -K : -H source=test", &input.concat());
    let output = lab.run("consume t --from-beginning -e -f %p|%k:%v|%h\\n", "");
    let mut by_key = std::collections::BTreeMap::<&str, (Vec<u32>, &str)>::new();
    for line in output.lines() {
        let [partition, record, headers] = line.splitn(3, '|').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert_eq!(headers, "source=test");
        let (key, value) = record.split_once(':').unwrap();
        let of_key = by_key.entry(key).or_insert_with(|| (Vec::new(), partition));
        of_key.0.push(value.parse().unwrap());
        assert_eq!(of_key.1, partition, "{key} is in one partition");
    }
    assert_eq!(by_key.len(), 7);
    for (values, _) in by_key.values() {
        assert!(values.is_sorted());
        assert!(values.len() >= 714);
    }
}

#[test]
fn every_codec_and_every_acks_comes_back() {
    let lab = Lab::start();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for acks in ["0", "1", "all"] {
            let topic = format!("t-{codec}-{acks}");
            lab.run(&format!("topic create {topic}"), "");
            let input = numbers(0..2000);
            lab.run(&format!("produce {topic} -z {codec} --acks {acks}"), &input);
            let output = lab.run(&format!("consume {topic} -o start -n 2000"), "");
            assert_eq!(output, input, "{topic}");
        }
    }
}

#[test]
fn consuming_starts_and_stops_where_it_is_told() {
    let lab = Lab::start();
    lab.run("produce t", &numbers(0..100));
    for (options, expected) in [
        ("-o -3 -e", numbers(97..100)),
        ("-o +97 -e", numbers(97..100)),
        ("-o 50 -n 2", numbers(50..52)),
        ("-o start -n 1", numbers(0..1)),
        ("-o @0 -n 1", numbers(0..1)),
        ("-o @2100-01-01T00:00:00Z -e", String::new()),
        ("-o end -e", String::new()),
        ("-p 0 --from-beginning --exit", numbers(0..100)),
    ] {
        assert_eq!(
            lab.run(&format!("consume t {options}"), ""),
            expected,
            "{options}"
        );
    }
    let missing = lab.try_run("consume t -o 5000", "");
    missing.assert_failed(&["5000", "0 to 100"]);
    lab.try_run("consume t -p 9", "").assert_failed(&["t", "9"]);
    lab.try_run("consume nope", "").assert_failed(&["nope"]);
}

#[test]
fn a_record_is_one_json_object() {
    let lab = Lab::start();
    lab.run("produce t -K : -H h=1", "key:value\n");
    let line = lab.run("consume t -o start -n 1 -J", "");
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["key"], "key");
    assert_eq!(record["value"], "value");
    assert_eq!(record["offset"], 0);
    assert_eq!(record["headers"][0]["value"], "1");
}

#[test]
fn offsets_are_found_by_place_and_by_time() {
    let lab = Lab::start();
    lab.run("topic create t -p 2", "");
    lab.run("produce t -p 1", &numbers(0..10));
    let offset = |time: &str| {
        let found = lab.json(&format!("topic offsets t -p 1 --time {time}"));
        found["partitions"][0]["offset"].clone()
    };
    assert_eq!(offset("earliest"), 0);
    assert_eq!(offset("latest"), 10);
    assert_eq!(offset("0"), 0);
    assert_eq!(offset("2100-01-01T00:00:00Z"), Value::Null);
    assert!(offset("max-timestamp").as_i64().unwrap() < 10);
}

#[test]
fn a_record_that_is_too_large_is_counted_and_the_others_arrive() {
    let lab = Lab::start();
    lab.run("topic create t -c max.message.bytes=2000", "");
    let input = format!("a\n{}\nb\n", "x".repeat(5000));
    let done = lab.try_run("produce t", &input);
    assert_eq!(done.code(), 1);
    let error = done.stderr();
    assert!(
        error.contains("1 of 3 records were not acknowledged"),
        "{error}"
    );
    assert_eq!(lab.run("consume t -o start -e", ""), "a\nb\n");
}

#[test]
fn ctrl_c_stops_a_consumer_cleanly() {
    let lab = Lab::start();
    lab.run("produce t", "one\n");
    let mut consumer = lab.spawn("consume t --from-beginning");
    let mut line = [0; 4];
    std::io::Read::read_exact(consumer.stdout.as_mut().unwrap(), &mut line).unwrap();
    assert_eq!(&line, b"one\n");
    signal(&consumer, Signal::INT);
    assert_eq!(consumer.wait().unwrap().code(), Some(0));
}

#[test]
fn a_crash_while_producing_and_consuming_loses_nothing_and_repeats_nothing() {
    let mut lab = Lab::start();
    lab.run("topic create t", "");
    let mut consumer = lab.spawn("consume t --from-beginning -n 40000");
    let mut producer = lab.spawn("produce t -q");
    let mut stdin = producer.stdin.take().unwrap();
    let half = |range| std::io::Cursor::new(numbers(range));
    std::io::copy(&mut half(0..20_000), &mut stdin).unwrap();
    // What is read shows that both have found the node: one that starts while it is down gives up.
    let mut first = [0; 1];
    std::io::Read::read_exact(consumer.stdout.as_mut().unwrap(), &mut first).unwrap();
    lab.crash_and_restart();
    std::io::copy(&mut half(20_000..40_000), &mut stdin).unwrap();
    drop(stdin);
    let produced = producer.wait_with_output().unwrap();
    assert!(
        produced.status.success(),
        "{}",
        String::from_utf8_lossy(&produced.stderr)
    );
    let consumed = consumer.wait_with_output().unwrap();
    assert!(
        consumed.status.success(),
        "{}",
        String::from_utf8_lossy(&consumed.stderr)
    );
    assert!(
        [&first[..], &consumed.stdout].concat() == numbers(0..40_000).into_bytes(),
        "what was read is what was sent"
    );
}

#[test]
fn the_cluster_and_its_quorum_are_one_node() {
    let lab = Lab::start();
    let cluster = lab.json("cluster status");
    assert_eq!(cluster["brokers"].as_array().unwrap().len(), 1);
    assert_eq!(cluster["brokers"][0]["controller"], true);
    assert_eq!(cluster["leaderless_partitions"], 0);
    let quorum = lab.json("quorum status");
    assert_eq!(quorum["leader"], cluster["brokers"][0]["id"]);
    assert_eq!(quorum["members"][0]["role"], "leader");
}

#[test]
fn every_file_of_a_stopped_node_can_be_dumped() {
    let mut lab = Lab::start();
    lab.run("produce t -z lz4", &numbers(0..10_000));
    lab.stop();
    let mut files = Vec::new();
    files_below(&lab.data(), &mut files);
    for file in files {
        let name = file.to_str().unwrap();
        let done = ottla_with(&["log", "dump", "--records", name], b"");
        assert_eq!(done.code(), 0, "{}", done.stderr());
    }
}

/// Files that hold state: not locks and ballast.
fn files_below(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_state = [
            ".log",
            "index",
            ".snapshot",
            "-checkpoint",
            ".properties",
            "-journal",
        ]
        .iter()
        .any(|end| name.ends_with(end));
        if path.is_dir() {
            files_below(&path, files);
        } else if is_state && name != "spare.log" {
            files.push(path);
        }
    }
}

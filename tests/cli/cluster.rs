//! What a whole cluster is asked: who is there, is it well, what is wrong with its partitions.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;

use rustix::process::Signal;
use serde_json::Value;

use crate::run::ottla;
use crate::whole::{Lab, signal};

#[test]
fn brokers_are_listed_with_what_they_carry() {
    let lab = Lab::start();
    lab.run("topic create t -p 3", "");
    let brokers = &lab.json("broker list")["brokers"];
    assert_eq!(brokers.as_array().unwrap().len(), 1);
    assert_eq!(brokers[0]["state"], "live");
    assert_eq!(brokers[0]["controller"], true);
    assert_eq!(
        (&brokers[0]["leaders"], &brokers[0]["replicas"]),
        (&3.into(), &3.into())
    );
    let table = lab.run("broker list", "");
    assert!(table.starts_with("BROKER  RACK  ADDRESS "), "{table}");
    let short: Value = serde_json::from_str(&lab.run("broker list --json", "")).unwrap();
    assert_eq!(&short["brokers"], brokers);
}

#[test]
fn partitions_that_lack_nothing_are_not_shown_by_filters() {
    let lab = Lab::start();
    lab.run("topic create t -p 2", "");
    for filter in ["--under-replicated", "--under-min-isr", "--unavailable"] {
        assert_eq!(lab.run(&format!("topic describe {filter}"), ""), "");
    }
    // Nothing but the setting makes one replica too few.
    lab.run("topic create strict -c min.insync.replicas=2", "");
    let under = lab.json("topic describe --under-min-isr");
    assert_eq!(under["topics"].as_array().unwrap().len(), 1);
    assert_eq!(under["topics"][0]["name"], "strict");
    let partition = &under["topics"][0]["partitions"][0];
    assert_eq!(partition["isr"].as_array().unwrap().len(), 1);
    assert_eq!(partition["elr"], Value::Array(Vec::new()));
    assert_eq!(partition["last_known_elr"], Value::Array(Vec::new()));
    assert_eq!(lab.json("cluster status")["under_min_isr_partitions"], 1);
}

#[test]
fn a_node_alone_is_healthy_and_two_are_waited_for() {
    let mut lab = Lab::start();
    assert_eq!(lab.run("cluster health", ""), "healthy\n");
    lab.run("cluster health --wait --brokers 1", "");
    let done = lab.try_run("cluster health --wait --timeout 1s --brokers 2", "");
    assert_eq!(done.code(), 10, "{}", done.stderr());
    assert_eq!(done.stdout(), "unhealthy: 1 of 2 brokers are live\n");
    let done = lab.try_run("cluster health --brokers 2 --json", "");
    assert_eq!(done.code(), 10);
    let health: Value = serde_json::from_str(&done.stdout()).unwrap();
    assert_eq!(health["healthy"], false);
    lab.stop();
    let done = lab.try_run("cluster health", "");
    assert_eq!(done.code(), 10);
    assert!(done.stdout().starts_with("unhealthy: cannot connect to "));
}

#[test]
fn a_cluster_that_is_not_there_is_not_healthy() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let gone = gone.unwrap().to_string();
    let line = [
        "cluster",
        "health",
        "--wait",
        "--timeout",
        "500ms",
        "-b",
        &gone,
    ];
    assert_eq!(ottla(&line).code(), 10);
}

#[test]
fn a_watcher_hears_of_changes_once() {
    let lab = Lab::start();
    let mut watcher = lab.spawn("cluster status --watch");
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    for words in ["live=1 ", "fenced=- ", "topics=0 ", "leaderless=0 "] {
        assert!(first.contains(words), "{words} is not in: {first}");
    }
    lab.run("topic create t -p 3", "");
    let second = lines.next().unwrap().unwrap();
    assert!(second.contains("topics=1 partitions=3 "), "{second}");
    signal(&watcher, Signal::INT);
    assert_eq!(watcher.wait().unwrap().code(), Some(0));
    assert!(lines.next().is_none());
}

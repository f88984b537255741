//! Nodes come, are seen, die, are missed, and come back.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::*;

/// Any node but the controller.
fn not_the_controller(lab: &Lab) -> i32 {
    let (controller, live) = lab.cluster(1);
    live.into_iter().find(|id| *id != controller).unwrap()
}

#[test]
fn three_nodes_become_a_cluster_and_agree_on_what_was_asked_of_any() {
    let lab = Lab::start();
    lab.until_live(&[1, 2, 3]);
    let through = not_the_controller(&lab);
    assert_eq!(lab.create(through, "t"), ErrorCode::None);
    // The node that was asked shows it at once, the others soon.
    let shown = lab.shown(through, "t").expect("create, then describe");
    assert_eq!(shown.replicas.len(), 3);
    for id in [1, 2, 3] {
        until("the topic is known everywhere", || {
            lab.shown(id, "t").as_ref() == Some(&shown)
        });
    }
    // A refusal comes back as well as it would from the controller.
    assert_eq!(lab.create(through, "t"), ErrorCode::TopicAlreadyExists);
    assert_eq!(lab.create_by_asking(through, "asked-for"), ErrorCode::None);
    let mut ids: Vec<_> = [1, 2, 3].map(|id| lab.producer_id(id)).into();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "every producer has an id of its own: {ids:?}");
}

#[test]
fn a_node_that_is_killed_is_fenced_replaced_and_let_in_again() {
    let mut lab = Lab::start();
    lab.until_live(&[1, 2, 3]);
    assert_eq!(lab.create(1, "t"), ErrorCode::None);
    let leader = lab.shown(1, "t").unwrap().leader;
    lab.take(leader).kill().unwrap();
    let others: Vec<i32> = lab.running();
    lab.until_live(&others);
    for id in &others {
        until("another node leads", || {
            let shown = lab.shown(*id, "t").unwrap();
            shown.leader != leader && others.contains(&shown.leader)
        });
    }
    lab.start_all();
    lab.until_live(&[1, 2, 3]);
}

#[test]
fn a_node_that_is_stopped_hands_over_and_the_last_ones_stop_too() {
    let mut lab = Lab::start();
    lab.until_live(&[1, 2, 3]);
    assert_eq!(lab.create(1, "t"), ErrorCode::None);
    for _ in 0..3 {
        let id = lab.running()[0];
        let status = lab.take(id).stop().unwrap();
        assert!(status.success(), "node {id} stopped with {status}");
    }
}

#[test]
fn a_node_that_waits_for_the_others_says_so_and_can_be_told_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Command::new(OTTLA)
        .args(["node", "start", "--id", "1", "--listen", "127.0.0.1:0"])
        .args(["--peers", "1@127.0.0.42:19093,2@127.0.0.42:19094", "--data"])
        .arg(directory.path().join("data"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(node.stderr.take().unwrap());
    let mut lines = said.lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("waiting for node 2")));
    let pid = Pid::from_raw(i32::try_from(node.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    // Its pipe is read to the end, so that nothing holds it up.
    lines.for_each(drop);
    assert!(node.wait().unwrap().success());
}

//! How a cluster begins, and what disks that were lost, swapped or grown do to it. Row by row, no process ends unasked.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use ottla_jepsen::proxy::{Door, Proxies};

use super::*;

/// Long enough for a node that would begin a second cluster to do so.
const TEMPTATION: Duration = Duration::from_secs(2);

impl Lab {
    fn spawn_all(&mut self) {
        for id in IDS {
            self.spawn(id);
        }
    }

    /// A new disk in the place of the old one, whose node does not run.
    fn wipe(&self, id: i32) {
        fs::remove_dir_all(self.data(id)).unwrap();
    }

    /// Whether the node waits, and goes on waiting, and has said that with these words.
    fn is_held_up(&self, id: i32, words: &[&str]) -> bool {
        self.node(id).says(words, PATIENCE) && !self.node(id).says(&["listening on "], TEMPTATION)
    }

    /// The cluster that a node's disk belongs to.
    fn cluster_of(&self, id: i32) -> Option<String> {
        let properties = fs::read_to_string(self.data(id).join("meta.properties")).unwrap();
        let cluster = |line: &str| Some(line.strip_prefix("cluster.id=")?.to_owned());
        properties.lines().find_map(cluster)
    }

    /// All nodes are live in one cluster that does its work.
    fn assert_is_one_cluster(&mut self, topic: &str) {
        self.until_ready();
        self.until_live(&IDS);
        let clusters = IDS.map(|id| self.cluster_of(id).expect("the disk has a cluster"));
        assert_eq!([&clusters[1], &clusters[2]], [&clusters[0]; 2]);
        assert_eq!(self.create(3, topic), ErrorCode::None);
        self.until_known(topic);
    }

    /// The leader, whichever node that is, has changed the membership.
    fn until_leader_says(&self, words: &str) {
        let says = |id| self.node(id).says(&[words], Duration::ZERO);
        until(words, || IDS.into_iter().any(says));
    }

    /// Every node that runs knows the topic.
    fn until_known(&self, topic: &str) {
        for id in self.running() {
            until(&format!("node {id} knows {topic}"), || {
                self.shown(id, topic).is_some()
            });
        }
    }
}

#[test]
fn nodes_that_start_ten_seconds_apart_become_one_cluster() {
    let mut lab = Lab::new();
    let wait = Duration::from_secs(10);
    lab.spawn(1);
    thread::park_timeout(wait);
    assert!(lab.is_held_up(1, &["waiting for node 2, node 3"]));
    lab.spawn(2);
    thread::park_timeout(wait);
    for id in [1, 2] {
        assert!(lab.is_held_up(id, &["waiting for node 3"]));
    }
    lab.spawn(3);
    lab.assert_is_one_cluster("t");
}

#[test]
fn a_node_with_other_peers_holds_up_the_beginning_and_says_so() {
    let mut lab = Lab::new();
    let right = lab.commands[2].clone();
    // It thinks that node 1 is somewhere else.
    let mut addresses: Vec<SocketAddr> = lab
        .peers
        .split(',')
        .map(|peer| peer[2..].parse().unwrap())
        .collect();
    addresses[0] = free_addresses()[0];
    lab.commands[2] = lab.command(3, &named(&addresses));
    lab.spawn_all();
    for id in [1, 2] {
        assert!(lab.is_held_up(id, &["node 3 was started with other --peers"]));
    }
    assert!(lab.is_held_up(3, &["waiting for node 1"]));
    assert!(lab.take(3).stop().unwrap().success());
    lab.commands[2] = right;
    lab.spawn(3);
    lab.assert_is_one_cluster("t");
}

/// Without `--peers` it is a cluster of its own, which the others join once it is told of them.
#[test]
fn a_node_without_peers_is_alone_until_it_is_told_of_the_others() {
    let mut lab = Lab::new();
    let right = lab.commands[2].clone();
    lab.commands[2] = NodeCommand::node(OTTLA, &lab.data(3)).arguments(["--id", "3"]);
    lab.spawn_all();
    for id in [1, 2] {
        assert!(lab.is_held_up(id, &["waiting for node 3"]));
    }
    lab.nodes[2].as_mut().unwrap().wait_until_ready().unwrap();
    let alone = lab.cluster_of(3);
    assert!(lab.take(3).stop().unwrap().success());
    lab.commands[2] = right;
    lab.spawn(3);
    lab.assert_is_one_cluster("t");
    assert_eq!(lab.cluster_of(1), alone);
}

/// A step of a node's beginning, by what it leaves behind.
type Step = (&'static str, fn(&Lab, i32) -> bool);

const STEPS: [Step; 7] = [
    ("a directory", |lab, id| lab.data(id).join(".lock").exists()),
    ("an identity", |lab, id| {
        lab.data(id).join("meta.properties").exists()
    }),
    ("a journal", |lab, id| {
        lab.data(id).join("partition-journal").exists()
    }),
    ("a cluster", |lab, id| {
        let file = fs::read_to_string(lab.data(id).join("meta.properties"));
        file.is_ok_and(|text| text.contains("cluster.id"))
    }),
    ("a quorum log", |lab, id| first_segment(lab, id).is_some()),
    ("a membership", |lab, id| {
        let address = b"127.0.0.1:";
        first_segment(lab, id).is_some_and(|log| {
            let mut windows = log.windows(address.len());
            windows.any(|window| window == address)
        })
    }),
    ("a service", |lab, id| {
        lab.node(id).says(&["listening on "], Duration::ZERO)
    }),
];

/// The beginning of a node's quorum log.
fn first_segment(lab: &Lab, id: i32) -> Option<Vec<u8>> {
    let log = lab.data(id).join("raft/log/00000000000000000001.log");
    let mut bytes = fs::read(log).ok()?;
    bytes.truncate(64 << 10);
    Some(bytes)
}

/// Kills `victims` as soon as the first of them has taken a step, each step of a beginning once.
fn killed_at_each_step(victims: &[i32]) {
    for (step, is_taken) in STEPS {
        let mut lab = Lab::new();
        lab.spawn_all();
        let deadline = mono().saturating_add(PATIENCE);
        while !is_taken(&lab, victims[0]) {
            assert!(mono() < deadline, "node {} never has {step}", victims[0]);
        }
        for id in victims {
            lab.take(*id).kill().unwrap();
        }
        for id in victims {
            lab.spawn(*id);
        }
        lab.assert_is_one_cluster("t");
    }
}

#[test]
fn the_node_that_begins_is_killed_at_each_step() {
    killed_at_each_step(&[1]);
}

#[test]
fn a_node_that_follows_is_killed_at_each_step() {
    killed_at_each_step(&[2]);
}

#[test]
fn all_nodes_are_killed_at_each_step() {
    killed_at_each_step(&[1, 2, 3]);
}

/// Node 2 may have what was committed, so node 1 and an empty node 3 are not enough for anything.
#[test]
fn a_voter_is_wiped_while_another_is_cut_off() {
    let own = free_addresses();
    let doors: Vec<_> = own.iter().map(|_| port::listen().unwrap()).collect();
    let told: Vec<_> = doors
        .iter()
        .map(|door| door.local_addr().unwrap())
        .collect();
    let mut lab = Lab::at(&told);
    for id in IDS {
        let listeners = format!(
            "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://{}",
            own[at(id)]
        );
        let (id_text, data) = (id.to_string(), lab.data(id));
        let command = NodeCommand::new(OTTLA)
            .arguments(["node", "start", "--id", &id_text, "--peers", &lab.peers])
            .arguments(["--config", &listeners])
            .arguments(["--config", "controller.listener.names=CONTROLLER", "--data"])
            .arguments([data]);
        lab.commands[at(id)] =
            command.log_filter("info,openraft=off,ottla_raft=debug,ottla::quorum=debug");
    }
    let doors = IDS.iter().zip(doors).zip(own);
    let doors = doors.map(|((node, listener), behind)| Door {
        node: *node,
        listener,
        behind,
    });
    let network = Proxies::start(doors.collect()).unwrap();
    let spawn = |lab: &mut Lab, id| {
        let starting = network.starting();
        lab.spawn(id);
        starting.runs(id, lab.node(id).id());
    };
    for id in IDS {
        spawn(&mut lab, id);
    }
    lab.assert_is_one_cluster("kept");
    for other in [1, 3] {
        network.cut(2, other);
        network.cut(other, 2);
    }
    lab.take(3).kill().unwrap();
    lab.wipe(3);
    spawn(&mut lab, 3);
    lab.take(1).kill().unwrap();
    spawn(&mut lab, 1);
    // Node 1 looks for votes. It finds the new disk where the old one was, and asks it for none.
    let other = [
        "was not found where it was looked for",
        "is node 3 with directory",
    ];
    assert!(lab.node(1).says(&other, PATIENCE));
    let is_waiting = |id| !lab.node(id).says(&["listening on "], TEMPTATION);
    assert!(is_waiting(1) && is_waiting(3));
    assert!(lab.node(1).says(
        &[
            "the quorum has no leader",
            "node 2 does not answer, node 3 has another disk"
        ],
        PATIENCE
    ));
    assert!(!lab.node(3).says(&["leads the quorum"], Duration::ZERO));
    let voted = ["was asked for a vote", "is_granted=true"];
    assert!(!lab.node(3).says(&voted, Duration::ZERO));
    network.heal();
    lab.until_ready();
    lab.until_live(&IDS);
    lab.until_known("kept");
    // That such a line exists: the vote that made the leader of now.
    let has_voted = |id| lab.node(id).says(&voted, Duration::ZERO);
    assert!(has_voted(1) || has_voted(2));
    // The new disk gets a vote of its own in time, and with it the cluster does without node 2.
    lab.until_leader_says("node 3 has caught up and becomes a voter");
    lab.take(2).kill().unwrap();
    lab.until_live(&[1, 3]);
    assert_eq!(lab.create(3, "after"), ErrorCode::None);
}

/// What was committed may lie on the third disk alone: there is no second cluster, and what to do is said.
#[test]
fn two_of_three_disks_are_wiped_while_the_third_node_is_down() {
    let mut lab = Lab::start();
    lab.assert_is_one_cluster("kept");
    let cluster = lab.cluster_of(3);
    for id in IDS {
        lab.take(id).kill().unwrap();
    }
    let saved = tempfile::tempdir().unwrap();
    fs::rename(lab.data(1), saved.path().join("1")).unwrap();
    lab.wipe(2);
    for id in [1, 2] {
        lab.spawn(id);
    }
    for id in [1, 2] {
        let words = [
            "waiting for node 3",
            "If this node's disk is new and the others' are not, start one that has its data",
        ];
        assert!(lab.is_held_up(id, &words));
        assert_eq!(lab.cluster_of(id), None);
    }
    // The third one's vote alone is not enough either, and it says whose is missing.
    lab.spawn(3);
    let words = [
        "the quorum has no leader",
        "node 1 has another disk than it voted with, node 2 has another disk",
    ];
    assert!(lab.is_held_up(3, &words));
    for id in [1, 2] {
        assert!(lab.is_held_up(id, &["this node's disk is new to the quorum"]));
        assert_eq!(lab.cluster_of(id), cluster);
    }
    // What it asks for is what helps.
    assert!(lab.take(1).stop().unwrap().success());
    lab.wipe(1);
    fs::rename(saved.path().join("1"), lab.data(1)).unwrap();
    lab.spawn(1);
    lab.until_ready();
    lab.until_live(&IDS);
    lab.until_known("kept");
}

#[test]
fn the_directory_of_another_node_is_refused() {
    let mut lab = Lab::start();
    lab.assert_is_one_cluster("kept");
    for id in [1, 2] {
        lab.take(id).kill().unwrap();
    }
    let (of_one, of_two) = (lab.data(1), lab.data(2));
    let aside = lab.directory.path().join("aside");
    fs::rename(&of_one, &aside).unwrap();
    fs::rename(&of_two, &of_one).unwrap();
    let refused = lab.commands[0].start().unwrap_err().to_string();
    for word in ["node 2", "--id", of_one.to_str().unwrap()] {
        assert!(refused.contains(word), "no {word:?} in: {refused}");
    }
    fs::rename(&of_one, &of_two).unwrap();
    fs::rename(&aside, &of_one).unwrap();
    for id in [1, 2] {
        lab.spawn(id);
    }
    lab.until_ready();
    lab.until_live(&IDS);
    lab.until_known("kept");
}

#[test]
fn a_node_alone_with_data_grows_to_three_voters() {
    let mut lab = Lab::new();
    let together = lab.commands[0].clone();
    lab.commands[0] = NodeCommand::node(OTTLA, &lab.data(1));
    lab.spawn(1);
    lab.until_ready();
    ottla(&lab, "", &["topic", "create", "old"]);
    ottla(&lab, "one\ntwo\n", &["produce", "old"]);
    let cluster = lab.cluster_of(1);
    assert!(lab.take(1).stop().unwrap().success());
    lab.commands[0] = together;
    lab.start_all();
    lab.assert_is_one_cluster("new");
    assert_eq!(lab.cluster_of(3), cluster);
    let read = ["consume", "old", "--from-beginning", "--exit", "-f", "%v\n"];
    assert_eq!(ottla(&lab, "", &read), "one\ntwo\n");
    for id in [2, 3] {
        lab.until_leader_says(&format!("node {id} has caught up and becomes a voter"));
    }
    // So the two new ones can do without the first.
    lab.take(1).kill().unwrap();
    lab.until_live(&[2, 3]);
    assert_eq!(lab.create(2, "after"), ErrorCode::None);
    lab.start_all();
    lab.until_live(&IDS);
    assert_eq!(ottla(&lab, "", &read), "one\ntwo\n");
}

/// Every machine got another address: `--peers` says where they are.
#[test]
fn a_cluster_that_has_moved_finds_itself() {
    let mut lab = Lab::start();
    lab.assert_is_one_cluster("kept");
    for id in IDS {
        lab.take(id).kill().unwrap();
    }
    let moved = named(&free_addresses());
    for id in IDS {
        lab.commands[at(id)] = lab.command(id, &moved);
    }
    lab.start_all();
    lab.until_live(&IDS);
    lab.until_known("kept");
    // Not only who was started so knows it: the membership does.
    lab.until_leader_says("node 3 is at");
}

/// What a command says that is run with this input against the cluster.
fn ottla(lab: &Lab, input: &str, arguments: &[&str]) -> String {
    let bootstrap = lab.address(lab.running()[0]).to_string();
    let mut child = Command::new(Path::new(OTTLA))
        .args(arguments)
        .args(["-b", &bootstrap])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

//! The quorum over real sockets and real files: how nodes find each other, and what a wiped disk may not do.
//!
//! Each node runs on a thread and runtime of its own, as in the process; a crash is the end of its runtime.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use ottla::clock::mono;
use ottla::config::Peer;
use ottla::metadata::BrokerId;
use ottla::net::{Listener, SocketOptions};
use ottla::quorum::{ClusterIdentity, QuorumConfig, QuorumLog, QuorumMember};
use ottla_raft::fs::StdFs;
use ottla_raft::{DirectoryId, LogIndex, NodeId, Raft, StateMachine};
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Far above what anything here takes: only a hang meets it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Long enough for a node that would begin a second cluster to do so.
const TEMPTATION: Duration = Duration::from_millis(700);

/// The commands that a node has applied.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Vec<u8>>>>);

impl StateMachine for Log {
    fn apply(&mut self, _index: LogIndex, command: &[u8]) -> Vec<u8> {
        self.0.lock().unwrap().push(command.to_vec());
        command.to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.lock().unwrap().concat()
    }

    fn restore(&mut self, _: LogIndex, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

/// What a disk knows of its cluster, in a file.
struct Disk(PathBuf);

impl ClusterIdentity for Disk {
    fn cluster(&self) -> Option<Uuid> {
        let text = std::fs::read_to_string(self.0.join("cluster")).ok()?;
        Some(text.parse().unwrap())
    }

    fn new_cluster(&self) -> Uuid {
        Uuid::new_v4()
    }

    fn bind(&self, cluster: Uuid) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(std::fs::write(self.0.join("cluster"), cluster.to_string())?)
    }

    fn quorum_log(&self) -> QuorumLog {
        match std::fs::exists(self.0.join("begun")) {
            Ok(true) => QuorumLog::Here,
            _ => QuorumLog::None,
        }
    }

    fn note_quorum_log(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(std::fs::write(self.0.join("begun"), "")?)
    }
}

struct Lab {
    dirs: Vec<TempDir>,
    addresses: Vec<SocketAddr>,
}

/// A running node.
struct Node {
    log: Log,
    started: Receiver<(Raft, Uuid)>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Lab {
    fn new(count: usize) -> Self {
        let dirs = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        // Every listener at once, so that no two nodes get the same port.
        let any = "127.0.0.1:0".parse().unwrap();
        let listeners: Vec<_> = (0..count).map(|_| listen(any)).collect();
        let addresses = listeners.iter().map(Listener::local_address).collect();
        Self { dirs, addresses }
    }

    fn peers(&self) -> Vec<Peer> {
        let peer = |(at, address): (usize, &SocketAddr)| Peer {
            id: id(at),
            host: address.ip().to_string(),
            port: address.port(),
        };
        self.addresses.iter().enumerate().map(peer).collect()
    }

    fn dir(&self, at: usize) -> &Path {
        self.dirs[at].path()
    }

    fn start(&self, at: usize) -> Node {
        self.start_with(at, self.peers())
    }

    fn start_with(&self, at: usize, peers: Vec<Peer>) -> Node {
        let dir = self.dir(at).to_owned();
        let listener = listen(self.addresses[at]);
        let log = Log::default();
        let machine = log.clone();
        let (start, started) = sync_channel(1);
        let (stop, mut stopped) = oneshot::channel();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let config = QuorumConfig {
                    node: id(at),
                    directory: directory(&dir),
                    peers,
                    log_dir: dir.join("raft"),
                    disk: Arc::new(StdFs),
                    identity: Arc::new(Disk(dir)),
                };
                let member = tokio::select! {
                    member = QuorumMember::start(config, Some(listener), machine) => member.unwrap(),
                    _ = &mut stopped => return,
                };
                start.send((member.raft.clone(), member.cluster)).unwrap();
                let _ = stopped.await;
                member.stop().await;
            });
        };
        Node {
            log,
            started,
            stop,
            thread: std::thread::spawn(run),
        }
    }

    /// A new disk in the place of the old one.
    fn wipe(&mut self, at: usize) {
        self.dirs[at] = tempfile::tempdir().unwrap();
    }
}

impl Node {
    fn joined(&self) -> (Raft, Uuid) {
        self.started.recv_timeout(PATIENCE).unwrap()
    }

    fn is_waiting(&self) -> bool {
        self.started.recv_timeout(TEMPTATION).err() == Some(RecvTimeoutError::Timeout)
    }

    fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }

    fn has_applied(&self, command: &[u8]) -> bool {
        self.log
            .0
            .lock()
            .unwrap()
            .iter()
            .any(|each| each == command)
    }
}

fn listen(address: SocketAddr) -> Listener {
    let options = SocketOptions {
        backlog: 16,
        ..SocketOptions::default()
    };
    // The threads of a node that has just stopped may still hold it.
    let mut listener = None;
    eventually("the port is free", || {
        listener = Listener::bind("QUORUM".to_owned(), address, options).ok();
        listener.is_some()
    });
    listener.unwrap()
}

fn id(at: usize) -> BrokerId {
    BrokerId::from_wire(i32::try_from(at).unwrap() + 1).unwrap()
}

/// The id of a directory, made when it is first asked for.
fn directory(dir: &Path) -> Uuid {
    let path = dir.join("id");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return text.parse().unwrap();
    }
    let id = Uuid::new_v4();
    std::fs::write(path, id.to_string()).unwrap();
    id
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = mono().saturating_add(PATIENCE);
    while !is_so() {
        assert!(mono() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Has the command committed by whichever of these nodes leads.
fn commit(nodes: &[&Raft], command: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    eventually("a commit", || {
        let mut raft = nodes.iter();
        raft.any(|raft| {
            // A leader that has lost its majority does not answer.
            let proposed = runtime.block_on(async {
                tokio::time::timeout(PATIENCE, raft.propose(command.to_vec())).await
            });
            matches!(proposed, Ok(Ok(_)))
        })
    });
}

#[test]
fn nodes_that_start_one_after_the_other_begin_one_cluster() {
    let lab = Lab::new(3);
    let third = lab.start(2);
    assert!(third.is_waiting());
    let second = lab.start(1);
    assert!(third.is_waiting() && second.is_waiting());
    let first = lab.start(0);
    let nodes = [first, second, third];
    let joined: Vec<_> = nodes.iter().map(Node::joined).collect();
    assert!(joined.iter().all(|(_, cluster)| *cluster == joined[0].1));
    let rafts: Vec<_> = joined.iter().map(|(raft, _)| raft).collect();
    commit(&rafts, b"one");
    eventually("applied everywhere", || {
        nodes.iter().all(|node| node.has_applied(b"one"))
    });
    let voters = rafts[0].metrics().voters;
    assert_eq!(voters.len(), 3);
    assert!(voters.values().all(|voter| !voter.address.is_empty()));
    drop(joined);
    // All at once, and again: what was committed is there.
    nodes.into_iter().for_each(Node::stop);
    let nodes = [0, 1, 2].map(|at| lab.start(at));
    eventually("applied after a restart", || {
        nodes.iter().all(|node| node.has_applied(b"one"))
    });
    nodes.into_iter().for_each(Node::stop);
}

/// Decision 7: a wiped disk joins its old cluster, and neither votes nor counts there.
#[test]
fn a_wiped_voter_joins_and_casts_no_vote() {
    let mut lab = Lab::new(3);
    let [first, second, third] = [0, 1, 2].map(|at| lab.start(at));
    let (raft, cluster) = first.joined();
    let (second_raft, _) = second.joined();
    let (third_raft, _) = third.joined();
    commit(&[&raft, &second_raft, &third_raft], b"kept");
    drop((third_raft, second_raft, raft));
    third.stop();
    second.stop();
    lab.wipe(2);
    let third = lab.start(2);
    let (third_raft, joined) = third.joined();
    assert_eq!(joined, cluster);
    // One voter and one wiped disk are no majority: nothing is committed, nobody leads.
    first.stop();
    let first = lab.start(0);
    let (raft, _) = first.joined();
    std::thread::park_timeout(TEMPTATION);
    assert_eq!(raft.metrics().leader, None);
    assert!(!third.has_applied(b"kept"));
    // With a majority of the voters, the old vote is withdrawn and the new disk gets one.
    let second = lab.start(1);
    let (second_raft, _) = second.joined();
    commit(&[&raft, &second_raft], b"more");
    eventually("everything is on the new disk", || {
        third.has_applied(b"kept") && third.has_applied(b"more")
    });
    let directory = directory(lab.dir(2));
    eventually("the new disk votes", || {
        let metrics = raft.metrics();
        let third = metrics.voters.get(&NodeId(3));
        // In the middle of the change the second is still needed.
        metrics.voter_sets.len() == 1
            && third.is_some_and(|third| third.directory == DirectoryId(*directory.as_bytes()))
    });
    // So it counts: the second may go.
    second.stop();
    commit(&[&raft, &third_raft], b"again");
}

/// A node that began alone, with data, is started again with two empty peers.
#[test]
fn a_node_alone_grows_to_three_voters() {
    let lab = Lab::new(3);
    let own = lab.peers().swap_remove(0);
    let first = lab.start_with(0, vec![own]);
    let (raft, cluster) = first.joined();
    commit(&[&raft], b"early");
    drop(raft);
    first.stop();
    let [first, second, third] = [0, 1, 2].map(|at| lab.start(at));
    let joined = [&first, &second, &third].map(|node| node.joined().1);
    assert_eq!(joined, [cluster; 3]);
    eventually("the early commit is everywhere", || {
        second.has_applied(b"early") && third.has_applied(b"early")
    });
}

/// The third node, which is down, may hold what was committed.
#[test]
fn two_of_three_wiped_disks_begin_no_second_cluster() {
    let mut lab = Lab::new(3);
    let [first, second, third] = [0, 1, 2].map(|at| lab.start(at));
    let cluster = first.joined().1;
    second.joined();
    third.joined();
    [first, second, third].into_iter().for_each(Node::stop);
    lab.wipe(0);
    lab.wipe(1);
    let [first, second] = [0, 1].map(|at| lab.start(at));
    assert!(first.is_waiting() && second.is_waiting());
    let third = lab.start(2);
    let joined = [&first, &second, &third].map(|node| node.joined().1);
    assert_eq!(joined, [cluster; 3]);
}

#[test]
fn a_node_with_other_peers_holds_up_the_beginning_until_it_is_mended() {
    let lab = Lab::new(3);
    let [first, second] = [0, 1].map(|at| lab.start(at));
    let mut other = lab.peers();
    other.swap_remove(0);
    let third = lab.start_with(2, other);
    assert!(first.is_waiting() && second.is_waiting() && third.is_waiting());
    third.stop();
    let third = lab.start(2);
    let cluster = third.joined().1;
    assert_eq!([first.joined().1, second.joined().1], [cluster; 2]);
}

/// The node that begins died after it had named the cluster and before the first entry.
#[test]
fn a_beginning_that_was_cut_short_goes_on() {
    let lab = Lab::new(3);
    let named = Uuid::new_v4();
    Disk(lab.dir(0).to_owned()).bind(named).unwrap();
    let first = lab.start(0);
    assert!(first.is_waiting());
    let [second, third] = [1, 2].map(|at| lab.start(at));
    let joined = [&first, &second, &third].map(Node::joined);
    assert!(joined.iter().all(|(_, cluster)| *cluster == named));
    let rafts: Vec<_> = joined.iter().map(|(raft, _)| raft).collect();
    commit(&rafts, b"begun");
}

#[test]
fn the_death_of_a_leader_costs_one_election_and_no_commit() {
    let lab = Lab::new(3);
    let mut nodes: Vec<_> = [0, 1, 2].map(|at| Some(lab.start(at))).into();
    let rafts: Vec<_> = nodes
        .iter()
        .map(|node| node.as_ref().unwrap().joined().0)
        .collect();
    for round in 0..3_u8 {
        commit(&rafts.iter().collect::<Vec<_>>(), &[b'r', round]);
    }
    let led = || rafts[0].metrics().leader;
    eventually("a leader", || led().is_some());
    let leader = usize::try_from(led().unwrap().0).unwrap() - 1;
    nodes[leader].take().unwrap().stop();
    let left: Vec<_> = (0..3).filter(|at| *at != leader).collect();
    let living: Vec<_> = left.iter().map(|at| &rafts[*at]).collect();
    commit(&living, b"after");
    for at in left {
        let node = nodes[at].as_ref().unwrap();
        eventually("everything applied", || {
            let all = [&b"r\x00"[..], b"r\x01", b"r\x02", b"after"];
            all.iter().all(|command| node.has_applied(command))
        });
    }
}

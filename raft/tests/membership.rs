//! Who belongs to a quorum, and who may speak: learners, voters, and disks that were swapped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Journal, config, runtime};
use ottla_jepsen::disk::SimDisk;
use ottla_raft::{
    CallClass, CallFuture, ClusterId, DirectoryId, Member, MembershipError, NodeId, Peer,
    ProposeError, Raft, Transport, TransportError,
};
use tokio::time::{sleep, timeout};

/// Connects nodes by id, whatever directory they have: the calls must tell.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<BTreeMap<NodeId, Raft>>>);

impl Transport for Wire {
    fn call<'a>(
        &'a self,
        peer: &'a Peer,
        _: CallClass,
        request: Vec<u8>,
        _: Duration,
    ) -> CallFuture<'a> {
        let target = self.0.lock().unwrap().get(&peer.id).cloned();
        Box::pin(async move {
            let Some(target) = target else {
                return Err(TransportError::Unreachable("nobody is there".into()));
            };
            sleep(Duration::from_micros(100)).await;
            Ok(target.handle(&request).await)
        })
    }
}

struct Node {
    raft: Raft,
    journal: Journal,
    disk: SimDisk,
}

fn member(node: u64, directory: u8) -> (NodeId, Member) {
    let directory = DirectoryId([directory; 16]);
    (
        NodeId(node),
        Member {
            directory,
            address: format!("node-{node}:9093"),
        },
    )
}

async fn start_in(wire: &Wire, cluster: u8, node: u64, directory: u8) -> Node {
    let disk = SimDisk::new();
    let mut config = config();
    config.cluster = ClusterId([cluster; 16]);
    config.node = NodeId(node);
    config.directory = DirectoryId([directory; 16]);
    config.seed = Some(node);
    let journal = Journal::default();
    let fs = Arc::new(disk.mount());
    let transport = Arc::new(wire.clone());
    let started = Raft::start(config, fs, PathBuf::from("/q"), transport, journal.clone()).await;
    let raft = started.unwrap();
    wire.0.lock().unwrap().insert(NodeId(node), raft.clone());
    Node {
        raft,
        journal,
        disk,
    }
}

async fn start(wire: &Wire, node: u64, directory: u8) -> Node {
    start_in(wire, 7, node, directory).await
}

/// Three voters, of which one leads.
async fn three(wire: &Wire) -> Vec<Node> {
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(start(wire, id, u8::try_from(id).unwrap()).await);
    }
    let members = [member(1, 1), member(2, 2), member(3, 3)]
        .into_iter()
        .collect();
    nodes[0].raft.initialize(members).await.unwrap();
    leader(&nodes).await;
    nodes
}

async fn leader(nodes: &[Node]) -> usize {
    for _ in 0..1000 {
        for (position, node) in nodes.iter().enumerate() {
            if node.raft.barrier().await.is_ok() {
                return position;
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("no leader in ten seconds");
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not in ten seconds: {what}");
}

#[test]
fn only_the_leader_takes_commands_and_every_node_applies_them() {
    runtime().block_on(async {
        let wire = Wire::default();
        let nodes = three(&wire).await;
        let leading = leader(&nodes).await;
        let id = nodes[leading].raft.metrics().node;
        for (position, node) in nodes.iter().enumerate() {
            let proposed = node.raft.propose(vec![1]).await;
            if position == leading {
                proposed.unwrap();
            } else {
                let refused = proposed.unwrap_err();
                let hint =
                    matches!(refused, ProposeError::NotLeader { leader } if leader == Some(id));
                assert!(hint, "{refused}");
            }
        }
        until("all applied", || {
            nodes.iter().all(|node| node.journal.commands() == [[1]])
        })
        .await;
    });
}

#[test]
fn a_learner_catches_up_becomes_a_voter_and_leaves() {
    runtime().block_on(async {
        let wire = Wire::default();
        let nodes = three(&wire).await;
        let leading = &nodes[leader(&nodes).await].raft;
        for n in 0..200_u8 {
            leading.propose(vec![n]).await.unwrap();
        }
        let fourth = start(&wire, 4, 4).await;
        let voters: BTreeSet<NodeId> = (1..=4).map(NodeId).collect();
        let refused = leading.change_voters(voters.clone()).await;
        assert!(matches!(
            refused,
            Err(MembershipError::NotALearner { node: NodeId(4) })
        ));
        let (id, address) = member(4, 4);
        leading.add_learner(id, address).await.unwrap();
        until("the learner catches up", || {
            fourth.journal.commands().len() == 200
        })
        .await;
        assert!(leading.metrics().observers.contains_key(&id));
        until("the leader knows", || {
            let metrics = leading.metrics();
            metrics.replicas[&id].log_end == Some(metrics.log_end)
                && metrics.replicas[&id].since_caught_up.is_some()
        })
        .await;
        leading.change_voters(voters.clone()).await.unwrap();
        assert_eq!(
            leading
                .metrics()
                .voters
                .keys()
                .copied()
                .collect::<BTreeSet<_>>(),
            voters
        );
        leading
            .change_voters((1..=3).map(NodeId).collect())
            .await
            .unwrap();
        let metrics = leading.metrics();
        assert_eq!(metrics.voters.len(), 3);
        assert!(metrics.observers.is_empty());
        let nobody = leading.change_voters(BTreeSet::new()).await;
        assert!(matches!(nobody, Err(MembershipError::NoVoters)));
    });
}

/// Decision 7: a wiped disk has another directory id. It can't vote, acknowledge or be counted, and
/// takes its old place only by changes of the membership.
#[test]
fn a_wiped_disk_is_nobody_until_the_membership_names_it() {
    runtime().block_on(async {
        let wire = Wire::default();
        let mut nodes = three(&wire).await;
        let leading = leader(&nodes).await;
        nodes[leading]
            .raft
            .propose(b"before".to_vec())
            .await
            .unwrap();
        let wiped = (leading + 1) % 3;
        let other = (leading + 2) % 3;
        let id = nodes[wiped].raft.metrics().node;
        nodes[wiped].raft.shutdown().await;
        nodes[wiped] = start(&wire, id.0, 99).await;

        // With the third node gone, the wiped one would have to be counted.
        let away = nodes[other].raft.metrics().node;
        let gone = wire.0.lock().unwrap().remove(&away).unwrap();
        let raft = nodes[leading].raft.clone();
        let stuck = timeout(Duration::from_secs(2), raft.propose(b"alone".to_vec())).await;
        assert!(
            !matches!(stuck, Ok(Ok(_))),
            "acknowledged without a majority"
        );
        assert!(nodes[wiped].journal.commands().is_empty());
        assert!(!nodes[wiped].raft.is_initialized().await.unwrap());
        wire.0.lock().unwrap().insert(away, gone);

        let leading = leader(&nodes).await;
        assert_ne!(leading, wiped);
        let raft = &nodes[leading].raft;
        let rest: BTreeSet<NodeId> = (1..=3).map(NodeId).filter(|node| *node != id).collect();
        raft.change_voters(rest).await.unwrap();
        let (id, new) = member(id.0, 99);
        raft.add_learner(id, new.clone()).await.unwrap();
        raft.change_voters((1..=3).map(NodeId).collect())
            .await
            .unwrap();
        assert_eq!(raft.metrics().voters[&id], new);
        until("the new disk has all", || {
            let commands = nodes[wiped].journal.commands();
            commands.first().is_some_and(|first| first == b"before")
        })
        .await;
        assert_eq!(nodes[wiped].disk.counts().crashes, 0);
    });
}

#[test]
fn a_node_of_another_cluster_is_refused() {
    runtime().block_on(async {
        let wire = Wire::default();
        let nodes = three(&wire).await;
        let leading = leader(&nodes).await;
        let term = nodes[leading].raft.leadership().borrow().term;
        let stranger = start_in(&wire, 8, 4, 4).await;
        let (id, address) = member(4, 4);
        nodes[leading].raft.add_learner(id, address).await.unwrap();
        nodes[leading]
            .raft
            .propose(b"secret".to_vec())
            .await
            .unwrap();
        sleep(Duration::from_secs(2)).await;
        assert!(stranger.journal.commands().is_empty());
        assert!(!stranger.raft.is_initialized().await.unwrap());
        assert_eq!(nodes[leading].raft.leadership().borrow().term, term);
    });
}

#[test]
fn bytes_that_are_no_call_are_answered_and_change_nothing() {
    runtime().block_on(async {
        let wire = Wire::default();
        let nodes = three(&wire).await;
        let before = nodes[0].raft.metrics().log_end;
        let calls: [&[u8]; 4] = [b"", b"OTRP", &[0; 64], &[0xff; 1000]];
        for call in calls {
            let answer = nodes[0].raft.handle(call).await;
            assert!(answer.starts_with(b"OTRP"));
            // An answer is no call either.
            assert!(nodes[0].raft.handle(&answer).await.starts_with(b"OTRP"));
        }
        assert_eq!(nodes[0].raft.metrics().log_end, before);
    });
}

//! Three nodes as real processes: they find each other, agree on what there is, and miss one that dies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test ends at the first surprise"
)]

#[path = "../node/client.rs"]
#[allow(dead_code, reason = "the tests of single nodes use the rest")]
mod client;

mod bootstrap;
mod joining;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use client::Client;
use ottla::clock::mono;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::create_topics::{CreatableTopic, CreateTopicsRequest};
use ottla::wire::messages::describe_cluster::DescribeClusterRequest;
use ottla::wire::messages::init_producer_id::InitProducerIdRequest;
use ottla::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_jepsen::launch::{NodeCommand, NodeProcess};
use ottla_jepsen::port;
use tempfile::TempDir;

/// The binary under test.
const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");
const IDS: [i32; 3] = [1, 2, 3];
/// Far above what anything here takes: only a hang meets it.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Nodes 1 to 3, each with a directory of its own. No node that is still in it may end by itself.
struct Lab {
    nodes: Vec<Option<NodeProcess>>,
    commands: Vec<NodeCommand>,
    /// What each node is told of all.
    peers: String,
    directory: TempDir,
}

/// A topic's first partition, as a node shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    leader: i32,
    replicas: Vec<i32>,
}

impl Lab {
    /// Three nodes that run.
    fn start() -> Self {
        let mut lab = Self::new();
        lab.start_all();
        lab
    }

    /// Three nodes that do not run yet.
    fn new() -> Self {
        Self::at(&free_addresses())
    }

    /// Three nodes whose quorum is to be found there.
    fn at(quorum: &[SocketAddr]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let peers = named(quorum);
        let mut lab = Self {
            nodes: IDS.map(|_| None).into(),
            commands: Vec::new(),
            peers,
            directory,
        };
        lab.commands = IDS.map(|id| lab.command(id, &lab.peers)).into();
        lab
    }

    /// How a node is started with these `--peers`.
    fn command(&self, id: i32, peers: &str) -> NodeCommand {
        NodeCommand::node(OTTLA, &self.data(id)).arguments([
            "--id",
            &id.to_string(),
            "--peers",
            peers,
        ])
    }

    fn data(&self, id: i32) -> PathBuf {
        self.directory.path().join(id.to_string())
    }

    /// Starts a node that may wait for others.
    fn spawn(&mut self, id: i32) {
        let node = self.commands[at(id)].spawn().unwrap();
        self.nodes[at(id)] = Some(node);
    }

    fn node(&self, id: i32) -> &NodeProcess {
        self.nodes[at(id)].as_ref().expect("the node runs")
    }

    /// Waits until all nodes that run serve.
    fn until_ready(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            node.wait_until_ready().unwrap();
        }
    }

    /// Starts what does not run, all at once: a node is ready when its cluster is.
    fn start_all(&mut self) {
        std::thread::scope(|scope| {
            let missing = self.nodes.iter_mut().zip(&self.commands);
            for (node, command) in missing.filter(|(node, _)| node.is_none()) {
                scope.spawn(|| *node = Some(command.start().unwrap()));
            }
        });
    }

    fn address(&self, id: i32) -> SocketAddr {
        self.node(id).address()
    }

    fn connect(&self, id: i32) -> Client {
        Client::connect(self.address(id))
    }

    fn take(&mut self, id: i32) -> NodeProcess {
        self.nodes[at(id)].take().expect("the node runs")
    }

    /// The ids of the nodes that run.
    fn running(&self) -> Vec<i32> {
        let ids = (1..).zip(&self.nodes);
        ids.filter(|(_, node)| node.is_some())
            .map(|(id, _)| id)
            .collect()
    }

    /// The controller and the brokers that are not fenced, as a node sees them.
    fn cluster(&self, from: i32) -> (i32, Vec<i32>) {
        let request = DescribeClusterRequest {
            include_fenced_brokers: true,
            ..DescribeClusterRequest::default()
        };
        self.connect(from).call(2, &request, |response| {
            let live = response.brokers.iter().filter(|broker| !broker.is_fenced);
            let mut live: Vec<_> = live.map(|broker| broker.broker_id).collect();
            live.sort_unstable();
            (response.controller_id, live)
        })
    }

    /// Waits until every node that runs sees these brokers unfenced, and no others.
    fn until_live(&self, wanted: &[i32]) {
        for id in self.running() {
            until(&format!("node {id} sees {wanted:?} live"), || {
                self.cluster(id).1 == wanted
            });
        }
    }

    /// Creates a topic with one partition on all nodes.
    fn create(&self, through: i32, name: &str) -> ErrorCode {
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: name.into(),
                num_partitions: 1,
                replication_factor: 3,
                ..CreatableTopic::default()
            }],
            timeout_ms: 30_000,
            ..CreateTopicsRequest::default()
        };
        self.connect(through)
            .call(7, &request, |response| response.topics[0].error_code)
    }

    /// Asks for a topic that is not there, so that it comes into being.
    fn create_by_asking(&self, through: i32, name: &str) -> ErrorCode {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.into()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: true,
            ..MetadataRequest::default()
        };
        self.connect(through)
            .call(12, &request, |response| response.topics[0].error_code)
    }

    fn producer_id(&self, from: i32) -> i64 {
        let request = InitProducerIdRequest {
            transactional_id: None,
            ..InitProducerIdRequest::default()
        };
        self.connect(from).call(4, &request, |response| {
            assert_eq!(response.error_code, ErrorCode::None);
            response.producer_id
        })
    }

    /// A topic's first partition, as a node shows it; `None` if it does not know the topic.
    fn shown(&self, from: i32, name: &str) -> Option<Shown> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.into()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        self.connect(from).call(12, &request, |response| {
            let partition = response.topics[0].partitions.first()?;
            Some(Shown {
                leader: partition.leader_id,
                replicas: partition.replica_nodes.clone(),
            })
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for (id, node) in IDS.iter().zip(&mut self.nodes) {
            if let Some(node) = node.as_ref().filter(|_| std::thread::panicking()) {
                eprintln!("node {id} wrote:\n{}", node.output().join("\n"));
            }
            let has_ended = node
                .as_mut()
                .is_some_and(|node| !node.is_running().unwrap());
            assert!(
                !has_ended || std::thread::panicking(),
                "node {id} ended unasked"
            );
        }
    }
}

fn at(id: i32) -> usize {
    usize::try_from(id - 1).unwrap()
}

/// Addresses that are free now, for a quorum of three.
fn free_addresses() -> Vec<SocketAddr> {
    // All at once, so that no two are the same.
    let listeners = IDS.map(|_| port::listen().unwrap());
    let addresses = listeners.iter().map(TcpListener::local_addr);
    addresses.map(Result::unwrap).collect()
}

/// The `--peers` that name nodes at these addresses.
fn named(addresses: &[SocketAddr]) -> String {
    let named = IDS.iter().zip(addresses);
    let named: Vec<_> = named.map(|(id, at)| format!("{id}@{at}")).collect();
    named.join(",")
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = mono().saturating_add(PATIENCE);
    while !is_so() {
        assert!(mono() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(PAUSE);
    }
}

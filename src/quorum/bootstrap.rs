//! How a node without a quorum finds or begins one (decision 7). Pure: answers in, a step out.
//!
//! - There is never a second cluster: a node begins one only if *every* peer has answered, was started with the same
//!   peers, and knows of no quorum; and of these nodes only the one with the lowest id begins.
//! - So a committed entry is never forgotten: it lies on a majority, and one of them would have answered that it has a
//!   quorum.
//! - Whatever does not fit is waited for, and said: an operator can mend it while the node waits.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use super::hello::Hello;
use crate::metadata::BrokerId;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing but to ask again.
    Wait(Waiting),
    /// A quorum exists: belong to its cluster, and wait to be led.
    Join {
        /// Its cluster.
        cluster: Uuid,
    },
    /// Begin a quorum of these.
    Initialize {
        /// The cluster, if an earlier try has named it.
        cluster: Option<Uuid>,
        /// Every peer with its directory, this node among them.
        members: BTreeMap<BrokerId, Uuid>,
    },
}

/// What a node waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Peers that have not answered yet.
    Silent(Vec<BrokerId>),
    /// Peers that were started with other `--peers`.
    OtherPeers(Vec<BrokerId>),
    /// At a peer's address another node answers.
    OtherNode { wanted: BrokerId, found: BrokerId },
    /// A peer's disk belongs to another cluster than this one's, or than another peer's.
    OtherCluster {
        peer: BrokerId,
        theirs: Uuid,
        ours: Uuid,
    },
    /// The node with the lowest id begins.
    Lowest(BrokerId),
}

/// Decides for `me`, with what the other peers answered last; `peers` are all ids, this node's among them.
pub(super) fn decide(me: &Hello, peers: &[BrokerId], answers: &BTreeMap<BrokerId, Hello>) -> Step {
    let others = || peers.iter().filter(|peer| **peer != me.node);
    let answered = || others().filter_map(|peer| Some((*peer, answers.get(peer)?)));
    if let Some((wanted, hello)) = answered().find(|(peer, hello)| hello.node != *peer) {
        let found = hello.node;
        return Step::Wait(Waiting::OtherNode { wanted, found });
    }
    let mut cluster = me.cluster;
    for (peer, hello) in answered() {
        match (cluster, hello.cluster) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                return Step::Wait(Waiting::OtherCluster { peer, theirs, ours });
            }
            (None, theirs) => cluster = theirs,
            _ => {}
        }
    }
    let is_initialized = answered().any(|(_, hello)| hello.is_initialized);
    if let Some(cluster) = cluster.filter(|_| is_initialized) {
        return Step::Join { cluster };
    }
    let silent: Vec<_> = others()
        .filter(|peer| !answers.contains_key(peer))
        .copied()
        .collect();
    if !silent.is_empty() {
        return Step::Wait(Waiting::Silent(silent));
    }
    let differing = answered().filter(|(_, hello)| hello.peers != me.peers);
    let differing: Vec<_> = differing.map(|(peer, _)| peer).collect();
    if !differing.is_empty() {
        return Step::Wait(Waiting::OtherPeers(differing));
    }
    match peers.iter().min() {
        Some(lowest) if *lowest != me.node => Step::Wait(Waiting::Lowest(*lowest)),
        _ => {
            let mut members: BTreeMap<_, _> = answered()
                .map(|(peer, hello)| (peer, hello.directory))
                .collect();
            members.insert(me.node, me.directory);
            Step::Initialize { cluster, members }
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(peers) => write!(
                f,
                "waiting for {}: a new cluster begins when all of --peers run. If this node's disk is new and the \
                 others' are not, start one that has its data",
                List(peers)
            ),
            Self::OtherPeers(peers) => write!(
                f,
                "{} was started with other --peers: restart it or this node, all must name the same nodes",
                List(peers)
            ),
            Self::OtherNode { wanted, found } => write!(
                f,
                "node {found} answers at the address that --peers gives for node {wanted}: correct --peers or its --id"
            ),
            Self::OtherCluster { peer, theirs, ours } => write!(
                f,
                "node {peer} belongs to cluster {theirs}, not to {ours}: point --peers or --data at the right ones"
            ),
            Self::Lowest(peer) => write!(f, "waiting for node {peer} to begin the cluster"),
        }
    }
}

/// Nodes in a sentence.
struct List<'a>(&'a [BrokerId]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, node) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}node {node}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::PeersDigest;
    use super::*;

    fn id(node: i32) -> BrokerId {
        BrokerId::from_wire(node).unwrap()
    }

    fn empty(node: i32) -> Hello {
        Hello {
            node: id(node),
            directory: directory(node),
            cluster: None,
            is_initialized: false,
            peers: PeersDigest(1),
        }
    }

    fn directory(node: i32) -> Uuid {
        Uuid::from_u128(u128::from(node.unsigned_abs()))
    }

    const CLUSTER: Uuid = Uuid::from_u128(77);

    fn member(node: i32) -> Hello {
        Hello {
            cluster: Some(CLUSTER),
            is_initialized: true,
            ..empty(node)
        }
    }

    fn step(me: Hello, answers: &[Hello]) -> Step {
        let answers = answers.iter().map(|hello| (hello.node, *hello)).collect();
        decide(&me, &[id(2), id(1), id(3)], &answers)
    }

    #[test]
    fn only_the_lowest_begins_and_only_when_all_are_empty() {
        let members = [1, 2, 3].map(|node| (id(node), directory(node)));
        let begin = Step::Initialize {
            cluster: None,
            members: members.into(),
        };
        assert_eq!(step(empty(1), &[empty(2), empty(3)]), begin);
        let wait = Step::Wait(Waiting::Lowest(id(1)));
        assert_eq!(step(empty(2), &[empty(1), empty(3)]), wait);
        for answers in [vec![], vec![empty(2)], vec![empty(3)]] {
            assert!(matches!(
                step(empty(1), &answers),
                Step::Wait(Waiting::Silent(_))
            ));
        }
    }

    /// Two of three disks were wiped and the third node is down: it may hold what was committed.
    #[test]
    fn a_majority_of_empty_nodes_does_not_begin_a_second_cluster() {
        let wait = Step::Wait(Waiting::Silent(vec![id(3)]));
        assert_eq!(step(empty(1), &[empty(2)]), wait);
    }

    #[test]
    fn a_wiped_node_joins_what_is_there() {
        let join = Step::Join { cluster: CLUSTER };
        assert_eq!(step(empty(1), &[member(2)]), join);
        assert_eq!(step(empty(1), &[empty(2), member(3)]), join);
        // Other --peers don't matter then: the stored membership wins.
        let other = Hello {
            peers: PeersDigest(2),
            ..member(3)
        };
        assert_eq!(step(empty(1), &[other]), join);
    }

    /// The lowest died between the naming of the cluster and its first entry, and comes again.
    #[test]
    fn a_beginning_that_was_cut_short_goes_on_under_the_same_name() {
        let named = |node| Hello {
            cluster: Some(CLUSTER),
            ..empty(node)
        };
        for (me, other) in [(named(1), empty(2)), (empty(1), named(2))] {
            let Step::Initialize { cluster, .. } = step(me, &[other, empty(3)]) else {
                panic!("must begin");
            };
            assert_eq!(cluster, Some(CLUSTER));
        }
        assert!(matches!(
            step(named(1), &[empty(2)]),
            Step::Wait(Waiting::Silent(_))
        ));
    }

    #[test]
    fn what_does_not_fit_is_waited_for_and_said() {
        let stray = Hello {
            peers: PeersDigest(9),
            ..empty(3)
        };
        let wait = Step::Wait(Waiting::OtherPeers(vec![id(3)]));
        assert_eq!(step(empty(1), &[empty(2), stray]), wait);
        let foreign = Hello {
            cluster: Some(Uuid::from_u128(78)),
            ..member(3)
        };
        assert!(matches!(
            step(empty(1), &[member(2), foreign]),
            Step::Wait(Waiting::OtherCluster { .. })
        ));
        let me = Hello {
            cluster: Some(CLUSTER),
            ..empty(1)
        };
        let Step::Wait(waiting) = step(me, &[empty(2), foreign]) else {
            panic!("must wait");
        };
        assert!(waiting.to_string().starts_with("node 3 belongs to cluster"));
        let answers = [(id(2), empty(3))].into();
        let wait = Step::Wait(Waiting::OtherNode {
            wanted: id(2),
            found: id(3),
        });
        assert_eq!(decide(&empty(1), &[id(1), id(2)], &answers), wait);
    }

    #[test]
    fn a_node_alone_begins_at_once() {
        let begin = Step::Initialize {
            cluster: None,
            members: [(id(1), directory(1))].into(),
        };
        assert_eq!(decide(&empty(1), &[id(1)], &BTreeMap::new()), begin);
    }
}

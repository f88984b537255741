//! Who should be a member: the leader compares the membership with the disks that answer. Pure.
//!
//! - A voter is a node *with its directory*. A disk that was replaced is another voter: the old one leaves, the new one
//!   comes as a learner, catches up, and is promoted (decision 7).
//! - One step at a time, and a voter leaves only while a majority of all voters, without it, answers: else the
//!   change could not be committed, and would stop everything that comes after it.
//! - A change that its leader did not live to end is ended first: until then a majority of both sides is needed, and
//!   the lists of voters look as if all were done.
//! - The stored membership wins: nobody leaves because `--peers` does not name it. `--peers` says where the members are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_raft::{DirectoryId, LogIndex, Member, Metrics, NodeId};

/// A member that has not answered for this long does not count as healthy.
const HEALTHY: Duration = Duration::from_secs(1);
/// A learner that is this close to the end of the log is promoted: the rest comes with the next appends.
const NEAR: u64 = 100;

/// A node that answered, with the disk that it has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who.
    pub(super) node: NodeId,
    /// Its directory, and where it listens.
    pub(super) member: Member,
}

/// The next change of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A node follows without a vote.
    AddLearner(Seen),
    /// A learner's disk was replaced: it leaves, to come again.
    RemoveLearner(NodeId),
    /// These vote from now on.
    Voters(BTreeSet<NodeId>),
    /// A member is the one it was, at another place.
    Address(NodeId, String),
}

/// The next step, if one is due. `metrics` are those of the leader, `seen` the nodes of its cluster that answer.
pub(super) fn next_change(metrics: &Metrics, seen: &[Seen]) -> Option<Change> {
    if let [_, .., after] = &metrics.voter_sets[..] {
        return Some(Change::Voters(after.clone()));
    }
    seen.iter().find_map(|seen| change_for(metrics, seen))
}

fn change_for(metrics: &Metrics, seen: &Seen) -> Option<Change> {
    let node = seen.node;
    let has_same_disk = |known: &Member| known.directory == seen.member.directory;
    let known = metrics.voters.get(&node);
    let known = known.or_else(|| metrics.observers.get(&node));
    if known.is_some_and(|known| has_same_disk(known) && known.address != seen.member.address) {
        return Some(Change::Address(node, seen.member.address.clone()));
    }
    if let Some(voter) = metrics.voters.get(&node) {
        let is_replaced = !has_same_disk(voter) && node != metrics.node;
        return (is_replaced && can_do_without(metrics, node)).then(|| {
            let others = metrics.voters.keys().filter(|voter| **voter != node);
            Change::Voters(others.copied().collect())
        });
    }
    match metrics.observers.get(&node) {
        None => Some(Change::AddLearner(seen.clone())),
        Some(learner) if !has_same_disk(learner) => Some(Change::RemoveLearner(node)),
        Some(_) => is_near(metrics, node).then(|| {
            let voters = metrics.voters.keys().copied();
            Change::Voters(voters.chain([node]).collect())
        }),
    }
}

/// Whether a majority of the voters is healthy without this one.
fn can_do_without(metrics: &Metrics, node: NodeId) -> bool {
    let healthy = metrics.voters.keys().filter(|voter| {
        let replica = metrics.replicas.get(voter);
        let since = replica.and_then(|replica| replica.since_answer);
        **voter != node && since.is_some_and(|since| since < HEALTHY)
    });
    healthy.count() > metrics.voters.len() / 2
}

fn is_near(metrics: &Metrics, node: NodeId) -> bool {
    let end = metrics
        .replicas
        .get(&node)
        .and_then(|replica| replica.log_end);
    end.is_some_and(|LogIndex(end)| end.saturating_add(NEAR) >= metrics.log_end.0)
}

/// A member as the quorum keeps it.
pub(super) fn member(directory: uuid::Uuid, address: String) -> Member {
    Member {
        directory: DirectoryId(*directory.as_bytes()),
        address,
    }
}

/// What to say of a change, for the log.
pub(super) fn describe(change: &Change, voters: &BTreeMap<NodeId, Member>) -> String {
    match change {
        Change::AddLearner(seen) => format!("node {} begins to follow the quorum", seen.node),
        Change::RemoveLearner(node) => {
            format!("node {node} has another disk: it starts to follow anew")
        }
        Change::Address(node, address) => format!("node {node} is at {address} now"),
        Change::Voters(after) => {
            let joins = after.iter().find(|node| !voters.contains_key(node));
            let leaves = voters.keys().find(|node| !after.contains(node));
            match (joins, leaves) {
                (Some(node), _) => format!("node {node} has caught up and becomes a voter"),
                (None, Some(node)) => {
                    format!("node {node} has another disk: its old vote is withdrawn")
                }
                (None, None) => "a change of the voters that was cut short ends".to_owned(),
            }
        }
    }
}

/// What is missing for a leader, if too few voters are there; `seen` are the nodes that answer, this one among them.
pub(super) fn describe_missing(metrics: &Metrics, seen: &[Seen]) -> Option<String> {
    let voters = &metrics.voters;
    if voters.is_empty() {
        return Some(
            "this node's disk is new to the quorum, which has no leader: it follows once most of the voters run with \
             the data that they had"
                .to_owned(),
        );
    }
    metrics
        .voter_sets
        .iter()
        .find_map(|set| describe_missing_of(set, voters, seen))
}

/// The same for one set of voters, of which a majority is needed.
fn describe_missing_of(
    set: &BTreeSet<NodeId>,
    voters: &BTreeMap<NodeId, Member>,
    seen: &[Seen],
) -> Option<String> {
    let voters = voters.iter().filter(|(node, _)| set.contains(node));
    let missing = voters.filter_map(|(node, voter)| {
        let answer = seen.iter().find(|seen| seen.node == *node);
        match answer.map(|answer| answer.member.directory == voter.directory) {
            Some(true) => None,
            Some(false) => Some(format!("node {node} has another disk than it voted with")),
            None => Some(format!("node {node} does not answer")),
        }
    });
    let missing: Vec<_> = missing.collect();
    let needed = set.len() / 2 + 1;
    (set.len() - missing.len() < needed).then(|| {
        format!(
            "the quorum has no leader: {needed} of its {} voters must run with the data that they had, and {}. Start \
             what is down, and give a replaced disk its data back",
            set.len(),
            missing.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use ottla_raft::{Replica, Term};

    use super::*;

    const NOW: Option<Duration> = Some(Duration::ZERO);

    fn disk(number: u8) -> Member {
        Member {
            directory: DirectoryId([number; 16]),
            address: format!("h{number}:9093"),
        }
    }

    fn seen(node: u64, number: u8) -> Seen {
        Seen {
            node: NodeId(node),
            member: disk(number),
        }
    }

    /// Node 1 leads voters 1 to `count`, each on the disk of its number, all healthy and caught up.
    fn leader_of(count: u8) -> Metrics {
        let nodes = || (1..=count).map(|node| NodeId(u64::from(node)));
        let replica = Replica {
            log_end: Some(LogIndex(1000)),
            since_answer: NOW,
            since_caught_up: NOW,
        };
        Metrics {
            node: NodeId(1),
            term: Term(1),
            leader: Some(NodeId(1)),
            log_end: LogIndex(1000),
            high_watermark: LogIndex(1000),
            applied: Some(LogIndex(999)),
            snapshot: None,
            purged: None,
            voters: nodes().zip((1..=count).map(disk)).collect(),
            voter_sets: vec![nodes().collect()],
            observers: BTreeMap::new(),
            replicas: nodes().map(|node| (node, replica)).collect(),
            is_disk_full: false,
        }
    }

    fn silence(metrics: &mut Metrics, node: u64) {
        let replica = metrics.replicas.get_mut(&NodeId(node)).unwrap();
        replica.since_answer = Some(HEALTHY);
    }

    fn voters(nodes: &[u64]) -> Change {
        Change::Voters(nodes.iter().copied().map(NodeId).collect())
    }

    #[test]
    fn nothing_changes_while_everybody_is_who_it_was() {
        let all = [seen(1, 1), seen(2, 2), seen(3, 3)];
        assert_eq!(next_change(&leader_of(3), &all), None);
        // Nor because somebody does not answer.
        assert_eq!(next_change(&leader_of(3), &all[..1]), None);
    }

    #[test]
    fn a_replaced_disk_leaves_follows_catches_up_and_votes_again() {
        let wiped = [seen(3, 9)];
        let mut metrics = leader_of(3);
        silence(&mut metrics, 3);
        assert_eq!(next_change(&metrics, &wiped), Some(voters(&[1, 2])));
        metrics.voters.remove(&NodeId(3));
        metrics.replicas.remove(&NodeId(3));
        let add = Some(Change::AddLearner(wiped[0].clone()));
        assert_eq!(next_change(&metrics, &wiped), add);
        metrics.observers.insert(NodeId(3), disk(9));
        assert_eq!(next_change(&metrics, &wiped), None, "it has nothing yet");
        let behind = Replica {
            log_end: Some(LogIndex(1000 - NEAR - 1)),
            ..Replica::default()
        };
        metrics.replicas.insert(NodeId(3), behind);
        assert_eq!(next_change(&metrics, &wiped), None, "it is too far behind");
        let near = Replica {
            log_end: Some(LogIndex(1000 - NEAR)),
            ..Replica::default()
        };
        metrics.replicas.insert(NodeId(3), near);
        assert_eq!(next_change(&metrics, &wiped), Some(voters(&[1, 2, 3])));
        // It was wiped again on the way.
        let again = Some(Change::RemoveLearner(NodeId(3)));
        assert_eq!(next_change(&metrics, &[seen(3, 8)]), again);
    }

    #[test]
    fn a_vote_is_withdrawn_only_while_a_majority_of_all_answers() {
        let mut metrics = leader_of(3);
        silence(&mut metrics, 2);
        assert_eq!(next_change(&metrics, &[seen(3, 9)]), None);
        // Of two voters the other one alone is no majority.
        assert_eq!(next_change(&leader_of(2), &[seen(2, 9)]), None);
        let mut metrics = leader_of(5);
        silence(&mut metrics, 4);
        assert_eq!(
            next_change(&metrics, &[seen(5, 9)]),
            Some(voters(&[1, 2, 3, 4]))
        );
        silence(&mut metrics, 3);
        assert_eq!(next_change(&metrics, &[seen(5, 9)]), None);
    }

    #[test]
    fn too_few_voters_are_named_with_what_they_lack() {
        let metrics = leader_of(3);
        assert_eq!(
            describe_missing(&metrics, &[seen(1, 1), seen(2, 2), seen(3, 9)]),
            None,
            "two are enough, and will find each other"
        );
        let said = describe_missing(&metrics, &[seen(3, 3), seen(1, 9)]).unwrap();
        assert!(said.contains("2 of its 3 voters"), "{said}");
        let missing = "node 1 has another disk than it voted with, node 2 does not answer.";
        assert!(said.contains(missing), "{said}");
        // A wiped disk knows no voters.
        let wiped = describe_missing(&leader_of(0), &[seen(3, 9)]).unwrap();
        assert!(wiped.contains("new to the quorum"), "{wiped}");
    }

    #[test]
    fn a_member_that_answers_elsewhere_is_known_there_whether_it_votes_or_not() {
        let moved = |number| {
            let mut seen = seen(u64::from(number), number);
            seen.member.address = "elsewhere:9093".to_owned();
            seen
        };
        let mut metrics = leader_of(3);
        metrics.observers.insert(NodeId(4), disk(4));
        for number in [1, 3, 4] {
            let node = NodeId(u64::from(number));
            let change = Change::Address(node, "elsewhere:9093".to_owned());
            assert_eq!(next_change(&metrics, &[moved(number)]), Some(change));
        }
        // Another disk at another place is another voter.
        let mut other = moved(3);
        other.member.directory = DirectoryId([9; 16]);
        assert_eq!(next_change(&metrics, &[other]), Some(voters(&[1, 2])));
    }

    /// The leader that promoted node 3 died half-way. Nobody went on: then either of the other two took the quorum with
    /// it, and nothing said why.
    #[test]
    fn a_change_that_was_cut_short_is_ended_before_anything_else() {
        let mut metrics = leader_of(3);
        let sets = [&[1, 2][..], &[1, 2, 3]].map(|set| set.iter().copied().map(NodeId).collect());
        metrics.voter_sets = sets.into();
        assert_eq!(
            next_change(&metrics, &[seen(3, 9)]),
            Some(voters(&[1, 2, 3]))
        );
        let said = describe_missing(&metrics, &[seen(1, 1), seen(3, 3)]).unwrap();
        assert!(said.contains("2 of its 2 voters"), "{said}");
        assert!(said.contains("node 2 does not answer"), "{said}");
    }

    #[test]
    fn a_node_alone_grows_by_the_peers_that_answer() {
        let metrics = leader_of(1);
        let add = Some(Change::AddLearner(seen(2, 2)));
        assert_eq!(next_change(&metrics, &[seen(1, 1), seen(2, 2)]), add);
    }
}

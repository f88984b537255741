//! While this node leads, keeps the membership in step with the disks that answer; while nobody does, says why.

use std::time::Duration;

use ottla_raft::{MembershipError, Raft};

use super::members::{self, Change, Seen};
use super::{Asking, node_id};

/// How often the leader looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An election is over long before: who has no leader for so many looks has none to hope for.
const LOOK_COUNT_LEADERLESS: u32 = 6;
/// How often it is said again, in looks.
const LOOK_COUNT_SAID: u32 = 20;

/// Runs for as long as the node does.
pub(super) async fn run(raft: Raft, asking: Asking) {
    // Nobody to ask: nobody can come or change.
    if asking.peers.len() < 2 {
        return;
    }
    let mut leaderless = 0_u32;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let metrics = raft.metrics();
        leaderless = match metrics.leader {
            None => leaderless.saturating_add(1),
            Some(_) => 0,
        };
        if leaderless % LOOK_COUNT_SAID == LOOK_COUNT_LEADERLESS {
            let seen = asking.look().await;
            if let Some(missing) = members::describe_missing(&metrics, &seen) {
                tracing::warn!("{missing}");
            }
        }
        if metrics.leader != Some(metrics.node) {
            continue;
        }
        let seen = asking.look().await;
        let Some(change) = members::next_change(&metrics, &seen) else {
            continue;
        };
        let change_text = members::describe(&change, &metrics.voters);
        match make(&raft, change).await {
            Ok(()) => tracing::info!("{change_text}"),
            Err(error) => {
                tracing::warn!(%error, "not done, and will be looked at again: {change_text}");
            }
        }
    }
}

/// Says who leads the quorum, for whoever reads the log.
pub(super) async fn say_who_leads(raft: Raft) {
    let mut leadership = raft.leadership();
    let mut said = None;
    loop {
        let now = *leadership.borrow_and_update();
        if let Some(leader) = now.leader
            && said != Some((now.term, leader))
        {
            tracing::info!("node {leader} leads the quorum in term {}", now.term);
            said = Some((now.term, leader));
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

async fn make(raft: &Raft, change: Change) -> Result<(), MembershipError> {
    match change {
        Change::AddLearner(Seen { node, member }) => raft.add_learner(node, member).await?,
        Change::RemoveLearner(node) => raft.remove_learner(node).await?,
        Change::Address(node, address) => raft.set_address(node, address).await?,
        Change::Voters(voters) => raft.change_voters(voters).await?,
    };
    Ok(())
}

impl Asking {
    /// This node and the peers of this cluster that answer, each with the disk and at the place that it has now.
    async fn look(&self) -> Vec<Seen> {
        let mut answers = self.ask_all().await;
        let me = self.doors.hello();
        answers.insert(self.me, me);
        let ours = answers
            .into_iter()
            .filter(|(peer, hello)| hello.cluster == me.cluster && hello.node == *peer);
        let seen = ours.filter_map(|(peer, hello)| {
            let named = self.peers.iter().find(|named| named.id == peer)?;
            Some(Seen {
                node: node_id(peer),
                member: members::member(hello.directory, named.address()),
            })
        });
        seen.collect()
    }
}

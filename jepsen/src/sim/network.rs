//! What goes from node to node, and what the links do to it.

use std::collections::BTreeSet;

use ottla::broker::fetch_session::PartitionAsk;
use ottla::broker::handler::fetch::Follower;
use ottla::replica::ReplicaKey;

use super::call::{Asked, Outcome};
use super::fetch::Fetched;
use super::plan::Shape;
use crate::rng::Rng;

/// A message between two nodes.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A broker asks the controller.
    Ask(Asked),
    /// The controller answers the process `boot`; `None`: another node is the controller.
    Answer {
        boot: u64,
        call: u64,
        outcome: Option<Box<Outcome>>,
    },
    /// A follower fetches.
    Fetch {
        boot: u64,
        number: u64,
        key: ReplicaKey,
        ask: PartitionAsk,
        follower: Follower,
    },
    /// The leader answers it.
    Fetched {
        boot: u64,
        number: u64,
        key: ReplicaKey,
        answer: Box<Fetched>,
    },
}

/// The links.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// From, to.
    cut: BTreeSet<(usize, usize)>,
}

/// What becomes of a message: when it arrives, perhaps twice, perhaps never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) arrivals: Vec<u64>,
    pub(super) is_delayed: bool,
}

impl Links {
    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn is_open(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    pub(super) fn is_open_both_ways(&self, a: usize, b: usize) -> bool {
        self.is_open(a, b) && self.is_open(b, a)
    }

    pub(super) fn fate(&self, now: u64, message: &Message, shape: &Shape, rng: &mut Rng) -> Fate {
        let mut fate = Fate::default();
        let is_lost = rng.chance(shape.lost);
        let mut delay = 1 + rng.below(shape.delay);
        if rng.chance(shape.delayed) {
            delay += 20 + rng.below(400);
            fate.is_delayed = true;
        }
        let is_duplicated = rng.chance(shape.duplicated);
        let again = rng.below(200);
        if message.from == message.to {
            // A node's calls to itself go over a socket, too, but no link loses them.
            fate.arrivals.push(now + 1);
            fate.is_delayed = false;
        } else if !is_lost && self.is_open(message.from, message.to) {
            fate.arrivals.push(now + delay);
            if is_duplicated {
                fate.arrivals.push(now + delay + again);
            }
        }
        fate
    }
}

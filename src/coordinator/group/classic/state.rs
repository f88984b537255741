//! Where a group is between two generations.
//!
//! Empty -> Preparing -> Completing -> Stable; from everywhere back to Preparing; from Preparing to Empty. A group that
//! is no more is in nobody's memory, so `Dead` is no state.

use std::time::Duration;

/// The state of a classic group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody is in it; there may be offsets.
    Empty,
    /// Members are asked to join; those that did wait for the others.
    Preparing(Preparing),
    /// The generation is known; the members wait for what the leader assigns.
    Completing,
    /// Every member has its assignment, or can ask for it.
    Stable,
}

/// Until when members can join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preparing {
    /// The group was empty: until a while has passed without a new member, so that a fleet that starts needs one
    /// generation and not one per member.
    Initial(InitialDelay),
    /// Until everybody is there, or the longest rebalance timeout has passed.
    Again,
}

/// How much longer an empty group waits for members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InitialDelay {
    /// What it waits now.
    pub(super) delay: Duration,
    /// What it may wait on top of that.
    pub(super) remaining: Duration,
    /// Whether another member came meanwhile.
    pub(super) is_joined: bool,
}

impl InitialDelay {
    /// The first wait, of `delay`, within the first member's rebalance timeout.
    pub(super) fn new(delay: Duration, rebalance_timeout: Duration) -> Self {
        Self {
            delay,
            remaining: rebalance_timeout.saturating_sub(delay),
            is_joined: false,
        }
    }

    /// The next wait; `None` if it is over.
    pub(super) fn extended(self, delay: Duration) -> Option<Self> {
        (self.is_joined && !self.remaining.is_zero()).then(|| Self {
            delay: delay.min(self.remaining),
            remaining: self.remaining.saturating_sub(self.delay),
            is_joined: false,
        })
    }
}

impl State {
    /// As Kafka writes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing(_) => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

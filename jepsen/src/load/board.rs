//! What all members know, in one place: who holds what since when, and what was committed.
//!
//! - A group is stable when each of its members has the same generation and each partition exactly one of them.
//! - A member's generation never goes back, and no partition has two owners in one generation (of the new protocol: at
//!   one time). What is seen of the contrary is a problem.
//! - Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Protocol;

/// Problems that are told; the others are only counted.
const PROBLEMS_MAX: usize = 20;

/// A member's place in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) group: usize,
    pub(super) place: usize,
}

/// What a member knows.
#[derive(Clone, Debug, Default)]
struct Place {
    /// Where its coordinator is.
    node: Option<i32>,
    /// Whether that one has answered a heartbeat.
    is_heard: bool,
    id: String,
    /// The highest that it had under this id.
    generation: i32,
    /// None while it is joining.
    holds: Option<BTreeSet<i32>>,
}

/// How far a group has come in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) sent: i64,
    /// None: nothing is acknowledged yet.
    pub(super) acknowledged: Option<i64>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    places: Vec<Place>,
    stable_at: Option<Duration>,
    /// The node that coordinated it, if it was lost.
    lost: Option<i32>,
    back_at: Option<Duration>,
    offsets: BTreeMap<i32, Progress>,
}

/// What is measured while nothing happens.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) heartbeats: Vec<Duration>,
    pub(super) commits: Vec<Duration>,
    pub(super) offset_count: usize,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    protocol: Protocol,
    partitions: BTreeSet<i32>,
    groups: Vec<Group>,
    began: Duration,
    lost_at: Duration,
    pub(super) window: Option<Window>,
    /// How often a member had to join again.
    pub(super) rejoined: usize,
    /// Commits that are not answered.
    pub(super) in_flight_count: usize,
    pub(super) acknowledged_count: usize,
    problems: Vec<String>,
    problem_count: usize,
}

impl Group {
    fn is_stable(&self, partitions: &BTreeSet<i32>) -> bool {
        let Some(first) = self.places.first() else {
            return true;
        };
        let held: Option<Vec<_>> = self.places.iter().map(|one| one.holds.as_ref()).collect();
        let Some(held) = held else { return false };
        let count: usize = held.iter().map(|one| one.len()).sum();
        let all: BTreeSet<_> = held.into_iter().flatten().copied().collect();
        let is_of_one = |one: &Place| one.generation == first.generation;
        self.places.iter().all(is_of_one) && count == partitions.len() && all == *partitions
    }
}

impl Board {
    pub(super) fn new(
        protocol: Protocol,
        groups: usize,
        members: usize,
        partitions: BTreeSet<i32>,
    ) -> Self {
        let group = Group {
            places: vec![Place::default(); members],
            ..Group::default()
        };
        Self {
            protocol,
            partitions,
            groups: vec![group; groups],
            began: Duration::ZERO,
            lost_at: Duration::ZERO,
            window: None,
            rejoined: 0,
            in_flight_count: 0,
            acknowledged_count: 0,
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    /// Something is not as it should be.
    pub(super) fn problem(&mut self, what: String) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(what);
        }
    }

    pub(super) fn problems(&self) -> (usize, &[String]) {
        (self.problem_count, &self.problems)
    }

    /// The first member asks now.
    pub(super) fn begin(&mut self, now: Duration) {
        self.began = now;
    }

    /// A connection to the coordinator is open.
    pub(super) fn connected(&mut self, seat: Seat, node: i32) {
        if let Some(place) = self.place(seat) {
            place.node = Some(node);
            place.is_heard = false;
        }
    }

    /// The connection is gone, or leads to no coordinator.
    pub(super) fn disconnected(&mut self, seat: Seat) {
        if let Some(place) = self.place(seat) {
            place.node = None;
        }
    }

    /// The coordinator has answered a heartbeat: what the member has, it has.
    pub(super) fn heard(&mut self, seat: Seat, now: Duration) {
        if let Some(place) = self.place(seat) {
            place.is_heard = true;
        }
        self.look(seat.group, now);
    }

    /// The member has to join again.
    pub(super) fn gave_up(&mut self, seat: Seat) {
        self.rejoined += 1;
        if let Some(place) = self.place(seat) {
            place.holds = None;
        }
    }

    /// The member was told what it has.
    pub(super) fn holds(
        &mut self,
        seat: Seat,
        now: Duration,
        id: &str,
        generation: i32,
        partitions: &BTreeSet<i32>,
    ) {
        let protocol = self.protocol;
        let Some(group) = self.groups.get_mut(seat.group) else {
            return;
        };
        let mut wrong = Vec::new();
        for (number, other) in group.places.iter_mut().enumerate() {
            if number == seat.place {
                if other.id == id && other.generation > generation {
                    wrong.push(format!("was in generation {}", other.generation));
                }
                id.clone_into(&mut other.id);
                other.generation = generation;
                other.holds = Some(partitions.clone());
                continue;
            }
            let is_at_once = protocol == Protocol::Consumer || other.generation == generation;
            let both = other.holds.iter().flatten().any(|p| partitions.contains(p));
            if is_at_once && both {
                wrong.push(format!("shares partitions with member {number}"));
            }
            if other.id == id {
                wrong.push(format!("is member {number}"));
            }
        }
        let (group, place) = (seat.group, seat.place);
        for wrong in wrong {
            self.problem(format!(
                "group {group}: member {place} of generation {generation} {wrong}"
            ));
        }
        self.look(group, now);
    }

    /// The numbers that are committed next, which are of this group's partitions.
    pub(super) fn next_offsets(&mut self, group: usize, of: &BTreeSet<i32>) -> Vec<(i32, i64)> {
        let Some(group) = self.groups.get_mut(group) else {
            return Vec::new();
        };
        let next = of.iter().map(|partition| {
            let progress = group.offsets.entry(*partition).or_default();
            progress.sent += 1;
            (*partition, progress.sent)
        });
        next.collect()
    }

    /// They are committed.
    pub(super) fn acknowledged(&mut self, group: usize, offsets: &[(i32, i64)], took: Duration) {
        self.acknowledged_count += offsets.len();
        if let Some(window) = &mut self.window {
            window.commits.push(took);
            window.offset_count += offsets.len();
        }
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        for (partition, offset) in offsets {
            let progress = group.offsets.entry(*partition).or_default();
            progress.acknowledged = progress.acknowledged.max(Some(*offset));
        }
    }

    /// What a group may have committed, by partition.
    pub(super) fn offsets(&self, group: usize) -> BTreeMap<i32, Progress> {
        let group = self.groups.get(group);
        group.map(|group| group.offsets.clone()).unwrap_or_default()
    }

    /// The members of a group with the generation of each.
    pub(super) fn members(&self, group: usize) -> BTreeMap<String, i32> {
        let places = self.groups.get(group).into_iter().flat_map(|g| &g.places);
        places
            .map(|place| (place.id.clone(), place.generation))
            .collect()
    }

    /// A node is about to die; how many groups it coordinates. Said before, because some members notice at once.
    pub(super) fn lose(&mut self, node: i32, now: Duration) -> usize {
        self.lost_at = now;
        for group in &mut self.groups {
            let is_lost = group.places.iter().any(|place| place.node == Some(node));
            group.lost = is_lost.then_some(node);
            group.back_at = None;
        }
        let lost = self.groups.iter().filter(|group| group.lost.is_some());
        lost.count()
    }

    /// How many groups each node coordinates.
    pub(super) fn nodes(&self) -> BTreeMap<i32, usize> {
        let mut counts = BTreeMap::new();
        let first = |group: &Group| group.places.first().and_then(|place| place.node);
        for node in self.groups.iter().filter_map(first) {
            *counts.entry(node).or_default() += 1;
        }
        counts
    }

    pub(super) fn is_connected(&self) -> bool {
        let mut places = self.groups.iter().flat_map(|group| &group.places);
        places.all(|place| place.node.is_some())
    }

    pub(super) fn is_stable(&self) -> bool {
        let mut groups = self.groups.iter();
        groups.all(|group| group.is_stable(&self.partitions))
    }

    /// Whether the groups of the lost node are stable elsewhere.
    pub(super) fn is_back(&self) -> bool {
        let mut lost = self.groups.iter().filter(|group| group.lost.is_some());
        lost.all(|group| group.back_at.is_some())
    }

    /// How long each group took to become stable.
    pub(super) fn to_stable(&self) -> Vec<Duration> {
        let at = self.groups.iter().filter_map(|group| group.stable_at);
        at.map(|at| at.saturating_sub(self.began)).collect()
    }

    /// How long each group of the lost node took to be stable elsewhere.
    pub(super) fn to_back(&self) -> Vec<Duration> {
        let at = self.groups.iter().filter_map(|group| group.back_at);
        at.map(|at| at.saturating_sub(self.lost_at)).collect()
    }

    fn place(&mut self, seat: Seat) -> Option<&mut Place> {
        self.groups.get_mut(seat.group)?.places.get_mut(seat.place)
    }

    /// Notes since when a group is stable, and stable elsewhere.
    fn look(&mut self, group: usize, now: Duration) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        if !group.is_stable(&self.partitions) {
            group.stable_at = None;
            return;
        }
        group.stable_at = group.stable_at.or(Some(now));
        let is_elsewhere =
            |place: &Place| place.is_heard && place.node.is_some() && place.node != group.lost;
        if group.lost.is_some() && group.back_at.is_none() && group.places.iter().all(is_elsewhere)
        {
            group.back_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(2);

    fn board(protocol: Protocol) -> Board {
        let mut board = Board::new(protocol, 1, 2, BTreeSet::from([0, 1]));
        for place in 0..2 {
            board.connected(Seat { group: 0, place }, 1);
        }
        board
    }

    fn holds(board: &mut Board, place: usize, generation: i32, partitions: &[i32]) {
        let partitions = partitions.iter().copied().collect();
        let id = place.to_string();
        board.holds(Seat { group: 0, place }, NOW, &id, generation, &partitions);
    }

    #[test]
    fn stable_is_one_generation_that_owns_everything_once() {
        let mut board = board(Protocol::Classic);
        holds(&mut board, 0, 1, &[0, 1]);
        assert!(!board.is_stable());
        holds(&mut board, 1, 2, &[1]);
        assert!(!board.is_stable());
        holds(&mut board, 0, 2, &[0]);
        assert!(board.is_stable());
        assert_eq!(board.problems().0, 0);
    }

    #[test]
    fn two_owners_in_one_generation_are_a_problem() {
        let mut board = board(Protocol::Classic);
        holds(&mut board, 0, 1, &[0, 1]);
        holds(&mut board, 1, 1, &[1]);
        assert_eq!(board.problems().0, 1);
    }

    #[test]
    fn two_owners_at_one_time_are_a_problem_of_the_new_protocol() {
        let mut board = board(Protocol::Consumer);
        holds(&mut board, 0, 1, &[0, 1]);
        holds(&mut board, 1, 2, &[1]);
        assert_eq!(board.problems().0, 1);
    }

    #[test]
    fn a_generation_that_goes_back_is_a_problem() {
        let mut board = board(Protocol::Classic);
        holds(&mut board, 0, 2, &[0]);
        holds(&mut board, 0, 1, &[0]);
        assert_eq!(board.problems().0, 1);
    }

    #[test]
    fn a_group_is_back_when_each_member_is_heard_elsewhere() {
        let mut board = board(Protocol::Classic);
        holds(&mut board, 0, 1, &[0]);
        holds(&mut board, 1, 1, &[1]);
        assert_eq!(board.lose(1, NOW), 1);
        for place in 0..2 {
            let seat = Seat { group: 0, place };
            assert!(!board.is_back());
            board.disconnected(seat);
            board.connected(seat, 2);
            assert!(!board.is_back());
            board.heard(seat, LATER);
        }
        assert!(board.is_back());
        assert_eq!(board.to_back(), [LATER.saturating_sub(NOW)]);
    }
}

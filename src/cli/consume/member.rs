//! One member of a group of the consumer protocol (KIP-848): what it holds, what it is to hold, and what its next heartbeat says.
//!
//! - A partition is taken only when nothing is left to be given up, and is told to the coordinator as given up only after
//!   it was: at no time do two members read it.
//! - A member that was fenced holds nothing and joins anew.
//! - After a heartbeat of which no answer came, everything is said again.

use std::collections::BTreeSet;

use crate::wire::Uuid;

/// A partition by the id of its topic.
pub(super) type Part = (Uuid, i32);

/// The epoch of one who is not a member yet.
const JOINING: i32 = 0;

#[derive(Debug)]
pub(super) struct Member {
    epoch: i32,
    /// What is read.
    held: BTreeSet<Part>,
    /// What the coordinator wants to be read.
    target: BTreeSet<Part>,
    says: Says,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    /// Only that it lives.
    Nothing,
    /// What it holds has changed.
    Held,
    Everything,
}

/// What a heartbeat says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Heartbeat {
    pub(super) epoch: i32,
    /// With the subscription and what else belongs to joining.
    pub(super) is_full: bool,
    /// None is: as before.
    pub(super) held: Option<Vec<Part>>,
}

impl Member {
    pub(super) fn new() -> Self {
        Self {
            epoch: JOINING,
            held: BTreeSet::new(),
            target: BTreeSet::new(),
            says: Says::Everything,
        }
    }

    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(super) fn has_joined(&self) -> bool {
        self.epoch != JOINING
    }

    pub(super) fn held(&self) -> &BTreeSet<Part> {
        &self.held
    }

    /// There is something to say before the next heartbeat is due.
    pub(super) fn has_news(&self) -> bool {
        self.says != Says::Nothing
    }

    /// The next heartbeat; there is one on its way at a time.
    pub(super) fn heartbeat(&mut self) -> Heartbeat {
        let says = std::mem::replace(&mut self.says, Says::Nothing);
        Heartbeat {
            epoch: self.epoch,
            is_full: says == Says::Everything,
            held: (says != Says::Nothing).then(|| self.held.iter().copied().collect()),
        }
    }

    /// The coordinator has heard the heartbeat. Without an assignment the last one holds.
    pub(super) fn accepted(&mut self, epoch: i32, assignment: Option<BTreeSet<Part>>) {
        self.epoch = epoch;
        if let Some(assignment) = assignment {
            self.target = assignment;
        }
    }

    /// Whether the coordinator has heard it is not known.
    pub(super) fn unheard(&mut self) {
        self.says = Says::Everything;
    }

    /// The coordinator does not know the member any more: others may read what it held.
    pub(super) fn fenced(&mut self) {
        *self = Self::new();
    }

    /// What is to be given up now.
    pub(super) fn to_release(&self) -> BTreeSet<Part> {
        self.held.difference(&self.target).copied().collect()
    }

    /// What is to be taken now.
    pub(super) fn to_start(&self) -> BTreeSet<Part> {
        if self.held.is_subset(&self.target) {
            self.target.difference(&self.held).copied().collect()
        } else {
            BTreeSet::new()
        }
    }

    /// The partitions are read no more, and what was read of them is committed.
    pub(super) fn released(&mut self, parts: &BTreeSet<Part>) {
        self.held.retain(|part| !parts.contains(part));
        self.say_held();
    }

    /// The partition is read from now on. False if that is not wanted any more.
    pub(super) fn start(&mut self, part: Part) -> bool {
        let is_wanted = self.to_start().contains(&part);
        if is_wanted {
            self.held.insert(part);
            self.say_held();
        }
        is_wanted
    }

    /// Everything is as the coordinator wants it.
    pub(super) fn is_settled(&self) -> bool {
        self.has_joined() && self.held == self.target
    }

    fn say_held(&mut self) {
        if self.says == Says::Nothing {
            self.says = Says::Held;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: i32) -> Part {
        (Uuid::from_u128(7), index)
    }

    fn parts(indexes: &[i32]) -> BTreeSet<Part> {
        indexes.iter().copied().map(part).collect()
    }

    fn member_of(indexes: &[i32]) -> Member {
        let mut member = Member::new();
        member.heartbeat();
        member.accepted(1, Some(parts(indexes)));
        for index in indexes {
            assert!(member.start(part(*index)));
        }
        member.heartbeat();
        member
    }

    #[test]
    fn joining_says_everything_and_holds_nothing() {
        let heartbeat = Member::new().heartbeat();
        let expected = Heartbeat {
            epoch: 0,
            is_full: true,
            held: Some(Vec::new()),
        };
        assert_eq!(heartbeat, expected);
    }

    #[test]
    fn nothing_is_taken_before_what_was_revoked_is_given_up() {
        let mut member = member_of(&[0, 1]);
        member.accepted(2, Some(parts(&[1, 2])));
        assert_eq!(member.to_release(), parts(&[0]));
        assert_eq!(member.to_start(), parts(&[]));
        assert!(!member.start(part(2)), "0 is still read");
        assert!(!member.has_news(), "it is not said before it is so");
        member.released(&parts(&[0]));
        let said = member.heartbeat();
        assert_eq!((said.is_full, said.held), (false, Some(vec![part(1)])));
        assert_eq!(member.to_start(), parts(&[2]));
        assert!(member.start(part(2)) && member.is_settled());
        assert_eq!(member.heartbeat().held, Some(vec![part(1), part(2)]));
        assert_eq!(member.heartbeat().held, None);
    }

    #[test]
    fn an_answer_without_assignment_changes_none() {
        let mut member = member_of(&[0]);
        member.accepted(2, None);
        assert_eq!((member.epoch(), member.is_settled()), (2, true));
        member.accepted(3, Some(parts(&[])));
        assert_eq!(member.to_release(), parts(&[0]));
    }

    #[test]
    fn a_partition_that_is_not_wanted_any_more_is_not_started() {
        let mut member = member_of(&[]);
        member.accepted(2, Some(parts(&[0])));
        member.accepted(3, Some(parts(&[1])));
        assert!(!member.start(part(0)));
        assert!(member.start(part(1)));
    }

    #[test]
    fn a_fenced_member_joins_with_nothing() {
        let mut member = member_of(&[0, 1]);
        member.fenced();
        assert!(!member.has_joined() && member.held().is_empty());
        assert_eq!(member.heartbeat(), Member::new().heartbeat());
    }

    #[test]
    fn what_nobody_answered_is_said_again_in_full() {
        let mut member = member_of(&[0]);
        member.heartbeat();
        member.unheard();
        let said = member.heartbeat();
        assert_eq!((said.is_full, said.held), (true, Some(vec![part(0)])));
    }
}

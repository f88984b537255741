//! What a member has printed and what it has committed, per partition.
//!
//! Only what was printed is due to be committed; or where reading starts, when the group had no offset in the log: so the next
//! member goes on from there, wherever the log then ends.

use std::collections::{BTreeMap, BTreeSet};

use super::member::Part;

/// The next offset to read, printed and committed.
#[derive(Clone, Copy, Debug)]
struct Entry {
    printed: i64,
    committed: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<Part, Entry>);

impl Ledger {
    /// Reading starts, at what the group has committed or where it was told to.
    pub(super) fn start(&mut self, part: Part, position: i64, committed: Option<i64>) {
        let entry = Entry {
            printed: position,
            committed,
        };
        self.0.insert(part, entry);
    }

    /// Everything below `next` was printed. What is read no more does not count.
    pub(super) fn printed(&mut self, part: Part, next: i64) {
        if let Some(entry) = self.0.get_mut(&part) {
            entry.printed = entry.printed.max(next);
        }
    }

    /// Reading goes on elsewhere, which is where the next member has to go on, too.
    pub(super) fn moved(&mut self, part: Part, position: i64) {
        if let Some(entry) = self.0.get_mut(&part) {
            entry.printed = position;
        }
    }

    pub(super) fn committed(&mut self, part: Part, offset: i64) {
        if let Some(entry) = self.0.get_mut(&part) {
            entry.committed = Some(offset);
        }
    }

    /// What is to be committed, of these partitions.
    pub(super) fn due_of(&self, parts: &BTreeSet<Part>) -> BTreeMap<Part, i64> {
        let mut due = self.due();
        due.retain(|part, _| parts.contains(part));
        due
    }

    /// What is to be committed.
    pub(super) fn due(&self) -> BTreeMap<Part, i64> {
        let due = self.0.iter();
        let due = due.filter(|(_, entry)| entry.committed != Some(entry.printed));
        due.map(|(part, entry)| (*part, entry.printed)).collect()
    }

    /// The partitions are not this member's any more.
    pub(super) fn forget(&mut self, parts: &BTreeSet<Part>) {
        self.0.retain(|part, _| !parts.contains(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Uuid;

    const A: Part = (Uuid::from_u128(1), 0);
    const B: Part = (Uuid::from_u128(1), 1);

    #[test]
    fn only_what_was_printed_is_due_and_once() {
        let mut ledger = Ledger::default();
        ledger.start(A, 10, Some(10));
        assert!(ledger.due().is_empty());
        ledger.printed(A, 15);
        assert_eq!(ledger.due(), BTreeMap::from([(A, 15)]));
        ledger.printed(A, 17);
        ledger.committed(A, 15);
        assert_eq!(ledger.due(), BTreeMap::from([(A, 17)]));
        ledger.committed(A, 17);
        assert!(ledger.due().is_empty());
    }

    #[test]
    fn a_chosen_start_is_due_and_a_committed_one_is_not() {
        let mut ledger = Ledger::default();
        ledger.start(A, 20, None);
        ledger.start(B, 20, Some(20));
        assert_eq!(ledger.due(), BTreeMap::from([(A, 20)]));
    }

    /// A leader that lost the end of its log, or retention that was faster than the reader.
    #[test]
    fn where_a_log_was_cut_is_due_in_either_direction() {
        for to in [50, 800] {
            let mut ledger = Ledger::default();
            ledger.start(A, 90, Some(90));
            ledger.printed(A, 100);
            ledger.moved(A, to);
            // A commit that was on its way says nothing of where reading goes on.
            ledger.committed(A, 100);
            assert_eq!(ledger.due(), BTreeMap::from([(A, to)]));
            ledger.printed(A, to + 1);
            assert_eq!(ledger.due(), BTreeMap::from([(A, to + 1)]));
        }
    }

    /// A log that was cut: the group's offset lies in front of it, or behind its end.
    #[test]
    fn a_start_elsewhere_than_what_was_committed_is_due_backwards_too() {
        let mut ledger = Ledger::default();
        ledger.start(A, 800, Some(10));
        ledger.start(B, 50, Some(100));
        assert_eq!(ledger.due(), BTreeMap::from([(A, 800), (B, 50)]));
    }

    #[test]
    fn what_is_printed_of_a_partition_that_was_given_up_is_not_due() {
        let mut ledger = Ledger::default();
        ledger.start(A, 0, Some(0));
        ledger.start(B, 0, Some(0));
        ledger.printed(A, 1);
        ledger.printed(B, 2);
        assert_eq!(
            ledger.due_of(&BTreeSet::from([B])),
            BTreeMap::from([(B, 2)])
        );
        ledger.forget(&BTreeSet::from([A]));
        ledger.printed(A, 9);
        ledger.committed(A, 9);
        assert_eq!(ledger.due(), BTreeMap::from([(B, 2)]));
    }
}

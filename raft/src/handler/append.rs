//! Whether an append is one that a leader can have sent.
//!
//! openraft asserts this in debug builds only. In release builds a hole in the indexes would end the
//! node when the log refuses it, and a term that falls would hide a committed entry in elections.

use crate::archive::{EntryRecord, LogIdRecord, VoteRecord};

/// Whether `entries` follow `previous` without a hole, in terms that never fall and never exceed the
/// leader's own.
pub(super) fn is_well_formed(
    vote: &VoteRecord,
    previous: Option<LogIdRecord>,
    entries: &[EntryRecord],
) -> bool {
    let mut before = previous;
    if before.is_some_and(|id| id.term > vote.term) {
        return false;
    }
    entries.iter().all(|entry| {
        let id = entry.id;
        let next = before.map_or(Some(0), |before| before.index.checked_add(1));
        let floor = before.map_or(0, |before| before.term);
        before = Some(id);
        // No entry can follow the highest index there is, and openraft counts one beyond the last.
        let is_next = next == Some(id.index) && id.index < u64::MAX;
        is_next && floor <= id.term && id.term <= vote.term
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::PayloadRecord;

    fn id(term: u64, index: u64) -> LogIdRecord {
        LogIdRecord { term, index }
    }

    fn is_accepted(previous: Option<LogIdRecord>, ids: &[LogIdRecord]) -> bool {
        let vote = VoteRecord {
            term: 5,
            voted_for: Some(1),
            is_committed: true,
        };
        let entry = |id: &LogIdRecord| EntryRecord {
            id: *id,
            payload: PayloadRecord::Blank,
        };
        let entries: Vec<_> = ids.iter().map(entry).collect();
        is_well_formed(&vote, previous, &entries)
    }

    #[test]
    fn entries_follow_densely_in_terms_that_never_fall() {
        assert!(is_accepted(None, &[]));
        assert!(is_accepted(Some(id(5, 7)), &[]));
        assert!(is_accepted(None, &[id(0, 0), id(1, 1), id(5, 2)]));
        assert!(is_accepted(Some(id(3, 7)), &[id(3, 8), id(4, 9)]));
    }

    #[test]
    fn holes_falling_terms_and_terms_to_come_are_refused() {
        for (previous, ids) in [
            (None, vec![id(1, 1)]),
            (Some(id(3, 7)), vec![id(3, 7)]),
            (Some(id(3, 7)), vec![id(3, 9)]),
            (Some(id(3, 7)), vec![id(3, 8), id(3, 10)]),
            (Some(id(3, 7)), vec![id(3, 8), id(3, 8)]),
            (Some(id(3, 7)), vec![id(2, 8)]),
            (Some(id(3, 7)), vec![id(4, 8), id(3, 9)]),
            (Some(id(3, 7)), vec![id(6, 8)]),
            (Some(id(6, 7)), vec![]),
            (Some(id(3, u64::MAX)), vec![id(3, 0)]),
            (Some(id(3, u64::MAX - 1)), vec![id(3, u64::MAX)]),
        ] {
            assert!(!is_accepted(previous, &ids), "{previous:?} {ids:?}");
        }
    }
}

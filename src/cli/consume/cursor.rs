//! Where the reading of one partition is.

use std::sync::Arc;

use super::patience::Patience;
use crate::cli::client::At;

/// A partition, by name and number.
pub(super) type Key = (Arc<str>, i32);

#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) position: i64,
    /// Reading stops here.
    pub(super) until: Option<i64>,
    /// Something was read already: the first position was right.
    pub(super) is_proven: bool,
    /// Partitions that waited longest go first.
    pub(super) served: u64,
    /// Nothing is fetched before.
    pub(super) waits_for: Option<Wait>,
    pub(super) trouble: Patience,
}

/// What comes before the next fetch of a partition that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Who leads it.
    Metadata,
    /// What its log spans.
    Span,
}

/// The start and the end of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Cursor {
    pub(super) fn new(position: i64, until: Option<i64>) -> Self {
        Self {
            position,
            until,
            is_proven: false,
            served: 0,
            waits_for: None,
            trouble: Patience::default(),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.until.is_some_and(|until| self.position >= until)
    }

    /// Where to go on after the leader has refused the position. A log that was cut under a reader is
    /// read on from the nearest offset; one that never had the first position from where `start_over`
    /// says, or not at all.
    pub(super) fn relocated(&self, span: Span, start_over: Option<At>) -> Option<i64> {
        let Span { start, end } = span;
        let is_inside = (start..=end).contains(&self.position);
        if is_inside || self.is_proven {
            return Some(self.position.min(end).max(start));
        }
        match start_over? {
            At::Earliest => Some(start),
            _ => Some(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { start: 10, end: 20 };

    #[test]
    fn a_log_that_was_cut_under_a_reader_is_read_on_from_the_nearest_offset() {
        for (position, expected) in [(5, 10), (10, 10), (15, 15), (20, 20), (25, 20)] {
            let cursor = Cursor {
                is_proven: true,
                ..Cursor::new(position, None)
            };
            assert_eq!(cursor.relocated(SPAN, Some(At::Latest)), Some(expected));
        }
    }

    #[test]
    fn a_first_position_outside_of_the_log_starts_over_where_it_is_told() {
        for position in [5, 25] {
            let cursor = Cursor::new(position, None);
            assert_eq!(cursor.relocated(SPAN, Some(At::Earliest)), Some(10));
            assert_eq!(cursor.relocated(SPAN, Some(At::Latest)), Some(20));
            assert_eq!(cursor.relocated(SPAN, None), None);
        }
        // What the leader refused a moment ago is there by now.
        assert_eq!(Cursor::new(15, None).relocated(SPAN, None), Some(15));
    }
}

//! The byte ranges of a file that changed since its last sync.
//!
//! Ranges are disjoint, not empty, and touching ones are merged.

use std::collections::BTreeMap;

/// Changed ranges, and the shortest length that the file had since the last sync.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Start to end (exclusive).
    ranges: BTreeMap<u64, u64>,
    cut: Option<u64>,
}

impl Ranges {
    /// Adds `start..end`.
    pub(super) fn insert(&mut self, mut start: u64, mut end: u64) {
        if start >= end {
            return;
        }
        while let Some((&other_start, &other_end)) = self.ranges.range(..=end).next_back() {
            if other_end < start {
                break;
            }
            self.ranges.remove(&other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.ranges.insert(start, end);
    }

    /// Notes that the file was set to `len` bytes.
    pub(super) fn cut(&mut self, len: u64) {
        self.cut = Some(self.cut.map_or(len, |cut| cut.min(len)));
        self.ranges.split_off(&len);
        if let Some(mut last) = self.ranges.last_entry() {
            let end = last.get_mut();
            *end = (*end).min(len);
        }
    }

    /// The shortest length since the last sync, if the length was ever set.
    pub(super) fn lowest_cut(&self) -> Option<u64> {
        self.cut
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(start, end)| (*start, *end))
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.cut = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(inserts: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut ranges = Ranges::default();
        for (start, end) in inserts {
            ranges.insert(*start, *end);
        }
        ranges.iter().collect()
    }

    #[test]
    fn touching_and_overlapping_ranges_merge() {
        assert_eq!(ranges(&[(0, 4), (4, 8)]), [(0, 8)]);
        assert_eq!(ranges(&[(10, 20), (0, 5), (4, 12)]), [(0, 20)]);
        assert_eq!(ranges(&[(0, 2), (4, 6), (1, 1)]), [(0, 2), (4, 6)]);
    }

    #[test]
    fn a_cut_forgets_what_was_above_it_and_is_remembered() {
        let mut ranges = Ranges::default();
        ranges.insert(0, 10);
        ranges.insert(20, 30);
        ranges.cut(5);
        ranges.insert(5, 7);
        ranges.cut(100);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(0, 7)]);
        assert_eq!(ranges.lowest_cut(), Some(5));
    }
}

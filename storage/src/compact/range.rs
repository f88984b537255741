//! Which part of a log may be cleaned, and whether it pays.
//!
//! - The clean part ends at the first dirty offset; the dirty part goes on from there, segment by segment, to the first
//!   segment that must not be touched: one that reaches beyond what is stable, that is too young, or the active one.
//! - A checkpoint that lies outside of the log says nothing: the round begins at the log's start.

use std::time::Duration;

use crate::ids::Offset;
use crate::planted::is_planted;
use crate::time::WallMillis;

/// What the choice depends on, of one sealed segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFacts {
    pub(crate) end: Offset,
    pub(crate) size: u64,
    /// The latest timestamp of its records, or when it was last written.
    pub(crate) latest: Option<WallMillis>,
    /// The timestamp of its first batch.
    pub(crate) first: Option<WallMillis>,
}

/// What the choice depends on, of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFacts {
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    /// Where the last round ended.
    pub(crate) checkpoint: Option<Offset>,
    /// Nothing at or above may be cleaned: high watermark, last stable offset, recovery point.
    pub(crate) stable_end: Offset,
    pub(crate) now: WallMillis,
    pub(crate) lag_min: Duration,
    pub(crate) lag_max: Option<Duration>,
}

/// How much of a log waits for the cleaner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirtiness {
    /// Bytes that a round has cleaned before.
    pub clean_bytes: u64,
    /// Bytes that the next round would take in.
    pub dirty_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms` allows.
    pub is_overdue: bool,
}

impl Dirtiness {
    /// The dirty part of all that may be cleaned, in parts of a million.
    pub fn ratio_ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        let ppm = (u128::from(self.dirty_bytes) * 1_000_000).checked_div(all);
        ppm.and_then(|ppm| u32::try_from(ppm).ok())
            .unwrap_or_default()
    }

    /// Whether a round is due at a least ratio of `ratio_ppm_min`.
    pub fn is_due(&self, ratio_ppm_min: u32) -> bool {
        self.dirty_bytes > 0 && (self.is_overdue || self.ratio_ppm() > ratio_ppm_min)
    }
}

/// The part of a log that a round looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CleaningRange {
    /// Where the dirty part begins.
    pub(crate) first_dirty: Offset,
    /// Where it ends: a segment's base offset.
    pub(crate) end: Offset,
    /// How many segments from the front lie below `end`.
    pub(crate) segment_count: usize,
    pub(crate) dirtiness: Dirtiness,
}

/// Where the dirty part of a log begins.
pub(crate) fn first_dirty(log: &LogFacts) -> Offset {
    let is_inside = |offset: &Offset| (log.log_start..=log.log_end).contains(offset);
    log.checkpoint.filter(is_inside).unwrap_or(log.log_start)
}

/// Chooses among the sealed segments, the first of which begins at `base`.
pub(crate) fn choose(
    base: Offset,
    segments: impl Iterator<Item = SegmentFacts>,
    log: &LogFacts,
) -> CleaningRange {
    let first_dirty = first_dirty(log);
    let mut range = CleaningRange {
        first_dirty,
        end: base,
        segment_count: 0,
        dirtiness: Dirtiness {
            clean_bytes: 0,
            dirty_bytes: 0,
            is_overdue: false,
        },
    };
    for segment in segments {
        let is_dirty = segment.end > first_dirty;
        if is_dirty && !is_cleanable(&segment, log) {
            break;
        }
        range.end = segment.end;
        range.segment_count += 1;
        let found = &mut range.dirtiness;
        if is_dirty {
            found.dirty_bytes += segment.size;
            found.is_overdue |= is_overdue(&segment, log);
        } else {
            found.clean_bytes += segment.size;
        }
    }
    range
}

fn is_cleanable(segment: &SegmentFacts, log: &LogFacts) -> bool {
    let is_old = log.lag_min.is_zero()
        || segment
            .latest
            .is_some_and(|latest| latest.saturating_add(log.lag_min) <= log.now);
    let is_decided = segment.end <= log.stable_end || is_planted("nothing-undecided-is-cleaned");
    is_decided && is_old
}

fn is_overdue(segment: &SegmentFacts, log: &LogFacts) -> bool {
    match (log.lag_max, segment.first) {
        (Some(lag_max), Some(first)) => first.saturating_add(lag_max) < log.now,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(raw: u32) -> Offset {
        Offset::from(raw)
    }

    fn at(millis: i64) -> WallMillis {
        WallMillis::from_millis(millis)
    }

    /// Segments of ten offsets and 100 bytes, each a second younger than the one before.
    fn segments(count: u32) -> impl Iterator<Item = SegmentFacts> {
        (1..=count).map(|number| SegmentFacts {
            end: offset(number * 10),
            size: 100,
            latest: Some(at(i64::from(number) * 1000)),
            first: Some(at(i64::from(number) * 1000 - 500)),
        })
    }

    fn log() -> LogFacts {
        LogFacts {
            log_start: offset(0),
            log_end: offset(55),
            checkpoint: Some(offset(20)),
            stable_end: offset(50),
            now: at(10_000),
            lag_min: Duration::ZERO,
            lag_max: None,
        }
    }

    #[test]
    fn the_dirty_part_goes_from_the_checkpoint_to_what_is_stable() {
        let range = choose(offset(0), segments(5), &log());
        assert_eq!((range.first_dirty, range.end), (offset(20), offset(50)));
        assert_eq!(range.segment_count, 5);
        assert_eq!(range.dirtiness.ratio_ppm(), 600_000);
        assert!(range.dirtiness.is_due(500_000) && !range.dirtiness.is_due(600_000));
    }

    /// KAFKA: a record of an open transaction must not be cleaned, nor one that a new leader may not have.
    #[test]
    fn gotcha_30_a_segment_that_reaches_beyond_what_is_stable_is_not_cleaned() {
        let stable_end = offset(39);
        let range = choose(
            offset(0),
            segments(5),
            &LogFacts {
                stable_end,
                ..log()
            },
        );
        assert_eq!(range.end, offset(30));
        let stable_end = offset(15);
        let range = choose(
            offset(0),
            segments(5),
            &LogFacts {
                stable_end,
                ..log()
            },
        );
        assert_eq!((range.end, range.dirtiness.dirty_bytes), (offset(20), 0));
        assert!(!range.dirtiness.is_due(0));
    }

    #[test]
    fn a_checkpoint_outside_of_the_log_begins_at_its_start() {
        for checkpoint in [None, Some(offset(4)), Some(offset(56))] {
            let log_start = offset(5);
            let log = LogFacts {
                log_start,
                checkpoint,
                ..log()
            };
            assert_eq!(choose(offset(0), segments(5), &log).first_dirty, log_start);
        }
    }

    #[test]
    fn young_segments_wait_and_old_ones_do_not() {
        let lag_min = Duration::from_secs(6);
        let range = choose(offset(0), segments(5), &LogFacts { lag_min, ..log() });
        assert_eq!(range.end, offset(40));
        let lag_max = Some(Duration::from_millis(7499));
        let range = choose(offset(0), segments(5), &LogFacts { lag_max, ..log() });
        assert!(range.dirtiness.is_overdue && range.dirtiness.is_due(1_000_000));
        let lag_max = Some(Duration::from_millis(7500));
        let range = choose(offset(0), segments(5), &LogFacts { lag_max, ..log() });
        assert!(!range.dirtiness.is_overdue);
    }
}

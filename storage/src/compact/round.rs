//! One round over one log, on a thread of the cleaner.
//!
//! - A round that can't be finished leaves the log as some of its groups have made it, which is a log like any other: the
//!   next round begins where this one did.
//! - It ends as soon as it sees that the log was truncated, closed or taken away.

use std::sync::Arc;
use std::time::Duration;

use super::compacted_log::CompactedLog;
use super::copy::{Group, Place, copy};
use super::counters::CleanerCounters;
use super::course::{Course, Waiting};
use super::desk::{Start, Turn};
use super::error::CleanError;
use super::group::{Member, groups};
use super::offset_map::{HashKey, OffsetMap};
use super::range::CleaningRange;
use super::rules::Rules;
use super::scan::{Survey, map_keys, survey};
use super::swap::{self, Cleaned};
use super::throttle::Throttle;
use super::transactions::TxnCourse;
use crate::directory::events::LogEvent;
use crate::ids::Offset;
use crate::log::LogConfig;
use crate::segment::Segment;
use crate::view::LogView;

/// How long the cleaner lets pass before it looks again for the writer's answer.
const ANSWER_PAUSE: Duration = Duration::from_millis(5);
/// A writer that has not answered for so long is gone: its queue is worked off in milliseconds. Files that are not in place
/// after so long get there without the cleaner, or the disk hangs; other logs are not to wait for them.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// What a finished round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// Everything below is clean now.
    pub first_dirty: Offset,
    /// Segments before, of those that were looked at.
    pub segments_before: usize,
    /// And after.
    pub segments_after: usize,
    /// Bytes of them before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Records that are gone.
    pub records_dropped: u64,
}

/// What a round works with.
#[derive(Debug)]
pub struct CleanTools {
    /// Bytes that the map of keys may take.
    pub map_bytes: u64,
    /// The part of the map that may be filled, in percent.
    pub map_load_percent: u32,
    /// Bytes read and written at once.
    pub io_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`; `None` is no limit.
    pub bytes_per_second: Option<u64>,
    /// The secret of the round's hashes.
    pub hash_key: HashKey,
    /// What is counted.
    pub counters: Arc<CleanerCounters>,
}

/// One round.
pub(super) struct Round<'a> {
    pub(super) log: &'a CompactedLog,
    pub(super) tools: &'a CleanTools,
}

impl Round<'_> {
    pub(super) fn run(&self, waiting: &mut dyn Waiting) -> Result<CleanReport, CleanError> {
        let shared = &*self.log.0;
        let Start {
            view,
            config,
            producers,
        } = *self.begin(waiting)?;
        let compaction = &config.compaction;
        let directory = &shared.directory;
        let generation = view.generation;
        let mut course = Course {
            log: shared,
            generation,
            throttle: Throttle::new(self.tools.bytes_per_second, directory.now()),
            counters: &self.tools.counters,
            waiting,
            io_bytes: self.tools.io_bytes,
            records_bytes_max: compaction.records_bytes_max,
        };
        let range = self.log.range(&view, compaction)?;
        let found = survey(&view, &range, shared.stable_end(), &mut course)?;
        let map = self.map(&view, &range, &found, &mut course)?;
        let rules = Rules {
            map: &map.0,
            end: map.1,
            now: directory.clock.wall(),
            delete_retention: compaction.delete_retention,
            producers: &producers,
            records_bytes_max: compaction.records_bytes_max,
        };
        let work = Work::new(&view, &range, rules.end);
        // From here on a segment that was replaced goes when its readers have let it go: the disk may need the room.
        drop(view);
        let report = self.copy_all(work, &config, (&rules, &found), &mut course)?;
        self.finish(rules.end, generation, report)
    }

    /// Has the writer show the log as it is now.
    fn begin(&self, waiting: &mut dyn Waiting) -> Result<Box<Start>, CleanError> {
        match self.ask(Turn::Asked, waiting)? {
            Turn::Begun(start) => Ok(start),
            _ => Err(CleanError::Aborted),
        }
    }

    fn map(
        &self,
        view: &LogView,
        range: &CleaningRange,
        found: &Survey,
        course: &mut Course<'_>,
    ) -> Result<(OffsetMap, Offset), CleanError> {
        let tools = self.tools;
        let mut map = OffsetMap::new(
            tools.map_bytes,
            tools.map_load_percent,
            found.dirty_records,
            tools.hash_key,
        );
        let end = map_keys(view, range, found, &mut map, course)?;
        Ok((map, end))
    }

    fn copy_all(
        &self,
        work: Work,
        config: &LogConfig,
        (rules, found): (&Rules<'_>, &Survey),
        course: &mut Course<'_>,
    ) -> Result<CleanReport, CleanError> {
        let Work { members, originals } = work;
        let mut originals = originals.into_iter();
        let mut place = Place {
            transactions: TxnCourse::new(&found.aborted, Offset::ZERO),
            epoch: None,
            records_dropped: 0,
        };
        let mut report = CleanReport {
            segments_before: members.len(),
            bytes_before: members.iter().map(|member| member.size).sum(),
            ..CleanReport::default()
        };
        for group in groups(&members, config.segment.bytes.into()) {
            let own = Group {
                originals: originals.by_ref().take(group.len()).collect(),
                members: members.get(group).unwrap_or_default(),
            };
            report.segments_after += 1;
            match copy(&self.log.0, config, &own, (rules, &mut place, course)) {
                Ok(Some(cleaned)) => {
                    report.bytes_after += cleaned.size;
                    self.swap(cleaned, course)?;
                }
                Ok(None) => report.bytes_after += own.size(),
                Err(error) => {
                    // A log that was taken away has its directory's name changed, and takes the copy along.
                    if !self.log.0.is_closed() {
                        swap::discard(&self.log.0, own.base());
                    }
                    return Err(error);
                }
            }
            // The last reference is best let go here: a large file's end may take long, and the writer does not wait.
            drop(own);
        }
        report.records_dropped = place.records_dropped;
        Ok(report)
    }

    /// Has the writer put a copy in place, and waits until its files are.
    fn swap(&self, cleaned: Cleaned, course: &mut Course<'_>) -> Result<(), CleanError> {
        course.check()?;
        match self.ask(Turn::Offered(Box::new(cleaned)), course.waiting)? {
            Turn::Swapped => Ok(()),
            _ => Err(CleanError::Aborted),
        }
    }

    fn ask(&self, wish: Turn, waiting: &mut dyn Waiting) -> Result<Turn, CleanError> {
        let shared = &*self.log.0;
        let directory = &*shared.directory;
        if !shared.desk.ask(wish) {
            return Err(CleanError::Aborted);
        }
        directory
            .events
            .partition(shared.key, LogEvent::CleanerWaits);
        let since = directory.now();
        loop {
            if let Some(answer) = shared.desk.take_answer() {
                return Ok(answer);
            }
            let is_late = directory.now().since(since) > ANSWER_WAIT;
            let is_over = shared.is_closed() || directory.is_offline();
            if is_late || is_over || !waiting.pass(ANSWER_PAUSE) {
                if let Some(cleaned) = shared.desk.take_back() {
                    cleaned.discard(shared);
                }
                return Err(CleanError::Aborted);
            }
        }
    }

    fn finish(
        &self,
        end: Offset,
        generation: u64,
        report: CleanReport,
    ) -> Result<CleanReport, CleanError> {
        let shared = &*self.log.0;
        let is_same = || shared.view.load().generation == generation && !shared.is_closed();
        if !shared.directory.cleaned.set(shared.key, end, is_same) {
            return Err(CleanError::Aborted);
        }
        shared.directory.cleaned.write(&shared.directory)?;
        Ok(CleanReport {
            first_dirty: end,
            ..report
        })
    }
}

/// The segments that are to be copied.
struct Work {
    members: Vec<Member>,
    originals: Vec<Arc<Segment>>,
}

impl Work {
    /// Those that hold something below `end`.
    fn new(view: &LogView, range: &CleaningRange, end: Offset) -> Self {
        let members = members(view, range, end);
        let originals = view.segments.iter().take(members.len());
        Self {
            originals: originals.cloned().collect(),
            members,
        }
    }
}

/// The segments that hold something below `end`.
fn members(view: &LogView, range: &CleaningRange, end: Offset) -> Vec<Member> {
    let members = (0..range.segment_count).filter_map(|at| {
        let base = view.segments.get(at)?.base();
        Some(Member {
            base,
            end: view.segments.get(at + 1)?.base(),
            size: view.size_of(at),
        })
    });
    members.take_while(|member| member.base < end).collect()
}

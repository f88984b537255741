//! Log compaction, "the cleaner": of the records of a key only the latest stays.
//!
//! A *round* cleans one log. It reads the dirty part (what no round has seen) into an offset map, copies all segments
//! below it without the records that a later one has superseded, and has the log's writer put the copies in place of
//! the originals, group by group.
//!
//! - Only sealed segments are cleaned, and only below the high watermark, the last stable offset, and the recovery
//!   point that the journal holds: no later truncation, no aborted transaction and no recovery scan can meet them.
//! - Offsets, epochs, sequences and the order of records never change. A copy ends at the offset at which its originals
//!   end, so that a hole between two segments still means that a crash has lost something.
//! - Every leader epoch keeps its first batch, empty if need be: where an epoch begins can be found in the batches.
//! - The latest value of each key is served throughout. The copies appear at once in the view, and on the disk in steps
//!   after each of which a crash leaves either the originals or the copies (`swap`).
//! - A log that can not be cleaned is left as it is, with the reason; the others go on.
//!
//! The choices are explained in docs/decisions/0018-the-cleaner.md.

pub(crate) mod checkpoint;
mod cleaner;
mod compacted_log;
mod copy;
mod counters;
mod course;
pub(crate) mod desk;
mod error;
mod group;
mod offset_map;
mod range;
mod reader;
mod round;
pub(crate) mod rules;
mod scan;
pub(crate) mod swap;
mod throttle;
mod transactions;

pub use cleaner::{CleanerConfig, LogCleaner};
pub use compacted_log::CompactedLog;
pub use counters::CleanerCounters;
pub use course::Waiting;
pub use error::CleanError;
pub use offset_map::HashKey;
pub use range::Dirtiness;
pub use round::{CleanReport, CleanTools};
pub use rules::RuleError;

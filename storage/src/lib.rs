//! The log of one partition. It knows nothing of topics, brokers or the quorum.

#![warn(missing_docs)]

pub mod batch;
pub mod checkpoint;
pub mod clean_shutdown;
mod cursor;
#[allow(dead_code, reason = "the log directory that drives it follows")]
mod directory;
pub mod epoch_cache;
pub mod fs;
pub mod ids;
pub mod index;
pub mod journal;
#[allow(
    dead_code,
    unused_imports,
    reason = "the log directory that opens logs follows"
)]
pub mod log;
pub mod meta_properties;
pub mod partition_metadata;
pub mod producer_state;
mod properties;
#[allow(
    dead_code,
    reason = "recovery, which reads segments from disk, follows"
)]
mod segment;
pub mod time;
pub mod validate;
mod view;

pub use ids::{DirectoryId, LeaderEpoch, LogId, Offset, ProducerEpoch, ProducerId, Sequence};

pub use directory::DirectoryFailure;
pub use directory::events::{Clock, DirectoryEvent, LogEvent, LogEvents};
pub use directory::queue::QueueFull;
pub use segment::scan::ScanError;
pub use view::{FileRange, LogReader, LogView, ReadError, ReadLimits, TimestampHit};

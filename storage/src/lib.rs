//! The log of one partition. It knows nothing of topics, brokers or the quorum.

#![warn(missing_docs)]

pub mod batch;
pub mod checkpoint;
pub mod clean_shutdown;
pub mod compact;
mod cursor;
mod directory;
pub mod epoch_cache;
pub mod fs;
pub mod ids;
pub mod index;
pub mod journal;
pub mod log;
pub mod log_dir;
pub mod meta_properties;
pub mod partition_metadata;
pub mod planted;
pub mod producer_state;
mod properties;
mod recovery;
mod segment;
pub mod time;
pub mod validate;
mod view;

pub use ids::{DirectoryId, LeaderEpoch, LogId, Offset, ProducerEpoch, ProducerId, Sequence};

pub use directory::DirectoryFailure;
pub use directory::events::{Clock, DirectoryEvent, LogEvent, LogEvents};
pub use directory::queue::QueueFull;
pub use recovery::OpenError;
pub use segment::scan::ScanError;
pub use view::{FileRange, LogReader, LogView, ReadError, ReadLimits, TimestampHit};

//! The log of one partition. It knows nothing of topics, brokers or the quorum.

#![warn(missing_docs)]

pub mod batch;
mod cursor;
pub mod epoch_cache;
pub mod fs;
pub mod ids;
pub mod index;
pub mod producer_state;
pub mod time;

pub use ids::{DirectoryId, LeaderEpoch, LogId, Offset, ProducerEpoch, ProducerId, Sequence};

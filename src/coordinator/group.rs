//! What a group coordinator decides (pure): plain requests in, records and answers out.
//!
//! - C1: no two members of a generation or epoch own a partition.
//! - C2: a fetched offset is never older than the last one whose commit was acknowledged.
//! - C4: who is fenced changes nothing.

pub mod classic;
pub mod consumer;
pub mod deadlines;
pub mod effects;
pub mod error;
pub mod groups;
pub mod names;
pub mod offsets;
pub mod record;
pub mod request;
pub mod shard;

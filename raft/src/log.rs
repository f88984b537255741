//! The durable log: votes, entries, truncations and purges as one stream of checksummed frames.
//!
//! - The stream is append-only, across segments written in advance with zeros. A truncation is a
//!   frame like any other, so old bytes are never written over and can never come back to life.
//! - A frame's completion is reported after a sync that covers it (Q4). While one sync runs, what
//!   arrives is queued; then it is written with one write and synced with one sync.
//! - After a crash the log opens as a prefix of the stream that contains everything synced. The
//!   rest of the segment is zeroed before anything is written behind the cut.
//! - Damage before the durable position is never cut away: the node refuses to start.

mod entries;
pub(crate) mod frame;
mod recovery;
mod room;
mod segment;
mod store;
mod writer;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod room_tests;
#[cfg(test)]
mod suite_tests;

pub(crate) use store::LogStore;

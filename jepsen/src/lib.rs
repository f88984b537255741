//! Fault harness: disks that lose what was not synced, a launcher of real processes, histories and their checkers.
//!
//! The library part is light, so that the tests of `storage/` and `raft/` can use the disks; only the feature `node`
//! brings in a whole node (for the `ottla-fault` binary).

pub mod disk;
#[cfg(feature = "node")]
pub mod fault;
pub mod history;
pub mod launch;
#[cfg(feature = "node")]
pub mod load;
pub mod lossy;
pub mod port;
pub mod proxy;
pub mod rng;
#[cfg(feature = "node")]
pub mod sim;
pub mod w1;

//! A cluster in one thread: the node's own replicas, logs, lifecycles and controller over simulated disks, time and links.
//!
//! - What runs is what the node runs: partitions with their drivers, storage and its recovery, the broker's life, decisions
//!   and sessions of the controller, the metadata's state machine. Only the quorum is a model: one linear log, with
//!   delays, changes of leaders, proposals that are lost or unclear, snapshots and nodes that are slow to follow.
//! - A history is a plan of faults and client operations, drawn from a seed, and nothing else: the same plan is the same
//!   history, step by step, and its trace hash says so.
//! - After every step the invariants of ARCHITECTURE.md (R, M, S) and Appendix C of the replication semantics are checked;
//!   at the end everything is healed and has to come together.
//! - Outside of it: last stable offsets, producer ids, groups (which have their own, `groups`) and transactions, several data directories of a node, full disks.
//! - A plan that fails is cut down to the shortest list of events that was found to fail.

mod act;
mod call;
mod check;
mod client;
mod controller;
mod count;
mod decide;
mod fetch;
mod following;
pub mod groups;
mod handle;
mod history;
mod isr;
mod life;
mod log_content;
mod machine;
mod mark;
mod metadata;
mod network;
mod node;
mod plan;
mod quorum;
mod rules;
mod run;
mod shrink;
mod simulated;
mod trace;
mod world;

pub use count::Counts;
pub use run::{Options, Report};

/// Runs histories.
pub fn run(options: &Options) -> Report {
    run::run::<plan::Plan>(options)
}

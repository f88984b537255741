//! The log workload (w1) against real nodes under faults: a cluster, a client of its own, a nemesis, a verdict.
//!
//! - A client makes one attempt per operation. What it can't prove to be without effect is `info`, never `fail`.
//! - The nemesis follows a timetable that a seed repeats; every fault stands in the history.
//! - A run in which nothing happened proves nothing: leader changes and truncations are counted and asked for.
//! - Processes, namespaces and links of a run never outlive it, however it ends (see [`guard`]).

pub(crate) mod client;
mod cluster;
pub mod guard;
mod nemesis;
mod network;
mod outcome;
mod plan;
mod recorder;
mod report;
mod run;
mod shared;
mod view;
mod worker;

pub use network::NetworkKind;
pub use plan::Fault;
pub use report::Report;
pub use run::{Options, run};

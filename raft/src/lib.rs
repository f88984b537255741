//! A durable replicated log of opaque commands. It knows nothing of Kafka.
//!
//! A node is started with [`Raft::start`] and told once, by one node, who the members are. Commands
//! go in by [`Raft::propose`] on the leader; every node's [`StateMachine`] sees the committed ones.
//!
//! - Q1: committed entries are applied once, in order, on every node.
//! - Q2: a term has at most one leader.
//! - Q3: a barrier sees every commit that came before it.
//! - Q4: nothing is acknowledged that a power cut can undo: votes and entries are synced first.
//!
//! A broken invariant, a failed sync and damage to what was durable end the node: see
//! [`Raft::fatal`]. A full disk does not: new commands are refused while the log lives on the space
//! it has written in advance.

mod archive;
mod config;
mod convert;
mod cursor;
mod engine;
mod error;
pub mod fs;
mod handler;
pub mod inspect;
mod log;
mod machine;
mod metrics;
mod network;
mod node;
mod ports;
mod progress;
mod rpc;
mod snapshot;
mod types;

#[cfg(test)]
mod format_tests;

pub use config::{IoMode, RaftConfig, Timing};
pub use error::{BarrierError, Fatal, InitializeError, MembershipError, ProposeError, StartError};
pub use metrics::{Metrics, Replica};
pub use node::Raft;
pub use ports::{CallClass, CallFuture, StateMachine, Transport, TransportError};
pub use types::{ClusterId, DirectoryId, Leadership, LogIndex, Member, NodeId, Peer, Term};

/// A command that was applied on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Where it stands in the log.
    pub index: LogIndex,
    /// What the state machine answered.
    pub response: Vec<u8>,
}

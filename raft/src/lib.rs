//! A durable replicated log of opaque commands. It knows nothing of Kafka.
//!
//! A node is started with `Raft::start` and told once, by one node, who the members are. Commands
//! go in by `propose` on the leader; every node's [`StateMachine`] sees the committed ones.
//!
//! - Q1: committed entries are applied once, in order, on every node.
//! - Q2: a term has at most one leader.
//! - Q3: a barrier sees every commit that came before it.
//! - Q4: nothing is acknowledged that a power cut can undo: votes and entries are synced first.
//!
//! A broken invariant, a failed sync and damage to what was durable end the node: see
//! `Raft::fatal`. A full disk does not: new commands are refused while the log lives on the space
//! it has written in advance.
//!
//! ```text
//! impl Raft {                                                       // Clone + Send + Sync
//!     async fn start(RaftConfig, Arc<dyn Fs>, PathBuf, Arc<dyn Transport>, impl StateMachine)
//!         -> Result<Raft, StartError>;                              // on a current_thread runtime
//!     async fn initialize(&self, BTreeMap<NodeId, Member>) -> Result<(), InitializeError>;
//!     fn is_initialized(&self) -> bool;                             // has a membership, or a log
//!     async fn propose(&self, Vec<u8>) -> Result<Applied, ProposeError>;
//!     async fn barrier(&self) -> Result<LogIndex, BarrierError>;    // applied up to here, or later
//!     fn leadership(&self) -> watch::Receiver<Leadership>;
//!     fn applied(&self) -> watch::Receiver<Option<LogIndex>>;       // blank entries count too
//!     fn metrics(&self) -> Metrics;
//!     async fn add_learner(&self, NodeId, Member) -> Result<LogIndex, MembershipError>;
//!     async fn change_voters(&self, BTreeSet<NodeId>) -> Result<LogIndex, MembershipError>;
//!     async fn remove_learner(&self, NodeId) -> Result<LogIndex, MembershipError>;
//!     async fn trigger_snapshot(&self) -> Result<(), Fatal>;
//!     async fn handle(&self, &[u8]) -> Vec<u8>;                     // answers a peer's call
//!     async fn fatal(&self) -> Fatal;                               // the process must end
//!     async fn shutdown(&self);
//! }
//! ```

mod config;
mod error;
pub mod fs;
mod metrics;
mod ports;
mod types;

pub use config::{IoMode, RaftConfig, Timing};
pub use error::{BarrierError, Fatal, InitializeError, MembershipError, ProposeError, StartError};
pub use metrics::{Metrics, Replica};
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

//! What this crate asks of its user: a state machine to feed and a transport to speak through.
//!
//! Both see bytes only. The third port, the file system, is in [`fs`](crate::fs).

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::types::{LogIndex, Peer};

/// What the committed commands do. All calls come from one task, one at a time, in log order (Q1).
pub trait StateMachine: Send + 'static {
    /// Applies the command at `index` and returns its answer for the proposer. It is total: a
    /// command that makes no sense is an answer too, the same one on every node.
    fn apply(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8>;

    /// The whole state as bytes for [`StateMachine::restore`]. Equal states give equal bytes.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the whole state by that of a snapshot taken after the entry at `index`.
    ///
    /// # Errors
    ///
    /// Bytes that are no snapshot, or of a version this node does not know: the node stops.
    fn restore(
        &mut self,
        index: LogIndex,
        snapshot: &[u8],
    ) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// The kinds of calls between two nodes. Each has a connection of its own, so that an append's
/// answer never queues behind a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallClass {
    /// Votes and appends: small and urgent.
    Consensus,
    /// Pieces of a snapshot: large.
    Snapshot,
}

/// Why a call brought no answer. Whether the peer acted on it is unknown.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// There is no connection and none could be made.
    #[error("connect to the peer")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The connection broke, or time ran out.
    #[error("call the peer")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// The answer to a call, later.
pub type CallFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<u8>, TransportError>> + Send + 'a>>;

/// Carries a request to a peer's [`Raft::handle`](crate::Raft::handle) and its answer back.
pub trait Transport: Send + Sync + 'static {
    /// Calls `peer`. The future is dropped when the caller no longer waits; `timeout` says when
    /// that will be, for what the transport does in the background.
    fn call<'a>(
        &'a self,
        peer: &'a Peer,
        class: CallClass,
        request: Vec<u8>,
        timeout: Duration,
    ) -> CallFuture<'a>;
}

//! What a node of the quorum must be told, with defaults for the rest.

use std::time::Duration;

use crate::types::{ClusterId, DirectoryId, NodeId};

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct RaftConfig {
    /// The cluster: calls from another one are refused.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// The directory that holds its log: calls addressed to another one are refused.
    pub directory: DirectoryId,
    /// How fast a lost leader is noticed.
    pub timing: Timing,
    /// The size of the files of the log, written in advance. At least four times `command_size_max`
    /// is sensible; at least `command_size_max` plus 64 KiB is required.
    pub segment_size: u32,
    /// The largest command that [`Raft::propose`](crate::Raft::propose) takes.
    pub command_size_max: u32,
    /// A snapshot is taken after this many entries.
    pub snapshot_every: u64,
    /// Entries that stay in the log although a snapshot covers them, for followers a little behind.
    pub entries_kept: u64,
    /// Where the log's writes and syncs run.
    pub io: IoMode,
    /// The seed of the randomness in election timeouts; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl RaftConfig {
    /// The settings of a node in production.
    pub fn new(cluster: ClusterId, node: NodeId, directory: DirectoryId) -> Self {
        Self {
            cluster,
            node,
            directory,
            timing: Timing::default(),
            segment_size: 4 << 20,
            command_size_max: (1 << 20) + (64 << 10),
            snapshot_every: 10_000,
            entries_kept: 1_000,
            io: IoMode::Thread,
            seed: None,
        }
    }
}

/// Heartbeats and election timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// The shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// The longest.
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(40),
            election_min: Duration::from_millis(120),
            election_max: Duration::from_millis(240),
        }
    }
}

impl Timing {
    /// The default stretched for a machine whose scheduler wakes a thread `latency` late: a
    /// heartbeat that the scheduler can eat must not cost an election. At most ten times slower.
    #[must_use]
    pub fn for_scheduler_latency(latency: Duration) -> Self {
        // 4 ms is one tick of a busy scheduler: up to there the defaults hold.
        let factor = (latency.as_secs_f64() / 0.004).clamp(1.0, 10.0);
        let base = Self::default();
        Self {
            heartbeat: base.heartbeat.mul_f64(factor),
            election_min: base.election_min.mul_f64(factor),
            election_max: base.election_max.mul_f64(factor),
        }
    }
}

/// Where the log's writes and syncs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoMode {
    /// On a thread of their own: production.
    Thread,
    /// On the runtime, each group after a delay of up to this much: simulations on a virtual clock.
    Task {
        /// The longest time from a write to its completion.
        delay_max: Duration,
    },
}

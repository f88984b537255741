//! What happens to a partition, what it asks for in turn, and how a request on it ends.

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::time::MonoMillis;

use super::isr::Isr;
use crate::metadata::PartitionEpoch;

/// Names one request that waits for this partition; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// What a producer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// `acks=0`: nothing; the request is over once it is decided whether the batches are appended.
    None,
    /// `acks=1`: the leader has appended (and flushed, with `flush.on.ack`).
    Leader,
    /// `acks=all`: every member of the in-sync set has.
    All,
}

/// What the replica layer was told by the metadata about a partition that this broker leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) isr: Isr,
}

/// The settings that a partition's decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `min.insync.replicas`.
    pub(crate) min_insync_replicas: u32,
    /// `flush.on.ack`: this replica counts as far as it is flushed, not as far as it has appended.
    pub(crate) flush_on_ack: bool,
}

/// Where the log of the partition lies: what the driver reads off it after every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogBounds {
    pub(crate) start: Offset,
    /// Exclusive.
    pub(crate) end: Offset,
    /// All below is on stable storage.
    pub(crate) flushed_end: Offset,
}

/// One thing that happened. The follower's events (a leader's answer, a truncation) and a follower's
/// fetch at the leader join this list with replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The metadata names this broker the leader, or says so again with another in-sync set.
    Lead {
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
    },
    /// The topic's or the broker's settings changed.
    Configure(Settings),
    /// A client's batches wait to be appended.
    Produce {
        ticket: Ticket,
        acks: Acks,
        deadline: MonoMillis,
    },
    /// The log holds the ticket's batches, which end (exclusive) at `end`.
    Appended {
        ticket: Ticket,
        acks: Acks,
        deadline: MonoMillis,
        end: Offset,
    },
    /// A client asks to drop what is below an offset (`None`: below the high watermark).
    DeleteRecords {
        ticket: Ticket,
        before: Option<Offset>,
        deadline: MonoMillis,
    },
    /// It is time to look for what need not be kept any longer.
    Retain,
    /// The log's bounds moved: an append, a flush, a new start.
    Moved(LogBounds),
    /// Time passed.
    Tick,
    /// The directory is lost until the process restarts (S7).
    Offline,
    /// The partition is not this broker's any more.
    Stop,
    /// The node stops, and others may lead.
    Resign,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked, as far as the producer's `acks` wants it.
    Done,
    /// Records below this offset are gone.
    Deleted {
        log_start: Offset,
    },
    Refused(Refusal),
}

/// Why a request on a partition is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("the partition is not on this broker")]
    Gone,
    #[error("the partition's directory is offline")]
    Offline,
    #[error("fewer replicas are in sync than min.insync.replicas asks for")]
    NotEnoughReplicas,
    #[error("the in-sync replicas did not all confirm in time")]
    TimedOut,
    #[error("the offset is outside of the partition")]
    OffsetOutOfRange,
}

/// One thing to do, in the order given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Append the ticket's batches, stamped with this epoch. Neighbours share one write.
    Append {
        ticket: Ticket,
        acks: Acks,
        deadline: MonoMillis,
        leader_epoch: LeaderEpoch,
    },
    /// Note in the log where the epoch starts, even if nothing is ever appended in it.
    StartEpoch {
        leader_epoch: LeaderEpoch,
        start: Offset,
    },
    /// Move the log's start up to this offset.
    AdvanceLogStart { to: Offset },
    /// Drop what the settings no longer keep, all of it below this offset.
    Retain { high_watermark: Offset },
    /// Bring the log up to its end to stable storage; `Moved` says when that is done.
    Flush,
    /// The request is decided.
    Answer { ticket: Ticket, outcome: Outcome },
}

/// The effects of a turn, in order.
pub(crate) type Effects = Vec<Effect>;

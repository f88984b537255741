//! What happens to a partition, what it asks for in turn, and how a request on it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_storage::ids::{LeaderEpoch, Offset};
use ottla_storage::time::MonoMillis;

use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, PartitionEpoch};
use crate::replica::isr_change::IsrAnswer;

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

/// What the metadata says about a partition that this broker leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    /// All who hold a copy, this broker among them.
    pub(crate) replicas: BTreeSet<BrokerId>,
    /// The committed in-sync set.
    pub(crate) isr: BTreeSet<BrokerId>,
}

/// What the metadata says about a partition that another broker leads, or nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Following {
    pub(crate) leader: Option<BrokerId>,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
}

/// A follower's fetch, as the leader sees it: everything below `offset` is in the follower's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerFetch {
    /// Who.
    pub follower: BrokerId,
    /// The registration under which it fetches; `None` if it did not say.
    pub broker_epoch: Option<BrokerEpoch>,
    /// Whether the metadata lets it be in sync: registered under that epoch, not fenced, not shutting down.
    pub is_eligible: bool,
    /// The metadata that say so.
    pub judged_by: ImageVersion,
    /// The reign that it believes in.
    pub leader_epoch: LeaderEpoch,
    /// Where its log ends.
    pub offset: Offset,
    /// Where its log starts.
    pub log_start: Offset,
    /// Where the leader's log ended when the fetch was read.
    pub leader_end: Offset,
}

/// What a leader answered to this follower's fetch, besides the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderState {
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// Where the leader's log starts.
    pub log_start: Offset,
}

/// The settings that a partition's decisions depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `min.insync.replicas`.
    pub(crate) min_insync_replicas: u32,
    /// `flush.on.ack`: this replica counts as far as it is flushed, not as far as it has appended.
    pub(crate) flush_on_ack: bool,
    /// `replica.lag.time.max.ms`: a follower that has not caught up for this long is out of sync.
    pub(crate) lag_max: Duration,
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

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The metadata names this broker the leader, or says so again with another in-sync set.
    Lead {
        leadership: Leadership,
        bounds: LogBounds,
        high_watermark: Offset,
    },
    /// The metadata names another leader, or nobody.
    Follow {
        following: Following,
        bounds: LogBounds,
        high_watermark: Offset,
    },
    /// A follower has asked this leader for records.
    FollowerFetch(FollowerFetch),
    /// From this version on the metadata do not let this follower be in sync, until it fetches as one that may.
    FollowerGone(BrokerId, ImageVersion),
    /// It is time to look for followers that lag.
    CheckIsr,
    /// The controller has answered the proposal that was made at `partition_epoch`.
    IsrAnswered {
        partition_epoch: PartitionEpoch,
        answer: IsrAnswer,
    },
    /// The leader has sent what follows this log's end (perhaps nothing), and it is in the log as far as it is good.
    Replicated {
        leader_epoch: LeaderEpoch,
        state: LeaderState,
        bounds: LogBounds,
    },
    /// The leader's log parted from this one: in its `epoch`, or in the one before, it ends at `end`. `own` is where
    /// this log's largest epoch that is not above `epoch` ends, if it has one.
    Diverged {
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
        own: Option<(LeaderEpoch, Offset)>,
    },
    /// This log's end is not in the leader's log, which reaches from `start` to `end`.
    OutOfRange {
        leader_epoch: LeaderEpoch,
        start: Offset,
        end: Offset,
    },
    /// The whole log was thrown away as the core wished; it lies here now.
    Restarted(LogBounds),
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Remove what is at or above this offset, and the leader epochs that begin there.
    Truncate { to: Offset, why: Cut },
    /// Throw the whole log away, and go on at this offset.
    Restart { at: Offset },
    /// Ask the controller for another in-sync set.
    ProposeIsr {
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
    },
    /// Bring the log up to its end to stable storage; `Moved` says when that is done.
    Flush,
    /// The request is decided.
    Answer { ticket: Ticket, outcome: Outcome },
}

/// Why a follower's log is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The leader's epochs end elsewhere.
    Diverged,
    /// It goes on where the leader's log ends.
    OutOfRange,
}

/// The effects of a turn, in order.
pub(crate) type Effects = Vec<Effect>;

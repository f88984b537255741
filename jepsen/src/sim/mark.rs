//! How replicas and their logs were last seen.

use ottla_storage::LeaderEpoch;

use super::log_content::Batch;

/// A log as it was last seen.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) start: u64,
    pub(super) batches: Vec<Batch>,
}

/// A replica as it was last seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) epoch: LeaderEpoch,
    pub(super) is_led: bool,
    pub(super) high_watermark: u64,
    pub(super) log_start: u64,
    pub(super) log_end: u64,
}

/// What a log held when its process ended.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) batches: Vec<Batch>,
    pub(super) start: u64,
    /// Below this all was on stable storage.
    pub(super) synced: u64,
    /// The page cache was kept.
    pub(super) is_whole: bool,
}

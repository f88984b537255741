//! What a topic's configuration means to its logs. Names and defaults are Kafka's.

use std::time::Duration;

/// Settings of one log; may be replaced at any time with [`PartitionLog::set_config`].
///
/// [`PartitionLog::set_config`]: super::PartitionLog::set_config
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// When a segment ends.
    pub segment: SegmentConfig,
    /// What is thrown away.
    pub retention: RetentionConfig,
    /// When appended bytes go to stable storage.
    pub flush: FlushConfig,
    /// What is remembered of producers.
    pub producers: ProducerConfig,
    /// What the cleaner does.
    pub compaction: CompactionConfig,
}

/// When a segment ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentConfig {
    /// `segment.bytes`: a segment never grows beyond, except by one larger batch of a leader's log.
    pub bytes: u32,
    /// `segment.ms`: how far apart the timestamps of a segment's first and next batch may be.
    pub age: Duration,
    /// `segment.jitter.ms`, already drawn for this log: rolls come earlier by this.
    pub jitter: Duration,
    /// `segment.index.bytes`: room for either index.
    pub index_bytes: u32,
    /// `index.interval.bytes`: bytes between two index entries.
    pub index_interval_bytes: u32,
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            age: Duration::from_hours(7 * 24),
            jitter: Duration::ZERO,
            index_bytes: 10 << 20,
            index_interval_bytes: 4096,
        }
    }
}

/// What is thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Whether `cleanup.policy` holds `delete`; without it only segments below the log start go.
    pub is_enabled: bool,
    /// `retention.bytes`; `None` is Kafka's -1.
    pub bytes: Option<u64>,
    /// `retention.ms`; `None` is Kafka's -1.
    pub age: Option<Duration>,
    /// `file.delete.delay.ms`: how long a removed file stays under its `.deleted` name.
    pub file_delete_delay: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            is_enabled: true,
            bytes: None,
            age: Some(Duration::from_hours(7 * 24)),
            file_delete_delay: Duration::from_mins(1),
        }
    }
}

/// What the cleaner does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompactionConfig {
    /// Whether `cleanup.policy` holds `compact`.
    pub is_enabled: bool,
    /// `min.cleanable.dirty.ratio`, in parts of a million: a log with a larger dirty part is cleaned.
    pub dirty_ppm_min: u32,
    /// `min.compaction.lag.ms`: younger records stay as they are.
    pub lag_min: Duration,
    /// `max.compaction.lag.ms`: a log with an older dirty record is cleaned, however small its dirty part. `None` is never.
    pub lag_max: Option<Duration>,
    /// `delete.retention.ms`: how long tombstones stay after a round has met them.
    pub delete_retention: Duration,
    /// A batch that decompresses to more makes the log uncleanable.
    pub records_bytes_max: usize,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            is_enabled: false,
            dirty_ppm_min: 500_000,
            lag_min: Duration::ZERO,
            lag_max: None,
            delete_retention: Duration::from_hours(24),
            records_bytes_max: 256 << 20,
        }
    }
}

/// When appended bytes go to stable storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushConfig {
    /// `flush.messages`: a flush is requested when this many records wait for one.
    pub messages: u64,
    /// `flush.ms`: a flush is requested when the oldest unflushed write is this old.
    pub age: Option<Duration>,
    /// `flush.on.ack`: a flush is requested after every commit.
    pub on_ack: bool,
    /// `log.flush.dirty.bytes`: a flush is requested when this many bytes wait for one.
    pub dirty_bytes: u64,
    /// `log.flush.dirty.ms`: a write is synced at most this much later, whatever else is configured.
    pub dirty_age: Duration,
}

impl Default for FlushConfig {
    fn default() -> Self {
        Self {
            messages: u64::MAX,
            age: None,
            on_ack: false,
            dirty_bytes: 64 << 20,
            dirty_age: Duration::from_mins(1),
        }
    }
}

/// What is remembered of producers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerConfig {
    /// `producer.id.expiration.ms`: a producer without an open transaction is forgotten after this.
    pub expiry: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            expiry: Duration::from_hours(24),
        }
    }
}

impl FlushConfig {
    /// How long after its first unflushed write a log is flushed.
    pub(crate) fn settle_after(&self) -> Duration {
        let age = self.age.unwrap_or(self.dirty_age);
        age.min(self.dirty_age)
    }
}

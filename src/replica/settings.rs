//! What a topic's configuration means to a replica and to its log.

use std::sync::Arc;
use std::time::Duration;

use ottla_storage::batch::{Compression, CompressionLevels, TimestampType};
use ottla_storage::log::{
    CompactionConfig, FlushConfig, LogConfig, ProducerConfig, RetentionConfig, SegmentConfig,
};
use ottla_storage::validate::{Policy, RecordChecks, TimestampPolicy};

use super::core::effect::Settings;
use crate::config::{self, StorageConfig, TopicConfig, ValidateRecords};

/// A batch that decompresses to more than this is not cleaned: the cleaner holds it in memory.
const CLEANED_RECORDS_BYTES_MAX: usize = 256 << 20;

/// A topic's configuration, taken apart for one of its partitions.
#[derive(Debug)]
pub(crate) struct PartitionConfig {
    /// What decisions depend on.
    pub(crate) settings: Settings,
    /// What the log obeys.
    pub(crate) log: Arc<LogConfig>,
    /// What is asked of clients' batches.
    pub(crate) policy: Policy,
}

impl PartitionConfig {
    /// `jitter` is a number that is fixed for the partition.
    pub(crate) fn new(
        topic: &TopicConfig,
        storage: &StorageConfig,
        lag_max: Duration,
        jitter: u64,
    ) -> Self {
        Self {
            settings: settings(topic, lag_max),
            log: Arc::new(log_config(topic, storage, jitter)),
            policy: policy(topic),
        }
    }
}

fn settings(topic: &TopicConfig, lag_max: Duration) -> Settings {
    Settings {
        min_insync_replicas: topic.min_insync_replicas,
        flush_on_ack: topic.flush_on_ack,
        lag_max,
    }
}

fn policy(topic: &TopicConfig) -> Policy {
    let millis_max = |limit: Option<Duration>| {
        limit
            .and_then(|limit| i64::try_from(limit.as_millis()).ok())
            .unwrap_or(i64::MAX)
    };
    let mut levels = CompressionLevels::default();
    let compression = match topic.compression {
        config::Compression::Producer => None,
        config::Compression::Uncompressed => Some(Compression::None),
        config::Compression::Gzip(level) => {
            levels.gzip = level.map_or(levels.gzip, i32::from);
            Some(Compression::Gzip)
        }
        config::Compression::Snappy => Some(Compression::Snappy),
        config::Compression::Lz4(level) => {
            levels.lz4 = i32::from(level);
            Some(Compression::Lz4)
        }
        config::Compression::Zstd(level) => {
            levels.zstd = level;
            Some(Compression::Zstd)
        }
    };
    Policy {
        message_size_max: size(topic.batch_size_max),
        segment_size_max: size(topic.segment_size),
        decompressed_size_max: size(topic.record_size_max),
        is_compacted: topic.cleanup.compact,
        timestamps: TimestampPolicy {
            kind: match topic.timestamp_type {
                config::TimestampType::CreateTime => TimestampType::CreateTime,
                config::TimestampType::LogAppendTime => TimestampType::LogAppendTime,
            },
            before_ms_max: millis_max(topic.timestamp_before_max),
            after_ms_max: millis_max(topic.timestamp_after_max),
        },
        compression,
        levels,
        records: match topic.validate_records {
            ValidateRecords::Auto => RecordChecks::ByCodec,
            ValidateRecords::Full => RecordChecks::Full,
            ValidateRecords::Header => RecordChecks::Header,
        },
    }
}

fn size(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What the log obeys.
fn log_config(topic: &TopicConfig, storage: &StorageConfig, jitter: u64) -> LogConfig {
    LogConfig {
        segment: SegmentConfig {
            bytes: topic.segment_size,
            age: segment_age_max(topic),
            jitter: part_of(topic.segment_jitter_max, jitter),
            index_bytes: topic.index_size_max,
            index_interval_bytes: topic.index_interval,
        },
        retention: RetentionConfig {
            is_enabled: topic.cleanup.delete,
            bytes: topic.retention_size,
            age: topic.retention,
            file_delete_delay: topic.file_delete_delay,
        },
        flush: FlushConfig {
            messages: topic.flush_messages.unwrap_or(u64::MAX),
            age: topic.flush_interval,
            // The core asks for each flush itself, and knows when one is under way.
            on_ack: false,
            dirty_bytes: storage.dirty_bytes_max,
            dirty_age: storage.dirty_max,
        },
        producers: ProducerConfig {
            expiry: storage.producer_id_expiration,
        },
        compaction: compaction(topic),
    }
}

/// A segment of a compacted log ends in time for the cleaner to have it within `max.compaction.lag.ms`.
fn segment_age_max(topic: &TopicConfig) -> Duration {
    if topic.cleanup.compact {
        topic.segment_age_max.min(topic.compaction_lag_max)
    } else {
        topic.segment_age_max
    }
}

fn compaction(topic: &TopicConfig) -> CompactionConfig {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio from 0 to 1"
    )]
    let dirty_ppm_min = (topic.cleanable_dirty_ratio_min.clamp(0.0, 1.0) * 1e6).round() as u32;
    let lag_max = topic.compaction_lag_max;
    let never = Duration::from_millis(i64::MAX.unsigned_abs());
    CompactionConfig {
        is_enabled: topic.cleanup.compact,
        dirty_ppm_min,
        lag_min: topic.compaction_lag_min,
        lag_max: (lag_max < never).then_some(lag_max),
        delete_retention: topic.delete_retention,
        records_bytes_max: size(topic.record_size_max).min(CLEANED_RECORDS_BYTES_MAX),
    }
}

/// A share of `max` that differs from log to log, so that they do not all roll at once.
fn part_of(max: Duration, jitter: u64) -> Duration {
    let millis = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if millis == 0 { 0 } else { jitter % millis })
}

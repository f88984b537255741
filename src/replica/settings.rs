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

/// A batch that decompresses to more than this is not cleaned: the cleaner holds it in memory. So no compacted topic takes
/// one, and what was taken is cleaned, whatever `max.decompressed.message.bytes` is meanwhile.
const CLEANED_RECORDS_BYTES_MAX: usize = 256 << 20;
/// The size of a compacted log's segments. A file's positions have 31 bits, and what is left of batches may be larger than
/// they were, because it is compressed anew.
const CLEANED_SEGMENT_SIZE_MAX: u32 = i32::MAX.unsigned_abs() - (128 << 20);

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
        segment_size_max: size(segment_size(topic)),
        decompressed_size_max: if topic.cleanup.compact {
            size(topic.record_size_max).min(CLEANED_RECORDS_BYTES_MAX)
        } else {
            size(topic.record_size_max)
        },
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
            bytes: segment_size(topic),
            age: segment_age_max(topic),
            jitter: part_of(topic.segment_jitter_max.min(segment_age_max(topic)), jitter),
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

fn segment_size(topic: &TopicConfig) -> u32 {
    if topic.cleanup.compact {
        topic.segment_size.min(CLEANED_SEGMENT_SIZE_MAX)
    } else {
        topic.segment_size
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
        records_bytes_max: CLEANED_RECORDS_BYTES_MAX,
    }
}

/// A share of `max` that differs from log to log, so that they do not all roll at once.
fn part_of(max: Duration, jitter: u64) -> Duration {
    let millis = u64::try_from(max.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if millis == 0 { 0 } else { jitter % millis })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layers, NodeConfig, Sources};

    fn config(flags: &[(&str, &str)]) -> (TopicConfig, StorageConfig) {
        let flags = flags.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let config = NodeConfig::load(&Sources {
            flags: flags.collect(),
            ..Sources::default()
        });
        let config = config.unwrap();
        let topic = TopicConfig::resolve(&Layers::of_static(&config.values), 1);
        (topic, config.storage)
    }

    /// The cleaner refused what produce had accepted: one such batch, and the partition was not compacted any more.
    #[test]
    fn a_compacted_topic_takes_only_what_can_be_cleaned() {
        for (policy_of, limit, accepted) in [
            ("compact", "2147483639", 256 << 20),
            ("compact,delete", "1000", 1000),
            ("delete", "2147483639", 2_147_483_639),
        ] {
            let (topic, storage) = config(&[
                ("log.cleanup.policy", policy_of),
                ("max.decompressed.message.bytes", limit),
                ("log.segment.bytes", "2147483647"),
            ]);
            let policy = policy(&topic);
            let log = log_config(&topic, &storage, 7);
            assert_eq!(policy.decompressed_size_max, accepted, "{policy_of}");
            // The setting may have been larger when the log's batches came.
            assert_eq!(log.compaction.records_bytes_max, 256 << 20);
            let room = i32::MAX.unsigned_abs() - log.segment.bytes;
            assert_eq!(room > 0, topic.cleanup.compact);
            assert_eq!(policy.segment_size_max, size(log.segment.bytes));
        }
    }

    /// A jitter above the age made a segment too old with its second batch.
    #[test]
    fn the_jitter_is_a_part_of_the_age() {
        let (topic, storage) = config(&[
            ("log.cleanup.policy", "compact"),
            ("log.cleaner.max.compaction.lag.ms", "60000"),
            ("log.roll.jitter.ms", "3600000"),
        ]);
        for jitter in [7, 59_999, 60_000, 1_000_007, u64::MAX] {
            let SegmentConfig { age, jitter, .. } = log_config(&topic, &storage, jitter).segment;
            assert_eq!(age, Duration::from_mins(1));
            assert!(jitter < age, "{jitter:?}");
        }
    }
}

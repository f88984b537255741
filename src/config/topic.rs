//! The configuration of one topic as the code uses it: typed, with every default filled in.

use std::time::Duration;

use crate::config::key::{Effect, ValueError};
use crate::config::{Layers, Overrides, suggest, topic_keys};

/// What happens to old segments. Neither keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Remove by time and size.
    pub delete: bool,
    /// Keep the latest record of each key.
    pub compact: bool,
}

/// What batches are stored with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Whatever the producer chose.
    Producer,
    /// No compression.
    Uncompressed,
    /// gzip; `None` is the codec's default level.
    Gzip(Option<u8>),
    /// snappy.
    Snappy,
    /// lz4 at a level.
    Lz4(u8),
    /// zstd at a level; may be negative.
    Zstd(i32),
}

/// Whose clock a record's timestamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's, at append.
    LogAppendTime,
}

/// How much of a batch is checked at produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidateRecords {
    /// Full for uncompressed batches, header for compressed ones.
    Auto,
    /// Every record.
    Full,
    /// The batch header only.
    Header,
}

/// One topic's configuration. Durations of `None` are "never", sizes of `None` "no limit".
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `segment.bytes`.
    pub segment_size: u32,
    /// `segment.ms`.
    pub segment_age_max: Duration,
    /// `segment.jitter.ms`.
    pub segment_jitter_max: Duration,
    /// `segment.index.bytes`.
    pub index_size_max: u32,
    /// `index.interval.bytes`.
    pub index_interval: u32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `file.delete.delay.ms`.
    pub file_delete_delay: Duration,
    /// `retention.ms`.
    pub retention: Option<Duration>,
    /// `retention.bytes`.
    pub retention_size: Option<u64>,
    /// `flush.messages`.
    pub flush_messages: Option<u64>,
    /// `flush.ms`.
    pub flush_interval: Option<Duration>,
    /// `flush.on.ack`.
    pub flush_on_ack: bool,
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `delete.retention.ms`.
    pub delete_retention: Duration,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_min: Duration,
    /// `max.compaction.lag.ms`.
    pub compaction_lag_max: Duration,
    /// `min.cleanable.dirty.ratio`.
    pub cleanable_dirty_ratio_min: f64,
    /// `compression.type` with its level.
    pub compression: Compression,
    /// `max.message.bytes`.
    pub batch_size_max: u32,
    /// `max.decompressed.message.bytes`.
    pub record_size_max: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max: Option<Duration>,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max: Option<Duration>,
    /// `validate.records`.
    pub validate_records: ValidateRecords,
    /// `min.insync.replicas` as given, or derived from the replicas; not yet clamped to them.
    pub min_insync_replicas: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
}

/// Why overrides of a topic are refused (`INVALID_CONFIG`). Texts follow Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// No topic config has this name.
    #[error("Unknown topic config name: {key}{}", hint(suggestion.as_deref()))]
    UnknownKey {
        /// The name.
        key: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// The key doesn't take the value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Two values contradict each other.
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )]
    CompactionLag {
        /// `min.compaction.lag.ms`.
        min: u64,
        /// `max.compaction.lag.ms`.
        max: u64,
    },
    /// Tiered storage was asked for.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    RemoteStorage,
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion
        .map(|key| format!("; did you mean {key}?"))
        .unwrap_or_default()
}

impl TopicConfig {
    /// The effective configuration of a topic whose partitions have `replication_factor` replicas.
    pub fn resolve(layers: &Layers<'_>, replication_factor: usize) -> Self {
        let typed = Typed(layers);
        Self {
            segment_size: typed.number("segment.bytes"),
            segment_age_max: typed.millis("segment.ms"),
            segment_jitter_max: typed.millis("segment.jitter.ms"),
            index_size_max: typed.number("segment.index.bytes"),
            index_interval: typed.number("index.interval.bytes"),
            preallocate: typed.flag("preallocate"),
            file_delete_delay: typed.millis("file.delete.delay.ms"),
            retention: typed.limit("retention.ms").map(Duration::from_millis),
            retention_size: typed.limit("retention.bytes"),
            flush_messages: typed.limit("flush.messages"),
            flush_interval: typed.limit("flush.ms").map(Duration::from_millis),
            flush_on_ack: typed.flag("flush.on.ack"),
            cleanup: typed.cleanup(),
            delete_retention: typed.millis("delete.retention.ms"),
            compaction_lag_min: typed.millis("min.compaction.lag.ms"),
            compaction_lag_max: typed.millis("max.compaction.lag.ms"),
            cleanable_dirty_ratio_min: typed
                .text("min.cleanable.dirty.ratio")
                .parse()
                .unwrap_or(0.5),
            compression: typed.compression(),
            batch_size_max: typed.number("max.message.bytes"),
            record_size_max: typed.number("max.decompressed.message.bytes"),
            timestamp_type: match typed.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max: typed
                .limit("message.timestamp.before.max.ms")
                .map(Duration::from_millis),
            timestamp_after_max: typed
                .limit("message.timestamp.after.max.ms")
                .map(Duration::from_millis),
            validate_records: match typed.text("validate.records").as_str() {
                "full" => ValidateRecords::Full,
                "header" => ValidateRecords::Header,
                _ => ValidateRecords::Auto,
            },
            min_insync_replicas: min_insync_replicas(layers, replication_factor),
            unclean_leader_election: typed.flag("unclean.leader.election.enable"),
        }
    }

    /// The canonical form of a topic's overrides, checked one by one and together.
    ///
    /// # Errors
    /// A name is unknown, a value isn't legal, or two contradict each other.
    pub fn check(overrides: &Overrides) -> Result<Overrides, TopicConfigError> {
        let mut checked = Overrides::new();
        for (name, value) in overrides {
            let Some(entry) = topic_keys::find(name) else {
                let suggestion = suggest::topic_key(name);
                return Err(TopicConfigError::UnknownKey {
                    key: name.clone(),
                    suggestion,
                });
            };
            checked.insert(name.clone(), entry.key.normalise(value)?);
        }
        let number = |name: &str, default: u64| {
            checked
                .get(name)
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(default)
        };
        let min = number("min.compaction.lag.ms", 0);
        let max = number("max.compaction.lag.ms", u64::MAX);
        if min > max {
            return Err(TopicConfigError::CompactionLag { min, max });
        }
        if checked
            .get("remote.storage.enable")
            .is_some_and(|value| value == "true")
        {
            return Err(TopicConfigError::RemoteStorage);
        }
        Ok(checked)
    }

    /// The overrides that are kept and have no effect.
    pub fn unused(overrides: &Overrides) -> impl Iterator<Item = &str> {
        overrides.keys().map(String::as_str).filter(|name| {
            topic_keys::find(name).is_none_or(|entry| entry.key.effect == Effect::Unused)
        })
    }
}

/// `min.insync.replicas`: what was given stands exactly; else 2 of three or more replicas, else 1.
///
/// With one replica lost, two of three still hold every acknowledged record and still take writes;
/// Kafka's own default of 1 would acknowledge records that only the leader has.
pub(crate) fn min_insync_replicas(layers: &Layers<'_>, replication_factor: usize) -> u32 {
    let given = topic_keys::find("min.insync.replicas")
        .and_then(|entry| layers.topic_answers(entry).into_iter().next())
        .and_then(|answer| answer.text.parse().ok());
    let derived = if replication_factor >= 3 { 2 } else { 1 };
    given.unwrap_or(derived)
}

/// Typed access by name. Stored texts went through the registry; one that doesn't parse (written
/// by another version) reads as the key's default, never as a panic.
struct Typed<'a>(&'a Layers<'a>);

impl Typed<'_> {
    fn text(&self, name: &str) -> String {
        topic_keys::find(name)
            .and_then(|entry| self.0.topic_value(entry).0)
            .unwrap_or_default()
    }

    fn long(&self, name: &str) -> i64 {
        let default = || {
            let default = topic_keys::find(name).and_then(|entry| entry.key.default);
            default.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        self.text(name).parse().unwrap_or_else(|_| default())
    }

    fn number(&self, name: &str) -> u32 {
        u32::try_from(self.long(name)).unwrap_or(0)
    }

    fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.long(name)).unwrap_or(0))
    }

    /// Negative numbers and the largest one mean "no limit".
    fn limit(&self, name: &str) -> Option<u64> {
        let value = self.long(name);
        if value == i64::MAX {
            None
        } else {
            u64::try_from(value).ok()
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    fn cleanup(&self) -> Cleanup {
        let text = self.text("cleanup.policy");
        let words = super::key::list_items(&text);
        Cleanup {
            delete: words.contains(&"delete"),
            compact: words.contains(&"compact"),
        }
    }

    fn compression(&self) -> Compression {
        match self.text("compression.type").as_str() {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip(u8::try_from(self.long("compression.gzip.level")).ok()),
            "snappy" => Compression::Snappy,
            "lz4" => {
                Compression::Lz4(u8::try_from(self.long("compression.lz4.level")).unwrap_or(9))
            }
            "zstd" => {
                Compression::Zstd(i32::try_from(self.long("compression.zstd.level")).unwrap_or(3))
            }
            _ => Compression::Producer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StaticConfig;

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn resolve(pairs: &[(&str, &str)], replication_factor: usize) -> TopicConfig {
        let fixed = StaticConfig::default();
        let topic = TopicConfig::check(&overrides(pairs)).unwrap();
        let layers = Layers {
            topic: Some(&topic),
            ..Layers::of_static(&fixed)
        };
        TopicConfig::resolve(&layers, replication_factor)
    }

    #[test]
    fn the_defaults_are_kafkas() {
        let config = resolve(&[], 1);
        assert_eq!(config.segment_size, 1 << 30);
        assert_eq!(config.retention, Some(Duration::from_hours(168)));
        assert_eq!(config.retention_size, None);
        assert_eq!(config.flush_messages, None);
        assert_eq!(config.flush_interval, None);
        assert_eq!(
            config.cleanup,
            Cleanup {
                delete: true,
                compact: false
            }
        );
        assert_eq!(config.batch_size_max, 1_048_588);
        assert_eq!(config.timestamp_before_max, None);
        assert_eq!(config.timestamp_after_max, Some(Duration::from_hours(1)));
        assert_eq!(config.compression, Compression::Producer);
        assert_eq!(config.validate_records, ValidateRecords::Auto);
    }

    #[test]
    fn min_insync_replicas_follows_the_replicas_unless_given() {
        assert_eq!(resolve(&[], 1).min_insync_replicas, 1);
        assert_eq!(resolve(&[], 2).min_insync_replicas, 1);
        assert_eq!(resolve(&[], 3).min_insync_replicas, 2);
        assert_eq!(resolve(&[], 5).min_insync_replicas, 2);
        assert_eq!(
            resolve(&[("min.insync.replicas", "1")], 3).min_insync_replicas,
            1
        );
        assert_eq!(
            resolve(&[("min.insync.replicas", "3")], 1).min_insync_replicas,
            3
        );
    }

    #[test]
    fn overrides_are_typed() {
        let config = resolve(
            &[
                ("compression.type", "zstd"),
                ("compression.zstd.level", "-5"),
                ("cleanup.policy", "compact"),
                ("retention.ms", "-1"),
                ("message.timestamp.type", "LogAppendTime"),
                ("flush.on.ack", "TRUE"),
                ("retention.bytes", "1GiB"),
            ],
            1,
        );
        assert_eq!(config.compression, Compression::Zstd(-5));
        assert_eq!(
            config.cleanup,
            Cleanup {
                delete: false,
                compact: true
            }
        );
        assert_eq!(config.retention, None);
        assert_eq!(config.timestamp_type, TimestampType::LogAppendTime);
        assert!(config.flush_on_ack);
        assert_eq!(config.retention_size, Some(1 << 30));
    }

    #[test]
    fn wrong_overrides_are_refused_in_kafkas_words() {
        let table = [
            (("foo", "1"), "Unknown topic config name: foo"),
            (
                ("segment.bytes", "100"),
                "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576",
            ),
            (
                ("segment.bytes", "x"),
                "Invalid value x for configuration segment.bytes: Not a number of type INT",
            ),
            (
                ("compression.gzip.level", "0"),
                "Invalid value 0 for configuration compression.gzip.level: \
                 Value must be between 1 and 9 or equal to -1",
            ),
            (
                ("compression.type", "foo"),
                "Invalid value foo for configuration compression.type: String must be one of: \
                 uncompressed, zstd, lz4, snappy, gzip, producer",
            ),
            (
                ("preallocate", "foo"),
                "Invalid value foo for configuration preallocate: \
                 Expected value to be either true or false",
            ),
            (
                ("min.cleanable.dirty.ratio", "1.5"),
                "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: \
                 Value must be no more than 1",
            ),
        ];
        for (pair, text) in table {
            let error = TopicConfig::check(&overrides(&[pair])).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
        let lag = [
            ("min.compaction.lag.ms", "10"),
            ("max.compaction.lag.ms", "5"),
        ];
        assert_eq!(
            TopicConfig::check(&overrides(&lag)),
            Err(TopicConfigError::CompactionLag { min: 10, max: 5 })
        );
        let tiered = overrides(&[("remote.storage.enable", "true")]);
        assert_eq!(
            TopicConfig::check(&tiered),
            Err(TopicConfigError::RemoteStorage)
        );
    }

    #[test]
    fn a_text_from_another_version_reads_as_the_default() {
        let fixed = StaticConfig::default();
        let topic = overrides(&[("segment.bytes", "huge"), ("retention.ms", "")]);
        let layers = Layers {
            topic: Some(&topic),
            ..Layers::of_static(&fixed)
        };
        let config = TopicConfig::resolve(&layers, 1);
        assert_eq!(config.segment_size, 1 << 30);
        assert_eq!(config.retention, Some(Duration::from_hours(168)));
    }
}

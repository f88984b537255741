//! The topic configs: Kafka 4.4's names, types, defaults and ranges, then ottla's own two.
//!
//! - Sorted by name, so that a look-up is a binary search and answers list keys in order.
//! - A synonym is the broker key whose value is a topic's default, the first given one winning.
//! - `internal.segment.bytes` is left out on purpose: it exists for Kafka's own tests.

use crate::config::key::{ConfigKey, Effect, Kind, Update, Valid};

/// What one step of a broker key's value is worth in the topic key's unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The same unit.
    One,
    /// Minutes for milliseconds.
    Minutes,
    /// Hours for milliseconds.
    Hours,
}

/// A broker key that is the default of a topic key.
#[derive(Clone, Copy, Debug)]
pub struct Synonym {
    /// The name of the broker key.
    pub broker: &'static str,
    /// Its unit.
    pub unit: Unit,
}

/// A topic config and the broker configs that give its default.
#[derive(Clone, Copy, Debug)]
pub struct TopicKey {
    /// The key itself.
    pub key: ConfigKey,
    /// Broker keys in the order they are asked.
    pub synonyms: &'static [Synonym],
}

impl Synonym {
    /// The topic key's value that the broker key's `value` means.
    pub fn convert(self, value: &str) -> String {
        let per_step = match self.unit {
            Unit::One => return value.to_owned(),
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
        };
        match value.parse::<i64>() {
            // Kafka's broker keys mean "no limit" by any negative number.
            Ok(count) if count < 0 => "-1".to_owned(),
            Ok(count) => count.saturating_mul(per_step).to_string(),
            Err(_) => value.to_owned(),
        }
    }
}

/// The topic key called `name`.
pub fn find(name: &str) -> Option<&'static TopicKey> {
    let at = TOPIC_KEYS
        .binary_search_by(|entry| entry.key.name.cmp(name))
        .ok()?;
    TOPIC_KEYS.get(at)
}

/// Every topic key, by name.
pub static TOPIC_KEYS: &[TopicKey] = &[
    TopicKey {
        key: ConfigKey {
            name: "cleanup.policy",
            kind: Kind::List,
            default: Some("delete"),
            valid: Valid::ListOf(&["compact", "delete"]),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "What happens to old segments: `delete` removes them when retention says so, `compact` keeps the latest record of each key; both may be given. Empty keeps everything.",
        },
        synonyms: &[Synonym {
            broker: "log.cleanup.policy",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "compression.gzip.level",
            kind: Kind::Int,
            default: Some("-1"),
            valid: Valid::BetweenOr(1, 9, -1),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The gzip level used when compression.type is gzip; -1 is the codec's own default.",
        },
        synonyms: &[Synonym {
            broker: "compression.gzip.level",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "compression.lz4.level",
            kind: Kind::Int,
            default: Some("9"),
            valid: Valid::Between(1, 17),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The lz4 level used when compression.type is lz4.",
        },
        synonyms: &[Synonym {
            broker: "compression.lz4.level",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "compression.type",
            kind: Kind::String,
            default: Some("producer"),
            valid: Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The codec batches are stored with: one of the codecs, `uncompressed`, or `producer`, which keeps what the producer chose.",
        },
        synonyms: &[Synonym {
            broker: "compression.type",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "compression.zstd.level",
            kind: Kind::Int,
            default: Some("3"),
            valid: Valid::Between(-131_072, 22),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The zstd level used when compression.type is zstd.",
        },
        synonyms: &[Synonym {
            broker: "compression.zstd.level",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "delete.retention.ms",
            kind: Kind::Long,
            default: Some("86400000"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "How long a compacted topic keeps the markers of deleted keys, and so how long a reader from the start may take.",
        },
        synonyms: &[Synonym {
            broker: "log.cleaner.delete.retention.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "errors.deadletterqueue.group.enable",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Allows share groups to write undeliverable records to this topic. ottla has no share groups.",
        },
        synonyms: &[],
    },
    TopicKey {
        key: ConfigKey {
            name: "file.delete.delay.ms",
            kind: Kind::Long,
            default: Some("60000"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "How long the files of a deleted segment stay on disk after they left the log.",
        },
        synonyms: &[Synonym {
            broker: "log.segment.delete.delay.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "flush.messages",
            kind: Kind::Long,
            default: Some("9223372036854775807"),
            valid: Valid::AtLeast(1),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The log is synced to disk after this many records.",
        },
        synonyms: &[Synonym {
            broker: "log.flush.interval.messages",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "flush.ms",
            kind: Kind::Long,
            default: Some("9223372036854775807"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The log is synced to disk when records are this old and not yet synced.",
        },
        synonyms: &[
            Synonym {
                broker: "log.flush.interval.ms",
                unit: Unit::One,
            },
            Synonym {
                broker: "log.flush.scheduler.interval.ms",
                unit: Unit::One,
            },
        ],
    },
    TopicKey {
        key: ConfigKey {
            name: "flush.on.ack",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "A record is acknowledged with acks=all only once every in-sync replica has synced it to disk.",
        },
        synonyms: &[Synonym {
            broker: "flush.on.ack",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "follower.replication.throttled.replicas",
            kind: Kind::List,
            default: Some(""),
            valid: Valid::ThrottledReplicas,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Replicas whose fetching from their leader is throttled: `partition:broker` pairs, or `*`.",
        },
        synonyms: &[],
    },
    TopicKey {
        key: ConfigKey {
            name: "index.interval.bytes",
            kind: Kind::Int,
            default: Some("4096"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The offset index gets an entry each time about this many bytes were appended.",
        },
        synonyms: &[Synonym {
            broker: "log.index.interval.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "leader.replication.throttled.replicas",
            kind: Kind::List,
            default: Some(""),
            valid: Valid::ThrottledReplicas,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Replicas to which the leader throttles its traffic: `partition:broker` pairs, or `*`.",
        },
        synonyms: &[],
    },
    TopicKey {
        key: ConfigKey {
            name: "local.retention.bytes",
            kind: Kind::Long,
            default: Some("-2"),
            valid: Valid::AtLeast(-2),
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Local size limit of a tiered topic; -2 follows retention.bytes. ottla has no tiered storage yet.",
        },
        synonyms: &[Synonym {
            broker: "log.local.retention.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "local.retention.ms",
            kind: Kind::Long,
            default: Some("-2"),
            valid: Valid::AtLeast(-2),
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Local time limit of a tiered topic; -2 follows retention.ms. ottla has no tiered storage yet.",
        },
        synonyms: &[Synonym {
            broker: "log.local.retention.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "max.compaction.lag.ms",
            kind: Kind::Long,
            default: Some("9223372036854775807"),
            valid: Valid::AtLeast(1),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "A record of a compacted topic becomes compactable at the latest after this time.",
        },
        synonyms: &[Synonym {
            broker: "log.cleaner.max.compaction.lag.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "max.decompressed.message.bytes",
            kind: Kind::Int,
            default: Some("2147483639"),
            valid: Valid::Between(1, 2_147_483_639),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The largest size of one record after decompression that the broker accepts where it decompresses; 256 MiB at most in a compacted topic.",
        },
        synonyms: &[Synonym {
            broker: "max.decompressed.message.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "max.message.bytes",
            kind: Kind::Int,
            default: Some("1048588"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The largest record batch accepted, as it arrives (compressed).",
        },
        synonyms: &[Synonym {
            broker: "message.max.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "message.timestamp.after.max.ms",
            kind: Kind::Long,
            default: Some("3600000"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "How far a record's timestamp may lie in the broker's future; ignored with LogAppendTime.",
        },
        synonyms: &[Synonym {
            broker: "log.message.timestamp.after.max.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "message.timestamp.before.max.ms",
            kind: Kind::Long,
            default: Some("9223372036854775807"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "How far a record's timestamp may lie in the broker's past; ignored with LogAppendTime.",
        },
        synonyms: &[Synonym {
            broker: "log.message.timestamp.before.max.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "message.timestamp.type",
            kind: Kind::String,
            default: Some("CreateTime"),
            valid: Valid::OneOf(&["CreateTime", "LogAppendTime"]),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "Whether a record's timestamp is the producer's (CreateTime) or the broker's at append (LogAppendTime).",
        },
        synonyms: &[Synonym {
            broker: "log.message.timestamp.type",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "min.cleanable.dirty.ratio",
            kind: Kind::Double,
            default: Some("0.5"),
            valid: Valid::Ratio,
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The share of not yet compacted bytes from which a log is compacted.",
        },
        synonyms: &[Synonym {
            broker: "log.cleaner.min.cleanable.ratio",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "min.compaction.lag.ms",
            kind: Kind::Long,
            default: Some("0"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "A record stays uncompacted at least this long.",
        },
        synonyms: &[Synonym {
            broker: "log.cleaner.min.compaction.lag.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "min.insync.replicas",
            kind: Kind::Int,
            default: Some("1"),
            valid: Valid::AtLeast(1),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "With acks=all a write needs this many in-sync replicas. When nobody sets it, ottla uses 2 for topics of three or more replicas, else 1.",
        },
        synonyms: &[Synonym {
            broker: "min.insync.replicas",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "preallocate",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Whether a new segment's file gets its full size in advance.",
        },
        synonyms: &[Synonym {
            broker: "log.preallocate",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "remote.copy.lag.bytes",
            kind: Kind::Long,
            default: Some("-1"),
            valid: Valid::AtLeast(-1),
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Size lag before a segment is copied to remote storage. ottla has no tiered storage yet.",
        },
        synonyms: &[Synonym {
            broker: "log.remote.copy.lag.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "remote.copy.lag.ms",
            kind: Kind::Long,
            default: Some("0"),
            valid: Valid::AtLeast(-1),
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Time lag before a segment is copied to remote storage. ottla has no tiered storage yet.",
        },
        synonyms: &[Synonym {
            broker: "log.remote.copy.lag.ms",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "remote.log.copy.disable",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Stops copying to remote storage. ottla has no tiered storage yet.",
        },
        synonyms: &[],
    },
    TopicKey {
        key: ConfigKey {
            name: "remote.log.delete.on.disable",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Deletes remote data when tiering is switched off. ottla has no tiered storage yet.",
        },
        synonyms: &[],
    },
    TopicKey {
        key: ConfigKey {
            name: "remote.storage.enable",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Unused,
            doc: "Switches tiered storage on. ottla has none yet and refuses `true`.",
        },
        synonyms: &[],
    },
    TopicKey {
        key: ConfigKey {
            name: "retention.bytes",
            kind: Kind::Long,
            default: Some("-1"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The oldest segments are removed while a partition is larger than this; -1 is no limit.",
        },
        synonyms: &[Synonym {
            broker: "log.retention.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "retention.ms",
            kind: Kind::Long,
            default: Some("604800000"),
            valid: Valid::AtLeast(-1),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "Segments whose newest record is older than this are removed; -1 is no limit.",
        },
        synonyms: &[
            Synonym {
                broker: "log.retention.ms",
                unit: Unit::One,
            },
            Synonym {
                broker: "log.retention.minutes",
                unit: Unit::Minutes,
            },
            Synonym {
                broker: "log.retention.hours",
                unit: Unit::Hours,
            },
        ],
    },
    TopicKey {
        key: ConfigKey {
            name: "segment.bytes",
            kind: Kind::Int,
            default: Some("1073741824"),
            valid: Valid::AtLeast(1_048_576),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The size at which a new segment is begun.",
        },
        synonyms: &[Synonym {
            broker: "log.segment.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "segment.index.bytes",
            kind: Kind::Int,
            default: Some("10485760"),
            valid: Valid::AtLeast(4),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The largest size of a segment's offset index; a full index begins a new segment.",
        },
        synonyms: &[Synonym {
            broker: "log.index.size.max.bytes",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "segment.jitter.ms",
            kind: Kind::Long,
            default: Some("0"),
            valid: Valid::AtLeast(0),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "Up to this much is randomly taken off segment.ms, so that partitions don't roll together.",
        },
        synonyms: &[
            Synonym {
                broker: "log.roll.jitter.ms",
                unit: Unit::One,
            },
            Synonym {
                broker: "log.roll.jitter.hours",
                unit: Unit::Hours,
            },
        ],
    },
    TopicKey {
        key: ConfigKey {
            name: "segment.ms",
            kind: Kind::Long,
            default: Some("604800000"),
            valid: Valid::AtLeast(1),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "The age at which a new segment is begun even if the old one isn't full.",
        },
        synonyms: &[
            Synonym {
                broker: "log.roll.ms",
                unit: Unit::One,
            },
            Synonym {
                broker: "log.roll.hours",
                unit: Unit::Hours,
            },
        ],
    },
    TopicKey {
        key: ConfigKey {
            name: "unclean.leader.election.enable",
            kind: Kind::Boolean,
            default: Some("false"),
            valid: Valid::Any,
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "Whether a replica outside of the ISR may lead when nothing else can, losing records.",
        },
        synonyms: &[Synonym {
            broker: "unclean.leader.election.enable",
            unit: Unit::One,
        }],
    },
    TopicKey {
        key: ConfigKey {
            name: "validate.records",
            kind: Kind::String,
            default: Some("auto"),
            valid: Valid::OneOf(&["auto", "full", "header"]),
            update: Update::Dynamic,
            effect: Effect::Used,
            doc: "How much of a batch is checked at produce: `full` walks every record, `header` only the batch header, `auto` is full for uncompressed batches and header for compressed ones.",
        },
        synonyms: &[Synonym {
            broker: "validate.records",
            unit: Unit::One,
        }],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::broker_keys;

    #[test]
    fn the_table_is_sorted_and_its_defaults_are_legal() {
        assert!(TOPIC_KEYS.is_sorted_by(|a, b| a.key.name < b.key.name));
        for TopicKey { key, synonyms } in TOPIC_KEYS {
            if let Some(default) = key.default {
                assert_eq!(
                    key.normalise(default).as_deref(),
                    Ok(default),
                    "{}",
                    key.name
                );
            }
            for synonym in *synonyms {
                assert!(
                    broker_keys::find(synonym.broker).is_some(),
                    "{}",
                    synonym.broker
                );
            }
        }
    }

    #[test]
    fn synonyms_in_other_units_are_converted() {
        let hours = Synonym {
            broker: "log.retention.hours",
            unit: Unit::Hours,
        };
        assert_eq!(hours.convert("168"), "604800000");
        assert_eq!(hours.convert("-5"), "-1");
        assert_eq!(hours.convert("2147483647"), "7730941129200000");
    }
}

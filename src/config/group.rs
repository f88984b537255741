//! What the configuration asks of consumer groups.

use std::time::Duration;

/// `group.*` and `offsets.*` of the broker, as far as decisions depend on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub size_max: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`: how long an answer waits for what it rests on to be committed.
    pub commit_timeout: Duration,
    /// The new consumer protocol (KIP-848).
    pub consumer: ConsumerGroupConfig,
    /// How the topic of the groups is made.
    pub topic: GroupTopicConfig,
}

/// `offsets.topic.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupTopicConfig {
    /// `offsets.topic.num.partitions`.
    pub partitions: i32,
    /// `offsets.topic.replication.factor`; `None` is min(3, brokers).
    pub replication_factor: Option<i16>,
    /// `offsets.topic.segment.bytes`.
    pub segment_bytes: u32,
}

/// `group.consumer.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupConfig {
    /// Whether `group.coordinator.rebalance.protocols` names `consumer`.
    pub is_enabled: bool,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.consumer.max.size`.
    pub size_max: usize,
    /// `group.consumer.assignors`, the first of which is the default.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval: Duration,
}

/// An assignor of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// `uniform`: evenly, and sticky.
    Uniform,
    /// `range`: neighbouring partitions, the same of each topic.
    Range,
}

impl Assignor {
    /// As clients and the configuration call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }
}

/// Which way a group may go between the protocols while it has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// From classic to consumer.
    Upgrade,
    /// From consumer to classic.
    Downgrade,
    /// Neither.
    Disabled,
}

/// More than any group needs, and little enough to be held a few times over.
const EVENT_BYTES_MAX: usize = 16 << 20;

impl GroupConfig {
    /// What one event may have the log take: it is one batch, and must fit a segment.
    pub fn event_bytes_max(&self) -> usize {
        let segment = usize::try_from(self.topic.segment_bytes).unwrap_or(usize::MAX);
        EVENT_BYTES_MAX.min(segment / 4)
    }
}

impl Default for GroupConfig {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_mins(30),
            initial_rebalance_delay: Duration::from_secs(3),
            size_max: 2_147_483_647,
            offset_metadata_bytes_max: 4096,
            offsets_retention: Duration::from_hours(24 * 7),
            offsets_retention_check_interval: Duration::from_mins(10),
            commit_timeout: Duration::from_secs(5),
            consumer: ConsumerGroupConfig {
                is_enabled: true,
                session_timeout: Duration::from_secs(45),
                heartbeat_interval: Duration::from_secs(5),
                size_max: 2_147_483_647,
                assignors: vec![Assignor::Uniform, Assignor::Range],
                migration: MigrationPolicy::Bidirectional,
                regex_refresh_interval: Duration::from_mins(10),
            },
            topic: GroupTopicConfig {
                partitions: 50,
                replication_factor: None,
                segment_bytes: 104_857_600,
            },
        }
    }
}

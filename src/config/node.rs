//! The static configuration of a node, parsed and checked once at start.

use std::path::PathBuf;
use std::time::Duration;

use ottla_storage::compact::CleanerConfig;

use crate::config::broker_keys;
use crate::config::group::{
    Assignor, ConsumerGroupConfig, GroupConfig, GroupTopicConfig, MigrationPolicy,
};
use crate::config::listener::{conflict, parse_listeners, parse_peers};
use crate::config::{ConfigError, Endpoint, Layers, Listener, Peer, Sources, StaticConfig};
use crate::metadata::BrokerId;

/// Everything a node is told at start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// This node.
    pub node_id: BrokerId,
    /// Its failure domain.
    pub rack: Option<String>,
    /// The client listeners.
    pub listeners: Vec<Listener>,
    /// What was given to advertise; see [`NodeConfig::advertised_endpoints`].
    pub advertised: Vec<Listener>,
    /// The listener over which brokers replicate.
    pub inter_broker_listener: String,
    /// The quorum's listener, if one is among the listeners.
    pub quorum_listener: Option<Listener>,
    /// The first members of the quorum; empty is this node alone.
    pub peers: Vec<Peer>,
    /// The directory of the quorum's log.
    pub metadata_dir: PathBuf,
    /// Connections and requests.
    pub network: NetworkConfig,
    /// Directories, flushing, retention.
    pub storage: StorageConfig,
    /// Replication.
    pub replica: ReplicaConfig,
    /// Answers to clients.
    pub broker: BrokerConfig,
    /// Sessions of brokers.
    pub controller: ControllerConfig,
    /// Consumer groups.
    pub group: GroupConfig,
    /// Every value as it was given, for `DescribeConfigs` and topic defaults.
    pub values: StaticConfig,
}

/// Limits of connections and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The largest request frame, in bytes.
    pub request_size_max: u32,
    /// A connection without a request for this long is closed; `None` never.
    pub idle_max: Option<Duration>,
    /// The most connections at once.
    pub connections_max: u32,
    /// The most connections at once from one address.
    pub connections_per_ip_max: u32,
    /// The kernel's queue of connections not yet accepted.
    pub listen_backlog: u32,
    /// The kernel's send buffer; `None` leaves it to the system.
    pub send_buffer_size: Option<u32>,
    /// The kernel's receive buffer; `None` leaves it to the system.
    pub receive_buffer_size: Option<u32>,
    /// The most request bytes in flight in the node; `None` derives it from memory.
    pub bytes_in_flight_max: Option<u64>,
    /// Data-plane cores; `None` is one per CPU.
    pub cores: Option<u32>,
}

/// Directories and what is done to them in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The data directories, at least one, none twice.
    pub dirs: Vec<PathBuf>,
    /// How often retention runs.
    pub retention_check_interval: Duration,
    /// A call unfinished for this long gives the directory's leaderships away.
    pub stall: Duration,
    /// A call unfinished for this long takes the directory offline.
    pub failure_timeout: Duration,
    /// A partition with this many unsynced bytes is synced in the background.
    pub dirty_bytes_max: u64,
    /// A partition that has had unsynced bytes for this long is synced in the background.
    pub dirty_max: Duration,
    /// Partitions of a directory recovered at once.
    pub recovery_threads: u32,
    /// A producer idle for this long is forgotten.
    pub producer_id_expiration: Duration,
    /// How often idle producers are looked for.
    pub producer_id_expiration_check_interval: Duration,
    /// How logs are compacted; `None` if they are not.
    pub cleaner: Option<CleanerConfig>,
}

/// Replication between brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// A follower that hasn't caught up for this long leaves the ISR.
    pub lag_max: Duration,
    /// What a follower asks for per partition, in bytes.
    pub fetch_size_max: u32,
    /// What a follower asks for per response, in bytes.
    pub fetch_response_size_max: u32,
    /// What a follower's fetch waits for, in bytes.
    pub fetch_size_min: u32,
    /// How long a follower's fetch waits.
    pub fetch_wait_max: Duration,
    /// How long a broker waits for another node's answer.
    pub request_timeout: Duration,
}

/// How clients are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// Whether asking for a missing topic's metadata creates it.
    pub auto_create_topics: bool,
    /// Whether topics can be deleted.
    pub delete_topics: bool,
    /// The most one fetch response carries, in bytes.
    pub fetch_size_max: u32,
    /// Incremental fetch sessions kept.
    pub fetch_sessions_max: u32,
    /// Partitions in one `DescribeTopicPartitions` response.
    pub described_partitions_max: u32,
    /// Partitions of a topic created without a number.
    pub partitions_default: i32,
    /// Replicas of a topic created without a number; `None` is min(3, brokers).
    pub replication_factor_default: Option<i16>,
}

/// How the controller watches over brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerConfig {
    /// A broker silent for this long is fenced.
    pub session_timeout: Duration,
    /// How often a broker tells that it lives.
    pub heartbeat_interval: Duration,
    /// Whether leaderships go back to preferred replicas by themselves.
    pub rebalances_leaders: bool,
    /// How often that is looked at.
    pub balance_interval: Duration,
}

impl NodeConfig {
    /// Reads, checks and types the whole configuration.
    ///
    /// # Errors
    /// Anything in it is unreadable, unknown, illegal or contradictory.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Self::from_static(StaticConfig::read(sources)?)
    }

    fn from_static(values: StaticConfig) -> Result<Self, ConfigError> {
        let typed = Typed(Layers::of_static(&values));
        let map = typed
            .text("listener.security.protocol.map")
            .unwrap_or_default();
        let controller_names: Vec<String> = typed
            .items("controller.listener.names")
            .iter()
            .map(|name| name.to_ascii_uppercase())
            .collect();
        // The usual name of a quorum listener needs no entry in the map.
        let map = format!("{map},CONTROLLER:PLAINTEXT");
        let given = typed.text("listeners").unwrap_or_default();
        let (quorum, listeners): (Vec<Listener>, Vec<Listener>) =
            parse_listeners("listeners", &given, &map)?
                .into_iter()
                .partition(|listener| controller_names.contains(&listener.name));
        let advertised = match typed.text("advertised.listeners") {
            Some(given) => parse_listeners("advertised.listeners", &given, &map)?,
            None => Vec::new(),
        };
        check_advertised(&listeners, &advertised)?;
        let inter_broker_listener = inter_broker_listener(&typed, &listeners)?;
        let storage = typed.storage()?;
        let config = Self {
            node_id: typed.node_id()?,
            rack: typed.text("broker.rack"),
            inter_broker_listener,
            quorum_listener: quorum.into_iter().next(),
            peers: parse_peers(&typed.text("controller.quorum.voters").unwrap_or_default())?,
            metadata_dir: match typed.text("metadata.log.dir") {
                Some(dir) => PathBuf::from(dir),
                None => storage.dirs.first().cloned().unwrap_or_default(),
            },
            network: typed.network(),
            replica: typed.replica(),
            broker: typed.broker(),
            controller: typed.controller(),
            group: typed.group(),
            listeners,
            advertised,
            storage,
            values,
        };
        config.check_peers()?;
        check_groups(&config.group)?;
        Ok(config)
    }

    /// The addresses to tell clients and brokers, once it is known which port each listener got.
    ///
    /// A listener that nothing is advertised for is told as it listens; one that listens at every
    /// address is told as `hostname`.
    pub fn advertised_endpoints(
        &self,
        hostname: &str,
        bound_port: impl Fn(&Listener) -> u16,
    ) -> Vec<Endpoint> {
        let endpoint = |listener: &Listener| {
            let given = self
                .advertised
                .iter()
                .find(|given| given.name == listener.name);
            let host = match given {
                Some(given) => given.host.as_str(),
                None if listener.is_wildcard() => hostname,
                None => listener.host.as_str(),
            };
            let port = match given {
                Some(given) if given.port > 0 => given.port,
                _ => bound_port(listener),
            };
            Endpoint {
                listener: listener.name.clone(),
                host: host.to_owned(),
                port,
            }
        };
        self.listeners.iter().map(endpoint).collect()
    }

    /// Says which of the given keys have no effect, so that nobody believes in one that hasn't.
    pub fn report_unused(&self) {
        for (key, origin) in self.values.unused() {
            tracing::warn!(key, %origin, "this configuration key has no effect in ottla");
        }
    }

    fn check_peers(&self) -> Result<(), ConfigError> {
        const KEY: &str = "controller.quorum.voters";
        if self.peers.is_empty() || self.peers.iter().any(|peer| peer.id == self.node_id) {
            return Ok(());
        }
        Err(conflict(
            KEY,
            format!("this node's id {} is not among the peers", self.node_id),
        ))
    }
}

fn check_advertised(listeners: &[Listener], advertised: &[Listener]) -> Result<(), ConfigError> {
    const KEY: &str = "advertised.listeners";
    if listeners.is_empty() {
        return Err(conflict(
            "listeners",
            "at least one client listener is needed".to_owned(),
        ));
    }
    for given in advertised {
        if given.is_wildcard() {
            let reason = format!("{given} names no host that a client could connect to");
            return Err(conflict(KEY, reason));
        }
        if !listeners.iter().any(|listener| listener.name == given.name) {
            return Err(conflict(
                KEY,
                format!("{} is not among the listeners", given.name),
            ));
        }
    }
    Ok(())
}

/// Settings with which no member could stay.
fn check_groups(group: &GroupConfig) -> Result<(), ConfigError> {
    let consumer = &group.consumer;
    if consumer.heartbeat_interval >= consumer.session_timeout {
        return Err(conflict(
            "group.consumer.heartbeat.interval.ms",
            "must be less than group.consumer.session.timeout.ms: a member that shows up that \
             rarely is fenced again and again"
                .to_owned(),
        ));
    }
    if group.session_timeout_min > group.session_timeout_max {
        return Err(conflict(
            "group.min.session.timeout.ms",
            "must not be more than group.max.session.timeout.ms: no member of a classic group \
             could join"
                .to_owned(),
        ));
    }
    Ok(())
}

fn inter_broker_listener(typed: &Typed<'_>, listeners: &[Listener]) -> Result<String, ConfigError> {
    const KEY: &str = "inter.broker.listener.name";
    let first = listeners
        .first()
        .map(|listener| listener.name.clone())
        .unwrap_or_default();
    let Some(name) = typed.text(KEY).map(|name| name.to_ascii_uppercase()) else {
        return Ok(first);
    };
    if listeners.iter().any(|listener| listener.name == name) {
        Ok(name)
    } else {
        Err(conflict(KEY, format!("{name} is not among the listeners")))
    }
}

/// Typed access to static values. Their texts went through the registry, so the fallbacks of the
/// number readers are only reached for keys without a default.
struct Typed<'a>(Layers<'a>);

impl Typed<'_> {
    fn text(&self, key: &str) -> Option<String> {
        let key = broker_keys::find(key)?;
        self.0.broker_value(&key).0
    }

    fn items(&self, key: &str) -> Vec<String> {
        let text = self.text(key).unwrap_or_default();
        super::key::list_items(&text)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    fn number<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        T::try_from(self.text(key)?.parse::<i64>().ok()?).ok()
    }

    fn fraction(&self, key: &str) -> f64 {
        let given = self.text(key).and_then(|text| text.parse().ok());
        given.unwrap_or(f64::MAX)
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key).is_some_and(|text| text == "true")
    }

    fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(self.number(key).unwrap_or(u64::MAX))
    }

    fn seconds(&self, key: &str) -> Duration {
        Duration::from_secs(self.number(key).unwrap_or(u64::MAX))
    }

    fn millis_or_never(&self, key: &str) -> Option<Duration> {
        self.number::<u64>(key).map(Duration::from_millis)
    }

    fn node_id(&self) -> Result<BrokerId, ConfigError> {
        const KEY: &str = "node.id";
        let given = self.0.fixed.text(KEY).is_some();
        let old_name = self
            .number::<i32>("broker.id")
            .filter(|id| *id >= 0 && !given);
        let id = old_name.or_else(|| self.number(KEY));
        id.and_then(BrokerId::from_wire)
            .ok_or_else(|| conflict(KEY, "a number from 0 is needed".to_owned()))
    }

    fn storage(&self) -> Result<StorageConfig, ConfigError> {
        const KEY: &str = "log.dirs";
        let mut given = self.items(KEY);
        if given.is_empty() {
            given = self.items("log.dir");
        }
        let dirs: Vec<PathBuf> = given.iter().map(PathBuf::from).collect();
        if dirs.is_empty() {
            return Err(conflict(
                KEY,
                "at least one data directory is needed".to_owned(),
            ));
        }
        for (at, dir) in dirs.iter().enumerate() {
            if dirs.iter().take(at).any(|earlier| earlier == dir) {
                return Err(conflict(KEY, format!("{} is given twice", dir.display())));
            }
        }
        Ok(StorageConfig {
            dirs,
            retention_check_interval: self.millis("log.retention.check.interval.ms"),
            stall: self.millis("log.dir.stall.ms"),
            failure_timeout: self.millis("log.dir.failure.timeout.ms"),
            dirty_bytes_max: self.number("log.flush.dirty.bytes").unwrap_or(u64::MAX),
            dirty_max: self.millis("log.flush.dirty.ms"),
            recovery_threads: self
                .number("num.recovery.threads.per.data.dir")
                .unwrap_or(1),
            producer_id_expiration: self.millis("producer.id.expiration.ms"),
            producer_id_expiration_check_interval: self
                .millis("producer.id.expiration.check.interval.ms"),
            cleaner: self.cleaner(),
        })
    }

    fn cleaner(&self) -> Option<CleanerConfig> {
        let threads = self.number("log.cleaner.threads").unwrap_or(1);
        let is_enabled = self.flag("log.cleaner.enable") && threads > 0;
        let load_percent = self.fraction("log.cleaner.io.buffer.load.factor") * 100.0;
        is_enabled.then(|| CleanerConfig {
            threads,
            map_bytes: self
                .number("log.cleaner.dedupe.buffer.size")
                .unwrap_or(u64::MAX),
            map_load_percent: whole(load_percent)
                .and_then(|percent| u32::try_from(percent).ok())
                .unwrap_or(90)
                .clamp(1, 99),
            io_bytes: self
                .number("log.cleaner.io.buffer.size")
                .unwrap_or(usize::MAX),
            bytes_per_second: whole(self.fraction("log.cleaner.io.max.bytes.per.second")),
            backoff: self.millis("log.cleaner.backoff.ms"),
        })
    }

    fn network(&self) -> NetworkConfig {
        NetworkConfig {
            request_size_max: self.number("socket.request.max.bytes").unwrap_or(u32::MAX),
            idle_max: self.millis_or_never("connections.max.idle.ms"),
            connections_max: self.number("max.connections").unwrap_or(u32::MAX),
            connections_per_ip_max: self.number("max.connections.per.ip").unwrap_or(u32::MAX),
            listen_backlog: self
                .number("socket.listen.backlog.size")
                .unwrap_or(u32::MAX),
            send_buffer_size: self.number("socket.send.buffer.bytes"),
            receive_buffer_size: self.number("socket.receive.buffer.bytes"),
            bytes_in_flight_max: self.number("queued.max.request.bytes"),
            cores: self.number("num.network.threads"),
        }
    }

    fn replica(&self) -> ReplicaConfig {
        ReplicaConfig {
            lag_max: self.millis("replica.lag.time.max.ms"),
            fetch_size_max: self.number("replica.fetch.max.bytes").unwrap_or(u32::MAX),
            fetch_response_size_max: self
                .number("replica.fetch.response.max.bytes")
                .unwrap_or(u32::MAX),
            fetch_size_min: self.number("replica.fetch.min.bytes").unwrap_or(0),
            fetch_wait_max: self.millis("replica.fetch.wait.max.ms"),
            request_timeout: self.millis("request.timeout.ms"),
        }
    }

    fn broker(&self) -> BrokerConfig {
        BrokerConfig {
            auto_create_topics: self.flag("auto.create.topics.enable"),
            delete_topics: self.flag("delete.topic.enable"),
            fetch_size_max: self.number("fetch.max.bytes").unwrap_or(u32::MAX),
            fetch_sessions_max: self
                .number("max.incremental.fetch.session.cache.slots")
                .unwrap_or(0),
            described_partitions_max: self
                .number("max.request.partition.size.limit")
                .unwrap_or(u32::MAX),
            partitions_default: self.number("num.partitions").unwrap_or(1),
            replication_factor_default: self.number("default.replication.factor"),
        }
    }

    fn group(&self) -> GroupConfig {
        let retention_minutes = self.number("offsets.retention.minutes").unwrap_or(u64::MAX);
        GroupConfig {
            session_timeout_min: self.millis("group.min.session.timeout.ms"),
            session_timeout_max: self.millis("group.max.session.timeout.ms"),
            initial_rebalance_delay: self.millis("group.initial.rebalance.delay.ms"),
            size_max: self.number("group.max.size").unwrap_or(usize::MAX),
            offset_metadata_bytes_max: self
                .number("offset.metadata.max.bytes")
                .unwrap_or(usize::MAX),
            offsets_retention: Duration::from_secs(retention_minutes.saturating_mul(60)),
            offsets_retention_check_interval: self.millis("offsets.retention.check.interval.ms"),
            commit_timeout: self.millis("offsets.commit.timeout.ms"),
            consumer: self.consumer_group(),
            topic: GroupTopicConfig {
                partitions: self.number("offsets.topic.num.partitions").unwrap_or(1),
                replication_factor: self.number("offsets.topic.replication.factor"),
                segment_bytes: self
                    .number("offsets.topic.segment.bytes")
                    .unwrap_or(u32::MAX),
            },
        }
    }

    fn consumer_group(&self) -> ConsumerGroupConfig {
        let protocols = self.items("group.coordinator.rebalance.protocols");
        let assignors = self.items("group.consumer.assignors");
        let assignor = |name: &String| match name.as_str() {
            "range" | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => {
                Assignor::Range
            }
            _ => Assignor::Uniform,
        };
        let migration = self.text("group.consumer.migration.policy");
        ConsumerGroupConfig {
            is_enabled: protocols.iter().any(|name| name == "consumer"),
            session_timeout: self.millis("group.consumer.session.timeout.ms"),
            heartbeat_interval: self.millis("group.consumer.heartbeat.interval.ms"),
            size_max: self.number("group.consumer.max.size").unwrap_or(usize::MAX),
            assignors: assignors.iter().map(assignor).collect(),
            migration: match migration.as_deref() {
                Some("disabled") => MigrationPolicy::Disabled,
                Some("upgrade") => MigrationPolicy::Upgrade,
                Some("downgrade") => MigrationPolicy::Downgrade,
                _ => MigrationPolicy::Bidirectional,
            },
            regex_refresh_interval: self.millis("group.consumer.regex.refresh.interval.ms"),
        }
    }

    fn controller(&self) -> ControllerConfig {
        ControllerConfig {
            session_timeout: self.millis("broker.session.timeout.ms"),
            heartbeat_interval: self.millis("broker.heartbeat.interval.ms"),
            rebalances_leaders: self.flag("auto.leader.rebalance.enable"),
            balance_interval: self.seconds("leader.imbalance.check.interval.seconds"),
        }
    }
}

/// The whole part of a number that is not negative; `None` if it is larger than any that means something.
fn whole(number: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the bounds are checked"
    )]
    (0.0..1e18)
        .contains(&number)
        .then_some(number.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(flags: &[(&str, &str)]) -> Result<NodeConfig, ConfigError> {
        let flags = flags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        NodeConfig::load(&Sources {
            flags,
            ..Sources::default()
        })
    }

    #[test]
    fn nothing_given_is_one_node_on_loopback() {
        let config = load(&[]).unwrap();
        assert_eq!(config.node_id.get(), 1);
        assert_eq!(config.storage.dirs, [PathBuf::from("./ottla-data")]);
        assert_eq!(config.metadata_dir, PathBuf::from("./ottla-data"));
        assert_eq!(
            config.listeners[0].to_string(),
            "PLAINTEXT://127.0.0.1:9092"
        );
        assert!(config.peers.is_empty());
        assert_eq!(config.network.request_size_max, 104_857_600);
        assert_eq!(config.network.idle_max, Some(Duration::from_mins(10)));
        assert_eq!(config.network.cores, None);
        assert_eq!(config.network.bytes_in_flight_max, None);
        assert_eq!(config.storage.stall, Duration::from_secs(2));
        assert_eq!(config.broker.replication_factor_default, None);
        assert!(config.broker.auto_create_topics && config.broker.delete_topics);
        assert_eq!(config.group, GroupConfig::default());
    }

    #[test]
    fn the_cleaner_reads_fractions_and_the_largest_number_is_no_limit() {
        let cleaner = load(&[]).unwrap().storage.cleaner.unwrap();
        assert_eq!((cleaner.threads, cleaner.map_load_percent), (1, 90));
        assert_eq!(
            (cleaner.map_bytes, cleaner.io_bytes),
            (128 << 20, 512 << 10)
        );
        assert_eq!(cleaner.bytes_per_second, None);
        let given = [
            ("log.cleaner.io.buffer.load.factor", "0.75"),
            ("log.cleaner.io.max.bytes.per.second", "1048576.0"),
        ];
        let cleaner = load(&given).unwrap().storage.cleaner.unwrap();
        assert_eq!(cleaner.map_load_percent, 75);
        assert_eq!(cleaner.bytes_per_second, Some(1 << 20));
        for off in [
            ("log.cleaner.enable", "false"),
            ("log.cleaner.threads", "0"),
        ] {
            assert_eq!(load(&[off]).unwrap().storage.cleaner, None);
        }
    }

    #[test]
    fn what_cannot_be_advertised_falls_back_to_the_hostname() {
        let config = load(&[
            ("listeners", "PLAINTEXT://:0,INSIDE://127.0.0.1:7"),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT",
            ),
        ])
        .unwrap();
        let told = config.advertised_endpoints("box", |listener| {
            if listener.port == 0 {
                4242
            } else {
                listener.port
            }
        });
        assert_eq!((told[0].host.as_str(), told[0].port), ("box", 4242));
        assert_eq!((told[1].host.as_str(), told[1].port), ("127.0.0.1", 7));
        let config = load(&[
            ("listeners", ":9092"),
            ("advertised.listeners", "kafka.example:19092"),
        ])
        .unwrap();
        let told = config.advertised_endpoints("box", |listener| listener.port);
        assert_eq!(
            (told[0].host.as_str(), told[0].port),
            ("kafka.example", 19092)
        );
    }

    #[test]
    fn the_quorums_listener_is_not_a_clients_listener() {
        let config = load(&[
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("controller.listener.names", "CONTROLLER"),
            ("controller.quorum.voters", "1@localhost:9093"),
        ])
        .unwrap();
        assert_eq!(config.listeners.len(), 1);
        assert_eq!(
            config.quorum_listener.map(|listener| listener.port),
            Some(9093)
        );
    }

    /// A member that shows up as rarely as its session lasts would be fenced again and again.
    #[test]
    fn groups_in_which_no_member_could_stay_are_refused() {
        let heartbeat = |ms: &str| load(&[("group.consumer.heartbeat.interval.ms", ms)]);
        assert!(heartbeat("44999").is_ok());
        for ms in ["45000", "60000"] {
            let refusal = heartbeat(ms).unwrap_err().to_string();
            assert!(
                refusal.contains("group.consumer.session.timeout.ms"),
                "{refusal}"
            );
        }
        let session = |min: &str| load(&[("group.min.session.timeout.ms", min)]);
        assert!(session("1800000").is_ok() && session("1800001").is_err());
    }

    /// The controller makes no topic with smaller segments: there would never be a coordinator.
    #[test]
    fn the_topic_of_the_groups_can_be_made() {
        let segment = |bytes: &str| load(&[("offsets.topic.segment.bytes", bytes)]);
        assert_eq!(segment("1MiB").unwrap().group.topic.segment_bytes, 1 << 20);
        assert!(segment("1048575").is_err());
    }

    #[test]
    fn assignors_have_names_and_classes() {
        let assignors = |given: &str| {
            let config = load(&[("group.consumer.assignors", given)]);
            config.map(|config| config.group.consumer.assignors)
        };
        let package = "org.apache.kafka.coordinator.group.assignor";
        let both = format!("{package}.RangeAssignor,{package}.UniformAssignor");
        assert_eq!(
            assignors("range,uniform").unwrap(),
            assignors(&both).unwrap()
        );
        assert_eq!(
            assignors(&both).unwrap(),
            [Assignor::Range, Assignor::Uniform]
        );
        assert!(assignors("").is_err() && assignors("org.example.Mine").is_err());
        let policy = load(&[("group.consumer.migration.policy", "UPGRADE")]).unwrap();
        assert_eq!(policy.group.consumer.migration, MigrationPolicy::Upgrade);
    }

    #[test]
    fn contradictions_are_refused() {
        for flags in [
            [("advertised.listeners", "PLAINTEXT://0.0.0.0:1")],
            [("advertised.listeners", "OTHER://h:1")],
            [("inter.broker.listener.name", "OTHER")],
            [("controller.quorum.voters", "2@h:9093")],
            [("log.dirs", "/a,/a")],
            [("listeners", "SSL://:9092")],
        ] {
            assert!(load(&flags).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn broker_id_is_the_old_name_of_node_id() {
        assert_eq!(load(&[("broker.id", "7")]).unwrap().node_id.get(), 7);
        assert_eq!(
            load(&[("broker.id", "7"), ("node.id", "8")])
                .unwrap()
                .node_id
                .get(),
            8
        );
    }
}

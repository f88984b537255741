//! Where static values come from, and the one place that decides which origin wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::config::key::{ConfigKey, Effect, ValueError};
use crate::config::{broker_keys, file, suggest};

/// Keys of older Kafkas, and prefixes of plugins' keys: kept like unused keys, never typos.
const TOLERATED: &[&str] = &[
    "authorizer.",
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "inter.broker.protocol.version",
    "listener.name.",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "metric.reporters.",
    "reserved.broker.max.id",
    "rlmm.config.",
    "rsm.config.",
    "zookeeper.",
];

/// Names after `OTTLA_` that are not configuration keys: they belong to the command line.
const NOT_KEYS: &[&str] = &[
    "BOOTSTRAP",
    "CONFIG",
    "CONFIG_FILE",
    "LOG",
    "LOG_FORMAT",
    "OUTPUT",
    "PROFILE",
];

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment variable of this name.
    Env(String),
    /// The configuration file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("the command line"),
            Self::Env(name) => write!(f, "the environment ({name})"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What the process was given, unread.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `key=value` pairs of the command line; the last of one key wins.
    pub flags: Vec<(String, String)>,
    /// The environment: only names that begin with `OTTLA_` or `KAFKA_` matter.
    pub env: Vec<(String, String)>,
    /// A `.toml` file, or with any other ending a `server.properties`.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// Flags and a file, with the environment of this process.
    pub fn with_process_env(flags: Vec<(String, String)>, file: Option<PathBuf>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { flags, env, file }
    }
}

/// A value and who gave it.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticValue {
    /// The canonical text.
    pub text: String,
    /// Who gave it.
    pub origin: Origin,
}

// By hand: the text may be a secret.
impl fmt::Debug for StaticValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticValue")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// The values given at start, by key. What nobody gave is not in here.
#[derive(Clone, Debug, Default)]
pub struct StaticConfig {
    values: BTreeMap<String, StaticValue>,
    cluster_id: Option<String>,
}

/// Why a configuration is refused. Each is one line that says where to look.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file isn't what its ending says.
    #[error("{}: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says, with its line.
        reason: String,
    },
    /// A key that neither Kafka nor ottla has.
    #[error("unknown configuration key {key} in {origin}{}", did_you_mean(suggestion.as_deref()))]
    UnknownKey {
        /// The key.
        key: String,
        /// Who gave it.
        origin: Origin,
        /// The key that was probably meant.
        suggestion: Option<String>,
    },
    /// A value that its key doesn't take.
    #[error("{source} (in {origin})")]
    Value {
        /// Who gave it.
        origin: Origin,
        /// What is wrong with it.
        source: ValueError,
    },
    /// Values that are legal one by one and not together.
    #[error("{key}: {reason}")]
    Conflict {
        /// The key to change.
        key: &'static str,
        /// Why.
        reason: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion
        .map(|key| format!("; did you mean {key}?"))
        .unwrap_or_default()
}

impl StaticConfig {
    /// Reads the sources and keeps the winning value of each key.
    ///
    /// # Errors
    /// The file can't be read or parsed, a key is unknown, a value isn't legal.
    pub fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = &sources.file {
            for (key, value) in file::read(path)? {
                config.give(&key, &value, Origin::File(path.clone()))?;
            }
        }
        for prefix in ["KAFKA_", "OTTLA_"] {
            for (name, value) in &sources.env {
                if let Some(rest) = name.strip_prefix(prefix) {
                    config.give_env(prefix, rest, value)?;
                }
            }
        }
        for (key, value) in &sources.flags {
            config.give(key, value, Origin::Flag)?;
        }
        let cluster_id = sources.env.iter().find(|(name, _)| name == "CLUSTER_ID");
        config.cluster_id = cluster_id.map(|(_, id)| id.clone());
        Ok(config)
    }

    /// The value somebody gave for `key`.
    pub fn find(&self, key: &str) -> Option<&StaticValue> {
        self.values.get(key)
    }

    /// Its text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.find(key).map(|value| value.text.as_str())
    }

    /// Every given value, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StaticValue)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The cluster id that the official image's `CLUSTER_ID` names.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The given keys that have no effect, by name.
    pub fn unused(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.iter()
            .filter(|(key, _)| {
                broker_keys::find(key).is_none_or(|key| key.effect == Effect::Unused)
            })
            .map(|(key, value)| (key, &value.origin))
    }

    fn give(&mut self, name: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        let text = match broker_keys::find(name) {
            Some(key) => normalise(&key, value, &origin)?,
            None if is_tolerated(name) => value.to_owned(),
            None => {
                let suggestion = suggest::broker_key(name);
                return Err(ConfigError::UnknownKey {
                    key: name.to_owned(),
                    origin,
                    suggestion,
                });
            }
        };
        self.values
            .insert(name.to_owned(), StaticValue { text, origin });
        Ok(())
    }

    fn give_env(&mut self, prefix: &str, rest: &str, value: &str) -> Result<(), ConfigError> {
        let key = env_key(rest);
        let is_known = broker_keys::find(&key).is_some() || is_tolerated(&key);
        // KAFKA_OPTS, KAFKA_HEAP_OPTS and many more are set by images and mean nothing here.
        if !is_known && (prefix == "KAFKA_" || NOT_KEYS.contains(&rest)) {
            return Ok(());
        }
        self.give(&key, value, Origin::Env(format!("{prefix}{rest}")))
    }
}

fn normalise(key: &ConfigKey, value: &str, origin: &Origin) -> Result<String, ConfigError> {
    key.normalise(value).map_err(|source| ConfigError::Value {
        origin: origin.clone(),
        source,
    })
}

fn is_tolerated(name: &str) -> bool {
    TOLERATED.iter().any(|known| {
        if known.ends_with('.') {
            name.starts_with(known)
        } else {
            name == *known
        }
    })
}

/// `LOG_DIRS` is `log.dirs`; two underscores are one underscore, three are a dash.
fn env_key(rest: &str) -> String {
    rest.to_ascii_lowercase()
        .replace("___", "-")
        .replace("__", "\u{0}")
        .replace('_', ".")
        .replace('\u{0}', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
        given
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn read(
        flags: &[(&str, &str)],
        env: &[(&str, &str)],
        file: &str,
    ) -> Result<StaticConfig, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.properties");
        std::fs::write(&path, file).unwrap();
        StaticConfig::read(&Sources {
            flags: pairs(flags),
            env: pairs(env),
            file: Some(path),
        })
    }

    #[test]
    fn flag_beats_ottla_env_beats_kafka_env_beats_file() {
        let file = "num.partitions=2\nnode.id=2\nbroker.rack=b\nlog.dirs=/b\n";
        let env = [
            ("OTTLA_NUM_PARTITIONS", "4"),
            ("KAFKA_NUM_PARTITIONS", "3"),
            ("KAFKA_BROKER_RACK", "c"),
            ("OTTLA_NODE_ID", "4"),
        ];
        let config = read(&[("node.id", "5")], &env, file).unwrap();
        assert_eq!(config.text("node.id"), Some("5"));
        assert_eq!(config.text("num.partitions"), Some("4"));
        assert_eq!(config.text("broker.rack"), Some("c"));
        assert_eq!(config.text("log.dirs"), Some("/b"));
        assert_eq!(config.find("node.id").unwrap().origin, Origin::Flag);
        assert_eq!(
            config.find("broker.rack").unwrap().origin,
            Origin::Env("KAFKA_BROKER_RACK".to_owned())
        );
    }

    #[test]
    fn a_typo_is_refused_with_a_suggestion() {
        let error = read(&[("num.partition", "3")], &[], "").unwrap_err();
        let ConfigError::UnknownKey { suggestion, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(suggestion.as_deref(), Some("num.partitions"));
        let error = read(&[], &[("OTTLA_MIN_INSYNC_REPLICA", "3")], "").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("did you mean min.insync.replicas?"),
            "{error}"
        );
    }

    #[test]
    fn a_topic_key_in_the_brokers_place_names_the_brokers_key() {
        let error = read(&[("retention.ms", "3")], &[], "").unwrap_err();
        assert!(
            error.to_string().contains("did you mean log.retention.ms?"),
            "{error}"
        );
    }

    #[test]
    fn kafkas_unused_keys_are_kept_and_reported() {
        let file = "num.io.threads=8\nzookeeper.connect=z:2181\nnum.partitions=1\n";
        let config = read(
            &[],
            &[("KAFKA_HEAP_OPTS", "-Xmx1g"), ("OTTLA_LOG", "debug")],
            file,
        )
        .unwrap();
        let unused: Vec<&str> = config.unused().map(|(key, _)| key).collect();
        assert_eq!(unused, ["num.io.threads", "zookeeper.connect"]);
    }

    #[test]
    fn environment_names_follow_the_official_image() {
        assert_eq!(env_key("LOG_DIRS"), "log.dirs");
        assert_eq!(env_key("A__B_C___D"), "a_b.c-d");
    }

    #[test]
    fn an_illegal_value_names_its_origin() {
        let error = read(&[], &[], "num.partitions=0\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("num.partitions") && error.contains("server.properties"),
            "{error}"
        );
    }
}

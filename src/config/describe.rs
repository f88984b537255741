//! What `DescribeConfigs` answers for a topic or a broker: values with their sources and synonyms.
//!
//! A secret's text never leaves this file.

use crate::config::key::{ConfigKey, Kind};
use crate::config::layers::Found;
use crate::config::{ConfigSource, Layers, broker_keys, topic, topic_keys};

/// One value as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The text; `None` for null and for secrets.
    pub value: Option<String>,
    /// Whether it can't change at run time.
    pub is_read_only: bool,
    /// Whether it is a secret.
    pub is_sensitive: bool,
    /// Where the value stands.
    pub source: ConfigSource,
    /// Every layer's answer, the winner first.
    pub synonyms: Vec<Synonym>,
    /// The type.
    pub kind: Kind,
    /// What it means.
    pub documentation: &'static str,
}

/// One layer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The key under which the layer has it.
    pub name: String,
    /// The text; `None` for secrets.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// Every topic config, by name.
pub fn topic_entries(layers: &Layers<'_>, replication_factor: usize) -> Vec<ConfigEntry> {
    let entry = |entry: &topic_keys::TopicKey| {
        let (mut value, source) = layers.topic_value(entry);
        if entry.key.name == "min.insync.replicas" {
            value = Some(topic::min_insync_replicas(layers, replication_factor).to_string());
        }
        shown(
            &entry.key,
            value,
            source,
            layers.topic_answers(entry),
            false,
        )
    };
    topic_keys::TOPIC_KEYS.iter().map(entry).collect()
}

/// Every broker config, by name. Keys that only a file of an older Kafka has come last.
pub fn broker_entries(layers: &Layers<'_>) -> Vec<ConfigEntry> {
    let keys = broker_keys::all();
    let known = keys.iter().map(|key| {
        let (value, source) = layers.broker_value(key);
        let is_read_only = key.update == super::key::Update::ReadOnly;
        shown(key, value, source, layers.broker_answers(key), is_read_only)
    });
    let tolerated = layers
        .fixed
        .iter()
        .filter(|(name, _)| broker_keys::find(name).is_none());
    let tolerated = tolerated.map(|(name, _)| ConfigEntry {
        name: name.to_owned(),
        // Its type is unknown, so it may be a secret.
        value: None,
        is_read_only: true,
        is_sensitive: true,
        source: ConfigSource::Static,
        synonyms: Vec::new(),
        kind: Kind::Password,
        documentation: "A key that ottla does not know; it was given at start and has no effect.",
    });
    known.chain(tolerated).collect()
}

fn shown(
    key: &ConfigKey,
    value: Option<String>,
    source: ConfigSource,
    answers: Vec<Found>,
    is_read_only: bool,
) -> ConfigEntry {
    let is_sensitive = key.is_sensitive();
    let synonyms = answers.into_iter().map(|answer| Synonym {
        name: answer.name,
        value: Some(answer.text).filter(|_| !is_sensitive),
        source: answer.source,
    });
    ConfigEntry {
        name: key.name.to_owned(),
        value: value.filter(|_| !is_sensitive),
        is_read_only,
        is_sensitive,
        source,
        synonyms: synonyms.collect(),
        kind: key.kind,
        documentation: key.doc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Sources, StaticConfig};

    fn fixed(pairs: &[(&str, &str)]) -> StaticConfig {
        let flags = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        StaticConfig::read(&Sources {
            flags,
            ..Sources::default()
        })
        .unwrap()
    }

    #[test]
    fn secrets_are_not_shown() {
        let fixed = fixed(&[
            ("ssl.key.password", "hush"),
            ("listener.name.x.secret", "hush"),
        ]);
        let entries = broker_entries(&Layers::of_static(&fixed));
        assert!(!format!("{entries:?}").contains("hush"));
        let entry = entries
            .iter()
            .find(|entry| entry.name == "ssl.key.password")
            .unwrap();
        assert!(entry.is_sensitive && entry.source == ConfigSource::Static);
    }

    #[test]
    fn a_topics_entry_names_its_source_and_synonyms() {
        let fixed = fixed(&[("log.retention.hours", "1")]);
        let topic: Overrides = [("segment.bytes".to_owned(), "1048576".to_owned())].into();
        let layers = Layers {
            topic: Some(&topic),
            ..Layers::of_static(&fixed)
        };
        let entries = topic_entries(&layers, 3);
        let by_name = |name| entries.iter().find(|entry| entry.name == name).unwrap();
        let retention = by_name("retention.ms");
        assert_eq!(retention.value.as_deref(), Some("3600000"));
        assert_eq!(retention.source, ConfigSource::Static);
        assert_eq!(retention.synonyms[0].name, "log.retention.hours");
        assert_eq!(retention.synonyms[0].value.as_deref(), Some("1"));
        let segment = by_name("segment.bytes");
        assert_eq!(segment.source, ConfigSource::Topic);
        assert_eq!(segment.synonyms.len(), 2);
        assert_eq!(by_name("min.insync.replicas").value.as_deref(), Some("2"));
        assert!(!segment.is_read_only);
    }
}

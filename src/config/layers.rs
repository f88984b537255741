//! The layers that a value can come from, and which of them wins.
//!
//! From the top: the topic's override, the broker's dynamic value, the cluster's dynamic default,
//! the value given at start, the default. A topic key is asked in every layer below the topic's
//! under the names of its broker synonyms, in their order.
//!
//! What was given at start is a node's own. A value that the controller and a partition's leader must agree on is not asked
//! there: the controller makes the one that it was given the cluster's when the cluster begins.

use crate::config::StaticConfig;
use crate::config::key::ConfigKey;
use crate::config::topic_keys::TopicKey;
pub use crate::metadata::Overrides;

/// The minimum of in-sync replicas. The leader commits nothing below it, and the controller takes replicas that left
/// the set above it for complete: with two minimums records are committed that the next leader lacks (KIP-966).
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// Where a value stands, with the number that `DescribeConfigs` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// An override of the topic.
    Topic,
    /// A dynamic value of this broker.
    Broker,
    /// A dynamic default of all brokers.
    Cluster,
    /// Given at the node's start.
    Static,
    /// Nobody gave one.
    Default,
}

impl ConfigSource {
    /// The number in `DescribeConfigs` responses.
    pub const fn wire_code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::Broker => 2,
            Self::Cluster => 3,
            Self::Static => 4,
            Self::Default => 5,
        }
    }
}

/// One layer's answer: the name it knows the value by, and the text it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key under which the layer has it.
    pub name: String,
    /// The text, in that key's unit.
    pub text: String,
    /// The layer.
    pub source: ConfigSource,
}

/// The layers as one node sees them.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// Overrides of the topic asked about, if it has any.
    pub topic: Option<&'a Overrides>,
    /// Dynamic values of this broker.
    pub broker: Option<&'a Overrides>,
    /// Dynamic defaults of all brokers.
    pub cluster: Option<&'a Overrides>,
    /// What was given at start.
    pub fixed: &'a StaticConfig,
}

impl<'a> Layers<'a> {
    /// Only what was given at start.
    pub const fn of_static(fixed: &'a StaticConfig) -> Self {
        Self {
            topic: None,
            broker: None,
            cluster: None,
            fixed,
        }
    }

    /// Every answer for a topic key, the winner first. Texts below the topic's layer are in the
    /// unit of the broker key they stand under.
    pub fn topic_answers(&self, key: &TopicKey) -> Vec<Found> {
        let own = self
            .topic
            .and_then(|values| found(values, key.key.name, ConfigSource::Topic));
        let names = key.synonyms.iter().map(|synonym| synonym.broker);
        own.into_iter().chain(self.below_topic(names)).collect()
    }

    /// Every answer for a broker key, the winner first.
    pub fn broker_answers(&self, key: &ConfigKey) -> Vec<Found> {
        self.below_topic(std::iter::once(key.name))
    }

    /// The winning value of a topic key in its own unit, or its default.
    pub fn topic_value(&self, key: &TopicKey) -> (Option<String>, ConfigSource) {
        let Some(winner) = self.topic_answers(key).into_iter().next() else {
            return (key.key.default.map(str::to_owned), ConfigSource::Default);
        };
        if winner.source == ConfigSource::Topic {
            return (Some(winner.text), winner.source);
        }
        let synonym = key
            .synonyms
            .iter()
            .find(|synonym| synonym.broker == winner.name);
        let text = match synonym {
            Some(synonym) => synonym.convert(&winner.text),
            None => winner.text,
        };
        (Some(text), winner.source)
    }

    /// The winning value of a broker key, or its default.
    pub fn broker_value(&self, key: &ConfigKey) -> (Option<String>, ConfigSource) {
        match self.broker_answers(key).into_iter().next() {
            Some(winner) => (Some(winner.text), winner.source),
            None => (key.default.map(str::to_owned), ConfigSource::Default),
        }
    }

    fn below_topic(&self, names: impl Iterator<Item = &'static str> + Clone) -> Vec<Found> {
        let mut answers = Vec::new();
        for name in names.clone() {
            answers.extend(
                self.broker
                    .and_then(|map| found(map, name, ConfigSource::Broker)),
            );
        }
        for name in names.clone() {
            answers.extend(
                self.cluster
                    .and_then(|map| found(map, name, ConfigSource::Cluster)),
            );
        }
        let own = names.clone().filter(|name| *name != MIN_INSYNC_REPLICAS);
        for name in own {
            answers.extend(self.fixed.text(name).map(|text| Found {
                name: name.to_owned(),
                text: text.to_owned(),
                source: ConfigSource::Static,
            }));
        }
        for name in names {
            let default = crate::config::broker_keys::find(name).and_then(|key| key.default);
            answers.extend(default.map(|text| Found {
                name: name.to_owned(),
                text: text.to_owned(),
                source: ConfigSource::Default,
            }));
        }
        answers
    }
}

fn found(values: &Overrides, name: &str, source: ConfigSource) -> Option<Found> {
    let text = values.get(name)?.clone();
    Some(Found {
        name: name.to_owned(),
        text,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, topic_keys};

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

    fn overrides(pairs: &[(&str, &str)]) -> Overrides {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn the_upper_layer_wins_and_all_answer_in_order() {
        let key = topic_keys::find("retention.ms").unwrap();
        let fixed = fixed(&[
            ("log.retention.minutes", "10"),
            ("log.retention.hours", "1"),
        ]);
        let cluster = overrides(&[("log.retention.ms", "5")]);
        let topic = overrides(&[("retention.ms", "7")]);
        let mut layers = Layers::of_static(&fixed);
        assert_eq!(
            layers.topic_value(key),
            (Some("600000".to_owned()), ConfigSource::Static)
        );
        layers.cluster = Some(&cluster);
        assert_eq!(
            layers.topic_value(key),
            (Some("5".to_owned()), ConfigSource::Cluster)
        );
        layers.topic = Some(&topic);
        assert_eq!(
            layers.topic_value(key),
            (Some("7".to_owned()), ConfigSource::Topic)
        );
        let names: Vec<String> = layers
            .topic_answers(key)
            .into_iter()
            .map(|f| f.name)
            .collect();
        assert_eq!(
            names,
            [
                "retention.ms",
                "log.retention.ms",
                "log.retention.minutes",
                "log.retention.hours",
                "log.retention.hours"
            ]
        );
    }

    /// A leader that was restarted with a lower minimum committed alone, while the controller, still with the higher one,
    /// took those that had left the set for complete.
    #[test]
    fn the_minimum_of_in_sync_replicas_is_the_clusters_and_no_nodes() {
        let key = topic_keys::find(MIN_INSYNC_REPLICAS).unwrap();
        let fixed = fixed(&[(MIN_INSYNC_REPLICAS, "1")]);
        let cluster = overrides(&[(MIN_INSYNC_REPLICAS, "2")]);
        let mut layers = Layers::of_static(&fixed);
        assert_eq!(layers.topic_value(key).1, ConfigSource::Default);
        layers.cluster = Some(&cluster);
        let found = layers.topic_value(key);
        assert_eq!(found, (Some("2".to_owned()), ConfigSource::Cluster));
        assert_eq!(layers.topic_answers(key).len(), 1);
    }

    #[test]
    fn a_default_in_hours_is_the_topics_default_in_milliseconds() {
        let fixed = fixed(&[]);
        let layers = Layers::of_static(&fixed);
        for entry in topic_keys::TOPIC_KEYS {
            let (value, source) = layers.topic_value(entry);
            assert_eq!(source, ConfigSource::Default);
            if entry.key.name != "min.insync.replicas" {
                assert_eq!(value.as_deref(), entry.key.default, "{}", entry.key.name);
            }
        }
    }
}

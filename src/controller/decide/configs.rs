//! Changing dynamic configs: each resource stands or falls by itself.
//!
//! - What becomes a fact is canonical text that went through the registry.
//! - A value that is the current one makes no fact; a change of what elections depend on makes the
//!   changes of the partitions concerned, in steps if they are many, and the value stands in the last one: a minimum that
//!   was lowered lets leaders go on without replicas that must not be eligible any more by then.

use crate::config::key::{Kind, Update, list_items};
use crate::config::topic_keys::{self, TopicKey};
use crate::config::{Layers, TopicConfig, broker_keys};
use crate::controller::command::{
    AlterConfigs, AlterConfigsError, AlterResource, ConfigChange, ConfigOp, NamedResource,
    OperationTooLarge, occurrences,
};
use crate::controller::decide::brokers::update_partitions;
use crate::controller::decide::partitions::Candidates;
use crate::controller::decide::topics::check_name;
use crate::controller::decide::{Decision, Settings};
use crate::metadata::record::Record;
use crate::metadata::{BrokerId, ConfigResource, MetadataImage, Overrides, PartitionImage};

/// Kafka's limit: a value's length was once a 16-bit number.
const VALUE_SIZE_MAX: usize = 32_767;
const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";
const UNCLEAN_ELECTION: &str = "unclean.leader.election.enable";

/// Changes configs.
pub(super) fn alter(
    settings: &Settings,
    image: &MetadataImage,
    command: &AlterConfigs,
) -> Decision<Vec<Result<(), AlterConfigsError>>> {
    let named = occurrences(command.resources.iter().map(|change| &change.resource));
    let mut records = Vec::new();
    let outcome = command.resources.iter().map(|change| {
        if named.get(&change.resource).is_some_and(|count| *count > 1) {
            return Err(AlterConfigsError::DuplicateResource);
        }
        let facts = alter_one(settings, image, change)?;
        if records.len() + facts.len() > settings.operation_records_max {
            return Err(OperationTooLarge {
                max: settings.operation_records_max,
            }
            .into());
        }
        records.extend(facts);
        Ok(())
    });
    let outcome: Vec<_> = outcome.collect();
    if command.validate_only {
        records.clear();
    }
    if records.iter().any(changes_elections) {
        let mut after = image.clone();
        // What was just decided applies; the driver checks the whole once more.
        let _ = after.apply_records(&records);
        let (changes, is_all) = elect_anew(settings, &after);
        if !is_all {
            return Decision {
                records: changes,
                outcome,
                is_last: false,
            };
        }
        records.extend(changes);
    }
    Decision::last(records, outcome)
}

fn changes_elections(record: &Record) -> bool {
    matches!(record, Record::Config { key, .. } if key == MIN_INSYNC_REPLICAS || key == UNCLEAN_ELECTION)
}

/// ELRs follow the new minimum, and leaderless partitions may have found a leader; whether these are all.
fn elect_anew(settings: &Settings, image: &MetadataImage) -> (Vec<Record>, bool) {
    let candidates = Candidates::new(image);
    let mut changes = Vec::new();
    let is_concerned =
        |partition: &PartitionImage| partition.leader.is_none() || !partition.elr.is_empty();
    let is_all = update_partitions(
        settings,
        image,
        &mut changes,
        candidates,
        is_concerned,
        |_| (),
    );
    (changes, is_all)
}

fn alter_one(
    settings: &Settings,
    image: &MetadataImage,
    change: &AlterResource,
) -> Result<Vec<Record>, AlterConfigsError> {
    let resource = resolve(image, &change.resource)?;
    let old = image.configs().find(resource).cloned().unwrap_or_default();
    let mut new = match &change.change {
        ConfigChange::Incremental(ops) => {
            check_repeated_keys(ops.iter().map(|(key, _)| key))?;
            incremental(settings, image, resource, &old, ops)?
        }
        ConfigChange::Replace(values) => {
            check_repeated_keys(values.iter().map(|(key, _)| key))?;
            values
                .iter()
                .map(replaced)
                .collect::<Result<Overrides, _>>()?
        }
    };
    for (key, value) in &new {
        if value.len() > VALUE_SIZE_MAX {
            let (key, max) = (key.clone(), VALUE_SIZE_MAX);
            return Err(AlterConfigsError::ValueTooLong { key, max });
        }
    }
    new = match resource {
        ConfigResource::Topic(_) => TopicConfig::check(&new)?,
        ConfigResource::Broker(_) | ConfigResource::Cluster => {
            check_broker_values(resource, &old, &new)?
        }
    };
    Ok(difference(resource, &old, &new))
}

fn replaced(
    (key, value): &(String, Option<String>),
) -> Result<(String, String), AlterConfigsError> {
    match value {
        Some(value) => Ok((key.clone(), value.clone())),
        None => Err(AlterConfigsError::NullValue { key: key.clone() }),
    }
}

fn check_repeated_keys<'a>(
    keys: impl Iterator<Item = &'a String>,
) -> Result<(), AlterConfigsError> {
    match occurrences(keys).into_iter().find(|(_, count)| *count > 1) {
        Some((key, _)) => Err(AlterConfigsError::DuplicateKey { key: key.clone() }),
        None => Ok(()),
    }
}

fn resolve(
    image: &MetadataImage,
    resource: &NamedResource,
) -> Result<ConfigResource, AlterConfigsError> {
    match resource {
        NamedResource::Topic(name) => {
            check_name(name).map_err(AlterConfigsError::Name)?;
            let topic = image.topics().by_name(name);
            let topic = topic.ok_or_else(|| AlterConfigsError::UnknownTopic {
                topic: name.clone(),
            })?;
            Ok(ConfigResource::Topic(topic.id()))
        }
        NamedResource::Broker(name) if name.is_empty() => Ok(ConfigResource::Cluster),
        NamedResource::Broker(name) => {
            let broker = name.parse().ok().and_then(BrokerId::from_wire);
            let broker =
                broker.ok_or_else(|| AlterConfigsError::BrokerName { name: name.clone() })?;
            match image.brokers().find(broker) {
                Some(_) => Ok(ConfigResource::Broker(broker)),
                None => Err(AlterConfigsError::UnknownBroker { broker }),
            }
        }
        NamedResource::Other { kind, .. } => {
            Err(AlterConfigsError::UnsupportedResource { kind: *kind })
        }
    }
}

fn incremental(
    settings: &Settings,
    image: &MetadataImage,
    resource: ConfigResource,
    old: &Overrides,
    ops: &[(String, ConfigOp)],
) -> Result<Overrides, AlterConfigsError> {
    let mut new = old.clone();
    for (key, op) in ops {
        let null = || AlterConfigsError::NullValue { key: key.clone() };
        let (word, items) = match op {
            ConfigOp::Set(value) => {
                new.insert(key.clone(), value.clone().ok_or_else(null)?);
                continue;
            }
            ConfigOp::Delete => {
                new.remove(key);
                continue;
            }
            ConfigOp::Append(items) => ("APPEND", items.as_ref().ok_or_else(null)?),
            ConfigOp::Subtract(items) => ("SUBTRACT", items.as_ref().ok_or_else(null)?),
        };
        let current = current_list(settings, image, resource, old, key).ok_or_else(|| {
            AlterConfigsError::NotAList {
                op: word,
                key: key.clone(),
            }
        })?;
        let items = list_items(items);
        let mut list: Vec<&str> = list_items(&current);
        if word == "APPEND" {
            let fresh: Vec<&str> = items
                .into_iter()
                .filter(|item| !list.contains(item))
                .collect();
            list.extend(fresh);
        } else {
            list.retain(|item| !items.contains(item));
        }
        new.insert(key.clone(), list.join(","));
    }
    Ok(new)
}

/// The list that items are added to or taken from: the override, or what holds without one. `None`
/// if the key is no list.
fn current_list(
    settings: &Settings,
    image: &MetadataImage,
    resource: ConfigResource,
    old: &Overrides,
    key: &str,
) -> Option<String> {
    let layers = Layers {
        topic: None,
        broker: None,
        cluster: image.cluster_overrides(),
        fixed: &settings.fixed,
    };
    let (kind, inherited) = match resource {
        ConfigResource::Topic(_) => {
            let entry: &TopicKey = topic_keys::find(key)?;
            (entry.key.kind, layers.topic_value(entry).0)
        }
        ConfigResource::Broker(_) | ConfigResource::Cluster => {
            let entry = broker_keys::find(key)?;
            (entry.kind, layers.broker_value(&entry).0)
        }
    };
    (kind == Kind::List).then(|| {
        old.get(key)
            .cloned()
            .unwrap_or_else(|| inherited.unwrap_or_default())
    })
}

fn check_broker_values(
    resource: ConfigResource,
    old: &Overrides,
    new: &Overrides,
) -> Result<Overrides, AlterConfigsError> {
    let is_one_broker = matches!(resource, ConfigResource::Broker(_));
    let mut checked = Overrides::new();
    for (name, value) in new {
        // What stands there already was legal when it was set.
        if old.get(name) == Some(value) {
            checked.insert(name.clone(), value.clone());
            continue;
        }
        let key = broker_keys::find(name)
            .ok_or_else(|| AlterConfigsError::UnknownBrokerKey { key: name.clone() })?;
        if key.update == Update::ReadOnly {
            return Err(AlterConfigsError::ReadOnly { key: name.clone() });
        }
        if is_one_broker && name == MIN_INSYNC_REPLICAS {
            return Err(AlterConfigsError::NotPerBroker { key: name.clone() });
        }
        checked.insert(name.clone(), key.normalise(value)?);
    }
    Ok(checked)
}

fn difference(resource: ConfigResource, old: &Overrides, new: &Overrides) -> Vec<Record> {
    let record = |key: &String, value: Option<&String>| Record::Config {
        resource: resource.to_record(),
        key: key.clone(),
        value: value.cloned(),
    };
    let removed = old
        .keys()
        .filter(|key| !new.contains_key(*key))
        .map(|key| record(key, None));
    let set = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value))
        .map(|(key, value)| record(key, Some(value)));
    removed.chain(set).collect()
}

//! Creating and deleting topics, and adding partitions to them.
//!
//! The topics of one request are decided in its order, each over what the ones before it made, so a
//! request can't create two topics that collide. The operation as a whole is one atomic entry.

use crate::config::{Overrides, TopicConfig};
use crate::controller::command::{
    Assignment, AssignmentError, CreatePartitions, CreatePartitionsError, CreateTopicError,
    CreateTopics, CreatedTopic, DeleteTopicError, DeleteTopics, DeletedTopic, MorePartitions,
    NameError, NewTopic, OperationTooLarge, PlacementError, TopicRef, occurrences,
};
use crate::controller::decide::placement::Placer;
use crate::controller::decide::{Decision, Draw, Settings};
use crate::metadata::ids::DIRECTORY_UNASSIGNED;
use crate::metadata::image::{ConfigResource, TopicImage};
use crate::metadata::record::{PartitionState, Record};
use crate::metadata::{BrokerId, MetadataImage, PartitionIndex, TopicId, is_internal};

const NAME_LENGTH_MAX: usize = 249;
/// The topic that Kafka shows its quorum's log as.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Creates topics.
pub(super) fn create(
    settings: &Settings,
    image: &MetadataImage,
    command: &CreateTopics,
    draw: &mut Draw,
) -> Decision<Vec<Result<CreatedTopic, CreateTopicError>>> {
    let named = occurrences(command.topics.iter().map(|topic| &topic.name));
    let mut so_far = image.clone();
    let mut records = Vec::new();
    let mut outcome = Vec::with_capacity(command.topics.len());
    let mut is_too_large = false;
    for topic in &command.topics {
        let is_duplicate = named.get(&topic.name).is_some_and(|count| *count > 1);
        let budget = settings.operation_records_max.saturating_sub(records.len());
        let result = if is_duplicate {
            Err(CreateTopicError::Duplicate)
        } else {
            create_one(settings, &so_far, topic, budget, draw)
        };
        outcome.push(result.map(|(created, facts)| {
            // Facts that don't apply would be a bug here; the driver checks the whole once more.
            let _ = so_far.apply_records(&facts);
            records.extend(facts);
            created
        }));
        is_too_large |= matches!(outcome.last(), Some(Err(CreateTopicError::TooLarge(_))));
    }
    if is_too_large {
        // Atomic: too much is too much as a whole.
        let error = OperationTooLarge {
            max: settings.operation_records_max,
        };
        for result in outcome.iter_mut().filter(|result| result.is_ok()) {
            *result = Err(error.into());
        }
        records.clear();
    }
    if command.validate_only {
        records.clear();
    }
    Decision::last(records, outcome)
}

fn create_one(
    settings: &Settings,
    image: &MetadataImage,
    topic: &NewTopic,
    budget: usize,
    draw: &mut Draw,
) -> Result<(CreatedTopic, Vec<Record>), CreateTopicError> {
    check_new_name(image, &topic.name)?;
    let overrides = checked_configs(&topic.configs)?;
    let replicas = if topic.assignments.is_empty() {
        place(settings, image, topic, budget, draw)?
    } else {
        assigned(image, topic, budget)?
    };
    let too_large = OperationTooLarge {
        max: settings.operation_records_max,
    };
    if replicas.len() + overrides.len() + 1 > budget {
        return Err(too_large.into());
    }
    let id = fresh_id(image, draw);
    let mut records = vec![Record::Topic {
        id: id.to_bytes(),
        name: topic.name.clone(),
    }];
    records.extend(overrides.iter().map(|(key, value)| Record::Config {
        resource: ConfigResource::Topic(id).to_record(),
        key: key.clone(),
        value: Some(value.clone()),
    }));
    let replication_factor = replicas.first().map_or(0, Vec::len);
    let partitions = i32::try_from(replicas.len()).map_err(|_| too_large)?;
    for (index, replicas) in (0..).zip(&replicas) {
        records.push(new_partition(image, id, index, replicas));
    }
    let created = CreatedTopic {
        id,
        partitions,
        replication_factor: i16::try_from(replication_factor).map_err(|_| too_large)?,
        overrides,
    };
    Ok((created, records))
}

fn check_new_name(image: &MetadataImage, name: &str) -> Result<(), CreateTopicError> {
    if name == CLUSTER_METADATA {
        return Err(CreateTopicError::Reserved);
    }
    check_name(name).map_err(CreateTopicError::Name)?;
    if image.topics().by_name(name).is_some() {
        return Err(CreateTopicError::Exists {
            name: name.to_owned(),
        });
    }
    if name.contains(['.', '_'])
        && let Some(existing) = image.topics().colliding_name(name)
    {
        return Err(CreateTopicError::Collision {
            name: name.to_owned(),
            existing: existing.to_string(),
        });
    }
    Ok(())
}

/// Whether a text can be a topic's name.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        _ if name.len() > NAME_LENGTH_MAX => Err(NameError::Length {
            name: name.to_owned(),
        }),
        _ if !name.chars().all(is_legal) => Err(NameError::Characters {
            name: name.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn checked_configs(configs: &[(String, Option<String>)]) -> Result<Overrides, CreateTopicError> {
    let null = configs.iter().filter(|(_, value)| value.is_none());
    let keys: Vec<String> = null.map(|(key, _)| key.clone()).collect();
    if !keys.is_empty() {
        return Err(CreateTopicError::NullConfig { keys });
    }
    let given = configs
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
    Ok(TopicConfig::check(&given.collect())?)
}

fn place(
    settings: &Settings,
    image: &MetadataImage,
    topic: &NewTopic,
    budget: usize,
    draw: &mut Draw,
) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
    let mut placer = Placer::new(image.brokers(), draw);
    let replication_factor = match (
        topic.replication_factor,
        settings.replication_factor_default,
    ) {
        (-1, None) => placer
            .broker_count()
            .max(settings.founder_count)
            .clamp(1, 3),
        (-1, Some(default)) => usize::try_from(default).unwrap_or(0),
        // Negative is no number of replicas, and neither is 0.
        (given, _) => usize::try_from(given).unwrap_or(0),
    };
    if replication_factor == 0 {
        return Err(PlacementError::NotPositive.into());
    }
    let partitions = match topic.partitions {
        -1 => settings.partitions_default,
        given => given,
    };
    let partitions = usize::try_from(partitions).unwrap_or(0);
    if partitions == 0 {
        return Err(CreateTopicError::Partitions);
    }
    if partitions > budget {
        return Err(OperationTooLarge {
            max: settings.operation_records_max,
        }
        .into());
    }
    placer.check(replication_factor)?;
    let placed = (0..partitions).map(|_| placer.place(replication_factor, draw));
    Ok(placed.collect::<Result<Vec<_>, _>>()?)
}

fn assigned(
    image: &MetadataImage,
    topic: &NewTopic,
    budget: usize,
) -> Result<Vec<Vec<BrokerId>>, CreateTopicError> {
    if topic.replication_factor != -1 {
        return Err(CreateTopicError::NumberWithAssignment {
            what: "replication factor",
        });
    }
    if topic.partitions != -1 {
        return Err(CreateTopicError::NumberWithAssignment {
            what: "numPartitions",
        });
    }
    if topic.assignments.len() > budget {
        return Err(OperationTooLarge { max: budget }.into());
    }
    let mut assignments: Vec<&Assignment> = topic.assignments.iter().collect();
    assignments.sort_by_key(|assignment| assignment.partition);
    let mut placed: Vec<Vec<BrokerId>> = Vec::with_capacity(assignments.len());
    for (expected, assignment) in (0_i32..).zip(assignments) {
        let partition = assignment.partition;
        if partition < expected && partition >= 0 {
            return Err(AssignmentError::DuplicatePartition { partition }.into());
        }
        if partition != expected {
            return Err(AssignmentError::Gap.into());
        }
        let replication_factor = placed.first().map(Vec::len);
        placed.push(check_assignment(
            image,
            partition,
            &assignment.brokers,
            replication_factor,
        )?);
    }
    Ok(placed)
}

/// The chosen replicas of a partition, if they can be.
fn check_assignment(
    image: &MetadataImage,
    partition: i32,
    brokers: &[i32],
    replication_factor: Option<usize>,
) -> Result<Vec<BrokerId>, AssignmentError> {
    if brokers.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut replicas = Vec::with_capacity(brokers.len());
    let mut sorted: Vec<i32> = brokers.to_vec();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        if let [a, b] = pair
            && a == b
        {
            return Err(AssignmentError::DuplicateBroker { broker: *a });
        }
    }
    for broker in brokers {
        let id = BrokerId::from_wire(*broker).filter(|id| image.brokers().find(*id).is_some());
        replicas.push(id.ok_or(AssignmentError::UnknownBroker { broker: *broker })?);
    }
    if let Some(expected) = replication_factor.filter(|expected| *expected != replicas.len()) {
        return Err(AssignmentError::ReplicationFactor {
            found: replicas.len(),
            expected,
        });
    }
    if !replicas
        .iter()
        .any(|replica| image.brokers().is_active(*replica))
    {
        return Err(AssignmentError::NobodyActive { partition });
    }
    Ok(replicas)
}

fn fresh_id(image: &MetadataImage, draw: &mut Draw) -> TopicId {
    loop {
        let id = TopicId::from_random(draw.wide_bits());
        if let Some(id) = id.filter(|id| image.topics().by_id(*id).is_none()) {
            return id;
        }
    }
}

/// The fact of a new partition: in sync is who is active, the first of them leads.
fn new_partition(
    image: &MetadataImage,
    topic: TopicId,
    index: i32,
    replicas: &[BrokerId],
) -> Record {
    let active = replicas
        .iter()
        .copied()
        .filter(|id| image.brokers().is_active(*id));
    let isr: Vec<BrokerId> = active.collect();
    let directories = replicas.iter().map(|replica| {
        // With one directory there is nothing to choose; with more, the broker chooses.
        let only = image
            .brokers()
            .find(*replica)
            .and_then(|broker| match broker.directories[..] {
                [only] => Some(only),
                _ => None,
            });
        only.unwrap_or(DIRECTORY_UNASSIGNED).uuid().into_bytes()
    });
    let state = PartitionState {
        replicas: replicas.iter().map(|id| id.get()).collect(),
        directories: directories.collect(),
        leader: BrokerId::to_wire(isr.first().copied()),
        isr: isr.iter().map(|id| id.get()).collect(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        leader_epoch: 0,
        partition_epoch: 0,
        recovering: false,
    };
    Record::Partition {
        topic: topic.to_bytes(),
        partition: index,
        state,
    }
}

/// Deletes topics.
pub(super) fn delete(
    settings: &Settings,
    image: &MetadataImage,
    command: &DeleteTopics,
) -> Decision<Vec<Result<DeletedTopic, DeleteTopicError>>> {
    let mut resolved: Vec<Result<DeletedTopic, DeleteTopicError>> = command
        .topics
        .iter()
        .map(|topic| find(settings, image, topic))
        .collect();
    let ids: Vec<TopicId> = resolved.iter().flatten().map(|topic| topic.id).collect();
    let named = occurrences(ids.iter());
    for result in &mut resolved {
        let is_duplicate = result
            .as_ref()
            .is_ok_and(|topic| named.get(&topic.id).is_some_and(|n| *n > 1));
        if is_duplicate {
            *result = Err(DeleteTopicError::Duplicate);
        }
    }
    let deleted = resolved.iter().flatten();
    let records = deleted
        .map(|topic| Record::TopicRemoval {
            id: topic.id.to_bytes(),
        })
        .collect();
    Decision::last(records, resolved)
}

fn find(
    settings: &Settings,
    image: &MetadataImage,
    topic: &TopicRef,
) -> Result<DeletedTopic, DeleteTopicError> {
    if !settings.delete_topics {
        return Err(DeleteTopicError::Disabled);
    }
    let found = match topic {
        TopicRef::Name(name) => image
            .topics()
            .by_name(name)
            .ok_or(DeleteTopicError::UnknownName)?,
        TopicRef::Id(id) => image
            .topics()
            .by_id(*id)
            .ok_or(DeleteTopicError::UnknownId)?,
    };
    Ok(DeletedTopic {
        id: found.id(),
        name: found.name().to_string(),
    })
}

/// Adds partitions.
pub(super) fn add_partitions(
    settings: &Settings,
    image: &MetadataImage,
    command: &CreatePartitions,
    draw: &mut Draw,
) -> Decision<Vec<Result<(), CreatePartitionsError>>> {
    let named = occurrences(command.topics.iter().map(|topic| &topic.topic));
    let mut records = Vec::new();
    let mut outcome = Vec::with_capacity(command.topics.len());
    let too_large = OperationTooLarge {
        max: settings.operation_records_max,
    };
    for more in &command.topics {
        let budget = settings.operation_records_max.saturating_sub(records.len());
        let result = if named.get(&more.topic).is_some_and(|count| *count > 1) {
            Err(CreatePartitionsError::Duplicate)
        } else {
            add_to_one(image, more, budget, too_large, draw)
        };
        outcome.push(result.map(|facts| records.extend(facts)));
    }
    let is_too_large = |result| matches!(result, &Err(CreatePartitionsError::TooLarge(_)));
    if outcome.iter().any(is_too_large) {
        for result in outcome.iter_mut().filter(|result| result.is_ok()) {
            *result = Err(too_large.into());
        }
        records.clear();
    }
    if command.validate_only {
        records.clear();
    }
    Decision::last(records, outcome)
}

fn add_to_one(
    image: &MetadataImage,
    more: &MorePartitions,
    budget: usize,
    too_large: OperationTooLarge,
    draw: &mut Draw,
) -> Result<Vec<Record>, CreatePartitionsError> {
    let topic = image
        .topics()
        .by_name(&more.topic)
        .ok_or(CreatePartitionsError::UnknownTopic)?;
    if is_internal(&more.topic) {
        let topic = more.topic.clone();
        return Err(CreatePartitionsError::Internal { topic });
    }
    let current = topic.partition_count();
    let total = usize::try_from(more.total).unwrap_or(0);
    if total == current {
        return Err(CreatePartitionsError::Unchanged { current });
    }
    if total < current {
        let (topic, total) = (more.topic.clone(), more.total);
        return Err(CreatePartitionsError::Fewer {
            topic,
            current,
            total,
        });
    }
    let added = total - current;
    let replicas = match &more.assignments {
        Some(assignments) if assignments.len() != added => {
            let added = i64::try_from(added).unwrap_or(i64::MAX);
            let assigned = assignments.len();
            return Err(AssignmentError::Count { added, assigned }.into());
        }
        _ if added > budget => return Err(too_large.into()),
        Some(assignments) => chosen(image, topic, assignments)?,
        None => placed(image, topic, added, draw)?,
    };
    let positions = (current..).map_while(PartitionIndex::from_position);
    let partitions = positions.zip(&replicas);
    Ok(partitions
        .map(|(index, replicas)| new_partition(image, topic.id(), index.get(), replicas))
        .collect())
}

fn chosen(
    image: &MetadataImage,
    topic: &TopicImage,
    assignments: &[Vec<i32>],
) -> Result<Vec<Vec<BrokerId>>, AssignmentError> {
    let replication_factor = Some(topic.replication_factor());
    let first = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
    let partitions = (first..).zip(assignments);
    partitions
        .map(|(partition, brokers)| check_assignment(image, partition, brokers, replication_factor))
        .collect()
}

fn placed(
    image: &MetadataImage,
    topic: &TopicImage,
    added: usize,
    draw: &mut Draw,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    let mut placer = Placer::new(image.brokers(), draw);
    (0..added)
        .map(|_| placer.place(topic.replication_factor(), draw))
        .collect()
}

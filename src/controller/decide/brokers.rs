//! Brokers come, are fenced, are let in, shut down and go; their partitions follow.
//!
//! - Broker epochs come from the counter in the image. The same process keeps its epoch and state when
//!   it registers again (KAFKA-16952); another process of the same broker gets a new epoch, fenced,
//!   and its partitions are taken from the old one in the same or earlier entries (KAFKA-18106).
//! - The proof of a clean stop holds for the directories that came back: a replica of a missing one is out of ISR and ELR.
//! - Changes of many partitions are cut into steps: partitions first, the broker's own fact last, so
//!   that no entry shows a fenced broker that still leads. Only unfencing begins with the broker.

use std::cell::OnceCell;
use std::sync::Arc;

use ottla_storage::ids::DirectoryId;
use ottla_storage::planted::is_planted;

use crate::controller::command::{
    BrokerState, ChangeBroker, ChangeBrokerError, RegisterBroker, RegisterError,
};
use crate::controller::decide::partitions::{Candidates, PartitionUpdate};
use crate::controller::decide::{Decision, STEP_RECORDS_MAX, Settings};
use crate::metadata::ids::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED, is_reserved_directory};
use crate::metadata::image::BrokerImage;
use crate::metadata::record::{BrokerChange, Record};
use crate::metadata::{BrokerEpoch, BrokerId, MetadataImage, PartitionImage};

/// The current registration of a broker.
pub(super) fn registration(
    image: &MetadataImage,
    broker: BrokerId,
    given: BrokerEpoch,
) -> Result<&Arc<BrokerImage>, ChangeBrokerError> {
    let found = image.brokers().find(broker);
    let found = found.ok_or(ChangeBrokerError::NotRegistered { broker })?;
    if found.epoch == given {
        Ok(found)
    } else {
        Err(ChangeBrokerError::StaleEpoch {
            broker,
            current: found.epoch,
            given,
        })
    }
}

/// Registers a process.
pub(super) fn register(
    settings: &Settings,
    image: &MetadataImage,
    command: &RegisterBroker,
) -> Decision<Result<BrokerEpoch, RegisterError>> {
    if let Err(error) = check_registration(image, command) {
        return Decision::last(Vec::new(), Err(error));
    }
    let old = image.brokers().find(command.broker);
    let is_same = |old: &&Arc<BrokerImage>| {
        old.incarnation == command.incarnation && !is_planted("the-same-process-keeps-its-epoch")
    };
    if let Some(old) = old.filter(is_same) {
        let amended = BrokerImage {
            endpoints: command.endpoints.clone(),
            rack: command.rack.clone(),
            feature: command.feature,
            // The directories stay: one that has failed comes back with another process only.
            ..BrokerImage::clone(old)
        };
        let record = Record::BrokerRegistration(amended.to_record());
        return Decision::last(vec![record], Ok(old.epoch));
    }
    let epoch = image.next_broker_epoch();
    if epoch.next().is_none() {
        return Decision::last(Vec::new(), Err(RegisterError::NoEpochLeft));
    }
    let departure = |partition: &PartitionImage| restart(old, command, partition);
    let (mut records, is_last) = if is_planted("a-new-process-takes-nothing-over") {
        (Vec::new(), true)
    } else {
        depart(settings, image, command.broker, departure)
    };
    if is_last {
        let registered = BrokerImage {
            id: command.broker,
            epoch,
            incarnation: command.incarnation,
            // Of the entry that is being decided.
            registered_at: image.version().next(),
            endpoints: command.endpoints.clone(),
            rack: command.rack.clone(),
            directories: command.directories.clone(),
            feature: command.feature,
            is_fenced: true,
            in_controlled_shutdown: false,
        };
        records.push(Record::BrokerRegistration(registered.to_record()));
    }
    Decision {
        records,
        outcome: Ok(epoch),
        is_last,
    }
}

/// How the process before left a replica, seen from the one that registers now.
///
/// The epoch that a clean stop left behind proves that the page cache was lost with nothing in it, in the directories that
/// are still there. What lay in another one is gone, and an empty replica may take its place.
fn restart(
    old: Option<&Arc<BrokerImage>>,
    command: &RegisterBroker,
    partition: &PartitionImage,
) -> Departure {
    let is_there = |directory: &DirectoryId| command.directories.contains(directory);
    let Some(directory) = partition.directory_of(command.broker) else {
        return Departure::Unclean;
    };
    let Some(old) = old else {
        return Departure::Unclean;
    };
    if directory == DIRECTORY_UNASSIGNED && !old.directories.iter().all(is_there) {
        return Departure::Lost;
    }
    let is_proved = command.previous_epoch == Some(old.epoch);
    if is_proved && (directory == DIRECTORY_UNASSIGNED || is_there(&directory)) {
        Departure::Clean
    } else {
        Departure::Unclean
    }
}

fn check_registration(
    image: &MetadataImage,
    command: &RegisterBroker,
) -> Result<(), RegisterError> {
    let broker = command.broker;
    check_directories(&command.directories)?;
    for other in image.brokers().iter().filter(|other| other.id != broker) {
        let owned = command
            .directories
            .iter()
            .find(|dir| other.directories.contains(dir));
        if let Some(directory) = owned {
            return Err(RegisterError::DirectoryOwned {
                owner: other.id,
                directory: *directory,
            });
        }
    }
    let (level, range) = (image.feature_level(), command.feature);
    if level > 0 && !(range.min..=range.max).contains(&level) {
        return Err(RegisterError::Feature {
            level,
            min: range.min,
            max: range.max,
        });
    }
    Ok(())
}

fn check_directories(directories: &[DirectoryId]) -> Result<(), RegisterError> {
    let is_repeated =
        |at: usize, dir: &DirectoryId| directories.iter().take(at).any(|other| other == dir);
    let mut all = directories.iter().enumerate();
    if directories.is_empty()
        || all.any(|(at, dir)| is_reserved_directory(*dir) || is_repeated(at, dir))
    {
        return Err(RegisterError::Directories);
    }
    Ok(())
}

/// Changes a broker's state.
pub(super) fn change(
    settings: &Settings,
    image: &MetadataImage,
    command: &ChangeBroker,
) -> Decision<Result<(), ChangeBrokerError>> {
    let broker = match registration(image, command.broker, command.epoch) {
        Ok(broker) => broker,
        Err(error) => return Decision::last(Vec::new(), Err(error)),
    };
    let (records, is_last) = match command.to {
        BrokerState::Fenced => fence(settings, image, broker),
        BrokerState::Unfenced => unfence(settings, image, broker),
        BrokerState::ShuttingDown => shut_down(settings, image, broker),
        BrokerState::Unregistered => unregister(settings, image, broker),
    };
    Decision {
        records,
        outcome: Ok(()),
        is_last,
    }
}

/// Fences a broker; that ends its controlled shutdown, too.
pub(super) fn fence(
    settings: &Settings,
    image: &MetadataImage,
    broker: &BrokerImage,
) -> (Vec<Record>, bool) {
    let (mut records, is_last) = depart(settings, image, broker.id, |_| Departure::Clean);
    if is_last && !broker.is_fenced {
        records.push(changed(broker, |change| {
            change.fenced = Some(true);
            change.in_controlled_shutdown = broker.in_controlled_shutdown.then_some(false);
        }));
    }
    (records, is_last)
}

/// Lets a broker in, then elects for the partitions that nobody leads.
pub(super) fn unfence(
    settings: &Settings,
    image: &MetadataImage,
    broker: &BrokerImage,
) -> (Vec<Record>, bool) {
    let mut records = Vec::new();
    if broker.is_fenced || broker.in_controlled_shutdown {
        records.push(changed(broker, |change| {
            change.fenced = Some(false);
            change.in_controlled_shutdown = broker.in_controlled_shutdown.then_some(false);
        }));
    }
    let candidates = Candidates::new(image).with_entering(broker.id);
    let is_concerned =
        |partition: &PartitionImage| partition.leader.is_none() && partition.has_replica(broker.id);
    let is_last = update_partitions(
        settings,
        image,
        &mut records,
        candidates,
        is_concerned,
        |_| (),
    );
    (records, is_last)
}

/// Has a broker hand over what it leads.
pub(super) fn shut_down(
    settings: &Settings,
    image: &MetadataImage,
    broker: &BrokerImage,
) -> (Vec<Record>, bool) {
    let mut records = Vec::new();
    if !broker.in_controlled_shutdown {
        records.push(changed(broker, |change| {
            change.in_controlled_shutdown = Some(true);
        }));
    }
    let (moves, is_last) = depart(settings, image, broker.id, |_| Departure::Clean);
    records.extend(moves);
    (records, is_last)
}

fn unregister(
    settings: &Settings,
    image: &MetadataImage,
    broker: &BrokerImage,
) -> (Vec<Record>, bool) {
    let (mut records, is_last) = depart(settings, image, broker.id, |_| Departure::Unclean);
    if is_last {
        let epoch = broker.epoch.get();
        records.push(Record::BrokerRemoval {
            broker: broker.id.get(),
            epoch,
        });
    }
    (records, is_last)
}

/// A change of the registration.
pub(super) fn changed(broker: &BrokerImage, set: impl FnOnce(&mut BrokerChange)) -> Record {
    let mut change = BrokerChange {
        broker: broker.id.get(),
        epoch: broker.epoch.get(),
        fenced: None,
        in_controlled_shutdown: None,
        directories: None,
    };
    set(&mut change);
    Record::BrokerChange(change)
}

/// How a broker leaves one of its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Departure {
    /// With everything acknowledged on its disk or in its memory: it stays eligible.
    Clean,
    /// Perhaps without: it is out of ISR and ELR.
    Unclean,
    /// Perhaps without, and nobody knows any more where the replica lies, if it does.
    Lost,
}

/// Takes a broker out of ISRs and leaderships; returns whether nothing is left to take.
fn depart(
    settings: &Settings,
    image: &MetadataImage,
    broker: BrokerId,
    departure: impl Fn(&PartitionImage) -> Departure,
) -> (Vec<Record>, bool) {
    let mut records = Vec::new();
    let candidates = Candidates::new(image).with_leaving(broker);
    let is_concerned = |partition: &PartitionImage| {
        partition.has_replica(broker)
            && match departure(partition) {
                Departure::Clean => partition.isr.contains(&broker),
                Departure::Unclean => {
                    partition.isr.contains(&broker) || partition.elr.contains(&broker)
                }
                Departure::Lost => true,
            }
    };
    let leave = |update: &mut PartitionUpdate<'_>| match departure(update.old()) {
        Departure::Clean => update.leave_isr(broker),
        Departure::Unclean => update.lose(broker),
        Departure::Lost => {
            update.lose(broker);
            update.set_directory(broker, DIRECTORY_LOST);
        }
    };
    let is_last = update_partitions(
        settings,
        image,
        &mut records,
        candidates,
        is_concerned,
        leave,
    );
    (records, is_last)
}

/// Adds the changes of all partitions that `is_concerned` picks, up to one step; returns whether that
/// was all. A change that changes nothing costs nothing.
pub(super) fn update_partitions(
    settings: &Settings,
    image: &MetadataImage,
    records: &mut Vec<Record>,
    candidates: Candidates<'_>,
    is_concerned: impl Fn(&PartitionImage) -> bool,
    update: impl Fn(&mut PartitionUpdate<'_>),
) -> bool {
    for topic in image.topics().iter() {
        // Resolving a config costs more than looking at many partitions: only when needed.
        let config = OnceCell::new();
        for (index, partition) in topic.partitions().filter(|(_, each)| is_concerned(each)) {
            let config = config.get_or_init(|| settings.topic_config(image, topic));
            let mut begun = PartitionUpdate::new(
                partition,
                candidates,
                config.min_insync_replicas,
                config.unclean_leader_election,
            );
            update(&mut begun);
            let Some(change) = begun.build(topic.id(), index) else {
                continue;
            };
            if records.len() >= STEP_RECORDS_MAX {
                return false;
            }
            records.push(Record::PartitionChange(change));
        }
    }
    true
}

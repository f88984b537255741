//! What a heartbeat does to a broker: the table of its state and its wishes.
//!
//! - A heartbeat of another registration than the current one does nothing at all.
//! - A directory that failed is taken away first, in a step of its own, so that all else is decided over
//!   an image without it.
//! - A broker that stops leads nothing when it is told to go, and every active broker knows that.

use ottla_storage::ids::DirectoryId;

use crate::controller::Sessions;
use crate::controller::command::{ChangeBrokerError, Heartbeat, HeartbeatAnswer};
use crate::controller::decide::brokers::{
    changed, fence, registration, shut_down, unfence, update_partitions,
};
use crate::controller::decide::partitions::Candidates;
use crate::controller::decide::{Decision, Settings};
use crate::metadata::ids::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED};
use crate::metadata::image::BrokerImage;
use crate::metadata::record::Record;
use crate::metadata::{ImageVersion, MetadataImage, PartitionImage};

/// Decides what becomes of the sender.
pub(super) fn hear(
    settings: &Settings,
    image: &MetadataImage,
    command: &Heartbeat,
    sessions: &Sessions,
) -> Decision<Result<HeartbeatAnswer, ChangeBrokerError>> {
    let broker = match registration(image, command.broker, command.epoch) {
        Ok(broker) => broker,
        Err(error) => return Decision::last(Vec::new(), Err(error)),
    };
    let failed = &command.offline_directories;
    if broker.directories.iter().any(|dir| failed.contains(dir)) {
        let records = take_offline(settings, image, broker, failed);
        return Decision {
            records,
            outcome: Ok(answer(broker, command.applied, state(broker))),
            is_last: false,
        };
    }
    let next = next(image, broker, command, sessions);
    let (records, is_last) = match (state(broker), next) {
        (_, State::Fenced | State::ShutDown) => fence(settings, image, broker),
        // Also finds leaders for what a controller that failed half-way has left without.
        (_, State::Unfenced) => unfence(settings, image, broker),
        (_, State::ControlledShutdown) => shut_down(settings, image, broker),
    };
    Decision {
        records,
        outcome: Ok(answer(broker, command.applied, next)),
        is_last,
    }
}

/// What a broker is, or shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutDown,
}

const fn state(broker: &BrokerImage) -> State {
    if broker.is_fenced {
        State::Fenced
    } else if broker.in_controlled_shutdown {
        State::ControlledShutdown
    } else {
        State::Unfenced
    }
}

fn next(
    image: &MetadataImage,
    broker: &BrokerImage,
    wants: &Heartbeat,
    sessions: &Sessions,
) -> State {
    let leads = || image.leads_any(broker.id);
    match state(broker) {
        State::Fenced if wants.wants_shut_down => State::ShutDown,
        State::Fenced if !wants.wants_fence && is_caught_up(broker, wants.applied) => {
            State::Unfenced
        }
        State::Fenced => State::Fenced,
        State::Unfenced if wants.wants_shut_down && wants.wants_fence => State::ShutDown,
        State::Unfenced if wants.wants_fence => State::Fenced,
        State::Unfenced if wants.wants_shut_down && leads() => State::ControlledShutdown,
        State::Unfenced if wants.wants_shut_down => State::ShutDown,
        State::Unfenced => State::Unfenced,
        State::ControlledShutdown if leads() => State::ControlledShutdown,
        State::ControlledShutdown if sessions.is_departure_known(image, broker) => State::ShutDown,
        State::ControlledShutdown | State::ShutDown => State::ControlledShutdown,
    }
}

fn answer(broker: &BrokerImage, applied: ImageVersion, next: State) -> HeartbeatAnswer {
    HeartbeatAnswer {
        is_caught_up: is_caught_up(broker, applied),
        is_fenced: matches!(next, State::Fenced | State::ShutDown),
        should_shut_down: next == State::ShutDown,
    }
}

fn is_caught_up(broker: &BrokerImage, applied: ImageVersion) -> bool {
    applied >= broker.registered_at
}

/// Takes the broker out of the ISRs of what lies on failed directories, then takes these away from it. A replica of which
/// the broker has not said yet where it lies may be on them: it is held for lost until the broker says that it is not.
fn take_offline(
    settings: &Settings,
    image: &MetadataImage,
    broker: &BrokerImage,
    failed: &[DirectoryId],
) -> Vec<Record> {
    let id = broker.id;
    let is_unplaced =
        |partition: &PartitionImage| partition.directory_of(id) == Some(DIRECTORY_UNASSIGNED);
    let is_concerned = |partition: &PartitionImage| {
        let directory = partition.directory_of(id);
        let is_failed = directory.is_some_and(|directory| failed.contains(&directory));
        is_unplaced(partition) || (is_failed && partition.isr.contains(&id))
    };
    let mut records = Vec::new();
    let is_last = update_partitions(
        settings,
        image,
        &mut records,
        Candidates::new(image).with_leaving(id),
        is_concerned,
        |update| {
            update.leave_isr(id);
            if is_unplaced(update.old()) {
                update.set_directory(id, DIRECTORY_LOST);
            }
        },
    );
    if is_last {
        let left = broker
            .directories
            .iter()
            .filter(|dir| !failed.contains(dir));
        let left = left.map(|dir| dir.uuid().into_bytes()).collect();
        records.push(changed(broker, |change| change.directories = Some(left)));
    }
    records
}

//! What brokers ask the controller, and what it answers: the controller's own commands and outcomes.

pub(super) use ottla::controller::command::{
    AlterPartition, AssignReplicas, BrokerState, ChangeBroker, CreateTopics, ElectLeaders,
    ElectionKind, Heartbeat, NewTopic, RegisterBroker,
};
pub(super) use ottla::controller::{Command, Outcome};

/// Who waits for the outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A broker process, by the number of its call.
    Broker { node: usize, boot: u64, call: u64 },
    /// The controller itself, or a client that does not care.
    Nobody,
}

/// A command on its way, and who waits for it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) by: Caller,
}

impl Asked {
    pub(super) fn by_nobody(command: Command) -> Self {
        Self {
            command,
            by: Caller::Nobody,
        }
    }
}

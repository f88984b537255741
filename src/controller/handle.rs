//! How the rest of the node asks the controller.

use tokio::sync::{mpsc, oneshot};

use crate::controller::command::{
    AllocateError, AlterConfigs, AlterConfigsError, AlterPartition, AlteredPartitions,
    AssignReplicas, AssignedReplicas, ChangeBroker, ChangeBrokerError, CreatePartitions,
    CreatePartitionsError, CreateTopicError, CreateTopics, CreatedTopic, DeleteTopicError,
    DeleteTopics, DeletedTopic, ElectLeaders, Heartbeat, HeartbeatAnswer, ProducerIdBlock,
    RegisterBroker, RegisterError, TopicElections,
};
use crate::controller::{Command, Outcome};
use crate::metadata::{BrokerEpoch, BrokerId};

/// Commands that may wait at once, of each kind. A full queue holds back the connections that ask.
pub(super) const QUEUE_MAX: usize = 1_024;

/// Why a command has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// This node isn't the controller, and the command was not carried out.
    #[error("this node is not the controller")]
    NotController {
        /// Who is, if known.
        leader: Option<BrokerId>,
    },
    /// The leadership ended first: the command may be carried out later, or never.
    #[error("the controller changed before the outcome was known")]
    OutcomeUnknown,
    /// The command makes more bytes than an entry of the quorum's log may have.
    #[error("the operation makes {size} bytes of metadata, the limit is {max}")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The disk of the quorum's log is full; nothing was carried out.
    #[error("the disk of the metadata log is full")]
    DiskFull,
    /// The facts decided don't fit the image: a bug. Nothing was carried out.
    #[error("the controller made a decision that does not apply")]
    Internal,
    /// The node is stopping.
    #[error("the controller is stopping")]
    Stopping,
}

/// A command on its way.
#[derive(Debug)]
pub struct Request {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<Outcome, ControllerError>>,
}

impl Request {
    /// A command of the driver's own: nobody waits for its outcome.
    pub(super) fn own(command: Command) -> Self {
        let (answer, _) = oneshot::channel();
        Self { command, answer }
    }
}

/// A registration whose process may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suspect {
    pub(super) broker: BrokerId,
    pub(super) epoch: BrokerEpoch,
}

/// The driver's end of the queues.
#[derive(Debug)]
pub struct Requests {
    pub(super) suspects: mpsc::Receiver<Suspect>,
    pub(super) urgent: mpsc::Receiver<Request>,
    pub(super) bulk: mpsc::Receiver<Request>,
}

/// Asks the controller. Clones share its queues.
#[derive(Clone, Debug)]
pub struct ControllerHandle {
    suspects: mpsc::Sender<Suspect>,
    urgent: mpsc::Sender<Request>,
    bulk: mpsc::Sender<Request>,
}

/// The two ends of a controller's queues.
pub fn queues() -> (ControllerHandle, Requests) {
    let (urgent, urgent_requests) = mpsc::channel(QUEUE_MAX);
    let (bulk, bulk_requests) = mpsc::channel(QUEUE_MAX);
    let (suspects, suspected) = mpsc::channel(QUEUE_MAX);
    let requests = Requests {
        suspects: suspected,
        urgent: urgent_requests,
        bulk: bulk_requests,
    };
    let handle = ControllerHandle {
        suspects,
        urgent,
        bulk,
    };
    (handle, requests)
}

impl ControllerHandle {
    /// Tells that a broker's process may be gone, for its connection is. Waits for nothing: a hint that
    /// finds the queue full is dropped, and the broker's session decides.
    pub fn suspect(&self, broker: BrokerId, epoch: BrokerEpoch) {
        let _ = self.suspects.try_send(Suspect { broker, epoch });
    }

    /// Submits a command and waits for its outcome, which this node's image shows by then.
    ///
    /// # Errors
    /// There is no outcome: see each variant for whether the command may still be carried out.
    pub async fn submit(&self, command: Command) -> Result<Outcome, ControllerError> {
        // Fencing, registration and ISR changes go before the users' bulk work.
        let queue = if command.is_urgent() {
            &self.urgent
        } else {
            &self.bulk
        };
        let (answer, outcome) = oneshot::channel();
        let request = Request { command, answer };
        queue
            .send(request)
            .await
            .map_err(|_| ControllerError::Stopping)?;
        // The driver answers every request it took, unless the whole node ends.
        outcome
            .await
            .unwrap_or(Err(ControllerError::OutcomeUnknown))
    }
}

/// A method per command, so that callers don't match on outcomes of other commands.
macro_rules! typed {
    ($(#[$doc:meta])* $method:ident, $variant:ident($command:ty) -> $outcome:ty) => {
        impl ControllerHandle {
            $(#[$doc])*
            ///
            /// # Errors
            /// As [`ControllerHandle::submit`].
            pub async fn $method(&self, command: $command) -> Result<$outcome, ControllerError> {
                match self.submit(Command::$variant(command)).await? {
                    Outcome::$variant(outcome) => Ok(outcome),
                    _ => Err(ControllerError::Internal),
                }
            }
        }
    };
}

typed! {
    /// Creates topics.
    create_topics, CreateTopics(CreateTopics) -> Vec<Result<CreatedTopic, CreateTopicError>>
}
typed! {
    /// Deletes topics.
    delete_topics, DeleteTopics(DeleteTopics) -> Vec<Result<DeletedTopic, DeleteTopicError>>
}
typed! {
    /// Adds partitions to topics.
    create_partitions, CreatePartitions(CreatePartitions)
        -> Vec<Result<(), CreatePartitionsError>>
}
typed! {
    /// Changes dynamic configs.
    alter_configs, AlterConfigs(AlterConfigs) -> Vec<Result<(), AlterConfigsError>>
}
typed! {
    /// Elects leaders.
    elect_leaders, ElectLeaders(ElectLeaders) -> Vec<TopicElections>
}
typed! {
    /// Registers a broker's process: it is fenced until [`ControllerHandle::change_broker`].
    register_broker, RegisterBroker(RegisterBroker) -> Result<BrokerEpoch, RegisterError>
}
typed! {
    /// Fences a broker, lets it in, or lets it go.
    change_broker, ChangeBroker(ChangeBroker) -> Result<(), ChangeBrokerError>
}
typed! {
    /// Changes who is in sync with a leader.
    alter_partition, AlterPartition(AlterPartition)
        -> Result<AlteredPartitions, ChangeBrokerError>
}
typed! {
    /// Notes in which directories a broker's replicas lie.
    assign_replicas, AssignReplicas(AssignReplicas) -> Result<AssignedReplicas, ChangeBrokerError>
}
typed! {
    /// Tells that a broker lives, and what it wants.
    heartbeat, Heartbeat(Heartbeat) -> Result<HeartbeatAnswer, ChangeBrokerError>
}

impl ControllerHandle {
    /// A block of producer ids for a broker.
    ///
    /// # Errors
    /// As [`ControllerHandle::submit`].
    pub async fn allocate_producer_ids(
        &self,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<Result<ProducerIdBlock, AllocateError>, ControllerError> {
        match self
            .submit(Command::AllocateProducerIds { broker, epoch })
            .await?
        {
            Outcome::AllocateProducerIds(outcome) => Ok(outcome),
            _ => Err(ControllerError::Internal),
        }
    }
}

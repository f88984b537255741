//! How a broker joins: registered fenced, let in once it is ready to serve.

use std::time::Duration;

use crate::controller::command::{
    BrokerState, ChangeBroker, ChangeBrokerError, RegisterBroker, RegisterError,
};
use crate::controller::{ControllerError, ControllerHandle};
use crate::metadata::{BrokerEpoch, BrokerId};

const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Why a broker did not join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The controller refuses the registration.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The registration is no longer the current one.
    #[error(transparent)]
    LetIn(#[from] ChangeBrokerError),
    /// The controller can't answer, and won't.
    #[error(transparent)]
    Controller(ControllerError),
}

/// Registers a process, as often as it takes to find a controller. Registering the same incarnation
/// twice is the same as once, so an unknown outcome is simply tried again.
///
/// # Errors
/// The controller refuses, or is stopping.
pub async fn register(
    controller: &ControllerHandle,
    command: &RegisterBroker,
) -> Result<BrokerEpoch, JoinError> {
    loop {
        match controller.register_broker(command.clone()).await {
            Ok(outcome) => return Ok(outcome?),
            Err(error) => pause(error).await?,
        }
    }
}

/// Lets a registered broker in: it may lead from here on.
///
/// # Errors
/// Another process has registered since, or the controller is stopping.
pub async fn let_in(
    controller: &ControllerHandle,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Result<(), JoinError> {
    loop {
        let command = ChangeBroker {
            broker,
            epoch,
            to: BrokerState::Unfenced,
        };
        match controller.change_broker(command).await {
            Ok(outcome) => return Ok(outcome?),
            Err(error) => pause(error).await?,
        }
    }
}

async fn pause(error: ControllerError) -> Result<(), JoinError> {
    match error {
        ControllerError::NotController { .. }
        | ControllerError::OutcomeUnknown
        | ControllerError::DiskFull => {
            tokio::time::sleep(RETRY_PAUSE).await;
            Ok(())
        }
        ControllerError::TooLarge { .. }
        | ControllerError::Internal
        | ControllerError::Stopping => Err(JoinError::Controller(error)),
    }
}

//! What the admin handlers share: the controller, the quorum's state, producer ids.
//!
//! An admin request is answered once this broker's own image and replicas show its effect, so that
//! create-then-describe and create-then-produce work on one connection.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::Broker;
use crate::config::{Layers, Overrides};
use crate::controller::command::ProducerIdBlock;
use crate::controller::{ControllerError, ControllerHandle, QuorumView};
use crate::metadata::{BrokerId, MetadataImage};
use crate::wire::error_code::ErrorCode;

/// A client that gives the controller no time at all still gets this much: the usual answer takes
/// milliseconds, and a time-out would leave it in doubt for nothing.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_mins(5);
/// How long an answer waits for this broker's own replicas.
const APPLY_PATIENCE: Duration = Duration::from_secs(1);

/// The handles of the admin requests.
#[derive(Debug)]
pub struct Admin {
    /// The cluster's id, as clients see it.
    pub cluster_id: Arc<str>,
    /// Where commands go.
    pub controller: ControllerHandle,
    /// The quorum's state.
    pub quorum: Arc<dyn QuorumView>,
    producer_ids: Mutex<Option<ProducerIdBlock>>,
}

/// Why there is no answer of the controller, in the protocol's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoAnswer {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl From<ControllerError> for NoAnswer {
    fn from(error: ControllerError) -> Self {
        let code = match error {
            ControllerError::NotController { .. } | ControllerError::Stopping => {
                ErrorCode::NotController
            }
            // It may have happened: the client must look before it tries again.
            ControllerError::OutcomeUnknown => ErrorCode::RequestTimedOut,
            ControllerError::TooLarge { .. } => ErrorCode::PolicyViolation,
            ControllerError::DiskFull => ErrorCode::KafkaStorageError,
            ControllerError::Internal => ErrorCode::UnknownServerError,
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

impl Admin {
    /// The handles of a node.
    pub fn new(
        cluster_id: Arc<str>,
        controller: ControllerHandle,
        quorum: Arc<dyn QuorumView>,
    ) -> Self {
        Self {
            cluster_id,
            controller,
            quorum,
            producer_ids: Mutex::new(None),
        }
    }
}

impl Broker {
    /// Waits for the controller's answer as long as the client does.
    pub(crate) async fn ask<T>(
        &self,
        timeout_ms: i32,
        answer: impl Future<Output = Result<T, ControllerError>>,
    ) -> Result<T, NoAnswer> {
        let patience = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let patience = patience.clamp(PATIENCE_MIN, PATIENCE_MAX);
        match tokio::time::timeout(patience, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(NoAnswer {
                code: ErrorCode::RequestTimedOut,
                message: "the controller did not answer in time".to_owned(),
            }),
        }
    }

    /// Waits until this broker's replicas follow what its image says now.
    pub(crate) async fn caught_up(&self) {
        let version = self.metadata.load().version();
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|applied| *applied >= version);
        // The change is made whether or not the replicas were quick: the answer doesn't wait longer.
        let _ = tokio::time::timeout(APPLY_PATIENCE, reached).await;
    }

    /// A producer id that nobody else has.
    pub(crate) async fn next_producer_id(&self) -> Result<i64, NoAnswer> {
        let mut block = self.admin.producer_ids.lock().await;
        if block.is_none_or(|block| block.count == 0) {
            *block = Some(self.fetch_producer_ids().await?);
        }
        let Some(current) = block.as_mut() else {
            return Err(ControllerError::Internal.into());
        };
        let id = current.first;
        current.first += 1;
        current.count -= 1;
        Ok(id)
    }

    async fn fetch_producer_ids(&self) -> Result<ProducerIdBlock, NoAnswer> {
        let registration = self
            .metadata
            .image()
            .brokers()
            .find(self.id)
            .map(|own| own.epoch);
        let Some(epoch) = registration else {
            let code = ErrorCode::CoordinatorLoadInProgress;
            return Err(NoAnswer {
                code,
                message: "the broker is not registered yet".to_owned(),
            });
        };
        let allocated = self.admin.controller.allocate_producer_ids(self.id, epoch);
        self.ask(0, allocated).await?.map_err(|error| NoAnswer {
            code: ErrorCode::from(&error),
            message: error.to_string(),
        })
    }

    /// The layers of a resource's configs on this broker.
    pub(crate) fn config_layers<'a>(
        &'a self,
        image: &'a MetadataImage,
        topic: Option<&'a Overrides>,
    ) -> Layers<'a> {
        Layers {
            topic,
            broker: image.broker_overrides(self.id),
            cluster: image.cluster_overrides(),
            fixed: &self.config.values,
        }
    }

    /// The controller as clients see it: the quorum's leader if it is a live broker.
    pub(crate) fn controller_id(&self, image: &MetadataImage) -> BrokerId {
        let leader = self.admin.quorum.metrics().leader;
        let leader = leader.and_then(|node| i32::try_from(node.0).ok());
        leader
            .and_then(BrokerId::from_wire)
            .filter(|leader| {
                image
                    .brokers()
                    .find(*leader)
                    .is_some_and(|broker| !broker.is_fenced)
            })
            .unwrap_or(self.id)
    }
}

//! What the admin handlers share: the controller, the quorum's state, producer ids.
//!
//! An admin request is answered once this broker's own image and replicas show its effect, so that
//! create-then-describe and create-then-produce work on one connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::Broker;
use super::context::ConnectionContext;
use super::controller_channel::{ClientRequest, ControllerChannel, Unanswered};
use super::partitions::is_shown;
use crate::config::{Layers, Overrides};
use crate::controller::command::{CreateTopicError, CreateTopics, NewTopic, ProducerIdBlock};
use crate::controller::{ControllerError, ControllerHandle, QuorumView};
use crate::metadata::{BrokerEpoch, BrokerId, MetadataImage};
use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::frame::encode_request;
use crate::wire::header::{RequestHeader, decode_response_header};
use crate::wire::messages::ControllerRequest as _;
use crate::wire::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use crate::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use crate::wire::reader::{DecodeError, Reader};

/// A client that gives the controller no time at all still gets this much: the usual answer takes
/// milliseconds, and a time-out would leave it in doubt for nothing.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_mins(5);
/// How long a block of producer ids may take: a producer waits, and asks again.
const PRODUCER_IDS_WITHIN: Duration = Duration::from_secs(5);
/// How long a client's request may wait for another node's answer: Kafka's request.timeout.ms.
const FORWARD_WITHIN: Duration = Duration::from_secs(30);
/// How long an answer waits for this broker's own replicas.
const APPLY_PATIENCE: Duration = Duration::from_secs(1);
/// Longer than a controller's change takes; who asks for a topic by needing it names no time.
const CREATE_TIMEOUT_MS: i32 = 5_000;

/// The handles of the admin requests.
#[derive(Debug)]
pub struct Admin {
    /// The cluster's id, as clients see it.
    pub cluster_id: Arc<str>,
    /// Where commands go.
    pub controller: ControllerHandle,
    /// The quorum's state.
    pub quorum: Arc<dyn QuorumView>,
    /// The way to a controller on another node; without one this node is its own.
    channel: Option<ControllerChannel>,
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
            channel: None,
            producer_ids: Mutex::new(None),
        }
    }

    /// With a way to the controllers of other nodes.
    #[must_use]
    pub fn with_channel(self, channel: ControllerChannel) -> Self {
        Self {
            channel: Some(channel),
            ..self
        }
    }

    /// Where the registration of this process is told.
    pub(super) fn registration(&self) -> watch::Sender<Option<BrokerEpoch>> {
        let channel = self.channel.as_ref();
        channel.map_or_else(|| watch::Sender::new(None), ControllerChannel::registration)
    }

    /// Whether requests for the controller go to another node.
    fn elsewhere(&self) -> Option<&ControllerChannel> {
        let metrics = self.quorum.metrics();
        let channel = self.channel.as_ref();
        channel.filter(|_| metrics.leader != Some(metrics.node))
    }
}

impl From<Unanswered> for ControllerError {
    fn from(error: Unanswered) -> Self {
        match error {
            Unanswered::NoController | Unanswered::TooLarge => Self::NotController { leader: None },
            Unanswered::OutcomeUnknown => Self::OutcomeUnknown,
            Unanswered::Diverged => Self::Stopping,
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
        let Some(channel) = &self.admin.channel else {
            let allocated = self.admin.controller.allocate_producer_ids(self.id, epoch);
            return self.ask(0, allocated).await?.map_err(|error| NoAnswer {
                code: ErrorCode::from(&error),
                message: error.to_string(),
            });
        };
        let request = AllocateProducerIdsRequest {
            broker_id: self.id.get(),
            broker_epoch: epoch.get(),
        };
        let answered = channel.ask(&request, PRODUCER_IDS_WITHIN).await;
        let body = answered.map_err(ControllerError::from)?.body;
        let version = AllocateProducerIdsRequest::API.served().max;
        let response = AllocateProducerIdsResponse::decode(&mut Reader::new(&body), version);
        let response = response.map_err(|_| ControllerError::Internal)?;
        match response.error_code {
            ErrorCode::None => Ok(ProducerIdBlock {
                first: response.producer_id_start,
                count: response.producer_id_len,
            }),
            code => Err(NoAnswer {
                code,
                message: code.message().to_owned(),
            }),
        }
    }

    /// Has the controller on another node answer a client's request, and waits until this broker shows what it did.
    /// `None`: this node is to answer it.
    pub(crate) async fn forwarded(
        &self,
        connection: &ConnectionContext,
        frame: &[u8],
    ) -> Option<Result<Vec<u8>, ControllerError>> {
        let channel = self.admin.elsewhere()?;
        let request = ClientRequest {
            listener: connection.listener.clone(),
            principal: connection.principal.clone(),
            client: connection.peer.to_string(),
            frame: frame.to_vec(),
        };
        match channel.forward(request, FORWARD_WITHIN).await {
            Ok(answered) => {
                self.metadata
                    .reached(answered.version, APPLY_PATIENCE)
                    .await;
                self.caught_up().await;
                Some(Ok(answered.body))
            }
            // This node may lead by now; if not, it says so itself.
            Err(Unanswered::NoController | Unanswered::TooLarge) => None,
            Err(error) => Some(Err(error.into())),
        }
    }

    /// Creates topics that clients need; why some were not created, as far as that is known. Somebody else may be faster.
    pub(crate) async fn create(
        &self,
        connection: &ConnectionContext,
        topics: Vec<NewTopic>,
    ) -> BTreeMap<String, ErrorCode> {
        if let Some(answered) = self.create_elsewhere(connection, &topics).await {
            let refused =
                |code: &ErrorCode| !matches!(code, ErrorCode::None | ErrorCode::TopicAlreadyExists);
            let refusals = answered.into_iter().filter(|(_, code)| refused(code));
            return refusals.collect();
        }
        let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        let command = CreateTopics {
            topics,
            validate_only: false,
        };
        let created = self.admin.controller.create_topics(command);
        let mut refusals = BTreeMap::new();
        match self.ask(CREATE_TIMEOUT_MS, created).await {
            Ok(outcome) => {
                self.caught_up().await;
                for (name, result) in names.into_iter().zip(outcome) {
                    match result {
                        Ok(_) | Err(CreateTopicError::Exists { .. }) => {}
                        Err(error) => {
                            refusals.insert(name, (&error).into());
                        }
                    }
                }
            }
            // They may come into being yet: "unknown" is what makes clients look again.
            Err(error) => tracing::info!(message = error.message, "topics were not created"),
        }
        refusals
    }

    /// Has the controller on another node create topics; their codes, as far as it answered. `None`: this node is to
    /// create them.
    async fn create_elsewhere(
        &self,
        connection: &ConnectionContext,
        topics: &[NewTopic],
    ) -> Option<Vec<(String, ErrorCode)>> {
        self.admin.elsewhere()?;
        let answer = self.forwarded(connection, &creation(topics)?).await?;
        match answer.map(|answer| created(&answer)) {
            Ok(Ok(topics)) => Some(topics),
            // They may come into being yet: "unknown" is what makes clients look again.
            Ok(Err(error)) => {
                tracing::warn!(%error, "the controller's answer can't be read");
                Some(Vec::new())
            }
            Err(error) => {
                tracing::info!(%error, "topics were not created");
                Some(Vec::new())
            }
        }
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
                    .is_some_and(|broker| is_shown(broker))
            })
            .unwrap_or(self.id)
    }
}

/// A request for topics whose replicas the controller places, without its size.
fn creation(topics: &[NewTopic]) -> Option<Vec<u8>> {
    let api = ApiKey::CreateTopics;
    let header = RequestHeader {
        api,
        version: api.served().max,
        correlation_id: 0,
        client_id: None,
    };
    let topics = topics.iter().map(|topic| {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: name.as_str().into(),
                value: value.as_deref().map(Into::into),
            });
        CreatableTopic {
            name: topic.name.as_str().into(),
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: configs.collect(),
            ..CreatableTopic::default()
        }
    });
    let request = CreateTopicsRequest {
        topics: topics.collect(),
        ..CreateTopicsRequest::default()
    };
    let frame = encode_request(&header, |writer| request.encode(writer, header.version));
    let bytes = frame.ok()?.into_bytes()?;
    bytes.get(4..).map(Into::into)
}

/// The topics of an answer to [`creation`], with their codes.
fn created(answer: &[u8]) -> Result<Vec<(String, ErrorCode)>, DecodeError> {
    let api = ApiKey::CreateTopics;
    let mut reader = Reader::new(answer);
    decode_response_header(&mut reader, api, api.served().max)?;
    let response = CreateTopicsResponse::decode(&mut reader, api.served().max)?;
    let topics = response.topics.into_iter();
    let coded = topics.map(|topic| (topic.name.into_owned(), topic.error_code));
    Ok(coded.collect())
}

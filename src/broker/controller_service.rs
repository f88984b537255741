//! What this node answers to brokers while it is the controller: from the bytes of a call to those of its answer.
//!
//! - A call of another cluster, or meant for another node, is not looked at any further; nor is any while this node
//!   does not lead.
//! - A sender whose image differs from ours of the same version follows another history, and is told to end (M1).
//! - Whether the controller accepts a command is the controller's business; here are only its words in the protocol.

use std::sync::Arc;

use ottla_storage::ids::DirectoryId;
use uuid::Uuid;

use super::admin::NoAnswer;
use crate::controller::command::{
    AlterPartition, AlterPartitionError, AlterPartitionOne, AlteredPartition, AssignReplicas,
    AssignedReplica, Heartbeat, RegisterBroker,
};
use crate::controller::{ControllerError, ControllerHandle, QuorumView};
use crate::metadata::image::FeatureRange;
use crate::metadata::record::{EndpointRecord, FEATURE};
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, Incarnation, Publisher, TopicId};
use crate::wire::api::ControllerApi;
use crate::wire::envelope::{Answer, BrokerCall, Envelope};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::allocate_producer_ids::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse,
};
use crate::wire::messages::alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, PartitionData, TopicData,
};
use crate::wire::messages::assign_replicas_to_dirs::{
    self, AssignReplicasToDirsRequest, AssignReplicasToDirsResponse,
};
use crate::wire::messages::broker_heartbeat::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};
use crate::wire::messages::broker_registration::{
    BrokerRegistrationRequest, BrokerRegistrationResponse,
};
use crate::wire::reader::{DecodeError, Reader};
use crate::wire::writer::{Segments, Writer};

/// The controller's side of the calls. Clones are the same one.
#[derive(Clone, Debug)]
pub struct ControllerService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: BrokerId,
    cluster: Uuid,
    cluster_id: Arc<str>,
    controller: ControllerHandle,
    quorum: Arc<dyn QuorumView>,
    metadata: Publisher,
}

/// An answer, and whose call it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The body of the answer.
    pub bytes: Vec<u8>,
    /// A registration that the controller has just vouched for: its process is at the other end.
    pub broker: Option<(BrokerId, BrokerEpoch)>,
}

/// Why a call has no answer in Kafka's words.
enum Refused {
    NotController(Option<BrokerId>),
    Malformed(DecodeError),
    UnknownApi { key: i16, version: i16 },
}

impl From<DecodeError> for Refused {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// The broker that a response vouches for, and its bytes.
type Response = (Option<(BrokerId, BrokerEpoch)>, Vec<u8>);

impl ControllerService {
    /// The service of a node.
    pub fn new(
        node: BrokerId,
        (cluster, cluster_id): (Uuid, Arc<str>),
        controller: ControllerHandle,
        quorum: Arc<dyn QuorumView>,
        metadata: Publisher,
    ) -> Self {
        Self(Arc::new(Inner {
            node,
            cluster,
            cluster_id,
            controller,
            quorum,
            metadata,
        }))
    }

    pub(crate) fn node(&self) -> BrokerId {
        self.0.node
    }

    pub(crate) fn cluster(&self) -> Uuid {
        self.0.cluster
    }

    pub(crate) fn metadata(&self) -> &Publisher {
        &self.0.metadata
    }

    /// The connection of a registered broker has ended: is the process still there?
    pub fn suspect(&self, broker: BrokerId, epoch: BrokerEpoch) {
        self.0.controller.suspect(broker, epoch);
    }

    /// Why a call is not for this node now; `None` if it is.
    pub(crate) fn refusal(&self, envelope: &Envelope) -> Option<Answer<'static>> {
        if envelope.cluster != self.0.cluster || envelope.addressee != self.0.node.get() {
            return Some(Answer::Stranger);
        }
        let metrics = self.0.quorum.metrics();
        if metrics.leader != Some(metrics.node) {
            let leader = metrics.leader.and_then(|node| i32::try_from(node.0).ok());
            return Some(Answer::NotController { leader });
        }
        let image = self.0.metadata.load();
        let is_diverged =
            envelope.image_version == image.version().0 && envelope.image_digest != image.digest();
        if is_diverged {
            let version = image.version();
            tracing::error!(sender = envelope.sender, %version, "a broker's metadata differ from the controller's");
            return Some(Answer::Diverged);
        }
        None
    }

    /// The body of an answer: of what was done, and this node's image by now.
    pub(crate) fn answered(&self, body: &[u8]) -> Vec<u8> {
        let image_version = self.0.metadata.load().version().0;
        encode(&Answer::Ok {
            image_version,
            body,
        })
    }

    /// Answers the call of a broker for itself.
    pub async fn answer(&self, body: &[u8]) -> Served {
        let call = match BrokerCall::decode(body) {
            Ok(call) => call,
            Err(error) => {
                tracing::warn!(%error, "a broker's call can't be read");
                return unanswerable();
            }
        };
        if let Some(refusal) = self.refusal(&call.envelope) {
            return Served {
                bytes: encode(&refusal),
                broker: None,
            };
        }
        match self.respond(&call).await {
            Ok((broker, body)) => Served {
                bytes: self.answered(&body),
                broker,
            },
            Err(Refused::NotController(leader)) => {
                let leader = leader.map(BrokerId::get);
                Served {
                    bytes: encode(&Answer::NotController { leader }),
                    broker: None,
                }
            }
            Err(Refused::Malformed(error)) => {
                tracing::warn!(sender = call.envelope.sender, key = call.api_key, %error, "a broker's call can't be read");
                unanswerable()
            }
            Err(Refused::UnknownApi { key, version }) => {
                tracing::warn!(
                    sender = call.envelope.sender,
                    key,
                    version,
                    "a broker's call is of an unknown kind"
                );
                unanswerable()
            }
        }
    }

    async fn respond(&self, call: &BrokerCall<'_>) -> Result<Response, Refused> {
        let (key, version) = (call.api_key, call.api_version);
        let api = ControllerApi::from_code(key).filter(|api| api.served().contains(version));
        let mut reader = Reader::new(call.message);
        match api.ok_or(Refused::UnknownApi { key, version })? {
            ControllerApi::BrokerRegistration => {
                let request = BrokerRegistrationRequest::decode(&mut reader, version)?;
                let (broker, response) = self.register(&request).await?;
                Ok((broker, message(|writer| response.encode(writer, version))))
            }
            ControllerApi::BrokerHeartbeat => {
                let request = BrokerHeartbeatRequest::decode(&mut reader, version)?;
                let (broker, response) = self.heartbeat(&request).await?;
                Ok((broker, message(|writer| response.encode(writer, version))))
            }
            ControllerApi::AlterPartition => {
                let request = AlterPartitionRequest::decode(&mut reader, version)?;
                let response = self.alter_partition(&request).await?;
                Ok((None, message(|writer| response.encode(writer, version))))
            }
            ControllerApi::AssignReplicasToDirs => {
                let request = AssignReplicasToDirsRequest::decode(&mut reader, version)?;
                let response = self.assign_replicas(&request).await?;
                Ok((None, message(|writer| response.encode(writer, version))))
            }
            ControllerApi::AllocateProducerIds => {
                let request = AllocateProducerIdsRequest::decode(&mut reader, version)?;
                let response = self.allocate_producer_ids(&request).await?;
                Ok((None, message(|writer| response.encode(writer, version))))
            }
        }
    }

    async fn register(
        &self,
        request: &BrokerRegistrationRequest<'_>,
    ) -> Result<(Option<(BrokerId, BrokerEpoch)>, BrokerRegistrationResponse), Refused> {
        let refused = |error_code| {
            let response = BrokerRegistrationResponse {
                error_code,
                ..BrokerRegistrationResponse::default()
            };
            Ok((None, response))
        };
        if *request.cluster_id != *self.0.cluster_id {
            return refused(ErrorCode::InconsistentClusterId);
        }
        let Some(command) = registration(request) else {
            return refused(ErrorCode::InvalidRegistration);
        };
        let broker = command.broker;
        match unless_not_controller(self.0.controller.register_broker(command).await)? {
            Ok(Ok(epoch)) => Ok((
                Some((broker, epoch)),
                BrokerRegistrationResponse {
                    broker_epoch: epoch.get(),
                    ..BrokerRegistrationResponse::default()
                },
            )),
            Ok(Err(error)) => {
                tracing::info!(%broker, %error, "a registration was refused");
                refused((&error).into())
            }
            Err(code) => refused(code),
        }
    }

    async fn heartbeat(
        &self,
        request: &BrokerHeartbeatRequest,
    ) -> Result<(Option<(BrokerId, BrokerEpoch)>, BrokerHeartbeatResponse), Refused> {
        let refused = |error_code| {
            let response = BrokerHeartbeatResponse {
                error_code,
                ..BrokerHeartbeatResponse::default()
            };
            Ok((None, response))
        };
        let named = known(request.broker_id, request.broker_epoch);
        let Some((broker, epoch)) = named else {
            return refused(ErrorCode::StaleBrokerEpoch);
        };
        let dirs = request.offline_log_dirs.iter().copied();
        let command = Heartbeat {
            broker,
            epoch,
            applied: ImageVersion(u64::try_from(request.current_metadata_offset).unwrap_or(0)),
            wants_fence: request.want_fence,
            wants_shut_down: request.want_shut_down,
            offline_directories: dirs.map(DirectoryId::new).collect(),
        };
        match unless_not_controller(self.0.controller.heartbeat(command).await)? {
            Ok(Ok(answer)) => Ok((
                Some((broker, epoch)),
                BrokerHeartbeatResponse {
                    is_caught_up: answer.is_caught_up,
                    is_fenced: answer.is_fenced,
                    should_shut_down: answer.should_shut_down,
                    ..BrokerHeartbeatResponse::default()
                },
            )),
            // A broker that nobody knows has to register, as one that is known by another epoch.
            Ok(Err(_)) => refused(ErrorCode::StaleBrokerEpoch),
            Err(code) => refused(code),
        }
    }

    async fn alter_partition(
        &self,
        request: &AlterPartitionRequest,
    ) -> Result<AlterPartitionResponse, Refused> {
        let refused = |error_code| {
            Ok(AlterPartitionResponse {
                error_code,
                ..AlterPartitionResponse::default()
            })
        };
        let Some((broker, epoch)) = known(request.broker_id, request.broker_epoch) else {
            return refused(ErrorCode::StaleBrokerEpoch);
        };
        let command = altering((broker, epoch), request);
        match unless_not_controller(self.0.controller.alter_partition(command).await)? {
            Ok(Ok(topics)) => {
                let topics = topics.into_iter().map(|(topic, partitions)| TopicData {
                    topic_id: topic.uuid(),
                    partitions: partitions
                        .into_iter()
                        .map(|(partition, result)| partition_data(partition, result))
                        .collect(),
                });
                Ok(AlterPartitionResponse {
                    topics: topics.collect(),
                    ..AlterPartitionResponse::default()
                })
            }
            Ok(Err(_)) => refused(ErrorCode::StaleBrokerEpoch),
            Err(code) => refused(code),
        }
    }

    async fn assign_replicas(
        &self,
        request: &AssignReplicasToDirsRequest,
    ) -> Result<AssignReplicasToDirsResponse, Refused> {
        let refused = |error_code| {
            Ok(AssignReplicasToDirsResponse {
                error_code,
                ..AssignReplicasToDirsResponse::default()
            })
        };
        let Some((broker, epoch)) = known(request.broker_id, request.broker_epoch) else {
            return refused(ErrorCode::StaleBrokerEpoch);
        };
        let directories = request.directories.iter().map(|directory| {
            let topics = directory.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter();
                let partitions = partitions.map(|one| one.partition_index).collect();
                (TopicId::new(topic.topic_id), partitions)
            });
            (DirectoryId::new(directory.id), topics.collect())
        });
        let command = AssignReplicas {
            broker,
            epoch,
            directories: directories.collect(),
        };
        match unless_not_controller(self.0.controller.assign_replicas(command).await)? {
            Ok(Ok(assigned)) => Ok(AssignReplicasToDirsResponse {
                directories: assigned.into_iter().map(directory_data).collect(),
                ..AssignReplicasToDirsResponse::default()
            }),
            Ok(Err(_)) => refused(ErrorCode::StaleBrokerEpoch),
            Err(code) => refused(code),
        }
    }

    async fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> Result<AllocateProducerIdsResponse, Refused> {
        let refused = |error_code| {
            Ok(AllocateProducerIdsResponse {
                error_code,
                ..AllocateProducerIdsResponse::default()
            })
        };
        let Some((broker, epoch)) = known(request.broker_id, request.broker_epoch) else {
            return refused(ErrorCode::StaleBrokerEpoch);
        };
        let allocated = self.0.controller.allocate_producer_ids(broker, epoch).await;
        match unless_not_controller(allocated)? {
            Ok(Ok(block)) => Ok(AllocateProducerIdsResponse {
                producer_id_start: block.first,
                producer_id_len: block.count,
                ..AllocateProducerIdsResponse::default()
            }),
            Ok(Err(error)) => refused((&error).into()),
            Err(code) => refused(code),
        }
    }
}

/// Sorts out what another node may answer; what only this one can is a code.
fn unless_not_controller<T>(
    answer: Result<T, ControllerError>,
) -> Result<Result<T, ErrorCode>, Refused> {
    match answer {
        Ok(outcome) => Ok(Ok(outcome)),
        Err(ControllerError::NotController { leader }) => Err(Refused::NotController(leader)),
        Err(error) => Ok(Err(NoAnswer::from(error).code)),
    }
}

fn known(broker: i32, epoch: i64) -> Option<(BrokerId, BrokerEpoch)> {
    BrokerId::from_wire(broker).zip(BrokerEpoch::from_wire(epoch))
}

/// The command in a request of a registered broker.
pub fn altering(
    (broker, epoch): (BrokerId, BrokerEpoch),
    request: &AlterPartitionRequest,
) -> AlterPartition {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|one| AlterPartitionOne {
            partition: one.partition_index,
            leader_epoch: one.leader_epoch,
            partition_epoch: one.partition_epoch,
            // Before version 3 the members have no epochs.
            isr: if one.new_isr_with_epochs.is_empty() {
                one.new_isr.iter().map(|member| (*member, -1)).collect()
            } else {
                let members = one.new_isr_with_epochs.iter();
                members
                    .map(|member| (member.broker_id, member.broker_epoch))
                    .collect()
            },
            recovery_state: one.leader_recovery_state,
        });
        (TopicId::new(topic.topic_id), partitions.collect())
    });
    AlterPartition {
        broker,
        epoch,
        topics: topics.collect(),
    }
}

fn registration(request: &BrokerRegistrationRequest<'_>) -> Option<RegisterBroker> {
    let feature = request
        .features
        .iter()
        .find(|feature| *feature.name == *FEATURE);
    let feature = feature.map_or((0, 0), |feature| {
        (feature.min_supported_version, feature.max_supported_version)
    });
    let endpoints = request.listeners.iter().map(|listener| EndpointRecord {
        listener: listener.name.to_string(),
        host: listener.host.to_string(),
        port: listener.port,
        security_protocol: listener.security_protocol,
    });
    Some(RegisterBroker {
        broker: BrokerId::from_wire(request.broker_id)?,
        incarnation: Incarnation(request.incarnation_id),
        previous_epoch: BrokerEpoch::from_wire(request.previous_broker_epoch),
        endpoints: endpoints.collect(),
        rack: request.rack.as_ref().map(ToString::to_string),
        directories: request
            .log_dirs
            .iter()
            .copied()
            .map(DirectoryId::new)
            .collect(),
        feature: FeatureRange {
            min: u16::try_from(feature.0).ok()?,
            max: u16::try_from(feature.1).ok()?,
        },
    })
}

/// One partition's result in the words of the protocol.
pub fn partition_data(
    partition_index: i32,
    result: Result<AlteredPartition, AlterPartitionError>,
) -> PartitionData {
    match result {
        Ok(now) => PartitionData {
            partition_index,
            error_code: ErrorCode::None,
            leader_id: BrokerId::to_wire(now.leader),
            leader_epoch: now.leader_epoch.get(),
            isr: now.isr.into_iter().map(BrokerId::get).collect(),
            leader_recovery_state: now.recovery_state as i8,
            partition_epoch: now.partition_epoch.get(),
        },
        Err(error) => PartitionData {
            partition_index,
            error_code: (&error).into(),
            ..PartitionData::default()
        },
    }
}

fn directory_data(
    (id, topics): (DirectoryId, Vec<(TopicId, Vec<AssignedReplica>)>),
) -> assign_replicas_to_dirs::DirectoryData {
    let partition = |(partition_index, result): AssignedReplica| {
        let error_code = match result {
            Ok(()) => ErrorCode::None,
            Err(error) => (&error).into(),
        };
        assign_replicas_to_dirs::PartitionData {
            partition_index,
            error_code,
        }
    };
    let topics = topics.into_iter();
    assign_replicas_to_dirs::DirectoryData {
        id: id.uuid(),
        topics: topics
            .map(|(topic, partitions)| assign_replicas_to_dirs::TopicData {
                topic_id: topic.uuid(),
                partitions: partitions.into_iter().map(partition).collect(),
            })
            .collect(),
    }
}

fn message(write: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    write(&mut writer);
    let bytes = writer.finish().ok().and_then(Segments::into_bytes);
    // Nothing here is as long as a frame can be.
    bytes.unwrap_or_default().into()
}

fn unanswerable() -> Served {
    Served {
        bytes: encode(&Answer::Unanswerable),
        broker: None,
    }
}

/// The body of an answer; one that is too long for a frame can't be given.
pub(crate) fn encode(answer: &Answer<'_>) -> Vec<u8> {
    let encoded = answer.encode().or_else(|_| Answer::Unanswerable.encode());
    encoded.unwrap_or_default()
}

//! What a broker says about the cluster, as owned values.

use std::collections::BTreeMap;

use crate::wire::Uuid;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::metadata::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};

use super::address::HostPort;
use super::error::ClientError;

#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    pub(crate) brokers: BTreeMap<i32, Broker>,
    pub(crate) topics: BTreeMap<String, Topic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) address: HostPort,
    pub(crate) rack: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) error: ErrorCode,
    pub(crate) id: Uuid,
    pub(crate) is_internal: bool,
    pub(crate) partitions: BTreeMap<i32, Partition>,
}

#[derive(Clone, Debug)]
pub(crate) struct Partition {
    pub(crate) error: ErrorCode,
    /// None while the partition has no leader.
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
    pub(crate) offline: Vec<i32>,
}

impl Metadata {
    pub(super) fn of(response: &MetadataResponse<'_>) -> Self {
        let brokers = response.brokers.iter().filter_map(|broker| {
            // A port outside of 1-65535 cannot be dialled: such a broker counts as absent.
            let port = u16::try_from(broker.port).ok().filter(|port| *port > 0)?;
            let host = broker.host.clone().into_owned();
            let address = HostPort { host, port };
            let rack = broker.rack.as_ref().map(ToString::to_string);
            Some((broker.node_id, Broker { address, rack }))
        });
        let topics = response.topics.iter().filter_map(|topic| {
            let name = topic.name.as_ref()?.to_string();
            Some((name, Topic::of(topic)))
        });
        Self {
            brokers: brokers.collect(),
            topics: topics.collect(),
        }
    }

    /// The partitions of all topics.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        let topics = self.topics.values();
        topics.flat_map(|topic| topic.partitions.values())
    }

    /// Whether a partition has a leader that is alive.
    pub(crate) fn is_available(&self, partition: &Partition) -> bool {
        let leader = partition.leader;
        leader.is_some_and(|leader| self.brokers.contains_key(&leader))
    }

    /// The topic with this name, or why there is none.
    pub(crate) fn existing(&self, name: &str) -> Result<&Topic, ClientError> {
        let code = match self.topics.get(name) {
            Some(topic) if !topic.error.is_error() => return Ok(topic),
            Some(topic) => topic.error,
            None => ErrorCode::UnknownTopicOrPartition,
        };
        let topic = name.to_owned();
        Err(ClientError::Topic { topic, code })
    }
}

impl Topic {
    fn of(topic: &MetadataResponseTopic<'_>) -> Self {
        let partitions = topic.partitions.iter();
        Self {
            error: topic.error_code,
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions: partitions
                .map(|partition| (partition.partition_index, Partition::of(partition)))
                .collect(),
        }
    }

    /// How many partitions keys are spread over: all of them, with a leader or without.
    pub(crate) fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }
}

impl Partition {
    fn of(partition: &MetadataResponsePartition) -> Self {
        Self {
            error: partition.error_code,
            leader: Some(partition.leader_id).filter(|id| *id >= 0),
            leader_epoch: partition.leader_epoch,
            replicas: partition.replica_nodes.clone(),
            isr: partition.isr_nodes.clone(),
            offline: partition.offline_replicas.clone(),
        }
    }

    pub(crate) fn is_under_replicated(&self) -> bool {
        self.isr.len() < self.replicas.len()
    }

    /// Kafka's meaning: also a partition that has no leader to say so.
    pub(crate) fn is_under_min_isr(&self, min_isr: Option<usize>) -> bool {
        self.leader.is_none() || min_isr.is_some_and(|min_isr| self.isr.len() < min_isr)
    }
}

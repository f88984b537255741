//! `Metadata` (key 3), versions 0-13, flexible from 9: generated from
//! `src/wire/schema/metadata.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequest<'a> {
    pub topics: Option<Vec<MetadataRequestTopic<'a>>>,
    pub allow_auto_topic_creation: bool,
    pub include_cluster_authorized_operations: bool,
    pub include_topic_authorized_operations: bool,
}

impl Default for MetadataRequest<'_> {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl<'a> MetadataRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 9);
        let mut m = Self::default();
        m.topics = r.nullable_array(v >= 1, |r| MetadataRequestTopic::decode(r, v))?;
        if v >= 4 {
            m.allow_auto_topic_creation = r.bool()?;
        }
        if (8..=10).contains(&v) {
            m.include_cluster_authorized_operations = r.bool()?;
        }
        if v >= 8 {
            m.include_topic_authorized_operations = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 9);
        w.nullable_array(v >= 1, self.topics.as_deref(), |w, e| e.encode(w, v));
        if v >= 4 {
            w.bool(self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&v) {
            w.bool(self.include_cluster_authorized_operations);
        }
        if v >= 8 {
            w.bool(self.include_topic_authorized_operations);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataRequestTopic<'a> {
    pub topic_id: Uuid,
    pub name: Option<Cow<'a, str>>,
}

impl Default for MetadataRequestTopic<'_> {
    fn default() -> Self {
        Self {
            topic_id: Uuid::nil(),
            name: Some(Cow::Borrowed("")),
        }
    }
}

impl<'a> MetadataRequestTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.name = r.nullable_string(v >= 10)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        w.nullable_string(v >= 10, self.name.as_deref());
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponse<'a> {
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker<'a>>,
    pub cluster_id: Option<Cow<'a, str>>,
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic<'a>>,
    pub cluster_authorized_operations: i32,
    pub error_code: ErrorCode,
}

impl Default for MetadataResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: i32::MIN,
            error_code: ErrorCode::None,
        }
    }
}

impl<'a> MetadataResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 9);
        let mut m = Self::default();
        if v >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        m.brokers = r.array(|r| MetadataResponseBroker::decode(r, v))?;
        if v >= 2 {
            m.cluster_id = r.nullable_string(true)?;
        }
        if v >= 1 {
            m.controller_id = r.i32()?;
        }
        m.topics = r.array(|r| MetadataResponseTopic::decode(r, v))?;
        if (8..=10).contains(&v) {
            m.cluster_authorized_operations = r.i32()?;
        }
        if v >= 13 {
            m.error_code = r.error_code()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 9);
        if v >= 3 {
            w.i32(self.throttle_time_ms);
        }
        w.array(&self.brokers, |w, e| e.encode(w, v));
        if v >= 2 {
            w.nullable_string(true, self.cluster_id.as_deref());
        }
        if v >= 1 {
            w.i32(self.controller_id);
        }
        w.array(&self.topics, |w, e| e.encode(w, v));
        if (8..=10).contains(&v) {
            w.i32(self.cluster_authorized_operations);
        }
        if v >= 13 {
            w.error_code(self.error_code);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MetadataResponseBroker<'a> {
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
}

impl<'a> MetadataResponseBroker<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string()?;
        m.port = r.i32()?;
        if v >= 1 {
            m.rack = r.nullable_string(true)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        if v >= 1 {
            w.nullable_string(true, self.rack.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponseTopic<'a> {
    pub error_code: ErrorCode,
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic<'_> {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            name: Some(Cow::Borrowed("")),
            topic_id: Uuid::nil(),
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: i32::MIN,
        }
    }
}

impl<'a> MetadataResponseTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.name = r.nullable_string(v >= 12)?;
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        if v >= 1 {
            m.is_internal = r.bool()?;
        }
        m.partitions = r.array(|r| MetadataResponsePartition::decode(r, v))?;
        if v >= 8 {
            m.topic_authorized_operations = r.i32()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.error_code(self.error_code);
        w.nullable_string(v >= 12, self.name.as_deref());
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        if v >= 1 {
            w.bool(self.is_internal);
        }
        w.array(&self.partitions, |w, e| e.encode(w, v));
        if v >= 8 {
            w.i32(self.topic_authorized_operations);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataResponsePartition {
    pub error_code: ErrorCode,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl MetadataResponsePartition {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.partition_index = r.i32()?;
        m.leader_id = r.i32()?;
        if v >= 7 {
            m.leader_epoch = r.i32()?;
        }
        m.replica_nodes = r.array(Reader::i32)?;
        m.isr_nodes = r.array(Reader::i32)?;
        if v >= 5 {
            m.offline_replicas = r.array(Reader::i32)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.error_code(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        if v >= 7 {
            w.i32(self.leader_epoch);
        }
        w.array(&self.replica_nodes, |w, e| w.i32(*e));
        w.array(&self.isr_nodes, |w, e| w.i32(*e));
        if v >= 5 {
            w.array(&self.offline_replicas, |w, e| w.i32(*e));
        }
        w.no_tags();
    }
}

impl Request for MetadataRequest<'_> {
    const API: ApiKey = ApiKey::Metadata;
    type Response<'r> = MetadataResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

//! `DescribeQuorum` (key 55), versions 0-2, flexible from 0: generated from
//! `src/wire/schema/describe_quorum.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DescribeQuorumRequest<'a> {
    pub topics: Vec<RequestedTopicData<'a>>,
}

impl<'a> DescribeQuorumRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.topics = r.array(|r| RequestedTopicData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedTopicData<'a> {
    pub topic_name: Cow<'a, str>,
    pub partitions: Vec<RequestedPartitionData>,
}

impl<'a> RequestedTopicData<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = r.string()?;
        m.partitions = r.array(|r| RequestedPartitionData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic_name);
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedPartitionData {
    pub partition_index: i32,
}

impl RequestedPartitionData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeQuorumResponse<'a> {
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
    pub topics: Vec<TopicData<'a>>,
    pub nodes: Vec<Node<'a>>,
}

impl Default for DescribeQuorumResponse<'_> {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
            topics: Vec::new(),
            nodes: Vec::new(),
        }
    }
}

impl<'a> DescribeQuorumResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        if v >= 2 {
            m.error_message = r.nullable_string(true)?;
        }
        m.topics = r.array(|r| TopicData::decode(r, v))?;
        if v >= 2 {
            m.nodes = r.array(|r| Node::decode(r, v))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.error_code(self.error_code);
        if v >= 2 {
            w.nullable_string(true, self.error_message.as_deref());
        }
        w.array(&self.topics, |w, e| e.encode(w, v));
        if v >= 2 {
            w.array(&self.nodes, |w, e| e.encode(w, v));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicData<'a> {
    pub topic_name: Cow<'a, str>,
    pub partitions: Vec<PartitionData<'a>>,
}

impl<'a> TopicData<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = r.string()?;
        m.partitions = r.array(|r| PartitionData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic_name);
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionData<'a> {
    pub partition_index: i32,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
}

impl Default for PartitionData<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
            leader_id: 0,
            leader_epoch: 0,
            high_watermark: 0,
            current_voters: Vec::new(),
            observers: Vec::new(),
        }
    }
}

impl<'a> PartitionData<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        if v >= 2 {
            m.error_message = r.nullable_string(true)?;
        }
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.high_watermark = r.i64()?;
        m.current_voters = r.array(|r| ReplicaState::decode(r, v))?;
        m.observers = r.array(|r| ReplicaState::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        if v >= 2 {
            w.nullable_string(true, self.error_message.as_deref());
        }
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.i64(self.high_watermark);
        w.array(&self.current_voters, |w, e| e.encode(w, v));
        w.array(&self.observers, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    pub last_fetch_timestamp: i64,
    pub last_caught_up_timestamp: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: 0,
            replica_directory_id: Uuid::nil(),
            log_end_offset: 0,
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
        }
    }
}

impl ReplicaState {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.replica_id = r.i32()?;
        if v >= 2 {
            m.replica_directory_id = r.uuid()?;
        }
        m.log_end_offset = r.i64()?;
        if v >= 1 {
            m.last_fetch_timestamp = r.i64()?;
        }
        if v >= 1 {
            m.last_caught_up_timestamp = r.i64()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.replica_id);
        if v >= 2 {
            w.uuid(self.replica_directory_id);
        }
        w.i64(self.log_end_offset);
        if v >= 1 {
            w.i64(self.last_fetch_timestamp);
        }
        if v >= 1 {
            w.i64(self.last_caught_up_timestamp);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Node<'a> {
    pub node_id: i32,
    pub listeners: Vec<Listener<'a>>,
}

impl<'a> Node<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.listeners = r.array(|r| Listener::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.node_id);
        w.array(&self.listeners, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listener<'a> {
    pub name: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub port: u16,
}

impl<'a> Listener<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.host = r.string()?;
        m.port = r.u16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.string(&self.host);
        w.u16(self.port);
        w.no_tags();
    }
}

impl Request for DescribeQuorumRequest<'_> {
    const API: ApiKey = ApiKey::DescribeQuorum;
    type Response<'r> = DescribeQuorumResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

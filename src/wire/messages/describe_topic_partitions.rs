//! `DescribeTopicPartitions` (key 75), versions 0-0, flexible from 0: generated from
//! `src/wire/schema/describe_topic_partitions.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsRequest<'a> {
    pub topics: Vec<TopicRequest<'a>>,
    pub response_partition_limit: i32,
    pub cursor: Option<RequestedCursor<'a>>,
}

impl Default for DescribeTopicPartitionsRequest<'_> {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            response_partition_limit: 2000,
            cursor: None,
        }
    }
}

impl<'a> DescribeTopicPartitionsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.topics = r.array(|r| TopicRequest::decode(r, v))?;
        m.response_partition_limit = r.i32()?;
        m.cursor = r.nullable_struct(|r| RequestedCursor::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.i32(self.response_partition_limit);
        w.nullable_struct(self.cursor.as_ref(), |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicRequest<'a> {
    pub name: Cow<'a, str>,
}

impl<'a> TopicRequest<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedCursor<'a> {
    pub topic_name: Cow<'a, str>,
    pub partition_index: i32,
}

impl<'a> RequestedCursor<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = r.string()?;
        m.partition_index = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic_name);
        w.i32(self.partition_index);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DescribeTopicPartitionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
    pub next_cursor: Option<Cursor<'a>>,
}

impl<'a> DescribeTopicPartitionsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(|r| DescribeTopicPartitionsResponseTopic::decode(r, v))?;
        m.next_cursor = r.nullable_struct(|r| Cursor::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.nullable_struct(self.next_cursor.as_ref(), |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponseTopic<'a> {
    pub error_code: ErrorCode,
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic<'_> {
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

impl<'a> DescribeTopicPartitionsResponseTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.name = r.nullable_string(true)?;
        m.topic_id = r.uuid()?;
        m.is_internal = r.bool()?;
        m.partitions = r.array(|r| DescribeTopicPartitionsResponsePartition::decode(r, v))?;
        m.topic_authorized_operations = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.error_code(self.error_code);
        w.nullable_string(true, self.name.as_deref());
        w.uuid(self.topic_id);
        w.bool(self.is_internal);
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.i32(self.topic_authorized_operations);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: ErrorCode,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub eligible_leader_replicas: Option<Vec<i32>>,
    pub last_known_elr: Option<Vec<i32>>,
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl DescribeTopicPartitionsResponsePartition {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.partition_index = r.i32()?;
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        m.replica_nodes = r.array(Reader::i32)?;
        m.isr_nodes = r.array(Reader::i32)?;
        m.eligible_leader_replicas = r.nullable_array(true, Reader::i32)?;
        m.last_known_elr = r.nullable_array(true, Reader::i32)?;
        m.offline_replicas = r.array(Reader::i32)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.error_code(self.error_code);
        w.i32(self.partition_index);
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.array(&self.replica_nodes, |w, e| w.i32(*e));
        w.array(&self.isr_nodes, |w, e| w.i32(*e));
        w.nullable_array(true, self.eligible_leader_replicas.as_deref(), |w, e| w.i32(*e));
        w.nullable_array(true, self.last_known_elr.as_deref(), |w, e| w.i32(*e));
        w.array(&self.offline_replicas, |w, e| w.i32(*e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Cursor<'a> {
    pub topic_name: Cow<'a, str>,
    pub partition_index: i32,
}

impl<'a> Cursor<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_name = r.string()?;
        m.partition_index = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic_name);
        w.i32(self.partition_index);
        w.no_tags();
    }
}

impl Request for DescribeTopicPartitionsRequest<'_> {
    const API: ApiKey = ApiKey::DescribeTopicPartitions;
    type Response<'r> = DescribeTopicPartitionsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

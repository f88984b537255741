//! `Produce` (key 0), versions 0-13, flexible from 9: generated from
//! `src/wire/schema/produce.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, records::Records, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProduceRequest<'a> {
    pub transactional_id: Option<Cow<'a, str>>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData<'a>>,
}

impl<'a> ProduceRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 9);
        let mut m = Self::default();
        if v >= 3 {
            m.transactional_id = r.nullable_string(true)?;
        }
        m.acks = r.i16()?;
        m.timeout_ms = r.i32()?;
        m.topic_data = r.array(|r| TopicProduceData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 9);
        if v >= 3 {
            w.nullable_string(true, self.transactional_id.as_deref());
        }
        w.i16(self.acks);
        w.i32(self.timeout_ms);
        w.array(&self.topic_data, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicProduceData<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData<'a>>,
}

impl<'a> TopicProduceData<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 12 {
            m.name = r.string()?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partition_data = r.array(|r| PartitionProduceData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 12 {
            w.string(&self.name);
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partition_data, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PartitionProduceData<'a> {
    pub index: i32,
    pub records: Option<Records<'a>>,
}

impl<'a> PartitionProduceData<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.index = r.i32()?;
        m.records = r.records(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.index);
        w.records(true, self.records.as_ref());
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ProduceResponse<'a> {
    pub responses: Vec<TopicProduceResponse<'a>>,
    pub throttle_time_ms: i32,
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
}

impl<'a> ProduceResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 9);
        let mut m = Self::default();
        m.responses = r.array(|r| TopicProduceResponse::decode(r, v))?;
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        r.tags(|r, tag| {
            match tag {
                0 if v >= 10 => m.node_endpoints = r.array(|r| NodeEndpoint::decode(r, v))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 9);
        w.array(&self.responses, |w, e| e.encode(w, v));
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        let has_node_endpoints = v >= 10 && !self.node_endpoints.is_empty();
        w.tag_count(&[has_node_endpoints]);
        if has_node_endpoints {
            w.tag(0, |w| w.array(&self.node_endpoints, |w, e| e.encode(w, v)));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicProduceResponse<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse<'a>>,
}

impl<'a> TopicProduceResponse<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 12 {
            m.name = r.string()?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partition_responses = r.array(|r| PartitionProduceResponse::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 12 {
            w.string(&self.name);
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partition_responses, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionProduceResponse<'a> {
    pub index: i32,
    pub error_code: ErrorCode,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub record_errors: Vec<BatchIndexAndErrorMessage<'a>>,
    pub error_message: Option<Cow<'a, str>>,
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse<'_> {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: ErrorCode::None,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl<'a> PartitionProduceResponse<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.index = r.i32()?;
        m.error_code = r.error_code()?;
        m.base_offset = r.i64()?;
        if v >= 2 {
            m.log_append_time_ms = r.i64()?;
        }
        if v >= 5 {
            m.log_start_offset = r.i64()?;
        }
        if v >= 8 {
            m.record_errors = r.array(|r| BatchIndexAndErrorMessage::decode(r, v))?;
        }
        if v >= 8 {
            m.error_message = r.nullable_string(true)?;
        }
        r.tags(|r, tag| {
            match tag {
                0 if v >= 10 => m.current_leader = LeaderIdAndEpoch::decode(r, v)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.index);
        w.error_code(self.error_code);
        w.i64(self.base_offset);
        if v >= 2 {
            w.i64(self.log_append_time_ms);
        }
        if v >= 5 {
            w.i64(self.log_start_offset);
        }
        if v >= 8 {
            w.array(&self.record_errors, |w, e| e.encode(w, v));
        }
        if v >= 8 {
            w.nullable_string(true, self.error_message.as_deref());
        }
        let has_current_leader = v >= 10 && self.current_leader != LeaderIdAndEpoch::default();
        w.tag_count(&[has_current_leader]);
        if has_current_leader {
            w.tag(0, |w| self.current_leader.encode(w, v));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BatchIndexAndErrorMessage<'a> {
    pub batch_index: i32,
    pub batch_index_error_message: Option<Cow<'a, str>>,
}

impl<'a> BatchIndexAndErrorMessage<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.batch_index = r.i32()?;
        m.batch_index_error_message = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.batch_index);
        w.nullable_string(true, self.batch_index_error_message.as_deref());
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl LeaderIdAndEpoch {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeEndpoint<'a> {
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
}

impl<'a> NodeEndpoint<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string()?;
        m.port = r.i32()?;
        m.rack = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(true, self.rack.as_deref());
        w.no_tags();
    }
}

impl Request for ProduceRequest<'_> {
    const API: ApiKey = ApiKey::Produce;
    type Response<'r> = ProduceResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

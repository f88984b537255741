//! `ElectLeaders` (key 43), versions 0-2, flexible from 2: generated from
//! `src/wire/schema/elect_leaders.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectLeadersRequest<'a> {
    pub election_type: i8,
    pub topic_partitions: Option<Vec<TopicPartitions<'a>>>,
    pub timeout_ms: i32,
}

impl Default for ElectLeadersRequest<'_> {
    fn default() -> Self {
        Self {
            election_type: 0,
            topic_partitions: Some(Vec::new()),
            timeout_ms: 60000,
        }
    }
}

impl<'a> ElectLeadersRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 2);
        let mut m = Self::default();
        if v >= 1 {
            m.election_type = r.i8()?;
        }
        m.topic_partitions = r.nullable_array(true, |r| TopicPartitions::decode(r, v))?;
        m.timeout_ms = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 2);
        if v >= 1 {
            w.i8(self.election_type);
        }
        w.nullable_array(true, self.topic_partitions.as_deref(), |w, e| e.encode(w, v));
        w.i32(self.timeout_ms);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicPartitions<'a> {
    pub topic: Cow<'a, str>,
    pub partitions: Vec<i32>,
}

impl<'a> TopicPartitions<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic = r.string()?;
        m.partitions = r.array(Reader::i32)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic);
        w.array(&self.partitions, |w, e| w.i32(*e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ElectLeadersResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub replica_election_results: Vec<ReplicaElectionResult<'a>>,
}

impl<'a> ElectLeadersResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 2);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if v >= 1 {
            m.error_code = r.error_code()?;
        }
        m.replica_election_results = r.array(|r| ReplicaElectionResult::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 2);
        w.i32(self.throttle_time_ms);
        if v >= 1 {
            w.error_code(self.error_code);
        }
        w.array(&self.replica_election_results, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReplicaElectionResult<'a> {
    pub topic: Cow<'a, str>,
    pub partition_result: Vec<PartitionResult<'a>>,
}

impl<'a> ReplicaElectionResult<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic = r.string()?;
        m.partition_result = r.array(|r| PartitionResult::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic);
        w.array(&self.partition_result, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionResult<'a> {
    pub partition_id: i32,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
}

impl Default for PartitionResult<'_> {
    fn default() -> Self {
        Self {
            partition_id: 0,
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
        }
    }
}

impl<'a> PartitionResult<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_id = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_id);
        w.error_code(self.error_code);
        w.nullable_string(true, self.error_message.as_deref());
        w.no_tags();
    }
}

impl Request for ElectLeadersRequest<'_> {
    const API: ApiKey = ApiKey::ElectLeaders;
    type Response<'r> = ElectLeadersResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

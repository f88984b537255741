//! `CreatePartitions` (key 37), versions 0-3, flexible from 2: generated from
//! `src/wire/schema/create_partitions.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CreatePartitionsRequest<'a> {
    pub topics: Vec<CreatePartitionsTopic<'a>>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl<'a> CreatePartitionsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 2);
        let mut m = Self::default();
        m.topics = r.array(|r| CreatePartitionsTopic::decode(r, v))?;
        m.timeout_ms = r.i32()?;
        m.validate_only = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 2);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.i32(self.timeout_ms);
        w.bool(self.validate_only);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatePartitionsTopic<'a> {
    pub name: Cow<'a, str>,
    pub count: i32,
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Default for CreatePartitionsTopic<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            count: 0,
            assignments: Some(Vec::new()),
        }
    }
}

impl<'a> CreatePartitionsTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.count = r.i32()?;
        m.assignments = r.nullable_array(true, |r| CreatePartitionsAssignment::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.i32(self.count);
        w.nullable_array(true, self.assignments.as_deref(), |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

impl CreatePartitionsAssignment {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_ids = r.array(Reader::i32)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.array(&self.broker_ids, |w, e| w.i32(*e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CreatePartitionsResponse<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult<'a>>,
}

impl<'a> CreatePartitionsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 2);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(|r| CreatePartitionsTopicResult::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 2);
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CreatePartitionsTopicResult<'a> {
    pub name: Cow<'a, str>,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
}

impl<'a> CreatePartitionsTopicResult<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.error_code = r.error_code()?;
        m.error_message = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.error_code(self.error_code);
        w.nullable_string(true, self.error_message.as_deref());
        w.no_tags();
    }
}

impl Request for CreatePartitionsRequest<'_> {
    const API: ApiKey = ApiKey::CreatePartitions;
    type Response<'r> = CreatePartitionsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

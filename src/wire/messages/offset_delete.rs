//! `OffsetDelete` (key 47), versions 0-0, never flexible: generated from
//! `src/wire/schema/offset_delete.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetDeleteRequest<'a> {
    pub group_id: Cow<'a, str>,
    pub topics: Vec<OffsetDeleteRequestTopic<'a>>,
}

impl<'a> OffsetDeleteRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.topics = r.array(|r| OffsetDeleteRequestTopic::decode(r, v))?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.string(&self.group_id);
        w.array(&self.topics, |w, e| e.encode(w, v));
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetDeleteRequestTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl<'a> OffsetDeleteRequestTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.partitions = r.array(|r| OffsetDeleteRequestPartition::decode(r, v))?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, e| e.encode(w, v));
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetDeleteRequestPartition {
    pub partition_index: i32,
}

impl OffsetDeleteRequestPartition {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetDeleteResponse<'a> {
    pub error_code: ErrorCode,
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetDeleteResponseTopic<'a>>,
}

impl<'a> OffsetDeleteResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.throttle_time_ms = r.i32()?;
        m.topics = r.array(|r| OffsetDeleteResponseTopic::decode(r, v))?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.error_code(self.error_code);
        w.i32(self.throttle_time_ms);
        w.array(&self.topics, |w, e| e.encode(w, v));
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetDeleteResponseTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

impl<'a> OffsetDeleteResponseTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.partitions = r.array(|r| OffsetDeleteResponsePartition::decode(r, v))?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, e| e.encode(w, v));
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetDeleteResponsePartition {
    pub partition_index: i32,
    pub error_code: ErrorCode,
}

impl OffsetDeleteResponsePartition {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
    }
}

impl Request for OffsetDeleteRequest<'_> {
    const API: ApiKey = ApiKey::OffsetDelete;
    type Response<'r> = OffsetDeleteResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

//! `OffsetFetch` (key 9), versions 1-10, flexible from 6: generated from
//! `src/wire/schema/offset_fetch.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequest<'a> {
    pub group_id: Cow<'a, str>,
    pub topics: Option<Vec<OffsetFetchRequestTopic<'a>>>,
    pub groups: Vec<OffsetFetchRequestGroup<'a>>,
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest<'_> {
    fn default() -> Self {
        Self {
            group_id: Cow::Borrowed(""),
            topics: Some(Vec::new()),
            groups: Vec::new(),
            require_stable: false,
        }
    }
}

impl<'a> OffsetFetchRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 6);
        let mut m = Self::default();
        if v <= 7 {
            m.group_id = r.string()?;
        }
        if v <= 7 {
            m.topics = r.nullable_array(v >= 2, |r| OffsetFetchRequestTopic::decode(r, v))?;
        }
        if v >= 8 {
            m.groups = r.array(|r| OffsetFetchRequestGroup::decode(r, v))?;
        }
        if v >= 7 {
            m.require_stable = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 6);
        if v <= 7 {
            w.string(&self.group_id);
        }
        if v <= 7 {
            w.nullable_array(v >= 2, self.topics.as_deref(), |w, e| e.encode(w, v));
        }
        if v >= 8 {
            w.array(&self.groups, |w, e| e.encode(w, v));
        }
        if v >= 7 {
            w.bool(self.require_stable);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetFetchRequestTopic<'a> {
    pub name: Cow<'a, str>,
    pub partition_indexes: Vec<i32>,
}

impl<'a> OffsetFetchRequestTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.partition_indexes = r.array(Reader::i32)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.array(&self.partition_indexes, |w, e| w.i32(*e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchRequestGroup<'a> {
    pub group_id: Cow<'a, str>,
    pub member_id: Option<Cow<'a, str>>,
    pub member_epoch: i32,
    pub topics: Option<Vec<OffsetFetchRequestTopics<'a>>>,
}

impl Default for OffsetFetchRequestGroup<'_> {
    fn default() -> Self {
        Self {
            group_id: Cow::Borrowed(""),
            member_id: None,
            member_epoch: -1,
            topics: Some(Vec::new()),
        }
    }
}

impl<'a> OffsetFetchRequestGroup<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string()?;
        if v >= 9 {
            m.member_id = r.nullable_string(true)?;
        }
        if v >= 9 {
            m.member_epoch = r.i32()?;
        }
        m.topics = r.nullable_array(true, |r| OffsetFetchRequestTopics::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.group_id);
        if v >= 9 {
            w.nullable_string(true, self.member_id.as_deref());
        }
        if v >= 9 {
            w.i32(self.member_epoch);
        }
        w.nullable_array(true, self.topics.as_deref(), |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetFetchRequestTopics<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partition_indexes: Vec<i32>,
}

impl<'a> OffsetFetchRequestTopics<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 9 {
            m.name = r.string()?;
        }
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.partition_indexes = r.array(Reader::i32)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 9 {
            w.string(&self.name);
        }
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partition_indexes, |w, e| w.i32(*e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetFetchResponse<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetFetchResponseTopic<'a>>,
    pub error_code: ErrorCode,
    pub groups: Vec<OffsetFetchResponseGroup<'a>>,
}

impl<'a> OffsetFetchResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 6);
        let mut m = Self::default();
        if v >= 3 {
            m.throttle_time_ms = r.i32()?;
        }
        if v <= 7 {
            m.topics = r.array(|r| OffsetFetchResponseTopic::decode(r, v))?;
        }
        if (2..=7).contains(&v) {
            m.error_code = r.error_code()?;
        }
        if v >= 8 {
            m.groups = r.array(|r| OffsetFetchResponseGroup::decode(r, v))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 6);
        if v >= 3 {
            w.i32(self.throttle_time_ms);
        }
        if v <= 7 {
            w.array(&self.topics, |w, e| e.encode(w, v));
        }
        if (2..=7).contains(&v) {
            w.error_code(self.error_code);
        }
        if v >= 8 {
            w.array(&self.groups, |w, e| e.encode(w, v));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetFetchResponseTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OffsetFetchResponsePartition<'a>>,
}

impl<'a> OffsetFetchResponseTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.partitions = r.array(|r| OffsetFetchResponsePartition::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartition<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<Cow<'a, str>>,
    pub error_code: ErrorCode,
}

impl Default for OffsetFetchResponsePartition<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(Cow::Borrowed("")),
            error_code: ErrorCode::None,
        }
    }
}

impl<'a> OffsetFetchResponsePartition<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        if v >= 5 {
            m.committed_leader_epoch = r.i32()?;
        }
        m.metadata = r.nullable_string(true)?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        if v >= 5 {
            w.i32(self.committed_leader_epoch);
        }
        w.nullable_string(true, self.metadata.as_deref());
        w.error_code(self.error_code);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetFetchResponseGroup<'a> {
    pub group_id: Cow<'a, str>,
    pub topics: Vec<OffsetFetchResponseTopics<'a>>,
    pub error_code: ErrorCode,
}

impl<'a> OffsetFetchResponseGroup<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.topics = r.array(|r| OffsetFetchResponseTopics::decode(r, v))?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.group_id);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.error_code(self.error_code);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetFetchResponseTopics<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetFetchResponsePartitions<'a>>,
}

impl<'a> OffsetFetchResponseTopics<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 9 {
            m.name = r.string()?;
        }
        if v >= 10 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(|r| OffsetFetchResponsePartitions::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 9 {
            w.string(&self.name);
        }
        if v >= 10 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFetchResponsePartitions<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<Cow<'a, str>>,
    pub error_code: ErrorCode,
}

impl Default for OffsetFetchResponsePartitions<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(Cow::Borrowed("")),
            error_code: ErrorCode::None,
        }
    }
}

impl<'a> OffsetFetchResponsePartitions<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.committed_offset = r.i64()?;
        m.committed_leader_epoch = r.i32()?;
        m.metadata = r.nullable_string(true)?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.i64(self.committed_offset);
        w.i32(self.committed_leader_epoch);
        w.nullable_string(true, self.metadata.as_deref());
        w.error_code(self.error_code);
        w.no_tags();
    }
}

impl Request for OffsetFetchRequest<'_> {
    const API: ApiKey = ApiKey::OffsetFetch;
    type Response<'r> = OffsetFetchResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

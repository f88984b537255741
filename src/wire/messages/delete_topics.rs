//! `DeleteTopics` (key 20), versions 1-6, flexible from 4: generated from
//! `src/wire/schema/delete_topics.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeleteTopicsRequest<'a> {
    pub topics: Vec<DeleteTopicState<'a>>,
    pub topic_names: Vec<Cow<'a, str>>,
    pub timeout_ms: i32,
}

impl<'a> DeleteTopicsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        if v >= 6 {
            m.topics = r.array(|r| DeleteTopicState::decode(r, v))?;
        }
        if v <= 5 {
            m.topic_names = r.array(Reader::string)?;
        }
        m.timeout_ms = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        if v >= 6 {
            w.array(&self.topics, |w, e| e.encode(w, v));
        }
        if v <= 5 {
            w.array(&self.topic_names, |w, e| w.string(e));
        }
        w.i32(self.timeout_ms);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeleteTopicState<'a> {
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
}

impl<'a> DeleteTopicState<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.nullable_string(true)?;
        m.topic_id = r.uuid()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.nullable_string(true, self.name.as_deref());
        w.uuid(self.topic_id);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DeleteTopicsResponse<'a> {
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult<'a>>,
}

impl<'a> DeleteTopicsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.responses = r.array(|r| DeletableTopicResult::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        w.i32(self.throttle_time_ms);
        w.array(&self.responses, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletableTopicResult<'a> {
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
}

impl Default for DeletableTopicResult<'_> {
    fn default() -> Self {
        Self {
            name: Some(Cow::Borrowed("")),
            topic_id: Uuid::nil(),
            error_code: ErrorCode::None,
            error_message: None,
        }
    }
}

impl<'a> DeletableTopicResult<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.nullable_string(v >= 6)?;
        if v >= 6 {
            m.topic_id = r.uuid()?;
        }
        m.error_code = r.error_code()?;
        if v >= 5 {
            m.error_message = r.nullable_string(true)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.nullable_string(v >= 6, self.name.as_deref());
        if v >= 6 {
            w.uuid(self.topic_id);
        }
        w.error_code(self.error_code);
        if v >= 5 {
            w.nullable_string(true, self.error_message.as_deref());
        }
        w.no_tags();
    }
}

impl Request for DeleteTopicsRequest<'_> {
    const API: ApiKey = ApiKey::DeleteTopics;
    type Response<'r> = DeleteTopicsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

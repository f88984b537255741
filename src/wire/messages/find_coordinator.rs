//! `FindCoordinator` (key 10), versions 0-6, flexible from 3: generated from
//! `src/wire/schema/find_coordinator.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FindCoordinatorRequest<'a> {
    pub key: Cow<'a, str>,
    pub key_type: i8,
    pub coordinator_keys: Vec<Cow<'a, str>>,
}

impl<'a> FindCoordinatorRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 3);
        let mut m = Self::default();
        if v <= 3 {
            m.key = r.string()?;
        }
        if v >= 1 {
            m.key_type = r.i8()?;
        }
        if v >= 4 {
            m.coordinator_keys = r.array(Reader::string)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 3);
        if v <= 3 {
            w.string(&self.key);
        }
        if v >= 1 {
            w.i8(self.key_type);
        }
        if v >= 4 {
            w.array(&self.coordinator_keys, |w, e| w.string(e));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCoordinatorResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub coordinators: Vec<Coordinator<'a>>,
}

impl Default for FindCoordinatorResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
            node_id: 0,
            host: Cow::Borrowed(""),
            port: 0,
            coordinators: Vec::new(),
        }
    }
}

impl<'a> FindCoordinatorResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 3);
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        if v <= 3 {
            m.error_code = r.error_code()?;
        }
        if (1..=3).contains(&v) {
            m.error_message = r.nullable_string(true)?;
        }
        if v <= 3 {
            m.node_id = r.i32()?;
        }
        if v <= 3 {
            m.host = r.string()?;
        }
        if v <= 3 {
            m.port = r.i32()?;
        }
        if v >= 4 {
            m.coordinators = r.array(|r| Coordinator::decode(r, v))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 3);
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        if v <= 3 {
            w.error_code(self.error_code);
        }
        if (1..=3).contains(&v) {
            w.nullable_string(true, self.error_message.as_deref());
        }
        if v <= 3 {
            w.i32(self.node_id);
        }
        if v <= 3 {
            w.string(&self.host);
        }
        if v <= 3 {
            w.i32(self.port);
        }
        if v >= 4 {
            w.array(&self.coordinators, |w, e| e.encode(w, v));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator<'a> {
    pub key: Cow<'a, str>,
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
}

impl Default for Coordinator<'_> {
    fn default() -> Self {
        Self {
            key: Cow::Borrowed(""),
            node_id: 0,
            host: Cow::Borrowed(""),
            port: 0,
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
        }
    }
}

impl<'a> Coordinator<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.key = r.string()?;
        m.node_id = r.i32()?;
        m.host = r.string()?;
        m.port = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.key);
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.error_code(self.error_code);
        w.nullable_string(true, self.error_message.as_deref());
        w.no_tags();
    }
}

impl Request for FindCoordinatorRequest<'_> {
    const API: ApiKey = ApiKey::FindCoordinator;
    type Response<'r> = FindCoordinatorResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

//! `SyncGroup` (key 14), versions 0-5, flexible from 4: generated from
//! `src/wire/schema/sync_group.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SyncGroupRequest<'a> {
    pub group_id: Cow<'a, str>,
    pub generation_id: i32,
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub protocol_type: Option<Cow<'a, str>>,
    pub protocol_name: Option<Cow<'a, str>>,
    pub assignments: Vec<SyncGroupRequestAssignment<'a>>,
}

impl<'a> SyncGroupRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.generation_id = r.i32()?;
        m.member_id = r.string()?;
        if v >= 3 {
            m.group_instance_id = r.nullable_string(true)?;
        }
        if v >= 5 {
            m.protocol_type = r.nullable_string(true)?;
        }
        if v >= 5 {
            m.protocol_name = r.nullable_string(true)?;
        }
        m.assignments = r.array(|r| SyncGroupRequestAssignment::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        w.string(&self.group_id);
        w.i32(self.generation_id);
        w.string(&self.member_id);
        if v >= 3 {
            w.nullable_string(true, self.group_instance_id.as_deref());
        }
        if v >= 5 {
            w.nullable_string(true, self.protocol_type.as_deref());
        }
        if v >= 5 {
            w.nullable_string(true, self.protocol_name.as_deref());
        }
        w.array(&self.assignments, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SyncGroupRequestAssignment<'a> {
    pub member_id: Cow<'a, str>,
    pub assignment: Cow<'a, [u8]>,
}

impl<'a> SyncGroupRequestAssignment<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = r.string()?;
        m.assignment = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.member_id);
        w.bytes(&self.assignment);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SyncGroupResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub protocol_type: Option<Cow<'a, str>>,
    pub protocol_name: Option<Cow<'a, str>>,
    pub assignment: Cow<'a, [u8]>,
}

impl<'a> SyncGroupResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        if v >= 5 {
            m.protocol_type = r.nullable_string(true)?;
        }
        if v >= 5 {
            m.protocol_name = r.nullable_string(true)?;
        }
        m.assignment = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        if v >= 5 {
            w.nullable_string(true, self.protocol_type.as_deref());
        }
        if v >= 5 {
            w.nullable_string(true, self.protocol_name.as_deref());
        }
        w.bytes(&self.assignment);
        w.no_tags();
    }
}

impl Request for SyncGroupRequest<'_> {
    const API: ApiKey = ApiKey::SyncGroup;
    type Response<'r> = SyncGroupResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

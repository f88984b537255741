//! `LeaveGroup` (key 13), versions 0-5, flexible from 4: generated from
//! `src/wire/schema/leave_group.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LeaveGroupRequest<'a> {
    pub group_id: Cow<'a, str>,
    pub member_id: Cow<'a, str>,
    pub members: Vec<MemberIdentity<'a>>,
}

impl<'a> LeaveGroupRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        m.group_id = r.string()?;
        if v <= 2 {
            m.member_id = r.string()?;
        }
        if v >= 3 {
            m.members = r.array(|r| MemberIdentity::decode(r, v))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        w.string(&self.group_id);
        if v <= 2 {
            w.string(&self.member_id);
        }
        if v >= 3 {
            w.array(&self.members, |w, e| e.encode(w, v));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MemberIdentity<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub reason: Option<Cow<'a, str>>,
}

impl<'a> MemberIdentity<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = r.string()?;
        m.group_instance_id = r.nullable_string(true)?;
        if v >= 5 {
            m.reason = r.nullable_string(true)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.member_id);
        w.nullable_string(true, self.group_instance_id.as_deref());
        if v >= 5 {
            w.nullable_string(true, self.reason.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LeaveGroupResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub members: Vec<MemberResponse<'a>>,
}

impl<'a> LeaveGroupResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        if v >= 3 {
            m.members = r.array(|r| MemberResponse::decode(r, v))?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        if v >= 3 {
            w.array(&self.members, |w, e| e.encode(w, v));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberResponse<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub error_code: ErrorCode,
}

impl Default for MemberResponse<'_> {
    fn default() -> Self {
        Self {
            member_id: Cow::Borrowed(""),
            group_instance_id: Some(Cow::Borrowed("")),
            error_code: ErrorCode::None,
        }
    }
}

impl<'a> MemberResponse<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = r.string()?;
        m.group_instance_id = r.nullable_string(true)?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.member_id);
        w.nullable_string(true, self.group_instance_id.as_deref());
        w.error_code(self.error_code);
        w.no_tags();
    }
}

impl Request for LeaveGroupRequest<'_> {
    const API: ApiKey = ApiKey::LeaveGroup;
    type Response<'r> = LeaveGroupResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

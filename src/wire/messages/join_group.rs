//! `JoinGroup` (key 11), versions 0-9, flexible from 6: generated from
//! `src/wire/schema/join_group.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupRequest<'a> {
    pub group_id: Cow<'a, str>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub protocol_type: Cow<'a, str>,
    pub protocols: Vec<JoinGroupRequestProtocol<'a>>,
    pub reason: Option<Cow<'a, str>>,
}

impl Default for JoinGroupRequest<'_> {
    fn default() -> Self {
        Self {
            group_id: Cow::Borrowed(""),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: Cow::Borrowed(""),
            group_instance_id: None,
            protocol_type: Cow::Borrowed(""),
            protocols: Vec::new(),
            reason: None,
        }
    }
}

impl<'a> JoinGroupRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 6);
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.session_timeout_ms = r.i32()?;
        if v >= 1 {
            m.rebalance_timeout_ms = r.i32()?;
        }
        m.member_id = r.string()?;
        if v >= 5 {
            m.group_instance_id = r.nullable_string(true)?;
        }
        m.protocol_type = r.string()?;
        m.protocols = r.array(|r| JoinGroupRequestProtocol::decode(r, v))?;
        if v >= 8 {
            m.reason = r.nullable_string(true)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 6);
        w.string(&self.group_id);
        w.i32(self.session_timeout_ms);
        if v >= 1 {
            w.i32(self.rebalance_timeout_ms);
        }
        w.string(&self.member_id);
        if v >= 5 {
            w.nullable_string(true, self.group_instance_id.as_deref());
        }
        w.string(&self.protocol_type);
        w.array(&self.protocols, |w, e| e.encode(w, v));
        if v >= 8 {
            w.nullable_string(true, self.reason.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JoinGroupRequestProtocol<'a> {
    pub name: Cow<'a, str>,
    pub metadata: Cow<'a, [u8]>,
}

impl<'a> JoinGroupRequestProtocol<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.metadata = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.bytes(&self.metadata);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinGroupResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub generation_id: i32,
    pub protocol_type: Option<Cow<'a, str>>,
    pub protocol_name: Option<Cow<'a, str>>,
    pub leader: Cow<'a, str>,
    pub skip_assignment: bool,
    pub member_id: Cow<'a, str>,
    pub members: Vec<JoinGroupResponseMember<'a>>,
}

impl Default for JoinGroupResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            generation_id: -1,
            protocol_type: None,
            protocol_name: Some(Cow::Borrowed("")),
            leader: Cow::Borrowed(""),
            skip_assignment: false,
            member_id: Cow::Borrowed(""),
            members: Vec::new(),
        }
    }
}

impl<'a> JoinGroupResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 6);
        let mut m = Self::default();
        if v >= 2 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        m.generation_id = r.i32()?;
        if v >= 7 {
            m.protocol_type = r.nullable_string(true)?;
        }
        m.protocol_name = r.nullable_string(v >= 7)?;
        m.leader = r.string()?;
        if v >= 9 {
            m.skip_assignment = r.bool()?;
        }
        m.member_id = r.string()?;
        m.members = r.array(|r| JoinGroupResponseMember::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 6);
        if v >= 2 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        w.i32(self.generation_id);
        if v >= 7 {
            w.nullable_string(true, self.protocol_type.as_deref());
        }
        w.nullable_string(v >= 7, self.protocol_name.as_deref());
        w.string(&self.leader);
        if v >= 9 {
            w.bool(self.skip_assignment);
        }
        w.string(&self.member_id);
        w.array(&self.members, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct JoinGroupResponseMember<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub metadata: Cow<'a, [u8]>,
}

impl<'a> JoinGroupResponseMember<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.member_id = r.string()?;
        if v >= 5 {
            m.group_instance_id = r.nullable_string(true)?;
        }
        m.metadata = r.bytes()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.member_id);
        if v >= 5 {
            w.nullable_string(true, self.group_instance_id.as_deref());
        }
        w.bytes(&self.metadata);
        w.no_tags();
    }
}

impl Request for JoinGroupRequest<'_> {
    const API: ApiKey = ApiKey::JoinGroup;
    type Response<'r> = JoinGroupResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

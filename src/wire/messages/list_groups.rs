//! `ListGroups` (key 16), versions 0-5, flexible from 3: generated from
//! `src/wire/schema/list_groups.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListGroupsRequest<'a> {
    pub states_filter: Vec<Cow<'a, str>>,
    pub types_filter: Vec<Cow<'a, str>>,
}

impl<'a> ListGroupsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 3);
        let mut m = Self::default();
        if v >= 4 {
            m.states_filter = r.array(Reader::string)?;
        }
        if v >= 5 {
            m.types_filter = r.array(Reader::string)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 3);
        if v >= 4 {
            w.array(&self.states_filter, |w, e| w.string(e));
        }
        if v >= 5 {
            w.array(&self.types_filter, |w, e| w.string(e));
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListGroupsResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub groups: Vec<ListedGroup<'a>>,
}

impl<'a> ListGroupsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 3);
        let mut m = Self::default();
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        m.error_code = r.error_code()?;
        m.groups = r.array(|r| ListedGroup::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 3);
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        w.error_code(self.error_code);
        w.array(&self.groups, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ListedGroup<'a> {
    pub group_id: Cow<'a, str>,
    pub protocol_type: Cow<'a, str>,
    pub group_state: Cow<'a, str>,
    pub group_type: Cow<'a, str>,
}

impl<'a> ListedGroup<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.protocol_type = r.string()?;
        if v >= 4 {
            m.group_state = r.string()?;
        }
        if v >= 5 {
            m.group_type = r.string()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.group_id);
        w.string(&self.protocol_type);
        if v >= 4 {
            w.string(&self.group_state);
        }
        if v >= 5 {
            w.string(&self.group_type);
        }
        w.no_tags();
    }
}

impl Request for ListGroupsRequest<'_> {
    const API: ApiKey = ApiKey::ListGroups;
    type Response<'r> = ListGroupsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

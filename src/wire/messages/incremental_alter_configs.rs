//! `IncrementalAlterConfigs` (key 44), versions 0-1, flexible from 1: generated from
//! `src/wire/schema/incremental_alter_configs.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IncrementalAlterConfigsRequest<'a> {
    pub resources: Vec<AlterConfigsResource<'a>>,
    pub validate_only: bool,
}

impl<'a> IncrementalAlterConfigsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 1);
        let mut m = Self::default();
        m.resources = r.array(|r| AlterConfigsResource::decode(r, v))?;
        m.validate_only = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 1);
        w.array(&self.resources, |w, e| e.encode(w, v));
        w.bool(self.validate_only);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AlterConfigsResource<'a> {
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
    pub configs: Vec<AlterableConfig<'a>>,
}

impl<'a> AlterConfigsResource<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.string()?;
        m.configs = r.array(|r| AlterableConfig::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.array(&self.configs, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterableConfig<'a> {
    pub name: Cow<'a, str>,
    pub config_operation: i8,
    pub value: Option<Cow<'a, str>>,
}

impl Default for AlterableConfig<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            config_operation: 0,
            value: Some(Cow::Borrowed("")),
        }
    }
}

impl<'a> AlterableConfig<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.config_operation = r.i8()?;
        m.value = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.i8(self.config_operation);
        w.nullable_string(true, self.value.as_deref());
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IncrementalAlterConfigsResponse<'a> {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse<'a>>,
}

impl<'a> IncrementalAlterConfigsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 1);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.responses = r.array(|r| AlterConfigsResourceResponse::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 1);
        w.i32(self.throttle_time_ms);
        w.array(&self.responses, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfigsResourceResponse<'a> {
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
}

impl Default for AlterConfigsResourceResponse<'_> {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
            resource_type: 0,
            resource_name: Cow::Borrowed(""),
        }
    }
}

impl<'a> AlterConfigsResourceResponse<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.nullable_string(true)?;
        m.resource_type = r.i8()?;
        m.resource_name = r.string()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.error_code(self.error_code);
        w.nullable_string(true, self.error_message.as_deref());
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.no_tags();
    }
}

impl Request for IncrementalAlterConfigsRequest<'_> {
    const API: ApiKey = ApiKey::IncrementalAlterConfigs;
    type Response<'r> = IncrementalAlterConfigsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

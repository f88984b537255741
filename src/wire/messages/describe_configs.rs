//! `DescribeConfigs` (key 32), versions 1-4, flexible from 4: generated from
//! `src/wire/schema/describe_configs.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DescribeConfigsRequest<'a> {
    pub resources: Vec<DescribeConfigsResource<'a>>,
    pub include_synonyms: bool,
    pub include_documentation: bool,
}

impl<'a> DescribeConfigsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        m.resources = r.array(|r| DescribeConfigsResource::decode(r, v))?;
        m.include_synonyms = r.bool()?;
        if v >= 3 {
            m.include_documentation = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        w.array(&self.resources, |w, e| e.encode(w, v));
        w.bool(self.include_synonyms);
        if v >= 3 {
            w.bool(self.include_documentation);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConfigsResource<'a> {
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
    pub configuration_keys: Option<Vec<Cow<'a, str>>>,
}

impl Default for DescribeConfigsResource<'_> {
    fn default() -> Self {
        Self {
            resource_type: 0,
            resource_name: Cow::Borrowed(""),
            configuration_keys: Some(Vec::new()),
        }
    }
}

impl<'a> DescribeConfigsResource<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.resource_type = r.i8()?;
        m.resource_name = r.string()?;
        m.configuration_keys = r.nullable_array(true, Reader::string)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.nullable_array(true, self.configuration_keys.as_deref(), |w, e| w.string(e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DescribeConfigsResponse<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult<'a>>,
}

impl<'a> DescribeConfigsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.results = r.array(|r| DescribeConfigsResult::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        w.i32(self.throttle_time_ms);
        w.array(&self.results, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConfigsResult<'a> {
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
    pub configs: Vec<DescribeConfigsResourceResult<'a>>,
}

impl Default for DescribeConfigsResult<'_> {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            error_message: Some(Cow::Borrowed("")),
            resource_type: 0,
            resource_name: Cow::Borrowed(""),
            configs: Vec::new(),
        }
    }
}

impl<'a> DescribeConfigsResult<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.error_message = r.nullable_string(true)?;
        m.resource_type = r.i8()?;
        m.resource_name = r.string()?;
        m.configs = r.array(|r| DescribeConfigsResourceResult::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.error_code(self.error_code);
        w.nullable_string(true, self.error_message.as_deref());
        w.i8(self.resource_type);
        w.string(&self.resource_name);
        w.array(&self.configs, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConfigsResourceResult<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
    pub synonyms: Vec<DescribeConfigsSynonym<'a>>,
    pub config_type: i8,
    pub documentation: Option<Cow<'a, str>>,
}

impl Default for DescribeConfigsResourceResult<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            value: Some(Cow::Borrowed("")),
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: Some(Cow::Borrowed("")),
        }
    }
}

impl<'a> DescribeConfigsResourceResult<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.value = r.nullable_string(true)?;
        m.read_only = r.bool()?;
        m.config_source = r.i8()?;
        m.is_sensitive = r.bool()?;
        m.synonyms = r.array(|r| DescribeConfigsSynonym::decode(r, v))?;
        if v >= 3 {
            m.config_type = r.i8()?;
        }
        if v >= 3 {
            m.documentation = r.nullable_string(true)?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.nullable_string(true, self.value.as_deref());
        w.bool(self.read_only);
        w.i8(self.config_source);
        w.bool(self.is_sensitive);
        w.array(&self.synonyms, |w, e| e.encode(w, v));
        if v >= 3 {
            w.i8(self.config_type);
        }
        if v >= 3 {
            w.nullable_string(true, self.documentation.as_deref());
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeConfigsSynonym<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
    pub source: i8,
}

impl Default for DescribeConfigsSynonym<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            value: Some(Cow::Borrowed("")),
            source: 0,
        }
    }
}

impl<'a> DescribeConfigsSynonym<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.value = r.nullable_string(true)?;
        m.source = r.i8()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.nullable_string(true, self.value.as_deref());
        w.i8(self.source);
        w.no_tags();
    }
}

impl Request for DescribeConfigsRequest<'_> {
    const API: ApiKey = ApiKey::DescribeConfigs;
    type Response<'r> = DescribeConfigsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

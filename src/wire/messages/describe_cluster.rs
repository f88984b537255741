//! `DescribeCluster` (key 60), versions 0-2, flexible from 0: generated from
//! `src/wire/schema/describe_cluster.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterRequest {
    pub include_cluster_authorized_operations: bool,
    pub endpoint_type: i8,
    pub include_fenced_brokers: bool,
}

impl Default for DescribeClusterRequest {
    fn default() -> Self {
        Self {
            include_cluster_authorized_operations: false,
            endpoint_type: 1,
            include_fenced_brokers: false,
        }
    }
}

impl DescribeClusterRequest {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.include_cluster_authorized_operations = r.bool()?;
        if v >= 1 {
            m.endpoint_type = r.i8()?;
        }
        if v >= 2 {
            m.include_fenced_brokers = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.bool(self.include_cluster_authorized_operations);
        if v >= 1 {
            w.i8(self.endpoint_type);
        }
        if v >= 2 {
            w.bool(self.include_fenced_brokers);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeClusterResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub error_message: Option<Cow<'a, str>>,
    pub endpoint_type: i8,
    pub cluster_id: Cow<'a, str>,
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker<'a>>,
    pub cluster_authorized_operations: i32,
}

impl Default for DescribeClusterResponse<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            error_message: None,
            endpoint_type: 1,
            cluster_id: Cow::Borrowed(""),
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: i32::MIN,
        }
    }
}

impl<'a> DescribeClusterResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.error_message = r.nullable_string(true)?;
        if v >= 1 {
            m.endpoint_type = r.i8()?;
        }
        m.cluster_id = r.string()?;
        m.controller_id = r.i32()?;
        m.brokers = r.array(|r| DescribeClusterBroker::decode(r, v))?;
        m.cluster_authorized_operations = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.nullable_string(true, self.error_message.as_deref());
        if v >= 1 {
            w.i8(self.endpoint_type);
        }
        w.string(&self.cluster_id);
        w.i32(self.controller_id);
        w.array(&self.brokers, |w, e| e.encode(w, v));
        w.i32(self.cluster_authorized_operations);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DescribeClusterBroker<'a> {
    pub broker_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
    pub is_fenced: bool,
}

impl<'a> DescribeClusterBroker<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.host = r.string()?;
        m.port = r.i32()?;
        m.rack = r.nullable_string(true)?;
        if v >= 2 {
            m.is_fenced = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.broker_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(true, self.rack.as_deref());
        if v >= 2 {
            w.bool(self.is_fenced);
        }
        w.no_tags();
    }
}

impl Request for DescribeClusterRequest {
    const API: ApiKey = ApiKey::DescribeCluster;
    type Response<'r> = DescribeClusterResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

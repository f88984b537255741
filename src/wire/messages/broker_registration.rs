//! `BrokerRegistration` (key 62), versions 0-4, flexible from 0: generated from
//! `src/wire/schema/broker_registration.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::ControllerRequest;
use crate::wire::{Uuid, api::ControllerApi, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationRequest<'a> {
    pub broker_id: i32,
    pub cluster_id: Cow<'a, str>,
    pub incarnation_id: Uuid,
    pub listeners: Vec<Listener<'a>>,
    pub features: Vec<Feature<'a>>,
    pub rack: Option<Cow<'a, str>>,
    pub is_migrating_zk_broker: bool,
    pub log_dirs: Vec<Uuid>,
    pub previous_broker_epoch: i64,
}

impl Default for BrokerRegistrationRequest<'_> {
    fn default() -> Self {
        Self {
            broker_id: 0,
            cluster_id: Cow::Borrowed(""),
            incarnation_id: Uuid::nil(),
            listeners: Vec::new(),
            features: Vec::new(),
            rack: Some(Cow::Borrowed("")),
            is_migrating_zk_broker: false,
            log_dirs: Vec::new(),
            previous_broker_epoch: -1,
        }
    }
}

impl<'a> BrokerRegistrationRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.cluster_id = r.string()?;
        m.incarnation_id = r.uuid()?;
        m.listeners = r.array(|r| Listener::decode(r, v))?;
        m.features = r.array(|r| Feature::decode(r, v))?;
        m.rack = r.nullable_string(true)?;
        if v >= 1 {
            m.is_migrating_zk_broker = r.bool()?;
        }
        if v >= 2 {
            m.log_dirs = r.array(Reader::uuid)?;
        }
        if v >= 3 {
            m.previous_broker_epoch = r.i64()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.broker_id);
        w.string(&self.cluster_id);
        w.uuid(self.incarnation_id);
        w.array(&self.listeners, |w, e| e.encode(w, v));
        w.array(&self.features, |w, e| e.encode(w, v));
        w.nullable_string(true, self.rack.as_deref());
        if v >= 1 {
            w.bool(self.is_migrating_zk_broker);
        }
        if v >= 2 {
            w.array(&self.log_dirs, |w, e| w.uuid(*e));
        }
        if v >= 3 {
            w.i64(self.previous_broker_epoch);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listener<'a> {
    pub name: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub port: u16,
    pub security_protocol: i16,
}

impl<'a> Listener<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.host = r.string()?;
        m.port = r.u16()?;
        m.security_protocol = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.string(&self.host);
        w.u16(self.port);
        w.i16(self.security_protocol);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Feature<'a> {
    pub name: Cow<'a, str>,
    pub min_supported_version: i16,
    pub max_supported_version: i16,
}

impl<'a> Feature<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.min_supported_version = r.i16()?;
        m.max_supported_version = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.i16(self.min_supported_version);
        w.i16(self.max_supported_version);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub broker_epoch: i64,
}

impl Default for BrokerRegistrationResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            broker_epoch: -1,
        }
    }
}

impl BrokerRegistrationResponse {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.broker_epoch = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.i64(self.broker_epoch);
        w.no_tags();
    }
}

impl ControllerRequest for BrokerRegistrationRequest<'_> {
    const API: ControllerApi = ControllerApi::BrokerRegistration;
    type Response<'r> = BrokerRegistrationResponse;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

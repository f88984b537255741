//! `InitProducerId` (key 22), versions 0-6, flexible from 2: generated from
//! `src/wire/schema/init_producer_id.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdRequest<'a> {
    pub transactional_id: Option<Cow<'a, str>>,
    pub transaction_timeout_ms: i32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub enable2_pc: bool,
    pub keep_prepared_txn: bool,
}

impl Default for InitProducerIdRequest<'_> {
    fn default() -> Self {
        Self {
            transactional_id: Some(Cow::Borrowed("")),
            transaction_timeout_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            enable2_pc: false,
            keep_prepared_txn: false,
        }
    }
}

impl<'a> InitProducerIdRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 2);
        let mut m = Self::default();
        m.transactional_id = r.nullable_string(true)?;
        m.transaction_timeout_ms = r.i32()?;
        if v >= 3 {
            m.producer_id = r.i64()?;
        }
        if v >= 3 {
            m.producer_epoch = r.i16()?;
        }
        if v >= 6 {
            m.enable2_pc = r.bool()?;
        }
        if v >= 6 {
            m.keep_prepared_txn = r.bool()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 2);
        w.nullable_string(true, self.transactional_id.as_deref());
        w.i32(self.transaction_timeout_ms);
        if v >= 3 {
            w.i64(self.producer_id);
        }
        if v >= 3 {
            w.i16(self.producer_epoch);
        }
        if v >= 6 {
            w.bool(self.enable2_pc);
        }
        if v >= 6 {
            w.bool(self.keep_prepared_txn);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub ongoing_txn_producer_id: i64,
    pub ongoing_txn_producer_epoch: i16,
}

impl Default for InitProducerIdResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            producer_id: -1,
            producer_epoch: 0,
            ongoing_txn_producer_id: -1,
            ongoing_txn_producer_epoch: -1,
        }
    }
}

impl InitProducerIdResponse {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 2);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.producer_id = r.i64()?;
        m.producer_epoch = r.i16()?;
        if v >= 6 {
            m.ongoing_txn_producer_id = r.i64()?;
        }
        if v >= 6 {
            m.ongoing_txn_producer_epoch = r.i16()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 2);
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.i64(self.producer_id);
        w.i16(self.producer_epoch);
        if v >= 6 {
            w.i64(self.ongoing_txn_producer_id);
        }
        if v >= 6 {
            w.i16(self.ongoing_txn_producer_epoch);
        }
        w.no_tags();
    }
}

impl Request for InitProducerIdRequest<'_> {
    const API: ApiKey = ApiKey::InitProducerId;
    type Response<'r> = InitProducerIdResponse;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

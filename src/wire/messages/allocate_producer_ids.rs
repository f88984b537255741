//! `AllocateProducerIds` (key 67), versions 0-0, flexible from 0: generated from
//! `src/wire/schema/allocate_producer_ids.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use super::ControllerRequest;
use crate::wire::{api::ControllerApi, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocateProducerIdsRequest {
    pub broker_id: i32,
    pub broker_epoch: i64,
}

impl Default for AllocateProducerIdsRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
        }
    }
}

impl AllocateProducerIdsRequest {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.broker_epoch = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.broker_id);
        w.i64(self.broker_epoch);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AllocateProducerIdsResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub producer_id_start: i64,
    pub producer_id_len: i32,
}

impl AllocateProducerIdsResponse {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.producer_id_start = r.i64()?;
        m.producer_id_len = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.i64(self.producer_id_start);
        w.i32(self.producer_id_len);
        w.no_tags();
    }
}

impl ControllerRequest for AllocateProducerIdsRequest {
    const API: ControllerApi = ControllerApi::AllocateProducerIds;
    type Response<'r> = AllocateProducerIdsResponse;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

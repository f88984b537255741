//! `BrokerHeartbeat` (key 63), versions 0-2, flexible from 0: generated from
//! `src/wire/schema/broker_heartbeat.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use super::ControllerRequest;
use crate::wire::{Uuid, api::ControllerApi, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerHeartbeatRequest {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub current_metadata_offset: i64,
    pub want_fence: bool,
    pub want_shut_down: bool,
    pub offline_log_dirs: Vec<Uuid>,
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl Default for BrokerHeartbeatRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
            current_metadata_offset: 0,
            want_fence: false,
            want_shut_down: false,
            offline_log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        }
    }
}

impl BrokerHeartbeatRequest {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.broker_epoch = r.i64()?;
        m.current_metadata_offset = r.i64()?;
        m.want_fence = r.bool()?;
        m.want_shut_down = r.bool()?;
        r.tags(|r, tag| {
            match tag {
                0 if v >= 1 => m.offline_log_dirs = r.array(Reader::uuid)?,
                1 if v >= 2 => m.cordoned_log_dirs = r.nullable_array(true, Reader::uuid)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.broker_id);
        w.i64(self.broker_epoch);
        w.i64(self.current_metadata_offset);
        w.bool(self.want_fence);
        w.bool(self.want_shut_down);
        let has_offline_log_dirs = v >= 1 && !self.offline_log_dirs.is_empty();
        let has_cordoned_log_dirs = v >= 2 && self.cordoned_log_dirs.is_some();
        w.tag_count(&[has_offline_log_dirs, has_cordoned_log_dirs]);
        if has_offline_log_dirs {
            w.tag(0, |w| w.array(&self.offline_log_dirs, |w, e| w.uuid(*e)));
        }
        if has_cordoned_log_dirs {
            w.tag(1, |w| w.nullable_array(true, self.cordoned_log_dirs.as_deref(), |w, e| w.uuid(*e)));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerHeartbeatResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub is_caught_up: bool,
    pub is_fenced: bool,
    pub should_shut_down: bool,
}

impl Default for BrokerHeartbeatResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: ErrorCode::None,
            is_caught_up: false,
            is_fenced: true,
            should_shut_down: false,
        }
    }
}

impl BrokerHeartbeatResponse {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.is_caught_up = r.bool()?;
        m.is_fenced = r.bool()?;
        m.should_shut_down = r.bool()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.bool(self.is_caught_up);
        w.bool(self.is_fenced);
        w.bool(self.should_shut_down);
        w.no_tags();
    }
}

impl ControllerRequest for BrokerHeartbeatRequest {
    const API: ControllerApi = ControllerApi::BrokerHeartbeat;
    type Response<'r> = BrokerHeartbeatResponse;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

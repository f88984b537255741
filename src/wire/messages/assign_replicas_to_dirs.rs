//! `AssignReplicasToDirs` (key 73), versions 0-0, flexible from 0: generated from
//! `src/wire/schema/assign_replicas_to_dirs.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use super::ControllerRequest;
use crate::wire::{Uuid, api::ControllerApi, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignReplicasToDirsRequest {
    pub broker_id: i32,
    pub broker_epoch: i64,
    pub directories: Vec<RequestedDirectoryData>,
}

impl Default for AssignReplicasToDirsRequest {
    fn default() -> Self {
        Self {
            broker_id: 0,
            broker_epoch: -1,
            directories: Vec::new(),
        }
    }
}

impl AssignReplicasToDirsRequest {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.broker_id = r.i32()?;
        m.broker_epoch = r.i64()?;
        m.directories = r.array(|r| RequestedDirectoryData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.broker_id);
        w.i64(self.broker_epoch);
        w.array(&self.directories, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedDirectoryData {
    pub id: Uuid,
    pub topics: Vec<RequestedTopicData>,
}

impl RequestedDirectoryData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.id = r.uuid()?;
        m.topics = r.array(|r| RequestedTopicData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.uuid(self.id);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedTopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<RequestedPartitionData>,
}

impl RequestedTopicData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.partitions = r.array(|r| RequestedPartitionData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.uuid(self.topic_id);
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RequestedPartitionData {
    pub partition_index: i32,
}

impl RequestedPartitionData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AssignReplicasToDirsResponse {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub directories: Vec<DirectoryData>,
}

impl AssignReplicasToDirsResponse {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        m.error_code = r.error_code()?;
        m.directories = r.array(|r| DirectoryData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.throttle_time_ms);
        w.error_code(self.error_code);
        w.array(&self.directories, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DirectoryData {
    pub id: Uuid,
    pub topics: Vec<TopicData>,
}

impl DirectoryData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.id = r.uuid()?;
        m.topics = r.array(|r| TopicData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.uuid(self.id);
        w.array(&self.topics, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicData {
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

impl TopicData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.partitions = r.array(|r| PartitionData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.uuid(self.topic_id);
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: ErrorCode,
}

impl PartitionData {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.no_tags();
    }
}

impl ControllerRequest for AssignReplicasToDirsRequest {
    const API: ControllerApi = ControllerApi::AssignReplicasToDirs;
    type Response<'r> = AssignReplicasToDirsResponse;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

//! `Fetch` (key 1), versions 4-18, flexible from 12: generated from
//! `src/wire/schema/fetch.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{Uuid, api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, records::Records, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest<'a> {
    pub cluster_id: Option<Cow<'a, str>>,
    pub replica_id: i32,
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic<'a>>,
    pub forgotten_topics_data: Vec<ForgottenTopic<'a>>,
    pub rack_id: Cow<'a, str>,
}

impl Default for FetchRequest<'_> {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: i32::MAX,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: Cow::Borrowed(""),
        }
    }
}

impl<'a> FetchRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 12);
        let mut m = Self::default();
        if v <= 14 {
            m.replica_id = r.i32()?;
        }
        m.max_wait_ms = r.i32()?;
        m.min_bytes = r.i32()?;
        m.max_bytes = r.i32()?;
        m.isolation_level = r.i8()?;
        if v >= 7 {
            m.session_id = r.i32()?;
        }
        if v >= 7 {
            m.session_epoch = r.i32()?;
        }
        m.topics = r.array(|r| FetchTopic::decode(r, v))?;
        if v >= 7 {
            m.forgotten_topics_data = r.array(|r| ForgottenTopic::decode(r, v))?;
        }
        if v >= 11 {
            m.rack_id = r.string()?;
        }
        r.tags(|r, tag| {
            match tag {
                0 => m.cluster_id = r.nullable_string(true)?,
                1 if v >= 15 => m.replica_state = ReplicaState::decode(r, v)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 12);
        if v <= 14 {
            w.i32(self.replica_id);
        }
        w.i32(self.max_wait_ms);
        w.i32(self.min_bytes);
        w.i32(self.max_bytes);
        w.i8(self.isolation_level);
        if v >= 7 {
            w.i32(self.session_id);
        }
        if v >= 7 {
            w.i32(self.session_epoch);
        }
        w.array(&self.topics, |w, e| e.encode(w, v));
        if v >= 7 {
            w.array(&self.forgotten_topics_data, |w, e| e.encode(w, v));
        }
        if v >= 11 {
            w.string(&self.rack_id);
        }
        let has_cluster_id = v >= 12 && self.cluster_id.is_some();
        let has_replica_state = v >= 15 && self.replica_state != ReplicaState::default();
        w.tag_count(&[has_cluster_id, has_replica_state]);
        if has_cluster_id {
            w.tag(0, |w| w.nullable_string(true, self.cluster_id.as_deref()));
        }
        if has_replica_state {
            w.tag(1, |w| self.replica_state.encode(w, v));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: -1,
            replica_epoch: -1,
        }
    }
}

impl ReplicaState {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.replica_id = r.i32()?;
        m.replica_epoch = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.replica_id);
        w.i64(self.replica_epoch);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FetchTopic<'a> {
    pub topic: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

impl<'a> FetchTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 12 {
            m.topic = r.string()?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(|r| FetchPartition::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 12 {
            w.string(&self.topic);
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    pub replica_directory_id: Uuid,
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: Uuid::nil(),
            high_watermark: i64::MAX,
        }
    }
}

impl FetchPartition {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition = r.i32()?;
        if v >= 9 {
            m.current_leader_epoch = r.i32()?;
        }
        m.fetch_offset = r.i64()?;
        if v >= 12 {
            m.last_fetched_epoch = r.i32()?;
        }
        if v >= 5 {
            m.log_start_offset = r.i64()?;
        }
        m.partition_max_bytes = r.i32()?;
        r.tags(|r, tag| {
            match tag {
                0 if v >= 17 => m.replica_directory_id = r.uuid()?,
                1 if v >= 18 => m.high_watermark = r.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition);
        if v >= 9 {
            w.i32(self.current_leader_epoch);
        }
        w.i64(self.fetch_offset);
        if v >= 12 {
            w.i32(self.last_fetched_epoch);
        }
        if v >= 5 {
            w.i64(self.log_start_offset);
        }
        w.i32(self.partition_max_bytes);
        let has_replica_directory_id = v >= 17 && !self.replica_directory_id.is_nil();
        let has_high_watermark = v >= 18 && self.high_watermark != i64::MAX;
        w.tag_count(&[has_replica_directory_id, has_high_watermark]);
        if has_replica_directory_id {
            w.tag(0, |w| w.uuid(self.replica_directory_id));
        }
        if has_high_watermark {
            w.tag(1, |w| w.i64(self.high_watermark));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ForgottenTopic<'a> {
    pub topic: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl<'a> ForgottenTopic<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 12 {
            m.topic = r.string()?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(Reader::i32)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 12 {
            w.string(&self.topic);
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, e| w.i32(*e));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FetchResponse<'a> {
    pub throttle_time_ms: i32,
    pub error_code: ErrorCode,
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse<'a>>,
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
}

impl<'a> FetchResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 12);
        let mut m = Self::default();
        m.throttle_time_ms = r.i32()?;
        if v >= 7 {
            m.error_code = r.error_code()?;
        }
        if v >= 7 {
            m.session_id = r.i32()?;
        }
        m.responses = r.array(|r| FetchableTopicResponse::decode(r, v))?;
        r.tags(|r, tag| {
            match tag {
                0 if v >= 16 => m.node_endpoints = r.array(|r| NodeEndpoint::decode(r, v))?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 12);
        w.i32(self.throttle_time_ms);
        if v >= 7 {
            w.error_code(self.error_code);
        }
        if v >= 7 {
            w.i32(self.session_id);
        }
        w.array(&self.responses, |w, e| e.encode(w, v));
        let has_node_endpoints = v >= 16 && !self.node_endpoints.is_empty();
        w.tag_count(&[has_node_endpoints]);
        if has_node_endpoints {
            w.tag(0, |w| w.array(&self.node_endpoints, |w, e| e.encode(w, v)));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FetchableTopicResponse<'a> {
    pub topic: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData<'a>>,
}

impl<'a> FetchableTopicResponse<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        if v <= 12 {
            m.topic = r.string()?;
        }
        if v >= 13 {
            m.topic_id = r.uuid()?;
        }
        m.partitions = r.array(|r| PartitionData::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        if v <= 12 {
            w.string(&self.topic);
        }
        if v >= 13 {
            w.uuid(self.topic_id);
        }
        w.array(&self.partitions, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionData<'a> {
    pub partition_index: i32,
    pub error_code: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: EpochEndOffset,
    pub current_leader: LeaderIdAndEpoch,
    pub snapshot_id: SnapshotId,
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub preferred_read_replica: i32,
    pub records: Option<Records<'a>>,
}

impl Default for PartitionData<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: ErrorCode::None,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: Some(Vec::new()),
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl<'a> PartitionData<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.partition_index = r.i32()?;
        m.error_code = r.error_code()?;
        m.high_watermark = r.i64()?;
        m.last_stable_offset = r.i64()?;
        if v >= 5 {
            m.log_start_offset = r.i64()?;
        }
        m.aborted_transactions = r.nullable_array(true, |r| AbortedTransaction::decode(r, v))?;
        if v >= 11 {
            m.preferred_read_replica = r.i32()?;
        }
        m.records = r.records(true)?;
        r.tags(|r, tag| {
            match tag {
                0 => m.diverging_epoch = EpochEndOffset::decode(r, v)?,
                1 => m.current_leader = LeaderIdAndEpoch::decode(r, v)?,
                2 => m.snapshot_id = SnapshotId::decode(r, v)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.partition_index);
        w.error_code(self.error_code);
        w.i64(self.high_watermark);
        w.i64(self.last_stable_offset);
        if v >= 5 {
            w.i64(self.log_start_offset);
        }
        w.nullable_array(true, self.aborted_transactions.as_deref(), |w, e| e.encode(w, v));
        if v >= 11 {
            w.i32(self.preferred_read_replica);
        }
        w.records(true, self.records.as_ref());
        let has_diverging_epoch = v >= 12 && self.diverging_epoch != EpochEndOffset::default();
        let has_current_leader = v >= 12 && self.current_leader != LeaderIdAndEpoch::default();
        let has_snapshot_id = v >= 12 && self.snapshot_id != SnapshotId::default();
        w.tag_count(&[has_diverging_epoch, has_current_leader, has_snapshot_id]);
        if has_diverging_epoch {
            w.tag(0, |w| self.diverging_epoch.encode(w, v));
        }
        if has_current_leader {
            w.tag(1, |w| self.current_leader.encode(w, v));
        }
        if has_snapshot_id {
            w.tag(2, |w| self.snapshot_id.encode(w, v));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self {
            epoch: -1,
            end_offset: -1,
        }
    }
}

impl EpochEndOffset {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.epoch = r.i32()?;
        m.end_offset = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.epoch);
        w.i64(self.end_offset);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self {
            leader_id: -1,
            leader_epoch: -1,
        }
    }
}

impl LeaderIdAndEpoch {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.leader_id = r.i32()?;
        m.leader_epoch = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.leader_id);
        w.i32(self.leader_epoch);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self {
            end_offset: -1,
            epoch: -1,
        }
    }
}

impl SnapshotId {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.end_offset = r.i64()?;
        m.epoch = r.i32()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i64(self.end_offset);
        w.i32(self.epoch);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl AbortedTransaction {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.producer_id = r.i64()?;
        m.first_offset = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i64(self.producer_id);
        w.i64(self.first_offset);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NodeEndpoint<'a> {
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
}

impl<'a> NodeEndpoint<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.node_id = r.i32()?;
        m.host = r.string()?;
        m.port = r.i32()?;
        m.rack = r.nullable_string(true)?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i32(self.node_id);
        w.string(&self.host);
        w.i32(self.port);
        w.nullable_string(true, self.rack.as_deref());
        w.no_tags();
    }
}

impl Request for FetchRequest<'_> {
    const API: ApiKey = ApiKey::Fetch;
    type Response<'r> = FetchResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}

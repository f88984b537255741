//! A broker that does what its script says: trouble that no node makes when a test wants it.
//!
//! It leads, coordinates and answers for the topic `t`; every member of every group gets all its partitions.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ottla::wire::api::ApiKey;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicPartitions,
};
use ottla::wire::messages::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use ottla::wire::messages::find_coordinator::FindCoordinatorResponse;
use ottla::wire::messages::list_offsets::{
    ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ottla::wire::messages::metadata::MetadataResponse;
use ottla::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
};
use ottla::wire::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchResponse, OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use ottla::wire::reader::Reader;
use ottla::wire::records::Records;
use ottla::wire::writer::Writer;
use ottla_storage::Offset;
use ottla_storage::batch::{BatchBuilder, NewRecord};

use crate::fake::{self, Fake, Reply, TOPIC_ID};

const NODE: i32 = 1;
/// Heartbeats are due this often, and a fetch of nothing takes this long.
const MOMENT: Duration = Duration::from_millis(50);

/// All that it serves.
pub(crate) const APIS: &[ApiKey] = &[
    ApiKey::Metadata,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::FindCoordinator,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::OffsetFetch,
    ApiKey::OffsetCommit,
];

pub(crate) struct Script {
    pub(crate) apis: &'static [ApiKey],
    /// The partitions of `t`: the batches from offset 0 on; none is without a leader.
    pub(crate) partitions: Vec<Option<Vec<u8>>>,
    /// What becomes of the nth request of an API, from 0 on.
    pub(crate) fate: Box<dyn Fn(ApiKey, usize) -> Fate + Send + Sync>,
}

pub(crate) enum Fate {
    Answered,
    Refused(ErrorCode),
    /// No answer comes, and the connection stays.
    Unheard,
}

pub(crate) struct Broker {
    address: SocketAddr,
    world: Arc<World>,
}

struct World {
    script: Script,
    counts: Mutex<BTreeMap<i16, usize>>,
    committed: Mutex<BTreeMap<i32, i64>>,
}

impl Broker {
    pub(crate) fn start(script: Script) -> Self {
        let fake = Fake::bind();
        let (address, apis) = (fake.address(), script.apis);
        let world = Arc::new(World {
            script,
            counts: Mutex::default(),
            committed: Mutex::default(),
        });
        let served = Arc::clone(&world);
        fake.serve(apis, move |header, body, writer| {
            let code = match (served.script.fate)(header.api, served.counted(header.api)) {
                Fate::Answered => ErrorCode::None,
                Fate::Refused(code) => code,
                Fate::Unheard => return Reply::Unheard,
            };
            let call = (header.api, header.version);
            served.answer(writer, call, body, (code, address));
            Reply::Answered
        });
        Self { address, world }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// How many requests of an API have come.
    pub(crate) fn count(&self, api: ApiKey) -> usize {
        let counts = self.world.counts.lock().unwrap();
        counts.get(&api.code()).copied().unwrap_or_default()
    }

    pub(crate) fn committed(&self) -> BTreeMap<i32, i64> {
        self.world.committed.lock().unwrap().clone()
    }
}

/// A batch of one record.
pub(crate) fn batch(base: i64, value: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::new().base_offset(Offset::from_wire(base).unwrap());
    let record = NewRecord {
        value: Some(value.as_bytes()),
        ..NewRecord::default()
    };
    builder.append(&record).unwrap();
    builder.build().unwrap()
}

impl World {
    fn counted(&self, api: ApiKey) -> usize {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(api.code()).or_default();
        *count += 1;
        *count - 1
    }

    fn answer(
        &self,
        writer: &mut Writer,
        (api, version): (ApiKey, i16),
        body: &mut Reader<'_>,
        (code, address): (ErrorCode, SocketAddr),
    ) {
        match api {
            ApiKey::Metadata => self.metadata(address).encode(writer, version),
            ApiKey::FindCoordinator => coordinator(code, address).encode(writer, version),
            ApiKey::Fetch => {
                let request = FetchRequest::decode(body, version).unwrap();
                self.fetch(&request, code).encode(writer, version);
            }
            ApiKey::ListOffsets => {
                let request = ListOffsetsRequest::decode(body, version).unwrap();
                self.list_offsets(&request, code).encode(writer, version);
            }
            ApiKey::ConsumerGroupHeartbeat => {
                let request = ConsumerGroupHeartbeatRequest::decode(body, version).unwrap();
                self.heartbeat(&request, code).encode(writer, version);
            }
            ApiKey::OffsetFetch => {
                let request = OffsetFetchRequest::decode(body, version).unwrap();
                self.offset_fetch(&request, code).encode(writer, version);
            }
            ApiKey::OffsetCommit => {
                let request = OffsetCommitRequest::decode(body, version).unwrap();
                self.offset_commit(&request, code).encode(writer, version);
            }
            api => panic!("{api} is not served"),
        }
    }

    fn metadata(&self, address: SocketAddr) -> MetadataResponse<'static> {
        let partitions = self.script.partitions.iter();
        let leaders = partitions.map(|records| if records.is_some() { NODE } else { -1 });
        fake::metadata(&[(NODE, address)], &leaders.collect::<Vec<_>>())
    }

    fn records(&self, index: i32) -> &[u8] {
        let index = usize::try_from(index).unwrap();
        self.script.partitions[index].as_deref().unwrap_or_default()
    }

    fn fetch<'s>(&'s self, request: &FetchRequest<'_>, code: ErrorCode) -> FetchResponse<'s> {
        let mut is_empty = true;
        let mut responses = Vec::new();
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|asked| {
                let records = match asked.fetch_offset {
                    0 if !code.is_error() => self.records(asked.partition),
                    _ => &[],
                };
                is_empty &= records.is_empty();
                PartitionData {
                    partition_index: asked.partition,
                    error_code: code,
                    records: Some(Records::Slice(records)),
                    ..PartitionData::default()
                }
            });
            responses.push(FetchableTopicResponse {
                topic: topic.topic.to_string().into(),
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
            });
        }
        if is_empty {
            thread::park_timeout(MOMENT);
        }
        FetchResponse {
            responses,
            ..FetchResponse::default()
        }
    }

    fn list_offsets(
        &self,
        request: &ListOffsetsRequest<'_>,
        code: ErrorCode,
    ) -> ListOffsetsResponse<'static> {
        let topics = request.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|asked| ListOffsetsPartitionResponse {
                partition_index: asked.partition_index,
                error_code: code,
                offset: if asked.timestamp == -2 {
                    0
                } else {
                    i64::from(!self.records(asked.partition_index).is_empty())
                },
                ..ListOffsetsPartitionResponse::default()
            });
            ListOffsetsTopicResponse {
                name: topic.name.to_string().into(),
                partitions: partitions.collect(),
            }
        });
        ListOffsetsResponse {
            topics: topics.collect(),
            ..ListOffsetsResponse::default()
        }
    }

    fn heartbeat(
        &self,
        request: &ConsumerGroupHeartbeatRequest<'_>,
        code: ErrorCode,
    ) -> ConsumerGroupHeartbeatResponse<'static> {
        let partitions = (0..).zip(&self.script.partitions);
        ConsumerGroupHeartbeatResponse {
            error_code: code,
            member_id: Some(request.member_id.to_string().into()),
            member_epoch: if request.member_epoch < 0 { -1 } else { 1 },
            heartbeat_interval_ms: i32::try_from(MOMENT.as_millis()).unwrap(),
            assignment: Some(Assignment {
                topic_partitions: vec![TopicPartitions {
                    topic_id: TOPIC_ID,
                    partitions: partitions.map(|(index, _)| index).collect(),
                }],
            }),
            ..ConsumerGroupHeartbeatResponse::default()
        }
    }

    fn offset_fetch(
        &self,
        request: &OffsetFetchRequest<'_>,
        code: ErrorCode,
    ) -> OffsetFetchResponse<'static> {
        let committed = self.committed.lock().unwrap();
        let groups = request.groups.iter().map(|group| {
            let topics = group.topics.iter().flatten().map(|topic| {
                let indexes = topic.partition_indexes.iter();
                let partitions = indexes.map(|index| OffsetFetchResponsePartitions {
                    partition_index: *index,
                    committed_offset: committed.get(index).copied().unwrap_or(-1),
                    ..OffsetFetchResponsePartitions::default()
                });
                OffsetFetchResponseTopics {
                    name: topic.name.to_string().into(),
                    topic_id: topic.topic_id,
                    partitions: partitions.collect(),
                }
            });
            OffsetFetchResponseGroup {
                group_id: group.group_id.to_string().into(),
                topics: topics.collect(),
                error_code: code,
            }
        });
        OffsetFetchResponse {
            groups: groups.collect(),
            ..OffsetFetchResponse::default()
        }
    }

    fn offset_commit(
        &self,
        request: &OffsetCommitRequest<'_>,
        code: ErrorCode,
    ) -> OffsetCommitResponse<'static> {
        let mut committed = self.committed.lock().unwrap();
        let mut topics = Vec::new();
        for topic in &request.topics {
            let partitions = topic.partitions.iter().map(|one| {
                if !code.is_error() {
                    committed.insert(one.partition_index, one.committed_offset);
                }
                OffsetCommitResponsePartition {
                    partition_index: one.partition_index,
                    error_code: code,
                }
            });
            topics.push(OffsetCommitResponseTopic {
                name: topic.name.to_string().into(),
                topic_id: topic.topic_id,
                partitions: partitions.collect(),
            });
        }
        OffsetCommitResponse {
            topics,
            ..OffsetCommitResponse::default()
        }
    }
}

fn coordinator(code: ErrorCode, address: SocketAddr) -> FindCoordinatorResponse<'static> {
    if code.is_error() {
        fake::no_coordinator(code)
    } else {
        fake::coordinator(NODE, address)
    }
}

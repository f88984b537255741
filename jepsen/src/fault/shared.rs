//! What all clients of a run share, on one thread: the view of the cluster, the history, the values not yet used.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use ottla::clock;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla::wire::messages::describe_quorum::{
    DescribeQuorumRequest, RequestedPartitionData, RequestedTopicData,
};
use ottla::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client::{CallError, Connection};
use super::recorder::Recorder;
use super::view::View;
use crate::history::{Key, Offset, Value};

/// The topic whose partitions are the keys.
pub(super) const TOPIC: &str = "w1";
/// How often each node is asked for metadata, and how long an answer may take.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
const REFRESH_WITHIN: Duration = Duration::from_millis(500);
/// Where the members of the quorum are asked for.
const QUORUM_TOPIC: &str = "__cluster_metadata";

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) addresses: BTreeMap<i32, SocketAddr>,
    pub(super) keys: Vec<Key>,
    pub(super) view: RefCell<View>,
    /// Somebody met a node that is not the leader any more.
    pub(super) stale: Notify,
    pub(super) recorder: RefCell<Recorder>,
    /// What breaks a promise and is no operation's business.
    pub(super) problems: RefCell<Vec<String>>,
    /// Positions that a node said to be outside of its log.
    pub(super) out_of_range: RefCell<u64>,
    values: Cell<i64>,
    ends: RefCell<BTreeMap<Key, u64>>,
}

impl Shared {
    pub(super) fn new(
        addresses: BTreeMap<i32, SocketAddr>,
        partition_count: u32,
        recorder: Recorder,
    ) -> Self {
        let keys: Vec<_> = (0..u64::from(partition_count)).map(Key).collect();
        Self {
            addresses,
            view: RefCell::new(View::new(keys.len())),
            stale: Notify::new(),
            recorder: RefCell::new(recorder),
            problems: RefCell::default(),
            out_of_range: RefCell::default(),
            values: Cell::default(),
            ends: RefCell::default(),
            keys,
        }
    }

    /// A value that no key ever got: one that turns up in another key's log is nobody's there.
    pub(super) fn next_value(&self) -> Value {
        self.values.update(|value| value + 1);
        Value(self.values.get())
    }

    /// An offset was acknowledged or read: the log reaches beyond it for ever.
    pub(super) fn saw(&self, key: Key, offset: Offset) {
        let mut ends = self.ends.borrow_mut();
        let end = ends.entry(key).or_default();
        *end = (*end).max(offset.0 + 1);
    }

    /// Behind the last offset that was acknowledged or read.
    pub(super) fn end(&self, key: Key) -> u64 {
        self.ends.borrow().get(&key).copied().unwrap_or_default()
    }

    pub(super) fn problem(&self, problem: String) {
        let mut problems = self.problems.borrow_mut();
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Creates the topic; tried again until a node does it or `within` is over.
    pub(super) async fn create_topic(&self, replication: i16, within: Duration) -> Result<()> {
        let min_isr = if replication >= 3 { "2" } else { "1" };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: TOPIC.into(),
                num_partitions: i32::try_from(self.keys.len())?,
                replication_factor: replication,
                configs: vec![CreatableTopicConfig {
                    name: "min.insync.replicas".into(),
                    value: Some(min_isr.into()),
                }],
                ..CreatableTopic::default()
            }],
            timeout_ms: 5000,
            validate_only: false,
        };
        let deadline = clock::uptime() + within;
        let mut last = "no node answered".to_owned();
        while clock::uptime() < deadline {
            for &address in self.addresses.values() {
                match create(address, &request).await {
                    Ok(ErrorCode::None | ErrorCode::TopicAlreadyExists) => return Ok(()),
                    Ok(code) => last = format!("{address}: {}", code.name()),
                    Err(error) => last = format!("{address}: {error}"),
                }
            }
            sleep(REFRESH_EVERY).await;
        }
        bail!("the topic could not be created: {last}")
    }

    /// Asks one node for metadata, again and again.
    pub(super) async fn follow(self: Rc<Self>, address: SocketAddr) {
        let mut connection = None;
        loop {
            if timeout(REFRESH_WITHIN, self.ask(address, &mut connection))
                .await
                .is_err()
            {
                connection = None;
            }
            // Every node is asked at once when one was found out to be no leader; not more often than this.
            sleep(Duration::from_millis(20)).await;
            let _ = timeout(REFRESH_EVERY, self.stale.notified()).await;
        }
    }

    async fn ask(&self, address: SocketAddr, connection: &mut Option<Connection>) {
        let mut open = match connection.take() {
            Some(open) => open,
            None => match Connection::open(address, REFRESH_WITHIN).await {
                Ok(open) => open,
                Err(_) => return,
            },
        };
        if self.learn(&mut open).await.is_ok() {
            *connection = Some(open);
        }
    }

    async fn learn(&self, connection: &mut Connection) -> Result<(), CallError> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(TOPIC.into()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let answer = connection.call(&request, REFRESH_WITHIN).await?;
        let response = answer.decode()?;
        for topic in response.topics.iter().filter(|t| !t.error_code.is_error()) {
            self.view.borrow_mut().learn(topic);
        }
        let request = DescribeQuorumRequest {
            topics: vec![RequestedTopicData {
                topic_name: QUORUM_TOPIC.into(),
                partitions: vec![RequestedPartitionData::default()],
            }],
        };
        let answer = connection.call(&request, REFRESH_WITHIN).await?;
        let response = answer.decode()?;
        let mut partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let leader = partitions.next().map(|partition| partition.leader_id);
        if let Some(leader) = leader.filter(|leader| *leader >= 0) {
            self.view.borrow_mut().controller = Some(leader);
        }
        Ok(())
    }
}

async fn create(
    address: SocketAddr,
    request: &CreateTopicsRequest<'_>,
) -> Result<ErrorCode, CallError> {
    let within = Duration::from_secs(6);
    let mut connection = Connection::open(address, within).await?;
    // The request outlives the call, whatever its lifetime says.
    let answer = connection.call(request, within).await?;
    let response = answer.decode()?;
    let code = response.topics.first().map(|topic| topic.error_code);
    Ok(code.unwrap_or(ErrorCode::UnknownServerError))
}

//! A client thread of the workload: one operation after the other, as one process after the other.
//!
//! - An operation of unknown outcome ends its process: the next one has a new number, new connections and a consumer
//!   that was assigned anew.
//! - One attempt per operation. What is learnt from it (another leader) serves the next one.
//! - A position moves only when the poll that read up to it is recorded as ok.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use ottla::clock;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla::wire::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla::wire::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ottla::wire::records::Records;
use ottla_storage::batch::{BatchBuilder, Batches, NewRecord};
use tokio::time::sleep;

use super::client::{CallError, Connection};
use super::outcome::Trouble;
use super::shared::{Shared, TOPIC};
use crate::history::{Action, Key, Kind, MicroOp, Note, Offset, Record, Value, Verb};
use crate::rng::Rng;

/// How long a node may hold a produce request, and how long its answer is waited for.
const PRODUCE_HELD: Duration = Duration::from_secs(2);
const PRODUCE_WITHIN: Duration = Duration::from_secs(3);
/// The same for fetches.
const FETCH_HELD: Duration = Duration::from_millis(50);
const FETCH_WITHIN: Duration = Duration::from_millis(1500);
/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(500);
/// Bytes of one partition in an answer.
const PARTITION_BYTES: i32 = 256 << 10;
/// The most values of one send.
const BATCH_MAX: u64 = 3;
/// How often in a hundred a new process starts at the beginning of the logs instead of where the last one was.
const REWIND_PERCENT: u64 = 10;
/// Between two tries of the last readers.
const DRAIN_PAUSE: Duration = Duration::from_millis(50);

/// A client thread.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Rc<Shared>,
    rng: Rng,
    process: u64,
    /// How many numbers of processes there are to one thread's next one.
    stride: u64,
    connections: BTreeMap<i32, Connection>,
    positions: BTreeMap<Key, u64>,
    is_assigned: bool,
}

/// What a poll brought: records, and the positions behind them.
type Polled = (Vec<(Key, Vec<Record>)>, BTreeMap<Key, u64>);

impl Worker {
    /// Thread `number` of `count`.
    pub(super) fn new(shared: Rc<Shared>, number: u64, count: u64, rng: Rng) -> Self {
        Self {
            shared,
            rng,
            process: number,
            stride: count,
            connections: BTreeMap::new(),
            positions: BTreeMap::new(),
            is_assigned: false,
        }
    }

    /// One operation: half of them sends, half of them polls.
    pub(super) async fn step(&mut self) {
        if !self.is_assigned {
            let rewinds = self.positions.is_empty() || self.rng.chance(REWIND_PERCENT);
            self.assign(rewinds);
        } else if self.rng.chance(50) {
            let key = self.any_key();
            let count = if self.rng.chance(75) {
                1
            } else {
                1 + self.rng.below(BATCH_MAX)
            };
            self.send(key, count).await;
        } else {
            let key = self.any_key();
            self.poll(key).await;
        }
    }

    /// Sends one value to a key; whether it was acknowledged.
    pub(super) async fn send_one(&mut self, key: Key) -> bool {
        self.send(key, 1).await
    }

    /// Reads every key from its beginning to its end, then polls once more. Tells whether it got there in time.
    pub(super) async fn drain(&mut self, until: Duration) -> bool {
        self.assign(true);
        let mut left = self.shared.keys.clone();
        while clock::uptime() < until {
            if !self.is_assigned {
                self.assign(true);
                left.clone_from(&self.shared.keys);
            }
            let Some(&key) = left.first() else {
                // The public checker calls what the very last poll reads first unseen.
                if self.poll(self.any_key_of_all()).await {
                    return true;
                }
                continue;
            };
            let Some(end) = self.end_of(key).await else {
                sleep(DRAIN_PAUSE).await;
                continue;
            };
            let known = self.shared.end(key);
            if end < known {
                self.shared.problem(format!(
                    "key {} ends at offset {end}, though offset {} was acknowledged or read",
                    key.0,
                    known - 1
                ));
            }
            while self.position(key) < end && clock::uptime() < until && self.is_assigned {
                if !self.poll(key).await {
                    sleep(DRAIN_PAUSE).await;
                }
            }
            if self.position(key) >= end {
                left.remove(0);
            }
        }
        false
    }

    fn any_key(&mut self) -> Key {
        let number = self.rng.index(self.shared.keys.len());
        self.shared.keys.get(number).copied().unwrap_or(Key(0))
    }

    fn any_key_of_all(&self) -> Key {
        self.shared.keys.first().copied().unwrap_or(Key(0))
    }

    fn position(&self, key: Key) -> u64 {
        self.positions.get(&key).copied().unwrap_or_default()
    }

    fn record(&self, kind: Kind, action: Action, notes: Vec<Note>) {
        let mut recorder = self.shared.recorder.borrow_mut();
        recorder.client(self.process, kind, action, notes);
    }

    fn assign(&mut self, rewinds: bool) {
        let action = Action::Assign(self.shared.keys.clone());
        let notes: Vec<_> = rewinds
            .then_some(Note::SeekToBeginning(true))
            .into_iter()
            .collect();
        self.record(Kind::Invoke, action.clone(), notes.clone());
        if rewinds {
            self.positions.clear();
        }
        self.is_assigned = true;
        self.record(Kind::Ok, action, notes);
    }

    /// The process is over; the next operation is another's.
    fn end_process(&mut self) {
        self.process += self.stride;
        self.connections.clear();
        self.is_assigned = false;
    }

    async fn send(&mut self, key: Key, count: u64) -> bool {
        let values: Vec<_> = (0..count).map(|_| self.shared.next_value()).collect();
        self.record(Kind::Invoke, sends(key, &values, None), Vec::new());
        match self.produce(key, &values).await {
            Ok(base) => {
                let last = base.and_then(|base| base.checked_add(count - 1));
                if let Some(last) = last {
                    self.shared.saw(key, Offset(last));
                }
                self.record(Kind::Ok, sends(key, &values, base), Vec::new());
                true
            }
            Err(trouble) => {
                let kind = trouble.of_send();
                let notes = vec![Note::Error(trouble.datum())];
                self.record(kind, sends(key, &values, None), notes);
                self.shared.stale.notify_waiters();
                if kind == Kind::Info {
                    self.end_process();
                }
                false
            }
        }
    }

    /// The offset of the first value, if it was told.
    async fn produce(&mut self, key: Key, values: &[Value]) -> Result<Option<u64>, Trouble> {
        let leader = self.shared.view.borrow().leader(key);
        let leader = leader.ok_or(Trouble::NoLeader)?;
        let request = ProduceRequest {
            transactional_id: None,
            acks: -1,
            timeout_ms: millis(PRODUCE_HELD),
            topic_data: vec![TopicProduceData {
                name: TOPIC.into(),
                topic_id: self.shared.view.borrow().topic_id,
                partition_data: vec![PartitionProduceData {
                    index: partition(key),
                    records: Some(Records::Shared(batch(values)?.into())),
                }],
            }],
        };
        let mut connection = self.connection(leader).await?;
        let answer = connection.call(&request, PRODUCE_WITHIN).await;
        let answer = answer.map_err(Trouble::Call)?;
        let response = answer.decode().map_err(Trouble::Call)?;
        self.connections.insert(leader, connection);
        let mut told = response.responses.iter();
        let told = told.find_map(|topic| topic.partition_responses.first());
        let told = told.ok_or_else(|| garbled("no partition in it"))?;
        if told.error_code.is_error() {
            return Err(Trouble::Refused(told.error_code));
        }
        Ok(u64::try_from(told.base_offset).ok())
    }

    /// Polls the keys that `key`'s leader leads; whether that worked.
    async fn poll(&mut self, key: Key) -> bool {
        let action = |polled| Action::MicroOps(Verb::Poll, vec![MicroOp::Poll(polled)]);
        self.record(Kind::Invoke, action(None), Vec::new());
        match self.fetch(key).await {
            Ok((polled, positions)) => {
                for (key, records) in &polled {
                    if let Some(last) = records.last() {
                        self.shared.saw(*key, last.offset);
                    }
                }
                self.positions.extend(positions);
                self.record(Kind::Ok, action(Some(polled)), Vec::new());
                true
            }
            Err(trouble) => {
                let mut notes = vec![Note::Error(trouble.datum())];
                let is_lost = matches!(trouble, Trouble::Refused(ErrorCode::OffsetOutOfRange));
                if is_lost {
                    notes.push(Note::EndProcess(true));
                }
                self.record(Kind::Fail, action(None), notes);
                self.shared.stale.notify_waiters();
                if is_lost {
                    *self.shared.out_of_range.borrow_mut() += 1;
                    self.positions.clear();
                    self.end_process();
                }
                false
            }
        }
    }

    async fn fetch(&mut self, key: Key) -> Result<Polled, Trouble> {
        let leader = self.shared.view.borrow().leader(key);
        let leader = leader.ok_or(Trouble::NoLeader)?;
        let request = self.fetch_request(leader);
        let mut connection = self.connection(leader).await?;
        let answer = connection.call(&request, FETCH_WITHIN).await;
        let answer = answer.map_err(Trouble::Call)?;
        let response = answer.decode().map_err(Trouble::Call)?;
        self.connections.insert(leader, connection);
        if response.error_code.is_error() {
            return Err(Trouble::Refused(response.error_code));
        }
        let (mut polled, mut positions) = Polled::default();
        let mut refused = None;
        let partitions = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions);
        for told in partitions {
            let of = u64::try_from(told.partition_index).map(Key);
            let of = of.map_err(|_| garbled("a negative partition"))?;
            if told.error_code == ErrorCode::OffsetOutOfRange {
                return Err(Trouble::Refused(told.error_code));
            }
            if told.error_code.is_error() {
                refused.get_or_insert(told.error_code);
                continue;
            }
            let bytes = told.records.as_ref().and_then(Records::as_slice);
            let read = read_records(bytes.unwrap_or_default(), self.position(of));
            let (records, position) = read.map_err(|problem| {
                let problem = format!("node {leader}, key {}: {problem}", of.0);
                self.shared.problem(problem.clone());
                garbled(&problem)
            })?;
            positions.insert(of, position);
            if !records.is_empty() {
                polled.push((of, records));
            }
        }
        match refused {
            Some(code) if positions.is_empty() => Err(Trouble::Refused(code)),
            _ => Ok((polled, positions)),
        }
    }

    fn fetch_request(&self, leader: i32) -> FetchRequest<'static> {
        let view = self.shared.view.borrow();
        let led = self.shared.keys.iter().filter_map(|key| {
            let known = view.partition(*key)?;
            (known.leader == Some(leader)).then(|| FetchPartition {
                partition: partition(*key),
                current_leader_epoch: known.leader_epoch,
                fetch_offset: i64::try_from(self.position(*key)).unwrap_or(i64::MAX),
                partition_max_bytes: PARTITION_BYTES,
                ..FetchPartition::default()
            })
        });
        FetchRequest {
            max_wait_ms: millis(FETCH_HELD),
            min_bytes: 1,
            topics: vec![FetchTopic {
                topic: TOPIC.into(),
                topic_id: view.topic_id,
                partitions: led.collect(),
            }],
            ..FetchRequest::default()
        }
    }

    /// Where a key's log ends for readers.
    async fn end_of(&mut self, key: Key) -> Option<u64> {
        let (leader, epoch) = {
            let view = self.shared.view.borrow();
            let known = view.partition(key)?;
            (known.leader?, known.leader_epoch)
        };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: TOPIC.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition(key),
                    current_leader_epoch: epoch,
                    // The latest.
                    timestamp: -1,
                }],
            }],
            timeout_ms: millis(FETCH_WITHIN),
            ..ListOffsetsRequest::default()
        };
        let mut connection = self.connection(leader).await.ok()?;
        let answer = connection.call(&request, FETCH_WITHIN).await.ok()?;
        let response = answer.decode().ok()?;
        self.connections.insert(leader, connection);
        let told = response.topics.first()?.partitions.first()?;
        if told.error_code.is_error() {
            self.shared.stale.notify_waiters();
            return None;
        }
        u64::try_from(told.offset).ok()
    }

    /// Takes the connection to a node; who is done with it puts it back.
    async fn connection(&mut self, node: i32) -> Result<Connection, Trouble> {
        if let Some(open) = self.connections.remove(&node) {
            return Ok(open);
        }
        let address = self.shared.addresses.get(&node).copied();
        let address = address.ok_or(Trouble::NoLeader)?;
        let opened = Connection::open(address, CONNECT_WITHIN).await;
        opened.map_err(Trouble::Call)
    }
}

fn garbled(problem: &str) -> Trouble {
    Trouble::Call(CallError::Garbled(problem.to_owned()))
}

fn sends(key: Key, values: &[Value], base: Option<u64>) -> Action {
    let send = |(value, number)| MicroOp::Send {
        key,
        offset: base.map(|base| Offset(base + number)),
        value,
    };
    let sends = values.iter().copied().zip(0..).map(send);
    Action::MicroOps(Verb::Send, sends.collect())
}

fn batch(values: &[Value]) -> Result<Vec<u8>, Trouble> {
    let mut builder = BatchBuilder::new();
    for value in values {
        let text = value.0.to_string();
        let record = NewRecord {
            timestamp: clock::wall(),
            value: Some(text.as_bytes()),
            ..NewRecord::default()
        };
        let added = builder.append(&record);
        added.map_err(|error| garbled(&error.to_string()))?;
    }
    builder.build().map_err(|error| garbled(&error.to_string()))
}

/// The records from `position` on, and the position behind the last whole batch.
fn read_records(bytes: &[u8], mut position: u64) -> Result<(Vec<Record>, u64), String> {
    let from = position;
    let mut records = Vec::new();
    for batch in Batches::new(bytes) {
        let batch = match batch {
            Ok(batch) => batch,
            // A node may cut the last batch.
            Err(error) if error.is_truncation() => break,
            Err(error) => return Err(error.to_string()),
        };
        if !batch.is_crc_valid() {
            return Err(format!("a damaged batch behind offset {position}"));
        }
        let set = batch.records(1 << 20).map_err(|error| error.to_string())?;
        for record in &set {
            let record = record.map_err(|error| error.to_string())?;
            let offset = u64::try_from(record.offset.get()).map_err(|error| error.to_string())?;
            let text = record
                .value
                .and_then(|value| std::str::from_utf8(value).ok());
            let value = text.and_then(|text| text.parse().ok());
            let value = value.ok_or_else(|| format!("offset {offset} holds nobody's value"))?;
            if offset >= from {
                records.push(Record {
                    offset: Offset(offset),
                    value: Value(value),
                });
            }
        }
        let next = u64::try_from(batch.header().next_offset().get());
        position = position.max(next.map_err(|error| error.to_string())?);
    }
    Ok((records, position))
}

fn partition(key: Key) -> i32 {
    i32::try_from(key.0).unwrap_or(i32::MAX)
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_reads_back_from_the_position_on() {
        let bytes = batch(&[Value(5), Value(6), Value(7)]).unwrap();
        let (records, position) = read_records(&bytes, 1).unwrap();
        let read: Vec<_> = records.iter().map(|r| (r.offset.0, r.value.0)).collect();
        assert_eq!(read, [(1, 6), (2, 7)]);
        assert_eq!(position, 3);
    }

    #[test]
    fn a_damaged_batch_is_told_and_a_cut_one_is_waited_for() {
        let mut bytes = batch(&[Value(5)]).unwrap();
        assert_eq!(
            read_records(&bytes[..bytes.len() - 1], 0).unwrap(),
            (Vec::new(), 0)
        );
        *bytes.last_mut().unwrap() ^= 1;
        assert!(read_records(&bytes, 0).is_err());
    }
}

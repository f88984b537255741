//! Sends records: reads input, fills batches, keeps every leader busy, tries again.
//!
//! - Each partition's batches are answered one after another (see `queue`); partitions go side by
//!   side, all that a broker leads in one request.
//! - Input is read only while less than [`BUFFERED_SIZE_MAX`] waits.
//! - What fails for a moment is tried again until the delivery timeout. What fails for good ends the
//!   run, unless it concerns the one batch alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use ottla_storage::batch::NewRecord;
use ottla_storage::time::MonoMillis;
use ottla_storage::{ProducerEpoch, ProducerId};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::client::{Client, Link, Metadata, RETRY_BACKOFF, Topics};
use crate::clock;
use crate::wire::error_code::ErrorCode;

use super::exchange::{self, Answered, Exchange, Target};
use super::input::{Chunk, Parsing};
use super::partitioner::Chooser;
use super::progress::Progress;
use super::queue::{Queue, Shape};
use super::report::{Delivery, Summary};
use super::start::{find_topic, init_producer};

/// Uncompressed bytes that may wait in memory.
const BUFFERED_SIZE_MAX: usize = 64 * 1024 * 1024;
/// Batches of one request, together.
const REQUEST_SIZE_MAX: usize = 4 * 1024 * 1024;

/// How records are sent.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) topic: String,
    pub(super) acks: i16,
    pub(super) is_idempotent: bool,
    /// All records go here, whatever their key.
    pub(super) partition: Option<i32>,
    pub(super) shape: Shape,
    pub(super) delivery_timeout: Duration,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

pub(super) struct Sender {
    client: Client,
    sending: Sending,
    metadata: Metadata,
    is_metadata_stale: bool,
    producer: Option<(ProducerId, ProducerEpoch)>,
    chooser: Chooser,
    queues: BTreeMap<i32, Queue>,
    in_flight: JoinSet<Exchange>,
    summary: Summary,
}

impl Sender {
    /// Looks up the topic, which the broker may create, and registers the producer.
    pub(super) async fn start(
        mut client: Client,
        sending: Sending,
        chooser: impl FnOnce(u32) -> Chooser,
    ) -> Result<Self> {
        let metadata = find_topic(&mut client, &sending.topic).await?;
        let count = metadata.existing(&sending.topic)?.partition_count();
        if let Some(partition) = sending.partition
            && !metadata
                .existing(&sending.topic)?
                .partitions
                .contains_key(&partition)
        {
            bail!(
                "topic {} has {count} partitions, none numbered {partition}",
                sending.topic
            );
        }
        let producer = if sending.is_idempotent {
            Some(init_producer(&mut client, sending.delivery_timeout).await?)
        } else {
            None
        };
        Ok(Self {
            client,
            metadata,
            is_metadata_stale: false,
            producer,
            chooser: chooser(count),
            queues: BTreeMap::new(),
            in_flight: JoinSet::new(),
            summary: Summary::new(&sending.topic),
            sending,
        })
    }

    /// Sends all input, then waits for every answer. The summary counts what was acknowledged, also
    /// when this ends in an error.
    pub(super) async fn run(
        &mut self,
        mut input: mpsc::Receiver<Chunk>,
        parsing: &Parsing,
        progress: &Progress,
    ) -> Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut has_input = true;
        loop {
            self.refresh().await?;
            self.dispatch(!has_input)?;
            if !has_input && self.queues.values().all(Queue::is_empty) {
                return Ok(());
            }
            let ready_at = self.next_ready(!has_input);
            let may_read = has_input && self.buffered() < BUFFERED_SIZE_MAX;
            tokio::select! {
                chunk = input.recv(), if may_read => {
                    match chunk {
                        Some(chunk) => {
                            let (lines, bytes) = chunk?;
                            self.accept(&lines, parsing)?;
                            progress.read(bytes);
                        }
                        None => has_input = false,
                    }
                }
                Some(done) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    // A panic in a task is ours: it goes on here.
                    let exchange = done
                        .unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    self.settle(exchange)?;
                    progress.acknowledged(self.summary.acknowledged());
                }
                () = sleep_until(ready_at) => {}
                _ = interrupt.recv() => {
                    if !has_input {
                        bail!("interrupted");
                    }
                    // What was read is still sent; a second Ctrl-C ends that too.
                    input.close();
                    has_input = false;
                }
            }
        }
    }

    pub(super) fn into_summary(self) -> Summary {
        self.summary
    }

    fn accept(&mut self, lines: &[Vec<u8>], parsing: &Parsing) -> Result<()> {
        let (now, timestamp) = (clock::mono(), clock::wall());
        let owned = std::mem::take(&mut self.sending.headers);
        let headers: Vec<_> = owned
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_deref()))
            .collect();
        for line in lines {
            let line = parsing.line(line);
            let record = NewRecord {
                timestamp,
                key: line.key,
                value: line.value,
                headers: &headers,
            };
            self.push(&record, now)?;
        }
        self.sending.headers = owned;
        Ok(())
    }

    fn push(&mut self, record: &NewRecord<'_>, now: MonoMillis) -> Result<()> {
        let mut chosen = || self.chooser.choose(record.key, rand::random());
        let partition = match self.sending.partition {
            Some(partition) => partition,
            None => i32::try_from(chosen()).context("partition number")?,
        };
        self.summary.read();
        let shape = self.sending.shape;
        let queue = self
            .queues
            .entry(partition)
            .or_insert_with(|| Queue::new(shape));
        let is_full = queue.push(record, now).context("a record cannot be sent")?;
        if is_full && let Ok(partition) = u32::try_from(partition) {
            self.chooser.batch_filled(partition, rand::random());
        }
        Ok(())
    }

    fn next_ready(&self, is_flushing: bool) -> Option<MonoMillis> {
        let ready = self
            .queues
            .values()
            .filter_map(|queue| queue.ready_at(is_flushing));
        ready.min()
    }

    /// Asks for metadata when a broker said that ours is old.
    async fn refresh(&mut self) -> Result<()> {
        if !self.is_metadata_stale {
            return Ok(());
        }
        let topics = Topics::Named {
            names: std::slice::from_ref(&self.sending.topic),
            may_create: false,
        };
        match self.client.metadata(topics).await {
            Ok(metadata) => {
                self.is_metadata_stale = false;
                if let Ok(topic) = metadata.existing(&self.sending.topic) {
                    self.chooser.grow(topic.partition_count());
                    self.metadata = metadata;
                }
                Ok(())
            }
            // The queues hold the deadline; the next refresh is a retry away.
            Err(error) if error.is_transient() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what is ready, one request after another until nothing is.
    fn dispatch(&mut self, is_flushing: bool) -> Result<()> {
        let now = clock::mono();
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let mut leaderless = Vec::new();
        for (partition, queue) in &self.queues {
            if queue
                .ready_at(is_flushing)
                .is_some_and(|ready| ready <= now)
            {
                match self.leader_of(*partition) {
                    Some(leader) => by_leader.entry(leader).or_default().push(*partition),
                    None => leaderless.push(*partition),
                }
            }
        }
        for partition in leaderless {
            self.postpone(partition, &"the partition has no leader", now)?;
        }
        for (leader, partitions) in by_leader {
            let link = match self.client.broker(leader) {
                Ok(link) => link,
                Err(error) => {
                    for partition in partitions {
                        self.postpone(partition, &error, now)?;
                    }
                    continue;
                }
            };
            let mut batches = Vec::new();
            let mut size = 0;
            for partition in partitions {
                let Some(queue) = self.queues.get_mut(&partition) else {
                    continue;
                };
                let Some(bytes) = queue.take(self.producer)? else {
                    continue;
                };
                size += bytes.len();
                batches.push((partition, bytes));
                if size >= REQUEST_SIZE_MAX {
                    self.send(&link, std::mem::take(&mut batches));
                    size = 0;
                }
            }
            if !batches.is_empty() {
                self.send(&link, batches);
            }
        }
        Ok(())
    }

    fn leader_of(&self, partition: i32) -> Option<i32> {
        let topic = self.metadata.topics.get(&self.sending.topic)?;
        topic.partitions.get(&partition)?.leader
    }

    /// Puts a batch that could not even be sent back for a later try.
    fn postpone(
        &mut self,
        partition: i32,
        why: &dyn std::fmt::Display,
        now: MonoMillis,
    ) -> Result<()> {
        if let Some(queue) = self.queues.get_mut(&partition) {
            queue.take(self.producer)?;
        }
        self.retry(partition, why, now)
    }

    fn retry(
        &mut self,
        partition: i32,
        why: &dyn std::fmt::Display,
        now: MonoMillis,
    ) -> Result<()> {
        self.is_metadata_stale = true;
        let Some(queue) = self.queues.get_mut(&partition) else {
            return Ok(());
        };
        let waits_since = queue.retry(now.saturating_add(RETRY_BACKOFF));
        let waited = waits_since
            .map(|since| now.since(since))
            .unwrap_or_default();
        if waited >= self.sending.delivery_timeout {
            bail!(
                "partition {partition} took nothing for {} s: {why}",
                self.sending.delivery_timeout.as_secs()
            );
        }
        Ok(())
    }

    fn send(&mut self, link: &Arc<Link>, batches: Vec<(i32, Bytes)>) {
        let topic = self.metadata.topics.get(&self.sending.topic);
        let target = Target {
            link: Arc::clone(link),
            topic: self.sending.topic.clone(),
            topic_id: topic.map(|topic| topic.id).unwrap_or_default(),
            acks: self.sending.acks,
            held: self.client.timeout(),
        };
        self.in_flight.spawn(exchange::send(target, batches));
    }

    fn settle(&mut self, exchange: Exchange) -> Result<()> {
        let now = clock::mono();
        match exchange.outcome {
            Err(error) if error.is_transient() => {
                for partition in exchange.partitions {
                    self.retry(partition, &error, now)?;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(answers) => {
                let mut unanswered = exchange.partitions;
                for answer in answers {
                    unanswered.retain(|partition| *partition != answer.partition);
                    self.settle_one(&answer, now)?;
                }
                for partition in unanswered {
                    self.retry(partition, &"the broker left it out of its answer", now)?;
                }
                Ok(())
            }
        }
    }

    fn settle_one(&mut self, answer: &Answered, now: MonoMillis) -> Result<()> {
        let partition = answer.partition;
        let Some(queue) = self.queues.get_mut(&partition) else {
            return Ok(());
        };
        let text = || match &answer.message {
            Some(message) => format!("{} ({})", message, answer.code.name()),
            None => format!("{} ({})", answer.code.message(), answer.code.name()),
        };
        match answer.code {
            ErrorCode::None => {
                let taken = queue.acknowledged();
                let base = Some(answer.base_offset).filter(|offset| *offset >= 0);
                self.delivered(partition, taken, base);
            }
            // An earlier try reached the log; only its answer was lost.
            ErrorCode::DuplicateSequenceNumber => {
                let taken = queue.acknowledged();
                self.delivered(partition, taken, None);
            }
            ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge if queue.split() => {}
            ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::InvalidRecord
            | ErrorCode::InvalidTimestamp => {
                let records = queue.refused().unwrap_or_default();
                self.summary.refused(records, &text());
            }
            code if code.is_retriable() => self.retry(partition, &text(), now)?,
            _ => bail!("partition {partition}: {}", text()),
        }
        Ok(())
    }

    fn delivered(&mut self, partition: i32, records: Option<usize>, base_offset: Option<i64>) {
        if let Some(records) = records {
            self.summary.delivered(Delivery {
                partition,
                records,
                base_offset,
            });
        }
    }

    /// Bytes of records that wait to be sent or acknowledged.
    fn buffered(&self) -> usize {
        self.queues.values().map(Queue::buffered).sum()
    }
}

/// Forever without a deadline.
async fn sleep_until(deadline: Option<MonoMillis>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock::mono())).await,
        None => std::future::pending().await,
    }
}

//! The librdkafka column of the table: one JSON request per line on stdin, one JSON answer per line on stdout.
//! What librdkafka (or its Rust binding) has no call for is answered as `unsupported`, never imitated.

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Map, Value, json};

use crate::member::Member;
use crate::{Options, records};

const TIMEOUT: Duration = Duration::from_secs(15);

pub fn run(options: &Options) -> Result<()> {
    let driver = Driver::new(options.get("bootstrap")?)?;
    let mut out = std::io::stdout();
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = match driver.answer(&request) {
            Ok(answer) => answer,
            Err(error) => json!({"ok": false, "error": format!("{error:#}")}),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

struct Driver {
    bootstrap: String,
    admin: AdminClient<DefaultClientContext>,
    consumer: BaseConsumer,
    member: Mutex<Option<Member>>,
}

impl Driver {
    fn new(bootstrap: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap);
        let admin = config.create()?;
        // assign() only: the group id is demanded by the binding and never reaches a coordinator.
        let consumer = config
            .set("group.id", "assign-only")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "false")
            .set("fetch.wait.max.ms", "50")
            .set("check.crcs", "true")
            .create()?;
        Ok(Self {
            bootstrap: bootstrap.to_owned(),
            admin,
            consumer,
            member: Mutex::new(None),
        })
    }

    fn answer(&self, request: &Value) -> Result<Value> {
        match text(request, "op")? {
            "hello" => {
                let (_, version) = rdkafka::util::get_rdkafka_version();
                Ok(json!({"ok": true, "version": format!("librdkafka {version}")}))
            }
            "metadata" => self.metadata(),
            "create_topic" => self.create_topic(request),
            "delete_topic" => {
                let answers = block_on(
                    self.admin
                        .delete_topics(&[text(request, "topic")?], &options()),
                )?;
                topic_results(answers)
            }
            "create_partitions" => {
                let wanted = NewPartitions::new(text(request, "topic")?, count(request, "count")?);
                topic_results(block_on(
                    self.admin.create_partitions([&wanted], &options()),
                )?)
            }
            "describe_configs" => self.describe_configs(request),
            "alter_configs" if request["mode"] == "legacy" => self.alter_configs(request),
            "delete_records" => self.delete_records(request),
            "list_offsets" => self.list_offsets(request),
            "produce" => self.produce(request),
            "consume" => self.consume(request),
            "list_groups" => {
                let listed = self.consumer.fetch_group_list(None, TIMEOUT)?;
                let groups: Map<String, Value> = listed
                    .groups()
                    .iter()
                    .map(|group| (group.name().to_owned(), group.state().into()))
                    .collect();
                Ok(json!({"ok": true, "groups": groups}))
            }
            "delete_group" => {
                let group = text(request, "group")?;
                topic_results(block_on(self.admin.delete_groups(&[group], &options()))?)
            }
            "join" => {
                *self.member()? = Some(Member::start(&self.bootstrap, request)?);
                Ok(json!({"ok": true}))
            }
            "leave" => {
                let member = self.member()?.take().context("not a member")?;
                member.leave()?;
                Ok(json!({"ok": true}))
            }
            _ => Ok(json!({"ok": false, "unsupported": true})),
        }
    }

    fn member(&self) -> Result<MutexGuard<'_, Option<Member>>> {
        self.member.lock().map_err(|_| anyhow::anyhow!("poisoned"))
    }

    fn metadata(&self) -> Result<Value> {
        let metadata = self.consumer.fetch_metadata(None, TIMEOUT)?;
        let brokers: Vec<Value> = metadata
            .brokers()
            .iter()
            .map(|broker| json!({"id": broker.id(), "host": broker.host(), "port": broker.port()}))
            .collect();
        let mut topics = Map::new();
        for topic in metadata.topics() {
            let partitions: Vec<Value> = topic
                .partitions()
                .iter()
                .map(|p| {
                    json!({"p": p.id(), "leader": p.leader(), "replicas": p.replicas(),
                           "isr": p.isr()})
                })
                .collect();
            topics.insert(topic.name().to_owned(), Value::Array(partitions));
        }
        let cluster = self.consumer.client().fetch_cluster_id(TIMEOUT);
        Ok(json!({"ok": true, "brokers": brokers, "topics": topics, "cluster": cluster}))
    }

    fn create_topic(&self, request: &Value) -> Result<Value> {
        let partitions = i32::try_from(count(request, "partitions")?)?;
        let replicas = i32::try_from(count(request, "replicas")?)?;
        let mut topic = NewTopic::new(
            text(request, "topic")?,
            partitions,
            TopicReplication::Fixed(replicas),
        );
        let configs = request["configs"].as_object().cloned().unwrap_or_default();
        for (key, value) in &configs {
            topic = topic.set(key, value.as_str().unwrap_or_default());
        }
        topic_results(block_on(self.admin.create_topics([&topic], &options()))?)
    }

    fn describe_configs(&self, request: &Value) -> Result<Value> {
        let topic = ResourceSpecifier::Topic(text(request, "topic")?);
        let mut configs = Map::new();
        for resource in block_on(self.admin.describe_configs([&topic], &options()))? {
            for entry in resource.map_err(|code| anyhow::anyhow!("{code}"))?.entries {
                let default = entry.is_default;
                configs.insert(
                    entry.name,
                    json!({"value": entry.value, "default": default}),
                );
            }
        }
        Ok(json!({"ok": true, "configs": configs}))
    }

    fn alter_configs(&self, request: &Value) -> Result<Value> {
        let set = request["set"].as_object().cloned().unwrap_or_default();
        let mut wanted = AlterConfig::new(ResourceSpecifier::Topic(text(request, "topic")?));
        for (key, value) in &set {
            wanted = wanted.set(key, value.as_str().unwrap_or_default());
        }
        for answer in block_on(self.admin.alter_configs([&wanted], &options()))? {
            answer.map_err(|(_, code)| anyhow::anyhow!("{code}"))?;
        }
        Ok(json!({"ok": true}))
    }

    fn delete_records(&self, request: &Value) -> Result<Value> {
        let mut offsets = TopicPartitionList::new();
        let before = Offset::Offset(request["before"].as_i64().context("before")?);
        offsets.add_partition_offset(text(request, "topic")?, partition(request)?, before)?;
        let answer = block_on(self.admin.delete_records(&offsets, &options()))?;
        let elements = answer.elements();
        let element = elements.first().context("an answer")?;
        element.error()?;
        Ok(json!({"ok": true, "low": element.offset().to_raw()}))
    }

    fn list_offsets(&self, request: &Value) -> Result<Value> {
        let (topic, partition) = (text(request, "topic")?, partition(request)?);
        let offset = match &request["at"] {
            Value::String(end) if end == "earliest" => {
                self.consumer.fetch_watermarks(topic, partition, TIMEOUT)?.0
            }
            Value::String(end) if end == "latest" => {
                self.consumer.fetch_watermarks(topic, partition, TIMEOUT)?.1
            }
            Value::Number(millis) => {
                let millis = millis.as_i64().context("a timestamp")?;
                match self.offset_at(topic, partition, millis)? {
                    Offset::Offset(offset) => offset,
                    _ => -1,
                }
            }
            _ => return Ok(json!({"ok": false, "unsupported": true})),
        };
        Ok(json!({"ok": true, "offset": offset}))
    }

    fn offset_at(&self, topic: &str, partition: i32, millis: i64) -> Result<Offset> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(topic, partition, Offset::Offset(millis))?;
        let found = self.consumer.offsets_for_times(wanted, TIMEOUT)?;
        let elements = found.elements();
        let element = elements.first().context("an answer")?;
        element.error()?;
        Ok(element.offset())
    }

    fn produce(&self, request: &Value) -> Result<Value> {
        let records = records::load(text(request, "file")?)?;
        let idempotent = request["idempotent"].as_bool().unwrap_or(false);
        let context = Deliveries(Mutex::new(vec![Delivery::Pending; records.len()]));
        let producer: BaseProducer<Deliveries> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("compression.codec", text(request, "codec")?)
            .set("acks", text(request, "acks")?)
            .set("enable.idempotence", idempotent.to_string())
            .set("message.max.bytes", "2000000")
            .set("linger.ms", "5")
            // A retry must not change the order that is compared.
            .set("max.in.flight", if idempotent { "5" } else { "1" })
            .create_with_context(context)?;
        for (index, record) in records.iter().enumerate() {
            let record = BaseRecord::<[u8], [u8], usize> {
                topic: text(request, "topic")?,
                partition: Some(partition(request)?),
                payload: record.value.as_deref(),
                key: record.key.as_deref(),
                timestamp: record.timestamp,
                headers: record.rdkafka_headers(),
                delivery_opaque: index,
            };
            producer.send(record).map_err(|(error, _)| error)?;
        }
        producer.flush(TIMEOUT)?;
        let deliveries = producer
            .context()
            .0
            .lock()
            .map_err(|_| anyhow::anyhow!("poisoned"))?;
        let offsets: Vec<i64> = deliveries
            .iter()
            .map(|delivery| match delivery {
                Delivery::At(offset) => Ok(*offset),
                Delivery::Pending => bail!("a record was never reported"),
                Delivery::Failed(error) => bail!("delivery failed: {error}"),
            })
            .collect::<Result<_>>()?;
        Ok(json!({"ok": true, "offsets": offsets}))
    }

    fn consume(&self, request: &Value) -> Result<Value> {
        let (topic, partition) = (text(request, "topic")?, partition(request)?);
        let from = match &request["from"] {
            Value::String(_) => Offset::Beginning,
            Value::Number(offset) => Offset::Offset(offset.as_i64().context("an offset")?),
            at => self.offset_at(
                topic,
                partition,
                at["timestamp"].as_i64().context("timestamp")?,
            )?,
        };
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, partition, from)?;
        self.consumer.assign(&assignment)?;
        let outcome = self.read_until(request);
        self.consumer.unassign()?;
        outcome
    }

    fn read_until(&self, request: &Value) -> Result<Value> {
        let end = request["until"].as_i64().context("until")?;
        let mut out = BufWriter::new(File::create(text(request, "out")?)?);
        let (mut read, mut next) = (0_u64, 0);
        let deadline = Instant::now() + TIMEOUT;
        while next < end {
            if Instant::now() > deadline {
                bail!(
                    "read {read} records, next offset {next} of {end}, then nothing in {TIMEOUT:?}"
                );
            }
            if let Some(message) = self.consumer.poll(Duration::from_millis(200)) {
                let message = message?;
                records::store(&mut out, &message)?;
                (read, next) = (read + 1, message.offset() + 1);
            }
        }
        out.flush()?;
        Ok(json!({"ok": true, "read": read}))
    }
}

#[derive(Clone)]
enum Delivery {
    Pending,
    At(i64),
    Failed(String),
}

/// What the broker said of each record, by its place in the file.
struct Deliveries(Mutex<Vec<Delivery>>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let Ok(mut deliveries) = self.0.lock() else {
            return;
        };
        deliveries[index] = match result {
            Ok(message) => Delivery::At(message.offset()),
            Err((error, _)) => Delivery::Failed(error.to_string()),
        };
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(TIMEOUT))
        .operation_timeout(Some(TIMEOUT))
}

fn topic_results(answers: Vec<rdkafka::admin::TopicResult>) -> Result<Value> {
    for answer in answers {
        answer.map_err(|(topic, code)| anyhow::anyhow!("{topic}: {code}"))?;
    }
    Ok(json!({"ok": true}))
}

pub fn text<'a>(request: &'a Value, name: &str) -> Result<&'a str> {
    request[name].as_str().with_context(|| format!("no {name}"))
}

fn count(request: &Value, name: &str) -> Result<usize> {
    Ok(usize::try_from(
        request[name]
            .as_u64()
            .with_context(|| format!("no {name}"))?,
    )?)
}

fn partition(request: &Value) -> Result<i32> {
    Ok(i32::try_from(
        request["partition"].as_i64().context("no partition")?,
    )?)
}

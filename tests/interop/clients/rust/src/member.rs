//! A member of a group, in a thread of its own; what happens to it goes to its log (lib/members.py).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::bindings;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::driver::text;
use crate::records;

pub struct Member {
    is_leaving: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Member {
    pub fn start(bootstrap: &str, request: &Value) -> Result<Self> {
        let topic = text(request, "topic")?.to_owned();
        let context = Log {
            file: OpenOptions::new()
                .create(true)
                .append(true)
                .open(text(request, "log")?)?,
            topic: topic.clone(),
            pending: Mutex::default(),
        };
        let consumer: BaseConsumer<Log> =
            config(bootstrap, request)?.create_with_context(context)?;
        consumer.subscribe(&[&topic])?;
        let limit = request["limit"].as_u64().unwrap_or(u64::MAX);
        let is_leaving = Arc::new(AtomicBool::new(false));
        let leaving = is_leaving.clone();
        let thread = std::thread::spawn(move || {
            run(&consumer, limit, &leaving);
            let context = consumer.context().clone();
            // Closes it, which leaves the group.
            drop(consumer);
            context.say("left", json!({}));
        });
        Ok(Self { is_leaving, thread })
    }

    pub fn leave(self) -> Result<()> {
        self.is_leaving.store(true, Ordering::Release);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the member's thread panicked"))
    }
}

fn config(bootstrap: &str, request: &Value) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", text(request, "group")?)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "50")
        .set("topic.metadata.refresh.interval.ms", "1000");
    if let Some(instance) = request["instance"].as_str() {
        config.set("group.instance.id", instance);
    }
    let assignor = text(request, "assignor")?;
    if text(request, "protocol")? == "consumer" {
        config
            .set("group.protocol", "consumer")
            .set("group.remote.assignor", assignor);
    } else {
        let session = request["session"].as_u64().context("session")?;
        config
            .set("partition.assignment.strategy", assignor)
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", "500");
    }
    Ok(config)
}

fn run(consumer: &BaseConsumer<Log>, mut limit: u64, is_leaving: &AtomicBool) {
    let context = consumer.context();
    while !is_leaving.load(Ordering::Acquire) {
        let mut wait = Duration::from_millis(100);
        for _ in 0..200 {
            let Some(found) = consumer.poll(wait) else {
                break;
            };
            wait = Duration::ZERO;
            match found {
                Ok(_) if limit == 0 => {}
                Ok(message) => {
                    limit -= 1;
                    context.say("record", records::described(&message));
                    context.take(message.partition(), message.offset() + 1);
                }
                Err(error) => context.say("error", json!({"error": error.to_string()})),
            }
        }
        context.settle(consumer);
    }
}

/// What the member says, and the offsets that are not committed yet.
struct Log {
    file: File,
    topic: String,
    pending: Mutex<BTreeMap<i32, i64>>,
}

impl Log {
    fn say(&self, event: &str, mut more: Value) {
        more["e"] = event.into();
        more["at"] = monotonic().into();
        // Not buffered: what was said before a kill -9 is in the file.
        if let Err(error) = (&self.file).write_all(format!("{more}\n").as_bytes()) {
            eprintln!("the log: {error}");
            std::process::abort();
        }
    }

    fn take(&self, partition: i32, next: i64) {
        if let Ok(mut pending) = self.pending.lock() {
            pending.insert(partition, next);
        }
    }

    /// Commits what was taken; what is refused stays due.
    fn settle(&self, consumer: &BaseConsumer<Self>) {
        let Ok(mut pending) = self.pending.lock() else {
            return;
        };
        if pending.is_empty() {
            return;
        }
        self.say("committing", json!({}));
        let mut offsets = TopicPartitionList::new();
        let outcome = pending
            .iter()
            .try_for_each(|(partition, next)| {
                offsets.add_partition_offset(&self.topic, *partition, Offset::Offset(*next))
            })
            .and_then(|()| consumer.commit(&offsets, CommitMode::Sync));
        match outcome {
            Ok(()) => {
                self.say("committed", json!({"offsets": *pending}));
                pending.clear();
            }
            Err(error) => self.say("refused", json!({"error": error.to_string()})),
        }
    }

    fn gone(&self, partitions: &[i32]) {
        if let Ok(mut pending) = self.pending.lock() {
            pending.retain(|partition, _| !partitions.contains(partition));
        }
    }
}

impl ClientContext for Log {}

impl ConsumerContext for Log {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (event, partitions) = match rebalance {
            Rebalance::Assign(partitions) => ("assigned", numbers(partitions)),
            Rebalance::Revoke(partitions) if consumer.assignment_lost() => {
                ("lost", numbers(partitions))
            }
            Rebalance::Revoke(partitions) => {
                self.settle(consumer);
                ("revoked", numbers(partitions))
            }
            Rebalance::Error(error) => {
                self.say("error", json!({"error": error.to_string()}));
                return;
            }
        };
        if event != "assigned" {
            self.gone(&partitions);
        }
        let generation = generation(consumer);
        self.say(event, json!({"p": partitions, "gen": generation}));
    }
}

fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    let elements = partitions.elements();
    elements.iter().map(|one| one.partition()).collect()
}

/// From what librdkafka writes of a group's metadata: a magic of seven bytes, then the generation.
fn generation(consumer: &BaseConsumer<Log>) -> Option<i32> {
    let (mut buffer, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the client lives, what it hands out is freed once each, and the bytes are read only as far as they go.
    unsafe {
        let metadata = bindings::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let error =
            bindings::rd_kafka_consumer_group_metadata_write(metadata, &mut buffer, &mut size);
        bindings::rd_kafka_consumer_group_metadata_destroy(metadata);
        if !error.is_null() {
            bindings::rd_kafka_error_destroy(error);
            return None;
        }
        let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), size);
        let found = bytes
            .get(7..11)
            .and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
        libc::free(buffer);
        found
    }
}

/// CLOCK_MONOTONIC in nanoseconds, which all processes of a machine read alike.
fn monotonic() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to the value it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

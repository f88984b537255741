//! One producer of the text workload: idempotent, `acks=all`, each line prefixed `producer-seq`.
//!
//! Every line is retried until the broker acknowledges it, over any number of broker deaths. What was acknowledged is
//! written as `seq partition offset`, in the order of the acknowledgements. A run goes through the codecs in equal
//! parts, each with a librdkafka instance (and so a producer id) of its own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::Options;

/// Neighbours go to one partition in runs of this many lines, so that batches compress as text does.
const RUN: usize = 64;
const REPORT_EVERY: u64 = 20_000;

/// True if every line was acknowledged.
pub fn run(options: &Options) -> Result<bool> {
    let corpus = std::fs::read(options.get("corpus")?)?;
    let producers = options.number("producers", 2)?;
    let me = options.number("producer", 0)?;
    let partitions = options.number("partitions", 8)?;
    let codecs: Vec<&str> = options.get("codecs")?.split(',').collect();
    let acked = File::create(options.get("acked")?)?;

    let lines: Vec<&[u8]> = lines(&corpus).skip(me).step_by(producers).collect();
    let log = Acked(Mutex::new(Log {
        out: BufWriter::new(acked),
        acked: 0,
        failed: 0,
    }));
    let mut part = Part {
        options,
        me,
        partitions,
        log: Some(log),
    };
    for (index, codec) in codecs.iter().enumerate() {
        let first = lines.len() * index / codecs.len();
        let end = lines.len() * (index + 1) / codecs.len();
        part.produce(codec, first, &lines[first..end])?;
    }
    let Some(Acked(log)) = part.log else {
        bail!("the last instance did not return its log")
    };
    let mut log = log.into_inner()?;
    log.out.flush()?;
    println!(
        "acked {} of {}, {} failed",
        log.acked,
        lines.len(),
        log.failed
    );
    Ok(log.acked == lines.len() as u64)
}

pub fn lines(corpus: &[u8]) -> impl Iterator<Item = &[u8]> {
    corpus
        .strip_suffix(b"\n")
        .unwrap_or(corpus)
        .split(|byte| *byte == b'\n')
}

/// The partition of a producer's line: known to the checker too.
pub fn partition_of(seq: usize, partitions: usize) -> usize {
    seq / RUN % partitions
}

struct Part<'a> {
    options: &'a Options,
    me: usize,
    partitions: usize,
    log: Option<Acked>,
}

impl Part<'_> {
    fn produce(&mut self, codec: &str, first: usize, lines: &[&[u8]]) -> Result<()> {
        let Some(log) = self.log.take() else {
            bail!("the last instance did not return its log")
        };
        let producer: BaseProducer<Acked> = self.config(codec)?.create_with_context(log)?;
        let topic = self.options.get("topic")?;
        let mut line = Vec::new();
        for (seq, text) in (first..).zip(lines) {
            line.clear();
            write!(line, "{}-{seq} ", self.me)?;
            line.extend_from_slice(text);
            let partition = i32::try_from(partition_of(seq, self.partitions))?;
            loop {
                let record = BaseRecord::<(), [u8], usize>::with_opaque_to(topic, seq)
                    .partition(partition)
                    .payload(&line);
                match producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        producer.poll(Duration::from_millis(50));
                    }
                    Err((error, _)) => bail!("line {seq}: {error}{}", fatal(&producer)),
                }
            }
            if seq % 256 == 0 {
                producer.poll(Duration::ZERO);
            }
        }
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::from_millis(100));
            if producer.client().fatal_error().is_some() {
                bail!("{codec}{}", fatal(&producer));
            }
        }
        // The context is shared with the instance: what it holds moves on to the next one.
        let context = producer.context();
        let Ok(mut held) = context.0.lock() else {
            bail!("a delivery report panicked")
        };
        held.out.flush()?;
        let out = BufWriter::with_capacity(1 << 16, held.out.get_ref().try_clone()?);
        let (acked, failed) = (held.acked, held.failed);
        self.log = Some(Acked(Mutex::new(Log { out, acked, failed })));
        Ok(())
    }

    fn config(&self, codec: &str) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.options.get("bootstrap")?)
            .set("client.id", format!("text-{}-{codec}", self.me))
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.codec", codec)
            // Without a limit: a line is retried until it is acknowledged.
            .set("message.timeout.ms", "0")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "500")
            .set("retry.backoff.ms", "50")
            .set("linger.ms", "10")
            .set("batch.num.messages", "10000")
            .set("queue.buffering.max.messages", "100000")
            .set("queue.buffering.max.kbytes", "65536");
        for pair in self.options.all("set") {
            let Some((key, value)) = pair.split_once('=') else {
                bail!("--set {pair}: key=value")
            };
            config.set(key, value);
        }
        Ok(config)
    }
}

fn fatal(producer: &BaseProducer<Acked>) -> String {
    match producer.client().fatal_error() {
        Some((code, reason)) => format!(" (fatal: {code}: {reason})"),
        None => String::new(),
    }
}

struct Log {
    out: BufWriter<File>,
    acked: u64,
    failed: u64,
}

struct Acked(Mutex<Log>);

impl ClientContext for Acked {
    fn error(&self, _: KafkaError, _: &str) {
        // Broken connections are what this workload is about; a fatal error ends it in `produce`.
    }
}

impl ProducerContext for Acked {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, seq: usize) {
        let Ok(mut log) = self.0.lock() else { return };
        match result {
            Ok(message) => {
                let written = writeln!(
                    log.out,
                    "{seq} {} {}",
                    message.partition(),
                    message.offset()
                );
                log.acked += u64::from(written.is_ok());
                if log.acked % REPORT_EVERY == 0 {
                    println!("acked {}", log.acked);
                }
            }
            Err((error, _)) => {
                log.failed += 1;
                if log.failed <= 5 {
                    println!("failed {seq}: {error}");
                }
            }
        }
    }
}

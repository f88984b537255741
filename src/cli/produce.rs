//! `ottla produce`: lines become records.

mod exchange;
mod input;
mod partitioner;
mod progress;
mod queue;
mod report;
mod sender;
mod start;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use ottla_storage::batch::Compression;

use self::input::Parsing;
use self::partitioner::{Chooser, Partitioner};
use self::progress::Progress;
use self::queue::Shape;
use self::sender::{Sender, Sending};
use super::Reporting;
use super::output::print;
use super::value::{Bytes, duration, escaped_bytes, size};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The topic to write to
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Files to read, `-` for the standard input [default: the standard input]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What ends a record, one byte
    #[arg(short = 'D', long, value_name = "BYTE", default_value = "\\n", value_parser = escaped_bytes)]
    delimiter: Bytes,
    /// Split each line into key and value at the first SEP; a line without it has no key
    #[arg(short = 'K', long, value_name = "SEP", value_parser = escaped_bytes)]
    key_separator: Option<Bytes>,
    /// The key of every record that brings none
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// A header of every record (repeatable); without `=`, one without a value
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// Send empty keys and values as null
    #[arg(short = 'Z', long)]
    null_on_empty: bool,
    /// Which replicas must have a record before it counts: 0 none, 1 the leader, all
    #[arg(long, value_name = "ACKS", default_value = "all")]
    acks: Acks,
    /// The partition for all records
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How partitions are chosen
    #[arg(long, value_name = "NAME", default_value = "murmur2")]
    partitioner: Partitioner,
    /// Compress batches
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none")]
    compression: Codec,
    /// Wait this long for a batch to fill
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = duration)]
    linger: Duration,
    /// Send a batch when its records have this size
    #[arg(long, value_name = "SIZE", default_value = "128KiB", value_parser = size)]
    batch_size: usize,
    /// Give up when a record waits this long for its acknowledgement
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    delivery_timeout: Duration,
    /// Let retries write records twice; needed for brokers that give out no producer ids
    #[arg(long)]
    no_idempotence: bool,
    /// Print nothing when all went well
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    reporting: Reporting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Acks {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

impl Acks {
    fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

pub(super) async fn run(options: Options) -> Result<()> {
    let parsing = options.parsing()?;
    let client = options.reporting.connect.client();
    let partitioner = options.partitioner;
    let chooser = |count| Chooser::new(partitioner, count);
    let mut sender = Sender::start(client, options.sending(), chooser).await?;
    let progress = Progress::of(&options.files);
    let input = input::read(options.files.clone(), parsing.delimiter);
    let outcome = sender.run(input, &parsing, &progress).await;
    progress.finish();

    let summary = sender.into_summary().finish();
    let (records, unacknowledged) = (summary.read_count(), summary.unacknowledged());
    if !options.quiet || unacknowledged > 0 {
        print(&summary, options.reporting.format())?;
    }
    let lost = format!("{unacknowledged} of {records} records were not acknowledged");
    match (outcome, summary.refusal()) {
        (Err(error), _) if unacknowledged > 0 => Err(error.context(lost)),
        (Err(error), _) => Err(error),
        (Ok(()), Some(reason)) => bail!("{lost}: {reason}"),
        (Ok(()), None) => Ok(()),
    }
}

impl Options {
    fn parsing(&self) -> Result<Parsing> {
        let [delimiter] = *self.delimiter.0.as_slice() else {
            bail!("--delimiter takes one byte");
        };
        if self
            .key_separator
            .as_ref()
            .is_some_and(|separator| separator.0.is_empty())
        {
            bail!("--key-separator cannot be empty");
        }
        Ok(Parsing {
            delimiter,
            key_separator: self.key_separator.clone().map(|separator| separator.0),
            fixed_key: self.key.clone().map(String::into_bytes),
            is_empty_null: self.null_on_empty,
        })
    }

    fn sending(&self) -> Sending {
        let headers = self
            .headers
            .iter()
            .map(|header| match header.split_once('=') {
                Some((name, value)) => (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())),
                None => (header.as_bytes().to_vec(), None),
            });
        Sending {
            topic: self.topic.clone(),
            acks: self.acks.code(),
            // The broker can only recognise repeats of what it acknowledges as a whole.
            is_idempotent: self.acks == Acks::All && !self.no_idempotence,
            partition: self.partition,
            shape: Shape {
                size: self.batch_size,
                linger: self.linger,
                codec: self.compression.into(),
            },
            delivery_timeout: self.delivery_timeout,
            headers: headers.collect(),
        }
    }
}

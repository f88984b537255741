//! `ottla consume`: records become lines.

mod calls;
mod cursor;
mod fetch;
mod format;
mod group;
mod json;
mod ledger;
mod lookup;
mod member;
mod patience;
mod place;
mod position;
mod printer;
mod reader;
mod records;
mod session;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};

use self::cursor::{Cursor, Key};
use self::format::{DIRECTIVES, RecordFormat};
use self::position::{Bounds, StartAt};
use self::printer::{Printer, Style};
use self::reader::Reader;
use super::Connect;
use super::client::{At, Client, Isolation, ListedOffsets, Metadata, Topics};
use super::output::OutputFormat;

#[derive(Debug, clap::Args)]
#[command(after_help = format!("Format directives: {DIRECTIVES}. Escapes: \\n \\t \\r \\0 \\xHH \\\\."))]
pub(super) struct Options {
    /// The topics to read
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Read as a member of this group: go on where it is, share the partitions with its other
    /// members, commit what was printed
    #[arg(short, long, value_name = "GROUP", conflicts_with = "partition")]
    group: Option<String>,
    /// Only these partitions
    #[arg(short, long, value_name = "N,...", value_delimiter = ',')]
    partition: Vec<i32>,
    /// Where to start: start, end, an offset, +N after the start, -N before the end, @TIME (ms or
    /// RFC 3339)
    #[arg(
        short,
        long,
        value_name = "WHERE",
        default_value = "end",
        allow_hyphen_values = true
    )]
    offset: StartAt,
    /// Start with the oldest record: `--offset start`
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Stop after this many records
    #[arg(short = 'n', long, visible_short_alias = 'c', value_name = "N")]
    max_messages: Option<u64>,
    /// How to print a record, see below [default: the value and a newline]
    #[arg(short, long, value_name = "FORMAT", conflicts_with_all = ["output", "json"])]
    format: Option<RecordFormat>,
    /// Stop at what is the end of the partitions now
    #[arg(short, long)]
    exit: bool,
    /// Which records count
    #[arg(
        long,
        alias = "isolation-level",
        value_name = "LEVEL",
        default_value = "read_uncommitted"
    )]
    isolation: Isolation,
    /// Print values, or one JSON object per record
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
    /// `--output json`
    #[arg(short = 'J', long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let mut client = options.connect.client();
    let topics = Topics::Named {
        names: &options.topics,
        may_create: false,
    };
    let metadata = client.first_metadata(topics).await?;
    let partitions = partitions(&options, &metadata)?;
    let mut printer = options.printer();
    if let Some(group) = &options.group {
        return group::run(&options, group, (client, metadata), &mut printer).await;
    }
    let cursors = cursors(&options, &mut client, partitions).await?;
    let reader = Reader::new(client, options.isolation, metadata, cursors);
    reader.run(&mut printer).await
}

impl Options {
    fn printer(&self) -> Printer {
        let is_json = self.json || self.output == OutputFormat::Json;
        let style = match &self.format {
            Some(format) => Style::Format(format.clone()),
            None if is_json => Style::Json,
            None => Style::Format(RecordFormat::value_per_line()),
        };
        Printer::new(style, self.max_messages)
    }

    fn start_at(&self) -> StartAt {
        if self.from_beginning {
            StartAt::Start
        } else {
            self.offset
        }
    }
}

fn partitions(options: &Options, metadata: &Metadata) -> Result<Vec<(String, i32)>> {
    let mut partitions = Vec::new();
    for name in &options.topics {
        let topic = metadata.existing(name)?;
        for wanted in &options.partition {
            if !topic.partitions.contains_key(wanted) {
                let count = topic.partitions.len();
                bail!("topic {name} has {count} partitions, none numbered {wanted}");
            }
        }
        for index in topic.partitions.keys() {
            if options.partition.is_empty() || options.partition.contains(index) {
                partitions.push((name.clone(), *index));
            }
        }
    }
    Ok(partitions)
}

/// Where each partition is read from, and to.
async fn cursors(
    options: &Options,
    client: &mut Client,
    partitions: Vec<(String, i32)>,
) -> Result<BTreeMap<Key, Cursor>> {
    let start_at = options.start_at();
    let level = options.isolation;
    let needs_start = !matches!(start_at, StartAt::End | StartAt::Offset(_));
    let needs_end = options.exit || !matches!(start_at, StartAt::Start | StartAt::Offset(_));
    let mut starts = ListedOffsets::new();
    if needs_start {
        starts = client.all_offsets(&partitions, At::Earliest, level).await?;
    }
    let mut ends = ListedOffsets::new();
    if needs_end {
        ends = client.all_offsets(&partitions, At::Latest, level).await?;
    }
    let at_times = match start_at {
        StartAt::TimestampMs(ms) => {
            client
                .all_offsets(&partitions, At::TimestampMs(ms), level)
                .await?
        }
        _ => ListedOffsets::new(),
    };
    let mut cursors = BTreeMap::new();
    for key in partitions {
        let of = |answers: &ListedOffsets| answers.get(&key).copied().flatten();
        let end = of(&ends);
        let position = start_at.resolve(Bounds {
            start: of(&starts).unwrap_or_default(),
            end: end.unwrap_or_default(),
            at_timestamp: of(&at_times),
        });
        let until = end.filter(|_| options.exit);
        let (topic, partition) = key;
        cursors.insert((Arc::from(topic), partition), Cursor::new(position, until));
    }
    Ok(cursors)
}

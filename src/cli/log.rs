//! `ottla log dump`: what files of a data directory say, without a node.
//!
//! - The kind of a file follows from its name, and where two kinds share a name, from its first
//!   bytes.
//! - Files are read, never written. What is damaged ends the dump of its file with the place and the
//!   reason, and the exit code says so.

mod batches;
mod indexes;
mod quorum;
mod sink;
mod states;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ottla_storage::partition_metadata;
use ottla_storage::{Offset, checkpoint, clean_shutdown, journal, meta_properties};

use self::sink::Sink;
use super::output::OutputFormat;
use super::{message, say};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print batches, index entries, journals, checkpoints, quorum segments and snapshots
    Dump(Dump),
}

#[derive(Debug, clap::Args)]
pub(super) struct Dump {
    /// Files of a data directory: *.log, *.index, *.timeindex, *.snapshot, partition-journal,
    /// *-checkpoint, meta.properties, partition.metadata
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also what batches, quorum entries and snapshots carry; decompresses
    #[arg(long, visible_alias = "print-data-log")]
    records: bool,
    /// Print a table, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Batches,
    OffsetIndex,
    TimeIndex,
    Producers,
    Journal,
    EpochCheckpoint,
    OffsetCheckpoint,
    MetaProperties,
    PartitionMetadata,
    CleanShutdown,
    QuorumSegment,
    QuorumSnapshot,
}

/// Files other than segments are small; what is larger is not what its name says.
const SMALL_FILE_SIZE_MAX: u64 = 1 << 30;

pub(super) fn run(command: &Command) -> Result<()> {
    let Command::Dump(dump) = command;
    let mut sink = Sink::new(dump.output);
    let mut failed = 0;
    for file in &dump.files {
        sink.open(file);
        if let Err(error) = dump_file(file, dump.records, &mut sink) {
            sink.flush()?;
            // A closed pipe ends everything, damage only its file.
            if error.is::<super::output::PipeClosed>() {
                return Err(error);
            }
            say(&format!("error: {}: {}", file.display(), message(&error)));
            failed += 1;
        }
    }
    sink.flush()?;
    if failed > 0 {
        bail!(
            "{failed} of {} files could not be read to their end",
            dump.files.len()
        );
    }
    Ok(())
}

fn dump_file(path: &Path, records: bool, sink: &mut Sink) -> Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut start = Vec::new();
    file.by_ref().take(16).read_to_end(&mut start)?;
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let kind = kind_of(name, &start)?;
    if kind == Kind::Batches {
        return batches::dump(&start, file, size, records, sink);
    }
    if size > SMALL_FILE_SIZE_MAX {
        bail!("{size} bytes are too many for a file of this kind");
    }
    let mut bytes = start;
    file.read_to_end(&mut bytes)?;
    match kind {
        Kind::Batches => Ok(()),
        Kind::OffsetIndex => indexes::offsets(base_offset(name)?, &bytes, sink),
        Kind::TimeIndex => indexes::times(base_offset(name)?, &bytes, sink),
        Kind::Producers => states::producers(base_offset(name)?, &bytes, sink),
        Kind::Journal => states::journal(&bytes, sink),
        Kind::EpochCheckpoint => states::epochs(&bytes, sink),
        Kind::OffsetCheckpoint => states::offsets(&bytes, sink),
        Kind::MetaProperties => states::meta_properties(&bytes, sink),
        Kind::PartitionMetadata => states::partition_metadata(&bytes, sink),
        Kind::CleanShutdown => states::clean_shutdown(&bytes, sink),
        Kind::QuorumSegment => quorum::segment(&bytes, records, sink),
        Kind::QuorumSnapshot => quorum::snapshot(&bytes, records, sink),
    }
}

fn kind_of(name: &str, start: &[u8]) -> Result<Kind> {
    let by_name = match name {
        journal::FILE_NAME => Kind::Journal,
        checkpoint::LEADER_EPOCH_FILE => Kind::EpochCheckpoint,
        meta_properties::FILE => Kind::MetaProperties,
        partition_metadata::FILE => Kind::PartitionMetadata,
        clean_shutdown::FILE => Kind::CleanShutdown,
        _ if name.ends_with("-checkpoint") => Kind::OffsetCheckpoint,
        _ if start.starts_with(b"OTRL") => Kind::QuorumSegment,
        _ if start.starts_with(b"OTRS") => Kind::QuorumSnapshot,
        _ => match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("log") => Kind::Batches,
            Some("index") => Kind::OffsetIndex,
            Some("timeindex") => Kind::TimeIndex,
            Some("snapshot") => Kind::Producers,
            _ => bail!("nothing known by this name; `ottla log dump --help` lists the files"),
        },
    };
    Ok(by_name)
}

/// Indexes and snapshots are named after the offset that their segment begins with.
fn base_offset(name: &str) -> Result<Offset> {
    let digits = name.split('.').next().unwrap_or_default();
    let offset = digits.parse().ok().and_then(Offset::from_wire);
    offset.context("the name does not begin with the segment's base offset")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_from_names_and_where_these_are_shared_from_the_bytes() {
        let name = "00000000000000000000";
        for (name, start, kind) in [
            (format!("{name}.log"), &b"\0\0\0\0"[..], Kind::Batches),
            (format!("{name}.log"), b"OTRL", Kind::QuorumSegment),
            (format!("{name}.snapshot"), b"\0\x01", Kind::Producers),
            (format!("{name}.snapshot"), b"OTRS", Kind::QuorumSnapshot),
            (format!("{name}.index"), b"", Kind::OffsetIndex),
            (format!("{name}.timeindex"), b"", Kind::TimeIndex),
            ("partition-journal".to_owned(), b"", Kind::Journal),
            (
                "leader-epoch-checkpoint".to_owned(),
                b"",
                Kind::EpochCheckpoint,
            ),
            (
                "recovery-point-offset-checkpoint".to_owned(),
                b"",
                Kind::OffsetCheckpoint,
            ),
        ] {
            assert_eq!(kind_of(&name, start).unwrap(), kind, "{name}");
        }
        assert!(kind_of("README.md", b"").is_err());
    }

    #[test]
    fn base_offsets_are_read_from_names() {
        assert_eq!(base_offset("00000000000000000042.index").unwrap().get(), 42);
        assert!(base_offset("segment.index").is_err());
    }
}

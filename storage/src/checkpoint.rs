//! Kafka's text checkpoints: a version line, a count line, and one line per entry.
//!
//! They are written for others (Kafka's tools, and Kafka itself) and read when a directory that
//! Kafka wrote is opened; a file that is not exactly right is refused as a whole. Writing them
//! durably (aside, sync, rename, sync the directory) is the caller's part.
//!
//! The formats are in docs/formats/checkpoints.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::{FromStr, SplitAsciiWhitespace};

use crate::epoch_cache::{EpochCache, EpochEntry};
use crate::ids::{LeaderEpoch, Offset};

/// Per partition: its leader epochs.
pub const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";
/// Per directory: up to where each log is on stable storage.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// Per directory: where each log starts, if that is above its first segment's base.
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";
/// Per directory: the high watermark of each log.
pub const REPLICATION_FILE: &str = "replication-offset-checkpoint";
/// Per directory: up to where each compacted log is clean.
pub const CLEANER_FILE: &str = "cleaner-offset-checkpoint";

const VERSION: u32 = 0;

/// Why a file is not a checkpoint. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The bytes are not text.
    #[error("checkpoint is not UTF-8")]
    Encoding,
    /// The last line has no end: a cut number would read as another number.
    #[error("checkpoint ends within a line")]
    Unterminated,
    /// The first line is not a version that this code reads.
    #[error("checkpoint has no version line of {VERSION}")]
    Version,
    /// The second line is not a number.
    #[error("checkpoint has no count line")]
    Count,
    /// There are more or fewer entries than the second line says.
    #[error("checkpoint holds {found} entries and states {stated}")]
    Entries {
        /// The second line.
        stated: usize,
        /// The lines that follow.
        found: usize,
    },
    /// A line is not an entry.
    #[error("checkpoint line {line} is malformed")]
    Line {
        /// The line's number.
        line: usize,
    },
}

/// Which log an offset belongs to, in Kafka's words: the storage itself does not know topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogName {
    /// The topic.
    pub topic: String,
    /// The partition's index.
    pub partition: u32,
}

/// The bytes of a leader epoch checkpoint.
pub fn encode_epochs(cache: &EpochCache) -> String {
    let entries = cache.entries();
    let mut out = head(entries.len());
    for EpochEntry { epoch, start } in entries {
        let _ = writeln!(out, "{epoch} {start}");
    }
    out
}

/// Reads a leader epoch checkpoint. Entries that contradict later ones are dropped, as when they
/// are assigned.
///
/// # Errors
/// See [`CheckpointError`]: the epochs are then to be read from the batches again.
pub fn decode_epochs(bytes: &[u8]) -> Result<EpochCache, CheckpointError> {
    let entry = |mut fields: SplitAsciiWhitespace<'_>| {
        let epoch = LeaderEpoch::from_wire(number(&mut fields)?)?;
        let start = Offset::from_wire(number(&mut fields)?)?;
        fields
            .next()
            .is_none()
            .then_some(EpochEntry { epoch, start })
    };
    Ok(EpochCache::from_entries(decode(bytes, entry)?))
}

/// The bytes of an offset checkpoint: recovery points, log starts, high watermarks.
pub fn encode_offsets(offsets: &BTreeMap<LogName, Offset>) -> String {
    let mut out = head(offsets.len());
    for (LogName { topic, partition }, offset) in offsets {
        let _ = writeln!(out, "{topic} {partition} {offset}");
    }
    out
}

/// Reads an offset checkpoint.
///
/// # Errors
/// See [`CheckpointError`].
pub fn decode_offsets(bytes: &[u8]) -> Result<BTreeMap<LogName, Offset>, CheckpointError> {
    let entry = |mut fields: SplitAsciiWhitespace<'_>| {
        let topic = fields.next()?.to_owned();
        let partition = number::<i32>(&mut fields)?;
        let name = LogName {
            topic,
            partition: u32::try_from(partition).ok()?,
        };
        let offset = Offset::from_wire(number(&mut fields)?)?;
        fields.next().is_none().then_some((name, offset))
    };
    Ok(decode(bytes, entry)?.into_iter().collect())
}

fn head(count: usize) -> String {
    format!("{VERSION}\n{count}\n")
}

fn number<T: FromStr>(fields: &mut SplitAsciiWhitespace<'_>) -> Option<T> {
    fields.next()?.parse().ok()
}

fn decode<T>(
    bytes: &[u8],
    entry: impl Fn(SplitAsciiWhitespace<'_>) -> Option<T>,
) -> Result<Vec<T>, CheckpointError> {
    let text = std::str::from_utf8(bytes).map_err(|_| CheckpointError::Encoding)?;
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(CheckpointError::Unterminated);
    }
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.trim().parse().ok());
    if version != Some(VERSION) {
        return Err(CheckpointError::Version);
    }
    let stated = lines
        .next()
        .and_then(|line| line.trim().parse::<usize>().ok());
    let stated = stated.ok_or(CheckpointError::Count)?;
    let mut entries = Vec::new();
    for (line, text) in (3..).zip(lines) {
        let entry = entry(text.split_ascii_whitespace());
        entries.push(entry.ok_or(CheckpointError::Line { line })?);
    }
    match entries.len() {
        found if found == stated => Ok(entries),
        found => Err(CheckpointError::Entries { stated, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn log(topic: &str, partition: u32) -> LogName {
        LogName {
            topic: topic.to_owned(),
            partition,
        }
    }

    /// Written by Kafka 4.4.0's `LeaderEpochCheckpointFile` and `OffsetCheckpointFile`.
    #[test]
    fn the_text_is_kafkas() {
        let kafka = "0\n2\n0 0\n3 120\n";
        assert_eq!(
            encode_epochs(&decode_epochs(kafka.as_bytes()).unwrap()),
            kafka
        );
        let offsets = decode_offsets(b"0\n2\norders 0 12\na.b_c-d 11 0\n").unwrap();
        assert_eq!(offsets[&log("orders", 0)], Offset::from(12_u32));
        assert_eq!(
            encode_offsets(&offsets),
            "0\n2\na.b_c-d 11 0\norders 0 12\n"
        );
        assert_eq!(encode_offsets(&BTreeMap::new()), "0\n0\n");
    }

    #[test]
    fn a_file_that_is_not_exactly_right_is_refused() {
        let refused = |text: &str| decode_epochs(text.as_bytes()).unwrap_err();
        assert_eq!(refused(""), CheckpointError::Version);
        assert_eq!(refused("1\n0\n"), CheckpointError::Version);
        assert_eq!(refused("0\n"), CheckpointError::Count);
        assert_eq!(refused("0\n1\n0 12"), CheckpointError::Unterminated);
        assert_eq!(
            refused("0\n2\n0 0\n"),
            CheckpointError::Entries {
                stated: 2,
                found: 1
            }
        );
        assert_eq!(
            refused("0\n0\n0 0\n"),
            CheckpointError::Entries {
                stated: 0,
                found: 1
            }
        );
        for entry in ["0", "0 -1", "-1 0", "0 0 0", "x 0", ""] {
            let text = format!("0\n1\n{entry}\n");
            assert_eq!(refused(&text), CheckpointError::Line { line: 3 }, "{entry}");
        }
        assert_eq!(decode_offsets(&[0xff]), Err(CheckpointError::Encoding));
    }

    proptest! {
        #[test]
        fn checkpoints_survive(
            epochs in vec((0..50_i32, 0..=i64::MAX), 0..20),
            offsets in btree_map(("[a-zA-Z0-9._-]{1,20}", 0..=0x7fff_ffff_u32), 0..=i64::MAX, 0..20),
        ) {
            let cache = EpochCache::from_entries(epochs.into_iter().map(|(epoch, start)| {
                EpochEntry {
                    epoch: LeaderEpoch::from_wire(epoch).unwrap(),
                    start: Offset::from_wire(start).unwrap(),
                }
            }));
            prop_assert_eq!(decode_epochs(encode_epochs(&cache).as_bytes()), Ok(cache));
            let offsets: BTreeMap<_, _> = offsets
                .into_iter()
                .map(|((topic, partition), offset)| {
                    (LogName { topic, partition }, Offset::from_wire(offset).unwrap())
                })
                .collect();
            prop_assert_eq!(decode_offsets(encode_offsets(&offsets).as_bytes()), Ok(offsets));
        }

        #[test]
        fn noise_never_panics(text in "(0\n)?[0-9 \n]{0,40}", bytes in vec(any::<u8>(), 0..50)) {
            let _ = (decode_epochs(text.as_bytes()), decode_offsets(text.as_bytes()));
            let _ = (decode_epochs(&bytes), decode_offsets(&bytes));
        }
    }
}

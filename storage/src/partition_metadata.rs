//! `partition.metadata`: the topic id that a log belongs to.
//!
//! It is on disk before the first byte of the log, so a log without it has no records that anybody
//! was told of, and a topic created anew under an old name is never given the old one's records.

use crate::ids::LogId;

/// The file's name in the partition's directory.
pub const FILE: &str = "partition.metadata";

/// Why a file does not name a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionMetadataError {
    /// It is not the two lines that are written.
    #[error("partition.metadata is malformed")]
    Malformed,
    /// It was written by a version that this code does not know.
    #[error("partition.metadata has version {version}")]
    Version {
        /// The version found.
        version: u32,
    },
    /// The id is the one that means "none".
    #[error("partition.metadata names no topic")]
    NoTopic,
}

/// The file's text. As Kafka writes it: the last line has no end.
pub fn encode(id: LogId) -> String {
    format!("version: 0\ntopic_id: {id}")
}

/// Reads the file.
///
/// # Errors
/// See [`PartitionMetadataError`]: the log is then offline, never empty.
pub fn decode(bytes: &[u8]) -> Result<LogId, PartitionMetadataError> {
    let malformed = PartitionMetadataError::Malformed;
    let text = std::str::from_utf8(bytes).map_err(|_| malformed)?;
    let mut lines = text.lines();
    let mut field = |name: &str| {
        let (key, value) = lines.next()?.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    };
    let version = field("version")
        .ok_or(malformed)?
        .parse()
        .map_err(|_| malformed)?;
    if version != 0 {
        return Err(PartitionMetadataError::Version { version });
    }
    let id: LogId = field("topic_id")
        .ok_or(malformed)?
        .parse()
        .map_err(|_| malformed)?;
    if id.uuid().is_nil() {
        Err(PartitionMetadataError::NoTopic)
    } else {
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Kafka 4.4.0's `PartitionMetadataFile`.
    #[test]
    fn the_text_is_kafkas() {
        let kafka = "version: 0\ntopic_id: 6vqwWuVFTgiWvyWXgV8mYg";
        let id = decode(kafka.as_bytes()).unwrap();
        assert_eq!(encode(id), kafka);
        assert_eq!(decode(format!("{kafka}\n").as_bytes()), Ok(id));
    }

    #[test]
    fn a_torn_or_foreign_file_is_refused() {
        let kafka = b"version: 0\ntopic_id: 6vqwWuVFTgiWvyWXgV8mYg";
        for cut in 0..kafka.len() {
            assert!(decode(&kafka[..cut]).is_err(), "cut at {cut}");
        }
        let version = PartitionMetadataError::Version { version: 1 };
        assert_eq!(decode(b"version: 1\n"), Err(version));
        let none = b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(decode(none), Err(PartitionMetadataError::NoTopic));
    }
}

//! `meta.properties`: whose data a directory holds.
//!
//! It is what keeps a disk of another cluster, another node or a newer format from being served.
//! Keys that this code does not know are kept, because somebody put them there.

use std::collections::BTreeMap;

use crate::ids::{DirectoryId, ParseIdError};
use crate::properties;

/// The file's name in the data directory.
pub const FILE: &str = "meta.properties";

const VERSION: i32 = 1;

/// Why a file does not say whose data this is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// It is not a properties file.
    #[error("meta.properties is malformed")]
    Malformed,
    /// It names no version.
    #[error("meta.properties has no version")]
    NoVersion,
    /// It was written by a version that this code does not know.
    #[error("meta.properties has version {version}, only {VERSION} is known")]
    Version {
        /// The version found.
        version: i32,
    },
    /// The node's id is not a number from 0.
    #[error("meta.properties has no legal node.id")]
    NodeId,
    /// The directory's id is not an id.
    #[error("meta.properties has no legal directory.id")]
    DirectoryId(#[from] ParseIdError),
}

/// The identity of a data directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster; `None` until the node has joined one.
    pub cluster_id: Option<String>,
    /// The node.
    pub node_id: Option<i32>,
    /// The directory itself.
    pub directory_id: Option<DirectoryId>,
    /// Keys without a meaning here.
    pub other: BTreeMap<String, String>,
}

impl MetaProperties {
    /// The file's text.
    pub fn encode(&self) -> String {
        let mut out = String::from("#\n");
        properties::write(&mut out, "version", &VERSION.to_string());
        if let Some(cluster_id) = &self.cluster_id {
            properties::write(&mut out, "cluster.id", cluster_id);
        }
        if let Some(node_id) = self.node_id {
            properties::write(&mut out, "node.id", &node_id.to_string());
        }
        if let Some(directory_id) = self.directory_id {
            properties::write(&mut out, "directory.id", &directory_id.to_string());
        }
        for (key, value) in &self.other {
            properties::write(&mut out, key, value);
        }
        out
    }

    /// Reads the file.
    ///
    /// # Errors
    /// See [`MetaPropertiesError`]: the directory is not to be used.
    pub fn decode(bytes: &[u8]) -> Result<Self, MetaPropertiesError> {
        let text = std::str::from_utf8(bytes).map_err(|_| MetaPropertiesError::Malformed)?;
        let pairs = properties::read(text).ok_or(MetaPropertiesError::Malformed)?;
        let mut other: BTreeMap<String, String> = pairs.into_iter().collect();
        let version = other
            .remove("version")
            .ok_or(MetaPropertiesError::NoVersion)?;
        let version = version
            .trim()
            .parse()
            .map_err(|_| MetaPropertiesError::Malformed)?;
        if version != VERSION {
            return Err(MetaPropertiesError::Version { version });
        }
        let node_id = |text: String| text.trim().parse().ok().filter(|id| *id >= 0);
        let node_id = match other.remove("node.id") {
            Some(text) => Some(node_id(text).ok_or(MetaPropertiesError::NodeId)?),
            None => None,
        };
        let directory_id = other.remove("directory.id");
        let directory_id = directory_id.map(|text| text.trim().parse()).transpose()?;
        let cluster_id = other.remove("cluster.id");
        Ok(Self {
            cluster_id,
            node_id,
            directory_id,
            other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Kafka 4.4.0's `PropertiesUtils`, with a key of our own among the others.
    const KAFKA: &str = "#\n#Mon Nov 23 16:31:07 UTC 2026\nnode.id=1\n\
        odd\\ key\\:x=\\ spaced \\= value\\\\\\t\u{e9}\ndirectory.id=6vqwWuVFTgiWvyWXgV8mYg\n\
        version=1\ncluster.id=vPeOCWypqUOSepEvx0cbog\n";

    #[test]
    fn kafkas_file_is_read_and_unknown_keys_are_kept() {
        let meta = MetaProperties::decode(KAFKA.as_bytes()).unwrap();
        assert_eq!(meta.cluster_id.as_deref(), Some("vPeOCWypqUOSepEvx0cbog"));
        assert_eq!(meta.node_id, Some(1));
        assert_eq!(
            meta.directory_id.unwrap().to_string(),
            "6vqwWuVFTgiWvyWXgV8mYg"
        );
        assert_eq!(meta.other["odd key:x"], " spaced = value\\\t\u{e9}");
        let text = meta.encode();
        assert_eq!(MetaProperties::decode(text.as_bytes()), Ok(meta));
        let mut lines: Vec<_> = text.lines().skip(1).collect();
        let mut kafkas: Vec<_> = KAFKA.lines().skip(2).collect();
        lines.sort_unstable();
        kafkas.sort_unstable();
        assert_eq!(lines, kafkas);
    }

    #[test]
    fn a_foreign_file_is_refused() {
        let refused = |text: &str| MetaProperties::decode(text.as_bytes()).unwrap_err();
        assert_eq!(refused(""), MetaPropertiesError::NoVersion);
        assert_eq!(
            refused("version=0\n"),
            MetaPropertiesError::Version { version: 0 }
        );
        assert_eq!(
            refused("version=2\n"),
            MetaPropertiesError::Version { version: 2 }
        );
        assert_eq!(refused("version=x\n"), MetaPropertiesError::Malformed);
        assert_eq!(
            refused("version=1\nnode.id=-1\n"),
            MetaPropertiesError::NodeId
        );
        let id = MetaPropertiesError::DirectoryId(ParseIdError);
        assert_eq!(refused("version=1\ndirectory.id=x\n"), id);
        assert_eq!(
            MetaProperties::decode(&[0xff]),
            Err(MetaPropertiesError::Malformed)
        );
        let bare = MetaProperties::decode(b"version=1").unwrap();
        assert_eq!(bare, MetaProperties::default());
    }
}

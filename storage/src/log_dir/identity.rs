//! Whose directory it is: `meta.properties`, in Kafka's format.
//!
//! - A directory is given its identity once and keeps it; the cluster's id is added when the cluster has one.
//! - Lines that are not known are kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{LogDir, names};
use crate::directory::replace_file;
use crate::fs::{Fs, read_all};
use crate::ids::DirectoryId;

const VERSION: &str = "1";
const BYTES_MAX: u64 = 64 << 10;

/// Why a directory can not be used by this node.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another node's.
    #[error(
        "{path} belongs to node {found}, not {expected}: start with --id {found}, or use another --data directory"
    )]
    ForeignNode {
        /// The directory.
        path: PathBuf,
        /// The node in the file.
        found: u64,
        /// This node.
        expected: u64,
    },
    /// Another cluster's.
    #[error("{path} belongs to cluster {found}, not {expected}: use another --data directory")]
    ForeignCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster in the file.
        found: String,
        /// The cluster asked for.
        expected: String,
    },
    /// A later version's.
    #[error(
        "{path} was written with format version {found}, and this ottla reads {VERSION}: use the newer ottla"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The version in the file.
        found: String,
    },
    /// The file can not be understood.
    #[error(
        "{path}/meta.properties has no readable {key}: restore the file, or move the directory away to start anew"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// The key that is missing or wrong.
        key: &'static str,
    },
    /// The file system failed.
    #[error("{path}/meta.properties")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// What the file says.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: DirectoryId,
    lines: Mutex<Vec<(String, String)>>,
}

impl Identity {
    /// Reads the file, or writes a new one.
    pub(super) fn load_or_create(
        fs: &dyn Fs,
        dir: &Path,
        node_id: u64,
        new_id: DirectoryId,
    ) -> Result<Self, IdentityError> {
        let io = |source| IdentityError::Io {
            path: dir.to_owned(),
            source,
        };
        match read_all(fs, &dir.join(names::META), BYTES_MAX) {
            Ok(bytes) => Self::parse(&bytes, dir, node_id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lines = [
                    ("version", VERSION.to_owned()),
                    ("node.id", node_id.to_string()),
                    ("directory.id", new_id.to_string()),
                ];
                let lines = lines.map(|(key, value)| (key.to_owned(), value)).to_vec();
                let identity = Self {
                    id: new_id,
                    lines: Mutex::new(lines),
                };
                identity.write(fs, dir).map_err(io)?;
                Ok(identity)
            }
            Err(error) => Err(io(error)),
        }
    }

    fn parse(bytes: &[u8], dir: &Path, node_id: u64) -> Result<Self, IdentityError> {
        let damaged = |key| IdentityError::Damaged {
            path: dir.to_owned(),
            key,
        };
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("version"))?;
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let value = |key: &'static str| {
            let line = lines.iter().find(|(name, _)| name == key);
            line.map(|(_, value)| value.as_str())
                .ok_or_else(|| damaged(key))
        };
        let version = value("version")?;
        if version != VERSION {
            return Err(IdentityError::Newer {
                path: dir.to_owned(),
                found: version.to_owned(),
            });
        }
        let found = value("node.id")?.parse().map_err(|_| damaged("node.id"))?;
        if found != node_id {
            return Err(IdentityError::ForeignNode {
                path: dir.to_owned(),
                found,
                expected: node_id,
            });
        }
        let id = value("directory.id")?
            .parse()
            .map_err(|_| damaged("directory.id"))?;
        Ok(Self {
            id,
            lines: Mutex::new(lines),
        })
    }

    fn write(&self, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
        let mut text = String::new();
        for (key, value) in self
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            text.extend([key, "=", value, "\n"]);
        }
        replace_file(fs, &dir.join(names::META), text.as_bytes()).map_err(io::Error::other)?;
        fs.sync_dir(dir)
    }

    fn cluster_id(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .find(|(key, _)| key == "cluster.id")
            .map(|(_, value)| value.clone())
    }
}

impl LogDir {
    /// The cluster that the directory belongs to, once that is known.
    pub fn cluster_id(&self) -> Option<String> {
        self.identity.cluster_id()
    }

    /// Binds the directory to a cluster, durably. Blocks for a sync if it was not bound before.
    ///
    /// # Errors
    /// [`IdentityError::ForeignCluster`] if it belongs to another.
    pub fn bind_to_cluster(&self, cluster_id: &str) -> Result<(), IdentityError> {
        let path = self.directory.path.clone();
        match self.identity.cluster_id() {
            Some(found) if found == cluster_id => Ok(()),
            Some(found) => Err(IdentityError::ForeignCluster {
                path,
                found,
                expected: cluster_id.to_owned(),
            }),
            None => {
                let line = ("cluster.id".to_owned(), cluster_id.to_owned());
                self.identity
                    .lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                let result = self.identity.write(&*self.directory.fs, &path);
                result.map_err(|source| IdentityError::Io { path, source })
            }
        }
    }
}

//! Whose directory it is: `meta.properties`, in Kafka's format.
//!
//! - A directory is given its identity once and keeps it; the cluster's id is added when the cluster has one.
//! - A directory without one is given one; keys that are not known are kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::LogDir;
use crate::fs::{Fs, read_all};
use crate::ids::DirectoryId;
use crate::meta_properties::{self, MetaProperties, MetaPropertiesError};

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
        found: i32,
        /// This node.
        expected: i32,
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
    #[error("{path} was written with format version {version}: use the newer ottla that wrote it")]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The version in the file.
        version: i32,
    },
    /// The file can not be understood.
    #[error("{path}: restore the file, or move the directory away to start anew")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        source: MetaPropertiesError,
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
    properties: Mutex<MetaProperties>,
}

impl Identity {
    /// Reads the file, or writes a new one.
    pub(super) fn load_or_create(
        fs: &dyn Fs,
        dir: &Path,
        node_id: i32,
        new_id: DirectoryId,
    ) -> Result<Self, IdentityError> {
        let path = || dir.to_owned();
        let io = |source| IdentityError::Io {
            path: path(),
            source,
        };
        let mut properties = match read_all(fs, &dir.join(meta_properties::FILE), BYTES_MAX) {
            Ok(bytes) => MetaProperties::decode(&bytes).map_err(|source| match source {
                MetaPropertiesError::Version { version } => IdentityError::Newer {
                    path: path(),
                    version,
                },
                source => IdentityError::Damaged {
                    path: path(),
                    source,
                },
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => MetaProperties::default(),
            Err(error) => return Err(io(error)),
        };
        if let Some(found) = properties.node_id.filter(|found| *found != node_id) {
            return Err(IdentityError::ForeignNode {
                path: path(),
                found,
                expected: node_id,
            });
        }
        let id = properties.directory_id.unwrap_or(new_id);
        let is_complete = properties.node_id.is_some() && properties.directory_id.is_some();
        properties.node_id = Some(node_id);
        properties.directory_id = Some(id);
        if !is_complete {
            write(&properties, fs, dir).map_err(io)?;
        }
        Ok(Self {
            id,
            properties: Mutex::new(properties),
        })
    }

    fn lock(&self) -> MutexGuard<'_, MetaProperties> {
        self.properties
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(properties: &MetaProperties, fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    crate::fs::replace(
        fs,
        &dir.join(meta_properties::FILE),
        properties.encode().as_bytes(),
    )
}

impl LogDir {
    /// The cluster that the directory belongs to, once that is known.
    pub fn cluster_id(&self) -> Option<String> {
        self.identity.lock().cluster_id.clone()
    }

    /// Binds the directory to a cluster, durably. Blocks for a sync if it was not bound before.
    ///
    /// # Errors
    /// [`IdentityError::ForeignCluster`] if it belongs to another.
    pub fn bind_to_cluster(&self, cluster_id: &str) -> Result<(), IdentityError> {
        let path = self.directory.path.clone();
        let mut properties = self.identity.lock();
        match &properties.cluster_id {
            Some(found) if found == cluster_id => Ok(()),
            Some(found) => {
                let (found, expected) = (found.clone(), cluster_id.to_owned());
                Err(IdentityError::ForeignCluster {
                    path,
                    found,
                    expected,
                })
            }
            None => self.change(&mut properties, |bound| {
                bound.cluster_id = Some(cluster_id.to_owned());
            }),
        }
    }

    /// What the file says under a key that means nothing here.
    pub fn note(&self, key: &str) -> Option<String> {
        self.identity.lock().other.get(key).cloned()
    }

    /// Writes such a key, durably. Blocks for a sync unless it says so already.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub fn set_note(&self, key: &str, value: &str) -> Result<(), IdentityError> {
        let mut properties = self.identity.lock();
        if properties.other.get(key).is_some_and(|old| old == value) {
            return Ok(());
        }
        self.change(&mut properties, |noted| {
            noted.other.insert(key.to_owned(), value.to_owned());
        })
    }

    fn change(
        &self,
        properties: &mut MetaProperties,
        change: impl FnOnce(&mut MetaProperties),
    ) -> Result<(), IdentityError> {
        let path = self.directory.path.clone();
        let mut changed = properties.clone();
        change(&mut changed);
        let result = write(&changed, &*self.directory.fs, &path);
        result.map_err(|source| IdentityError::Io { path, source })?;
        *properties = changed;
        Ok(())
    }
}

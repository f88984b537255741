//! The data directories of this node, and the cluster that they belong to.
//!
//! - All directories are of one cluster, and its id is on disk before anything is served.
//! - The first directory also holds the quorum's log: its identity vouches for the vote, and it knows that it has the log.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_storage::LogId;
use ottla_storage::fs::Fs;
use ottla_storage::log_dir::{LogDir, LogDirOptions, Tuning};
use uuid::Uuid;

use super::StartError;
use crate::clock;
use crate::config::NodeConfig;
use crate::metadata::BrokerEpoch;
use crate::quorum::{ClusterIdentity, QuorumLog};
use crate::replica::replicas::ReplicaMap;

/// The key in `meta.properties` of the directory that holds the quorum's log.
const QUORUM_LOG: &str = "ottla.quorum.log";

/// The started directories, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Directories {
    dirs: Vec<Arc<LogDir>>,
    /// The one that holds the quorum's log.
    metadata: Arc<LogDir>,
    /// What a new cluster is to be called.
    wanted: Option<Uuid>,
}

impl Directories {
    pub(super) fn start(
        config: &NodeConfig,
        fs: &Arc<dyn Fs>,
        events: &Arc<ReplicaMap>,
    ) -> Result<Self, StartError> {
        let start = |path: &PathBuf| {
            let node_id = config.node_id.get();
            let mut options = LogDirOptions::new(
                path.clone(),
                fs.clone(),
                Arc::new(clock::SystemClock),
                events.clone(),
                node_id,
            );
            let threads = usize::try_from(config.storage.recovery_threads).unwrap_or(1);
            options.tuning = Tuning {
                threads: threads.max(1),
                ..Tuning::default()
            };
            LogDir::start(options).map(Arc::new)
        };
        let dirs = config
            .storage
            .dirs
            .iter()
            .map(start)
            .collect::<Result<Vec<_>, _>>()?;
        let metadata = dirs
            .iter()
            .find(|dir| dir.path() == config.metadata_dir)
            .cloned();
        let dir = config.metadata_dir.clone();
        let metadata = metadata.ok_or(StartError::MetadataDir { dir })?;
        let wanted = config
            .values
            .cluster_id()
            .map(|id| parse("the environment", id));
        Ok(Self {
            dirs,
            metadata,
            wanted: wanted.transpose()?,
        })
    }

    pub(super) fn all(&self) -> Vec<Arc<LogDir>> {
        self.dirs.clone()
    }

    pub(super) fn metadata(&self) -> &LogDir {
        &self.metadata
    }

    /// What the disks know of their cluster.
    pub(super) fn identity(&self) -> Result<DiskIdentity, StartError> {
        let known = self
            .dirs
            .iter()
            .find_map(|dir| Some((dir.path(), dir.cluster_id()?)));
        let cluster = known.map(|(dir, id)| parse(&dir.display().to_string(), &id));
        Ok(DiskIdentity {
            quorum_log: self.quorum_log(),
            metadata: self.metadata.clone(),
            dirs: self.dirs.clone(),
            cluster: cluster.transpose()?,
            wanted: self.wanted,
        })
    }

    /// Where the quorum's log is: asked before any directory is bound anew.
    fn quorum_log(&self) -> QuorumLog {
        let holds = |dir: &LogDir| dir.note(QUORUM_LOG).is_some();
        let is_bound = |dir: &LogDir| dir.cluster_id().is_some();
        if holds(&self.metadata) {
            QuorumLog::Here
        } else if self.dirs.iter().any(|dir| holds(dir))
            // The directory of the quorum's log is bound first.
            || (!is_bound(&self.metadata) && self.dirs.iter().any(|dir| is_bound(dir)))
        {
            QuorumLog::Elsewhere
        } else {
            QuorumLog::None
        }
    }

    /// The broker epoch that a clean stop of every directory left behind: the proof that nothing was lost since.
    pub(super) fn clean_broker_epoch(&self) -> Option<BrokerEpoch> {
        let epochs: Option<Vec<i64>> = self
            .dirs
            .iter()
            .map(|dir| dir.clean_broker_epoch())
            .collect();
        let epochs = epochs?;
        let first = *epochs.first()?;
        epochs
            .iter()
            .all(|epoch| *epoch == first)
            .then(|| BrokerEpoch::from_wire(first))
            .flatten()
    }

    /// Ends directories that were not used: a start that came to nothing does not cost the proof of a clean stop.
    pub(super) fn unused(self, error: StartError) -> StartError {
        if let Some(epoch) = self.clean_broker_epoch() {
            self.stop(epoch.get());
        }
        error
    }

    /// Ends every directory in order; all logs must have been closed.
    pub(super) fn stop(self, broker_epoch: i64) {
        drop(self.metadata);
        for dir in self.dirs {
            let path = dir.path().to_owned();
            if let Err(error) = dir.stop(broker_epoch) {
                let dir = path.display();
                tracing::warn!(%dir, %error, "not stopped cleanly: the next start scans what it must");
            }
        }
    }
}

/// The cluster of the directories: of all of them, once it is bound.
#[derive(Debug)]
pub(super) struct DiskIdentity {
    quorum_log: QuorumLog,
    metadata: Arc<LogDir>,
    dirs: Vec<Arc<LogDir>>,
    cluster: Option<Uuid>,
    wanted: Option<Uuid>,
}

impl ClusterIdentity for DiskIdentity {
    fn cluster(&self) -> Option<Uuid> {
        self.cluster
    }

    fn new_cluster(&self) -> Uuid {
        self.wanted.unwrap_or_else(new_cluster)
    }

    fn bind(&self, cluster: Uuid) -> Result<(), Box<dyn Error + Send + Sync>> {
        let id = cluster_id(cluster);
        self.metadata.bind_to_cluster(&id)?;
        for dir in &self.dirs {
            dir.bind_to_cluster(&id)?;
        }
        Ok(())
    }

    fn quorum_log(&self) -> QuorumLog {
        self.quorum_log
    }

    fn note_quorum_log(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(self.metadata.set_note(QUORUM_LOG, "begun")?)
    }
}

/// A cluster's id as clients see it.
pub(super) fn cluster_id(cluster: Uuid) -> String {
    LogId::new(cluster).to_string()
}

fn parse(dir: &str, id: &str) -> Result<Uuid, StartError> {
    let parsed = id.parse::<LogId>().map_err(|_| StartError::ClusterId {
        dir: dir.into(),
        id: id.to_owned(),
    })?;
    Ok(parsed.uuid())
}

fn new_cluster() -> Uuid {
    // Kafka's ids never begin with a dash, so that they can stand on a command line.
    loop {
        let cluster = Uuid::new_v4();
        if !cluster_id(cluster).starts_with('-') {
            return cluster;
        }
    }
}

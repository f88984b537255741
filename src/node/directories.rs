//! The data directories of this node, and the cluster that they belong to.
//!
//! - All directories are of one cluster; a node without one begins its own, and the id is on disk before anything
//!   is served.
//! - The first directory also holds the quorum's log: its identity vouches for the vote.

use std::path::PathBuf;
use std::sync::Arc;

use ottla_storage::LogId;
use ottla_storage::fs::Fs;
use ottla_storage::log_dir::{LogDir, LogDirOptions, Tuning};
use ottla_storage::time::{MonoMillis, WallMillis};
use uuid::Uuid;

use super::StartError;
use crate::clock;
use crate::config::NodeConfig;
use crate::metadata::BrokerEpoch;
use crate::replica::replicas::ReplicaMap;

#[derive(Debug)]
struct Clock;

impl ottla_storage::Clock for Clock {
    fn mono(&self) -> MonoMillis {
        clock::mono()
    }

    fn wall(&self) -> WallMillis {
        clock::wall()
    }
}

/// The started directories, in the order of the configuration.
#[derive(Debug)]
pub(super) struct Directories {
    dirs: Vec<Arc<LogDir>>,
    /// The one that holds the quorum's log.
    metadata: Arc<LogDir>,
    cluster_id: String,
    cluster: Uuid,
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
                Arc::new(Clock),
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
        let (cluster_id, cluster) = cluster_of(&dirs, config.values.cluster_id())?;
        for dir in &dirs {
            dir.bind_to_cluster(&cluster_id)?;
        }
        Ok(Self {
            dirs,
            metadata,
            cluster_id,
            cluster,
        })
    }

    pub(super) fn all(&self) -> Vec<Arc<LogDir>> {
        self.dirs.clone()
    }

    pub(super) fn metadata(&self) -> &LogDir {
        &self.metadata
    }

    /// The cluster's id as clients see it.
    pub(super) fn cluster_id(&self) -> String {
        self.cluster_id.clone()
    }

    /// The same as 16 bytes.
    pub(super) fn cluster(&self) -> Uuid {
        self.cluster
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

/// The id that the directories know, or the one that is asked for, or a new one.
fn cluster_of(dirs: &[Arc<LogDir>], wanted: Option<&str>) -> Result<(String, Uuid), StartError> {
    let known = dirs
        .iter()
        .find_map(|dir| Some((dir.path(), dir.cluster_id()?)));
    let (dir, id) = match (known, wanted) {
        (Some((dir, id)), _) => (dir.to_owned(), id),
        (None, Some(id)) => (PathBuf::from("the environment"), id.to_owned()),
        (None, None) => return Ok(new_cluster()),
    };
    match id.parse::<LogId>() {
        Ok(parsed) => Ok((id, parsed.uuid())),
        Err(_) => Err(StartError::ClusterId { dir, id }),
    }
}

fn new_cluster() -> (String, Uuid) {
    // Kafka's ids never begin with a dash, so that they can stand on a command line.
    loop {
        let cluster = Uuid::new_v4();
        let id = LogId::new(cluster).to_string();
        if !id.starts_with('-') {
            return (id, cluster);
        }
    }
}

//! Who is in the cluster, fenced brokers among them.

use crate::wire::messages::describe_cluster::DescribeClusterRequest;

use super::Client;
use super::error::ClientError;

#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(crate) id: String,
    pub(crate) controller: Option<i32>,
    /// By id.
    pub(crate) brokers: Vec<Member>,
}

/// A registered broker.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
    pub(crate) is_fenced: bool,
}

impl Client {
    pub(crate) async fn cluster(&mut self) -> Result<Cluster, ClientError> {
        let request = DescribeClusterRequest {
            include_fenced_brokers: true,
            ..DescribeClusterRequest::default()
        };
        let answer = self.call_any(&request).await?;
        let cluster = answer.decode()?;
        answer.check(cluster.error_code)?;
        let brokers = cluster.brokers.iter().map(|broker| Member {
            id: broker.broker_id,
            host: broker.host.to_string(),
            port: broker.port,
            rack: broker.rack.as_ref().map(ToString::to_string),
            is_fenced: broker.is_fenced,
        });
        let mut brokers: Vec<_> = brokers.collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(Cluster {
            id: cluster.cluster_id.to_string(),
            controller: Some(cluster.controller_id).filter(|id| *id >= 0),
            brokers,
        })
    }
}

impl Member {
    /// What people call the state of a broker.
    pub(crate) fn state(&self) -> &'static str {
        if self.is_fenced { "fenced" } else { "live" }
    }
}

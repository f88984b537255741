//! What this node answers to its clients.
//!
//! A frame comes in from `net`, `dispatch` finds its handler, and a handler asks a replica or the
//! controller. What a request waits for is bounded, and it waits on the core that it came to.

pub mod admin;
mod admin_error;
pub mod authorize;
pub mod context;
pub mod core;
pub mod dispatch;

mod handler;
pub mod metrics;
pub mod reply;
pub(crate) mod timer;

use tokio::sync::watch;

use crate::config::NodeConfig;
use crate::metadata::{BrokerId, ImageVersion, Publisher};
use admin::Admin;
use metrics::Metrics;

/// The handles that every request may need: one per node, shared by its cores.
#[derive(Debug)]
pub struct Broker {
    /// This node.
    pub id: BrokerId,
    /// What it was told at start.
    pub config: NodeConfig,
    /// What the cluster has agreed on.
    pub metadata: Publisher,
    /// What admin requests need.
    pub admin: Admin,
    /// Counters.
    pub metrics: Metrics,
    /// The version that this broker's replicas follow.
    pub applied: watch::Sender<ImageVersion>,
}

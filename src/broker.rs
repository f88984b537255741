//! What this node answers to its clients.
//!
//! A frame comes in from `net`, `dispatch` finds its handler, and a handler asks a replica or the
//! controller. What a request waits for is bounded, and it waits on the core that it came to.

pub mod admin;
mod admin_error;
pub mod alter_partition;
pub mod apply;
pub mod assign_replicas;
pub mod authorize;
pub mod contact;
pub mod context;
pub mod controller_channel;
pub mod controller_service;
pub mod core;
pub mod dispatch;
mod error_code;
pub mod fetch_session;
pub mod handler;
mod housekeeping;
pub mod lifecycle;
pub mod metrics;
mod partitions;
pub mod pauses;
pub mod purgatory;
pub mod reply;
mod timer;
pub mod vouch;
mod wait;

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::config::NodeConfig;
use crate::coordinator::Coordinators;
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, Publisher};
use crate::replica::Replicas;
use admin::Admin;
use contact::Contact;
use fetch_session::SessionCache;
use metrics::Metrics;
use pauses::Pauses;
use purgatory::Purgatory;
use vouch::Pulses;

/// Fetches that may wait at once.
const PARKED_FETCHES_MAX: usize = 100_000;

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
    /// The partitions that this broker holds.
    pub replicas: Arc<Replicas>,
    /// Of the groups whose partitions this broker leads.
    pub coordinators: Coordinators,
    /// Where fetches wait.
    pub purgatory: Arc<Purgatory>,
    /// Of the cores that serve clients.
    pub pulses: Pulses,
    /// Of this process.
    pub pauses: Pauses,
    /// With the controller.
    pub contact: Contact,
    /// Counters.
    pub metrics: Metrics,
    /// The version that this broker's replicas follow.
    pub applied: watch::Sender<ImageVersion>,
    /// The registration of this process, once it has one.
    pub registration: watch::Sender<Option<BrokerEpoch>>,
    sessions: Mutex<SessionCache>,
}

impl Broker {
    /// The handles of a node whose replicas follow `metadata` once [`apply::run`] does.
    pub fn new(
        config: NodeConfig,
        metadata: Publisher,
        admin: Admin,
        replicas: Arc<Replicas>,
    ) -> Self {
        let registration = admin.registration();
        let pauses = Pauses::new(config.controller.session_timeout);
        let contact = Contact::new(config.controller.session_timeout);
        let coordinators =
            Coordinators::new(config.node_id, config.group.clone(), replicas.clone());
        let session_count = usize::try_from(config.broker.fetch_sessions_max).unwrap_or(0);
        Self {
            id: config.node_id,
            config,
            metadata,
            admin,
            replicas,
            coordinators,
            purgatory: Purgatory::new(PARKED_FETCHES_MAX),
            pulses: Pulses::default(),
            pauses,
            contact,
            metrics: Metrics::default(),
            applied: watch::Sender::new(ImageVersion::default()),
            registration,
            sessions: Mutex::new(SessionCache::new(session_count)),
        }
    }

    /// The epoch of this process's registration, once it has one. It may change: a controller that lost it gives
    /// another one.
    pub fn epoch(&self) -> Option<BrokerEpoch> {
        *self.registration.borrow()
    }
}

//! A small Kafka client: what the commands need and no more.
//!
//! - One connection per broker, opened when first used.
//! - Any bootstrap broker that answers will do; admin requests go to it, as every broker forwards
//!   them to the controller.
//! - Metadata is asked again when a broker says that ours is stale; nothing is refreshed by a timer.

mod address;
mod call;
mod cluster;
mod committed;
mod connection;
mod coordinator;
mod error;
mod link;
mod metadata;
mod offsets;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};

pub(crate) use self::address::HostPort;
pub(crate) use self::call::{Answer, Call};
pub(crate) use self::cluster::Cluster;
#[cfg(test)]
pub(crate) use self::cluster::Member;
#[cfg(test)]
pub(crate) use self::committed::Committed;
pub(crate) use self::committed::{
    CommitOutcomes, CommittedOffsets, GroupPartition, GroupTopic, Speaker, commit_request,
    fetch_request, read_committed, read_fetched,
};
pub(crate) use self::coordinator::{Coordinator, is_elsewhere};
pub(crate) use self::error::{ClientError, Said};
pub(crate) use self::link::Link;
#[cfg(test)]
pub(crate) use self::metadata::Broker;
pub(crate) use self::metadata::{Metadata, Partition, Topic};
pub(crate) use self::offsets::{At, Isolation, ListedOffsets};

/// Between two tries of something that may soon succeed.
pub(crate) const RETRY_BACKOFF: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub(crate) struct Client {
    timeout: Duration,
    /// In the order the user named them; the one that answered last stands first.
    bootstrap: Vec<Arc<Link>>,
    brokers: BTreeMap<i32, Arc<Link>>,
}

/// Which topics to ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topics<'a> {
    All,
    Named {
        names: &'a [String],
        may_create: bool,
    },
}

impl Client {
    pub(crate) fn new(bootstrap: Vec<HostPort>, timeout: Duration) -> Self {
        let link = |address| Arc::new(Link::new(address, timeout));
        Self {
            timeout,
            bootstrap: bootstrap.into_iter().map(link).collect(),
            brokers: BTreeMap::new(),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The timeout as the brokers' field wants it.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks any broker. Only a broker that cannot be reached is passed over: a request that was sent
    /// may have been carried out.
    pub(crate) async fn call_any<R: Call>(
        &mut self,
        request: &R,
    ) -> Result<Answer<R>, ClientError> {
        let mut unreachable = None;
        for position in 0..self.bootstrap.len() {
            let Some(link) = self.bootstrap.get(position).map(Arc::clone) else {
                break;
            };
            match link.call(request).await {
                Err(error @ ClientError::Connect { .. }) => {
                    unreachable.get_or_insert(error);
                }
                outcome => {
                    self.bootstrap.swap(0, position);
                    return outcome;
                }
            }
        }
        // Clap demands one address; with none there is nobody to ask.
        Err(unreachable.unwrap_or(ClientError::UnknownBroker { broker: -1 }))
    }

    /// The broker with this id, from the last metadata.
    pub(crate) fn broker(&self, id: i32) -> Result<Arc<Link>, ClientError> {
        let link = self.brokers.get(&id).map(Arc::clone);
        link.ok_or(ClientError::UnknownBroker { broker: id })
    }

    /// Asks for brokers and topics, and remembers the brokers.
    pub(crate) async fn metadata(&mut self, topics: Topics<'_>) -> Result<Metadata, ClientError> {
        let named = |name: &'_ String| MetadataRequestTopic {
            name: Some(name.clone().into()),
            ..MetadataRequestTopic::default()
        };
        let (asked, may_create) = match topics {
            Topics::All => (None, false),
            Topics::Named { names, may_create } => {
                (Some(names.iter().map(named).collect()), may_create)
            }
        };
        let request = MetadataRequest {
            topics: asked,
            allow_auto_topic_creation: may_create,
            ..MetadataRequest::default()
        };
        let answer = self.call_known(&request).await?;
        let response = answer.decode()?;
        let metadata = Metadata::of(&response);
        self.adopt(&metadata);
        Ok(metadata)
    }

    /// As `metadata`, for the first question of a command that is to live through a restart of the
    /// broker: one that goes away over the answer is waited for, one that was never there is not.
    pub(crate) async fn first_metadata(
        &mut self,
        topics: Topics<'_>,
    ) -> Result<Metadata, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let mut was_there = false;
        loop {
            let error = match self.metadata(topics).await {
                Err(error) if error.is_transient() => error,
                outcome => return outcome,
            };
            was_there |= matches!(error, ClientError::Closed { .. });
            if !was_there || Instant::now() >= deadline {
                return Err(error);
            }
            sleep(RETRY_BACKOFF).await;
        }
    }

    /// Asks a bootstrap broker, or when none answers, one that we learned of.
    async fn call_known<R: Call>(&mut self, request: &R) -> Result<Answer<R>, ClientError> {
        let mut outcome = self.call_any(request).await;
        for link in self.brokers.values() {
            match &outcome {
                Err(error) if error.is_transient() => outcome = link.call(request).await,
                _ => break,
            }
        }
        outcome
    }

    /// Keeps the links of brokers that have not moved.
    fn adopt(&mut self, metadata: &Metadata) {
        let timeout = self.timeout;
        self.brokers.retain(|id, link| {
            let listed = metadata.brokers.get(id);
            listed.is_some_and(|broker| broker.address == *link.address())
        });
        for (id, broker) in &metadata.brokers {
            self.brokers
                .entry(*id)
                .or_insert_with(|| Arc::new(Link::new(broker.address.clone(), timeout)));
        }
    }
}

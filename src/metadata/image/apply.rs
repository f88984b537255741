//! How an entry makes the next image.
//!
//! Total: a stale entry, or one with a fact that doesn't fit the image, is rejected as a whole and
//! counted; every node rejects the same ones, because it has the same image (M1).

use crate::metadata::image::{ConfigResource, MetadataImage};
use crate::metadata::record::{Entry, FEATURE, FEATURE_MAX, Record, Resource};
use crate::metadata::{ImageVersion, TopicId};

/// Why a fact doesn't fit the image: a bug of the controller that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The topic is not there.
    #[error("unknown topic")]
    UnknownTopic,
    /// A topic of that name or id is there.
    #[error("the topic exists")]
    TopicExists,
    /// The partition is not there.
    #[error("unknown partition")]
    UnknownPartition,
    /// The registration is not there.
    #[error("unknown broker registration")]
    UnknownBroker,
    /// A field has no legal value, or breaks M2 or M3.
    #[error("illegal {0}")]
    Field(&'static str),
    /// The feature level is beyond this build: the node must stop.
    #[error("feature {FEATURE} is at level {0}, this ottla works up to {FEATURE_MAX}: upgrade me")]
    Upgrade(u16),
}

/// Why an entry changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It was decided on another image.
    #[error("decided on image version {decided_on}, the image is at {version}")]
    Stale {
        /// The version it was decided on.
        decided_on: ImageVersion,
        /// The version it met.
        version: ImageVersion,
    },
    /// One of its facts doesn't fit.
    #[error("record {position}: {reason}")]
    Invalid {
        /// Which fact.
        position: usize,
        /// What is wrong with it.
        reason: RecordError,
    },
}

/// The image after an entry.
#[derive(Clone, Debug)]
pub struct ApplyOutcome {
    /// One version further, or unchanged but for the count of rejections.
    pub image: MetadataImage,
    /// Why the entry changed nothing, if so.
    pub rejection: Option<Rejection>,
}

impl MetadataImage {
    /// The image after `entry`.
    pub fn apply(&self, entry: &Entry) -> ApplyOutcome {
        let decided_on = ImageVersion(entry.decided_on);
        let mut next = self.clone();
        let result = if decided_on == self.version {
            next.apply_records(&entry.records)
        } else {
            Err(Rejection::Stale {
                decided_on,
                version: self.version,
            })
        };
        if let Err(rejection) = result {
            next = self.clone();
            next.rejected = next.rejected.saturating_add(1);
            return ApplyOutcome {
                image: next,
                rejection: Some(rejection),
            };
        }
        next.version = next.version.next();
        ApplyOutcome {
            image: next,
            rejection: None,
        }
    }

    /// Applies facts without a new version: what a group under decision looks like so far. After an
    /// error the image holds some of the facts and is of no use.
    pub(crate) fn apply_records(&mut self, records: &[Record]) -> Result<(), Rejection> {
        for (position, record) in records.iter().enumerate() {
            self.apply_record(record)
                .map_err(|reason| Rejection::Invalid { position, reason })?;
        }
        Ok(())
    }

    fn apply_record(&mut self, record: &Record) -> Result<(), RecordError> {
        match record {
            Record::FeatureLevel { name, level } => self.set_feature(name, *level),
            Record::BrokerRegistration(registration) => {
                let epoch = self
                    .brokers
                    .register(registration, self.next_broker_epoch)?;
                let next = epoch.next().ok_or(RecordError::Field("broker epoch"))?;
                self.next_broker_epoch = self.next_broker_epoch.max(next);
                Ok(())
            }
            Record::BrokerChange(change) => self.brokers.change(change),
            Record::BrokerRemoval { broker, epoch } => self.brokers.remove(*broker, *epoch),
            Record::Topic { id, name } => self.topics.create(topic_id(id)?, name),
            Record::Partition {
                topic,
                partition,
                state,
            } => self
                .topics
                .create_partition(topic_id(topic)?, *partition, state),
            Record::PartitionChange(change) => self.topics.change_partition(change),
            Record::TopicRemoval { id } => {
                let id = topic_id(id)?;
                self.topics.remove(id)?;
                self.configs.remove(ConfigResource::Topic(id));
                Ok(())
            }
            Record::Config {
                resource,
                key,
                value,
            } => self.set_config(resource, key, value.as_deref()),
            Record::ProducerIds { next, .. } => {
                if *next <= self.next_producer_id {
                    return Err(RecordError::Field("producer ids"));
                }
                self.next_producer_id = *next;
                Ok(())
            }
        }
    }

    fn set_feature(&mut self, name: &str, level: u16) -> Result<(), RecordError> {
        if name == FEATURE && level > FEATURE_MAX {
            return Err(RecordError::Upgrade(level));
        }
        self.features.insert(name.to_owned(), level);
        Ok(())
    }

    fn set_config(
        &mut self,
        resource: &Resource,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), RecordError> {
        let resource =
            ConfigResource::from_record(resource).ok_or(RecordError::Field("config resource"))?;
        if let ConfigResource::Topic(id) = resource
            && self.topics.by_id(id).is_none()
        {
            return Err(RecordError::UnknownTopic);
        }
        self.configs.set(resource, key, value);
        Ok(())
    }
}

fn topic_id(bytes: &[u8; 16]) -> Result<TopicId, RecordError> {
    TopicId::from_wire(*bytes).ok_or(RecordError::UnknownTopic)
}

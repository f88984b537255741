//! How far one group has come: what is committed, and what is on its way to be.
//!
//! - Only what is committed is told (C2): a value is taken over when its record is.
//! - An offset goes when its group, its topic or an admin lets it go, or when it has not been renewed for
//!   `offsets.retention.minutes` while nobody could (KIP-211).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::time::WallMillis;

use super::record::OffsetValue;
use super::request::{CommittedOffset, FetchedOffset, TopicPartition};
use crate::metadata::MetadataImage;

/// Since when an offset of a group is of no use (KIP-211). Those of topics that the group is subscribed to never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It is of use.
    Never,
    /// Since it was committed.
    SinceCommit,
    /// Since the group has no members, and if that is not known since it was committed.
    SinceEmpty(Option<WallMillis>),
}

/// The offsets of one group.
#[derive(Clone, Debug, Default)]
pub(super) struct Offsets {
    committed: BTreeMap<Arc<str>, BTreeMap<i32, OffsetValue>>,
    /// What was written and is not committed yet: how many records of each.
    on_the_way: BTreeMap<TopicPartition, usize>,
}

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.on_the_way.is_empty()
    }

    /// Whether something is on its way.
    pub(super) fn is_on_the_way(&self) -> bool {
        !self.on_the_way.is_empty()
    }

    /// A record was written.
    pub(super) fn wrote(&mut self, of: &TopicPartition) {
        *self.on_the_way.entry(of.clone()).or_default() += 1;
    }

    /// A record that was written is committed.
    pub(super) fn committed(&mut self, of: &TopicPartition, value: Option<OffsetValue>) {
        if let Some(count) = self.on_the_way.get_mut(of) {
            *count -= 1;
            if *count == 0 {
                self.on_the_way.remove(of);
            }
        }
        self.set(of, value);
    }

    /// A record was read from the log.
    pub(super) fn set(&mut self, of: &TopicPartition, value: Option<OffsetValue>) {
        if let Some(value) = value {
            let topic = self.committed.entry(of.topic.clone()).or_default();
            topic.insert(of.partition, value);
        } else if let Some(topic) = self.committed.get_mut(&of.topic) {
            topic.remove(&of.partition);
            if topic.is_empty() {
                self.committed.remove(&of.topic);
            }
        }
    }

    /// What is committed in `of`, or everywhere.
    pub(super) fn fetch(&self, of: Option<&[TopicPartition]>) -> Vec<FetchedOffset> {
        let told = |value: &OffsetValue| CommittedOffset {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.clone(),
        };
        match of {
            Some(of) => of
                .iter()
                .map(|of| FetchedOffset {
                    of: of.clone(),
                    committed: self.find(of).map(told),
                })
                .collect(),
            None => self
                .iter()
                .map(|(of, value)| FetchedOffset {
                    of,
                    committed: Some(told(value)),
                })
                .collect(),
        }
    }

    fn find(&self, of: &TopicPartition) -> Option<&OffsetValue> {
        self.committed.get(&of.topic)?.get(&of.partition)
    }

    fn iter(&self) -> impl Iterator<Item = (TopicPartition, &OffsetValue)> {
        self.committed.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(|(partition, value)| {
                let of = TopicPartition {
                    topic: topic.clone(),
                    partition: *partition,
                };
                (of, value)
            })
        })
    }

    /// All of them, and those that are on their way.
    pub(super) fn all(&self) -> BTreeSet<TopicPartition> {
        let committed = self.iter().map(|(of, _)| of);
        committed.chain(self.on_the_way.keys().cloned()).collect()
    }

    /// Those of a topic, and those that are on their way.
    pub(super) fn of_topic(&self, topic: &str) -> BTreeSet<TopicPartition> {
        let committed = self.committed.get_key_value(topic);
        let committed = committed.into_iter().flat_map(|(topic, partitions)| {
            partitions.keys().map(|partition| TopicPartition {
                topic: topic.clone(),
                partition: *partition,
            })
        });
        let on_the_way = self.on_the_way.keys().filter(|of| &*of.topic == topic);
        committed.chain(on_the_way.cloned()).collect()
    }

    /// Whether there is one, or one is on its way.
    pub(super) fn knows(&self, of: &TopicPartition) -> bool {
        self.find(of).is_some() || self.on_the_way.contains_key(of)
    }

    /// Whether there are no others than these, which are committed, and none on its way.
    pub(super) fn are_all(&self, these: &[TopicPartition]) -> bool {
        let count: usize = self.committed.values().map(BTreeMap::len).sum();
        self.on_the_way.is_empty() && count == these.len()
    }

    /// Those whose topic is no more: it was deleted when nobody here could take notice.
    pub(super) fn orphaned(&self, image: &MetadataImage) -> Vec<TopicPartition> {
        let is_gone = |value: &OffsetValue| {
            let topic = value.topic;
            topic.is_some_and(|topic| image.topics().by_id(topic).is_none())
        };
        let gone = self.iter().filter(|(_, value)| is_gone(value));
        gone.map(|(of, _)| of).collect()
    }

    /// Those that have aged for too long, and of which nothing newer is on its way. Whether somebody is subscribed to them
    /// is not asked.
    pub(super) fn expired(
        &self,
        now: WallMillis,
        expiry: Expiry,
        retention: Duration,
    ) -> Vec<TopicPartition> {
        let expires = |value: &OffsetValue| match (value.expires_at, expiry) {
            (Some(at), _) => at,
            // What was committed since then (by an admin) has its own time.
            (None, Expiry::SinceEmpty(Some(since))) => {
                since.max(value.committed_at).saturating_add(retention)
            }
            (None, _) => value.committed_at.saturating_add(retention),
        };
        let is_expired = |(of, value): &(TopicPartition, &OffsetValue)| {
            expiry != Expiry::Never && expires(value) <= now && !self.on_the_way.contains_key(of)
        };
        self.iter().filter(is_expired).map(|(of, _)| of).collect()
    }
}

//! The topics that groups read: they come, grow, go, and come again under the same name.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla::metadata::record::{Entry, PartitionState, Record};
use ottla::metadata::{MetadataImage, PartitionIndex, TopicId};

use super::assignment::{Named, Owned};

/// Their names.
pub(super) const NAMES: &[&str] = &["a", "b", "c"];
const PARTITIONS_MAX: usize = 6;

/// The cluster's metadata.
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) image: MetadataImage,
    made: u8,
    /// Of all that are or were there.
    names: BTreeMap<TopicId, Arc<str>>,
}

impl Topics {
    /// All but the last topic are there.
    pub(super) fn new() -> Self {
        let mut topics = Self {
            image: MetadataImage::default(),
            made: 0,
            names: BTreeMap::new(),
        };
        for name in NAMES.iter().skip(1) {
            topics.create(name, 3);
        }
        topics
    }

    /// `false`: it is there.
    pub(super) fn create(&mut self, name: &str, count: usize) -> bool {
        if self.image.topics().by_name(name).is_some() || self.made == u8::MAX {
            return false;
        }
        self.made += 1;
        let id = [self.made; 16];
        let mut records = vec![Record::Topic {
            id,
            name: name.to_owned(),
        }];
        records.extend(partitions(id, 0, count));
        let is_made = self.apply(records);
        if let Some(topic) = self.image.topics().by_name(name) {
            self.names.insert(topic.id(), topic.name().clone());
        }
        is_made
    }

    /// The names of partitions, be their topics gone: a member does not hear of that at once.
    pub(super) fn named(&self, owned: &Owned) -> Named {
        let names = owned.iter().filter_map(|(topic, index)| {
            let name = self.name_of(*topic)?;
            Some((name.clone(), index.get()))
        });
        names.collect()
    }

    /// The name that the topic has or had.
    pub(super) fn name_of(&self, topic: TopicId) -> Option<&Arc<str>> {
        self.names.get(&topic)
    }

    /// `false`: it can't.
    pub(super) fn grow(&mut self, name: &str) -> bool {
        let Some(topic) = self.image.topics().by_name(name) else {
            return false;
        };
        let (id, from) = (topic.id().to_bytes(), topic.partition_count());
        from < PARTITIONS_MAX && self.apply(partitions(id, from, from + 1).collect())
    }

    /// The name as the image has it; `None`: it is not there.
    pub(super) fn delete(&mut self, name: &str) -> Option<Arc<str>> {
        let topic = self.image.topics().by_name(name)?;
        let (id, name) = (topic.id().to_bytes(), topic.name().clone());
        self.apply(vec![Record::TopicRemoval { id }])
            .then_some(name)
    }

    fn apply(&mut self, records: Vec<Record>) -> bool {
        let decided_on = self.image.version().0;
        let outcome = self.image.apply(&Entry {
            decided_on,
            records,
        });
        self.image = outcome.image;
        outcome.rejection.is_none()
    }
}

/// A partition by its name.
pub(super) fn find(
    image: &MetadataImage,
    topic: &str,
    partition: i32,
) -> Option<(TopicId, PartitionIndex)> {
    let topic = image.topics().by_name(topic)?;
    let index = PartitionIndex::from_wire(partition)?;
    topic.partition(index).map(|_| (topic.id(), index))
}

fn partitions(topic: [u8; 16], from: usize, to: usize) -> impl Iterator<Item = Record> {
    let state = PartitionState {
        replicas: vec![1],
        directories: vec![],
        isr: vec![1],
        elr: vec![],
        last_known_elr: vec![],
        adding: vec![],
        removing: vec![],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        recovering: false,
    };
    (from..to).filter_map(move |index| {
        Some(Record::Partition {
            topic,
            partition: i32::try_from(index).ok()?,
            state: state.clone(),
        })
    })
}

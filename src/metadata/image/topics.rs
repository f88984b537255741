//! Topics by id and by name, with their partitions.

use std::sync::Arc;

use crate::metadata::image::cow_map::CowMap;
use crate::metadata::image::digest::Digest;
use crate::metadata::image::{PartitionImage, RecordError};
use crate::metadata::record::{PartitionChange, PartitionState, Record};
use crate::metadata::{PartitionIndex, TopicId};

/// One topic.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicImage {
    id: TopicId,
    name: Arc<str>,
    partitions: CowMap<PartitionIndex, Arc<PartitionImage>>,
}

impl TopicImage {
    /// Its id.
    pub const fn id(&self) -> TopicId {
        self.id
    }

    /// Its name.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many partitions it has: indexes 0 to this number, exclusive.
    pub const fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// One partition.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Arc<PartitionImage>> {
        self.partitions.find(&index)
    }

    /// Every partition, by index.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionIndex, &Arc<PartitionImage>)> {
        self.partitions
            .iter()
            .map(|(index, partition)| (*index, partition))
    }

    /// The replicas that the first partition has: the topic's replication factor.
    pub fn replication_factor(&self) -> usize {
        self.partitions
            .find(&PartitionIndex::ZERO)
            .map_or(0, |first| first.replicas.len())
    }

    pub(crate) const fn partition_map(&self) -> &CowMap<PartitionIndex, Arc<PartitionImage>> {
        &self.partitions
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new(1);
        digest.uuid(self.id.to_bytes());
        digest.text(&self.name);
        digest.finish()
    }
}

/// All topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicsImage {
    by_id: CowMap<TopicId, Arc<TopicImage>>,
    by_name: CowMap<Arc<str>, TopicId>,
    /// (name with '.' as '_', name) of every topic whose name has either.
    squashed: CowMap<(Arc<str>, Arc<str>), ()>,
    partition_count: usize,
    digest: u64,
}

/// The form in which topic names must differ: metric names of older tools can't tell '.' from '_'.
pub fn squashed_name(name: &str) -> String {
    name.replace('.', "_")
}

impl TopicsImage {
    /// How many topics there are.
    pub const fn count(&self) -> usize {
        self.by_id.len()
    }

    /// How many partitions all topics have.
    pub const fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// The topic with this id.
    pub fn by_id(&self, id: TopicId) -> Option<&Arc<TopicImage>> {
        self.by_id.find(&id)
    }

    /// The topic called `name`.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id(*self.by_name.find(name)?)
    }

    /// Every topic, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_id.iter().map(|(_, topic)| topic)
    }

    /// Every topic, by name.
    pub fn iter_by_name(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.iter().filter_map(|(_, id)| self.by_id(*id))
    }

    /// Every topic whose name sorts at or after `name`, by name.
    pub fn iter_from_name(&self, name: &str) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name
            .iter_from(name)
            .filter_map(|(_, id)| self.by_id(*id))
    }

    /// The name of another topic that differs from `name` only in '.' and '_'.
    pub fn colliding_name(&self, name: &str) -> Option<&Arc<str>> {
        let squashed: Arc<str> = squashed_name(name).into();
        let from = (squashed.clone(), Arc::from(""));
        self.squashed
            .iter_from(&from)
            .map(|(key, ())| key)
            .take_while(|(key, _)| *key == squashed)
            .map(|(_, other)| other)
            .find(|other| &***other != name)
    }

    pub(crate) const fn by_id_map(&self) -> &CowMap<TopicId, Arc<TopicImage>> {
        &self.by_id
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn create(&mut self, id: TopicId, name: &str) -> Result<(), RecordError> {
        if name.is_empty() || self.by_name.find(name).is_some() || self.by_id(id).is_some() {
            return Err(RecordError::TopicExists);
        }
        let name: Arc<str> = name.into();
        let topic = TopicImage {
            id,
            name: name.clone(),
            partitions: CowMap::default(),
        };
        self.digest = self.digest.wrapping_add(topic.digest());
        if let Some(key) = squashed_key(&name) {
            self.squashed.insert(key, ());
        }
        self.by_name.insert(name, id);
        self.by_id.insert(id, Arc::new(topic));
        Ok(())
    }

    pub(super) fn remove(&mut self, id: TopicId) -> Result<(), RecordError> {
        let topic = self.by_id.remove(&id).ok_or(RecordError::UnknownTopic)?;
        self.by_name.remove(&*topic.name);
        if let Some(key) = squashed_key(&topic.name) {
            self.squashed.remove(&key);
        }
        self.partition_count -= topic.partition_count();
        self.digest = self.digest.wrapping_sub(topic.digest());
        for (index, partition) in topic.partitions() {
            self.digest = self.digest.wrapping_sub(partition.digest(id, index));
        }
        Ok(())
    }

    pub(super) fn create_partition(
        &mut self,
        id: TopicId,
        index: i32,
        state: &PartitionState,
    ) -> Result<(), RecordError> {
        let partition = PartitionImage::from_record(state)?;
        let topic = self.topic_mut(id)?;
        let index = PartitionIndex::from_wire(index)
            .filter(|index| index.position() == topic.partitions.len())
            .ok_or(RecordError::Field("partition index"))?;
        let digest = partition.digest(id, index);
        topic.partitions.insert(index, Arc::new(partition));
        self.partition_count += 1;
        self.digest = self.digest.wrapping_add(digest);
        Ok(())
    }

    pub(super) fn change_partition(&mut self, change: &PartitionChange) -> Result<(), RecordError> {
        let id = TopicId::from_wire(change.topic).ok_or(RecordError::UnknownTopic)?;
        let index = PartitionIndex::from_wire(change.partition);
        let index = index.ok_or(RecordError::UnknownPartition)?;
        let topic = self.topic_mut(id)?;
        let old = topic
            .partitions
            .find(&index)
            .ok_or(RecordError::UnknownPartition)?;
        let new = old.changed(change)?;
        let (was, is) = (old.digest(id, index), new.digest(id, index));
        topic.partitions.insert(index, Arc::new(new));
        self.digest = self.digest.wrapping_sub(was).wrapping_add(is);
        Ok(())
    }

    pub(super) fn to_records(&self, records: &mut Vec<Record>) {
        for topic in self.iter() {
            let id = topic.id.to_bytes();
            records.push(Record::Topic {
                id,
                name: topic.name.to_string(),
            });
            records.extend(
                topic
                    .partitions()
                    .map(|(index, partition)| Record::Partition {
                        topic: id,
                        partition: index.get(),
                        state: partition.to_record(),
                    }),
            );
        }
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut TopicImage, RecordError> {
        let topic = self.by_id.find_mut(&id).ok_or(RecordError::UnknownTopic)?;
        Ok(Arc::make_mut(topic))
    }
}

fn squashed_key(name: &Arc<str>) -> Option<(Arc<str>, Arc<str>)> {
    name.contains(['.', '_'])
        .then(|| (squashed_name(name).into(), name.clone()))
}

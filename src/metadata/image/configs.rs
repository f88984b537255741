//! Dynamic configs by what they belong to. Whether a value is legal was decided before it became
//! a fact; here it is text.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metadata::image::cow_map::CowMap;
use crate::metadata::image::digest::Digest;
use crate::metadata::record::{Record, Resource};
use crate::metadata::{BrokerId, TopicId};

/// Dynamic values of one resource, canonical texts by key.
pub type Overrides = BTreeMap<String, String>;

/// What a config belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicId),
    /// One broker.
    Broker(BrokerId),
    /// All brokers.
    Cluster,
}

impl ConfigResource {
    pub(super) fn from_record(resource: &Resource) -> Option<Self> {
        match resource {
            Resource::Topic(id) => TopicId::from_wire(*id).map(Self::Topic),
            Resource::Broker(id) => BrokerId::from_wire(*id).map(Self::Broker),
            Resource::Cluster => Some(Self::Cluster),
        }
    }

    /// As facts have it.
    pub(crate) const fn to_record(self) -> Resource {
        match self {
            Self::Topic(id) => Resource::Topic(id.to_bytes()),
            Self::Broker(id) => Resource::Broker(id.get()),
            Self::Cluster => Resource::Cluster,
        }
    }
}

/// All dynamic configs. No resource has an empty map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigsImage {
    by_resource: CowMap<ConfigResource, Arc<Overrides>>,
    digest: u64,
}

impl ConfigsImage {
    /// The values of a resource, if it has any.
    pub fn find(&self, resource: ConfigResource) -> Option<&Overrides> {
        self.by_resource.find(&resource).map(|values| &**values)
    }

    /// Every resource with values.
    pub fn iter(&self) -> impl Iterator<Item = (ConfigResource, &Overrides)> {
        self.by_resource
            .iter()
            .map(|(resource, values)| (*resource, &**values))
    }

    pub(crate) const fn by_resource_map(&self) -> &CowMap<ConfigResource, Arc<Overrides>> {
        &self.by_resource
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    pub(super) fn set(&mut self, resource: ConfigResource, key: &str, value: Option<&str>) {
        let mut values = self.find(resource).cloned().unwrap_or_default();
        let old = match value {
            Some(value) => values.insert(key.to_owned(), value.to_owned()),
            None => values.remove(key),
        };
        if values.is_empty() {
            self.by_resource.remove(&resource);
        } else {
            self.by_resource.insert(resource, Arc::new(values));
        }
        let of = |value: Option<&str>| value.map_or(0, |value| item_digest(resource, key, value));
        self.digest = self
            .digest
            .wrapping_sub(of(old.as_deref()))
            .wrapping_add(of(value));
    }

    pub(super) fn remove(&mut self, resource: ConfigResource) {
        let values = self.by_resource.remove(&resource);
        for (key, value) in values.iter().flat_map(|values| values.iter()) {
            self.digest = self.digest.wrapping_sub(item_digest(resource, key, value));
        }
    }

    pub(super) fn to_records(&self, records: &mut Vec<Record>) {
        for (resource, values) in self.iter() {
            records.extend(values.iter().map(|(key, value)| Record::Config {
                resource: resource.to_record(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
    }
}

fn item_digest(resource: ConfigResource, key: &str, value: &str) -> u64 {
    let mut digest = Digest::new(4);
    match resource {
        ConfigResource::Topic(id) => digest.uuid(id.to_bytes()),
        ConfigResource::Broker(id) => digest.signed(id.get()),
        ConfigResource::Cluster => digest.signed(-1),
    }
    digest.text(key);
    digest.text(value);
    digest.finish()
}

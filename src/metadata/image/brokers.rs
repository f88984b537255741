//! The registered brokers.

use std::sync::Arc;

use ottla_storage::ids::DirectoryId;
use ottla_storage::planted::is_planted;
use uuid::Uuid;

use crate::metadata::ids::{DIRECTORY_UNASSIGNED, is_reserved_directory};
use crate::metadata::image::RecordError;
use crate::metadata::image::cow_map::CowMap;
use crate::metadata::image::digest::Digest;
use crate::metadata::record::{BrokerChange, BrokerRegistration, EndpointRecord, Record};
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, Incarnation};

/// The levels of a feature that a broker works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    /// The lowest.
    pub min: u16,
    /// The highest.
    pub max: u16,
}

/// One broker's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerImage {
    /// The broker.
    pub id: BrokerId,
    /// The registration's number.
    pub epoch: BrokerEpoch,
    /// The process.
    pub incarnation: Incarnation,
    /// The version of the image that has this registration.
    pub registered_at: ImageVersion,
    /// Addresses by listener name.
    pub endpoints: Vec<EndpointRecord>,
    /// The failure domain.
    pub rack: Option<String>,
    /// Data directories that are online.
    pub directories: Vec<DirectoryId>,
    /// Levels of `ottla.version` it works with.
    pub feature: FeatureRange,
    /// Whether it is fenced.
    pub is_fenced: bool,
    /// Whether it is shutting down.
    pub in_controlled_shutdown: bool,
}

impl BrokerImage {
    /// Whether it may lead and be in an ISR.
    pub const fn is_active(&self) -> bool {
        !self.is_fenced && !self.in_controlled_shutdown
    }

    /// Whether a replica that lies there can be served. One that was not placed yet is: whenever a directory goes, those
    /// that may have been in it are marked as lost.
    pub fn is_online(&self, directory: DirectoryId) -> bool {
        directory == DIRECTORY_UNASSIGNED
            || (!is_reserved_directory(directory) && self.directories.contains(&directory))
    }

    /// Its address on a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&EndpointRecord> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.listener == listener)
    }

    fn from_record(record: &BrokerRegistration) -> Result<Self, RecordError> {
        Ok(Self {
            id: BrokerId::from_wire(record.broker).ok_or(RecordError::UnknownBroker)?,
            epoch: BrokerEpoch::from_wire(record.epoch)
                .ok_or(RecordError::Field("broker epoch"))?,
            incarnation: Incarnation(Uuid::from_bytes(record.incarnation)),
            registered_at: ImageVersion(record.registered_at),
            endpoints: record.endpoints.clone(),
            rack: record.rack.clone(),
            directories: directories(&record.directories)?,
            feature: FeatureRange {
                min: record.feature_min,
                max: record.feature_max,
            },
            is_fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
        })
    }

    pub(crate) fn to_record(&self) -> BrokerRegistration {
        BrokerRegistration {
            broker: self.id.get(),
            epoch: self.epoch.get(),
            incarnation: self.incarnation.0.into_bytes(),
            registered_at: self.registered_at.0,
            endpoints: self.endpoints.clone(),
            rack: self.rack.clone(),
            directories: self
                .directories
                .iter()
                .map(|dir| dir.uuid().into_bytes())
                .collect(),
            feature_min: self.feature.min,
            feature_max: self.feature.max,
            fenced: self.is_fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
        }
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new(3);
        digest.signed(self.id.get());
        digest.number(self.epoch.get().cast_unsigned());
        digest.uuid(self.incarnation.0.into_bytes());
        digest.number(self.registered_at.0);
        digest.number(self.endpoints.len() as u64);
        for endpoint in &self.endpoints {
            digest.text(&endpoint.listener);
            digest.text(&endpoint.host);
            digest.number(u64::from(endpoint.port));
            digest.signed(i32::from(endpoint.security_protocol));
        }
        digest.flag(self.rack.is_some());
        digest.text(self.rack.as_deref().unwrap_or_default());
        digest.number(self.directories.len() as u64);
        self.directories
            .iter()
            .for_each(|dir| digest.uuid(dir.uuid().into_bytes()));
        digest.number(u64::from(self.feature.min));
        digest.number(u64::from(self.feature.max));
        digest.flag(self.is_fenced);
        digest.flag(self.in_controlled_shutdown);
        digest.finish()
    }
}

/// All registrations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokersImage {
    by_id: CowMap<BrokerId, Arc<BrokerImage>>,
    digest: u64,
}

impl BrokersImage {
    /// How many brokers are registered.
    pub const fn count(&self) -> usize {
        self.by_id.len()
    }

    /// One broker.
    pub fn find(&self, id: BrokerId) -> Option<&Arc<BrokerImage>> {
        self.by_id.find(&id)
    }

    /// Every broker, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.by_id.iter().map(|(_, broker)| broker)
    }

    /// Whether a broker may lead and be in an ISR.
    pub fn is_active(&self, id: BrokerId) -> bool {
        self.find(id).is_some_and(|broker| broker.is_active())
    }

    pub(crate) const fn by_id_map(&self) -> &CowMap<BrokerId, Arc<BrokerImage>> {
        &self.by_id
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Registers or amends. `next_epoch` is the lowest number a new registration may have.
    pub(super) fn register(
        &mut self,
        record: &BrokerRegistration,
        next_epoch: BrokerEpoch,
    ) -> Result<BrokerEpoch, RecordError> {
        let broker = BrokerImage::from_record(record)?;
        let is_amendment = self
            .find(broker.id)
            .is_some_and(|old| old.epoch == broker.epoch && old.incarnation == broker.incarnation);
        if !is_amendment && broker.epoch < next_epoch {
            return Err(RecordError::Field("broker epoch"));
        }
        let epoch = broker.epoch;
        self.put(broker);
        Ok(epoch)
    }

    pub(super) fn change(&mut self, change: &BrokerChange) -> Result<(), RecordError> {
        let mut broker = BrokerImage::clone(self.registration(change.broker, change.epoch)?);
        if let Some(fenced) = change.fenced {
            broker.is_fenced = fenced;
        }
        if let Some(in_controlled_shutdown) = change.in_controlled_shutdown {
            broker.in_controlled_shutdown = in_controlled_shutdown;
        }
        if let Some(named) = &change.directories {
            broker.directories = directories(named)?;
        }
        self.put(broker);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: i32, epoch: i64) -> Result<(), RecordError> {
        let broker = self.registration(id, epoch)?;
        let (id, digest) = (broker.id, broker.digest());
        self.by_id.remove(&id);
        self.digest = self.digest.wrapping_sub(digest);
        Ok(())
    }

    pub(super) fn to_records(&self, records: &mut Vec<Record>) {
        let mut brokers: Vec<&Arc<BrokerImage>> = self.iter().collect();
        // Registrations are accepted in the order of their numbers only.
        brokers.sort_by_key(|broker| broker.epoch);
        records.extend(
            brokers
                .iter()
                .map(|b| Record::BrokerRegistration(b.to_record())),
        );
    }

    fn registration(&self, id: i32, epoch: i64) -> Result<&Arc<BrokerImage>, RecordError> {
        BrokerId::from_wire(id)
            .and_then(|id| self.find(id))
            .filter(|broker| broker.epoch.get() == epoch)
            .ok_or(RecordError::UnknownBroker)
    }

    fn put(&mut self, broker: BrokerImage) {
        let is = broker.digest();
        let old = self.by_id.insert(broker.id, Arc::new(broker));
        let was = old.map_or(0, |old| old.digest());
        self.digest = self.digest.wrapping_sub(was).wrapping_add(is);
    }
}

fn directories(named: &[[u8; 16]]) -> Result<Vec<DirectoryId>, RecordError> {
    let mut ids: Vec<DirectoryId> = named
        .iter()
        .map(|id| DirectoryId::new(Uuid::from_bytes(*id)))
        .collect();
    if is_planted("apply-keeps-to-the-order-of-the-log") {
        ids = std::collections::HashSet::<_>::from_iter(ids)
            .into_iter()
            .collect();
    }
    if ids.iter().any(|id| is_reserved_directory(*id)) {
        return Err(RecordError::Field("directories"));
    }
    Ok(ids)
}

//! The facts of the metadata and the entries that carry them through the quorum's log.
//!
//! - A fact says what is, never what to do: a node of another version replays it identically.
//! - An entry is a frame of 16 bytes (magic, format version, checksum, length) and an rkyv archive of
//!   {image version decided on, facts}. A format version has its own types and its own golden file;
//!   types of a version that was released never change. docs/formats/metadata.md draws the bytes.
//! - Any bytes decode to an entry or to an error, never to a panic (W1 in spirit: a disk is hostile).

use rkyv::rancor;
use rkyv::{Archive, Deserialize, Serialize};

/// For "ottla metadata".
const MAGIC: [u8; 4] = *b"OTME";
const FRAME_SIZE: usize = 16;

/// The feature whose level says which format versions may be written.
pub const FEATURE: &str = "ottla.version";
/// The lowest level of [`FEATURE`] that this build works with.
pub const FEATURE_MIN: u16 = 1;
/// The highest: the format versions of entries and snapshots are levels of this feature.
pub const FEATURE_MAX: u16 = 1;

/// One fact. Fields are plain numbers and texts: the image gives them their types and checks them.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Record {
    /// The cluster works with this level of a feature.
    FeatureLevel {
        /// Its name.
        name: String,
        /// The level.
        level: u16,
    },
    /// A broker has registered.
    BrokerRegistration(BrokerRegistration),
    /// Something about a registration is different now.
    BrokerChange(BrokerChange),
    /// A registration is gone.
    BrokerRemoval {
        /// The broker.
        broker: i32,
        /// The registration.
        epoch: i64,
    },
    /// A topic exists.
    Topic {
        /// Its id.
        id: [u8; 16],
        /// Its name.
        name: String,
    },
    /// A partition exists.
    Partition {
        /// The topic.
        topic: [u8; 16],
        /// The index.
        partition: i32,
        /// Everything about it.
        state: PartitionState,
    },
    /// Some fields of a partition are different now.
    PartitionChange(PartitionChange),
    /// A topic, its partitions and its configs are gone.
    TopicRemoval {
        /// The topic.
        id: [u8; 16],
    },
    /// A config of a resource has this value, or none.
    Config {
        /// What it configures.
        resource: Resource,
        /// The key.
        key: String,
        /// The value in canonical text; `None` removes the override.
        value: Option<String>,
    },
    /// Producer ids below this one were given out.
    ProducerIds {
        /// The broker that got the block.
        broker: i32,
        /// Its registration.
        broker_epoch: i64,
        /// The first id that was not given out.
        next: i64,
    },
}

/// What a config belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Archive, Serialize, Deserialize)]
pub enum Resource {
    /// A topic, by id: configs end with their topic, whatever is called like it later.
    Topic([u8; 16]),
    /// One broker.
    Broker(i32),
    /// All brokers.
    Cluster,
}

/// A broker's registration.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BrokerRegistration {
    /// The broker.
    pub broker: i32,
    /// The registration's number.
    pub epoch: i64,
    /// The process.
    pub incarnation: [u8; 16],
    /// The version of the image that has this registration, to know when the broker caught up.
    pub registered_at: u64,
    /// Addresses by listener name.
    pub endpoints: Vec<EndpointRecord>,
    /// The failure domain.
    pub rack: Option<String>,
    /// Data directories that are online.
    pub directories: Vec<[u8; 16]>,
    /// The lowest level of [`FEATURE`] it works with.
    pub feature_min: u16,
    /// The highest.
    pub feature_max: u16,
    /// Whether it is fenced.
    pub fenced: bool,
    /// Whether it is shutting down.
    pub in_controlled_shutdown: bool,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// The listener's name.
    pub listener: String,
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Kafka's number of the security protocol.
    pub security_protocol: i16,
}

/// Changed fields of a registration; `None` is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BrokerChange {
    /// The broker.
    pub broker: i32,
    /// The registration.
    pub epoch: i64,
    /// Whether it is fenced.
    pub fenced: Option<bool>,
    /// Whether it is shutting down.
    pub in_controlled_shutdown: Option<bool>,
    /// Data directories that are online.
    pub directories: Option<Vec<[u8; 16]>>,
}

/// Everything about a partition.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PartitionState {
    /// In order of preference.
    pub replicas: Vec<i32>,
    /// The directory of each replica; empty when none is assigned yet.
    pub directories: Vec<[u8; 16]>,
    /// In sync.
    pub isr: Vec<i32>,
    /// Eligible to lead although out of sync.
    pub elr: Vec<i32>,
    /// The last leader, kept when ISR and ELR ran empty.
    pub last_known_elr: Vec<i32>,
    /// Joining by a reassignment.
    pub adding: Vec<i32>,
    /// Leaving by a reassignment.
    pub removing: Vec<i32>,
    /// -1 is none.
    pub leader: i32,
    /// The leader's reign.
    pub leader_epoch: i32,
    /// The number of changes.
    pub partition_epoch: i32,
    /// Whether the leader may lack records after an unclean election.
    pub recovering: bool,
}

/// Changed fields of a partition; `None` is unchanged. Epochs are the values after the change.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PartitionChange {
    /// The topic.
    pub topic: [u8; 16],
    /// The index.
    pub partition: i32,
    /// See [`PartitionState`].
    pub replicas: Option<Vec<i32>>,
    /// See [`PartitionState`].
    pub directories: Option<Vec<[u8; 16]>>,
    /// See [`PartitionState`].
    pub isr: Option<Vec<i32>>,
    /// See [`PartitionState`].
    pub elr: Option<Vec<i32>>,
    /// See [`PartitionState`].
    pub last_known_elr: Option<Vec<i32>>,
    /// See [`PartitionState`].
    pub adding: Option<Vec<i32>>,
    /// See [`PartitionState`].
    pub removing: Option<Vec<i32>>,
    /// -1 is none.
    pub leader: Option<i32>,
    /// After the change.
    pub leader_epoch: i32,
    /// After the change: one more than before.
    pub partition_epoch: i32,
    /// See [`PartitionState`].
    pub recovering: Option<bool>,
}

/// One entry of the quorum's log.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Entry {
    /// The version of the image that the facts were decided on.
    pub decided_on: u64,
    /// The facts, in the order they take effect.
    pub records: Vec<Record>,
}

/// Why bytes of our own metadata could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The format version is unknown: a newer version of ottla wrote it.
    #[error(
        "metadata of format version {found} was written by a newer ottla, this one reads up to \
         {supported}: upgrade me"
    )]
    Newer {
        /// The version found.
        found: u16,
        /// The highest version that this build reads.
        supported: u16,
    },
    /// The bytes are not what was written.
    #[error("metadata is corrupt: {reason}")]
    Corrupt {
        /// What doesn't fit.
        reason: &'static str,
    },
}

/// Why facts could not be made into bytes: only a length beyond 32 bits can cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata entry is too large to encode")]
pub struct EncodeError;

impl Entry {
    /// The bytes for the quorum's log.
    ///
    /// # Errors
    /// The entry is beyond any legal size.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let payload = rkyv::to_bytes::<rancor::Error>(self).map_err(|_| EncodeError)?;
        frame(MAGIC, &payload)
    }

    /// Reads what [`Entry::encode`] wrote.
    ///
    /// # Errors
    /// A newer version wrote the bytes, or they are corrupt.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let payload = unframe(MAGIC, bytes)?;
        rkyv::from_bytes::<Self, rancor::Error>(payload)
            .map_err(|_| DecodeError::Corrupt { reason: "archive" })
    }
}

/// Magic, format version, two zero bytes, checksum and length of the payload, then the payload.
pub(crate) fn frame(magic: [u8; 4], payload: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let length = u32::try_from(payload.len()).map_err(|_| EncodeError)?;
    let mut bytes = Vec::with_capacity(FRAME_SIZE + payload.len());
    bytes.extend_from_slice(&magic);
    bytes.extend_from_slice(&FEATURE_MAX.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&crc32fast::hash(payload).to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

/// The payload of a frame whose every byte is accounted for.
pub(crate) fn unframe(magic: [u8; 4], bytes: &[u8]) -> Result<&[u8], DecodeError> {
    const fn corrupt(reason: &'static str) -> DecodeError {
        DecodeError::Corrupt { reason }
    }
    let (head, payload) = bytes
        .split_at_checked(FRAME_SIZE)
        .ok_or_else(|| corrupt("shorter than its frame"))?;
    let Some((&found_magic, rest)) = head.split_first_chunk::<4>() else {
        return Err(corrupt("magic"));
    };
    let Some((&version, rest)) = rest.split_first_chunk::<2>() else {
        return Err(corrupt("version"));
    };
    let Some((&reserved, rest)) = rest.split_first_chunk::<2>() else {
        return Err(corrupt("reserved bytes"));
    };
    let Some((&checksum, rest)) = rest.split_first_chunk::<4>() else {
        return Err(corrupt("checksum"));
    };
    let Some((&length, _)) = rest.split_first_chunk::<4>() else {
        return Err(corrupt("length"));
    };
    if found_magic != magic {
        return Err(corrupt("magic"));
    }
    let found = u16::from_le_bytes(version);
    if found > FEATURE_MAX {
        return Err(DecodeError::Newer {
            found,
            supported: FEATURE_MAX,
        });
    }
    if found == 0 || reserved != [0; 2] {
        return Err(corrupt("version"));
    }
    if usize::try_from(u32::from_le_bytes(length)) != Ok(payload.len()) {
        return Err(corrupt("length"));
    }
    if u32::from_le_bytes(checksum) != crc32fast::hash(payload) {
        return Err(corrupt("checksum"));
    }
    Ok(payload)
}

#[cfg(test)]
pub(crate) mod tests;

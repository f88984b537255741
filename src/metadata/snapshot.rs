//! The whole image as bytes: what a snapshot of the quorum holds.
//!
//! - Equal images give equal bytes, and the bytes give back an equal image (M1): the digest stands
//!   in the snapshot and is compared.
//! - The frame is that of entries, with a magic of its own; the content is the counters and the
//!   facts that make the image out of nothing.

use rkyv::rancor;
use rkyv::{Archive, Deserialize, Serialize};

use crate::metadata::image::Rejection;
use crate::metadata::record::{DecodeError, EncodeError, Record, frame, unframe};
use crate::metadata::{BrokerEpoch, ImageVersion, MetadataImage};

/// For "ottla image".
const MAGIC: [u8; 4] = *b"OTIM";

#[derive(Archive, Serialize, Deserialize)]
struct Snapshot {
    version: u64,
    rejected: u64,
    next_broker_epoch: i64,
    next_producer_id: i64,
    digest: u64,
    records: Vec<Record>,
}

/// Why a snapshot could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not a snapshot that this build reads.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The facts contradict each other.
    #[error("load the metadata snapshot: {0}")]
    Facts(Rejection),
    /// A counter is negative.
    #[error("the metadata snapshot has an illegal counter")]
    Counter,
    /// The image is not the one that was saved.
    #[error("the metadata snapshot has digest {saved:016x}, its content {loaded:016x}")]
    Digest {
        /// What stands in the snapshot.
        saved: u64,
        /// What the loaded image has.
        loaded: u64,
    },
}

/// The bytes of an image.
///
/// # Errors
/// The image is beyond any legal size.
pub fn encode(image: &MetadataImage) -> Result<Vec<u8>, EncodeError> {
    let snapshot = Snapshot {
        version: image.version().0,
        rejected: image.rejected(),
        next_broker_epoch: image.next_broker_epoch().get(),
        next_producer_id: image.next_producer_id(),
        digest: image.digest(),
        records: image.to_records(),
    };
    let payload = rkyv::to_bytes::<rancor::Error>(&snapshot).map_err(|_| EncodeError)?;
    frame(MAGIC, &payload)
}

/// The image of some bytes.
///
/// # Errors
/// A newer version wrote them, or they are not what was written.
pub fn decode(bytes: &[u8]) -> Result<MetadataImage, LoadError> {
    let payload = unframe(MAGIC, bytes)?;
    let snapshot = rkyv::from_bytes::<Snapshot, rancor::Error>(payload)
        .map_err(|_| DecodeError::Corrupt { reason: "archive" })?;
    let mut image = MetadataImage::default();
    image
        .apply_records(&snapshot.records)
        .map_err(LoadError::Facts)?;
    let next_epoch = BrokerEpoch::from_wire(snapshot.next_broker_epoch);
    let image = image.with_counters(
        ImageVersion(snapshot.version),
        snapshot.rejected,
        next_epoch.ok_or(LoadError::Counter)?,
        snapshot.next_producer_id,
    );
    let loaded = image.digest();
    if loaded == snapshot.digest {
        Ok(image)
    } else {
        Err(LoadError::Digest {
            saved: snapshot.digest,
            loaded,
        })
    }
}

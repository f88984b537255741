//! Messages whose version is an `int16` in front of them: the values of `__consumer_offsets` and what
//! the consumers of a group tell each other through its coordinator.

use bytes::Bytes;

use crate::wire::{
    api::Versions,
    reader::{DecodeError, Reader},
    writer::{EncodeError, Writer},
};

/// A message with its versions; `decode` and `encode` are of the body alone.
#[allow(
    clippy::missing_errors_doc,
    reason = "the only errors are DecodeError's"
)]
pub trait Versioned<'a>: Sized {
    const NAME: &'static str;
    /// The versions that can be read and written.
    const VERSIONS: Versions;

    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;
    fn encode(&self, writer: &mut Writer, version: i16);
}

/// Why bytes are not the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionedError {
    #[error("{name} of version {version}, where {known} are known")]
    UnknownVersion {
        name: &'static str,
        version: i16,
        known: Versions,
    },
    #[error("{name}: {source}")]
    Malformed {
        name: &'static str,
        source: DecodeError,
    },
}

/// Reads a version and the message in it, to the last byte.
///
/// # Errors
/// A version that is not among the message's, or a body that is not its.
pub fn decode<'a, M: Versioned<'a>>(bytes: &'a [u8]) -> Result<M, VersionedError> {
    let mut reader = Reader::new(bytes);
    let version = known_version::<M>(&mut reader, i16::MAX)?;
    let body = M::decode(&mut reader, version);
    let whole = body.and_then(|message| reader.finish().map(|()| message));
    whole.map_err(malformed::<M>)
}

/// Reads a message that may have been written by a newer program, which only ever appends: a higher version is read as
/// the newest known, and what it has behind that is left out, as Kafka's consumers do among themselves.
///
/// # Errors
/// A version below the message's, or a body that is not its.
pub fn decode_known_part<'a, M: Versioned<'a>>(bytes: &'a [u8]) -> Result<M, VersionedError> {
    let mut reader = Reader::new(bytes);
    let version = known_version::<M>(&mut reader, M::VERSIONS.max)?;
    M::decode(&mut reader, version).map_err(malformed::<M>)
}

/// The version in front, `newest` for one above that.
fn known_version<'a, M: Versioned<'a>>(
    reader: &mut Reader<'a>,
    newest: i16,
) -> Result<i16, VersionedError> {
    let version = reader.i16().map_err(malformed::<M>)?.min(newest);
    if M::VERSIONS.contains(version) {
        return Ok(version);
    }
    Err(VersionedError::UnknownVersion {
        name: M::NAME,
        version,
        known: M::VERSIONS,
    })
}

fn malformed<'a, M: Versioned<'a>>(source: DecodeError) -> VersionedError {
    let name = M::NAME;
    VersionedError::Malformed { name, source }
}

/// Writes the version, which has to be one of the message's, and the message in it.
///
/// # Errors
/// A string or an array that is longer than the protocol has room for.
pub fn encode<'a>(message: &impl Versioned<'a>, version: i16) -> Result<Bytes, EncodeError> {
    written(|writer| {
        writer.i16(version);
        message.encode(writer, version);
    })
}

/// What `write` writes, in one buffer.
pub(super) fn written(write: impl FnOnce(&mut Writer)) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    write(&mut writer);
    // Only records can be external, and no message of this kind has them.
    Ok(writer.finish()?.into_bytes().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription as Subscription;

    fn subscription() -> Subscription<'static> {
        Subscription {
            topics: vec!["t".into()],
            generation_id: 7,
            ..Subscription::default()
        }
    }

    #[test]
    fn every_version_reads_back() {
        for version in 0..=3 {
            let bytes = encode(&subscription(), version).unwrap();
            assert_eq!(bytes[..2], version.to_be_bytes());
            let read: Subscription<'_> = decode(&bytes).unwrap();
            let generation_id = if version >= 2 { 7 } else { -1 };
            assert_eq!(
                read,
                Subscription {
                    generation_id,
                    ..subscription()
                }
            );
            assert_eq!(decode_known_part::<Subscription<'_>>(&bytes), Ok(read));
        }
    }

    /// A consumer of the year 2030: its version is above ours, and more fields follow.
    #[test]
    fn the_known_part_of_a_newer_version_can_be_read() {
        let mut bytes = encode(&subscription(), 3).unwrap().to_vec();
        bytes[..2].copy_from_slice(&9_i16.to_be_bytes());
        bytes.extend([1, 2, 3]);
        assert_eq!(decode_known_part(&bytes), Ok(subscription()));
        let refused = decode::<Subscription<'_>>(&bytes).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "ConsumerProtocolSubscription of version 9, where 0-3 are known"
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let below = [0xff, 0xff, 0, 0, 0, 0];
        let unknown = VersionedError::UnknownVersion {
            name: "ConsumerProtocolSubscription",
            version: -1,
            known: Versions { min: 0, max: 3 },
        };
        assert_eq!(decode::<Subscription<'_>>(&below), Err(unknown));
        assert_eq!(decode_known_part::<Subscription<'_>>(&below), Err(unknown));
        let mut longer = encode(&subscription(), 3).unwrap().to_vec();
        longer.push(0);
        assert!(matches!(
            decode::<Subscription<'_>>(&longer),
            Err(VersionedError::Malformed {
                source: DecodeError::LeftOver { left: 1, .. },
                ..
            })
        ));
        assert!(matches!(
            decode_known_part::<Subscription<'_>>(&longer[..9]),
            Err(VersionedError::Malformed {
                source: DecodeError::Truncated { .. },
                ..
            })
        ));
    }
}

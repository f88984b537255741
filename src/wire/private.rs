//! The APIs that nodes use among themselves: Kafka's framing around bytes that only ottla reads.
//!
//! - Their keys are far from Kafka's, and `ApiVersions` does not name them: they are served on the quorum listener only.
//! - What stands behind the header has a version and a checksum of its own, so the header's version stays 0.

use crate::wire::header::HeaderError;
use crate::wire::reader::Reader;
use crate::wire::writer::{EncodeError, Segments, Writer};

const VERSION: i16 = 0;
/// Bytes of the correlation id in front of an answer.
const ANSWER_HEADER_BYTES: usize = 4;

/// An API of the quorum listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum PrivateApi {
    /// Who are you, and what do you know of a cluster?
    Hello = 30_000,
    /// A vote or an append of the quorum.
    Consensus = 30_001,
    /// A piece of a snapshot of the quorum.
    Snapshot = 30_002,
    /// What a broker asks the controller for itself.
    Broker = 30_003,
    /// A client's request that the controller has to answer.
    Forward = 30_004,
}

impl PrivateApi {
    const ALL: [Self; 5] = [
        Self::Hello,
        Self::Consensus,
        Self::Snapshot,
        Self::Broker,
        Self::Forward,
    ];

    fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|api| *api as i16 == code)
    }
}

/// A request, its body not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateRequest<'a> {
    pub api: PrivateApi,
    pub correlation_id: i32,
    pub body: &'a [u8],
}

impl<'a> PrivateRequest<'a> {
    /// Reads a frame without its size.
    ///
    /// # Errors
    /// Another API or version, or bytes that are no header: the connection can't go on.
    pub fn decode(frame: &'a [u8]) -> Result<Self, HeaderError> {
        let mut reader = Reader::new(frame);
        let (key, version) = (reader.i16()?, reader.i16()?);
        let unknown = HeaderError::UnknownApi { key, version };
        let api = PrivateApi::from_code(key).filter(|_| version == VERSION);
        let api = api.ok_or(unknown)?;
        let correlation_id = reader.i32()?;
        reader.classic_nullable_str()?;
        let body = frame.get(reader.position()..).unwrap_or_default();
        Ok(Self {
            api,
            correlation_id,
            body,
        })
    }

    /// The request in its frame.
    ///
    /// # Errors
    /// The body is longer than a frame can be.
    pub fn encode(&self) -> Result<Segments, EncodeError> {
        let mut writer = Writer::frame();
        writer.i16(self.api as i16);
        writer.i16(VERSION);
        writer.i32(self.correlation_id);
        writer.classic_nullable_str(None);
        writer.raw(self.body);
        writer.finish()
    }
}

/// An answer in its frame.
///
/// # Errors
/// The body is longer than a frame can be.
pub fn encode_answer(correlation_id: i32, body: &[u8]) -> Result<Segments, EncodeError> {
    let mut writer = Writer::frame();
    writer.i32(correlation_id);
    writer.raw(body);
    writer.finish()
}

/// The body of an answer whose correlation id was looked at.
pub fn answer_body(frame: &[u8]) -> &[u8] {
    frame.get(ANSWER_HEADER_BYTES..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let request = PrivateRequest {
            api: PrivateApi::Consensus,
            correlation_id: 7,
            body: b"vote",
        };
        let bytes = request.encode().unwrap().into_bytes().unwrap();
        assert_eq!(&bytes[..4], &14_i32.to_be_bytes());
        assert_eq!(PrivateRequest::decode(&bytes[4..]), Ok(request));
        let answer = encode_answer(7, b"granted").unwrap().into_bytes().unwrap();
        assert_eq!(answer_body(&answer[4..]), b"granted");
    }

    #[test]
    fn kafka_s_apis_and_other_versions_are_refused() {
        for header in [[0, 3, 0, 9], [0x75, 0x30, 0, 1]] {
            let frame = [&header[..], &[0; 8]].concat();
            assert!(matches!(
                PrivateRequest::decode(&frame),
                Err(HeaderError::UnknownApi { .. })
            ));
        }
        for cut in 0..10 {
            let frame = [0x75, 0x30, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
            assert!(matches!(
                PrivateRequest::decode(&frame[..cut]),
                Err(HeaderError::Malformed(_))
            ));
        }
    }
}

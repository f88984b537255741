//! The headers of requests and responses.
//!
//! Which header a message has follows from its API and version, so an unknown API ends the
//! connection. The client id keeps its two-byte length in flexible versions, and the response to
//! `ApiVersions` keeps the classic header: both are read before anyone knows the other's versions.

use crate::wire::{
    api::ApiKey,
    reader::{DecodeError, Reader},
    writer::Writer,
};

/// The header of a request to one of our APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    pub api: ApiKey,
    /// Not judged for `ApiVersions`, and for Produce only up to what is advertised: `is_served`.
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a str>,
}

/// Why a request cannot be answered at all: the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("request with unknown key {key}, version {version}")]
    UnknownApi { key: i16, version: i16 },
    #[error("{api} request of version {version}, which is not supported")]
    UnsupportedVersion { api: ApiKey, version: i16 },
    #[error("request header: {0}")]
    Malformed(#[from] DecodeError),
}

impl<'a> RequestHeader<'a> {
    /// Reads the header off the front of a frame.
    ///
    /// # Errors
    /// An unknown API, a version that nobody was offered, or bytes that are no header.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, HeaderError> {
        let (key, version) = (reader.i16()?, reader.i16()?);
        let unknown = HeaderError::UnknownApi { key, version };
        let api = ApiKey::from_code(key).ok_or(unknown)?;
        // Clients learn our versions by asking in theirs: answered in version 0, never refused.
        if api != ApiKey::ApiVersions && !api.advertised().contains(version) {
            return Err(HeaderError::UnsupportedVersion { api, version });
        }
        let correlation_id = reader.i32()?;
        let client_id = reader.classic_nullable_str()?;
        reader.set_flexible(api.is_flexible(version));
        reader.skip_tags()?;
        Ok(Self {
            api,
            version,
            correlation_id,
            client_id,
        })
    }

    /// Whether the body can be served. If not, the answer is `UnsupportedVersion`: to
    /// `ApiVersions` in version 0 without looking at the body, to Produce 0-2 per partition.
    pub fn is_served(&self) -> bool {
        self.api.served().contains(self.version)
    }

    pub fn encode(&self, writer: &mut Writer) {
        writer.i16(self.api.code());
        writer.i16(self.version);
        writer.i32(self.correlation_id);
        writer.classic_nullable_str(self.client_id);
        writer.set_flexible(self.api.is_flexible(self.version));
        writer.no_tags();
    }
}

/// Reads the correlation id off the front of a response to `api` in `version`.
///
/// # Errors
/// Bytes that are no response header.
pub fn decode_response_header(
    reader: &mut Reader<'_>,
    api: ApiKey,
    version: i16,
) -> Result<i32, DecodeError> {
    let correlation_id = reader.i32()?;
    reader.set_flexible(response_header_is_flexible(api, version));
    reader.skip_tags()?;
    Ok(correlation_id)
}

/// Writes the header of a response to `api` in `version`.
pub fn encode_response_header(writer: &mut Writer, api: ApiKey, version: i16, correlation_id: i32) {
    writer.i32(correlation_id);
    writer.set_flexible(response_header_is_flexible(api, version));
    writer.no_tags();
}

fn response_header_is_flexible(api: ApiKey, version: i16) -> bool {
    api != ApiKey::ApiVersions && api.is_flexible(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Result<RequestHeader<'_>, HeaderError> {
        RequestHeader::decode(&mut Reader::new(bytes))
    }

    #[test]
    fn classic_and_flexible_headers_read_back() {
        for (version, length) in [(8, 13), (9, 14)] {
            let client_id = Some("abc");
            let sent = RequestHeader {
                api: ApiKey::Metadata,
                version,
                correlation_id: 7,
                client_id,
            };
            let mut writer = Writer::new();
            sent.encode(&mut writer);
            let bytes = writer.finish().unwrap().into_bytes().unwrap();
            assert_eq!(bytes.len(), length);
            assert_eq!(header(&bytes), Ok(sent));
        }
    }

    #[test]
    fn a_version_of_the_future_is_read_for_api_versions_only() {
        let future = [0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0];
        let read = header(&future).unwrap();
        assert_eq!(
            (read.api, read.version, read.is_served()),
            (ApiKey::ApiVersions, 99, false)
        );

        let metadata = [0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0];
        let (api, version) = (ApiKey::Metadata, 99);
        assert_eq!(
            header(&metadata),
            Err(HeaderError::UnsupportedVersion { api, version })
        );

        let unknown = [0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
        let (key, version) = (i16::MAX, 0);
        assert_eq!(
            header(&unknown),
            Err(HeaderError::UnknownApi { key, version })
        );
    }

    #[test]
    fn produce_of_before_the_baseline_is_read_but_not_served() {
        let read = header(&[0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff]);
        assert!(!read.unwrap().is_served());
    }

    #[test]
    fn the_header_of_an_api_versions_response_is_classic_in_every_version() {
        for (api, length) in [(ApiKey::ApiVersions, 4), (ApiKey::DescribeCluster, 5)] {
            let mut writer = Writer::new();
            encode_response_header(&mut writer, api, api.served().max, 7);
            let bytes = writer.finish().unwrap().into_bytes().unwrap();
            assert_eq!(bytes.len(), length);
            let read = decode_response_header(&mut Reader::new(&bytes), api, api.served().max);
            assert_eq!(read, Ok(7));
        }
    }
}

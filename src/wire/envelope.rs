//! What a broker sends to the controller, and what comes back: who speaks to whom, around one of Kafka's messages.
//!
//! - docs/formats/envelope.md draws it; integers are big endian, strings have a length of two bytes.
//! - Nothing here is believed: whoever serves a call compares its cluster and its addressee with its own.
//! - A reader refuses a version that it doesn't know: what stands behind it may mean something else.

use std::borrow::Cow;

use crate::wire::Uuid;
use crate::wire::reader::{DecodeError, Reader};
use crate::wire::writer::{EncodeError, Segments, Writer};

const VERSION: i8 = 1;

const OK: i8 = 0;
const NOT_CONTROLLER: i8 = 1;
const STRANGER: i8 = 2;
const DIVERGED: i8 = 3;
const UNANSWERABLE: i8 = 4;

/// What stands in front of every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The cluster that the sender belongs to.
    pub cluster: Uuid,
    /// Who speaks.
    pub sender: i32,
    /// The sender's registration; -1 is none.
    pub sender_epoch: i64,
    /// Whom the sender takes for the controller.
    pub addressee: i32,
    /// The sender's image.
    pub image_version: u64,
    /// The digest of that image.
    pub image_digest: u64,
}

/// A request of the broker itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerCall<'a> {
    pub envelope: Envelope,
    /// Kafka's key of the message.
    pub api_key: i16,
    /// The version that the message is written in.
    pub api_version: i16,
    /// The message, without a header.
    pub message: &'a [u8],
}

/// A client's request that the broker passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardCall<'a> {
    pub envelope: Envelope,
    /// The listener that the client came to.
    pub listener: Cow<'a, str>,
    /// Who the client is.
    pub principal: Cow<'a, str>,
    /// The client's address.
    pub client: Cow<'a, str>,
    /// The request as it came, without its size.
    pub frame: &'a [u8],
}

/// What comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The controller has answered.
    Ok {
        /// Its image by then.
        image_version: u64,
        /// Kafka's message; of a forwarded request the whole response, without its size.
        body: &'a [u8],
    },
    /// The addressee does not lead.
    NotController {
        /// Who does, if the addressee knows.
        leader: Option<i32>,
    },
    /// The addressee belongs to another cluster, or is another node.
    Stranger,
    /// The image's digest is not the controller's of the same version: the sender's metadata is another history.
    Diverged,
    /// The call, or what should be said to it, is outside of the protocol: another try ends the same way.
    Unanswerable,
}

/// Why bytes are none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("an envelope of version {0}, this build reads {VERSION}")]
    Version(i8),
    #[error("an answer of status {0}")]
    Status(i8),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl Envelope {
    fn read(reader: &mut Reader<'_>) -> Result<Self, EnvelopeError> {
        let version = reader.i8()?;
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        Ok(Self {
            cluster: reader.uuid()?,
            sender: reader.i32()?,
            sender_epoch: reader.i64()?,
            addressee: reader.i32()?,
            image_version: reader.i64()?.cast_unsigned(),
            image_digest: reader.i64()?.cast_unsigned(),
        })
    }

    fn write(&self, writer: &mut Writer) {
        writer.i8(VERSION);
        writer.uuid(self.cluster);
        writer.i32(self.sender);
        writer.i64(self.sender_epoch);
        writer.i32(self.addressee);
        writer.i64(self.image_version.cast_signed());
        writer.i64(self.image_digest.cast_signed());
    }
}

impl<'a> BrokerCall<'a> {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(body);
        Ok(Self {
            envelope: Envelope::read(&mut reader)?,
            api_key: reader.i16()?,
            api_version: reader.i16()?,
            message: rest(&reader, body),
        })
    }

    /// The body of a call.
    ///
    /// # Errors
    /// It is longer than a frame can be.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.envelope.write(&mut writer);
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.raw(self.message);
        bytes(writer)
    }
}

impl<'a> ForwardCall<'a> {
    /// Reads the body of a call.
    ///
    /// # Errors
    /// It is none.
    pub fn decode(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(body);
        Ok(Self {
            envelope: Envelope::read(&mut reader)?,
            listener: reader.string()?,
            principal: reader.string()?,
            client: reader.string()?,
            frame: rest(&reader, body),
        })
    }

    /// The body of a call.
    ///
    /// # Errors
    /// A text is longer than texts can be, or the whole longer than a frame.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.envelope.write(&mut writer);
        writer.string(&self.listener);
        writer.string(&self.principal);
        writer.string(&self.client);
        writer.raw(self.frame);
        bytes(writer)
    }
}

impl<'a> Answer<'a> {
    /// Reads the body of an answer.
    ///
    /// # Errors
    /// It is none: the addressee may not even have seen the call.
    pub fn decode(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let mut reader = Reader::new(body);
        match reader.i8()? {
            OK => Ok(Self::Ok {
                image_version: reader.i64()?.cast_unsigned(),
                body: rest(&reader, body),
            }),
            NOT_CONTROLLER => Ok(Self::NotController {
                leader: Some(reader.i32()?).filter(|leader| *leader >= 0),
            }),
            STRANGER => Ok(Self::Stranger),
            DIVERGED => Ok(Self::Diverged),
            UNANSWERABLE => Ok(Self::Unanswerable),
            status => Err(EnvelopeError::Status(status)),
        }
    }

    /// The body of an answer.
    ///
    /// # Errors
    /// It is longer than a frame can be.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        match self {
            Self::Ok {
                image_version,
                body,
            } => {
                writer.i8(OK);
                writer.i64(image_version.cast_signed());
                writer.raw(body);
            }
            Self::NotController { leader } => {
                writer.i8(NOT_CONTROLLER);
                writer.i32(leader.unwrap_or(-1));
            }
            Self::Stranger => writer.i8(STRANGER),
            Self::Diverged => writer.i8(DIVERGED),
            Self::Unanswerable => writer.i8(UNANSWERABLE),
        }
        bytes(writer)
    }
}

fn rest<'a>(reader: &Reader<'_>, body: &'a [u8]) -> &'a [u8] {
    body.get(reader.position()..).unwrap_or_default()
}

fn bytes(writer: Writer) -> Result<Vec<u8>, EncodeError> {
    let written = writer.finish()?;
    // Nothing lies in a file here, so all of it is bytes.
    let bytes = Segments::into_bytes(written).unwrap_or_default();
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENVELOPE: Envelope = Envelope {
        cluster: Uuid::from_bytes([0xc1; 16]),
        sender: 3,
        sender_epoch: 7,
        addressee: 1,
        image_version: 0x0102,
        image_digest: u64::MAX,
    };

    fn head() -> Vec<u8> {
        [
            &[1][..],
            &[0xc1; 16],
            &[0, 0, 0, 3],
            &[0, 0, 0, 0, 0, 0, 0, 7],
            &[0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0, 1, 2],
            &[0xff; 8],
        ]
        .concat()
    }

    /// docs/formats/envelope.md, byte by byte.
    #[test]
    fn the_bytes_are_those_of_the_page() {
        let call = BrokerCall {
            envelope: ENVELOPE,
            api_key: 63,
            api_version: 1,
            message: b"beat",
        };
        let bytes = call.encode().unwrap();
        assert_eq!(bytes, [&head()[..], &[0, 63, 0, 1], b"beat"].concat());
        assert_eq!(BrokerCall::decode(&bytes), Ok(call));
        let call = ForwardCall {
            envelope: ENVELOPE,
            listener: "L".into(),
            principal: "P".into(),
            client: "C".into(),
            frame: b"frame",
        };
        let bytes = call.encode().unwrap();
        assert_eq!(bytes, [&head()[..], b"\0\x01L\0\x01P\0\x01Cframe"].concat());
        assert_eq!(ForwardCall::decode(&bytes), Ok(call));
        let answers = [
            (
                Answer::Ok {
                    image_version: 258,
                    body: b"body",
                },
                &b"\0\0\0\0\0\0\0\x01\x02body"[..],
            ),
            (Answer::NotController { leader: Some(2) }, b"\x01\0\0\0\x02"),
            (
                Answer::NotController { leader: None },
                b"\x01\xff\xff\xff\xff",
            ),
            (Answer::Stranger, b"\x02"),
            (Answer::Diverged, b"\x03"),
            (Answer::Unanswerable, b"\x04"),
        ];
        for (answer, written) in answers {
            assert_eq!(answer.encode().unwrap(), written);
            assert_eq!(Answer::decode(written), Ok(answer));
        }
    }

    #[test]
    fn what_was_cut_short_is_no_call() {
        let call = BrokerCall {
            envelope: ENVELOPE,
            api_key: 63,
            api_version: 1,
            message: b"",
        };
        let bytes = call.encode().unwrap();
        for cut in 0..bytes.len() {
            assert!(BrokerCall::decode(&bytes[..cut]).is_err());
            assert!(ForwardCall::decode(&bytes[..cut]).is_err());
        }
        for cut in [&b""[..], b"\0\0\0", b"\x01\0\0\0"] {
            assert!(Answer::decode(cut).is_err());
        }
    }

    #[test]
    fn another_version_is_refused_and_so_is_a_status_of_the_future() {
        let mut bytes = head();
        bytes[0] = 2;
        assert_eq!(BrokerCall::decode(&bytes), Err(EnvelopeError::Version(2)));
        assert_eq!(Answer::decode(&[5]), Err(EnvelopeError::Status(5)));
    }

    proptest! {
        /// W1: any bytes are read or refused.
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            for first in [None, Some(1)] {
                if let (Some(version), Some(byte)) = (first, bytes.first_mut()) {
                    *byte = version;
                }
                if let Ok(call) = BrokerCall::decode(&bytes) {
                    prop_assert_eq!(&call.encode().unwrap(), &bytes);
                }
                if let Ok(call) = ForwardCall::decode(&bytes) {
                    prop_assert_eq!(&call.encode().unwrap(), &bytes);
                }
                let _ = Answer::decode(&bytes);
            }
        }
    }
}

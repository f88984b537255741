//! What can go wrong between a command and a broker, each with the way out.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::reader::DecodeError;
use crate::wire::writer::EncodeError;

use super::address::HostPort;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "cannot connect to {address} ({cause}); is the node running? start one with \
         `ottla node start`, or name another broker with --bootstrap HOST:PORT"
    )]
    Connect { address: HostPort, cause: io::Error },
    #[error(
        "{address} did not answer {api} within {} ms; raise --timeout if it is only slow",
        after.as_millis()
    )]
    Timeout {
        address: HostPort,
        api: ApiKey,
        after: Duration,
    },
    #[error(
        "{address} closed the connection ({cause}); its log says why (this command speaks no TLS)"
    )]
    Closed { address: HostPort, cause: io::Error },
    #[error("{address} sent an answer of {length} bytes, not Kafka's protocol: is the port right?")]
    Frame { address: HostPort, length: i32 },
    #[error("{address} answered request {found} where {expected} was due: is it a Kafka broker?")]
    Correlation {
        address: HostPort,
        expected: i32,
        found: i32,
    },
    #[error("{address} sent an answer to {api} that cannot be read ({cause})")]
    Decode {
        address: HostPort,
        api: ApiKey,
        cause: DecodeError,
    },
    #[error("{api} request cannot be written: {cause}")]
    Encode { api: ApiKey, cause: EncodeError },
    #[error("{address} and this program share no version of {api}: upgrade the older of the two")]
    NoCommonVersion { address: HostPort, api: ApiKey },
    #[error("{address} refused {api}: {}{}", Said(*code), next_step(*code))]
    Refused {
        address: HostPort,
        api: ApiKey,
        code: ErrorCode,
    },
    #[error("topic {topic}: {}; {}", Said(*code), way_out(*code))]
    Topic { topic: String, code: ErrorCode },
    #[error("{topic}-{partition}: {}", Said(*code))]
    Partition {
        topic: String,
        partition: i32,
        code: ErrorCode,
    },
    #[error("broker {broker} is not among the brokers that the cluster lists; try again")]
    UnknownBroker { broker: i32 },
}

impl ClientError {
    /// The broker may be gone for a moment: a later try, or another broker, may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Timeout { .. }
                | Self::Closed { .. }
                | Self::UnknownBroker { .. }
        )
    }
}

/// An error code as people read it.
pub(crate) struct Said(pub(crate) ErrorCode);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message(), self.0.name())
    }
}

/// What to do about a refusal that lasted, where something can be done.
fn next_step(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator => {
            "; `ottla topic describe __consumer_offsets` shows whether the partitions of the \
             groups have leaders"
        }
        _ => "",
    }
}

/// What to do about a topic that is not there.
fn way_out(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownTopicOrPartition => {
            "`ottla topic list` shows the topics, `ottla topic create` makes one"
        }
        ErrorCode::InvalidTopicException => {
            "a name has up to 249 letters, digits, dots, dashes and underscores"
        }
        _ => "try again, or ask `ottla cluster status`",
    }
}

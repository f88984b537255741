//! What an operation's trouble proves: that nothing happened, or nothing at all.
//!
//! Pure. A wrong `fail` makes an aborted read out of a healthy log, so doubt is `info`: a leader that is deposed while
//! a record waits for its followers answers `NOT_LEADER_OR_FOLLOWER`, and the record may live on.

use ottla::wire::error_code::ErrorCode;

use super::client::CallError;
use crate::history::{Datum, Kind};

/// Why an operation did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nobody is known to lead the partition: nothing was sent.
    NoLeader,
    /// No answer.
    Call(CallError),
    /// The node refused.
    Refused(ErrorCode),
}

/// Codes that are answered only if nothing was appended.
const NOTHING_WRITTEN: [ErrorCode; 10] = [
    ErrorCode::NotEnoughReplicas,
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::UnknownTopicId,
    ErrorCode::InvalidTopicException,
    ErrorCode::InvalidRequiredAcks,
    ErrorCode::InvalidRecord,
    ErrorCode::CorruptMessage,
    ErrorCode::MessageTooLarge,
    ErrorCode::RecordListTooLarge,
    ErrorCode::UnsupportedVersion,
];

impl Trouble {
    /// How a send with this trouble ends.
    pub(super) fn of_send(&self) -> Kind {
        let is_proof = match self {
            Self::NoLeader | Self::Call(CallError::Connect(_)) => true,
            Self::Call(_) => false,
            Self::Refused(code) => NOTHING_WRITTEN.contains(code),
        };
        if is_proof { Kind::Fail } else { Kind::Info }
    }

    /// What the history says of it.
    pub(super) fn datum(&self) -> Datum {
        Datum::Text(match self {
            Self::NoLeader => "no leader is known".to_owned(),
            Self::Call(error) => error.to_string(),
            Self::Refused(code) => code.name().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_proves_that_nothing_was_written_fails() {
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        let proofs = [
            Trouble::NoLeader,
            Trouble::Call(CallError::Connect(broken())),
            Trouble::Refused(ErrorCode::NotEnoughReplicas),
            Trouble::Refused(ErrorCode::UnknownTopicId),
        ];
        let doubts = [
            Trouble::Call(CallError::Broken(broken())),
            Trouble::Call(CallError::Late(Duration::ZERO)),
            Trouble::Call(CallError::Garbled(String::new())),
            Trouble::Refused(ErrorCode::RequestTimedOut),
            Trouble::Refused(ErrorCode::NotEnoughReplicasAfterAppend),
            Trouble::Refused(ErrorCode::NotLeaderOrFollower),
            Trouble::Refused(ErrorCode::KafkaStorageError),
            Trouble::Refused(ErrorCode::UnknownServerError),
        ];
        assert!(proofs.iter().all(|trouble| trouble.of_send() == Kind::Fail));
        assert!(doubts.iter().all(|trouble| trouble.of_send() == Kind::Info));
    }
}

//! Our errors in the protocol's words: every variant is named, so a new one does not compile until it
//! has a code.

use ottla_storage::ReadError;
use ottla_storage::batch::BatchError;
use ottla_storage::log::PrepareError;
use ottla_storage::producer_state::ProducerError;
use ottla_storage::validate::ValidateError;

use super::fetch_session::SessionError;
use crate::coordinator::group::error::GroupError;
use crate::replica::request::{Refusal, RequestError};
use crate::wire::error_code::ErrorCode;

impl From<Refusal> for ErrorCode {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLeader => Self::NotLeaderOrFollower,
            Refusal::Gone => Self::UnknownTopicOrPartition,
            Refusal::Offline => Self::KafkaStorageError,
            Refusal::NotEnoughReplicas => Self::NotEnoughReplicas,
            Refusal::TimedOut => Self::RequestTimedOut,
            Refusal::OffsetOutOfRange => Self::OffsetOutOfRange,
        }
    }
}

impl From<&GroupError> for ErrorCode {
    fn from(error: &GroupError) -> Self {
        match error {
            GroupError::NotCoordinator => Self::NotCoordinator,
            GroupError::LoadInProgress => Self::CoordinatorLoadInProgress,
            GroupError::NotAvailable => Self::CoordinatorNotAvailable,
            GroupError::InvalidGroupId => Self::InvalidGroupId,
            GroupError::InvalidSessionTimeout => Self::InvalidSessionTimeout,
            GroupError::InvalidRequest(_) => Self::InvalidRequest,
            GroupError::UnknownMemberId => Self::UnknownMemberId,
            GroupError::MemberIdRequired => Self::MemberIdRequired,
            GroupError::GroupMaxSizeReached => Self::GroupMaxSizeReached,
            GroupError::InconsistentGroupProtocol => Self::InconsistentGroupProtocol,
            GroupError::IllegalGeneration => Self::IllegalGeneration,
            GroupError::RebalanceInProgress => Self::RebalanceInProgress,
            GroupError::FencedInstanceId => Self::FencedInstanceId,
            GroupError::UnreleasedInstanceId => Self::UnreleasedInstanceId,
            GroupError::FencedMemberEpoch(_) => Self::FencedMemberEpoch,
            GroupError::StaleMemberEpoch => Self::StaleMemberEpoch,
            GroupError::UnsupportedAssignor => Self::UnsupportedAssignor,
            GroupError::InvalidRegularExpression(_) => Self::InvalidRegularExpression,
            GroupError::OffsetMetadataTooLarge => Self::OffsetMetadataTooLarge,
            // Kafka has no code for it.
            GroupError::TooLarge => Self::UnknownServerError,
            GroupError::GroupIdNotFound => Self::GroupIdNotFound,
            GroupError::NonEmptyGroup => Self::NonEmptyGroup,
            GroupError::GroupSubscribedToTopic => Self::GroupSubscribedToTopic,
            GroupError::UnsupportedVersion(_) => Self::UnsupportedVersion,
        }
    }
}

impl From<&RequestError> for ErrorCode {
    fn from(error: &RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => (*refusal).into(),
            RequestError::Prepare(error) => error.into(),
            RequestError::Write { .. } => Self::KafkaStorageError,
        }
    }
}

impl From<&PrepareError> for ErrorCode {
    fn from(error: &PrepareError) -> Self {
        match error {
            // The log takes nothing just now, or never again on this broker: another may.
            PrepareError::GroupFull
            | PrepareError::Truncating
            | PrepareError::DiskFull
            | PrepareError::Backlogged
            | PrepareError::Offline(_)
            | PrepareError::Failed
            | PrepareError::OffsetsExhausted => Self::KafkaStorageError,
            PrepareError::StaleEpoch { .. } => Self::NotLeaderOrFollower,
            PrepareError::LargerThanSegment { .. } => Self::RecordListTooLarge,
            PrepareError::Batch(error) => error.into(),
            PrepareError::Invalid(error) => error.into(),
            PrepareError::Check(_) => Self::CorruptMessage,
            PrepareError::Producer(error) => error.into(),
        }
    }
}

impl From<&BatchError> for ErrorCode {
    fn from(error: &BatchError) -> Self {
        match error {
            BatchError::Truncated { .. }
            | BatchError::OldMagic { .. }
            | BatchError::NegativeBaseOffset { .. } => Self::InvalidRecord,
            BatchError::UnknownMagic { .. } | BatchError::Length { .. } => Self::CorruptMessage,
        }
    }
}

impl From<&ValidateError> for ErrorCode {
    fn from(error: &ValidateError) -> Self {
        match error {
            ValidateError::NoBatch { .. }
            | ValidateError::OldMagic { .. }
            | ValidateError::SeveralBatches { .. }
            | ValidateError::BaseOffset { .. }
            | ValidateError::OffsetRange { .. }
            | ValidateError::ControlBatch
            | ValidateError::TransactionWithoutProducer
            | ValidateError::MissingSequence { .. }
            | ValidateError::MissingEpoch { .. }
            | ValidateError::DeleteHorizon
            | ValidateError::Decompress(_)
            | ValidateError::Malformed(_)
            | ValidateError::InvalidRecords { .. } => Self::InvalidRecord,
            ValidateError::Corrupt | ValidateError::Crc { .. } => Self::CorruptMessage,
            ValidateError::TooLarge { .. } | ValidateError::DecompressedTooLarge { .. } => {
                Self::MessageTooLarge
            }
            ValidateError::LargerThanSegment { .. } => Self::RecordListTooLarge,
            ValidateError::LogAppendTime | ValidateError::InvalidTimestamps { .. } => {
                Self::InvalidTimestamp
            }
            ValidateError::UnknownCompression(_) | ValidateError::ZstdTooEarly => {
                Self::UnsupportedCompressionType
            }
            ValidateError::Recompress(_) => Self::UnknownServerError,
        }
    }
}

impl From<&ProducerError> for ErrorCode {
    fn from(error: &ProducerError) -> Self {
        match error {
            ProducerError::InvalidEpoch { .. } => Self::InvalidProducerEpoch,
            ProducerError::OutOfOrderSequence { .. } => Self::OutOfOrderSequenceNumber,
            ProducerError::InvalidTxnState { .. } => Self::InvalidTxnState,
        }
    }
}

impl From<&ReadError> for ErrorCode {
    fn from(error: &ReadError) -> Self {
        match error {
            ReadError::OutOfRange { .. } => Self::OffsetOutOfRange,
            ReadError::Segment { .. } => Self::KafkaStorageError,
            ReadError::Records { .. } => Self::CorruptMessage,
        }
    }
}

impl From<SessionError> for ErrorCode {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::IdNotFound => Self::FetchSessionIdNotFound,
            SessionError::InvalidEpoch => Self::InvalidFetchSessionEpoch,
            SessionError::TopicIdMode => Self::FetchSessionTopicIdError,
        }
    }
}
